//! Tests of the rules over maps in memory: cases as data, and properties over random histories.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::memory::Memory;
use crate::model::{
    Change, Error, FulfilmentStatus, LineInput, Order, OrderInput, OrderStatus, PaymentStatus, Report, ReportOutcome,
    ReportState, ReturnStatus, StockSource, UnitState,
};
use crate::world::World;
use crate::{changing, listing, placing, report, units};

fn line(line_id: &str, sku: &str, quantity: i64) -> LineInput {
    LineInput {
        line_id: line_id.to_owned(),
        sku: sku.to_owned(),
        title: sku.to_uppercase(),
        quantity,
        unit_price_minor: 119,
        discount_minor: 0,
        net_minor: quantity * 100,
        tax_minor: quantity * 19,
        gross_minor: quantity * 119,
        rate_basis_points: 1_900,
        stocked: true,
    }
}

fn input(external_id: &str, stock: StockSource, lines: Vec<LineInput>) -> OrderInput {
    let goods: i64 = lines.iter().map(|line| line.gross_minor).sum();
    OrderInput {
        channel: "web".to_owned(),
        account: "default".to_owned(),
        external_id: external_id.to_owned(),
        placed_at_ms: 0,
        currency: "EUR".to_owned(),
        email: None,
        customer_ref: None,
        shipping_address: None,
        shipping_method: None,
        lines,
        shipping_net_minor: 400,
        shipping_tax_minor: 76,
        shipping_gross_minor: 476,
        total_minor: goods + 476,
        payment_method: "invoice".to_owned(),
        paid_minor: 0,
        stock,
        attributes: Vec::new(),
    }
}

fn reported(state: ReportState, changed_at_ms: u64, lines: Vec<LineInput>) -> Report {
    let mut input = input("E-1", StockSource::Reserve, lines);
    input.channel = "amazon".to_owned();
    input.paid_minor = input.total_minor;
    Report { input, state, changed_at_ms }
}

fn place(memory: &mut Memory, input: &OrderInput) -> Result<Order, Error> {
    let placing = memory.call(|m| placing::place(m, input))?;
    placing::load(memory, &placing.order_id)
}

fn upsert(memory: &mut Memory, report: &Report) -> Result<ReportOutcome, Error> {
    memory.call(|m| report::upsert(m, report))
}

fn the_order(memory: &mut Memory) -> Order {
    assert_eq!(memory.orders.len(), 1);
    memory.orders.values().next().cloned().unwrap()
}

/// What must hold of everything at any time.
fn sound(memory: &Memory) {
    let mut reserved = BTreeMap::<String, i64>::new();
    for order in memory.orders.values() {
        units::check(order).unwrap();
        for line in &order.lines {
            assert!(line.quantity < 0 || line.units.values().all(|units| *units > 0), "{line:?}");
        }
        for (sku, quantity) in units::by_sku(order, &[UnitState::Reserved]) {
            *reserved.entry(sku).or_default() += quantity;
        }
        let waits = memory.waiting.contains(&(order.listed_at_ms, order.id.clone()));
        assert_eq!(waits, order.hold_reason.as_deref() == Some("stock"), "{}", order.number);
        if matches!(order.status, OrderStatus::Cancelled | OrderStatus::Completed) {
            assert_eq!(units::by_sku(order, &[UnitState::Reserved]), BTreeMap::new(), "{order:?}");
        }
    }
    assert_eq!(memory.held_in_all(), reserved, "what is held is what units are reserved");
    for (sku, on_hand) in &memory.on_hand {
        let held = reserved.get(sku).copied().unwrap_or(0);
        assert_eq!(on_hand - held, memory.available[sku], "{sku}");
    }
}

