//! A publisher's packets, as browsers send them: layers, retransmissions, loss in any pattern.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rtc_rtp::Packet;
use rtc_rtp::header::Header;
use rtc_shared::marshal::Marshal;

use super::*;
use crate::api::SessionKind;
use crate::forward::clock::ntp;
use crate::forward::rtcp;
use crate::sdp::Offer;

const PLAIN: &str = include_str!("../sdp/fixtures/chromium-publish.sdp");
const SIMULCAST: &str = include_str!("../sdp/fixtures/chromium-simulcast.sdp");
/// The sources that the plain offer announces for video and its retransmissions.
const VIDEO: u32 = 1_930_394_041;
const REPAIR: u32 = 3_866_230_152;
/// Extension numbers of the simulcast offer.
const RID: u8 = 10;
const REPAIRED: u8 = 11;

struct Bench {
    ingest: Ingest,
    timelines: Timelines,
    begin: Now,
}

impl Bench {
    fn new(offer: &str) -> Self {
        let offer = Offer::read(offer, SessionKind::Publisher).expect("supported");
        let begin = Now {
            instant: Instant::now(),
            unix: Duration::from_secs(1_700_000_000),
        };
        let ingest = Ingest::new(offer.sections, begin.instant);
        Self {
            ingest,
            timelines: Timelines::new(),
            begin,
        }
    }

    fn at(&self, milliseconds: u64) -> Now {
        let passed = Duration::from_millis(milliseconds);
        Now {
            instant: self.begin.instant + passed,
            unix: self.begin.unix + passed,
        }
    }

    fn receive(&mut self, packet: &Packet, ms: u64) -> Option<(SourceId, Arc<MediaPacket>)> {
        let now = self.at(ms);
        let bytes = packet.marshal().expect("fits").freeze();
        self.ingest.receive(&bytes, &mut self.timelines, now)
    }

    /// What the publisher is asked for at a moment: sequence numbers, and sources of keyframes.
    fn asked(&mut self, ms: u64) -> (Vec<u16>, Vec<u32>) {
        let now = self.at(ms);
        let (mut numbers, mut keyframes) = (Vec::new(), Vec::new());
        if let Some(compound) = self.ingest.feedback(now) {
            rtcp::read(compound.as_bytes(), |statement| match statement {
                Statement::Nack { pairs, .. } => numbers.extend(rtcp::nacked(pairs)),
                Statement::PictureLoss { source } => keyframes.push(source),
                _ => {}
            });
        }
        (numbers, keyframes)
    }

    fn report(&mut self, source: u32, ntp: u64, rtp: u32, ms: u64) {
        let now = self.at(ms);
        self.ingest
            .hear(Statement::SenderReport { source, ntp, rtp }, now);
    }
}

fn rtp(payload_type: u8, ssrc: u32, sequence_number: u16, timestamp: u32, body: &[u8]) -> Packet {
    let header = Header {
        version: 2,
        marker: true,
        payload_type,
        sequence_number,
        timestamp,
        ssrc,
        ..Header::default()
    };
    Packet {
        header,
        payload: Bytes::copy_from_slice(body),
    }
}

fn with_extension(mut packet: Packet, id: u8, value: &'static str) -> Packet {
    packet
        .header
        .set_extension(id, Bytes::from_static(value.as_bytes()))
        .expect("fits");
    packet
}

fn body(sequence: u16) -> Vec<u8> {
    [&[0x10, 0x01][..], &sequence.to_be_bytes()].concat()
}

fn repair(number: u16, of: u16, timestamp: u32) -> Packet {
    let payload = [&of.to_be_bytes()[..], &body(of)].concat();
    rtp(97, REPAIR, number, timestamp, &payload)
}

#[test]
fn a_retransmission_takes_the_place_of_what_was_lost() {
    let mut bench = Bench::new(PLAIN);
    for sequence in [65_534, 65_535, 1] {
        assert!(
            bench
                .receive(&rtp(96, VIDEO, sequence, 0, &body(sequence)), 0)
                .is_some()
        );
    }
    assert_eq!(bench.asked(20).0, [0]);
    let (_, packet) = bench.receive(&repair(9, 0, 0), 60).expect("put back");
    assert_eq!(packet.sequence, (2 << 16));
    assert_eq!(packet.payload[..], body(0)[..]);
    assert!(
        bench.receive(&repair(10, 0, 0), 61).is_none(),
        "but only once"
    );
    assert!(
        bench.receive(&repair(11, 65_535, 0), 62).is_none(),
        "and not what was there"
    );
    assert!(bench.asked(500).0.is_empty());
    assert_eq!(bench.ingest.lost(), 0);
}

#[test]
fn padding_that_probes_the_bandwidth_is_no_media() {
    let mut bench = Bench::new(PLAIN);
    bench
        .receive(&rtp(96, VIDEO, 5, 0, &body(5)), 0)
        .expect("media");
    assert!(bench.receive(&rtp(97, REPAIR, 6, 0, &[]), 1).is_none());
    assert_eq!(bench.ingest.received().packets, 2);
}

#[test]
fn unknown_payload_types_and_surplus_sources_are_ignored() {
    let mut bench = Bench::new(PLAIN);
    assert!(
        bench.receive(&rtp(0, 1, 1, 0, &body(1)), 0).is_none(),
        "PCMU is not passed on"
    );
    for source in 1..200 {
        bench.receive(&rtp(96, source, 1, 0, &body(1)), 0);
    }
    assert_eq!(bench.ingest.sources().len(), limits::LAYERS);
}

