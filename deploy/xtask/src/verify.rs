//! `cargo verify`: runs the stages in two lanes, times them, and says how to rerun what failed.
//! Knows no stage; `stages.rs` does.

use crate::repository::{Repository, in_file};
use crate::run::Runner;
use crate::stages::{LONG, OPTIONAL, STAGES};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// One step of the verification.
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    /// What it shows, for `--list`.
    pub(crate) about: &'static str,
    pub(crate) lane: Lane,
    /// Stages that must have ended before this one starts, well or not: each of these stands
    /// earlier in the table, so that the lanes cannot wait for each other.
    pub(crate) after: &'static [&'static str],
    pub(crate) run: fn(&Runner<'_>) -> Result<(), String>,
}

/// What fetches something that cannot be had everywhere; an error says why it cannot be had here.
pub(crate) type Fetch = fn(&Runner<'_>) -> Result<(), String>;

/// Stages of one lane run one after another, the two lanes beside each other: cargo keeps one
/// core busy for minutes that npm and apt spend waiting for the network.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Prints as it goes.
    Front,
    /// Prints into a file, shown when it failed.
    Back,
}

const HELP: &str = "\
cargo verify [-- OPTIONS]

  --list        the stages and what each shows
  --long        also the stages that take long
  --only NAME   runs one stage, and expects what comes before it to be done (repeatable)
  --skip NAME   leaves one stage out (repeatable)

Without options: every stage but those of --long. Ends with 0 only when none of them failed. A stage
whose tools cannot be had on this machine is skipped, by its name and with the reason.
";

/// Runs what the arguments ask for.
pub(crate) fn main(arguments: &[String]) -> Result<(), String> {
    let wanted = match parse(arguments)? {
        Request::Help => {
            print!("{HELP}");
            return Ok(());
        }
        Request::List => {
            for stage in STAGES {
                let long = if is_long(stage) { " (with --long)" } else { "" };
                println!("{:<10} {}{long}", stage.name, stage.about);
            }
            println!("\none alone: cargo verify -- --only NAME");
            return Ok(());
        }
        Request::Run(wanted) => wanted,
    };
    let repository = Repository::here()?;
    let board = Board::new(&wanted);
    let began = Instant::now();
    // A single stage has the terminal for itself, whatever its lane.
    let alone = wanted.len() == 1;
    thread::scope(|scope| {
        scope.spawn(|| run_lane(&repository, &board, &wanted, Lane::Back, alone));
        run_lane(&repository, &board, &wanted, Lane::Front, alone);
    });
    board.report(&wanted, began.elapsed())
}

enum Request {
    Help,
    List,
    Run(Vec<&'static Stage>),
}

fn parse(arguments: &[String]) -> Result<Request, String> {
    let (mut only, mut skip, mut long) = (Vec::new(), Vec::new(), false);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let list = match word.as_str() {
            "--help" | "-h" => return Ok(Request::Help),
            "--list" => return Ok(Request::List),
            "--long" => {
                long = true;
                continue;
            }
            "--only" => &mut only,
            "--skip" => &mut skip,
            other => return Err(format!("verify does not know `{other}`\n\n{HELP}")),
        };
        let name = words
            .next()
            .ok_or_else(|| format!("{word} needs the name of a stage"))?;
        if !STAGES.iter().any(|stage| stage.name == name) {
            return Err(format!(
                "there is no stage `{name}`: cargo verify -- --list"
            ));
        }
        list.push(name.as_str());
    }
    let wanted = |stage: &&Stage| {
        let asked = if only.is_empty() {
            long || !is_long(stage)
        } else {
            only.contains(&stage.name)
        };
        asked && !skip.contains(&stage.name)
    };
    let chosen: Vec<_> = STAGES.iter().filter(wanted).collect();
    if chosen.is_empty() {
        Err("nothing is left to run".into())
    } else {
        Ok(Request::Run(chosen))
    }
}

