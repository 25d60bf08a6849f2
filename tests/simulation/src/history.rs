//! Histories of transactions that append to lists and read them, in the form that outside isolation checkers read (Elle's
//! `list-append`), and a checker of our own: lost, repeated and aborted appends, reads of what never was, and cycles of dependencies.
//! Time counts as a dependency too, so what passes is strictly serializable as far as the history shows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Appends a value, which no other operation appends, to the list with this key.
    Append(String, u64),
    /// Reads the list; what it found, once that is known.
    Read(String, Option<Vec<u64>>),
}

/// How a transaction ended, as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out.
    Ok,
    /// It was not, and never will be.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// By list and value, which transaction appended it, and whether it was its last to that list.
type Writers<'a> = BTreeMap<(&'a str, u64), (usize, bool)>;

#[derive(Clone, Debug)]
struct Transaction {
    process: u32,
    operations: Vec<Operation>,
    begun_ms: u64,
    /// Position of its beginning in the history.
    begun_at: usize,
    /// Position and time of its end, and how.
    ended: Option<(usize, u64, Outcome)>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct History {
    transactions: Vec<Transaction>,
    positions: usize,
}

impl History {
    /// A client begins a transaction; returns its number.
    pub fn invoke(&mut self, process: u32, now_ms: u64, operations: Vec<Operation>) -> usize {
        let begun_at = self.next();
        self.transactions.push(Transaction { process, operations, begun_ms: now_ms, begun_at, ended: None });
        self.transactions.len() - 1
    }

    fn next(&mut self) -> usize {
        self.positions += 1;
        self.positions - 1
    }

    /// It was carried out; what its reads found, by operation.
    pub fn ok(&mut self, number: usize, now_ms: u64, found: &[Option<Vec<u64>>]) {
        let at = self.next();
        if let Some(transaction) = self.transactions.get_mut(number) {
            for (operation, found) in transaction.operations.iter_mut().zip(found) {
                if let Operation::Read(_, read) = operation {
                    read.clone_from(found);
                }
            }
            transaction.ended = Some((at, now_ms, Outcome::Ok));
        }
    }

    /// It was not carried out and never will be.
    pub fn failed(&mut self, number: usize, now_ms: u64) {
        self.end(number, now_ms, Outcome::Failed);
    }

    /// Nobody knows.
    pub fn unknown(&mut self, number: usize, now_ms: u64) {
        self.end(number, now_ms, Outcome::Unknown);
    }

    fn end(&mut self, number: usize, now_ms: u64, outcome: Outcome) {
        let at = self.next();
        if let Some(transaction) = self.transactions.get_mut(number) {
            transaction.ended = Some((at, now_ms, outcome));
        }
    }

    /// How many transactions it has.
    pub fn len(&self) -> usize {
        self.transactions.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }

    /// As EDN, one map a line, as `elle-cli --model list-append` reads it. A process whose transaction ended unknown never comes back: what
    /// the same client does next is told as another process.
    pub fn to_edn(&self) -> String {
        let mut lines: BTreeMap<usize, String> = BTreeMap::new();
        let mut incarnations: BTreeMap<u32, u64> = BTreeMap::new();
        let mut order: Vec<&Transaction> = self.transactions.iter().collect();
        order.sort_by_key(|transaction| transaction.begun_at);
        for transaction in order {
            let incarnation = incarnations.entry(transaction.process).or_default();
            let process = u64::from(transaction.process) + *incarnation * 1_000_000;
            let line = |kind: &str, at: usize, ms: u64, found: bool| {
                let value = edn_of(&transaction.operations, found);
                let time = ms.saturating_mul(1_000_000);
                format!("{{:index {at}, :type :{kind}, :process {process}, :time {time}, :f :txn, :value {value}}}")
            };
            lines.insert(transaction.begun_at, line("invoke", transaction.begun_at, transaction.begun_ms, false));
            let Some((at, ms, outcome)) = transaction.ended else { continue };
            let kind = match outcome {
                Outcome::Ok => "ok",
                Outcome::Failed => "fail",
                Outcome::Unknown => "info",
            };
            if outcome == Outcome::Unknown {
                *incarnation += 1;
            }
            lines.insert(at, line(kind, at, ms, outcome == Outcome::Ok));
        }
        lines.into_values().fold(String::new(), |mut text, line| {
            text.push_str(&line);
            text.push('\n');
            text
        })
    }

    /// Checks the history against the lists as they are in the end.
    ///
    /// # Errors
    ///
    /// What is wrong, with the transactions that show it.
    pub fn check(&self, lists: &BTreeMap<String, Vec<u64>>) -> Result<(), String> {
        let writers = self.writers()?;
        self.check_lists(lists, &writers)?;
        for (number, transaction) in self.transactions.iter().enumerate() {
            if transaction.outcome() == Outcome::Ok {
                self.check_reads(number, transaction, lists, &writers)?;
            }
        }
        self.check_cycles(lists, &writers)
    }