#[test]
fn placing_takes_stock_from_its_source() {
    let cases = [
        (StockSource::Reserve, UnitState::Reserved, OrderStatus::Placed, FulfilmentStatus::Unfulfilled, 3, 1),
        (
            StockSource::HandedOver("shop".into()),
            UnitState::Collected,
            OrderStatus::Completed,
            FulfilmentStatus::Fulfilled,
            3 - 2,
            1,
        ),
        (StockSource::None, UnitState::Shipped, OrderStatus::Completed, FulfilmentStatus::NotApplicable, 3, 3),
    ];
    for (source, state, status, fulfilment, on_hand, available) in cases {
        let mut memory = Memory::with_stock(&[("a", 3)]);
        let mut ask = input("1", source.clone(), vec![line("1", "a", 1), line("2", "a", 1)]);
        if status == OrderStatus::Completed {
            ask.paid_minor = ask.total_minor;
        }
        let order = place(&mut memory, &ask).unwrap();
        assert!(order.lines.iter().all(|line| line.count(&[state]) == 1), "{source:?}");
        assert_eq!((order.status, units::fulfilment(&order)), (status, fulfilment), "{source:?}");
        assert_eq!((memory.on_hand["a"], memory.available["a"]), (on_hand, available), "{source:?}");
        assert_eq!(memory.published, [(Change::Placed, order.id)]);
        sound(&memory);
    }
}

#[test]
fn placing_again_returns_the_first_and_changes_nothing() {
    let mut memory = Memory::with_stock(&[("a", 3)]);
    let ask = input("1", StockSource::Reserve, vec![line("1", "a", 2)]);
    let first = memory.call(|m| placing::place(m, &ask)).unwrap();
    let again = memory.call(|m| placing::place(m, &ask)).unwrap();
    assert!(first.created && !again.created);
    assert_eq!((first.order_id, first.number), (again.order_id, again.number));
    assert_eq!((memory.available["a"], memory.published.len()), (1, 1));
    sound(&memory);
}

#[test]
fn placing_without_enough_stock_leaves_no_trace() {
    let mut memory = Memory::with_stock(&[("a", 3), ("b", 1)]);
    let ask = input("1", StockSource::Reserve, vec![line("1", "a", 2), line("2", "b", 1), line("3", "b", 1)]);
    assert_eq!(place(&mut memory, &ask), Err(Error::Insufficient(vec![("b".to_owned(), 2, 1)])));
    assert!(memory.orders.is_empty() && memory.reservations.is_empty());
    sound(&memory);
}

#[test]
fn a_carts_reservation_is_taken_over_and_a_lapsed_one_is_tried_anew() {
    let mut memory = Memory::with_stock(&[("a", 5)]);
    let reservation = memory.reserve_for_cart("a", 3);
    let ask = |external_id: &str, quantity| {
        input(external_id, StockSource::Reservation(reservation.clone()), vec![line("1", "a", quantity)])
    };
    assert_eq!(place(&mut memory, &ask("1", 4)), Err(Error::Insufficient(vec![("a".to_owned(), 4, 3)])));
    let order = place(&mut memory, &ask("1", 2)).unwrap();
    assert_eq!(order.reservations, std::slice::from_ref(&reservation));
    assert_eq!(memory.available["a"], 3, "what the cart held beyond goes back");
    sound(&memory);

    let other = memory.reserve_for_cart("a", 3);
    memory.release(&other).unwrap();
    let late =
        place(&mut memory, &input("2", StockSource::Reservation(other.clone()), vec![line("1", "a", 3)])).unwrap();
    assert_ne!(late.reservations, std::slice::from_ref(&other));
    let too_late = place(&mut memory, &input("3", StockSource::Reservation(other), vec![line("1", "a", 1)]));
    assert_eq!(too_late, Err(Error::Insufficient(vec![("a".to_owned(), 1, 0)])));
    sound(&memory);
}

