//! Tests of the catalogue's rules over tables in memory.

use super::*;
use crate::identifier::{Identifier, IdentifierKind, check_digit};
use crate::listing;
use crate::product::tests::{gtin, product, variant};
use crate::product::{Attribute, Status};
use crate::search::{Page, Query, search};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};

/// Tables in memory that count what is written and looked at.
#[derive(Default)]
struct Memory {
    products: RefCell<BTreeMap<String, Product>>,
    skus: RefCell<BTreeMap<String, SkuOwner>>,
    codes: RefCell<BTreeSet<Code>>,
    words: RefCell<BTreeSet<WordRow>>,
    titles: RefCell<BTreeSet<(String, Status, TitleRow)>>,
    listings: RefCell<BTreeMap<(String, String, String), Listing>>,
    externals: RefCell<BTreeMap<(String, String, String), String>>,
    writes: Cell<usize>,
    rows_read: Cell<usize>,
}

impl Memory {
    fn wrote(&self) -> Result<(), Error> {
        self.writes.set(self.writes.get() + 1);
        Ok(())
    }

    fn read<T>(&self, rows: Vec<T>) -> Result<Vec<T>, Error> {
        self.rows_read.set(self.rows_read.get() + rows.len());
        Ok(rows)
    }

    /// Everything in the tables but when it was written.
    fn contents(&self) -> String {
        let products: Vec<Product> =
            self.products.borrow().values().map(|product| Product { updated_at_ms: 0, ..product.clone() }).collect();
        format!("{products:?}{:?}{:?}{:?}{:?}", self.skus, self.codes, self.words, self.titles)
    }
}

impl Indexes for Memory {
    fn words(&self, prefix: &str, after: Option<&WordRow>, limit: u32) -> Result<Vec<WordRow>, Error> {
        let rows = self.words.borrow();
        let fitting = rows.iter().filter(|row| row.word.starts_with(prefix) && after.is_none_or(|after| *row > after));
        self.read(fitting.take(limit as usize).cloned().collect())
    }

    fn titles(
        &self,
        scope: &str,
        status: Status,
        after: Option<&TitleRow>,
        limit: u32,
    ) -> Result<Vec<TitleRow>, Error> {
        let rows = self.titles.borrow();
        let fitting =
            rows.iter().filter(|(s, st, row)| s == scope && *st == status && after.is_none_or(|after| row > after));
        self.read(fitting.map(|(_, _, row)| row.clone()).take(limit as usize).collect())
    }

    fn products(&self, ids: &[String]) -> Result<Vec<Option<Product>>, Error> {
        self.read(ids.iter().map(|id| self.products.borrow().get(id).cloned()).collect())
    }
}

