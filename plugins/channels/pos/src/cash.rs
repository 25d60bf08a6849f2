//! Tenders: what is due in cash, what change is given, and how cash is rounded where small coins are not in use. Rounding belongs to
//! the payment: the total and its tax stay as they are.

use kontor_sdk::Error;

use crate::model::{Method, Tender};
use crate::money;

/// The highest amount of one tender.
const AMOUNT_MAX_MINOR: i64 = 100_000_000_000;
/// Tenders of one sale.
const TENDERS_MAX: usize = 20;

/// How a total was paid. Card + cash given - change = total + rounding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settlement {
    pub(crate) cash_rounding_minor: i64,
    pub(crate) change_minor: i64,
    /// `cash`, `card`, `cash+card`, or `none` when nothing was due.
    pub(crate) method: &'static str,
}

/// The smallest amount that can be paid in cash in a currency whose smallest coins are not in use any more.
pub(crate) fn coin_minor(currency: &str) -> i64 {
    match currency {
        "CHF" => 5,
        "DKK" => 50,
        "CZK" | "NOK" | "SEK" => 100,
        "HUF" => 500,
        _ => 1,
    }
}

/// The nearest multiple of a coin; a half goes up.
pub(crate) fn round_to_coin(amount_minor: i64, coin_minor: i64) -> i64 {
    let coin = coin_minor.max(1);
    let below = amount_minor - amount_minor.rem_euclid(coin);
    match amount_minor.rem_euclid(coin).saturating_mul(2) >= coin {
        true => below.saturating_add(coin),
        false => below,
    }
}

/// Whether the tenders pay the total, and with what change. Refuses too little, and more on the card than is due.
pub(crate) fn settle(
    total_minor: i64,
    tenders: &[Tender],
    coin_minor: i64,
    currency: &str,
) -> Result<Settlement, Error> {
    if tenders.len() > TENDERS_MAX {
        return Err(Error::invalid(format!(
            "tenders: at most {TENDERS_MAX} are allowed, there are {}.",
            tenders.len()
        )));
    }
    for (index, tender) in tenders.iter().enumerate() {
        if !(1..=AMOUNT_MAX_MINOR).contains(&tender.amount_minor) {
            return Err(Error::invalid(format!(
                "tenders[{index}].amount_minor: {} is not between 1 and {AMOUNT_MAX_MINOR}.",
                tender.amount_minor
            )));
        }
    }
    let given = |method| -> i64 {
        tenders.iter().filter(|tender| tender.method == method).map(|tender| tender.amount_minor).sum()
    };
    let (card, cash) = (given(Method::Card), given(Method::Cash));
    let shown = |amount| money::plain(amount, currency);
    if card > total_minor {
        return Err(Error::invalid(format!(
            "{} on the card is more than the total of {}; change is given for cash only.",
            shown(card),
            shown(total_minor)
        ))
        .with_code("card-exceeds-total")
        .with("total_minor", total_minor));
    }
    let rest = total_minor - card;
    let method = match (cash > 0, card > 0) {
        (true, true) => "cash+card",
        (true, false) => "cash",
        (false, true) => "card",
        (false, false) => "none",
    };
    // Only what is paid in cash is rounded.
    let due = if cash > 0 { round_to_coin(rest, coin_minor) } else { rest };
    if cash < due {
        return Err(Error::invalid(format!("The tenders pay {} of {}.", shown(card + cash), shown(card + due)))
            .with_code("underpaid")
            .with("total_minor", total_minor)
            .with("missing_minor", due - cash)
            .with("currency", currency));
    }
    Ok(Settlement { cash_rounding_minor: due - rest, change_minor: cash - due, method })
}