#[test]
fn parcels_leave_once_and_the_paid_order_is_completed() {
    let mut memory = Memory::with_stock(&[("a", 5), ("b", 5)]);
    let mut fee = line("fee", "fee", 1);
    fee.stocked = false;
    let id = place(&mut memory, &input("1", StockSource::Reserve, vec![line("1", "a", 3), line("2", "b", 1), fee]))
        .unwrap()
        .id;
    let ship = |memory: &mut Memory, parcel: &str, lines: &[(&str, i64)]| {
        let lines: Vec<_> = lines.iter().map(|(line, quantity)| ((*line).to_owned(), *quantity)).collect();
        memory.call(|m| changing::ship(m, &id, parcel, "DHL", "007", &lines))
    };
    for refused in [vec![], vec![("1", 4)], vec![("9", 1)], vec![("fee", 1)], vec![("1", 0)], vec![("1", 2), ("1", 2)]]
    {
        assert!(ship(&mut memory, "p0", &refused).is_err(), "{refused:?}");
    }
    for _ in 0..2 {
        let order = ship(&mut memory, "p1", &[("1", 2)]).unwrap();
        assert_eq!((order.shipments.len(), units::fulfilment(&order)), (1, FulfilmentStatus::PartiallyFulfilled));
    }
    let order = ship(&mut memory, "p2", &[("1", 1), ("2", 1)]).unwrap();
    assert_eq!((order.status, units::fulfilment(&order)), (OrderStatus::Placed, FulfilmentStatus::Fulfilled));
    assert_eq!(units::payment(&order), PaymentStatus::Pending);
    for _ in 0..2 {
        let order = memory.call(|m| changing::record_payment(m, &id, "bank-1", 400)).unwrap();
        assert_eq!(units::payment(&order), PaymentStatus::Pending);
    }
    assert!(matches!(memory.call(|m| changing::record_payment(m, &id, "bank-1", 401)), Err(Error::Conflict(_))));
    let order = memory.call(|m| changing::record_payment(m, &id, "bank-2", order.total_minor - 400)).unwrap();
    assert_eq!((order.status, units::payment(&order)), (OrderStatus::Completed, PaymentStatus::Paid));
    assert_eq!((memory.on_hand["a"], memory.on_hand["b"]), (2, 4));
    let refused = memory.call(|m| changing::cancel(m, &id, "no")).unwrap_err();
    assert!(refused.to_string().contains("everything has left"), "{refused}");
    sound(&memory);
}

#[test]
fn cancelling_releases_what_has_not_left() {
    let mut memory = Memory::with_stock(&[("a", 5)]);
    let id = place(&mut memory, &input("1", StockSource::Reserve, vec![line("1", "a", 3)])).unwrap().id;
    for _ in 0..2 {
        let order = memory.call(|m| changing::cancel(m, &id, "changed my mind")).unwrap();
        assert_eq!((order.status, order.version), (OrderStatus::Cancelled, 2));
    }
    assert_eq!(memory.available["a"], 5);
    assert_eq!(memory.published, [(Change::Placed, id.clone()), (Change::Cancelled, id)]);
    sound(&memory);

    let id = place(&mut memory, &input("2", StockSource::Reserve, vec![line("1", "a", 3)])).unwrap().id;
    memory.call(|m| changing::ship(m, &id, "p1", "", "", &[("1".to_owned(), 1)])).unwrap();
    for _ in 0..2 {
        let order = memory.call(|m| changing::cancel(m, &id, "rest")).unwrap();
        assert_eq!((order.status, order.version), (OrderStatus::Placed, 3));
        assert_eq!(order.lines[0].units, BTreeMap::from([(UnitState::Shipped, 1), (UnitState::Cancelled, 2)]));
    }
    assert_eq!((memory.available["a"], memory.on_hand["a"]), (4, 4));
    sound(&memory);
}

#[test]
fn reports_move_an_order_from_draft_to_placed_to_cancelled() {
    let mut memory = Memory::with_stock(&[("a", 5)]);
    let lines = || vec![line("1", "a", 3)];
    assert_eq!(upsert(&mut memory, &reported(ReportState::Pending, 10, lines())), Ok(ReportOutcome::Created));
    let draft = the_order(&mut memory);
    assert_eq!((draft.status, memory.available["a"]), (OrderStatus::Draft, 2));
    assert!(draft.number.starts_with("AMZ-261122-"), "{}", draft.number);
    assert_eq!(upsert(&mut memory, &reported(ReportState::Confirmed, 20, lines())), Ok(ReportOutcome::Updated));
    let placed = the_order(&mut memory);
    assert_eq!((placed.status, memory.available["a"]), (OrderStatus::Placed, 2));
    assert_eq!((&placed.reservations, &placed.number), (&draft.reservations, &draft.number));
    assert_eq!(memory.reservations[&placed.reservations[0]].order_id.as_ref(), Some(&placed.id));
    for (changed_at_ms, outcome) in
        [(20, ReportOutcome::Unchanged), (10, ReportOutcome::Stale), (21, ReportOutcome::Unchanged)]
    {
        assert_eq!(upsert(&mut memory, &reported(ReportState::Confirmed, changed_at_ms, lines())), Ok(outcome));
        assert_eq!(the_order(&mut memory).version, placed.version);
    }
    assert_eq!(upsert(&mut memory, &reported(ReportState::Cancelled, 30, Vec::new())), Ok(ReportOutcome::Updated));
    assert_eq!(upsert(&mut memory, &reported(ReportState::Confirmed, 25, lines())), Ok(ReportOutcome::Stale));
    assert_eq!((the_order(&mut memory).status, memory.available["a"]), (OrderStatus::Cancelled, 5));
    let changes: Vec<_> = memory.published.iter().map(|(change, _)| *change).collect();
    assert_eq!(changes, [Change::Updated, Change::Placed, Change::Cancelled]);
    sound(&memory);
}