impl Tables for Memory {
    fn put_product(&self, product: &Product) -> Result<(), Error> {
        self.products.borrow_mut().insert(product.id.clone(), product.clone());
        self.wrote()
    }
    fn sku_owners(&self, skus: &[String]) -> Result<Vec<Option<SkuOwner>>, Error> {
        Ok(skus.iter().map(|sku| self.skus.borrow().get(sku).cloned()).collect())
    }
    fn put_sku_owner(&self, sku: &str, owner: &SkuOwner) -> Result<(), Error> {
        self.skus.borrow_mut().insert(sku.into(), owner.clone());
        self.wrote()
    }
    fn codes(&self, value: &str) -> Result<Vec<Code>, Error> {
        Ok(self.codes.borrow().iter().filter(|code| code.value == value).cloned().collect())
    }
    fn put_code(&self, code: &Code) -> Result<(), Error> {
        self.codes.borrow_mut().insert(code.clone());
        self.wrote()
    }
    fn delete_code(&self, code: &Code) -> Result<(), Error> {
        assert!(self.codes.borrow_mut().remove(code));
        self.wrote()
    }
    fn put_word(&self, row: &WordRow) -> Result<(), Error> {
        self.words.borrow_mut().insert(row.clone());
        self.wrote()
    }
    fn delete_word(&self, row: &WordRow) -> Result<(), Error> {
        assert!(self.words.borrow_mut().remove(row));
        self.wrote()
    }
    fn put_title(&self, scope: &str, status: Status, row: &TitleRow) -> Result<(), Error> {
        self.titles.borrow_mut().insert((scope.into(), status, row.clone()));
        self.wrote()
    }
    fn delete_title(&self, scope: &str, status: Status, row: &TitleRow) -> Result<(), Error> {
        assert!(self.titles.borrow_mut().remove(&(scope.into(), status, row.clone())));
        self.wrote()
    }
    fn listing(&self, channel: &str, account: &str, sku: &str) -> Result<Option<Listing>, Error> {
        Ok(self.listings.borrow().get(&(channel.into(), account.into(), sku.into())).cloned())
    }
    fn put_listing(&self, listing: &Listing) -> Result<(), Error> {
        let key = (listing.channel.clone(), listing.account.clone(), listing.sku.clone());
        self.listings.borrow_mut().insert(key, listing.clone());
        self.wrote()
    }
    fn external_sku(&self, channel: &str, account: &str, external_id: &str) -> Result<Option<String>, Error> {
        Ok(self.externals.borrow().get(&(channel.into(), account.into(), external_id.into())).cloned())
    }
    fn put_external(&self, listing: &Listing) -> Result<(), Error> {
        let key = (listing.channel.clone(), listing.account.clone(), listing.external_id.clone());
        self.externals.borrow_mut().insert(key, listing.sku.clone());
        self.wrote()
    }
    fn delete_external(&self, listing: &Listing) -> Result<(), Error> {
        let key = (listing.channel.clone(), listing.account.clone(), listing.external_id.clone());
        self.externals.borrow_mut().remove(&key);
        self.wrote()
    }
    fn listings(&self, channel: &str, account: &str, after: Option<&str>, limit: u32) -> Result<Vec<Listing>, Error> {
        let listings = self.listings.borrow();
        let fitting = listings.values().filter(|l| {
            l.channel == channel && l.account == account && after.is_none_or(|after| l.sku.as_str() > after)
        });
        Ok(fitting.take(limit as usize).cloned().collect())
    }
}

fn upsert(memory: &Memory, product: Product) -> Result<Outcome, Error> {
    upsert_product(memory, product, 7).map(|(outcome, _)| outcome)
}

fn pages(memory: &Memory, query: Query) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = None;
    loop {
        let Page { products, next_cursor } = search(memory, &Query { cursor, ..query.clone() }).unwrap();
        pages.push(products.into_iter().map(|product| product.id).collect());
        match next_cursor {
            Some(next) => cursor = Some(next),
            None => return pages,
        }
        assert!(pages.len() < 1_000, "pages without end");
    }
}

fn found(memory: &Memory, text: &str) -> Vec<String> {
    pages(memory, Query { text: text.into(), limit: 10, ..Query::default() }).concat()
}

#[test]
fn the_same_product_again_writes_nothing() {
    let memory = Memory::default();
    let lamp = product("lamp", "Lamp", &["L-1", "L-2"]);
    let (outcome, changed) = upsert_product(&memory, lamp.clone(), 1).unwrap();
    assert_eq!(outcome, Outcome::Created);
    assert_eq!(changed.unwrap().skus.len(), 2);
    let writes = memory.writes.get();
    assert_eq!(upsert_product(&memory, lamp.clone(), 2).unwrap(), (Outcome::Unchanged, None));
    assert_eq!(
        upsert_product(&memory, Product { title: " Lamp ".into(), updated_at_ms: 99, ..lamp.clone() }, 2).unwrap().0,
        Outcome::Unchanged
    );
    assert_eq!(memory.writes.get(), writes);
    assert_eq!(super::product(&memory, "lamp").unwrap().updated_at_ms, 1);
    assert_eq!(upsert(&memory, Product { description: "New".into(), ..lamp }).unwrap(), Outcome::Updated);
    assert_eq!(memory.writes.get(), writes + 1, "a new description touches no index");
}

