//! Finding products: words, the order of pages, and cursors.
//!
//! Two indexes make every page cheap however large the catalogue is: *words* (word, product) for searching and *titles*
//! (scope, status, title, product) for browsing. A page reads a bounded piece of one of them from where the last page ended;
//! nothing is counted and nothing is skipped.

use crate::error::Error;
use crate::product::{Product, Status, check_category};
use serde::{Deserialize, Serialize};

/// Products of one page.
pub(crate) const PAGE_MAX: u32 = 250;
/// Words of one product; variants beyond them are found by number, not by word.
pub(crate) const WORDS_OF_PRODUCT_MAX: usize = 2_000;
/// Characters of a word that are indexed and compared.
const WORD_CHARACTERS_MAX: usize = 32;
/// Words of one query; the longest are the ones that narrow.
const QUERY_WORDS_MAX: usize = 8;
/// Characters of one query.
const QUERY_CHARACTERS_MAX: usize = 200;
/// Index rows that one page looks at; then it ends, perhaps short, with a cursor.
const ROWS_PER_PAGE_MAX: usize = 2_000;
/// Rows read to learn which word of a query is the rarest.
const PROBE_ROWS: u32 = 64;

/// Which products to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) text: String,
    pub(crate) category: Option<String>,
    pub(crate) status: Option<Status>,
    pub(crate) cursor: Option<String>,
    pub(crate) limit: u32,
}

/// A page of products.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Page {
    pub(crate) products: Vec<Product>,
    pub(crate) next_cursor: Option<String>,
}

/// A row of the word index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WordRow {
    pub(crate) word: String,
    pub(crate) product_id: String,
}

/// A row of the title index, within a scope and a status.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TitleRow {
    pub(crate) title_key: String,
    pub(crate) product_id: String,
}

/// The indexes.
pub(crate) trait Indexes {
    /// Rows whose word begins with `prefix`, ascending, after `after`.
    fn words(&self, prefix: &str, after: Option<&WordRow>, limit: u32) -> Result<Vec<WordRow>, Error>;
    /// Rows of a scope and status, ascending, after `after`.
    fn titles(&self, scope: &str, status: Status, after: Option<&TitleRow>, limit: u32)
    -> Result<Vec<TitleRow>, Error>;
    /// The products with these ids, in their order.
    fn products(&self, ids: &[String]) -> Result<Vec<Option<Product>>, Error>;
}

/// Where a page ended. Opaque to callers.
#[derive(Debug, Serialize, Deserialize)]
enum Cursor {
    Titles { title: String, id: String },
    Words { driver: String, word: String, id: String },
}

/// A page of products: by title, or (with text) those that have all its words.
pub(crate) fn search(indexes: &impl Indexes, query: &Query) -> Result<Page, Error> {
    if !(1..=PAGE_MAX).contains(&query.limit) {
        return Err(Error::Invalid(format!("limit: {}; 1 to {PAGE_MAX} are allowed", query.limit)));
    }
    if query.text.chars().count() > QUERY_CHARACTERS_MAX {
        return Err(Error::Invalid(format!("text: more than {QUERY_CHARACTERS_MAX} characters")));
    }
    if let Some(category) = &query.category {
        check_category(category)?;
    }
    let cursor = query.cursor.as_deref().map(decode_cursor::<Cursor>).transpose()?;
    let words = query_words(&query.text);
    if words.is_empty() {
        // A text of punctuation alone finds nothing; only an empty one lists everything.
        return if query.text.trim().is_empty() {
            browse(indexes, query, cursor)
        } else {
            Ok(Page { products: vec![], next_cursor: None })
        };
    }
    find(indexes, query, &words, cursor)
}

/// Merges the title index of the statuses asked for.
fn browse(indexes: &impl Indexes, query: &Query, cursor: Option<Cursor>) -> Result<Page, Error> {
    let after = match cursor {
        None => None,
        Some(Cursor::Titles { title, id }) => Some(TitleRow { title_key: title, product_id: id }),
        Some(Cursor::Words { .. }) => return Err(foreign_cursor()),
    };
    let statuses: &[Status] = match &query.status {
        Some(status) => std::slice::from_ref(status),
        None => &[Status::Draft, Status::Active],
    };
    let scope = query.category.as_deref().unwrap_or_default();
    let mut rows = Vec::new();
    for status in statuses {
        // Each may fill the page alone; one more tells whether there is a next page.
        rows.extend(indexes.titles(scope, *status, after.as_ref(), query.limit + 1)?);
    }
    rows.sort();
    let limit = query.limit as usize;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = match rows.last() {
        Some(last) if more => {
            Some(encode_cursor(&Cursor::Titles { title: last.title_key.clone(), id: last.product_id.clone() })?)
        }
        _ => None,
    };
    let ids: Vec<String> = rows.into_iter().map(|row| row.product_id).collect();
    Ok(Page { products: indexes.products(&ids)?.into_iter().flatten().collect(), next_cursor })
}