    /// Who appended what.
    fn writers(&self) -> Result<Writers<'_>, String> {
        let mut writers = BTreeMap::new();
        for (number, transaction) in self.transactions.iter().enumerate() {
            let mut last: BTreeMap<&str, u64> = BTreeMap::new();
            for operation in &transaction.operations {
                if let Operation::Append(key, value) = operation {
                    if writers.insert((key.as_str(), *value), (number, false)).is_some() {
                        return Err(format!("the history itself appends {value} to {key} twice"));
                    }
                    last.insert(key, *value);
                }
            }
            for written in last {
                writers.insert(written, (number, true));
            }
        }
        Ok(writers)
    }

    /// Every list: values that someone appended, each once, none of a failed transaction, and all of those carried out.
    fn check_lists(&self, lists: &BTreeMap<String, Vec<u64>>, writers: &Writers<'_>) -> Result<(), String> {
        for (key, list) in lists {
            let mut seen = BTreeSet::new();
            for value in list {
                if !seen.insert(*value) {
                    return Err(format!("{value} is in {key} twice"));
                }
                match writers.get(&(key.as_str(), *value)).and_then(|(number, _)| self.transactions.get(*number)) {
                    None => return Err(format!("nobody appended {value} to {key}")),
                    Some(writer) if writer.outcome() == Outcome::Failed => {
                        return Err(format!("{value} in {key} is of a transaction that failed (G1a)"));
                    }
                    Some(_) => {}
                }
            }
        }
        for ((key, value), (number, _)) in writers {
            let is_ok = self.transactions.get(*number).is_some_and(|writer| writer.outcome() == Outcome::Ok);
            let is_there = lists.get(*key).is_some_and(|list| list.contains(value));
            if is_ok && !is_there {
                return Err(format!("{value}, appended to {key}, is lost"));
            }
        }
        for (number, transaction) in self.transactions.iter().enumerate() {
            self.check_whole(number, transaction, lists)?;
        }
        Ok(())
    }

    /// All appends of a transaction are there, or none.
    fn check_whole(
        &self,
        number: usize,
        transaction: &Transaction,
        lists: &BTreeMap<String, Vec<u64>>,
    ) -> Result<(), String> {
        let appends = transaction.operations.iter().filter_map(|operation| match operation {
            Operation::Append(key, value) => Some(lists.get(key).is_some_and(|list| list.contains(value))),
            Operation::Read(..) => None,
        });
        let there: BTreeSet<bool> = appends.collect();
        match there.len() {
            2 => Err(format!("transaction {number} is half there: {:?}", transaction.operations)),
            _ => Ok(()),
        }
    }

    /// What a transaction read: a beginning of the list as it became, then its own appends so far; and never a part of another transaction.
    fn check_reads(
        &self,
        number: usize,
        transaction: &Transaction,
        lists: &BTreeMap<String, Vec<u64>>,
        writers: &Writers<'_>,
    ) -> Result<(), String> {
        for (key, read, own) in transaction.reads() {
            let Some(before) = read.strip_suffix(own.as_slice()) else {
                return Err(format!("transaction {number} read {read:?} of {key} without its own {own:?}"));
            };
            let list = lists.get(key).map(Vec::as_slice).unwrap_or_default();
            if !list.starts_with(before) {
                return Err(format!("transaction {number} read {read:?} of {key}, which became {list:?}"));
            }
            let last = before.last().and_then(|value| writers.get(&(key, *value)));
            if let Some((writer, false)) = last
                && *writer != number
            {
                return Err(format!("transaction {number} read {key} in the middle of transaction {writer} (G1b)"));
            }
        }
        Ok(())
    }

