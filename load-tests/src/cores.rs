//! Which cores threads and processes run on, and what processes cost. Linux only: it reads /proc.

use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Ticks of /proc/PID/stat in a second; what Linux tells every program, whatever it counts in.
const TICKS_PER_SECOND: u64 = 100;

/// Pins the calling thread. No cores: it stays where it is.
pub(crate) fn pin_this_thread(cores: &[usize]) -> std::io::Result<()> {
    if cores.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for core in cores {
        if *core >= CpuSet::MAX_CPU {
            return Err(std::io::Error::other(format!("there is no core {core}")));
        }
        set.set(*core);
    }
    sched_setaffinity(None, &set).map_err(|error| {
        std::io::Error::other(format!("cores {cores:?} cannot be had here: {error}"))
    })
}

/// Does something that starts a process, which inherits the cores of the thread that starts it.
pub(crate) fn on_cores<T>(
    cores: &[usize],
    start: impl FnOnce() -> std::io::Result<T>,
) -> std::io::Result<T> {
    if cores.is_empty() {
        return start();
    }
    let before = sched_getaffinity(None)?;
    pin_this_thread(cores)?;
    let started = start();
    sched_setaffinity(None, &before)?;
    started
}

/// What processes have cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Cost {
    pub(crate) cpu: Duration,
    /// Resident memory now.
    pub(crate) resident_kib: f64,
}

/// The cost of these processes and all that they started.
pub(crate) fn cost(processes: &[u32]) -> Cost {
    let mut sum = Cost::default();
    let mut all = processes.to_vec();
    while let Some(process) = all.pop() {
        let read = |name: &str| {
            std::fs::read_to_string(format!("/proc/{process}/{name}")).unwrap_or_default()
        };
        sum.cpu += ticks(&read("stat"));
        sum.resident_kib += kib_of(&read("status"), "VmRSS:");
        let children = read(&format!("task/{process}/children"));
        all.extend(
            children
                .split_whitespace()
                .filter_map(|id| id.parse::<u32>().ok()),
        );
    }
    sum
}

/// What this program has cost.
pub(crate) fn own_cpu() -> Duration {
    ticks(&std::fs::read_to_string("/proc/self/stat").unwrap_or_default())
}

/// Memory that the kernel holds for TCP, of all processes.
pub(crate) fn kernel_tcp_kib() -> f64 {
    let text = std::fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:"));
    let pages = line.and_then(|line| line.split_whitespace().last()?.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4.0
}

/// User and system time of a line of /proc/PID/stat.
fn ticks(stat: &str) -> Duration {
    // The name is in brackets and may hold anything, brackets too.
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let fields = after_name.split(' ').skip(11).take(2);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND)
}

fn kib_of(status: &str, name: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_stat_is_read_behind_any_name() {
        let line = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 5 6 7";
        assert_eq!(ticks(line), Duration::from_secs(3));
        assert_eq!(ticks(""), Duration::ZERO);
        assert!((kib_of("Name:\tx\nVmRSS:\t  2048 kB\n", "VmRSS:") - 2_048.0).abs() < 1e-9);
    }

    #[test]
    fn this_process_costs_something() {
        let own = cost(&[std::process::id()]);
        assert!(own.resident_kib > 100.0, "{own:?}");
    }

    #[test]
    fn what_is_started_on_a_core_stays_there() {
        let first =
            (0..CpuSet::MAX_CPU).find(|core| sched_getaffinity(None).expect("Linux").is_set(*core));
        let core = first.expect("we run somewhere");
        let allowed = on_cores(&[core], || {
            let out = std::process::Command::new("nproc").output()?;
            Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
        });
        assert_eq!(allowed.expect("nproc runs"), "1");
    }
}
