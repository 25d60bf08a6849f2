//! The basket of a till: what was scanned, in the order in which it was, until it is paid or parked.

use kontor_sdk::Error;
use serde::{Deserialize, Serialize};

use crate::sale::{LINES_MAX, QUANTITY_MAX};

/// Units that one scan can add.
const SCAN_QUANTITY_MAX: i64 = 999;

/// What a customer is about to buy at a till.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Basket {
    /// The id of the sale that it becomes: paying twice is paying once.
    pub(crate) sale_id: String,
    /// The last one scanned is the last.
    pub(crate) lines: Vec<BasketLine>,
    /// When it was put aside.
    #[serde(default)]
    pub(crate) parked_at_ms: u64,
}

/// So many of an article.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BasketLine {
    pub(crate) sku: String,
    pub(crate) quantity: i64,
}

/// What happens to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Change {
    More,
    Less,
    Remove,
}

impl Basket {
    /// An empty basket that becomes this sale.
    pub(crate) fn new(sale_id: String) -> Self {
        Self { sale_id, ..Self::default() }
    }

    /// Units in it.
    pub(crate) fn units(&self) -> i64 {
        self.lines.iter().map(|line| line.quantity).sum()
    }

    /// Adds units of an article; its line becomes the last.
    pub(crate) fn add(&mut self, sku: &str, quantity: i64) -> Result<(), Error> {
        let had = match self.lines.iter().position(|line| line.sku == sku) {
            Some(at) => self.lines.remove(at).quantity,
            None if self.lines.len() >= LINES_MAX => {
                return Err(
                    Error::conflict(format!("A basket has at most {LINES_MAX} lines.")).with_code("basket-full")
                );
            }
            None => 0,
        };
        let quantity = had.saturating_add(quantity).clamp(1, QUANTITY_MAX);
        self.lines.push(BasketLine { sku: sku.to_owned(), quantity });
        Ok(())
    }

    /// Changes a line in its place. One that is gone stays gone: a second tap does no harm.
    pub(crate) fn change(&mut self, sku: &str, change: Change) {
        if let Some(line) = self.lines.iter_mut().find(|line| line.sku == sku) {
            line.quantity = match change {
                Change::More => (line.quantity + 1).min(QUANTITY_MAX),
                Change::Less => line.quantity - 1,
                Change::Remove => 0,
            };
        }
        self.lines.retain(|line| line.quantity > 0);
    }
}

/// What was typed or scanned: `3*4006381333931` is three of that code.
pub(crate) fn read_scan(text: &str) -> (i64, &str) {
    let text = text.trim();
    let several = text.split_once('*').and_then(|(count, code)| {
        let count = count.trim().parse().ok().filter(|count| (1..=SCAN_QUANTITY_MAX).contains(count))?;
        Some((count, code.trim())).filter(|(_, code)| !code.is_empty())
    });
    several.unwrap_or((1, text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scans() {
        for (text, quantity, code) in [
            ("4006381333931", 1, "4006381333931"),
            (" MUG-1 \r\n", 1, "MUG-1"),
            ("3*MUG-1", 3, "MUG-1"),
            ("3 * MUG-1", 3, "MUG-1"),
            ("0*MUG-1", 1, "0*MUG-1"),
            ("1000*MUG-1", 1, "1000*MUG-1"),
            ("A*B", 1, "A*B"),
            ("3*", 1, "3*"),
            ("", 1, ""),
        ] {
            assert_eq!(read_scan(text), (quantity, code), "{text:?}");
        }
    }

    #[test]
    fn the_same_article_is_one_line_and_comes_last() {
        let mut basket = Basket::new("s".into());
        for (sku, quantity) in [("A", 1), ("B", 2), ("A", 3)] {
            basket.add(sku, quantity).unwrap();
        }
        let lines: Vec<_> = basket.lines.iter().map(|line| (line.sku.as_str(), line.quantity)).collect();
        assert_eq!(lines, [("B", 2), ("A", 4)]);
        assert_eq!(basket.units(), 6);
        basket.change("B", Change::Less);
        basket.change("B", Change::Less);
        basket.change("B", Change::Less);
        basket.change("A", Change::More);
        assert_eq!(basket.units(), 5);
        basket.change("A", Change::Remove);
        assert!(basket.lines.is_empty());
    }

    #[test]
    fn a_full_basket_takes_no_more_articles_but_more_of_them() {
        let mut basket = Basket::new("s".into());
        for number in 0..LINES_MAX {
            basket.add(&number.to_string(), 1).unwrap();
        }
        assert_eq!(basket.add("one more", 1).unwrap_err().code(), "basket-full");
        basket.add("7", 1).unwrap();
        assert_eq!(basket.units(), LINES_MAX as i64 + 1);
    }

    proptest! {
        #[test]
        fn every_line_has_something_in_it(steps in prop::collection::vec((0u8..4, 0u8..5, 1i64..1_000), 0..60)) {
            let mut basket = Basket::new("s".into());
            for (step, sku, quantity) in steps {
                let sku = sku.to_string();
                match step {
                    0 => basket.add(&sku, quantity).unwrap(),
                    1 => basket.change(&sku, Change::More),
                    2 => basket.change(&sku, Change::Less),
                    _ => basket.change(&sku, Change::Remove),
                }
                prop_assert!(basket.lines.iter().all(|line| (1..=QUANTITY_MAX).contains(&line.quantity)));
                let mut skus: Vec<_> = basket.lines.iter().map(|line| line.sku.clone()).collect();
                skus.sort();
                skus.dedup();
                prop_assert_eq!(skus.len(), basket.lines.len());
            }
        }
    }
}
