//! What is said into the room while everybody listens: comments at an even rate, from a thread of
//! its own, so that a busy crowd does not make them late. It never waits for an answer.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::net::TcpStream;

use super::crowd::{Clock, say};
use super::known::Mark;
use super::payload;

/// Says something that carries a mark.
pub(crate) trait Voice: Send {
    fn say(&mut self, mark: Mark) -> io::Result<()>;
}

/// How much and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speech {
    /// The number of the first comment.
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) per_second: f64,
}

impl Speech {
    /// When the n-th is due, counted from `begin_us`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "microseconds of a few minutes"
    )]
    pub(crate) fn due_us(self, begin_us: u64, n: u32) -> u64 {
        begin_us + (f64::from(n) * 1e6 / self.per_second) as u64
    }
}

/// A thread that speaks, and gives its voice back when it has said all.
pub(crate) struct Speaker {
    first: u32,
    /// When the first one is due.
    begin_us: u64,
    shared: Arc<Progress>,
    thread: JoinHandle<Box<dyn Voice>>,
}

#[derive(Default)]
struct Progress {
    said: AtomicU32,
    failed: AtomicU32,
    done: AtomicBool,
    stop: AtomicBool,
}

/// Begins to speak, on the cores of the calling thread.
pub(crate) fn speak(
    speech: Speech,
    mut voice: Box<dyn Voice>,
    clock: Clock,
) -> io::Result<Speaker> {
    let shared = Arc::new(Progress::default());
    let progress = shared.clone();
    let thread = std::thread::Builder::new().name("speaker".into());
    let begin_us = clock.now_us() + 1_000;
    let thread = thread.spawn(move || {
        for n in 0..speech.count {
            let due_us = speech.due_us(begin_us, n);
            let now_us = clock.now_us();
            if due_us > now_us {
                std::thread::sleep(Duration::from_micros(due_us - now_us));
            }
            if progress.stop.load(Ordering::Relaxed) {
                break;
            }
            let number = speech.first + n;
            match voice.say(Mark { number, due_us }) {
                Ok(()) => progress.said.fetch_add(1, Ordering::Release),
                Err(_) => progress.failed.fetch_add(1, Ordering::Release),
            };
        }
        progress.done.store(true, Ordering::Release);
        voice
    })?;
    Ok(Speaker {
        first: speech.first,
        begin_us,
        shared,
        thread,
    })
}

impl Speaker {
    /// When the first one is due; the others follow evenly.
    pub(crate) fn begin_us(&self) -> u64 {
        self.begin_us
    }

    /// Whether all is said.
    pub(crate) fn is_done(&self) -> bool {
        self.shared.done.load(Ordering::Acquire)
    }

    /// Comments that left this program.
    pub(crate) fn said(&self) -> u32 {
        self.shared.said.load(Ordering::Acquire)
    }

    /// Comments that could not even be sent.
    pub(crate) fn failed(&self) -> u32 {
        self.shared.failed.load(Ordering::Acquire)
    }

    /// Says no more, and gives the voice back with the number that was not used yet.
    pub(crate) fn end(self) -> io::Result<(Box<dyn Voice>, u32)> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.join();
        let voice = ended.map_err(|_| io::Error::other("the thread that speaks panicked"))?;
        let used =
            self.shared.said.load(Ordering::Acquire) + self.shared.failed.load(Ordering::Acquire);
        Ok((voice, self.first + used))
    }
}

/// Viewers who comment in turn, each on its own session.
pub(crate) struct Commenters {
    streams: Vec<Arc<TcpStream>>,
    next: usize,
    text_bytes: usize,
}

impl Commenters {
    pub(crate) fn new(streams: Vec<Arc<TcpStream>>, text_bytes: usize) -> Self {
        Self {
            streams,
            next: 0,
            text_bytes,
        }
    }
}

impl Voice for Commenters {
    fn say(&mut self, mark: Mark) -> io::Result<()> {
        let at = self.next % self.streams.len().max(1);
        self.next += 1;
        let stream = self.streams.get(at).ok_or(io::ErrorKind::NotConnected)?;
        say(stream, &payload::comment(mark, self.text_bytes))
    }
}
