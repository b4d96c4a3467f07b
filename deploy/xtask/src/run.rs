//! Runs commands, and sends what they print to the terminal or to a file. Knows no command.

use crate::repository::{Repository, in_file};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the commands of one stage write.
pub(crate) enum Output {
    /// Straight to whoever started us.
    Terminal,
    /// Into a file, because another stage has the terminal.
    File(PathBuf),
}

/// Runs the commands of one stage in one repository.
pub(crate) struct Runner<'a> {
    pub(crate) repository: &'a Repository,
    output: Output,
}

impl<'a> Runner<'a> {
    /// Writes to the terminal.
    pub(crate) fn terminal(repository: &'a Repository) -> Self {
        Self {
            repository,
            output: Output::Terminal,
        }
    }

    /// Writes to a file of its own, emptied first.
    pub(crate) fn file(repository: &'a Repository, file: PathBuf) -> Result<Self, String> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(|error| in_file(folder, &error))?;
        }
        File::create(&file).map_err(|error| in_file(&file, &error))?;
        Ok(Self {
            repository,
            output: Output::File(file),
        })
    }

    /// A command that finds the programs installed into the clone and runs at its top.
    pub(crate) fn command(&self, program: &str) -> Result<Command, String> {
        let mut command = Command::new(program);
        command
            .current_dir(self.repository.root())
            .env("PATH", self.repository.path()?);
        // `cargo run` describes this package to us. A cargo that we start would take that for a
        // change of what some build scripts watch, and compile half of the server again.
        for (name, _) in std::env::vars_os() {
            let is_ours = name.to_str().is_some_and(|name| {
                name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
            });
            if is_ours {
                command.env_remove(name);
            }
        }
        Ok(command)
    }

    /// Runs `program` with `arguments` in `folder`; an exit status other than 0 is an error.
    pub(crate) fn run_in(
        &self,
        folder: &str,
        program: &str,
        arguments: &[&str],
    ) -> Result<(), String> {
        let mut command = self.command(program)?;
        command
            .args(arguments)
            .current_dir(self.repository.at(folder));
        self.run(&mut command)
    }

    /// Runs a command whose success only saves time: what it prints and how it ends is dropped,
    /// because the step that needs it meets the same failure and reports it.
    pub(crate) fn run_quietly(&self, program: &str, arguments: &[&str]) {
        if let Ok(mut command) = self.command(program) {
            answer(command.args(arguments));
        }
    }

    /// Runs a command to its end; an exit status other than 0 is an error.
    pub(crate) fn run(&self, command: &mut Command) -> Result<(), String> {
        // Nobody is there to answer a question: a tool that asks one must fail, not wait.
        self.run_with_input(command, Stdio::null())
    }

    /// The same for a command that reads its standard input.
    pub(crate) fn run_with_input(&self, command: &mut Command, input: Stdio) -> Result<(), String> {
        let line = self.readable(command);
        self.say(&format!("$ {line}"))?;
        command.stdin(input);
        if let Output::File(file) = &self.output {
            command.stdout(open(file)?).stderr(open(file)?);
        }
        let status = command
            .status()
            .map_err(|error| format!("`{line}` does not run: {error}"))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("`{line}` ended with {status}"))
        }
    }

    /// One line for whoever reads this stage's output.
    pub(crate) fn say(&self, line: &str) -> Result<(), String> {
        use std::io::Write as _;
        match &self.output {
            Output::Terminal => println!("{line}"),
            Output::File(file) => {
                writeln!(open(file)?, "{line}").map_err(|error| in_file(file, &error))?;
            }
        }
        Ok(())
    }

    /// The command as a person would type it at the top of the clone.
    fn readable(&self, command: &Command) -> String {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let line = words
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ");
        let folder = command.get_current_dir().unwrap_or(self.repository.root());
        match folder.strip_prefix(self.repository.root()) {
            Ok(inside) if inside == Path::new("") => line,
            Ok(inside) => format!("cd {} && {line}", inside.display()),
            Err(_) => format!("cd {} && {line}", folder.display()),
        }
    }
}

/// What a command prints on its standard output, trimmed, or nothing if it fails or is not there.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn open(file: &Path) -> Result<File, String> {
    File::options()
        .append(true)
        .open(file)
        .map_err(|error| in_file(file, &error))
}
