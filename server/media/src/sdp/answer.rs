//! Writing answers: passive DTLS, ICE-lite, everything bundled, all candidates inside.

use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};

use super::offer::Offer;
use super::section::{ExtensionIds, MediaKind, OfferedCodec, Section};
use crate::api::SessionKind;
use crate::limits;

/// One generation of this side's ICE credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) ufrag: String,
    pub(crate) pwd: String,
}

/// This side of the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Local<'a> {
    pub(crate) credentials: &'a Credentials,
    /// SHA-256 of the certificate as hexadecimal pairs.
    pub(crate) fingerprint: &'a str,
    /// Most preferred first.
    pub(crate) candidates: &'a [SocketAddr],
    /// The session number of the `o=` line.
    pub(crate) number: u64,
}

/// What this side will send in a section of a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SendTrack {
    pub(crate) kind: MediaKind,
    pub(crate) source: u32,
    /// The source of retransmissions, if the client offered them.
    pub(crate) repair: Option<u32>,
}

/// The name under which all our sources belong together (RFC 7022 wants it per session; viewers of
/// a broadcast get one stream each, so one name does).
pub(crate) const CNAME: &str = "vetrina";

/// Writes the answer to an offer that was judged to be supported.
pub(crate) fn write_answer(offer: &Offer, local: Local<'_>, tracks: &[SendTrack]) -> String {
    let mut sdp = String::with_capacity(4_096);
    // Writing to a String cannot fail.
    let _ = write_session(&mut sdp, offer, local);
    for section in &offer.sections {
        let track = tracks.iter().find(|track| track.kind == section.kind);
        let _ = write_section(&mut sdp, offer.kind, section, local, track);
    }
    sdp
}

/// Writes the fragment that answers an ICE restart (RFC 9725, section 4.3.3).
pub(crate) fn write_fragment(offer: &Offer, local: Local<'_>) -> String {
    let mut text = String::with_capacity(512);
    let _ = write!(text, "a=ice-lite\r\na=ice-options:trickle\r\n");
    let _ = write_bundle(&mut text, offer);
    if let Some(section) = offer.sections.first() {
        let _ = write!(text, "m={} 9 UDP/TLS/RTP/SAVPF 0\r\n", section.kind.name());
        let _ = write!(text, "a=mid:{}\r\n", section.mid);
        let _ = write_ice(&mut text, local);
    }
    text
}

fn write_session(sdp: &mut String, offer: &Offer, local: Local<'_>) -> fmt::Result {
    write!(
        sdp,
        "v=0\r\no=- {} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n",
        local.number
    )?;
    sdp.push_str("a=ice-lite\r\na=ice-options:trickle\r\n");
    write_bundle(sdp, offer)?;
    sdp.push_str("a=msid-semantic: WMS *\r\n");
    Ok(())
}

fn write_bundle(sdp: &mut String, offer: &Offer) -> fmt::Result {
    let mids: Vec<&str> = offer
        .sections
        .iter()
        .map(|s| s.mid.as_str())
        .filter(|mid| !mid.is_empty())
        .collect();
    if !mids.is_empty() {
        write!(sdp, "a=group:BUNDLE {}\r\n", mids.join(" "))?;
    }
    Ok(())
}

fn write_ice(sdp: &mut String, local: Local<'_>) -> fmt::Result {
    write!(sdp, "a=ice-ufrag:{}\r\n", local.credentials.ufrag)?;
    write!(sdp, "a=ice-pwd:{}\r\n", local.credentials.pwd)?;
    for (index, address) in local.candidates.iter().enumerate() {
        // RFC 8445, 5.1.2.1: host candidates, component 1, the first the most preferred.
        let preference = 65_535_u32.saturating_sub(u32::try_from(index).unwrap_or(u32::MAX));
        let priority = (126 << 24) | (preference << 8) | 255;
        write!(
            sdp,
            "a=candidate:{} 1 udp {priority} {} {} typ host\r\n",
            index + 1,
            plain(address.ip()),
            address.port()
        )?;
    }
    sdp.push_str("a=end-of-candidates\r\n");
    Ok(())
}