    /// No transaction depends on itself.
    fn check_cycles(&self, lists: &BTreeMap<String, Vec<u64>>, writers: &Writers<'_>) -> Result<(), String> {
        let mut edges: BTreeMap<usize, BTreeMap<usize, &'static str>> = BTreeMap::new();
        let mut edge = |from: usize, to: usize, why: &'static str| {
            if from != to {
                edges.entry(from).or_default().entry(to).or_insert(why);
            }
        };
        let writer = |key: &str, value: &u64| writers.get(&(key, *value)).map(|(number, _)| *number);
        for (key, list) in lists {
            for pair in list.windows(2) {
                if let [one, next] = pair
                    && let (Some(one), Some(next)) = (writer(key, one), writer(key, next))
                {
                    edge(one, next, "ww");
                }
            }
        }
        for (number, transaction) in self.transactions.iter().enumerate() {
            if transaction.outcome() != Outcome::Ok {
                continue;
            }
            for (key, read, own) in transaction.reads() {
                let seen = read.len().saturating_sub(own.len());
                let list = lists.get(key).map(Vec::as_slice).unwrap_or_default();
                if let Some(one) = seen.checked_sub(1).and_then(|last| list.get(last)).and_then(|v| writer(key, v)) {
                    edge(one, number, "wr");
                }
                if let Some(next) = list.get(seen).and_then(|value| writer(key, value)) {
                    edge(number, next, "rw");
                }
            }
            let Some((ended_at, ..)) = transaction.ended else { continue };
            for (later, other) in self.transactions.iter().enumerate() {
                if other.begun_at > ended_at && self.is_visible(other, lists) {
                    edge(number, later, "before");
                }
            }
        }
        match cycle(&edges) {
            None => Ok(()),
            Some(cycle) => {
                let mut text = "a cycle:".to_owned();
                for (number, why) in cycle {
                    let operations = self.transactions.get(number).map(|transaction| &transaction.operations);
                    let _ = write!(text, "\n  {number} {:?} -{why}->", operations.unwrap_or(&Vec::new()));
                }
                Err(text)
            }
        }
    }

    /// Whether a transaction is known to have happened.
    fn is_visible(&self, transaction: &Transaction, lists: &BTreeMap<String, Vec<u64>>) -> bool {
        transaction.outcome() == Outcome::Ok
            || transaction.operations.iter().any(|operation| match operation {
                Operation::Append(key, value) => lists.get(key).is_some_and(|list| list.contains(value)),
                Operation::Read(..) => false,
            })
    }
}

impl Transaction {
    fn outcome(&self) -> Outcome {
        self.ended.map_or(Outcome::Unknown, |(_, _, outcome)| outcome)
    }

    /// Its reads that were answered, each with its own appends to that list before.
    fn reads(&self) -> Vec<(&str, &[u64], Vec<u64>)> {
        let mut own: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        let mut reads = Vec::new();
        for operation in &self.operations {
            match operation {
                Operation::Append(key, value) => own.entry(key).or_default().push(*value),
                Operation::Read(key, Some(read)) => {
                    reads.push((key.as_str(), read.as_slice(), own.get(key.as_str()).cloned().unwrap_or_default()));
                }
                Operation::Read(_, None) => {}
            }
        }
        reads
    }
}

fn edn_of(operations: &[Operation], found: bool) -> String {
    let parts: Vec<String> = operations
        .iter()
        .map(|operation| match operation {
            Operation::Append(key, value) => format!("[:append :{key} {value}]"),
            Operation::Read(key, Some(read)) if found => {
                let numbers: Vec<String> = read.iter().map(u64::to_string).collect();
                format!("[:r :{key} [{}]]", numbers.join(" "))
            }
            Operation::Read(key, _) => format!("[:r :{key} nil]"),
        })
        .collect();
    format!("[{}]", parts.join(" "))
}

type Edges = BTreeMap<usize, BTreeMap<usize, &'static str>>;

