//! Joining, going along, switching and asking again; then all of it at random against an oracle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::forward::ring::Inserted;
use crate::sdp::Codec;

const A: SourceId = SourceId(1);
const B: SourceId = SourceId(2);

fn packet(sequence: u64, ticks: u64, keyframe: bool) -> Arc<MediaPacket> {
    let (codec, payload) = (Codec::Vp8, Bytes::new());
    Arc::new(MediaPacket {
        sequence,
        ticks,
        marker: true,
        codec,
        keyframe,
        payload,
    })
}

fn ring(packets: impl IntoIterator<Item = (u64, u64, bool)>) -> Ring {
    let mut ring = Ring::new(limits::VIDEO_RING);
    for (sequence, ticks, keyframe) in packets {
        ring.insert(packet(sequence, ticks, keyframe));
    }
    ring
}

fn drain(track: &mut Downtrack, ring: &Ring, budget: usize) -> Vec<(u64, u64)> {
    let mut sent = Vec::new();
    track.catch_up(ring, budget, |packet, out| {
        sent.push((packet.sequence, out));
    });
    sent
}

#[test]
fn a_joining_subscriber_gets_the_last_keyframe_and_all_since_in_steps() {
    let now = Instant::now();
    let mut ring = ring((0..10).map(|n| (500 + n, n * 3_000, n == 3)));
    let mut track = Downtrack::new(7);
    track.want(A, now);
    assert!(track.try_switch(&ring, now));
    assert_eq!(
        drain(&mut track, &ring, 4),
        [(503, 7), (504, 8), (505, 9), (506, 10)]
    );
    let next = packet(510, 30_000, false);
    ring.insert(next.clone());
    assert_eq!(track.forward(A, &next), None, "it lies ahead");
    assert_eq!(track.backlog(&ring), 4);
    assert_eq!(
        drain(&mut track, &ring, 32),
        [(507, 11), (508, 12), (509, 13), (510, 14)]
    );
    assert_eq!(track.forward(A, &packet(511, 33_000, false)), Some(15));
}

#[test]
fn an_old_keyframe_is_only_used_when_no_new_one_comes() {
    let now = Instant::now();
    let ring = ring((0..60).map(|n| (500 + n, n * 3_000, n == 0)));
    let mut track = Downtrack::new(7);
    track.want(A, now);
    assert!(
        !track.try_switch(&ring, now),
        "two seconds old: ask for another"
    );
    assert!(track.try_switch(&ring, now + limits::KEYFRAME_WAIT));
}

#[test]
fn a_keyframe_followed_by_a_hole_is_not_replayed() {
    let now = Instant::now();
    let mut ring = ring((0..10).map(|n| (500 + n, n * 3_000, n == 3)));
    ring.insert(packet(511, 33_000, false));
    let mut track = Downtrack::new(7);
    track.want(A, now);
    assert!(!track.try_switch(&ring, now + 10 * limits::KEYFRAME_WAIT));
    ring.insert(packet(510, 30_000, false));
    assert!(track.try_switch(&ring, now));
}

#[test]
fn a_late_packet_finds_its_place_and_one_from_before_the_join_does_not_go_out() {
    let now = Instant::now();
    let ring = ring([(500, 0, true)]);
    let mut track = Downtrack::new(7);
    track.want(A, now);
    assert!(track.try_switch(&ring, now));
    assert_eq!(drain(&mut track, &ring, 32), [(500, 7)]);
    assert_eq!(track.forward(A, &packet(503, 9_000, false)), Some(10));
    assert_eq!(track.forward(A, &packet(501, 3_000, false)), Some(8));
    assert_eq!(track.forward(A, &packet(499, 0, false)), None);
    assert_eq!(
        track.forward(B, &packet(504, 0, false)),
        None,
        "another source"
    );
}

