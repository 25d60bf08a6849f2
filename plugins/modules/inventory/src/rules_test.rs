//! Tests of the rules over maps in memory: cases as data.

use crate::memory::Memory;
use crate::model::{
    ChannelOffer, ChannelRule, Counter, Demand, Error, Event, MovementInput, MovementReason, Place, Reservation,
    ReservationKind, ReservationRequest, ReservationState, Result, StockCount,
};
use crate::{booking, offers, reservation, verify};

pub(crate) fn demand(sku: &str, quantity: i64) -> Demand {
    Demand { sku: sku.to_owned(), quantity, location: None }
}

fn demand_at(sku: &str, quantity: i64, location: &str) -> Demand {
    Demand { location: Some(location.to_owned()), ..demand(sku, quantity) }
}

pub(crate) fn wish(sku: &str, quantity: i64) -> ChannelOffer {
    ChannelOffer { sku: sku.to_owned(), quantity }
}

pub(crate) fn request(owner: &str, demands: Vec<Demand>) -> ReservationRequest {
    ReservationRequest {
        channel: "web".to_owned(),
        kind: ReservationKind::Cart,
        owner: owner.to_owned(),
        demands,
        expires_at_ms: None,
        allow_partial: false,
    }
}

pub(crate) fn movement(sku: &str, location: &str, quantity: i64, ref_id: &str) -> MovementInput {
    MovementInput {
        sku: sku.to_owned(),
        location: location.to_owned(),
        quantity,
        reason: MovementReason::ReceivePo,
        ref_type: "delivery".to_owned(),
        ref_id: ref_id.to_owned(),
        line: 0,
        occurred_at_ms: 0,
    }
}

pub(crate) fn stocked(locations: &[&str], buffer: i64, stock: &[(&str, &str, i64)]) -> Memory {
    let mut memory = Memory::with_channel(locations, buffer);
    for (sku, location, quantity) in stock {
        memory.call(|m| booking::book(m, &[movement(sku, location, *quantity, "first")])).unwrap();
    }
    memory.events.clear();
    memory
}

pub(crate) fn verified(memory: &mut Memory) {
    let found = memory.call(|m| verify::verify(m, None)).unwrap();
    assert_eq!(found.discrepancies, vec![]);
    assert_eq!(found.next_cursor, None);
    let mut open = std::collections::BTreeMap::<Place, i64>::new();
    for reservation in memory.reservations.values().filter(|r| r.is_live()) {
        for allocation in &reservation.allocations {
            *open.entry(allocation.place()).or_default() += allocation.open();
        }
    }
    for ((place, counter), value) in &memory.counters {
        if *counter == Counter::Reserved {
            assert_eq!(*value, open.get(place).copied().unwrap_or(0), "reserved at {place:?}");
        }
    }
    for (_, _, id) in memory.holds.keys() {
        assert!(memory.reservations[id].is_live(), "a hold of {id} outlived it");
    }
}

fn allocations(reservation: &Reservation) -> Vec<(&str, &str, i64)> {
    let parts = reservation.allocations.iter();
    parts.map(|a| (a.sku.as_str(), a.location.as_str(), a.quantity)).collect()
}

