//! What was measured, as a table for people or as JSON lines for programs.

use std::io::Write;

use serde::Serialize;

/// A measurement.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// In the same unit, measured in the same run.
    pub(crate) baseline: Option<f64>,
    /// Value / baseline.
    pub(crate) ratio: Option<f64>,
    /// What it should be, in words.
    pub(crate) target: Option<String>,
    pub(crate) met: Option<bool>,
    /// What the value and the baseline include.
    pub(crate) includes: String,
}

impl Line {
    /// A measurement without baseline and target.
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str, includes: impl Into<String>) -> Self {
        let (name, includes) = (name.into(), includes.into());
        Self { name, value, unit, baseline: None, ratio: None, target: None, met: None, includes }
    }

    /// Compared with something measured in the same run.
    #[must_use]
    pub(crate) fn against(self, baseline: f64) -> Self {
        let ratio = (baseline != 0.0).then(|| self.value / baseline);
        Self { baseline: Some(baseline), ratio, ..self }
    }

    /// The value must not be above this.
    #[must_use]
    pub(crate) fn at_most(self, most: f64) -> Self {
        Self { target: Some(format!("<= {most} {}", self.unit)), met: Some(self.value <= most), ..self }
    }

    /// The value must not be below this.
    #[must_use]
    pub(crate) fn at_least(self, least: f64) -> Self {
        Self { target: Some(format!(">= {least} {}", self.unit)), met: Some(self.value >= least), ..self }
    }

    /// The ratio must not be above this.
    #[must_use]
    pub(crate) fn ratio_at_most(self, most: f64) -> Self {
        Self { target: Some(format!("ratio <= {most}")), met: self.ratio.map(|ratio| ratio <= most), ..self }
    }

    /// The ratio must not be below this.
    #[must_use]
    pub(crate) fn ratio_at_least(self, least: f64) -> Self {
        Self { target: Some(format!("ratio >= {least}")), met: self.ratio.map(|ratio| ratio >= least), ..self }
    }
}

/// Where lines go.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    missed: Vec<String>,
    lines: usize,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        let report = Self { json, missed: Vec::new(), lines: 0 };
        if !json {
            print(&format!(
                "{:<44} {:>11} {:<9} {:>11} {:>7}  {:<20} MET",
                "NAME", "VALUE", "UNIT", "BASELINE", "RATIO", "TARGET"
            ));
        }
        report
    }

    /// Prints a line at once: a bench that is broken off has still said something.
    pub(crate) fn add(&mut self, line: &Line) {
        self.lines += 1;
        if line.met == Some(false) {
            self.missed.push(line.name.clone());
        }
        if self.json {
            print(&serde_json::to_string(line).unwrap_or_default());
            return;
        }
        let number = |value: Option<f64>| value.map(shortened).unwrap_or_default();
        let met = match line.met {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        print(&format!(
            "{:<44} {:>11} {:<9} {:>11} {:>7}  {:<20} {met}",
            line.name,
            shortened(line.value),
            line.unit,
            number(line.baseline),
            number(line.ratio),
            line.target.as_deref().unwrap_or_default(),
        ));
        print(&format!("    {}", line.includes));
    }

    /// The last word.
    pub(crate) fn finish(&self) {
        if self.missed.is_empty() {
            say(&format!("{} lines, every target met", self.lines));
        } else {
            say(&format!("{} lines; targets missed: {}", self.lines, self.missed.join(", ")));
        }
    }
}

/// Enough digits to compare, and no more.
fn shortened(value: f64) -> String {
    match value.abs() {
        large if large >= 1_000.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    // A closed pipe is no error of ours.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Says what is going on, to standard error.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
