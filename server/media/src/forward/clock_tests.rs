//! The timeline across layers, reconnects and jumps.

use std::time::{Duration, Instant};

use super::*;

const VIDEO: u32 = 90_000;

/// A clock for tests: both faces move together.
fn at(start: Now, milliseconds: u64) -> Now {
    let passed = Duration::from_millis(milliseconds);
    Now {
        instant: start.instant + passed,
        unix: start.unix + passed,
    }
}

fn start() -> Now {
    Now {
        instant: Instant::now(),
        unix: Duration::from_secs(1_700_000_000),
    }
}

#[test]
fn it_begins_at_the_wall_clock_and_follows_the_source_across_its_wrap_around() {
    let (begin, mut timeline) = (start(), Timeline::new(VIDEO));
    let mut source = SourceClock::default();
    let first = u32::MAX - 4_500;
    source.anchor(&timeline, first, begin);
    assert_eq!(
        source.ticks(&mut timeline, first, begin),
        Some(1_700_000_000 * 90_000)
    );
    for frame in 1..100_u32 {
        let now = at(begin, u64::from(frame) * 33);
        let ticks = source.ticks(&mut timeline, first.wrapping_add(frame * 3_000), now);
        assert_eq!(
            ticks,
            Some(1_700_000_000 * 90_000 + u64::from(frame) * 3_000)
        );
    }
}

#[test]
fn a_new_publisher_goes_on_by_the_time_that_passed() {
    let (begin, mut timeline) = (start(), Timeline::new(VIDEO));
    let mut old = SourceClock::default();
    old.anchor(&timeline, 1_000, begin);
    let before = old.ticks(&mut timeline, 1_000, begin).expect("anchored");
    let mut new = SourceClock::default();
    let later = at(begin, 7_000);
    new.anchor(&timeline, 4_000_000_000, later);
    let after = new
        .ticks(&mut timeline, 4_000_000_000, later)
        .expect("anchored");
    assert_eq!(after - before, 7 * 90_000);
}

#[test]
fn it_never_runs_backwards_even_when_the_next_publisher_is_there_at_once() {
    let (begin, mut timeline) = (start(), Timeline::new(VIDEO));
    let mut newest = 0;
    for publisher in 0..5_u32 {
        let mut source = SourceClock::default();
        let first = publisher.wrapping_mul(0x9e37_79b9);
        source.anchor(&timeline, first, begin);
        let ticks = source.ticks(&mut timeline, first, begin).expect("anchored");
        assert!(ticks > newest);
        newest = ticks;
    }
}

#[test]
fn layers_are_aligned_by_sender_reports() {
    let (begin, mut timeline) = (start(), Timeline::new(VIDEO));
    let (mut low, mut high) = (SourceClock::default(), SourceClock::default());
    low.anchor(&timeline, 500, begin);
    low.ticks(&mut timeline, 500, begin);
    assert_eq!(
        high.ticks(&mut timeline, 777_000, begin),
        None,
        "not aligned yet"
    );
    // The frame of 500 was captured 250 ms before the moment of both reports.
    let moment = ntp(begin.unix) + (1 << 30);
    low.note_report(moment, 500 + 22_500);
    high.note_report(moment + (1 << 31), 777_000 + 22_500 + 45_000);
    high.align(&low, VIDEO);
    let base = 1_700_000_000 * 90_000;
    assert_eq!(
        high.ticks(&mut timeline, 777_000, at(begin, 10)),
        Some(base)
    );
    assert_eq!(
        high.ticks(&mut timeline, 780_000, at(begin, 33)),
        Some(base + 3_000)
    );
    assert_eq!(low.ticks_at(moment, VIDEO), Some(base + 22_500));
}

#[test]
fn a_source_whose_clock_jumps_is_anchored_anew() {
    let (begin, mut timeline) = (start(), Timeline::new(VIDEO));
    let mut source = SourceClock::default();
    source.anchor(&timeline, 0, begin);
    let before = source.ticks(&mut timeline, 0, begin).expect("anchored");
    let later = at(begin, 100);
    let after = source
        .ticks(&mut timeline, 0x7000_0000, later)
        .expect("anchored");
    assert_eq!(after - before, 9_000);
    let next = source
        .ticks(&mut timeline, 0x7000_0000 + 3_000, at(begin, 133))
        .expect("anchored");
    assert_eq!(next - after, 3_000);
}

#[test]
fn audio_and_video_share_the_moment_of_a_report() {
    let begin = start();
    let (mut audio_line, mut video_line) = (Timeline::new(48_000), Timeline::new(VIDEO));
    let (mut audio, mut video) = (SourceClock::default(), SourceClock::default());
    // Video arrives 80 ms later than the audio of the same moment.
    audio.anchor(&audio_line, 48_000, begin);
    audio.ticks(&mut audio_line, 48_000, begin);
    let late = at(begin, 80);
    video.anchor(&video_line, 90_000, late);
    video.ticks(&mut video_line, 90_000, late);
    let moment = ntp(begin.unix);
    audio.note_report(moment, 48_000);
    video.note_report(moment, 90_000);
    let later = moment + (3 << 32);
    let heard = audio.ticks_at(later, 48_000).expect("reported");
    let seen = video.ticks_at(later, VIDEO).expect("reported");
    assert_eq!(heard, (1_700_000_000 + 3) * 48_000);
    assert_eq!(
        seen,
        (1_700_000_000 + 3) * 90_000 + 7_200,
        "80 ms after, on its own clock"
    );
}