/// Channel locations, buffer, stock, demands, and what is allocated (or what could have been had at most).
type AllocationCase = (
    &'static str,
    &'static [&'static str],
    i64,
    &'static [(&'static str, &'static str, i64)],
    Vec<Demand>,
    std::result::Result<&'static [(&'static str, &'static str, i64)], &'static [(&'static str, i64, i64)]>,
);

#[test]
fn demand_is_allocated_in_the_channels_order_and_above_its_buffer() {
    let cases: Vec<AllocationCase> = vec![
        ("one location", &["a"], 0, &[("x", "a", 5)], vec![demand("x", 5)], Ok(&[("x", "a", 5)])),
        ("one too many", &["a"], 0, &[("x", "a", 5)], vec![demand("x", 6)], Err(&[("x", 6, 5)])),
        (
            "duplicate lines are added up",
            &["a"],
            0,
            &[("x", "a", 5)],
            vec![demand("x", 3), demand("x", 3)],
            Err(&[("x", 6, 5)]),
        ),
        (
            "the first location that has all of it",
            &["a", "b"],
            0,
            &[("x", "a", 2), ("x", "b", 9)],
            vec![demand("x", 3)],
            Ok(&[("x", "b", 3)]),
        ),
        (
            "split when none has all of it",
            &["a", "b"],
            0,
            &[("x", "a", 2), ("x", "b", 2)],
            vec![demand("x", 3)],
            Ok(&[("x", "a", 2), ("x", "b", 1)]),
        ),
        ("buffer stays", &["a"], 2, &[("x", "a", 5)], vec![demand("x", 4)], Err(&[("x", 4, 3)])),
        ("down to the buffer", &["a"], 2, &[("x", "a", 5)], vec![demand("x", 3)], Ok(&[("x", "a", 3)])),
        (
            "buffer is one for all locations",
            &["a", "b"],
            2,
            &[("x", "a", 2), ("x", "b", 2)],
            vec![demand("x", 2)],
            Ok(&[("x", "a", 2)]),
        ),
        (
            "buffer over all locations refuses",
            &["a", "b"],
            2,
            &[("x", "a", 2), ("x", "b", 2)],
            vec![demand("x", 3)],
            Err(&[("x", 3, 2)]),
        ),
        (
            "another channel's location does not leak",
            &["a"],
            0,
            &[("x", "a", 1), ("x", "c", 100)],
            vec![demand("x", 2)],
            Err(&[("x", 2, 1)]),
        ),
        (
            "a named location",
            &["a", "b"],
            0,
            &[("x", "a", 9), ("x", "b", 1)],
            vec![demand_at("x", 1, "b"), demand("x", 1)],
            Ok(&[("x", "b", 1), ("x", "a", 1)]),
        ),
        (
            "all shortages are named, nothing is held",
            &["a"],
            0,
            &[("x", "a", 1), ("y", "a", 1), ("z", "a", 1)],
            vec![demand("z", 1), demand("y", 2), demand("x", 2)],
            Err(&[("x", 2, 1), ("y", 2, 1)]),
        ),
    ];
    for (name, locations, buffer, stock, demands, expected) in cases {
        let mut memory = stocked(locations, buffer, stock);
        let result = memory.call(|m| reservation::reserve(m, &request("cart-1", demands)));
        match (result, expected) {
            (Ok(reservation), Ok(expected)) => {
                assert_eq!(allocations(&reservation), expected, "{name}")
            }
            (Err(Error::Insufficient(shortages)), Err(expected)) => {
                let shortages: Vec<_> = shortages.iter().map(|s| (s.sku.as_str(), s.requested, s.available)).collect();
                assert_eq!(shortages, expected, "{name}");
                assert!(memory.holds.is_empty(), "{name}");
            }
            (result, _) => panic!("{name}: {result:?}"),
        }
        verified(&mut memory);
    }
}

#[test]
fn a_hot_sku_is_sold_and_refused_without_reading_an_exact_value() {
    let mut memory = stocked(&["a"], 1, &[("x", "a", 11)]);
    let mut sold = 0;
    for buyer in 0..200 {
        let owner = format!("cart-{buyer}");
        match memory.call(|m| reservation::reserve(m, &request(&owner, vec![demand("x", 1)]))) {
            Ok(_) => sold += 1,
            Err(Error::Insufficient(shortages)) => assert_eq!(shortages[0].available, 0),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((sold, memory.exact_reads), (10, 0));
    assert_eq!(memory.counter(Counter::AvailableToSell, "x", "a"), 1);
    verified(&mut memory);
}

#[test]
fn a_wish_that_can_be_met_depends_on_no_exact_value() {
    let mut memory = stocked(&["a", "b"], 1, &[("x", "a", 3), ("x", "b", 5), ("y", "a", 2)]);
    type Wishes = &'static [(&'static str, i64)];
    type Short = &'static [(&'static str, i64, i64)];
    // (what is wished, maximum of the channel, what is short, places whose exact value was read)
    let cases: [(Wishes, Option<i64>, Short, u32); 8] = [
        (&[("x", 4), ("y", 1)], None, &[], 0),
        (&[("x", 2), ("x", 2)], Some(4), &[], 0),
        (&[("x", 5)], None, &[], 2),
        (&[("x", 7)], None, &[], 2),
        (&[("x", 4), ("y", 1), ("x", 4)], None, &[("x", 8, 7)], 2),
        (&[("y", 2), ("x", 8)], None, &[("x", 8, 7), ("y", 2, 1)], 4),
        (&[("x", 3)], Some(2), &[("x", 3, 2)], 2),
        (&[("none", 1)], None, &[("none", 1, 0)], 2),
    ];
    for (wanted, maximum, expected, exact_reads) in cases {
        let rule = ChannelRule { maximum, ..offers::channel_rule(&mut memory, "web").unwrap() };
        offers::set_channel_rule(&mut memory, &rule).unwrap();
        memory.exact_reads = 0;
        let wishes: Vec<_> = wanted.iter().map(|(sku, quantity)| wish(sku, *quantity)).collect();
        let short = offers::shortages(&mut memory, "web", &wishes).unwrap();
        let short: Vec<_> = short.iter().map(|s| (s.sku.as_str(), s.requested, s.available)).collect();
        assert_eq!(
            (short.as_slice(), memory.exact_reads),
            (expected, exact_reads),
            "{wanted:?} of at most {maximum:?}"
        );
    }
}