#[test]
fn a_sku_belongs_to_one_product_for_ever() {
    let memory = Memory::default();
    upsert(&memory, product("a", "A", &["S-1", "S-2"])).unwrap();
    let taken = upsert(&memory, product("b", "B", &["S-1"])).unwrap_err();
    assert_eq!(taken, Error::Conflict("SKU `S-1` belongs to product `a` already".into()));
    assert!(super::product(&memory, "b").is_err(), "a refused product leaves no trace");

    let (_, changed) = upsert_product(&memory, product("a", "A", &["S-1"]), 3).unwrap();
    assert_eq!(changed.unwrap().removed_skus.into_iter().collect::<Vec<_>>(), ["S-2"]);
    assert!(variants(&memory, &["S-2".into()]).unwrap().is_empty());
    assert!(matches!(find_variant(&memory, "S-2"), Err(Error::NotFound(_))));
    assert!(matches!(upsert(&memory, product("b", "B", &["S-2"])), Err(Error::Conflict(text)) if text.contains("`a`")));
    upsert(&memory, product("a", "A", &["S-1", "S-2"])).unwrap();
    assert_eq!(
        variants(&memory, &["S-2".into(), "?".into(), "S-1".into()])
            .unwrap()
            .iter()
            .map(|v| v.variant_info.sku.as_str())
            .collect::<Vec<_>>(),
        ["S-2", "S-1"]
    );
}

#[test]
fn numbers_are_unique_and_may_move_within_a_product() {
    let memory = Memory::default();
    let mut a = product("a", "A", &["S-1", "S-2"]);
    a.variants[0].identifiers = vec![gtin("4006381333931")];
    upsert(&memory, a.clone()).unwrap();
    let mut b = product("b", "B", &["T-1"]);
    b.variants[0].identifiers = vec![gtin("04006381333931")];
    assert!(matches!(upsert(&memory, b.clone()), Err(Error::Conflict(text)) if text.contains("`S-1` of product `a`")));

    let moved = std::mem::take(&mut a.variants[0].identifiers);
    a.variants[1].identifiers = moved;
    upsert(&memory, a.clone()).unwrap();
    assert_eq!(find_variant(&memory, "4006381333931").unwrap().variant_info.sku, "S-2");

    a.variants[1].identifiers.clear();
    upsert(&memory, a).unwrap();
    assert!(matches!(find_variant(&memory, "4006381333931"), Err(Error::NotFound(_))));
    assert_eq!(upsert(&memory, b).unwrap(), Outcome::Created);
}

#[test]
fn codes_of_every_kind_find_their_variant() {
    let memory = Memory::default();
    let own = format!("210000000001{}", check_digit("210000000001"));
    let foreign = format!("220000000001{}", check_digit("220000000001"));
    let identifier = |kind, value: &str, issuer: Option<&str>| Identifier {
        kind,
        value: value.into(),
        issuer: issuer.map(Into::into),
    };
    let mut a = product("a", "A", &["S-1"]);
    a.variants[0].identifiers = vec![
        gtin("036000291452"),
        gtin(&own),
        identifier(IdentifierKind::Gtin, &foreign, Some("their-shop")),
        identifier(IdentifierKind::Asin, "B000123456", None),
        identifier(IdentifierKind::Mpn, "gsr-12", Some("Bosch")),
        identifier(IdentifierKind::SupplierSku, "4711", Some("acme")),
    ];
    let mut b = product("b", "B", &["4711"]);
    b.variants[0].identifiers = vec![identifier(IdentifierKind::Mpn, "GSR-12", None)];
    upsert(&memory, a).unwrap();
    upsert(&memory, b).unwrap();
    for (code, expected) in [
        ("S-1", "S-1"),
        ("036000291452", "S-1"),
        ("0036000291452", "S-1"),
        (own.as_str(), "S-1"),
        ("b000123456", "S-1"),
        (" 4711 ", "4711"),
    ] {
        assert_eq!(find_variant(&memory, code).unwrap().variant_info.sku, expected, "{code}");
    }
    assert!(matches!(find_variant(&memory, &foreign), Err(Error::NotFound(_))), "another company's in-store number");
    assert!(matches!(find_variant(&memory, "GSR-12"), Err(Error::Conflict(_))), "two manufacturers, one part number");
    assert!(matches!(find_variant(&memory, ""), Err(Error::Invalid(_))));
}

