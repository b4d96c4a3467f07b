//! What the system says of this process: memory, processor time, open files. Linux only; elsewhere
//! the figures are zero.

use std::time::Instant;

/// Figures of one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct ProcessFigures {
    pub(super) memory_bytes: u64,
    pub(super) cpu_percent: f64,
    pub(super) open_files: u32,
}

/// Reads figures; the share of the processor is since the reading before.
#[derive(Debug)]
pub(super) struct ProcessReader {
    last: Option<(Instant, u64)>,
}

/// Linux tells processor time in hundredths of a second (`USER_HZ` is part of its ABI).
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: u64 = 4_096;

impl ProcessReader {
    pub(super) const fn new() -> Self {
        Self { last: None }
    }

    pub(super) fn read(&mut self) -> ProcessFigures {
        let ticks = cpu_ticks().unwrap_or(0);
        let now = Instant::now();
        let cpu_percent = self.last.map_or(0.0, |(before, ticks_before)| {
            let seconds = now.duration_since(before).as_secs_f64().max(0.001);
            100.0 * ticks.saturating_sub(ticks_before) as f64 / TICKS_PER_SECOND / seconds
        });
        self.last = Some((now, ticks));
        ProcessFigures {
            memory_bytes: memory_bytes().unwrap_or(0),
            cpu_percent,
            open_files: open_files().unwrap_or(0),
        }
    }
}

fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}

/// The 14th and 15th field of `stat`; the second may contain spaces and ends with a bracket.
fn cpu_ticks() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn open_files() -> Option<u32> {
    let files = std::fs::read_dir("/proc/self/fd").ok()?;
    u32::try_from(files.count()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read() {
        let mut reader = ProcessReader::new();
        let figures = reader.read();
        assert!(
            figures.memory_bytes > 100_000 && figures.open_files > 2,
            "{figures:?}"
        );
        assert!(reader.read().cpu_percent >= 0.0);
    }
}