#[test]
fn partial_reservations_take_what_there_is_and_never_nothing() {
    let mut memory = stocked(&["a", "b"], 1, &[("x", "a", 2), ("x", "b", 2)]);
    let mut partial = request("order-1", vec![demand("x", 9), demand("y", 1)]);
    partial.allow_partial = true;
    let held = memory.call(|m| reservation::reserve(m, &partial)).unwrap();
    assert_eq!(allocations(&held), [("x", "a", 2), ("x", "b", 1)]);
    partial.owner = "order-2".to_owned();
    let refused = memory.call(|m| reservation::reserve(m, &partial)).unwrap_err();
    assert!(matches!(refused, Error::Insufficient(shortages) if shortages.len() == 2));
    verified(&mut memory);
}

#[test]
fn the_same_owner_gets_the_same_reservation_until_it_ends() {
    let mut memory = stocked(&["a"], 0, &[("x", "a", 5)]);
    let ask = request("cart-1", vec![demand("x", 2)]);
    let first = memory.call(|m| reservation::reserve(m, &ask)).unwrap();
    let again = memory.call(|m| reservation::reserve(m, &ask)).unwrap();
    assert_eq!(first, again);
    assert_eq!(memory.counter(Counter::AvailableToSell, "x", "a"), 3);
    memory.call(|m| reservation::release(m, &first.id)).unwrap();
    memory.call(|m| reservation::release(m, &first.id)).unwrap();
    assert_eq!(memory.counter(Counter::AvailableToSell, "x", "a"), 5);
    let second = memory.call(|m| reservation::reserve(m, &ask)).unwrap();
    assert_ne!(first.id, second.id);
    verified(&mut memory);
}

#[test]
fn a_lapsed_reservation_gives_way_before_any_sweeper_ran() {
    let mut memory = stocked(&["a"], 0, &[("x", "a", 5), ("y", "a", 1)]);
    let mut ask = request("cart-1", vec![demand("x", 5), demand("y", 1)]);
    ask.expires_at_ms = Some(memory.now_ms + 1_000);
    let lapsing = memory.call(|m| reservation::reserve(m, &ask)).unwrap();
    let other = request("cart-2", vec![demand("x", 1)]);
    memory.call(|m| reservation::reserve(m, &other)).unwrap_err();

    memory.now_ms += 1_000;
    let skus = ["x".to_owned(), "y".to_owned()];
    let offered = memory.call(|m| offers::offers(m, "web", &skus)).unwrap();
    assert_eq!((offered[0].quantity, offered[1].quantity), (5, 1));
    let levels = memory.call(|m| offers::levels(m, &skus)).unwrap();
    assert_eq!((levels[0].reserved, levels[0].available_to_sell), (0, 5));
    let seen = memory.call(|m| reservation::get(m, &lapsing.id)).unwrap();
    assert_eq!(seen.state, ReservationState::Expired);
    let refused = memory.call(|m| reservation::commit(m, &lapsing.id, "order-1"));
    assert!(matches!(refused, Err(Error::Conflict(_))));

    memory.events.clear();
    memory.call(|m| reservation::reserve(m, &other)).unwrap();
    assert_eq!(memory.counter(Counter::AvailableToSell, "x", "a"), 4);
    assert_eq!(memory.counter(Counter::AvailableToSell, "y", "a"), 1);
    assert!(memory.events.contains(&Event::StockChanged { sku: "y".to_owned() }));
    assert_eq!(memory.call(|m| reservation::sweep(m, 10)).unwrap(), 0);
    verified(&mut memory);
}