/// Amounts that a customer is likely to give: what is due, and the next round ones.
pub(crate) fn likely_amounts(due_minor: i64, currency: &str) -> Vec<i64> {
    let unit = 10i64.pow(kontor_sdk::money::minor_digits(currency));
    let mut amounts = vec![due_minor];
    for note in [5, 10, 20, 50, 100, 200, 500, 1_000] {
        let note = note * unit;
        let round =
            due_minor.div_euclid(note).saturating_add(i64::from(due_minor.rem_euclid(note) > 0)).saturating_mul(note);
        if !amounts.contains(&round) {
            amounts.push(round);
        }
    }
    amounts.sort_unstable();
    amounts.truncate(4);
    amounts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cash(amount_minor: i64) -> Tender {
        Tender { method: Method::Cash, amount_minor }
    }

    fn card(amount_minor: i64) -> Tender {
        Tender { method: Method::Card, amount_minor }
    }

    #[test]
    fn what_is_given_back() {
        for (name, total, currency, tenders, rounding, change, method) in [
            ("cash, exact", 1999, "EUR", vec![cash(1999)], 0, 0, "cash"),
            ("cash, change", 1999, "EUR", vec![cash(5000)], 0, 3001, "cash"),
            ("cash in two", 1999, "EUR", vec![cash(1000), cash(1000)], 0, 1, "cash"),
            ("card", 1999, "EUR", vec![card(1999)], 0, 0, "card"),
            ("card is not rounded", 1999, "CHF", vec![card(1999)], 0, 0, "card"),
            ("both", 1999, "EUR", vec![card(1500), cash(500)], 0, 1, "cash+card"),
            ("francs go up", 1998, "CHF", vec![cash(2000)], 2, 0, "cash"),
            ("francs go down", 1997, "CHF", vec![cash(2000)], -2, 5, "cash"),
            ("kronor go down", 1049, "SEK", vec![cash(2000)], -49, 1000, "cash"),
            ("half a krona goes up", 1050, "SEK", vec![cash(2000)], 50, 900, "cash"),
            ("only the cash part is rounded", 1998, "CHF", vec![card(1000), cash(1000)], 2, 0, "cash+card"),
            ("nothing due", 0, "EUR", vec![], 0, 0, "none"),
            ("the rest is on the card already", 500, "EUR", vec![card(500), cash(100)], 0, 100, "cash+card"),
        ] {
            let settled = settle(total, &tenders, coin_minor(currency), currency).unwrap();
            assert_eq!(settled, Settlement { cash_rounding_minor: rounding, change_minor: change, method }, "{name}");
        }
    }

    #[test]
    fn what_is_refused() {
        for (name, total, currency, tenders, code, says) in [
            ("too little cash", 1999, "EUR", vec![cash(1000)], "underpaid", "EUR 10.00 of EUR 19.99"),
            ("nothing", 1999, "EUR", vec![], "underpaid", "EUR 0.00 of EUR 19.99"),
            ("too little after rounding", 1998, "CHF", vec![cash(1998)], "underpaid", "CHF 19.98 of CHF 20.00"),
            (
                "too much on the card",
                1999,
                "EUR",
                vec![card(2000)],
                "card-exceeds-total",
                "change is given for cash only",
            ),
            ("zero", 1999, "EUR", vec![cash(0)], "invalid", "tenders[0].amount_minor"),
            ("negative", 1999, "EUR", vec![cash(5000), card(-5)], "invalid", "tenders[1].amount_minor"),
            ("beyond all bounds", 1999, "EUR", vec![cash(i64::MAX)], "invalid", "tenders[0].amount_minor"),
        ] {
            let error = settle(total, &tenders, coin_minor(currency), currency).unwrap_err();
            assert_eq!(error.code(), code, "{name}");
            assert!(error.detail().contains(says), "{name}: {}", error.detail());
        }
        assert_eq!(settle(1, &vec![cash(1); 21], 1, "EUR").unwrap_err().code(), "invalid");
    }

    #[test]
    fn likely_amounts_begin_with_what_is_due() {
        for (due, currency, amounts) in [
            (1999, "EUR", vec![1999, 2000, 5000, 10_000]),
            (2000, "EUR", vec![2000, 5000, 10_000, 20_000]),
            (340, "EUR", vec![340, 500, 1000, 2000]),
            (123, "JPY", vec![123, 125, 130, 140]),
        ] {
            assert_eq!(likely_amounts(due, currency), amounts, "{due} {currency}");
        }
    }

    proptest! {
        #[test]
        fn no_money_appears_or_vanishes(
            total in 0i64..1_000_000,
            given in prop::collection::vec((any::<bool>(), 1i64..1_000_000), 0..5),
            coin in prop::sample::select(vec![1i64, 5, 50, 100, 500]),
        ) {
            let tenders: Vec<Tender> = given.iter().map(|(is_cash, amount)| if *is_cash { cash(*amount) } else { card(*amount) }).collect();
            let paid: i64 = given.iter().map(|(_, amount)| amount).sum();
            let has_cash = given.iter().any(|(is_cash, _)| *is_cash);
            match settle(total, &tenders, coin, "EUR") {
                Ok(settled) => {
                    prop_assert_eq!(paid - settled.change_minor, total + settled.cash_rounding_minor);
                    prop_assert!(settled.change_minor >= 0);
                    prop_assert!(settled.cash_rounding_minor.abs() * 2 <= coin);
                    prop_assert!(has_cash || (settled.cash_rounding_minor == 0 && settled.change_minor == 0));
                }
                Err(error) => {
                    let on_card: i64 = tenders.iter().filter(|t| t.method == Method::Card).map(|t| t.amount_minor).sum();
                    let rounded_down = coin / 2;
                    prop_assert!(on_card > total || paid < total + rounded_down + 1, "{} paid {paid} of {total}", error);
                }
            }
        }

        #[test]
        fn rounding_gives_the_nearest_coin(amount in -1_000_000i64..1_000_000, coin in 1i64..1_000) {
            let rounded = round_to_coin(amount, coin);
            prop_assert_eq!(rounded % coin, 0);
            prop_assert!((rounded - amount).abs() * 2 <= coin);
            prop_assert_eq!(round_to_coin(rounded, coin), rounded);
        }
    }
}
