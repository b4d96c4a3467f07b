//! DTLS as a server: one certificate for the process, one association per session, ended by keys
//! for SRTP or by a reason why not. Records are only fed in from addresses that ICE has proven.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use rtc_crypto::RTCCryptoProvider;
use rtc_dtls::cipher_suite::CipherSuiteId;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rtc_srtp::config::{Config as SrtpConfig, LABEL_EXTRACTOR_DTLS_SRTP, SessionKeys};
use rtc_srtp::protection_profile::ProtectionProfile;
use sha2::{Digest, Sha256};

use crate::api::MediaError;
use crate::limits;
use crate::sdp::Fingerprint;

/// The library multiplexes by address; a session is one association wherever it roams.
const PEER: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    1,
);

/// What all associations share.
pub(crate) struct Identity {
    pub(crate) crypto: Arc<dyn RTCCryptoProvider>,
    /// SHA-256 of the certificate for the answer.
    pub(crate) fingerprint: String,
    only_gcm: Arc<HandshakeConfig>,
    any: Arc<HandshakeConfig>,
}

impl Identity {
    pub(crate) fn generate() -> Result<Self, MediaError> {
        let failed = |error: &dyn std::fmt::Display| MediaError::Certificate(error.to_string());
        let crypto = rtc_crypto::default_provider().map_err(|error| failed(&error))?;
        let names = vec!["vetrina".to_owned()];
        let certificate = Certificate::generate_self_signed(names, crypto.crypto())
            .map_err(|error| failed(&error))?;
        let digest = Sha256::digest(&certificate.certificate[0]);
        let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        let config = |profiles| {
            ConfigBuilder::default()
                .with_crypto_provider(crypto.clone())
                .with_certificates(vec![certificate.clone()])
                .with_cipher_suites(vec![
                    CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
                    CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_256_Cbc_Sha,
                ])
                .with_srtp_protection_profiles(profiles)
                // Browsers' certificates are self-signed; the fingerprint of the offer decides.
                .with_client_auth(ClientAuthType::RequireAnyClientCert)
                .with_insecure_skip_verify(true)
                .with_extended_master_secret(ExtendedMasterSecretType::Require)
                .build(false, None)
                .map(Arc::new)
                .map_err(|error| failed(&error))
        };
        let gcm = SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm;
        let counter = SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80;
        Ok(Self {
            fingerprint: pairs.join(":"),
            only_gcm: config(vec![gcm])?,
            any: config(vec![gcm, counter])?,
            crypto,
        })
    }
}

/// How an association came out, or that it goes on.
pub(crate) enum Outcome {
    Pending,
    /// Keys and the profile they are for.
    Keys(Box<(SessionKeys, ProtectionProfile)>),
    /// The client closed it properly.
    Closed,
    /// A reason for the log.
    Failed(&'static str),
}

/// One session's association.
pub(crate) struct Association {
    endpoint: Endpoint,
    bytes: usize,
    begun: bool,
    done: bool,
}

impl Association {
    pub(crate) fn new(local: SocketAddr, identity: &Identity) -> Self {
        let config = Some(identity.any.clone());
        let endpoint = Endpoint::new(local, TransportProtocol::UDP, config);
        Self {
            endpoint,
            bytes: 0,
            begun: false,
            done: false,
        }
    }

    /// Takes a datagram from an address that ICE has proven.
    pub(crate) fn receive(
        &mut self,
        datagram: &[u8],
        identity: &Identity,
        expected: &Fingerprint,
        now: Instant,
    ) -> Outcome {
        self.bytes += datagram.len();
        if self.bytes > limits::DTLS_BYTES {
            // Not even an error: whoever floods must not be able to end the session.
            return Outcome::Pending;
        }
        if !self.begun {
            self.begun = true;
            // The client's order of SRTP profiles wins, and browsers put the slower one first.
            if offers_gcm(datagram) {
                self.endpoint
                    .set_server_config(Some(identity.only_gcm.clone()));
            }
        }
        let events = match self
            .endpoint
            .read(now, PEER, None, BytesMut::from(datagram))
        {
            Ok(events) => events,
            Err(_) if self.done => return Outcome::Pending,
            Err(_) => return Outcome::Failed("the DTLS handshake failed"),
        };
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => {
                    self.done = true;
                    return self.keys(expected);
                }
                EndpointEvent::PeerClosed => return Outcome::Closed,
                _ => {}
            }
        }
        Outcome::Pending
    }

    /// Drives retransmissions of the handshake.
    pub(crate) fn tick(&mut self, now: Instant) {
        if !self.done {
            let _ = self.endpoint.handle_timeout(PEER, now);
        }
    }

    /// Says goodbye (close_notify).
    pub(crate) fn close(&mut self, now: Instant) {
        let _ = self.endpoint.close(now);
    }

    /// The next datagram to send.
    pub(crate) fn poll(&mut self) -> Option<BytesMut> {
        self.endpoint
            .poll_transmit()
            .map(|transmit| transmit.message)
    }

    /// RFC 5763: the certificate must be the one of the offer, and SRTP must have been agreed on;
    /// the library leaves both to us.
    fn keys(&self, expected: &Fingerprint) -> Outcome {
        let Some(state) = self.endpoint.get_connection_state(PEER) else {
            return Outcome::Failed("the DTLS association is gone");
        };
        let certificate = state.peer_certificates.first();
        if !certificate.is_some_and(|certificate| expected.matches(certificate)) {
            return Outcome::Failed("the certificate is not the one of the offer");
        }
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => ProtectionProfile::AeadAes128Gcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => {
                ProtectionProfile::Aes128CmHmacSha1_80
            }
            _ => return Outcome::Failed("the client did not agree on SRTP"),
        };
        let mut config = SrtpConfig {
            profile,
            ..SrtpConfig::default()
        };
        let length = config.keying_material_len();
        let exported = state.export_keying_material(LABEL_EXTRACTOR_DTLS_SRTP, &[], length);
        let split = exported
            .map(rtc_crypto::SecretVec::into_bytes)
            .map(|material| config.set_session_keys_from_keying_material(&material, false));
        match split {
            Ok(Ok(())) => Outcome::Keys(Box::new((config.keys, profile))),
            _ => Outcome::Failed("the SRTP keys could not be exported"),
        }
    }
}

/// Whether a ClientHello offers AEAD_AES_128_GCM in its use_srtp extension (RFC 5764): extension
/// type, its length, the list's length, the profiles, no key identifier. A hello that is split over
/// datagrams may hide it; then the client's order decides.
fn offers_gcm(datagram: &[u8]) -> bool {
    datagram.windows(6).enumerate().any(|(at, head)| {
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let list = usize::from(u16::from_be_bytes([head[4], head[5]]));
        let sound = head[..2] == [0, 14] && length == list + 3 && list % 2 == 0 && list <= 32;
        let profiles = datagram.get(at + 6..at + 6 + list).filter(|_| sound);
        profiles.is_some_and(|profiles| profiles.chunks(2).any(|profile| profile == [0, 7]))
    })
}
