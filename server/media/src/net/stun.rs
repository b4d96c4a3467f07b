//! The half of ICE that an ICE-lite server needs: judging binding requests and answering them.

use std::net::SocketAddr;

use rand::distr::{Alphanumeric, SampleString};
use rtc_crypto::RTCCrypto;
use rtc_stun::attributes::{ATTR_USE_CANDIDATE, ATTR_USERNAME};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message};
use rtc_stun::textattrs::TextAttribute;
use rtc_stun::xoraddr::XorMappedAddress;

use crate::sdp::Credentials;

/// A well-formed binding request whose sender is not proven yet.
pub(crate) struct Request {
    message: Message,
    username: String,
}

impl Request {
    /// `None` for anything but a binding request with a correct checksum and a user name.
    pub(crate) fn read(datagram: &[u8]) -> Option<Self> {
        let mut message = Message::new();
        message.unmarshal_binary(datagram).ok()?;
        if message.typ != BINDING_REQUEST {
            return None;
        }
        FINGERPRINT.check(&message).ok()?;
        let username = TextAttribute::get_from_as(&message, ATTR_USERNAME)
            .ok()?
            .text;
        Some(Self { message, username })
    }

    /// The user fragment of this side, by which the session is found.
    pub(crate) fn local_ufrag(&self) -> &str {
        self.username.split(':').next().unwrap_or("")
    }

    /// Whether the sender knows the session's password.
    pub(crate) fn is_authentic(
        &mut self,
        credentials: &Credentials,
        crypto: &dyn RTCCrypto,
    ) -> bool {
        MessageIntegrity::check(&mut self.message, credentials.pwd.as_bytes(), crypto).is_ok()
    }

    /// Whether the client chose this pair of addresses.
    pub(crate) fn nominates(&self) -> bool {
        self.message.contains(ATTR_USE_CANDIDATE)
    }

    /// The success response.
    pub(crate) fn answer(
        &self,
        from: SocketAddr,
        credentials: &Credentials,
        crypto: &dyn RTCCrypto,
    ) -> Option<Vec<u8>> {
        let integrity = MessageIntegrity::new_short_term_integrity_with_provider(
            credentials.pwd.clone(),
            crypto,
        );
        let mut response = Message::new();
        response
            .build(&[
                Box::new(BINDING_SUCCESS),
                Box::new(self.message.transaction_id),
                Box::new(XorMappedAddress {
                    ip: from.ip().to_canonical(),
                    port: from.port(),
                }),
                Box::new(integrity),
                Box::new(FINGERPRINT),
            ])
            .ok()?;
        Some(response.raw)
    }
}

/// Fresh credentials: RFC 8839 asks for 24 and 128 random bits; these have 47 and 190.
pub(crate) fn fresh_credentials() -> Credentials {
    let mut random = rand::rng();
    Credentials {
        ufrag: Alphanumeric.sample_string(&mut random, 8),
        pwd: Alphanumeric.sample_string(&mut random, 32),
    }
}

#[cfg(test)]
mod tests {
    use rtc_stun::attributes::RawAttribute;
    use rtc_stun::message::TransactionId;

    use super::*;

    fn request(credentials: &Credentials, crypto: &dyn RTCCrypto) -> Vec<u8> {
        let mut message = Message::new();
        let name = format!("{}:theirs", credentials.ufrag);
        let pwd = credentials.pwd.clone();
        message
            .build(&[
                Box::new(BINDING_REQUEST),
                Box::new(TransactionId::new()),
                Box::new(TextAttribute::new(ATTR_USERNAME, name)),
                Box::new(RawAttribute {
                    typ: ATTR_USE_CANDIDATE,
                    length: 0,
                    value: vec![],
                }),
                Box::new(MessageIntegrity::new_short_term_integrity_with_provider(
                    pwd, crypto,
                )),
                Box::new(FINGERPRINT),
            ])
            .expect("fits");
        message.raw
    }

    #[test]
    fn only_who_knows_the_password_is_authentic() {
        let provider = rtc_crypto::default_provider().expect("built in");
        let crypto = provider.crypto();
        let (ours, other) = (fresh_credentials(), fresh_credentials());
        let wire = request(&ours, crypto);
        let mut read = Request::read(&wire).expect("well formed");
        assert_eq!(read.local_ufrag(), ours.ufrag);
        assert!(read.nominates());
        assert!(read.is_authentic(&ours, crypto));
        assert!(!read.is_authentic(&other, crypto));
        let from = "192.0.2.9:5000".parse().expect("an address");
        let answer = read.answer(from, &ours, crypto).expect("built");
        assert_eq!(answer[..2], [0x01, 0x01], "binding success");
    }

    #[test]
    fn mangled_requests_are_not_read_or_not_authentic() {
        let provider = rtc_crypto::default_provider().expect("built in");
        let credentials = fresh_credentials();
        let wire = request(&credentials, provider.crypto());
        for at in 0..wire.len() {
            let mut mangled = wire.clone();
            mangled[at] ^= 0x55;
            let authentic = Request::read(&mangled)
                .is_some_and(|mut read| read.is_authentic(&credentials, provider.crypto()));
            assert!(!authentic, "byte {at}");
            assert!(Request::read(&wire[..at]).is_none());
        }
    }
}