#[test]
fn a_paid_order_without_enough_stock_waits_with_what_there_is_and_is_filled_first_come_first_served() {
    let mut memory = Memory::with_stock(&[("a", 2)]);
    let report = |external_id: &str, placed_at_ms, quantity| {
        let mut report = reported(ReportState::Confirmed, 10, vec![line("1", "a", quantity)]);
        report.input.external_id = external_id.to_owned();
        report.input.placed_at_ms = placed_at_ms;
        report
    };
    assert_eq!(upsert(&mut memory, &report("late", 2_000, 2)), Ok(ReportOutcome::Created));
    assert_eq!(upsert(&mut memory, &report("later", 3_000, 2)), Ok(ReportOutcome::OnHold));
    assert_eq!(upsert(&mut memory, &report("early", 1_000, 3)), Ok(ReportOutcome::OnHold));
    sound(&memory);
    let find =
        |memory: &mut Memory, external_id: &str| listing::find(memory, "amazon", "default", external_id).unwrap();
    let early = find(&mut memory, "early");
    assert_eq!((early.status, early.hold_reason.as_deref()), (OrderStatus::OnHold, Some("stock")));
    assert_eq!(early.lines[0].units, BTreeMap::from([(UnitState::Backordered, 3)]));
    let refused = memory.call(|m| changing::ship(m, &early.id, "p", "", "", &[("1".to_owned(), 1)])).unwrap_err();
    assert!(refused.to_string().contains("on hold (stock)"), "{refused}");

    for (arrived, filled, early_reserved, later_reserved) in [(0, 0, 0, 0), (2, 0, 2, 0), (2, 1, 3, 1), (1, 1, 3, 2)] {
        *memory.available.get_mut("a").unwrap() += arrived;
        *memory.on_hand.get_mut("a").unwrap() += arrived;
        assert_eq!(memory.call(|m| report::fill_waiting(m, 50)), Ok(filled));
        let reserved = |order: Order| order.lines[0].count(&[UnitState::Reserved]);
        assert_eq!(reserved(find(&mut memory, "early")), early_reserved);
        assert_eq!(reserved(find(&mut memory, "later")), later_reserved);
        sound(&memory);
    }
    // Three reservations hold the early one; a parcel draws from all of them.
    let shipped = memory.call(|m| changing::ship(m, &early.id, "p", "", "", &[("1".to_owned(), 3)])).unwrap();
    assert_eq!((shipped.reservations.len(), shipped.status), (2, OrderStatus::Completed));
    sound(&memory);
}

#[test]
fn a_channel_without_stock_rule_does_not_lose_its_paid_order() {
    let mut memory = Memory::with_stock(&[("a", 2)]);
    memory.without_rule = true;
    let report = reported(ReportState::Confirmed, 10, vec![line("1", "a", 1)]);
    assert_eq!(upsert(&mut memory, &report), Ok(ReportOutcome::OnHold));
    sound(&memory);
}

#[test]
fn marketplace_amounts_are_kept_and_contradictions_put_on_hold() {
    for (off_by, status, difference) in [
        (0, OrderStatus::Placed, None),
        (2, OrderStatus::Placed, Some("2")),
        (-2, OrderStatus::Placed, Some("-2")),
        (3, OrderStatus::OnHold, Some("3")),
    ] {
        let mut memory = Memory::with_stock(&[("a", 2)]);
        let mut report = reported(ReportState::Confirmed, 10, vec![line("1", "a", 1)]);
        report.input.total_minor += off_by;
        report.input.paid_minor = report.input.total_minor;
        assert_eq!(upsert(&mut memory, &report), Ok(ReportOutcome::Created));
        let order = the_order(&mut memory);
        assert_eq!((order.status, order.total_minor), (status, report.input.total_minor), "{off_by}");
        let noted = order.attributes.iter().find(|attribute| attribute.name == report::ROUNDING_DIFFERENCE);
        assert_eq!(noted.map(|attribute| attribute.value.as_str()), difference);
        sound(&memory);
    }
}

