//! The machine: runs invocations to a committed end, delivers events, runs jobs, switches revisions. SKELETON to be written.
