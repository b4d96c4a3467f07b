//! Offers of real clients, as they were sent; and what is refused.

use super::*;
use crate::limits;
use crate::sdp::{Codec, Credentials, Local, SendTrack, write_answer};

const CHROMIUM_PUBLISH: &str = include_str!("fixtures/chromium-publish.sdp");
const CHROMIUM_SIMULCAST: &str = include_str!("fixtures/chromium-simulcast.sdp");
const CHROMIUM_VIEW: &str = include_str!("fixtures/chromium-view.sdp");
const AIORTC_PUBLISH: &str = include_str!("fixtures/aiortc-publish.sdp");
const AIORTC_VIEW: &str = include_str!("fixtures/aiortc-view.sdp");
const OBS_PUBLISH: &str = include_str!("fixtures/libdatachannel-publish.sdp");
const GSTREAMER_PUBLISH: &str = include_str!("fixtures/gstreamer-publish.sdp");

fn publisher(text: &str) -> Offer {
    Offer::read(text, SessionKind::Publisher).expect("supported")
}

fn answer(offer: &Offer, tracks: &[SendTrack]) -> String {
    let credentials = Credentials {
        ufrag: "ours".into(),
        pwd: "ours0123456789abcdef0123".into(),
    };
    let candidates = [
        "192.0.2.1:4000".parse().expect("valid"),
        "[2001:db8::1]:4000".parse().expect("valid"),
    ];
    let fingerprint = "AA:BB";
    let local = Local {
        credentials: &credentials,
        fingerprint,
        candidates: &candidates,
        number: 5,
    };
    write_answer(offer, local, tracks)
}