#[test]
fn what_left_stays_gone_and_what_was_cancelled_here_stays_cancelled() {
    let mut memory = Memory::with_stock(&[("a", 5), ("b", 5)]);
    upsert(&mut memory, &reported(ReportState::Confirmed, 10, vec![line("1", "a", 3), line("2", "b", 2)])).unwrap();
    let id = the_order(&mut memory).id;
    memory.call(|m| changing::ship(m, &id, "p1", "", "", &[("1".to_owned(), 2), ("2".to_owned(), 1)])).unwrap();
    upsert(&mut memory, &reported(ReportState::Confirmed, 20, vec![line("1", "a", 1)])).unwrap();
    let order = the_order(&mut memory);
    let lines: Vec<_> = order.lines.iter().map(|line| (line.line_id.as_str(), line.quantity)).collect();
    assert_eq!(lines, [("1", 2), ("2", 1)]);
    assert_eq!((memory.available["a"], memory.available["b"]), (3, 4));
    sound(&memory);

    let mut memory = Memory::with_stock(&[("a", 5)]);
    upsert(&mut memory, &reported(ReportState::Confirmed, 10, vec![line("1", "a", 3)])).unwrap();
    let id = the_order(&mut memory).id;
    memory.call(|m| changing::cancel(m, &id, "out of season")).unwrap();
    upsert(&mut memory, &reported(ReportState::Confirmed, 20, vec![line("1", "a", 3)])).unwrap();
    assert_eq!((the_order(&mut memory).status, memory.available["a"]), (OrderStatus::Cancelled, 5));
    sound(&memory);
}

#[test]
fn history_is_imported_once_with_credits_and_without_events() {
    let mut memory = Memory::with_stock(&[("a", 5)]);
    let mut sale = input("536365", StockSource::None, vec![line("1", "a", 6), line("2", "b", 600)]);
    sale.placed_at_ms = 1_291_190_760_000;
    sale.paid_minor = sale.total_minor;
    let mut credit = input("C536379", StockSource::None, vec![line("1", "a", -1)]);
    credit.shipping_net_minor = 0;
    credit.shipping_tax_minor = 0;
    credit.shipping_gross_minor = 0;
    credit.total_minor = -119;
    credit.paid_minor = -119;
    let inputs = [sale, credit, input("536365", StockSource::None, vec![line("1", "a", 1)])];
    let first = memory.call(|m| placing::import(m, &inputs)).unwrap();
    assert_eq!(first.iter().map(|placing| placing.created).collect::<Vec<_>>(), [true, true, false]);
    let again = memory.call(|m| placing::import(m, &inputs)).unwrap();
    assert!(again.iter().all(|placing| !placing.created));
    assert_eq!((memory.orders.len(), memory.published.len(), memory.available["a"]), (2, 0, 5));
    let sale = placing::load(&mut memory, &first[0].order_id).unwrap();
    assert_eq!((sale.status, units::payment(&sale)), (OrderStatus::Completed, PaymentStatus::Paid));
    assert!(sale.number.starts_with("W-101201-"), "{}", sale.number);
    let credit = placing::load(&mut memory, &first[1].order_id).unwrap();
    assert_eq!((units::returns(&credit), units::returns(&sale)), (ReturnStatus::Returned, ReturnStatus::None));
    sound(&memory);
}