#[test]
fn numbers_go_on_across_sources_and_old_ones_are_still_found() {
    let now = Instant::now();
    let first = ring([(500, 0, true)]);
    let mut track = Downtrack::new(65_535);
    track.want(A, now);
    assert!(track.try_switch(&first, now));
    drain(&mut track, &first, 32);
    assert_eq!(track.forward(A, &packet(501, 3_000, false)), Some(65_536));
    track.want(B, now);
    assert_eq!(
        track.forward(A, &packet(502, 6_000, false)),
        Some(65_537),
        "until B is ready"
    );
    let second = ring([(9_000, 9_000, true)]);
    assert!(track.try_switch(&second, now));
    assert_eq!(drain(&mut track, &second, 32), [(9_000, 65_538)]);
    assert_eq!(track.locate(0), Some((A, 501, 65_536)));
    assert_eq!(track.locate(2), Some((B, 9_000, 65_538)));
    assert_eq!(track.locate(65_535), Some((A, 500, 65_535)));
    assert_eq!(track.locate(65_534), None, "before the first");
    assert_eq!(track.locate(3), None, "not sent yet");
}

#[test]
fn a_switch_never_shows_an_older_frame_again() {
    let now = Instant::now();
    let first = ring([(500, 30_000, true)]);
    let mut track = Downtrack::new(1);
    track.want(A, now);
    assert!(track.try_switch(&first, now));
    drain(&mut track, &first, 32);
    track.want(B, now);
    assert!(!track.try_switch(&ring([(9_000, 27_000, true)]), now));
    assert!(track.try_switch(&ring([(9_001, 33_000, true)]), now));
}

#[test]
fn a_layer_that_lags_is_asked_for_keyframes_ever_less_often() {
    let start = Instant::now();
    let first = ring([(500, 30_000, true)]);
    let mut track = Downtrack::new(1);
    track.want(A, start);
    assert!(track.try_switch(&first, start));
    drain(&mut track, &first, 32);
    track.want(B, start);
    let (mut asked, mut second) = (0, ring([(8_999, 3_000, true)]));
    for step in 0..240_u64 {
        let now = start + Duration::from_millis(500) * step as u32;
        let ahead = packet(501 + step, 33_000 + step * 45_000, false);
        assert_eq!(track.forward(A, &ahead), Some(2 + step));
        assert!(
            !track.try_switch(&second, now),
            "it always comes 33 ms too late"
        );
        if track.may_ask(now) {
            asked += 1;
            second.insert(packet(9_000 + step, 30_000 + step * 45_000, true));
        }
    }
    assert!((4..=10).contains(&asked), "{asked} times in two minutes");
    second.insert(packet(9_999, 33_000 + 240 * 45_000, true));
    assert!(track.try_switch(&second, start), "in time at last");
}

proptest! {
    /// Whatever arrives in whatever order, with joins and switches in between: no output number is
    /// used twice, none falls below the first, and `locate` finds exactly what was sent.
    #[test]
    fn an_output_number_is_used_once(
        steps in prop::collection::vec((0_u8..8, 0_u64..40, any::<bool>()), 1..400),
    ) {
        let start = Instant::now();
        let mut rings = BTreeMap::from([(A, Ring::new(1_024)), (B, Ring::new(1_024))]);
        let mut heads = BTreeMap::from([(A, 1_000_u64), (B, 50_000_u64)]);
        let mut track = Downtrack::new(5);
        let mut used = BTreeSet::new();
        let mut sent: Vec<(SourceId, u64, u64)> = Vec::new();
        for (step, (what, back, flag)) in steps.into_iter().enumerate() {
            let now = start + Duration::from_millis(step as u64 * 5);
            let source = if flag { A } else { B };
            match what {
                0 => track.want(source, now),
                1 => if let Some(awaited) = track.awaited() {
                    track.try_switch(&rings[&awaited], now);
                },
                2 => if let Some(followed) = track.source() {
                    track.catch_up(&rings[&followed], 3, |packet, out| {
                        sent.push((followed, packet.sequence, out));
                    });
                },
                _ => {
                    let head = heads.get_mut(&source).expect("known");
                    *head += u64::from(what % 3);
                    let sequence = *head - back.min(30) * u64::from(what == 7);
                    let packet = packet(sequence, step as u64 * 450, back % 7 == 0);
                    let ring = rings.get_mut(&source).expect("known");
                    if ring.insert(packet.clone()) == Inserted::New
                        && let Some(out) = track.forward(source, &packet)
                    {
                        sent.push((source, sequence, out));
                    }
                }
            }
            for (source, sequence, out) in sent.drain(..) {
                prop_assert!(out >= 5);
                prop_assert!(used.insert(out), "{out} was used twice");
                prop_assert_eq!(track.locate(out as u16), Some((source, sequence, out)));
            }
        }
    }
}