fn unsupported(text: &str, kind: SessionKind) -> String {
    match Offer::read(text, kind) {
        Err(Refused::UnsupportedOffer(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn chromium_publishes_with_every_codec_and_extension() {
    let offer = publisher(CHROMIUM_PUBLISH);
    let [audio, video] = &offer.sections[..] else {
        panic!("two sections")
    };
    assert_eq!((audio.mid.as_str(), video.mid.as_str()), ("0", "1"));
    assert_eq!(
        audio.codecs.len(),
        1,
        "red, G722, PCM and so on are not passed on"
    );
    assert_eq!(audio.codecs[0].codec, Codec::Opus);
    let names: Vec<Codec> = video.codecs.iter().map(|codec| codec.codec).collect();
    assert_eq!(names[0], Codec::Vp8, "the client's preference is kept");
    assert!(names.contains(&Codec::Av1 { profile: 0 }));
    assert!(names.contains(&Codec::Vp9 { profile: 2 }));
    assert!(names.contains(&Codec::H264 {
        packetization_mode: 1,
        profile: (0x42, 0xe0)
    }));
    assert_eq!(video.codecs[0].rtx, Some(97));
    assert!(
        video
            .codecs
            .iter()
            .all(|codec| codec.nack && codec.pli && codec.transport_cc)
    );
    assert_eq!(
        video.extensions.in_order(),
        [Some(4), Some(10), Some(11), Some(3)]
    );
    assert_eq!(video.repairs, [(1_930_394_041, 3_866_230_152)]);
    assert_eq!(video.sources, [1_930_394_041]);
    assert_eq!(audio.stream, video.stream);
}

#[test]
fn the_answer_to_chromium_keeps_order_mids_and_bundle() {
    let offer = publisher(CHROMIUM_PUBLISH);
    let sdp = answer(&offer, &[]);
    let has = |line: &str| sdp.lines().filter(|have| *have == line).count();
    assert_eq!(has("a=group:BUNDLE 0 1"), 1);
    assert_eq!(has("a=ice-lite"), 1);
    assert_eq!(has("a=ice-options:trickle"), 1);
    for each in [
        "a=recvonly",
        "a=rtcp-mux",
        "a=rtcp-mux-only",
        "a=setup:passive",
        "a=ice-ufrag:ours",
    ] {
        assert_eq!(has(each), 2, "{each}");
    }
    assert_eq!(
        has("a=candidate:1 1 udp 2130706431 192.0.2.1 4000 typ host"),
        2
    );
    assert_eq!(
        has("a=candidate:2 1 udp 2130706175 2001:db8::1 4000 typ host"),
        2
    );
    assert_eq!(has("a=rtcp-fb:96 transport-cc"), 1);
    assert_eq!(has("a=rtcp-fb:96 nack pli"), 1);
    assert_eq!(has("a=fmtp:97 apt=96"), 1);
    assert!(!sdp.contains("red/") && !sdp.contains("goog-remb") && !sdp.contains("a=ssrc"));
    let media: Vec<&str> = sdp.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(media[0], "m=audio 9 UDP/TLS/RTP/SAVPF 111");
    assert!(media[1].starts_with("m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 "));
    let again = SessionDescription::unmarshal(&mut Cursor::new(sdp.as_bytes()));
    assert_eq!(
        again.expect("the answer is SDP").media_descriptions.len(),
        2
    );
}

#[test]
fn simulcast_is_answered_layer_by_layer() {
    let offer = publisher(CHROMIUM_SIMULCAST);
    assert_eq!(offer.sections[0].rids, ["h", "m", "l"]);
    let sdp = answer(&offer, &[]);
    assert!(sdp.contains("a=rid:h recv\r\na=rid:m recv\r\na=rid:l recv\r\n"));
    assert!(sdp.contains("a=simulcast:recv h;m;l\r\n"));
    let many = CHROMIUM_SIMULCAST.replace("h;m;l", "h,x;~m;l;h");
    assert_eq!(
        publisher(&many).sections[0].rids,
        ["h", "m", "l"],
        "{} at most",
        limits::LAYERS
    );
}

#[test]
fn a_viewer_is_told_the_sources_and_gets_every_codec() {
    let offer = Offer::read(CHROMIUM_VIEW, SessionKind::Subscriber).expect("supported");
    let track = |kind, source, repair| SendTrack {
        kind,
        source,
        repair,
    };
    let tracks = [
        track(MediaKind::Audio, 1, None),
        track(MediaKind::Video, 2, Some(3)),
    ];
    let sdp = answer(&offer, &tracks);
    assert_eq!(sdp.matches("a=sendonly\r\n").count(), 2);
    assert!(sdp.contains("a=ssrc-group:FID 2 3\r\n"));
    assert!(sdp.contains("a=ssrc:1 cname:vetrina\r\n"));
    assert!(!sdp.contains("extmap") && !sdp.contains("transport-cc"));
    for codec in ["VP8/", "VP9/", "H264/", "AV1/", "opus/"] {
        assert!(sdp.contains(codec), "{codec}");
    }
}

#[test]
fn other_clients_are_understood_too() {
    let aiortc = publisher(AIORTC_PUBLISH);
    assert_eq!(aiortc.sections[1].codecs[0].rtx, Some(98));
    Offer::read(AIORTC_VIEW, SessionKind::Subscriber).expect("supported");
    let obs = publisher(OBS_PUBLISH);
    assert_eq!(
        obs.sections[1].codecs[0].codec.suits(Codec::H264 {
            packetization_mode: 1,
            profile: (0x42, 0xe0),
        }),
        3
    );
    assert!(obs.sections[1].codecs[0].nack && obs.sections[1].codecs[0].rtx.is_none());
    let gstreamer = publisher(GSTREAMER_PUBLISH);
    assert_eq!(gstreamer.sections.len(), 2);
    assert_eq!(gstreamer.sections[0].extensions.transport_cc, Some(1));
}

#[test]
fn what_whip_forbids_is_refused_with_a_reason() {
    let base = CHROMIUM_PUBLISH;
    let kind = SessionKind::Publisher;
    let video = base.find("m=video").expect("has video");
    let twice = format!("{base}{}", base[video..].replace("a=mid:1", "a=mid:2"));
    let twice = twice.replace("BUNDLE 0 1", "BUNDLE 0 1 2");
    assert!(unsupported(&twice, kind).contains("more than one"));
    let stream = "9d263cf1-0e9d-4efe-9c3d-dff603fadccb efade053";
    assert!(unsupported(&base.replace(stream, "other efade053"), kind).contains("stream"));
    assert!(unsupported(&base.replace("actpass", "passive"), kind).contains("setup"));
    assert!(unsupported(&base.replace("a=rtcp-mux\r\n", ""), kind).contains("rtcp-mux"));
    assert!(unsupported(&base.replace("BUNDLE 0 1", "BUNDLE 0"), kind).contains("BUNDLE"));
    assert!(unsupported(&base.replace("SAVPF", "AVP"), kind).contains("SAVPF"));
    assert!(unsupported(&base.replace("a=sendonly", "a=inactive"), kind).contains("sendonly"));
    assert!(unsupported(&base.replace("opus/48000", "speex/48000"), kind).contains("opus"));
    assert!(unsupported(&base.replace("sha-256", "sha-1"), kind).contains("sha-256"));
    let data = format!("{base}m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n");
    assert!(unsupported(&data, kind).contains("application"));
    assert!(unsupported(base, SessionKind::Subscriber).contains("recvonly"));
    publisher(&base.replace("actpass", "active"));
    publisher(&base.replace("a=sendonly", "a=sendrecv"));
}

#[test]
fn what_is_not_an_offer_is_malformed() {
    let without = |prefix: &str| {
        let lines = CHROMIUM_PUBLISH
            .lines()
            .filter(|line| !line.starts_with(prefix));
        lines.flat_map(|line| [line, "\r\n"]).collect::<String>()
    };
    let huge = format!("{CHROMIUM_PUBLISH}{}", "a=x\r\n".repeat(3_000));
    let texts = [
        String::new(),
        "hello".into(),
        "v=0\r\n".into(),
        without("a=ice-ufrag"),
        without("a=ice-pwd"),
        without("a=fingerprint"),
        CHROMIUM_PUBLISH.replace("a=ice-ufrag:LQx0", "a=ice-ufrag:x"),
        huge,
    ];
    for text in texts {
        let refused = Offer::read(&text, SessionKind::Publisher);
        assert!(
            matches!(refused, Err(Refused::MalformedOffer(_))),
            "{text:.40}: {refused:?}"
        );
    }
}

#[test]
fn bare_line_feeds_are_forgiven() {
    publisher(&CHROMIUM_PUBLISH.replace("\r\n", "\n"));
}

#[test]
fn a_fingerprint_is_compared_by_its_own_hash() {
    let of = |name: &str, digest: &[u8]| {
        let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Fingerprint::read(&format!("{name} {}", pairs.join(":")))
    };
    let certificate = b"certificate";
    let short = of("SHA-256", &Sha256::digest(certificate)).expect("valid");
    let long = of("sha-512", &Sha512::digest(certificate)).expect("valid");
    assert!(short.matches(certificate) && long.matches(certificate));
    assert!(!short.matches(b"another") && !long.matches(b"another"));
    assert_eq!(of("sha-256", &[1; 31]), None);
    assert_eq!(Fingerprint::read("sha-256 +1:02"), None);
}

proptest::proptest! {
    #[test]
    fn no_offer_makes_the_reader_fail(cut in 0_usize..5_400, at in 0_usize..5_400, with: u8) {
        let mut bytes = CHROMIUM_PUBLISH.as_bytes()[..cut.min(CHROMIUM_PUBLISH.len())].to_vec();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = with;
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(offer) = Offer::read(&text, SessionKind::Publisher) {
            answer(&offer, &[]);
        }
    }
}
