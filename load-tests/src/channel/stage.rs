//! Everybody in one room of one running server: joined, warmed up, and measured for stretches of
//! comments at an even rate. It runs on one pinned thread and knows nothing of how the server was
//! started.

use std::io;
use std::ops::Range;
use std::time::Duration;

use super::crowd::{Clock, Counts, Crowd, Deaf, Door};
use super::speech::{Commenters, Speaker, Speech, Voice, speak};
use super::tally::{Missed, Tally, percentile_ms};
use crate::cores::{Cost, cost, kernel_tcp_kib, own_cpu};
use crate::progress::Progress;

/// Everybody must be in after this time.
const JOIN_WITHIN_US: u64 = 90_000_000;
/// Everybody must have heard something after this time.
const WARM_WITHIN_US: u64 = 30_000_000;
/// Deliveries may come so long after the last comment; and they are over when nothing came for the
/// second.
const TAIL_US_MAX: u64 = 15_000_000;
const QUIET_US: u64 = 2_000_000;
const TURN: Duration = Duration::from_millis(10);
const LOOK_EVERY_US: u64 = 250_000;
/// Comments of the warm-up, one after the other.
const WARM_UP: u32 = 40;
const WARM_UP_PER_SECOND: f64 = 4.0;

/// Who measures what.
pub(crate) struct Setting {
    pub(crate) viewers: usize,
    pub(crate) door: Door,
    pub(crate) clock: Clock,
    /// Of the server, to see what they cost; empty when that cannot be seen.
    pub(crate) processes: Vec<u32>,
    /// A peer's; none: viewers comment.
    pub(crate) voice: Option<Box<dyn Voice>>,
    /// Viewers who may comment.
    pub(crate) commenters: Range<usize>,
    pub(crate) text_bytes: usize,
}

/// The room with everybody in it.
pub(crate) struct Stage {
    pub(crate) crowd: Crowd,
    voice: Option<Box<dyn Voice>>,
    /// Viewers comment: the server says what it took.
    answered: bool,
    processes: Vec<u32>,
    /// The server before anybody came.
    empty: Cost,
    /// The next comment's number.
    next: u32,
    /// How long it took until everybody was in.
    pub(crate) joined_s: f64,
    /// Most memory of the server and of the kernel's sockets that was seen.
    pub(crate) peak_kib: f64,
    look_us: u64,
    text_bytes: usize,
}

/// One stretch.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stretch {
    pub(crate) deliveries: u64,
    pub(crate) deliveries_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) missed: Missed,
    pub(crate) gaps: u64,
    pub(crate) repeated: u64,
    /// Comments that the server refused, and that could not be sent.
    pub(crate) refused: u32,
    pub(crate) unsent: u32,
    /// Sessions that ended meanwhile.
    pub(crate) ended: usize,
    /// From the last comment to the last delivery.
    pub(crate) tail_s: f64,
    pub(crate) server_cpu_us_per_delivery: f64,
    pub(crate) server_cpu_percent: f64,
    pub(crate) client_cpu_percent: f64,
}

impl Stage {
    /// Brings everybody in.
    pub(crate) fn gather(setting: Setting) -> io::Result<Self> {
        let empty = cost(&setting.processes);
        let clock = setting.clock;
        let mut crowd = Crowd::new(setting.viewers, setting.door, clock)?;
        let begin_us = clock.now_us();
        crowd.open(0..setting.viewers);
        let progress = Progress::new("joining", setting.viewers);
        while crowd.counts.ready < setting.viewers {
            if clock.now_us() - begin_us > JOIN_WITHIN_US {
                return Err(not_joined(&crowd));
            }
            crowd.turn(TURN, &mut Deaf)?;
            progress.reach(crowd.counts.ready);
        }
        progress.end();
        crowd.counts.say_failures();
        let joined_s = seconds(clock.now_us() - begin_us);
        let answered = setting.voice.is_none();
        let voice = setting.voice.unwrap_or_else(|| {
            let streams = crowd.streams(setting.commenters);
            Box::new(Commenters::new(streams, setting.text_bytes))
        });
        let mut stage = Self {
            crowd,
            voice: Some(voice),
            answered,
            processes: setting.processes,
            empty,
            next: 1,
            joined_s,
            peak_kib: 0.0,
            look_us: 0,
            text_bytes: setting.text_bytes,
        };
        stage.warm_up()?;
        Ok(stage)
    }