fn plain(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

fn write_section(
    sdp: &mut String,
    kind: SessionKind,
    section: &Section,
    local: Local<'_>,
    track: Option<&SendTrack>,
) -> fmt::Result {
    let publisher = kind == SessionKind::Publisher;
    write!(sdp, "m={} 9 UDP/TLS/RTP/SAVPF", section.kind.name())?;
    for codec in &section.codecs {
        write!(sdp, " {}", codec.payload_type)?;
        if let Some(rtx) = codec.rtx {
            write!(sdp, " {rtx}")?;
        }
    }
    sdp.push_str("\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n");
    write_ice(sdp, local)?;
    write!(
        sdp,
        "a=fingerprint:sha-256 {}\r\na=setup:passive\r\n",
        local.fingerprint
    )?;
    if !section.mid.is_empty() {
        write!(sdp, "a=mid:{}\r\n", section.mid)?;
    }
    if publisher {
        for (id, uri) in section
            .extensions
            .in_order()
            .into_iter()
            .zip(ExtensionIds::URIS)
        {
            if let Some(id) = id {
                write!(sdp, "a=extmap:{id} {uri}\r\n")?;
            }
        }
    }
    sdp.push_str(if publisher {
        "a=recvonly\r\n"
    } else {
        "a=sendonly\r\n"
    });
    sdp.push_str("a=rtcp-mux\r\na=rtcp-mux-only\r\n");
    if section.rtcp_reduced_size {
        sdp.push_str("a=rtcp-rsize\r\n");
    }
    if publisher && section.round_trip_reports {
        sdp.push_str("a=rtcp-xr:rcvr-rtt=all\r\n");
    }
    for codec in &section.codecs {
        write_codec(
            sdp,
            codec,
            publisher,
            publisher && section.extensions.transport_cc.is_some(),
        )?;
    }
    if publisher {
        write_rids(sdp, section)
    } else {
        track.map_or(Ok(()), |track| write_track(sdp, track))
    }
}

fn write_codec(
    sdp: &mut String,
    codec: &OfferedCodec,
    publisher: bool,
    transport_cc: bool,
) -> fmt::Result {
    let pt = codec.payload_type;
    write!(sdp, "a=rtpmap:{pt} {}\r\n", codec.rtpmap)?;
    let feedback = [
        (codec.transport_cc && transport_cc, "transport-cc"),
        (codec.fir, "ccm fir"),
        (codec.nack, "nack"),
        (codec.pli, "nack pli"),
    ];
    for (_, name) in feedback.iter().filter(|(offered, _)| *offered) {
        write!(sdp, "a=rtcp-fb:{pt} {name}\r\n")?;
    }
    // Chromium otherwise begins with 300 kbit/s and shows a thumbnail for its first ten seconds.
    let start = (publisher && codec.codec.is_video())
        .then(|| format!("x-google-start-bitrate={}", limits::START_KBPS));
    let parameters: Vec<&str> = [Some(codec.fmtp.as_str()), start.as_deref()]
        .into_iter()
        .flatten()
        .filter(|p| !p.is_empty())
        .collect();
    if !parameters.is_empty() {
        write!(sdp, "a=fmtp:{pt} {}\r\n", parameters.join(";"))?;
    }
    if let Some(rtx) = codec.rtx {
        write!(sdp, "a=rtpmap:{rtx} rtx/90000\r\na=fmtp:{rtx} apt={pt}\r\n")?;
    }
    Ok(())
}

fn write_rids(sdp: &mut String, section: &Section) -> fmt::Result {
    if section.rids.is_empty() {
        return Ok(());
    }
    for rid in &section.rids {
        write!(sdp, "a=rid:{rid} recv\r\n")?;
    }
    write!(sdp, "a=simulcast:recv {}\r\n", section.rids.join(";"))
}

fn write_track(sdp: &mut String, track: &SendTrack) -> fmt::Result {
    let name = track.kind.name();
    write!(sdp, "a=msid:{CNAME} {name}\r\n")?;
    if let Some(repair) = track.repair {
        write!(sdp, "a=ssrc-group:FID {} {repair}\r\n", track.source)?;
    }
    for source in [Some(track.source), track.repair].into_iter().flatten() {
        write!(
            sdp,
            "a=ssrc:{source} cname:{CNAME}\r\na=ssrc:{source} msid:{CNAME} {name}\r\n"
        )?;
    }
    Ok(())
}

impl MediaKind {
    fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }
}