#[test]
fn the_sweeper_gives_back_what_lapsed_and_nothing_else() {
    let mut memory = stocked(&["a"], 0, &[("x", "a", 9)]);
    for (owner, life_ms) in [("one", Some(10)), ("two", Some(20)), ("three", Some(21)), ("four", None)] {
        let mut ask = request(owner, vec![demand("x", 1)]);
        ask.expires_at_ms = life_ms.map(|life_ms| memory.now_ms + life_ms);
        memory.call(|m| reservation::reserve(m, &ask)).unwrap();
    }
    memory.now_ms += 20;
    assert_eq!(memory.call(|m| reservation::sweep(m, 1)).unwrap(), 1);
    assert_eq!(memory.call(|m| reservation::sweep(m, 10)).unwrap(), 1);
    assert_eq!(memory.call(|m| reservation::sweep(m, 10)).unwrap(), 0);
    assert_eq!(memory.counter(Counter::Reserved, "x", "a"), 2);
    verified(&mut memory);
}

#[test]
fn extension_is_limited_in_number_and_time() {
    let mut memory = stocked(&["a"], 0, &[("x", "a", 9)]);
    let mut ask = request("cart", vec![demand("x", 1)]);
    let made_at_ms = memory.now_ms;
    ask.expires_at_ms = Some(made_at_ms + 1_000);
    let id = memory.call(|m| reservation::reserve(m, &ask)).unwrap().id;
    let extend = |memory: &mut Memory, to_ms| memory.call(|m| reservation::extend(m, &id, to_ms));
    let four_hours = 4 * 60 * 60 * 1_000;
    assert!(matches!(extend(&mut memory, made_at_ms + 500), Err(Error::Invalid(_))));
    assert!(matches!(extend(&mut memory, made_at_ms + four_hours + 1), Err(Error::Invalid(_))));
    extend(&mut memory, made_at_ms + 2_000).unwrap();
    extend(&mut memory, made_at_ms + 3_000).unwrap();
    extend(&mut memory, made_at_ms + four_hours).unwrap();
    assert!(matches!(extend(&mut memory, made_at_ms + four_hours), Err(Error::Invalid(_))));
    memory.now_ms = made_at_ms + four_hours;
    assert!(matches!(extend(&mut memory, made_at_ms + four_hours + 1), Err(Error::Conflict(_))));
    verified(&mut memory);
}

#[test]
fn commit_fulfil_and_release_part_happen_once_each() {
    let mut memory = stocked(&["a", "b"], 0, &[("x", "a", 3), ("x", "b", 3)]);
    let held = memory.call(|m| reservation::reserve(m, &request("cart", vec![demand("x", 5)]))).unwrap();
    for _ in 0..2 {
        let committed = memory.call(|m| reservation::commit(m, &held.id, "order-1")).unwrap();
        assert_eq!(committed.state, ReservationState::Committed);
    }
    let stolen = memory.call(|m| reservation::commit(m, &held.id, "order-2"));
    assert!(matches!(stolen, Err(Error::Conflict(_))));
    for _ in 0..2 {
        let after = memory.call(|m| reservation::fulfil(m, &held.id, "parcel-1", &[demand("x", 4)])).unwrap();
        assert_eq!(after.allocations.iter().map(|a| a.fulfilled).sum::<i64>(), 4);
    }
    let too_much = memory.call(|m| reservation::fulfil(m, &held.id, "parcel-2", &[demand("x", 2)]));
    assert!(matches!(too_much, Err(Error::Conflict(_))));
    for _ in 0..2 {
        let after = memory.call(|m| reservation::release_part(m, &held.id, "cancel-1", &[demand("x", 1)])).unwrap();
        assert_eq!(after.state, ReservationState::Fulfilled);
    }
    assert_eq!(memory.counter(Counter::OnHand, "x", "a"), 0);
    assert_eq!(memory.counter(Counter::OnHand, "x", "b"), 2);
    assert_eq!(memory.counter(Counter::AvailableToSell, "x", "b"), 2);
    assert_eq!(memory.counter(Counter::Reserved, "x", "b"), 0);
    verified(&mut memory);
}

