//! Keeps what the machine says of itself.

use std::sync::{Mutex, PoisonError};

use kontor_core::observer::{InvocationReport, LogLine, Observer};

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    lines: Mutex<Vec<LogLine>>,
    reports: Mutex<Vec<InvocationReport>>,
}

impl Recorder {
    pub(crate) fn lines(&self) -> Vec<LogLine> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn reports(&self) -> Vec<InvocationReport> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Observer for Recorder {
    fn log(&self, line: &LogLine) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
    }

    fn invocation(&self, report: &InvocationReport) {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).push(report.clone());
    }
}