#[test]
fn malformed_input_is_refused_with_the_field() {
    let good = || input("1", StockSource::Reserve, vec![line("1", "a", 1)]);
    type Spoil = fn(&mut OrderInput);
    let cases: [(Spoil, &str); 12] = [
        (|i| i.channel = "Web".into(), "channel:"),
        (|i| i.external_id = String::new(), "external_id:"),
        (|i| i.currency = "eur".into(), "currency:"),
        (|i| i.lines.clear(), "lines:"),
        (|i| i.lines.push(i.lines[0].clone()), "lines[1].line_id"),
        (|i| i.lines[0].quantity = 0, "lines[0].quantity"),
        (|i| i.lines[0].sku = " a".into(), "lines[0].sku"),
        (|i| i.lines[0].net_minor += 1, "lines[0].gross_minor: must be net + tax"),
        (|i| i.lines[0].unit_price_minor += 1, "lines[0].gross_minor: must be unit price"),
        (|i| i.shipping_tax_minor += 1, "shipping_gross_minor"),
        (|i| i.total_minor += 1, "total_minor: must be lines + shipping = 595"),
        (|i| i.lines[0].gross_minor = i64::MAX, "out of range"),
    ];
    for (spoil, expected) in cases {
        let mut memory = Memory::with_stock(&[("a", 5)]);
        let mut spoiled = good();
        spoil(&mut spoiled);
        let text = place(&mut memory, &spoiled).unwrap_err().to_string();
        assert!(text.contains(expected), "{text:?} does not name {expected:?}");
    }
    let mut memory = Memory::with_stock(&[("a", 5)]);
    let mut bad = good();
    bad.stock = StockSource::None;
    bad.total_minor += 1;
    let text = memory.call(|m| placing::import(m, &[bad])).unwrap_err().to_string();
    assert!(text.starts_with("orders[0].total_minor"), "{text}");
}

#[test]
fn lists_are_newest_first_and_pages_neither_skip_nor_repeat() {
    let mut memory = Memory::with_stock(&[]);
    for day in [3, 1, 2, 2, 5, 4, 9] {
        let mut ask = input(&format!("{day}-{}", memory.orders.len()), StockSource::None, vec![line("1", "a", 1)]);
        ask.placed_at_ms = memory.now_ms - 1_000 + day * 200;
        ask.channel = if day % 2 == 0 { "amazon" } else { "web" }.to_owned();
        memory.call(|m| placing::place(m, &ask)).unwrap();
    }
    let collect = |memory: &mut Memory, channel: Option<&str>| {
        let (mut cursor, mut found) = (None, Vec::new());
        loop {
            let page = listing::list(memory, channel, cursor.as_deref(), 2).unwrap();
            found.extend(page.orders);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return found;
            }
        }
    };
    let all = collect(&mut memory, None);
    // Two were placed in the future by the channel's clock: they are listed as of when they came.
    assert_eq!(all.len(), 7);
    let listed: Vec<_> = all.iter().map(|summary| summary.placed_at_ms.min(memory.now_ms)).collect();
    assert!(listed.is_sorted_by(|left, right| left >= right), "{listed:?}");
    assert_eq!(collect(&mut memory, Some("amazon")).len(), 3);
    assert!(matches!(listing::list(&mut memory, None, Some("x"), 2), Err(Error::Invalid(_))));
    assert!(matches!(listing::list(&mut memory, None, None, 0), Err(Error::Invalid(_))));
}

#[derive(Clone, Debug)]
enum Step {
    Place { key: u8, source: u8, lines: Vec<(usize, i64)> },
    Report { key: u8, state: u8, changed_at_ms: u64, lines: Vec<(usize, i64)> },
    Cancel { order: prop::sample::Index },
    Ship { order: prop::sample::Index, parcel: u8, line: u8, quantity: i64 },
    Pay { order: prop::sample::Index, amount_minor: i64 },
    Arrive { sku: usize, quantity: i64 },
    Fill,
}

const SKUS: [&str; 3] = ["a", "b", "c"];

fn lines() -> impl Strategy<Value = Vec<(usize, i64)>> {
    prop::collection::vec((0..3usize, 1..4i64), 1..4)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..8u8, 0..4u8, lines()).prop_map(|(key, source, lines)| Step::Place { key, source, lines }),
        4 => (0..4u8, 0..3u8, 1..30u64, lines()).prop_map(|(key, state, changed_at_ms, lines)| Step::Report { key, state, changed_at_ms, lines }),
        2 => any::<prop::sample::Index>().prop_map(|order| Step::Cancel { order }),
        3 => (any::<prop::sample::Index>(), 0..4u8, 0..3u8, 1..3i64).prop_map(|(order, parcel, line, quantity)| Step::Ship { order, parcel, line, quantity }),
        1 => (any::<prop::sample::Index>(), 1..2_000i64).prop_map(|(order, amount_minor)| Step::Pay { order, amount_minor }),
        2 => (0..3usize, 1..6i64).prop_map(|(sku, quantity)| Step::Arrive { sku, quantity }),
        1 => Just(Step::Fill),
    ]
}