#[test]
fn movements_and_counts_are_booked_once() {
    let mut memory = stocked(&["a"], 0, &[]);
    let delivery = [movement("x", "a", 10, "po-1"), movement("x", "b", 4, "po-1"), movement("x", "a", 10, "po-1")];
    assert_eq!(memory.call(|m| booking::book(m, &delivery)).unwrap(), 2);
    assert_eq!(memory.call(|m| booking::book(m, &delivery)).unwrap(), 0);
    assert_eq!(memory.counter(Counter::OnHand, "x", "a"), 10);

    let count = |expected, counted, reference: &str| StockCount {
        sku: "x".to_owned(),
        location: "a".to_owned(),
        expected,
        counted,
        reference: reference.to_owned(),
    };
    let counted = |memory: &mut Memory, count| memory.call(|m| booking::count(m, &[count]));
    assert!(matches!(counted(&mut memory, count(Some(9), 8, "c1")), Err(Error::Conflict(_))));
    assert_eq!(counted(&mut memory, count(Some(10), 8, "c1")), Ok(1));
    assert_eq!(counted(&mut memory, count(Some(10), 8, "c1")), Ok(0));
    assert_eq!(counted(&mut memory, count(None, 8, "c2")), Ok(0));
    memory.call(|m| booking::sell(m, "a", "sale-1", 5, &[demand("x", 1)])).unwrap();
    // Delivered again after a sale, a count without a difference must not undo the sale.
    assert_eq!(counted(&mut memory, count(None, 8, "c2")), Ok(0));
    assert_eq!(memory.counter(Counter::OnHand, "x", "a"), 7);
    verified(&mut memory);

    let page = offers::movements(&mut memory, "x", None, None, 2).unwrap();
    assert_eq!(page.movements.len(), 2);
    let rest = offers::movements(&mut memory, "x", None, page.next_cursor.as_deref(), 9).unwrap();
    let quantities: Vec<_> = page.movements.iter().chain(&rest.movements).map(|m| m.quantity).collect();
    assert_eq!(quantities, [-1, -2, 4, 10]);
    assert_eq!(rest.next_cursor, None);
}

#[test]
fn a_sale_over_the_counter_is_never_refused_and_names_the_weakest_reservation() {
    let mut memory = stocked(&["a"], 0, &[("x", "a", 2)]);
    let mut pickup = request("pickup-1", vec![demand("x", 1)]);
    pickup.kind = ReservationKind::Pickup;
    memory.call(|m| reservation::reserve(m, &pickup)).unwrap();
    let cart = memory.call(|m| reservation::reserve(m, &request("cart-1", vec![demand("x", 1)]))).unwrap();
    memory.events.clear();
    for _ in 0..2 {
        memory.call(|m| booking::sell(m, "a", "sale-1", 0, &[demand("x", 1), demand("x", 2)])).unwrap();
    }
    assert_eq!(memory.counter(Counter::OnHand, "x", "a"), -1);
    assert_eq!(memory.counter(Counter::AvailableToSell, "x", "a"), -3);
    assert_eq!(
        memory.events,
        [
            Event::Oversold {
                place: Place::new("x", "a"),
                quantity: 3,
                ref_type: "sale".to_owned(),
                ref_id: "sale-1".to_owned(),
                weakest_reservation: Some(cart.id),
            },
            Event::StockChanged { sku: "x".to_owned() },
        ]
    );
    verified(&mut memory);
}

#[test]
fn safety_and_damaged_returns_are_not_for_sale() {
    let mut memory = stocked(&["a"], 0, &[("x", "a", 5)]);
    memory.call(|m| booking::set_safety(m, "x", "a", 3)).unwrap();
    memory.call(|m| booking::set_safety(m, "x", "a", 2)).unwrap();
    let mut damaged = movement("x", "a", 4, "return-1");
    damaged.reason = MovementReason::ReturnDamaged;
    memory.call(|m| booking::book(m, &[damaged.clone()])).unwrap();
    let level = memory.call(|m| offers::levels(m, &["x".to_owned()])).unwrap().remove(0);
    assert_eq!((level.on_hand, level.unsellable, level.safety, level.available_to_sell), (9, 4, 2, 3));
    damaged.quantity = -5;
    damaged.ref_id = "disposal-1".to_owned();
    let refused = memory.call(|m| booking::book(m, &[damaged.clone()]));
    assert!(matches!(refused, Err(Error::Invalid(_))));
    verified(&mut memory);
}

