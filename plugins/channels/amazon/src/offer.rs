//! What a listing offers: stock and price, pushed when they change.
//!
//! Two steps. `push-offer` (keyed by SKU, so a hundred changes become one) reads what the listing should offer now and, if that
//! is something else than last time, queues `send-offer` with exactly these values and a version that grows. `send-offer` sends
//! them unless a later version has been queued meanwhile: an older offer never follows a newer one, whatever is retried
//! or redelivered in between, and what is recorded as sent is what was sent.

use serde::{Deserialize, Serialize};

use crate::api::SubmissionAnswer;

/// What a listing should offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The seller's SKU at Amazon.
    pub external_id: String,
    /// Amazon's product type.
    pub product_type: String,
    /// Units; what a channel may offer is never below 0.
    pub quantity: i64,
    /// Gross price in the minor unit; none: the price is left as it is.
    pub price_minor: Option<i64>,
    /// ISO 4217.
    pub currency: String,
}

/// What is known of a SKU's offer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferRecord {
    /// Grows with every offer that is queued.
    #[serde(default)]
    pub version: u64,
    /// What was queued last.
    #[serde(default)]
    pub wanted: Option<Offer>,
    /// What Amazon took last.
    #[serde(default)]
    pub sent: Option<Offer>,
    /// When.
    #[serde(default)]
    pub sent_at_ms: Option<u64>,
    /// Amazon's number of it.
    #[serde(default)]
    pub submission_id: Option<String>,
    /// Why the last one was refused.
    #[serde(default)]
    pub error: Option<String>,
    /// Amazon may advertise something else than what was sent (it has sold), or someone asks for it to be sent again.
    #[serde(default)]
    pub dirty: bool,
}

/// An offer on its way: the payload of `send-offer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendOffer {
    /// Our SKU.
    pub sku: String,
    /// The record's version when this was queued.
    pub version: u64,
    /// What to send.
    pub offer: Offer,
}

impl OfferRecord {
    /// Takes note of what the listing should offer; returns what is to be sent, if anything.
    pub fn want(&mut self, sku: &str, offer: Offer) -> Option<SendOffer> {
        if !self.dirty && self.wanted.as_ref() == Some(&offer) {
            return None;
        }
        self.version += 1;
        self.dirty = false;
        self.wanted = Some(offer.clone());
        Some(SendOffer { sku: sku.to_owned(), version: self.version, offer })
    }

    /// Whether an offer on its way is still the latest.
    #[must_use]
    pub fn is_current(&self, sending: &SendOffer) -> bool {
        self.version == sending.version
    }

    /// Amazon took it.
    pub fn accepted(&mut self, sending: &SendOffer, submission_id: &str, now_ms: u64) {
        self.sent = Some(sending.offer.clone());
        self.sent_at_ms = Some(now_ms);
        self.submission_id = Some(submission_id.to_owned());
        self.error = None;
    }

    /// Amazon refused it. It is not sent again by itself: only another offer, or someone who asks for it, can help.
    pub fn refused(&mut self, error: String) {
        self.error = Some(error);
    }
}

/// What Amazon says of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Taken; the submission's number.
    Accepted(String),
    /// Refused; why.
    Refused(String),
}

/// Reads the answer to a patch.
#[must_use]
pub fn outcome(answer: &SubmissionAnswer) -> Outcome {
    if answer.status == "ACCEPTED" {
        return Outcome::Accepted(answer.submission_id.clone());
    }
    let grave: Vec<String> = answer
        .issues
        .iter()
        .filter(|issue| issue.severity != "INFO" && issue.severity != "WARNING")
        .map(|issue| format!("{} ({})", issue.message.trim_end_matches('.'), issue.code))
        .collect();
    let why = if grave.is_empty() { "without saying why".to_owned() } else { grave.join("; ") };
    Outcome::Refused(format!("Amazon answered {}: {why}", answer.status))
}

