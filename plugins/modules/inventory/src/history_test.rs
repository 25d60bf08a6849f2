//! Properties of the rules over random histories: whatever happens, ledger and projection agree, and what is offered can be had.

use proptest::prelude::*;

use crate::memory::Memory;
use crate::model::{Counter, Demand, Error, MovementReason, Reservation, Result, StockCount};
use crate::rules_test::{demand, movement, request, verified, wish};
use crate::{booking, offers, reservation};

/// A step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Book { sku: usize, location: usize, quantity: i64, reference: u8 },
    Damage { sku: usize, location: usize, quantity: i64, reference: u8 },
    Count { sku: usize, location: usize, counted: i64, reference: u8 },
    Sell { sku: usize, location: usize, quantity: i64, reference: u8 },
    Safety { sku: usize, location: usize, quantity: i64 },
    Reserve { owner: u8, demands: Vec<(usize, i64, Option<usize>)>, life_ms: Option<u64>, partial: bool },
    Commit { owner: u8 },
    Release { owner: u8 },
    Fulfil { owner: u8, sku: usize, quantity: i64, reference: u8 },
    ReleasePart { owner: u8, sku: usize, quantity: i64, reference: u8 },
    Extend { owner: u8, life_ms: u64 },
    Sweep,
    Wait { ms: u64 },
}

const SKUS: [&str; 3] = ["x", "y", "z"];
const LOCATIONS: [&str; 3] = ["a", "b", "c"];

fn step() -> impl Strategy<Value = Step> {
    let place = (0..3usize, 0..3usize);
    prop_oneof![
        3 => (place.clone(), -5..12i64, any::<u8>()).prop_map(|((sku, location), quantity, reference)| Step::Book { sku, location, quantity, reference }),
        1 => (place.clone(), -2..4i64, any::<u8>()).prop_map(|((sku, location), quantity, reference)| Step::Damage { sku, location, quantity, reference }),
        1 => (place.clone(), 0..12i64, 0..20u8).prop_map(|((sku, location), counted, reference)| Step::Count { sku, location, counted, reference }),
        1 => (place.clone(), 1..4i64, 0..20u8).prop_map(|((sku, location), quantity, reference)| Step::Sell { sku, location, quantity, reference }),
        1 => (place, 0..3i64).prop_map(|((sku, location), quantity)| Step::Safety { sku, location, quantity }),
        5 => (0..12u8, prop::collection::vec((0..3usize, 1..4i64, prop::option::weighted(0.2, 0..2usize)), 1..4), prop::option::of(1..50u64), prop::bool::weighted(0.2))
            .prop_map(|(owner, demands, life_ms, partial)| Step::Reserve { owner, demands, life_ms, partial }),
        2 => (0..12u8).prop_map(|owner| Step::Commit { owner }),
        2 => (0..12u8).prop_map(|owner| Step::Release { owner }),
        2 => (0..12u8, 0..3usize, 1..3i64, 0..20u8).prop_map(|(owner, sku, quantity, reference)| Step::Fulfil { owner, sku, quantity, reference }),
        1 => (0..12u8, 0..3usize, 1..3i64, 0..20u8).prop_map(|(owner, sku, quantity, reference)| Step::ReleasePart { owner, sku, quantity, reference }),
        1 => (0..12u8, 1..80u64).prop_map(|(owner, life_ms)| Step::Extend { owner, life_ms }),
        1 => Just(Step::Sweep),
        2 => (1..30u64).prop_map(|ms| Step::Wait { ms }),
    ]
}

fn newest(memory: &mut Memory, owner: u8) -> Option<String> {
    use crate::stock::Stock;
    memory.reservation_of(&format!("owner-{owner}")).unwrap()
}