#[test]
fn verification_reports_a_counter_that_left_its_ledger() {
    let mut memory = stocked(&["a"], 0, &[("x", "a", 5), ("y", "a", 5)]);
    memory.counters.insert((Place::new("y", "a"), Counter::OnHand), 6);
    let found = memory.call(|m| verify::verify(m, None)).unwrap();
    assert_eq!(found.checked, 2);
    let fields: Vec<_> =
        found.discrepancies.iter().map(|d| (d.sku.as_str(), d.field.as_str(), d.projected, d.ledger)).collect();
    assert_eq!(fields, [("y", "on-hand", 6, 5)]);
}

#[test]
fn verification_of_a_long_ledger_takes_steps_and_adds_up() {
    let mut memory = stocked(&["a"], 0, &[("w", "a", 1)]);
    for batch in 0..25 {
        let movements: Vec<_> =
            (0..1_000).map(|line| MovementInput { line, ..movement("x", "a", 1, &format!("po-{batch}")) }).collect();
        booking::book(&mut memory, &movements).unwrap();
    }
    let (mut cursor, mut steps, mut checked) = (None, 0, 0);
    loop {
        let found = verify::verify(&mut memory, cursor.as_deref()).unwrap();
        assert_eq!(found.discrepancies, vec![]);
        (steps, checked) = (steps + 1, checked + found.checked);
        cursor = found.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((steps, checked), (2, 2));
}

#[test]
fn malformed_input_is_refused_with_the_field() {
    let mut memory = stocked(&["a"], 0, &[("x", "a", 5)]);
    let cases: Vec<(Result<()>, &str)> = vec![
        (booking::book(&mut memory, &[]).map(drop), "movements:"),
        (booking::book(&mut memory, &[movement("x", "a", 0, "r")]).map(drop), "movements[0].quantity"),
        (booking::book(&mut memory, &[movement(" x", "a", 1, "r")]).map(drop), "movements[0].sku"),
        (booking::book(&mut memory, &[movement("x", "A", 1, "r")]).map(drop), "movements[0].location"),
        (booking::book(&mut memory, &[movement("x", "zz", 1, "r")]).map(drop), "there is no location `zz`"),
        (reservation::reserve(&mut memory, &request("o", vec![demand("x", 0)])).map(drop), "demands[0].quantity"),
        (reservation::reserve(&mut memory, &request("", vec![demand("x", 1)])).map(drop), "owner"),
        (reservation::reserve(&mut memory, &request("o", vec![demand_at("x", 1, "b")])).map(drop), "b is not"),
        (reservation::get(&mut memory, "none").map(drop), "no reservation none"),
        (offers::offers(&mut memory, "till", &["x".to_owned()]).map(drop), "channel `till` has no rule"),
        (offers::shortages(&mut memory, "web", &[]).map(drop), "wishes:"),
        (offers::shortages(&mut memory, "web", &[wish("x", 1), wish("y", 0)]).map(drop), "wishes[1].quantity"),
        (offers::shortages(&mut memory, "web", &[wish("x ", 1)]).map(drop), "wishes[0].sku"),
        (verify::verify(&mut memory, Some("zz")).map(drop), "cursor"),
        (offers::movements(&mut memory, "x", None, Some("7"), 9).map(drop), "cursor"),
    ];
    for (result, expected) in cases {
        let text = result.unwrap_err().to_string();
        assert!(text.contains(expected), "{text:?} does not name {expected:?}");
    }
    let twice = ChannelRule {
        channel: "web".to_owned(),
        locations: vec!["a".to_owned(), "a".to_owned()],
        buffer: 0,
        maximum: None,
    };
    assert!(matches!(offers::set_channel_rule(&mut memory, &twice), Err(Error::Invalid(_))));
}
