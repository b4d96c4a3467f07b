//! One `m=` section of an offer, reduced to what the engine uses. Judges nothing across sections.

use rtc_sdp::MediaDescription;

use super::codec::{Codec, parameter};
use crate::limits;

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum MediaKind {
    Audio,
    Video,
}

/// A codec the client offered and the engine passes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OfferedCodec {
    pub(crate) payload_type: u8,
    pub(crate) codec: Codec,
    /// The `a=rtpmap` value, repeated in the answer as it came.
    pub(crate) rtpmap: String,
    pub(crate) fmtp: String,
    /// The payload type of its retransmissions (RFC 4588).
    pub(crate) rtx: Option<u8>,
    pub(crate) nack: bool,
    pub(crate) pli: bool,
    pub(crate) fir: bool,
    pub(crate) transport_cc: bool,
}

/// Identifiers of the header extensions that the engine reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ExtensionIds {
    pub(crate) mid: Option<u8>,
    pub(crate) rid: Option<u8>,
    pub(crate) repaired_rid: Option<u8>,
    pub(crate) transport_cc: Option<u8>,
}

impl ExtensionIds {
    pub(crate) const URIS: [&'static str; 4] = [
        "urn:ietf:params:rtp-hdrext:sdes:mid",
        "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    ];

    pub(crate) fn in_order(&self) -> [Option<u8>; 4] {
        [self.mid, self.rid, self.repaired_rid, self.transport_cc]
    }

    fn set(&mut self, uri: &str, id: u8) {
        match Self::URIS.iter().position(|known| *known == uri) {
            Some(0) => self.mid = Some(id),
            Some(1) => self.rid = Some(id),
            Some(2) => self.repaired_rid = Some(id),
            Some(3) => self.transport_cc = Some(id),
            _ => {}
        }
    }
}

/// A section of the offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) kind: MediaKind,
    pub(crate) mid: String,
    pub(crate) protocol: String,
    pub(crate) sends: bool,
    pub(crate) receives: bool,
    pub(crate) rtcp_mux: bool,
    pub(crate) rtcp_reduced_size: bool,
    pub(crate) round_trip_reports: bool,
    /// In the client's order of preference.
    pub(crate) codecs: Vec<OfferedCodec>,
    pub(crate) extensions: ExtensionIds,
    /// Announced sources, retransmission sources excluded.
    pub(crate) sources: Vec<u32>,
    /// Pairs of source and its retransmission source (`a=ssrc-group:FID`).
    pub(crate) repairs: Vec<(u32, u32)>,
    /// Simulcast restriction identifiers, most preferred first (RFC 8853).
    pub(crate) rids: Vec<String>,
    /// The MediaStream named by `a=msid`, unless it is "-" (none).
    pub(crate) stream: Option<String>,
}

impl Section {
    /// Reads a section. The error is a sentence for the client's developer.
    pub(crate) fn read(media: &MediaDescription) -> Result<Self, String> {
        let kind = match media.media_name.media.as_str() {
            "audio" => MediaKind::Audio,
            "video" => MediaKind::Video,
            other => {
                return Err(format!(
                    "m={other} is not passed on: offer audio and video only"
                ));
            }
        };
        let mid = first(media, "mid").unwrap_or_default().to_owned();
        let has = |key| values(media, key).next().is_some() || media.attribute(key).is_some();
        let (sources, repairs) = read_sources(media);
        let direction = ["sendonly", "recvonly", "inactive"]
            .into_iter()
            .find(|key| has(key));
        Ok(Self {
            kind,
            mid,
            protocol: media.media_name.protos.join("/"),
            sends: matches!(direction, None | Some("sendonly")),
            receives: matches!(direction, None | Some("recvonly")),
            rtcp_mux: has("rtcp-mux"),
            rtcp_reduced_size: has("rtcp-rsize"),
            round_trip_reports: values(media, "rtcp-xr").any(|v| v.contains("rcvr-rtt")),
            codecs: read_codecs(media, kind),
            extensions: read_extensions(media),
            sources,
            repairs,
            rids: read_rids(media),
            stream: first(media, "msid")
                .and_then(|msid| msid.split_whitespace().next())
                .filter(|stream| *stream != "-")
                .map(str::to_owned),
        })
    }

    /// The negotiated codec (and whether it is its retransmission) behind a payload type.
    pub(crate) fn codec_of(&self, payload_type: u8) -> Option<(&OfferedCodec, bool)> {
        self.codecs.iter().find_map(|codec| match payload_type {
            pt if pt == codec.payload_type => Some((codec, false)),
            pt if Some(pt) == codec.rtx => Some((codec, true)),
            _ => None,
        })
    }
}

/// All values of an attribute, in order.
pub(crate) fn values<'a>(
    media: &'a MediaDescription,
    key: &'a str,
) -> impl Iterator<Item = &'a str> {
    media
        .attributes
        .iter()
        .filter(move |a| a.key == key)
        .filter_map(|a| a.value.as_deref())
}

