//! Reads a CSV file (plain or gzip) into rows that belong together. Knows columns and groups, not what they mean.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::failure::{Failure, Result};

/// Longest cell that is taken; a longer one is most likely an unclosed quote.
const CELL_BYTES_MAX: usize = 256 * 1024;

/// A row as sent to the importer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    /// Line of the file where it begins; the header is 1.
    pub(crate) number: u64,
    pub(crate) cells: Vec<String>,
}

/// A file, read.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Row>,
    /// SHA-256 of the uncompressed content, hex.
    pub(crate) digest: String,
}

/// Reads `path`. Everything is kept in memory: a million rows of a hundred bytes are some 250 MB.
pub(crate) fn read(path: &Path, delimiter: Option<char>) -> Result<Source> {
    let file = File::open(path).map_err(|error| Failure::file("open", path, error))?;
    let gzip = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    let mut content = Vec::new();
    let read = if gzip {
        MultiGzDecoder::new(BufReader::new(file)).read_to_end(&mut content)
    } else {
        BufReader::new(file).read_to_end(&mut content)
    };
    read.map_err(|error| Failure::file("read", path, error))?;
    parse(&content, delimiter).map_err(|why| Failure::new("csv", format!("{}: {why}", path.display())))
}

fn parse(content: &[u8], delimiter: Option<char>) -> Result<Source, String> {
    let digest = hex::encode(Sha256::digest(content));
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let delimiter = match delimiter {
        Some(given) => match u8::try_from(given) {
            Ok(byte) if byte.is_ascii() => byte,
            _ => return Err(format!("`{given}` cannot separate columns: use an ASCII character")),
        },
        None => guess_delimiter(content),
    };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).has_headers(true).from_reader(content);
    let header = reader.byte_headers().map_err(|error| error.to_string())?.iter().map(text).collect::<Vec<_>>();
    if header.iter().all(String::is_empty) {
        return Err("the file has no header: its first line must name the columns".into());
    }
    let mut rows = Vec::new();
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(|error| error.to_string())? {
        let number = record.position().map_or(0, csv::Position::line);
        if record.iter().any(|cell| cell.len() > CELL_BYTES_MAX) {
            return Err(format!("line {number} has a cell of more than 256 KiB: is a quote unclosed?"));
        }
        rows.push(Row { number, cells: record.iter().map(text).collect() });
    }
    Ok(Source { header, rows, digest })
}

/// UTF-8, or else Windows-1252 as older spreadsheet programs write it.
fn text(cell: &[u8]) -> String {
    match std::str::from_utf8(cell) {
        Ok(text) => text.to_owned(),
        Err(_) => cell.iter().map(|byte| windows_1252(*byte)).collect(),
    }
}

fn windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    byte.checked_sub(0x80).and_then(|index| HIGH.get(usize::from(index))).copied().unwrap_or(char::from(byte))
}

fn guess_delimiter(content: &[u8]) -> u8 {
    let header = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| header.iter().filter(|byte| **byte == wanted).count();
    [b',', b';', b'\t'].into_iter().max_by_key(|delimiter| (count(*delimiter), *delimiter == b',')).unwrap_or(b',')
}

impl Source {
    /// Splits the rows into chunks in which rows with the same value (trimmed, without case) in the first non-empty of
    /// `columns` are together, groups in the order of their first rows. A group larger than a chunk is a chunk of its own.
    pub(crate) fn chunks(self, columns: &[usize], rows_max: usize, groups_max: usize) -> Vec<Vec<Row>> {
        let mut groups: Vec<Vec<Row>> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for row in self.rows {
            let cell = columns
                .iter()
                .filter_map(|column| row.cells.get(*column))
                .map(|cell| cell.trim())
                .find(|cell| !cell.is_empty());
            match cell.map(str::to_lowercase) {
                // Rows without a value belong to nothing, so each is its own group.
                None => groups.push(vec![row]),
                Some(key) => {
                    let place = *places.entry(key).or_insert_with(|| {
                        groups.push(Vec::new());
                        groups.len() - 1
                    });
                    if let Some(group) = groups.get_mut(place) {
                        group.push(row);
                    }
                }
            }
        }
        let mut chunks: Vec<Vec<Row>> = Vec::new();
        let mut groups_in_chunk = 0;
        for group in groups {
            match chunks.last_mut() {
                Some(chunk) if chunk.len() + group.len() <= rows_max && groups_in_chunk < groups_max => {
                    chunk.extend(group);
                    groups_in_chunk += 1;
                }
                _ => {
                    chunks.push(group);
                    groups_in_chunk = 1;
                }
            }
        }
        chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_odd_files() {
        for (content, header, cells) in [
            (&b"a,b\n1,2\n"[..], ["a", "b"], ["1", "2"]),
            (b"\xef\xbb\xbfa;b\r\n1;\"2\"\r\n", ["a", "b"], ["1", "2"]),
            (b"a\tb\n\xe4\t\x80\n", ["a", "b"], ["ä", "€"]),
            ("a,b\n\"x,\ny\",ü\n".as_bytes(), ["a", "b"], ["x,\ny", "ü"]),
        ] {
            let source = parse(content, None).unwrap();
            assert_eq!(
                (source.header, source.rows[0].cells.clone()),
                (header.map(str::to_owned).to_vec(), cells.map(str::to_owned).to_vec())
            );
        }
        assert!(parse(b"", None).unwrap_err().contains("no header"));
        assert!(parse(b"a\n1\n", Some('ä')).unwrap_err().contains("ASCII"));
    }

    #[test]
    fn groups_stay_together() {
        let source = parse(b"g,v\nA,1\nB,2\na ,3\n,4\n,5\nC,6\nB,7\n", None).unwrap();
        let numbers: Vec<Vec<u64>> = source
            .chunks(&[0], 3, 2)
            .into_iter()
            .map(|chunk| chunk.into_iter().map(|row| row.number).collect())
            .collect();
        assert_eq!(numbers, [vec![2, 4], vec![3, 8, 5], vec![6, 7]]);
    }
}