fn to_lines(lines: &[(usize, i64)]) -> Vec<LineInput> {
    lines.iter().enumerate().map(|(index, (sku, quantity))| line(&index.to_string(), SKUS[*sku], *quantity)).collect()
}

fn apply(memory: &mut Memory, step: Step) -> Result<(), Error> {
    let pick = |memory: &Memory, order: prop::sample::Index| {
        let ids: Vec<_> = memory.orders.keys().cloned().collect();
        if ids.is_empty() { String::from("none") } else { ids[order.index(ids.len())].clone() }
    };
    match step {
        Step::Place { key, source, lines } => {
            let source = match source {
                0 => StockSource::HandedOver("shop".into()),
                1 => StockSource::None,
                _ => StockSource::Reserve,
            };
            let ask = input(&key.to_string(), source, to_lines(&lines));
            memory.call(|m| placing::place(m, &ask).map(drop))
        }
        Step::Report { key, state, changed_at_ms, lines } => {
            let state = [ReportState::Pending, ReportState::Confirmed, ReportState::Cancelled][usize::from(state)];
            let mut report = reported(state, changed_at_ms, to_lines(&lines));
            report.input.external_id = key.to_string();
            memory.call(|m| report::upsert(m, &report).map(drop))
        }
        Step::Cancel { order } => {
            let id = pick(memory, order);
            memory.call(|m| changing::cancel(m, &id, "").map(drop))
        }
        Step::Ship { order, parcel, line, quantity } => {
            let id = pick(memory, order);
            let lines = [(line.to_string(), quantity)];
            memory.call(|m| changing::ship(m, &id, &parcel.to_string(), "", "", &lines).map(drop))
        }
        Step::Pay { order, amount_minor } => {
            let id = pick(memory, order);
            memory.call(|m| changing::record_payment(m, &id, &amount_minor.to_string(), amount_minor).map(drop))
        }
        Step::Arrive { sku, quantity } => {
            *memory.available.entry(SKUS[sku].to_owned()).or_default() += quantity;
            *memory.on_hand.entry(SKUS[sku].to_owned()).or_default() += quantity;
            Ok(())
        }
        Step::Fill => memory.call(|m| report::fill_waiting(m, 50).map(drop)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_units_and_reservations_in_step(steps in prop::collection::vec(step(), 1..50)) {
        let mut memory = Memory::with_stock(&[("a", 6), ("b", 6), ("c", 6)]);
        for step in steps {
            match apply(&mut memory, step) {
                Ok(()) | Err(Error::Insufficient(_) | Error::Conflict(_) | Error::NotFound(_)) => {}
                Err(error) => prop_assert!(false, "{:?}", error),
            }
            sound(&memory);
        }
    }

    #[test]
    fn reports_in_any_order_end_in_the_newest(
        reports in prop::collection::btree_map(1..100u64, (0..3u8, lines()), 1..8),
        shuffle in any::<u64>(),
    ) {
        let all: Vec<_> = reports.into_iter().map(|(changed_at_ms, (state, lines))| {
            let state = [ReportState::Pending, ReportState::Confirmed, ReportState::Cancelled][usize::from(state)];
            reported(state, changed_at_ms, to_lines(&lines))
        }).collect();
        let plenty = [("a", 1_000), ("b", 1_000), ("c", 1_000)];
        let mut newest_only = Memory::with_stock(&plenty);
        upsert(&mut newest_only, all.last().unwrap()).unwrap();

        let mut shuffled = all.clone();
        shuffled.extend(all.iter().cloned());
        let mut seed = shuffle;
        for index in (1..shuffled.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(index, usize::try_from(seed >> 33).unwrap() % (index + 1));
        }
        let mut memory = Memory::with_stock(&plenty);
        for report in &shuffled {
            upsert(&mut memory, report).unwrap();
        }
        let (one, other) = (the_order(&mut newest_only), the_order(&mut memory));
        prop_assert_eq!(one.status, other.status);
        prop_assert_eq!(one.lines, other.lines);
        prop_assert_eq!(one.total_minor, other.total_minor);
        prop_assert_eq!(&newest_only.available, &memory.available);
        sound(&memory);
    }
}