    /// Resident memory of the server for each viewer, against before they came.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(crate) fn kib_per_viewer(&self) -> f64 {
        let now = cost(&self.processes).resident_kib;
        (now - self.empty.resident_kib) / self.crowd.size() as f64
    }

    /// Says something now and then until everybody has heard it: subscriptions of some peers take
    /// a while.
    fn warm_up(&mut self) -> io::Result<()> {
        let mut tally = Tally::new(self.crowd.size(), self.next, WARM_UP);
        let begin_us = self.crowd.clock.now_us();
        let speaker = self.begin(WARM_UP, WARM_UP_PER_SECOND)?;
        while tally.reached() < self.crowd.counts.ready {
            if self.crowd.clock.now_us() - begin_us > WARM_WITHIN_US {
                let (reached, ready) = (tally.reached(), self.crowd.counts.ready);
                let why = format!("{reached} of {ready} viewers heard anything within 30 s");
                return Err(io::Error::other(why));
            }
            self.crowd.turn(TURN, &mut tally)?;
        }
        self.hush(speaker)?;
        self.settle(&mut tally)
    }

    /// No more comments.
    pub(crate) fn hush(&mut self, speaker: Speaker) -> io::Result<()> {
        let (voice, next) = speaker.end()?;
        self.voice = Some(voice);
        // A peer's positions are the numbers of comments: none may be left out.
        self.next = next;
        Ok(())
    }

    /// Nobody comments any more; [`Stage::speak_anew`] ends it.
    pub(crate) fn fall_silent(&mut self) {
        self.voice = None;
    }

    /// From now on these viewers comment, on the sockets that they have now.
    pub(crate) fn speak_anew(&mut self, commenters: Range<usize>) {
        let streams = self.crowd.streams(commenters);
        self.voice = Some(Box::new(Commenters::new(streams, self.text_bytes)));
    }

    /// Notes the most memory that the server and the kernel's sockets had, looking now and then.
    pub(crate) fn watch_memory(&mut self) {
        let now_us = self.crowd.clock.now_us();
        if now_us >= self.look_us {
            self.look_us = now_us + LOOK_EVERY_US;
            let now = cost(&self.processes).resident_kib + kernel_tcp_kib();
            self.peak_kib = self.peak_kib.max(now);
        }
    }

    /// Begins to comment; to be ended with [`Stage::hush`].
    pub(crate) fn begin(&mut self, count: u32, per_second: f64) -> io::Result<Speaker> {
        let voice = self.voice.take();
        let voice = voice.ok_or_else(|| io::Error::other("somebody speaks already"))?;
        let speech = Speech {
            first: self.next,
            count,
            per_second,
        };
        self.next += count;
        speak(speech, voice, self.crowd.clock)
    }

    /// Takes in what is still on its way, until nothing came for a while.
    pub(crate) fn settle(&mut self, tally: &mut Tally) -> io::Result<()> {
        let begin_us = self.crowd.clock.now_us();
        let mut last = (self.crowd.counts.bytes, begin_us);
        loop {
            self.crowd.turn(TURN, tally)?;
            let now_us = self.crowd.clock.now_us();
            if self.crowd.counts.bytes != last.0 {
                last = (self.crowd.counts.bytes, now_us);
            }
            if now_us - last.1 > QUIET_US / 4 || now_us - begin_us > TAIL_US_MAX {
                return Ok(());
            }
        }
    }

    /// Comments at this rate for so long, and all of their deliveries.
    pub(crate) fn stretch(&mut self, per_second: f64, length_s: f64) -> io::Result<Stretch> {
        self.stretch_of(per_second, length_s, 0..self.crowd.size())
    }

    /// The same; only what these clients are told counts.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "comments of some minutes"
    )]
    pub(crate) fn stretch_of(
        &mut self,
        per_second: f64,
        length_s: f64,
        counted: Range<usize>,
    ) -> io::Result<Stretch> {
        let count = ((per_second * length_s).round() as u32).max(1);
        let here: Vec<bool> = (0..self.crowd.size())
            .map(|at| self.crowd.is_ready(at))
            .collect();
        let counts = &|at: usize| here[at] && counted.contains(&at);
        let tally = Tally::new(self.crowd.size(), self.next, count);
        let mut tally = tally.of(counted.clone());
        let before = self.snap();
        let speaker = self.begin(count, per_second)?;
        let begin_us = self.crowd.clock.now_us();
        let mut last = (0, begin_us);
        let mut said_us = None;
        loop {
            self.crowd.turn(TURN, &mut tally)?;
            self.watch_memory();
            let now_us = self.crowd.clock.now_us();
            if tally.delivered != last.0 {
                last = (tally.delivered, now_us);
            }
            if said_us.is_none() && speaker.is_done() {
                said_us = Some(now_us);
                if !self.answered {
                    tally.expect_all(speaker.said());
                }
            }
            let Some(said_us) = said_us else { continue };
            let all = u64::from(speaker.said() - tally.refusals().min(speaker.said()));
            if tally.expected() >= all && tally.missed(counts).lost == 0 {
                break;
            }
            if now_us - said_us > TAIL_US_MAX || now_us - last.1.max(said_us) > QUIET_US {
                break;
            }
        }
        let (unsent, said_us) = (speaker.failed(), said_us.unwrap_or(begin_us));
        self.hush(speaker)?;
        let after = self.snap();
        Ok(Stretch {
            missed: tally.missed(counts),
            refused: tally.refusals(),
            unsent,
            tail_s: seconds(tally.last_us.saturating_sub(said_us)),
            ..measured(&tally, begin_us, &before, &after)
        })
    }

    fn snap(&self) -> Snap {
        Snap {
            counts: self.crowd.counts.clone(),
            server: cost(&self.processes),
            own: own_cpu(),
            at_us: self.crowd.clock.now_us(),
        }
    }
}

