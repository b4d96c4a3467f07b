//! The contract of every command: figures by name; a table for people or one JSON object for
//! programs; `--require` turns a figure into a condition and the exit code tells whether all held.

use std::borrow::Cow;
use std::process::ExitCode;
use std::str::FromStr;

use serde::Serialize;

/// Figures in the order in which a person should read them.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<(Cow<'static, str>, f64)>);

impl Figures {
    /// Adds a figure; its unit is the last word of its name.
    pub(crate) fn add(&mut self, name: impl Into<Cow<'static, str>>, value: f64) {
        self.0.push((name.into(), value));
    }

    fn get(&self, name: &str) -> Option<f64> {
        self.0
            .iter()
            .find(|(have, _)| *have == name)
            .map(|(_, value)| *value)
    }
}

/// A condition on one figure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Requirement {
    name: String,
    comparison: Comparison,
    bound: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    AtMost,
    AtLeast,
    Equal,
    Below,
    Above,
}

/// Two characters before one, so that `<=` is not read as `<`.
const COMPARISONS: [(&str, Comparison); 5] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("==", Comparison::Equal),
    ("<", Comparison::Below),
    (">", Comparison::Above),
];

impl FromStr for Requirement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let usage = || format!("'{text}' is not a condition such as 'answered_p99_ms<=1000'");
        let (sign, comparison) = COMPARISONS
            .into_iter()
            .find(|(sign, _)| text.contains(sign))
            .ok_or_else(usage)?;
        let (name, bound) = text.split_once(sign).ok_or_else(usage)?;
        let bound: f64 = bound.trim().parse().map_err(|_| usage())?;
        let name = name.trim().to_owned();
        if name.is_empty() || !bound.is_finite() {
            return Err(usage());
        }
        Ok(Self {
            name,
            comparison,
            bound,
        })
    }
}

impl Requirement {
    /// The figure must be 0.
    pub(crate) fn none(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            comparison: Comparison::Equal,
            bound: 0.0,
        }
    }

    /// Why it does not hold, if so.
    fn broken_by(&self, figures: &Figures) -> Option<String> {
        let Some(value) = figures.get(&self.name) else {
            return Some(format!("there is no figure '{}'", self.name));
        };
        let holds = match self.comparison {
            Comparison::AtMost => value <= self.bound,
            Comparison::AtLeast => value >= self.bound,
            Comparison::Equal => (value - self.bound).abs() < f64::EPSILON,
            Comparison::Below => value < self.bound,
            Comparison::Above => value > self.bound,
        };
        let Self { name, bound, .. } = self;
        (!holds).then(|| format!("{name} is {value}, required was {} {bound}", self.sign()))
    }

    fn sign(&self) -> &'static str {
        COMPARISONS
            .into_iter()
            .find(|(_, comparison)| *comparison == self.comparison)
            .map_or("", |(sign, _)| sign)
    }
}

#[derive(Serialize)]
struct Json<'a> {
    command: &'a str,
    figures: serde_json::Map<String, serde_json::Value>,
    ok: bool,
}

/// Prints the figures and gives the exit code.
pub(crate) fn print(
    command: &str,
    figures: &Figures,
    requirements: &[Requirement],
    json: bool,
) -> ExitCode {
    let broken: Vec<String> = requirements
        .iter()
        .filter_map(|r| r.broken_by(figures))
        .collect();
    let ok = broken.is_empty();
    if json {
        let figures = figures
            .0
            .iter()
            .map(|(name, value)| (name.clone().into_owned(), number(*value)));
        let object = Json {
            command,
            figures: figures.collect(),
            ok,
        };
        println!("{}", serde_json::to_string(&object).unwrap_or_default());
    } else {
        let width = figures
            .0
            .iter()
            .map(|(name, _)| name.len())
            .max()
            .unwrap_or(0);
        println!("{command}");
        for (name, value) in &figures.0 {
            println!("  {name:width$}  {}", number(*value));
        }
    }
    for reason in &broken {
        eprintln!("not as required: {reason}");
    }
    if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}

/// Counts without a point, the rest with one decimal, below ten with two, below one with three.
#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be a whole number in range"
)]
fn number(value: f64) -> serde_json::Value {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        (value as i64).into()
    } else {
        let scale = match value.abs() {
            small if small < 1.0 => 1e3,
            medium if medium < 10.0 => 1e2,
            _ => 1e1,
        };
        ((value * scale).round() / scale).into()
    }
}

/// The value below which `percent` of the sorted values are; 0 when there are none.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        let mut figures = Figures::default();
        figures.add("granted", 100.0);
        figures.add("answered_p99_ms", 12.34);
        figures
    }

    #[test]
    fn requirements_hold_or_say_why_not() {
        for (text, holds) in [
            ("granted==100", true),
            ("granted == 101", false),
            ("granted<=100", true),
            ("granted<100", false),
            ("answered_p99_ms>=12", true),
            ("answered_p99_ms>13", false),
            ("missing<=1", false),
        ] {
            let requirement: Requirement = text.parse().unwrap();
            assert_eq!(requirement.broken_by(&figures()).is_none(), holds, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_condition_is_refused() {
        for text in ["granted", "<=5", "granted<=many", "granted<=NaN", ""] {
            assert!(text.parse::<Requirement>().is_err(), "{text}");
        }
    }

    #[test]
    fn percentiles_are_of_the_sorted_values() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        assert!((percentile(&values, 50) - 50.0).abs() < f64::EPSILON);
        assert!((percentile(&values, 99) - 99.0).abs() < f64::EPSILON);
        assert!(percentile(&[], 99).abs() < f64::EPSILON);
    }
}