/// The body of the patch. Written as text: an amount is a JSON number with the digits of its currency, and must not pass
/// through a float.
#[must_use]
pub fn patch_body(offer: &Offer, marketplace_id: &str) -> String {
    let text = |value: &str| serde_json::Value::from(value).to_string();
    let mut patches = format!(
        r#"{{"op":"replace","path":"/attributes/fulfillment_availability","value":[{{"fulfillment_channel_code":"DEFAULT","quantity":{}}}]}}"#,
        offer.quantity.max(0)
    );
    if let Some(price_minor) = offer.price_minor {
        patches.push_str(&format!(
            r#",{{"op":"replace","path":"/attributes/purchasable_offer","value":[{{"marketplace_id":{},"currency":{},"audience":"ALL","our_price":[{{"schedule":[{{"value_with_tax":{}}}]}}]}}]}}"#,
            text(marketplace_id),
            text(&offer.currency),
            kontor_sdk::money::decimal(price_minor, &offer.currency),
        ));
    }
    format!(r#"{{"productType":{},"patches":[{patches}]}}"#, text(&offer.product_type))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn offer(quantity: i64) -> Offer {
        Offer {
            external_id: "LAMP-1".into(),
            product_type: "HOME".into(),
            quantity,
            price_minor: Some(1_990),
            currency: "EUR".into(),
        }
    }

    #[test]
    fn the_body_has_stock_and_price() {
        let body: Value = serde_json::from_str(&patch_body(&offer(7), "A1PA6795UKMFR9")).unwrap();
        let expected = json!({ "productType": "HOME", "patches": [
            { "op": "replace", "path": "/attributes/fulfillment_availability",
              "value": [{ "fulfillment_channel_code": "DEFAULT", "quantity": 7 }] },
            { "op": "replace", "path": "/attributes/purchasable_offer",
              "value": [{ "marketplace_id": "A1PA6795UKMFR9", "currency": "EUR", "audience": "ALL",
                          "our_price": [{ "schedule": [{ "value_with_tax": 19.90 }] }] }] },
        ]});
        assert_eq!(body, expected);
        assert!(patch_body(&offer(7), "x").contains("\"value_with_tax\":19.90"), "the digits of the currency are kept");
        let stock_only: Value =
            serde_json::from_str(&patch_body(&Offer { price_minor: None, ..offer(-3) }, "x")).unwrap();
        assert_eq!(stock_only["patches"].as_array().unwrap().len(), 1);
        assert_eq!(stock_only["patches"][0]["value"][0]["quantity"], 0, "nothing below 0 is offered");
        let quoted = Offer { product_type: "A\"B".into(), ..offer(1) };
        assert_eq!(serde_json::from_str::<Value>(&patch_body(&quoted, "x")).unwrap()["productType"], "A\"B");
    }

    #[test]
    fn the_same_offer_is_sent_once_unless_amazon_may_have_another() {
        let mut record = OfferRecord::default();
        let first = record.want("LAMP-1", offer(7)).unwrap();
        assert_eq!(record.want("LAMP-1", offer(7)), None, "it is on its way");
        record.accepted(&first, "s-1", 1);
        assert_eq!(record.want("LAMP-1", offer(7)), None);
        record.dirty = true;
        let again = record.want("LAMP-1", offer(7)).unwrap();
        assert!(again.version > first.version && !record.is_current(&first) && record.is_current(&again));
        record.refused("no".into());
        assert_eq!(record.want("LAMP-1", offer(7)), None, "a refused offer is not repeated by itself");
        record.dirty = true;
        assert!(record.want("LAMP-1", offer(7)).is_some(), "unless someone asks for it");
        assert!(record.want("LAMP-1", offer(8)).is_some());
    }

    #[test]
    fn submissions_are_taken_or_refused() {
        let answer = |value: Value| outcome(&serde_json::from_value(value).unwrap());
        let accepted = json!({ "sku": "x", "status": "ACCEPTED", "submissionId": "s", "issues": [] });
        assert_eq!(answer(accepted), Outcome::Accepted("s".into()));
        let invalid = json!({ "sku": "x", "status": "INVALID", "submissionId": "s", "issues": [
            { "code": "90220", "message": "'size' is required.", "severity": "ERROR", "categories": [] },
            { "code": "1", "message": "Nice.", "severity": "INFO", "categories": [] },
        ]});
        assert_eq!(answer(invalid), Outcome::Refused("Amazon answered INVALID: 'size' is required (90220)".into()));
    }

    proptest! {
        /// Whatever is retried, delayed or repeated: what Amazon has at last is what was wanted at last, and it never goes back.
        #[test]
        fn an_older_offer_never_follows_a_newer_one(steps in prop::collection::vec((0_u8..4, 0_i64..6, 0_usize..8), 1..60)) {
            let mut record = OfferRecord::default();
            let mut queue: Vec<SendOffer> = Vec::new();
            let mut amazon: Vec<u64> = Vec::new();
            let mut advertised = None;
            let deliver = |record: &mut OfferRecord, sending: &SendOffer, amazon: &mut Vec<u64>, advertised: &mut Option<i64>| {
                if record.is_current(sending) {
                    amazon.push(sending.version);
                    *advertised = Some(sending.offer.quantity);
                    record.accepted(sending, "s", 0);
                }
            };
            let mut last_wanted = None;
            for (kind, quantity, index) in steps {
                match kind {
                    0 | 1 => {
                        last_wanted = Some(quantity);
                        queue.extend(record.want("SKU", offer(quantity)));
                    }
                    // A job runs: any of the waiting ones, and it may be run again later.
                    2 if !queue.is_empty() => {
                        let sending = queue[index % queue.len()].clone();
                        deliver(&mut record, &sending, &mut amazon, &mut advertised);
                    }
                    _ => record.dirty = index == 0 || record.dirty,
                }
            }
            for sending in queue.clone().iter().chain(&queue) {
                deliver(&mut record, sending, &mut amazon, &mut advertised);
            }
            prop_assert!(amazon.windows(2).all(|pair| pair[0] <= pair[1]), "{:?}", amazon);
            if let Some(wanted) = last_wanted {
                prop_assert_eq!(advertised, Some(wanted));
            }
        }
    }
}
