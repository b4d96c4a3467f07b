//! An offer as a whole: who, how secured, which sections; and every reason to refuse one.
//!
//! WHIP and WHEP allow no partly rejected answer, so an offer is taken whole or refused whole.

use std::io::Cursor;

use rtc_sdp::SessionDescription;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::section::{MediaKind, Section, first, values};
use crate::api::{Refused, SessionKind};
use crate::limits;

/// The hash of the certificate that the client will show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    hash: Hash,
    digest: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Fingerprint {
    /// Reads `sha-256 AB:CD:..`; `None` for other hashes and malformed ones.
    fn read(value: &str) -> Option<Self> {
        let (name, digits) = value.trim().split_once(' ')?;
        let (hash, length) = match name.to_ascii_lowercase().as_str() {
            "sha-256" => (Hash::Sha256, 32),
            "sha-384" => (Hash::Sha384, 48),
            "sha-512" => (Hash::Sha512, 64),
            _ => return None,
        };
        let octet = |pair: &str| (pair.len() == 2).then(|| u8::from_str_radix(pair, 16).ok());
        let digest: Vec<u8> = digits
            .trim()
            .split(':')
            .map(|pair| octet(pair).flatten())
            .collect::<Option<_>>()?;
        (digest.len() == length).then_some(Self { hash, digest })
    }

    /// Whether this is the fingerprint of a certificate (DER).
    pub(crate) fn matches(&self, certificate: &[u8]) -> bool {
        match self.hash {
            Hash::Sha256 => Sha256::digest(certificate)[..] == self.digest[..],
            Hash::Sha384 => Sha384::digest(certificate)[..] == self.digest[..],
            Hash::Sha512 => Sha512::digest(certificate)[..] == self.digest[..],
        }
    }
}

/// What an offer asks for.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) kind: SessionKind,
    pub(crate) ufrag: String,
    pub(crate) fingerprint: Fingerprint,
    /// In the offer's order, which the answer keeps.
    pub(crate) sections: Vec<Section>,
}

impl Offer {
    /// Reads and judges an offer.
    pub(crate) fn read(text: &str, kind: SessionKind) -> Result<Self, Refused> {
        let malformed = |why: &str| Refused::MalformedOffer(why.to_owned());
        if text.len() > limits::OFFER_BYTES || text.lines().count() > limits::OFFER_LINES {
            return Err(malformed("it is larger than any real offer"));
        }
        // Some clients send bare line feeds; the grammar (RFC 8866) wants both characters.
        let text: String = text.lines().flat_map(|line| [line, "\r\n"]).collect();
        let session = SessionDescription::unmarshal(&mut Cursor::new(text.as_bytes()))
            .map_err(|error| Refused::MalformedOffer(error.to_string()))?;
        if session.media_descriptions.is_empty() {
            return Err(malformed("it has no m= section"));
        }
        let sections = session
            .media_descriptions
            .iter()
            .map(|media| Section::read(media).map_err(Refused::UnsupportedOffer))
            .collect::<Result<Vec<_>, _>>()?;
        let ufrag = shared(&session, "ice-ufrag").ok_or_else(|| malformed("no a=ice-ufrag"))?;
        let pwd = shared(&session, "ice-pwd").ok_or_else(|| malformed("no a=ice-pwd"))?;
        if !(4..=256).contains(&ufrag.len()) || !(22..=256).contains(&pwd.len()) {
            return Err(malformed(
                "a=ice-ufrag or a=ice-pwd has a length RFC 8839 forbids",
            ));
        }
        let offer = Self {
            kind,
            ufrag: ufrag.to_owned(),
            fingerprint: fingerprint(&session)?,
            sections,
        };
        offer.judge_transport(&session)?;
        offer.judge_sections()?;
        Ok(offer)
    }

    fn judge_transport(&self, session: &SessionDescription) -> Result<(), Refused> {
        let unsupported = |why: &str| Err(Refused::UnsupportedOffer(why.to_owned()));
        if !matches!(shared(session, "setup"), None | Some("actpass" | "active")) {
            return unsupported("a=setup must be actpass or active, this side only listens");
        }
        if self.sections.iter().any(|s| !s.rtcp_mux) {
            return unsupported("every section needs a=rtcp-mux");
        }
        if self
            .sections
            .iter()
            .any(|s| s.protocol != "UDP/TLS/RTP/SAVPF")
        {
            return unsupported("every section must be UDP/TLS/RTP/SAVPF (DTLS-SRTP)");
        }
        let bundle = session
            .attributes
            .iter()
            .filter(|a| a.key == "group")
            .filter_map(|a| a.value.as_deref())
            .find_map(|group| group.strip_prefix("BUNDLE"));
        let bundled: Vec<&str> = bundle.unwrap_or("").split_whitespace().collect();
        let all_bundled = self
            .sections
            .iter()
            .all(|s| bundled.contains(&s.mid.as_str()));
        if self.sections.len() > 1 && !all_bundled {
            return unsupported("all sections must be in one a=group:BUNDLE");
        }
        Ok(())
    }

    fn judge_sections(&self) -> Result<(), Refused> {
        let unsupported = |why: String| Err(Refused::UnsupportedOffer(why));
        for kind in [MediaKind::Audio, MediaKind::Video] {
            if self.sections.iter().filter(|s| s.kind == kind).count() > 1 {
                return unsupported("more than one audio or one video track".to_owned());
            }
        }
        let mut streams: Vec<&str> = self
            .sections
            .iter()
            .filter_map(|s| s.stream.as_deref())
            .collect();
        streams.dedup();
        if self.kind == SessionKind::Publisher && streams.len() > 1 {
            return unsupported("more than one stream: put audio and video into one".to_owned());
        }
        for section in &self.sections {
            let (fits, wanted) = match self.kind {
                SessionKind::Publisher => (section.sends, "sendonly"),
                SessionKind::Subscriber => (section.receives, "recvonly"),
            };
            if !fits {
                return unsupported(format!("every section of this endpoint must be a={wanted}"));
            }
            if section.codecs.is_empty() {
                return unsupported(match section.kind {
                    MediaKind::Audio => "audio must include opus/48000".to_owned(),
                    MediaKind::Video => "video must include VP8, VP9, H264 or AV1".to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// An attribute that bundled sections share: of the first section, else of the session.
fn shared<'a>(session: &'a SessionDescription, key: &'a str) -> Option<&'a str> {
    session
        .media_descriptions
        .first()
        .and_then(|media| first(media, key))
        .or_else(|| session.attribute(key).map(|value| value.trim()))
}

fn fingerprint(session: &SessionDescription) -> Result<Fingerprint, Refused> {
    let of_session = session
        .attributes
        .iter()
        .filter(|a| a.key == "fingerprint")
        .filter_map(|a| a.value.as_deref());
    let mut offered = session
        .media_descriptions
        .first()
        .into_iter()
        .flat_map(|media| values(media, "fingerprint"))
        .chain(of_session)
        .peekable();
    if offered.peek().is_none() {
        return Err(Refused::MalformedOffer("no a=fingerprint".to_owned()));
    }
    offered.find_map(Fingerprint::read).ok_or_else(|| {
        Refused::UnsupportedOffer("a=fingerprint must be sha-256, sha-384 or sha-512".to_owned())
    })
}

#[cfg(test)]
#[path = "offer_tests.rs"]
mod tests;