fn is_long(stage: &Stage) -> bool {
    LONG.contains(&stage.name)
}

/// What is known of the stages that ended, shared by the two lanes.
struct Board {
    ended: Mutex<BTreeMap<&'static str, Ended>>,
    changed: Condvar,
    wanted: Vec<&'static str>,
}

#[derive(Clone)]
struct Ended {
    took: Duration,
    outcome: Outcome,
}

#[derive(Clone)]
enum Outcome {
    Passed,
    /// With the reason.
    Skipped(String),
    /// With what went wrong.
    Failed(String),
}

impl Outcome {
    const fn word(&self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Skipped(_) => "skipped",
            Self::Failed(_) => "FAILED",
        }
    }
}

impl Board {
    fn new(wanted: &[&'static Stage]) -> Self {
        Self {
            ended: Mutex::default(),
            changed: Condvar::new(),
            wanted: wanted.iter().map(|stage| stage.name).collect(),
        }
    }

    /// Waits until every wanted one of `names` has ended.
    fn wait_for(&self, names: &[&str]) {
        let ended = self
            .ended
            .lock()
            .expect("a lane does not panic while it holds the board");
        let waits = |ended: &mut BTreeMap<&str, Ended>| {
            names
                .iter()
                .any(|name| self.wanted.contains(name) && !ended.contains_key(name))
        };
        drop(self.changed.wait_while(ended, waits).expect("as above"));
    }

    fn note(&self, stage: &Stage, took: Duration, outcome: Outcome) {
        let ended = Ended { took, outcome };
        self.ended
            .lock()
            .expect("as above")
            .insert(stage.name, ended);
        self.changed.notify_all();
    }

    /// The closing table; an error when anything failed.
    fn report(&self, wanted: &[&'static Stage], took: Duration) -> Result<(), String> {
        let ended = self.ended.lock().expect("as above");
        println!("\nverify: {:.1} s", took.as_secs_f64());
        let (mut failed, mut skipped) = (Vec::new(), Vec::new());
        for stage in wanted {
            let Some(end) = ended.get(stage.name) else {
                return Err(format!("stage {} never ran: a fault of xtask", stage.name));
            };
            println!(
                "  {:<10} {:<7} {:>7.1} s",
                stage.name,
                end.outcome.word(),
                end.took.as_secs_f64()
            );
            match &end.outcome {
                Outcome::Passed => {}
                Outcome::Skipped(reason) => skipped.push((stage.name, reason)),
                Outcome::Failed(failure) => failed.push((stage.name, failure)),
            }
        }
        for (name, reason) in &skipped {
            println!("\n{name} was skipped: {reason}");
        }
        for (name, failure) in &failed {
            println!("\n{name}: {failure}\n  rerun it alone: cargo verify -- --only {name}");
        }
        let passed = wanted.len() - failed.len() - skipped.len();
        let mut line = format!("{passed} passed, {} failed", failed.len());
        if !skipped.is_empty() {
            line += &format!(", {} skipped", skipped.len());
        }
        println!("\n{line}");
        if failed.is_empty() {
            Ok(())
        } else {
            Err("not verified".into())
        }
    }
}

fn run_lane(
    repository: &Repository,
    board: &Board,
    wanted: &[&'static Stage],
    lane: Lane,
    alone: bool,
) {
    for stage in wanted.iter().filter(|stage| stage.lane == lane) {
        board.wait_for(stage.after);
        println!("==> {}: {}", stage.name, stage.about);
        let began = Instant::now();
        let outcome = match lane {
            Lane::Back if !alone => run_in_background(repository, stage),
            _ => attempt(&Runner::terminal(repository), stage),
        };
        let (took, word) = (began.elapsed(), outcome.word());
        println!("<== {} {word} in {:.1} s", stage.name, took.as_secs_f64());
        board.note(stage, took, outcome);
    }
}

/// Fetches what the stage needs beyond what every machine has, and runs it.
fn attempt(runner: &Runner<'_>, stage: &Stage) -> Outcome {
    let optional = OPTIONAL.iter().find(|(name, _)| *name == stage.name);
    if let Some((_, fetch)) = optional
        && let Err(reason) = fetch(runner)
    {
        return Outcome::Skipped(reason);
    }
    match (stage.run)(runner) {
        Ok(()) => Outcome::Passed,
        Err(failure) => Outcome::Failed(failure),
    }
}

/// Keeps the stage's output in a file; shows the end of it if the stage fails.
fn run_in_background(repository: &Repository, stage: &Stage) -> Outcome {
    let file = repository
        .local("verify")
        .join(format!("{}.log", stage.name));
    let outcome = match Runner::file(repository, file.clone()) {
        Ok(runner) => attempt(&runner, stage),
        Err(failure) => return Outcome::Failed(failure),
    };
    if let Outcome::Failed(failure) = &outcome
        && let Err(unread) = show_end(&file)
    {
        return Outcome::Failed(format!("{failure}; {unread}"));
    }
    outcome
}

fn show_end(file: &Path) -> Result<(), String> {
    const LINES_SHOWN: usize = 120;
    let bytes = fs::read(file).map_err(|error| in_file(file, &error))?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
    println!(
        "--- the end of {}\n{}\n---",
        file.display(),
        shown.join("\n")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn names(line: &str) -> Result<Vec<&'static str>, String> {
        match parse(&words(line))? {
            Request::Run(stages) => Ok(stages.iter().map(|stage| stage.name).collect()),
            Request::Help | Request::List => Ok(Vec::new()),
        }
    }

    #[test]
    fn only_and_skip_choose_stages() {
        let usual = STAGES.len() - LONG.len();
        assert_eq!(names("").map(|all| all.len()), Ok(usual));
        assert_eq!(names("--long").map(|all| all.len()), Ok(STAGES.len()));
        assert_eq!(names("--only tidy"), Ok(vec!["tidy"]));
        assert_eq!(names("--only chaos"), Ok(vec!["chaos"]));
        assert_eq!(names("--skip tidy").map(|some| some.len()), Ok(usual - 1));
    }

    #[test]
    fn a_wrong_option_is_an_error_that_names_it() {
        for (line, named) in [
            ("--onyl tidy", "--onyl"),
            ("--only", "--only"),
            ("--only nothing", "nothing"),
            ("--only tidy --skip tidy", "nothing is left"),
        ] {
            let error = names(line).expect_err(line);
            assert!(error.contains(named), "{line}: {error}");
        }
    }

    #[test]
    fn a_stage_waits_only_for_earlier_ones() {
        for (index, stage) in STAGES.iter().enumerate() {
            for earlier in stage.after {
                let known = STAGES[..index].iter().any(|other| other.name == *earlier);
                assert!(
                    known,
                    "{} waits for {earlier}, which is not before it",
                    stage.name
                );
            }
            let same = STAGES
                .iter()
                .filter(|other| other.name == stage.name)
                .count();
            assert_eq!(same, 1, "{} is there twice", stage.name);
        }
    }

    #[test]
    fn a_failure_is_reported_and_counts_but_a_skip_does_not() {
        let wanted: Vec<&Stage> = STAGES.iter().take(2).collect();
        let board = Board::new(&wanted);
        board.note(wanted[0], Duration::ZERO, Outcome::Passed);
        board.note(wanted[1], Duration::ZERO, Outcome::Failed("broken".into()));
        assert!(board.report(&wanted, Duration::ZERO).is_err());
        board.note(wanted[1], Duration::ZERO, Outcome::Skipped("none".into()));
        assert!(board.report(&wanted, Duration::ZERO).is_ok());
    }

    #[test]
    fn what_is_long_or_optional_is_a_stage() {
        let optional = OPTIONAL.iter().map(|(name, _)| name);
        for name in optional.chain(LONG) {
            assert!(STAGES.iter().any(|stage| stage.name == *name), "{name}");
        }
    }
}