#[test]
fn browsing_is_by_title_and_leaves_archived_products_out() {
    let memory = Memory::default();
    for (id, title, status, category) in [
        ("1", "Zebra", Status::Active, Some("Toys/Animals")),
        ("2", "äpfel", Status::Draft, None),
        ("3", "Birne", Status::Active, Some("Food")),
        ("4", "Apfel", Status::Archived, Some("Food")),
        ("5", "Bär", Status::Active, Some("Toys/Animals")),
        ("6", "Puzzle", Status::Active, Some("Toys")),
    ] {
        upsert(&memory, Product { status, category: category.map(Into::into), ..product(id, title, &[id]) }).unwrap();
    }
    let list = |status, category: Option<&str>, limit| {
        pages(&memory, Query { status, category: category.map(Into::into), limit, ..Query::default() })
    };
    assert_eq!(list(None, None, 2), [vec!["2", "5"], vec!["3", "6"], vec!["1"]]);
    assert_eq!(list(None, None, 250), [vec!["2", "5", "3", "6", "1"]]);
    assert_eq!(list(Some(Status::Archived), None, 5), [vec!["4"]]);
    assert_eq!(list(None, Some("Toys"), 2), [vec!["5", "6"], vec!["1"]]);
    assert_eq!(list(Some(Status::Draft), Some("Toys"), 2), [Vec::<String>::new()]);
}

#[test]
fn words_are_found_by_prefix_without_accents_and_only_together() {
    let memory = Memory::default();
    let mut desk =
        Product { brand: Some("Müller".into()), ..product("desk", "Desk lamp with lampshade", &["DL-100"]) };
    desk.variants[0].identifiers = vec![gtin("4006381333931")];
    upsert(&memory, desk).unwrap();
    upsert(&memory, product("floor", "Floor LAMP", &["FL-100"])).unwrap();
    upsert(&memory, Product { status: Status::Archived, ..product("old", "Old lamp", &["O"]) }).unwrap();
    let cases: [(&str, &[&str]); 12] = [
        ("lamp", &["desk", "floor"]),
        ("LAM", &["desk", "floor"]),
        ("lamp lampshade", &["desk"]),
        ("lam floor", &["floor"]),
        ("muller", &["desk"]),
        ("Müll", &["desk"]),
        ("dl-100", &["desk"]),
        ("100", &["desk", "floor"]),
        ("40063813", &["desk"]),
        ("lamp chair", &[]),
        ("---", &[]),
        ("x", &[]),
    ];
    for (text, expected) in cases {
        let mut ids = found(&memory, text);
        ids.sort();
        assert_eq!(ids, expected, "{text}");
    }
}

#[test]
fn a_page_of_a_large_catalogue_reads_little() {
    let memory = Memory::default();
    for number in 0..3_000 {
        let rare = if number == 1_500 { " unicorn" } else { "" };
        upsert(&memory, product(&format!("p{number:04}"), &format!("Common thing{rare}"), &[&format!("S{number}")]))
            .unwrap();
    }
    let cost = |query: Query| {
        memory.rows_read.set(0);
        let page = search(&memory, &query).unwrap();
        (page.products.len(), page.next_cursor.is_some(), memory.rows_read.get())
    };
    let (count, more, read) = cost(Query { limit: 20, ..Query::default() });
    assert!((count, more) == (20, true) && read <= 50, "{read} rows for a page");
    let (count, more, read) = cost(Query { text: "common".into(), limit: 20, ..Query::default() });
    assert!((count, more) == (20, true) && read <= 100, "{read} rows for a common word");
    let (count, more, read) = cost(Query { text: "common unicorn".into(), limit: 20, ..Query::default() });
    assert!((count, more) == (1, false) && read <= 100, "{read} rows for a rare word");
    // Nothing of a common word fits: the page ends short, with a cursor, and in the end everything was looked at once.
    let (count, more, read) =
        cost(Query { text: "common".into(), category: Some("Nowhere".into()), limit: 20, ..Query::default() });
    assert!((count, more) == (0, true) && read <= 5_000, "{read} rows for a word that never fits");
    assert_eq!(pages(&memory, Query { text: "common".into(), limit: 250, ..Query::default() }).concat().len(), 3_000);
}