fn apply(memory: &mut Memory, step: Step) -> Result<()> {
    let on = |memory: &mut Memory, owner, run: &dyn Fn(&mut Memory, &str) -> Result<Reservation>| match newest(
        memory, owner,
    ) {
        Some(id) => memory.call(|m| run(m, &id)).map(drop),
        None => Ok(()),
    };
    match step {
        Step::Book { sku, location, quantity, reference } => {
            let input = movement(SKUS[sku], LOCATIONS[location], quantity, &reference.to_string());
            memory.call(|m| booking::book(m, &[input]).map(drop))
        }
        Step::Damage { sku, location, quantity, reference } => {
            let mut input = movement(SKUS[sku], LOCATIONS[location], quantity, &format!("damage-{reference}"));
            input.reason = MovementReason::ReturnDamaged;
            memory.call(|m| booking::book(m, &[input]).map(drop))
        }
        Step::Count { sku, location, counted, reference } => {
            let count = StockCount {
                sku: SKUS[sku].to_owned(),
                location: LOCATIONS[location].to_owned(),
                expected: None,
                counted,
                reference: reference.to_string(),
            };
            memory.call(|m| booking::count(m, &[count]).map(drop))
        }
        Step::Sell { sku, location, quantity, reference } => memory
            .call(|m| booking::sell(m, LOCATIONS[location], &reference.to_string(), 0, &[demand(SKUS[sku], quantity)])),
        Step::Safety { sku, location, quantity } => {
            memory.call(|m| booking::set_safety(m, SKUS[sku], LOCATIONS[location], quantity))
        }
        Step::Reserve { owner, demands, life_ms, partial } => {
            let demands = demands
                .into_iter()
                .map(|(sku, quantity, location)| Demand {
                    location: location.map(|location| LOCATIONS[location].to_owned()),
                    ..demand(SKUS[sku], quantity)
                })
                .collect();
            let mut ask = request(&format!("owner-{owner}"), demands);
            ask.expires_at_ms = life_ms.map(|life_ms| memory.now_ms + life_ms);
            ask.allow_partial = partial;
            memory.call(|m| reservation::reserve(m, &ask).map(drop))
        }
        Step::Commit { owner } => on(memory, owner, &|m, id| reservation::commit(m, id, &format!("order-{id}"))),
        Step::Release { owner } => on(memory, owner, &|m, id| reservation::release(m, id)),
        Step::Fulfil { owner, sku, quantity, reference } => on(memory, owner, &|m, id| {
            reservation::fulfil(m, id, &format!("{id}-{reference}"), &[demand(SKUS[sku], quantity)])
        }),
        Step::ReleasePart { owner, sku, quantity, reference } => on(memory, owner, &|m, id| {
            reservation::release_part(m, id, &format!("{id}-{reference}"), &[demand(SKUS[sku], quantity)])
        }),
        Step::Extend { owner, life_ms } => {
            let to_ms = memory.now_ms + life_ms;
            on(memory, owner, &|m, id| reservation::extend(m, id, to_ms))
        }
        Step::Sweep => memory.call(|m| reservation::sweep(m, 3).map(drop)),
        Step::Wait { ms } => {
            memory.now_ms += ms;
            Ok(())
        }
    }
}

/// What of a SKU the channel could still take above nothing: the sum that its buffer is measured by.
fn sellable(memory: &Memory, sku: &str, locations: &[&str]) -> i64 {
    let at = |location: &&str| memory.counter(Counter::AvailableToSell, sku, location).max(0);
    locations.iter().map(at).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_projection_and_ledger_equal(buffer in 0..4i64, steps in prop::collection::vec(step(), 1..60)) {
        let channel = ["a", "b"];
        let mut memory = Memory::with_channel(&channel, buffer);
        for step in steps {
            let before = memory.clone();
            let reserves = matches!(step, Step::Reserve { .. });
            match apply(&mut memory, step) {
                Ok(()) | Err(Error::Insufficient(_) | Error::Conflict(_) | Error::Invalid(_)) => {}
                Err(error) => prop_assert!(false, "{}", error),
            }
            if reserves {
                for sku in SKUS {
                    let (then, now) = (sellable(&before, sku, &channel), sellable(&memory, sku, &channel));
                    prop_assert!(now >= then || now >= buffer, "{} sold into the buffer: {} to {}", sku, then, now);
                }
            }
            for (id, reservation) in &before.reservations {
                if !reservation.is_live() {
                    prop_assert_eq!(reservation, &memory.reservations[id]);
                }
            }
            prop_assert!(memory.movements.len() >= before.movements.len());
            verified(&mut memory);
        }
    }

    #[test]
    fn an_offer_can_be_reserved_in_full_and_not_a_unit_more(
        buffer in 0..4i64,
        on_hand in prop::collection::vec(-2..6i64, 2),
    ) {
        let mut memory = Memory::with_channel(&["a", "b"], buffer);
        for (location, quantity) in ["a", "b"].iter().zip(&on_hand).filter(|(_, quantity)| **quantity != 0) {
            memory.call(|m| booking::book(m, &[movement("x", location, *quantity, "first")])).unwrap();
        }
        let offered = offers::offers(&mut memory, "web", &["x".to_owned()]).unwrap()[0].quantity;
        let short = |memory: &mut Memory, quantity| {
            offers::shortages(memory, "web", &[wish("x", quantity)]).unwrap().first().map(|shortage| shortage.available)
        };
        prop_assert_eq!(short(&mut memory, offered + 1), Some(offered));
        prop_assert!(offered == 0 || short(&mut memory, offered).is_none());
        let more = memory.call(|m| reservation::reserve(m, &request("more", vec![demand("x", offered + 1)])));
        prop_assert!(matches!(more, Err(Error::Insufficient(shortages)) if shortages[0].available == offered));
        if offered > 0 {
            let all = memory.call(|m| reservation::reserve(m, &request("all", vec![demand("x", offered)])));
            prop_assert!(all.is_ok());
        }
        verified(&mut memory);
    }
}