/// How things were at one moment.
struct Snap {
    counts: Counts,
    server: Cost,
    own: Duration,
    at_us: u64,
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn measured(tally: &Tally, begin_us: u64, before: &Snap, after: &Snap) -> Stretch {
    let server_cpu = (after.server.cpu - before.server.cpu).as_secs_f64();
    let own_cpu = (after.own - before.own).as_secs_f64();
    let took_s = seconds(after.at_us - before.at_us).max(1e-6);
    let delivering_s = seconds(tally.last_us.saturating_sub(begin_us)).max(1e-6);
    let ended = |counts: &Counts| counts.ended.values().sum::<u64>();
    Stretch {
        deliveries: tally.delivered,
        deliveries_per_second: tally.delivered as f64 / delivering_s,
        p50_ms: percentile_ms(&tally.latency, 50.0),
        p99_ms: percentile_ms(&tally.latency, 99.0),
        gaps: after.counts.gaps - before.counts.gaps,
        repeated: after.counts.repeated - before.counts.repeated,
        ended: (ended(&after.counts) - ended(&before.counts)) as usize,
        server_cpu_us_per_delivery: server_cpu * 1e6 / (tally.delivered as f64).max(1.0),
        server_cpu_percent: server_cpu * 100.0 / took_s,
        client_cpu_percent: own_cpu * 100.0 / took_s,
        ..Stretch::default()
    }
}

/// Says how many are in and what kept the others out.
pub(crate) fn not_joined(crowd: &Crowd) -> io::Error {
    crowd.counts.say_failures();
    let (ready, all) = (crowd.counts.ready, crowd.size());
    io::Error::other(format!("{ready} of {all} viewers are in"))
}

/// Microseconds in seconds.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
