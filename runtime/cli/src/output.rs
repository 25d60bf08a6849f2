//! What a command prints: results to standard output (text, or JSON with `--json`), everything else to standard error.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// The result of a command: `text` for people, `value` for scripts.
    pub(crate) fn result(self, value: &impl Serialize, text: impl FnOnce() -> String) {
        let rendered = if self.json {
            serde_json::to_string(value).unwrap_or_else(|error| json!({ "error": error.to_string() }).to_string())
        } else {
            text()
        };
        if !rendered.is_empty() {
            // A closed pipe (`kontor ... | head`) is no error of ours.
            let _ = writeln!(std::io::stdout(), "{}", rendered.trim_end());
        }
    }

    /// Says what is going on, to standard error.
    pub(crate) fn say(self, text: impl AsRef<str>) {
        let _ = writeln!(std::io::stderr(), "{}", text.as_ref());
    }

    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            let error =
                json!({ "error": { "code": failure.code, "message": failure.message, "details": failure.details } });
            let _ = writeln!(std::io::stdout(), "{error}");
        }
        let mut text = format!("error [{}]: {}", failure.code, failure.message);
        for detail in &failure.details {
            text.push_str("\n  ");
            text.push_str(&detail.replace('\n', "\n  "));
        }
        self.say(text);
    }

    /// A spinner for work of unknown length.
    pub(crate) fn spinner(self, text: &str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(None, target());
        bar.set_style(
            ProgressStyle::with_template("{spinner} {msg} [{elapsed}]")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        bar.set_message(text.to_owned());
        bar.enable_steady_tick(std::time::Duration::from_millis(120));
        if !std::io::stderr().is_terminal() {
            self.say(text);
        }
        bar
    }

    /// A bar for work of known length.
    pub(crate) fn bar(self, text: &str, total: u64) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(total), target());
        bar.set_style(
            ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {per_sec} eta {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message(text.to_owned());
        bar
    }
}

fn target() -> ProgressDrawTarget {
    ProgressDrawTarget::stderr_with_hz(8)
}

/// Rows as aligned columns under a header.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = header
        .iter()
        .enumerate()
        .map(|(column, name)| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([name.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(header.to_vec())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn tables_align() {
        let rows = vec![vec!["a".into(), "long".into()], vec!["bcd".into(), "x".into()]];
        assert_eq!(table(&["ID", "NAME"], &rows), "ID   NAME\na    long\nbcd  x");
    }
}