pub(crate) fn first<'a>(media: &'a MediaDescription, key: &'a str) -> Option<&'a str> {
    values(media, key).next().map(str::trim)
}

/// `<payload type> <rest>` of rtpmap, fmtp and rtcp-fb.
fn keyed(value: &str) -> Option<(u8, &str)> {
    let (payload_type, rest) = value.trim().split_once(' ')?;
    Some((
        payload_type.parse().ok().filter(|pt| *pt < 128)?,
        rest.trim(),
    ))
}

fn read_codecs(media: &MediaDescription, kind: MediaKind) -> Vec<OfferedCodec> {
    let fmtp = |pt| {
        values(media, "fmtp")
            .filter_map(keyed)
            .find(|(of, _)| *of == pt)
            .map_or("", |(_, v)| v)
    };
    let rtpmap = |pt| {
        values(media, "rtpmap")
            .filter_map(keyed)
            .find(|(of, _)| *of == pt)
    };
    let repeats = |pt: u8, rtx: u8| {
        let name = rtpmap(rtx).map_or("", |(_, map)| map).to_ascii_lowercase();
        name.starts_with("rtx/") && parameter(fmtp(rtx), "apt") == Some(&pt.to_string())
    };
    let formats: Vec<u8> = media
        .media_name
        .formats
        .iter()
        .filter_map(|format| format.parse().ok())
        .collect();
    let mut codecs = Vec::new();
    for &payload_type in &formats {
        let Some((_, map)) = rtpmap(payload_type) else {
            continue;
        };
        let mut parts = map.split('/');
        let (name, rate) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let Some(codec) = Codec::read(name, rate, fmtp(payload_type)) else {
            continue;
        };
        if codec.is_video() != (kind == MediaKind::Video) {
            continue;
        }
        let feedback = |wanted: &str| {
            values(media, "rtcp-fb").any(|value| {
                value.split_once(' ').is_some_and(|(of, what)| {
                    (of == "*" || of.parse() == Ok(payload_type)) && what.trim() == wanted
                })
            })
        };
        codecs.push(OfferedCodec {
            payload_type,
            codec,
            rtpmap: map.to_owned(),
            fmtp: fmtp(payload_type).to_owned(),
            rtx: formats
                .iter()
                .copied()
                .find(|rtx| repeats(payload_type, *rtx)),
            nack: feedback("nack"),
            pli: feedback("nack pli"),
            fir: feedback("ccm fir"),
            transport_cc: feedback("transport-cc"),
        });
    }
    codecs
}

fn read_extensions(media: &MediaDescription) -> ExtensionIds {
    let mut extensions = ExtensionIds::default();
    for value in values(media, "extmap") {
        let mut words = value.split_whitespace();
        let (Some(id), Some(uri)) = (words.next(), words.next()) else {
            continue;
        };
        // "4/sendonly" is a direction, which does not matter for what we only read.
        let id = id.split('/').next().and_then(|id| id.parse().ok());
        if let Some(id @ 1..=14) = id {
            extensions.set(uri, id);
        }
    }
    extensions
}

fn read_sources(media: &MediaDescription) -> (Vec<u32>, Vec<(u32, u32)>) {
    let mut repairs = Vec::new();
    for group in values(media, "ssrc-group").filter_map(|value| value.strip_prefix("FID ")) {
        let mut ids = group
            .split_whitespace()
            .filter_map(|id| id.parse::<u32>().ok());
        if let (Some(source), Some(repair)) = (ids.next(), ids.next()) {
            repairs.push((source, repair));
        }
    }
    repairs.truncate(limits::SOURCES_PER_PUBLISHER);
    let mut sources = Vec::new();
    for value in values(media, "ssrc") {
        let Some(Ok(source)) = value.split_whitespace().next().map(str::parse::<u32>) else {
            continue;
        };
        let repair = repairs.iter().any(|(_, repair)| *repair == source);
        if !repair && !sources.contains(&source) && sources.len() < limits::SOURCES_PER_PUBLISHER {
            sources.push(source);
        }
    }
    (sources, repairs)
}

/// RFC 8853: `a=simulcast:send h;~m;l,l2`; alternatives after a comma are not taken.
fn read_rids(media: &MediaDescription) -> Vec<String> {
    let announced: Vec<&str> = values(media, "rid")
        .filter_map(|value| {
            let mut words = value.split_whitespace();
            let (id, direction) = (words.next()?, words.next()?);
            (direction == "send").then_some(id)
        })
        .collect();
    let Some(list) = first(media, "simulcast").and_then(|v| v.strip_prefix("send ")) else {
        return Vec::new();
    };
    list.split_whitespace()
        .next()
        .unwrap_or("")
        .split(';')
        .filter_map(|layer| layer.split(',').next())
        .map(|layer| layer.trim_start_matches('~'))
        .filter(|layer| announced.contains(layer))
        .take(limits::LAYERS)
        .map(str::to_owned)
        .collect()
}