/// Walks the rows of one word and keeps the products that have the others too.
fn find(indexes: &impl Indexes, query: &Query, words: &[String], cursor: Option<Cursor>) -> Result<Page, Error> {
    let (driver, mut after) = match cursor {
        None => (rarest(indexes, words)?, None),
        Some(Cursor::Words { driver, word, id }) if words.contains(&driver) => {
            (driver, Some(WordRow { word, product_id: id }))
        }
        Some(_) => return Err(foreign_cursor()),
    };
    let limit = query.limit as usize;
    let (mut products, mut looked_at) = (Vec::new(), 0);
    loop {
        let batch = query.limit.clamp(32, PAGE_MAX);
        let rows = indexes.words(&driver, after.as_ref(), batch)?;
        let ended = rows.len() < batch as usize;
        let ids: Vec<String> = rows.iter().map(|row| row.product_id.clone()).collect();
        let found = indexes.products(&ids)?;
        for (row, product) in rows.into_iter().zip(found) {
            if products.len() == limit {
                return page_so_far(products, &driver, after);
            }
            looked_at += 1;
            if let Some(product) = product.filter(|product| matches(product, &row, &driver, words, query)) {
                products.push(product);
            }
            after = Some(row);
        }
        if ended {
            return Ok(Page { products, next_cursor: None });
        }
        if looked_at >= ROWS_PER_PAGE_MAX {
            return page_so_far(products, &driver, after);
        }
    }
}

fn page_so_far(products: Vec<Product>, driver: &str, after: Option<WordRow>) -> Result<Page, Error> {
    let next_cursor = after
        .map(|row| encode_cursor(&Cursor::Words { driver: driver.into(), word: row.word, id: row.product_id }))
        .transpose()?;
    Ok(Page { products, next_cursor })
}

/// Whether a row counts: the product fits, and it is its first row under this prefix (a product with `lamp` and
/// `lampshade` is listed once).
fn matches(product: &Product, row: &WordRow, driver: &str, words: &[String], query: &Query) -> bool {
    let fits_status = query.status.map_or(product.status != Status::Archived, |status| product.status == status);
    if !fits_status || !query.category.as_deref().is_none_or(|category| product.is_in(category)) {
        return false;
    }
    let own = product.words();
    let first_with = |prefix: &str| own.range(prefix.to_owned()..).next().filter(|word| word.starts_with(prefix));
    first_with(driver) == Some(&row.word) && words.iter().all(|word| first_with(word).is_some())
}

/// The word that most likely has the fewest rows.
fn rarest(indexes: &impl Indexes, words: &[String]) -> Result<String, Error> {
    if let [only] = words {
        return Ok(only.clone());
    }
    let mut best: Option<(usize, std::cmp::Reverse<usize>, &String)> = None;
    for word in words {
        let rows = indexes.words(word, None, PROBE_ROWS)?.len();
        let candidate = (rows, std::cmp::Reverse(word.len()), word);
        if best.as_ref().is_none_or(|best| candidate < *best) {
            best = Some(candidate);
        }
    }
    Ok(best.map(|(_, _, word)| word.clone()).unwrap_or_default())
}

/// The distinct words of a query, without those that another one of them makes superfluous.
fn query_words(text: &str) -> Vec<String> {
    let mut distinct: Vec<String> = words(text).collect();
    distinct.sort();
    distinct.dedup();
    // `lam` beside `lamp` says nothing more.
    let narrow: Vec<String> = distinct
        .iter()
        .filter(|word| !distinct.iter().any(|other| other != *word && other.starts_with(word.as_str())))
        .cloned()
        .collect();
    narrow.into_iter().take(QUERY_WORDS_MAX).collect()
}

/// The words of a text: runs of letters and digits, folded.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    fold(text)
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().take(WORD_CHARACTERS_MAX).collect())
        .collect::<Vec<String>>()
        .into_iter()
}

/// Lower case without the accents of the Latin alphabets: `Söhne` is found by `sohne`, and the other way round.
pub(crate) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for character in text.chars().flat_map(char::to_lowercase) {
        match character {
            'à'..='å' | 'ā' | 'ă' | 'ą' => folded.push('a'),
            'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => folded.push('c'),
            'ď' | 'đ' | 'ð' => folded.push('d'),
            'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => folded.push('e'),
            'ĝ' | 'ğ' | 'ġ' | 'ģ' => folded.push('g'),
            'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => folded.push('i'),
            'ĺ' | 'ļ' | 'ľ' | 'ł' => folded.push('l'),
            'ñ' | 'ń' | 'ņ' | 'ň' => folded.push('n'),
            'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' => folded.push('o'),
            'ŕ' | 'ř' => folded.push('r'),
            'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => folded.push('s'),
            'ţ' | 'ť' | 'ț' => folded.push('t'),
            'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => folded.push('u'),
            'ý' | 'ÿ' => folded.push('y'),
            'ź' | 'ż' | 'ž' => folded.push('z'),
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            // Combining accents, as left by decomposed input.
            '\u{300}'..='\u{36f}' => {}
            other => folded.push(other),
        }
    }
    folded
}

/// A cursor as text that nobody is tempted to build by hand.
pub(crate) fn encode_cursor(cursor: &impl Serialize) -> Result<String, Error> {
    let json = serde_json::to_string(cursor).map_err(|error| Error::Other(format!("cursor: {error}")))?;
    Ok(json.bytes().map(|byte| format!("{byte:02x}")).collect())
}

/// The opposite of `encode_cursor`.
pub(crate) fn decode_cursor<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Error> {
    let digits = text.as_bytes();
    if digits.len() > 2_000 || !digits.len().is_multiple_of(2) {
        return Err(foreign_cursor());
    }
    let bytes = digits
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(foreign_cursor)?;
    serde_json::from_slice(&bytes).map_err(|_| foreign_cursor())
}

/// The cursor is not one of ours, or belongs to another query.
pub(crate) fn foreign_cursor() -> Error {
    Error::Invalid("cursor: it does not belong to this query; leave it out to begin at the first page".into())
}
