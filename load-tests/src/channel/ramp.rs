//! The highest rate at which a server still brings everything to everybody in time: doubled until
//! it does not, then narrowed down.

use std::io;

use super::stage::{Stage, Stretch};
use super::tally::Tally;
use crate::progress::Progress;

/// A rate holds when its slowest hundredth comes within this time,
const P99_MS_MAX: f64 = 250.0;
/// and its last delivery so soon after the last comment.
const TAIL_S_MAX: f64 = 1.0;
const STRETCH_S: f64 = 3.0;
/// Even the slowest peer manages one comment a second.
const FIRST_PER_SECOND: f64 = 2.0;
const LAST_PER_SECOND: f64 = 20_000.0;
/// Rates that do not hold before higher ones are not tried: one may be the machine's doing.
const BROKEN_IN_A_ROW: u32 = 2;
/// Of the interval between the last rate that held and the first that did not.
const NARROWED: u32 = 3;

/// The best stretch, and its deliveries per second; none holds: an empty one and 0.
pub(super) fn ramp(stage: &mut Stage) -> io::Result<(Stretch, f64)> {
    let progress = Progress::new("rates tried", 20);
    let mut best = (Stretch::default(), 0.0);
    let mut rate = FIRST_PER_SECOND;
    // The lowest rate above the best one that did not hold.
    let mut broken = None;
    let mut in_a_row = 0;
    while rate <= LAST_PER_SECOND && in_a_row < BROKEN_IN_A_ROW {
        progress.step();
        if let Some(stretch) = twice(stage, rate)? {
            best = (stretch, rate);
            broken = None;
            in_a_row = 0;
        } else {
            broken = broken.or(Some(rate));
            in_a_row += 1;
        }
        rate *= 2.0;
    }
    if let Some(mut broken) = broken {
        for _ in 0..NARROWED {
            if best.1 == 0.0 {
                break;
            }
            progress.step();
            // The middle by ratio.
            let middle = (best.1 * broken).sqrt();
            match twice(stage, middle)? {
                Some(stretch) => best = (stretch, middle),
                None => broken = middle,
            }
        }
    }
    progress.end();
    let (stretch, _) = best;
    // What was delivered over the time of the comments: the tail is latency.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let per_second = stretch.deliveries as f64 / STRETCH_S;
    Ok((stretch, per_second))
}

/// One failure may be the machine's: the second is the server's.
fn twice(stage: &mut Stage, rate: f64) -> io::Result<Option<Stretch>> {
    for _ in 0..2 {
        let stretch = stage.stretch(rate, STRETCH_S)?;
        if holds(&stretch) {
            return Ok(Some(stretch));
        }
        say_why_not(rate, &stretch);
        // What is still on its way would count against the next one.
        let mut none = Tally::new(stage.crowd.size(), u32::MAX, 0);
        stage.settle(&mut none)?;
    }
    Ok(None)
}

#[expect(clippy::print_stderr, reason = "a command-line tool")]
fn say_why_not(rate: f64, stretch: &Stretch) {
    let Stretch {
        p99_ms,
        tail_s,
        missed,
        refused,
        unsent,
        ended,
        client_cpu_percent,
        ..
    } = stretch;
    eprintln!(
        "{rate:.0} comments/s do not hold: p99 {p99_ms:.0} ms, the last {tail_s:.1} s late, \
         {} lost, {refused} refused, {unsent} unsent, {ended} sessions ended, client at \
         {client_cpu_percent:.0} % of a core",
        missed.lost
    );
}

fn holds(stretch: &Stretch) -> bool {
    stretch.deliveries > 0
        && stretch.missed.lost == 0
        && stretch.p99_ms < P99_MS_MAX
        && stretch.tail_s < TAIL_S_MAX
        && stretch.refused + stretch.unsent == 0
        && stretch.ended == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::tally::Missed;

    #[test]
    fn a_rate_holds_only_when_everything_came_in_time() {
        let good = Stretch {
            deliveries: 100,
            p99_ms: 249.0,
            tail_s: 0.9,
            ..Stretch::default()
        };
        assert!(holds(&good));
        let one = Missed {
            lost: 1,
            doubled: 0,
        };
        for bad in [
            Stretch {
                p99_ms: 250.0,
                ..good
            },
            Stretch {
                tail_s: 1.0,
                ..good
            },
            Stretch {
                missed: one,
                ..good
            },
            Stretch { refused: 1, ..good },
            Stretch { unsent: 1, ..good },
            Stretch { ended: 1, ..good },
            Stretch::default(),
        ] {
            assert!(!holds(&bad), "{bad:?}");
        }
    }
}