/// A cycle, if there is one: its nodes, each with the reason of the edge that leaves it.
fn cycle(edges: &Edges) -> Option<Vec<(usize, &'static str)>> {
    let mut done = BTreeSet::new();
    for start in edges.keys() {
        // Depth first, with the path kept, so that the way back is the cycle.
        let mut path: Vec<(usize, &'static str)> = Vec::new();
        let mut stack: Vec<(usize, usize, &'static str)> = vec![(*start, 0, "")];
        while let Some((node, depth, why)) = stack.pop() {
            path.truncate(depth);
            if let Some(last) = path.last_mut() {
                last.1 = why;
            }
            if let Some(first) = path.iter().position(|(on_path, _)| *on_path == node) {
                return path.get(first..).map(<[_]>::to_vec);
            }
            if !done.insert(node) {
                continue;
            }
            path.push((node, ""));
            for (next, why) in edges.get(&node).into_iter().flatten() {
                stack.push((*next, path.len(), why));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(key: &str, value: u64) -> Operation {
        Operation::Append(key.to_owned(), value)
    }

    fn read(key: &str, found: &[u64]) -> Operation {
        Operation::Read(key.to_owned(), Some(found.to_vec()))
    }

    /// Transactions that all overlap, carried out.
    fn overlapping(transactions: &[&[Operation]]) -> History {
        let mut history = History::default();
        let begun: Vec<usize> =
            (0_u32..).zip(transactions).map(|(process, t)| history.invoke(process, 0, t.to_vec())).collect();
        for (number, transaction) in begun.into_iter().zip(transactions) {
            let found: Vec<Option<Vec<u64>>> = transaction
                .iter()
                .map(|operation| match operation {
                    Operation::Read(_, found) => found.clone(),
                    Operation::Append(..) => None,
                })
                .collect();
            history.ok(number, 1, &found);
        }
        history
    }

    fn lists(lists: &[(&str, &[u64])]) -> BTreeMap<String, Vec<u64>> {
        lists.iter().map(|(key, list)| ((*key).to_owned(), list.to_vec())).collect()
    }

    #[test]
    fn what_is_serializable_passes() {
        let history = overlapping(&[
            &[append("x", 1), read("x", &[1]), append("y", 1)],
            &[read("x", &[1]), append("x", 2), read("x", &[1, 2])],
            &[read("y", &[]), read("x", &[])],
        ]);
        history.check(&lists(&[("x", &[1, 2]), ("y", &[1])])).unwrap();
    }

    #[test]
    fn anomalies_are_found() {
        type Case<'a> = (&'a str, Vec<&'a [Operation]>, Vec<(&'a str, &'a [u64])>);
        let (one, two) = (append("x", 1), append("x", 2));
        let lost = [one.clone()];
        let skew_a = [read("x", &[]), append("y", 1)];
        let skew_b = [read("y", &[]), append("x", 1)];
        let torn = [append("x", 1), append("x", 2)];
        let saw_middle = [read("x", &[1])];
        let stale = [read("x", &[2])];
        let forgot_own = [one.clone(), read("x", &[])];
        let half = [append("x", 1), append("y", 1)];
        let fractured = [read("x", &[1]), read("y", &[])];
        let cases: Vec<Case<'_>> = vec![
            ("lost", vec![&lost], vec![]),
            ("twice", vec![&lost], vec![("x", &[1, 1])]),
            ("nobody", vec![&lost], vec![("x", &[1, 7])]),
            ("cycle", vec![&skew_a, &skew_b], vec![("x", &[1]), ("y", &[1])]),
            ("G1b", vec![&torn, &saw_middle], vec![("x", &[1, 2])]),
            ("became", vec![std::slice::from_ref(&one), std::slice::from_ref(&two), &stale], vec![("x", &[1, 2])]),
            ("without its own", vec![&forgot_own], vec![("x", &[1])]),
            ("lost", vec![&half], vec![("x", &[1])]),
            ("cycle", vec![&half, &fractured], vec![("x", &[1]), ("y", &[1])]),
        ];
        for (wanted, transactions, ended) in cases {
            let error = overlapping(&transactions).check(&lists(&ended)).unwrap_err();
            assert!(error.contains(wanted), "{wanted}: {error}");
        }
    }

    #[test]
    fn time_counts_and_failures_leave_nothing() {
        let mut history = History::default();
        let first = history.invoke(1, 0, vec![append("x", 1)]);
        history.ok(first, 1, &[None]);
        let late = history.invoke(2, 2, vec![Operation::Read("x".into(), None)]);
        history.ok(late, 3, &[Some(vec![])]);
        let error = history.check(&lists(&[("x", &[1])])).unwrap_err();
        assert!(error.contains("cycle") && error.contains("before"), "{error}");

        let mut history = History::default();
        let first = history.invoke(1, 0, vec![append("x", 1)]);
        history.failed(first, 1);
        assert!(history.check(&lists(&[("x", &[1])])).unwrap_err().contains("G1a"));
        history.check(&lists(&[])).unwrap();

        let mut history = History::default();
        let first = history.invoke(1, 0, vec![append("x", 1), append("y", 1)]);
        history.unknown(first, 1);
        history.check(&lists(&[])).unwrap();
        history.check(&lists(&[("x", &[1]), ("y", &[1])])).unwrap();
        assert!(history.check(&lists(&[("x", &[1])])).unwrap_err().contains("half"));
    }

    #[test]
    fn histories_are_written_as_elle_reads_them() {
        let mut history = History::default();
        let first = history.invoke(4, 5, vec![append("x", 1), Operation::Read("y".into(), None)]);
        let lost = history.invoke(5, 6, vec![append("y", 2)]);
        history.ok(first, 7, &[None, Some(vec![9, 8])]);
        history.unknown(lost, 8);
        let next = history.invoke(5, 9, vec![append("y", 3)]);
        history.failed(next, 9);
        let lines = [
            "{:index 0, :type :invoke, :process 4, :time 5000000, :f :txn, :value [[:append :x 1] [:r :y nil]]}",
            "{:index 1, :type :invoke, :process 5, :time 6000000, :f :txn, :value [[:append :y 2]]}",
            "{:index 2, :type :ok, :process 4, :time 7000000, :f :txn, :value [[:append :x 1] [:r :y [9 8]]]}",
            "{:index 3, :type :info, :process 5, :time 8000000, :f :txn, :value [[:append :y 2]]}",
            "{:index 4, :type :invoke, :process 1000005, :time 9000000, :f :txn, :value [[:append :y 3]]}",
            "{:index 5, :type :fail, :process 1000005, :time 9000000, :f :txn, :value [[:append :y 3]]}",
        ];
        assert_eq!(history.to_edn(), lines.join("\n") + "\n");
    }
}