#[test]
fn layers_are_told_apart_and_aligned_before_they_are_forwarded() {
    let mut bench = Bench::new(SIMULCAST);
    let low = with_extension(rtp(96, 30, 1, 1_000, &body(1)), RID, "l");
    let high = |n: u16, ts| with_extension(rtp(96, 10, n, ts, &body(n)), RID, "h");
    let (low_id, first) = bench.receive(&low, 0).expect("the first layer leads");
    assert!(
        bench.receive(&high(1, 500_000), 0).is_none(),
        "no place on the timeline yet"
    );
    assert_eq!(bench.ingest.layers(bench.at(1).instant).len(), 2);
    let moment = ntp(bench.begin.unix);
    bench.report(30, moment, 1_000, 5);
    bench.report(10, moment, 500_000, 5);
    let (high_id, aligned) = bench.receive(&high(2, 503_000), 33).expect("aligned");
    assert_ne!(low_id, high_id);
    assert_eq!(
        aligned.ticks,
        first.ticks + 3_000,
        "one time for a frame in all layers"
    );
    let lost = [&7_u16.to_be_bytes()[..], &body(7)].concat();
    let repaired = with_extension(rtp(97, 11, 1, 506_000, &lost), REPAIRED, "h");
    assert_eq!(bench.receive(&repaired, 40).expect("repaired").0, high_id);
}

#[test]
fn a_layer_without_reports_is_placed_by_its_arrival_in_the_end() {
    let mut bench = Bench::new(SIMULCAST);
    let low = |n: u16, ts| with_extension(rtp(96, 30, n, ts, &body(n)), RID, "l");
    let high = |n: u16, ts| with_extension(rtp(96, 10, n, ts, &body(n)), RID, "h");
    let (_, first) = bench.receive(&low(1, 0), 0).expect("leads");
    assert!(bench.receive(&high(1, 900_000), 0).is_none());
    let wait = limits::ALIGN_WAIT.as_millis() as u64;
    bench
        .receive(&low(2, 90 * wait as u32), wait)
        .expect("goes on");
    let (_, late) = bench
        .receive(&high(2, 900_000 + 90 * wait as u32), wait)
        .expect("placed");
    assert_eq!(late.ticks, first.ticks + 90 * wait);
}

#[test]
fn keyframes_are_asked_of_the_layer_that_needs_one() {
    let mut bench = Bench::new(PLAIN);
    let (id, packet) = bench
        .receive(&rtp(96, VIDEO, 1, 0, &body(1)), 0)
        .expect("media");
    assert!(!packet.keyframe);
    bench.ingest.source_mut(id).expect("known").pli.want();
    assert_eq!(bench.asked(1).1, [VIDEO]);
    bench.ingest.source_mut(id).expect("known").pli.want();
    let (_, packet) = bench
        .receive(&rtp(96, VIDEO, 2, 0, &[0x10, 0x00, 1]), 2)
        .expect("media");
    assert!(packet.keyframe);
    assert!(bench.asked(5_000).1.is_empty(), "it came by itself");
}

#[test]
fn the_round_trip_is_measured_by_reference_times() {
    let mut bench = Bench::new(PLAIN);
    let last = (ntp(bench.begin.unix) >> 16) as u32;
    let now = bench.at(80);
    bench.ingest.hear(
        Statement::ReferenceAnswer {
            last,
            delay: 65_536 / 50,
        },
        now,
    );
    let trip = bench.ingest.round_trip().expect("measured");
    assert!(
        trip.abs_diff(Duration::from_millis(60)) < Duration::from_millis(1),
        "{trip:?}"
    );
}

proptest! {
    /// Whatever is lost, repeated or late, every packet comes out at most once, unaltered and at
    /// its own time.
    #[test]
    fn any_pattern_of_loss_is_survived(
        first: u16,
        fates in prop::collection::vec(0_u8..10, 20..300),
    ) {
        let mut bench = Bench::new(PLAIN);
        let mut seen: BTreeMap<u64, (u64, Vec<u8>)> = BTreeMap::new();
        let (mut repairs, mut arrived) = (0_u16, 0);
        for (step, fate) in fates.iter().enumerate() {
            let ms = step as u64 * 33;
            let number = first.wrapping_add(step as u16);
            let timestamp = step as u32 * 2_970;
            let mut packets = Vec::new();
            match fate {
                // Lost for good, except the first, which sets the scene.
                0 if step > 0 => {}
                1 => {
                    let packet = rtp(96, VIDEO, number, timestamp, &body(number));
                    packets.extend([packet.clone(), packet]);
                }
                2 if step > 0 => {
                    repairs = repairs.wrapping_add(1);
                    packets.push(repair(repairs, number, timestamp));
                }
                _ => packets.push(rtp(96, VIDEO, number, timestamp, &body(number))),
            }
            arrived += usize::from(!packets.is_empty());
            for packet in &packets {
                if let Some((_, out)) = bench.receive(packet, ms) {
                    let known = seen.insert(out.sequence, (out.ticks, out.payload.to_vec()));
                    prop_assert!(known.is_none(), "{} came out twice", out.sequence);
                }
            }
            bench.asked(ms + 15);
        }
        prop_assert_eq!(seen.len(), arrived);
        let base = seen.values().next().expect("the first came").0;
        for (sequence, (ticks, payload)) in &seen {
            let step = sequence - (65_536 + u64::from(first));
            prop_assert_eq!(*ticks, base + step * 2_970);
            prop_assert_eq!(payload, &body(*sequence as u16));
        }
    }
}