#[test]
fn foreign_cursors_are_refused() {
    let memory = Memory::default();
    for id in ["a", "b", "c"] {
        upsert(&memory, product(id, "Thing", &[id])).unwrap();
    }
    let cursor =
        |text: &str| search(&memory, &Query { text: text.into(), limit: 1, ..Query::default() }).unwrap().next_cursor;
    for (text, cursor) in [
        ("thing", cursor("")),
        ("", cursor("thing")),
        ("other", cursor("thing")),
        ("", Some("zz".into())),
        ("", Some("é".into())),
        ("", Some("abc".into())),
        ("", Some("00".repeat(2_000))),
    ] {
        let query = Query { text: text.into(), cursor, limit: 1, ..Query::default() };
        assert!(
            matches!(search(&memory, &query), Err(Error::Invalid(text)) if text.starts_with("cursor")),
            "{query:?}"
        );
    }
    for limit in [0, 251] {
        assert!(matches!(search(&memory, &Query { limit, ..Query::default() }), Err(Error::Invalid(_))));
    }
}

fn offer(sku: &str, external_id: &str) -> Listing {
    Listing {
        channel: "market".into(),
        account: "default".into(),
        sku: sku.into(),
        external_id: external_id.into(),
        active: true,
        attributes: vec![],
        last_error: None,
    }
}

#[test]
fn listings_are_unique_by_the_channels_name() {
    let memory = Memory::default();
    upsert(&memory, product("a", "A", &["S-1", "S-2"])).unwrap();
    assert_eq!(upsert_listing(&memory, &offer("S-1", "X")).unwrap(), (Outcome::Created, true));
    assert_eq!(upsert_listing(&memory, &offer("S-1", "X")).unwrap(), (Outcome::Unchanged, false));
    assert!(
        matches!(upsert_listing(&memory, &offer("S-2", "X")), Err(Error::Conflict(text)) if text.contains("`S-1`"))
    );
    assert!(matches!(upsert_listing(&memory, &offer("S-9", "Y")), Err(Error::NotFound(_))));
    assert!(matches!(upsert_listing(&memory, &offer("S-1", "")), Err(Error::Invalid(_))));

    assert_eq!(upsert_listing(&memory, &offer("S-1", "Y")).unwrap(), (Outcome::Updated, true));
    assert_eq!(
        upsert_listing(&memory, &offer("S-2", "X")).unwrap(),
        (Outcome::Created, true),
        "the old name is free again"
    );
    assert_eq!(find_listing(&memory, "market", "default", "Y").unwrap().sku, "S-1");
    assert!(find_listing(&memory, "market", "other", "Y").is_err());
    assert!(super::listing(&memory, "market", "default", "S-2").is_ok());

    let complaint = Listing { last_error: Some("attribute missing".into()), ..offer("S-1", "Y") };
    assert_eq!(upsert_listing(&memory, &complaint).unwrap(), (Outcome::Updated, false), "a complaint alone is no news");
}

#[test]
fn listings_are_paged_by_sku() {
    let memory = Memory::default();
    for number in 0..5 {
        upsert(&memory, product(&format!("p{number}"), "P", &[&format!("S{number}")])).unwrap();
        upsert_listing(&memory, &offer(&format!("S{number}"), &format!("X{number}"))).unwrap();
    }
    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = listing::page(&memory, "market", "default", cursor.as_deref(), 2).unwrap();
        seen.extend(page.listings.into_iter().map(|listing| listing.sku));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["S0", "S1", "S2", "S3", "S4"]);
    assert!(listing::page(&memory, "market", "default", Some("!"), 2).is_err());
    assert!(listing::page(&memory, "market", "default", None, 0).is_err());
}

fn any_product() -> impl Strategy<Value = Product> {
    let words = prop::collection::vec(
        prop_oneof![Just("lamp"), Just("lampshade"), Just("Bär"), Just("red"), Just("100")],
        1..4,
    );
    (
        0..3_u8,
        words,
        prop::collection::btree_set(0..5_u8, 1..4),
        prop::option::of(prop_oneof![Just("Home"), Just("Home/Light")]),
        0..3_u8,
    )
        .prop_map(|(id, words, skus, category, status)| {
            let skus: Vec<String> = skus.into_iter().map(|sku| format!("S{sku}")).collect();
            let mut product =
                product(&format!("p{id}"), &words.join(" "), &skus.iter().map(String::as_str).collect::<Vec<_>>());
            product.category = category.map(Into::into);
            product.status = [Status::Draft, Status::Active, Status::Archived][usize::from(status)];
            product.attributes = vec![Attribute { name: "n".into(), value: id.to_string() }];
            for variant in &mut product.variants {
                let body = format!("40063813339{}", variant.sku.trim_start_matches('S'));
                variant.identifiers = vec![gtin(&format!("{body}{}", check_digit(&body)))];
            }
            product
        })
}

proptest! {
    #[test]
    fn however_products_change_the_indexes_are_those_of_what_is_left(history in prop::collection::vec(any_product(), 1..20)) {
        let memory = Memory::default();
        for product in history {
            let before = memory.contents();
            if upsert(&memory, product.clone()).is_err() {
                prop_assert_eq!(&memory.contents(), &before, "a refused product changes nothing");
            } else {
                prop_assert_eq!(upsert(&memory, product).unwrap(), Outcome::Unchanged);
            }
        }
        let fresh = Memory::default();
        for product in memory.products.borrow().values() {
            upsert(&fresh, product.clone()).unwrap();
        }
        prop_assert_eq!(&*memory.words.borrow(), &*fresh.words.borrow());
        prop_assert_eq!(&*memory.titles.borrow(), &*fresh.titles.borrow());
        prop_assert_eq!(&*memory.codes.borrow(), &*fresh.codes.borrow());
        let live = |memory: &Memory| memory.skus.borrow().iter().filter(|(_, owner)| !owner.retired).map(|(sku, owner)| (sku.clone(), owner.clone())).collect::<Vec<_>>();
        prop_assert_eq!(live(&memory), live(&fresh));
    }

    #[test]
    fn pages_of_any_size_list_every_match_once(products in prop::collection::vec(any_product(), 1..12), limit in 1..4_u32, text in prop_oneof![Just(""), Just("lam"), Just("lamp red"), Just("bar 100")]) {
        let memory = Memory::default();
        for product in products {
            let _refused = upsert(&memory, product);
        }
        let query = Query { text: text.into(), limit, ..Query::default() };
        let mut ids = pages(&memory, query).concat();
        ids.sort();
        let expected: Vec<String> = memory.products.borrow().values()
            .filter(|p| p.status != Status::Archived && text.split(' ').filter(|w| !w.is_empty()).all(|w| p.words().iter().any(|own| own.starts_with(w))))
            .map(|p| p.id.clone()).collect();
        prop_assert_eq!(ids, expected);
    }

    #[test]
    fn any_text_can_be_searched(text in ".{0,250}", cursor in prop::option::of(".{0,20}")) {
        let memory = Memory::default();
        upsert(&memory, product("a", "Lamp", &["L"])).unwrap();
        let _answer = search(&memory, &Query { text, cursor, limit: 5, ..Query::default() });
    }
}

#[test]
fn skus_of_one_product_come_with_their_own_variant() {
    let memory = Memory::default();
    let mut shirt = product("shirt", "Shirt", &["R", "B"]);
    shirt.variants[0] = variant("R", &["Red"]);
    upsert(&memory, shirt).unwrap();
    let views = variants(&memory, &["B".into(), "R".into()]).unwrap();
    assert_eq!(
        views.iter().map(|view| (view.variant_info.sku.as_str(), view.product_title.as_str())).collect::<Vec<_>>(),
        [("B", "Shirt"), ("R", "Shirt")]
    );
    assert!(variants(&memory, &vec![String::from("x"); 251]).is_err());
}
