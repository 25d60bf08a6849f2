//! Confirming a shipment. A repeat must be recognisable, so a parcel has a number that stays the same: its place among the
//! order's shipments, beginning with 1 (Amazon allows positive numbers only).

use kontor_sdk::Timestamp;
use serde::Serialize;

/// Shipments with this prefix were told by Amazon; they are not told back.
pub const FROM_AMAZON_PREFIX: &str = "amazon-";

/// A parcel that left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Our number of the shipment.
    pub id: String,
    /// Who carries it.
    pub carrier: String,
    /// The carrier's number.
    pub tracking_number: String,
    /// When it left.
    pub shipped_at_ms: u64,
    /// Amazon's line and units.
    pub lines: Vec<(String, i64)>,
}

/// The body of `confirmShipment`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Confirmation {
    marketplace_id: String,
    package_detail: PackageDetail,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct PackageDetail {
    package_reference_id: String,
    carrier_code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    carrier_name: Option<String>,
    tracking_number: String,
    ship_date: String,
    order_items: Vec<ConfirmedItem>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfirmedItem {
    order_item_id: String,
    quantity: i64,
}

/// Amazon's code of a carrier, and its name where Amazon has no code for it.
#[must_use]
pub fn carrier(name: &str) -> (String, Option<String>) {
    const KNOWN: [(&str, &str); 13] = [
        ("dhl", "DHL"),
        ("dpd", "DPD"),
        ("deutsche post", "Deutsche Post"),
        ("fedex", "FedEx"),
        ("gls", "GLS"),
        ("hermes", "Hermes"),
        ("evri", "Evri"),
        ("ups", "UPS"),
        ("usps", "USPS"),
        ("royal mail", "Royal Mail"),
        ("colissimo", "Colissimo"),
        ("correos", "Correos"),
        ("postnl", "PostNL"),
    ];
    let wanted = name.trim().to_lowercase();
    match KNOWN.iter().find(|(key, _)| *key == wanted) {
        Some((_, code)) => ((*code).to_owned(), None),
        None => ("Other".to_owned(), Some(name.trim().to_owned())),
    }
}

/// What to tell Amazon of the parcel at `index` (from 0) among the order's shipments.
///
/// # Errors
///
/// When Amazon would refuse it; the text says what is missing.
pub fn confirmation(parcel: &Parcel, index: usize, marketplace_id: &str) -> Result<Confirmation, String> {
    let refuse = |text: &str| Err(format!("shipment {}: {text}", parcel.id));
    if parcel.tracking_number.trim().is_empty() {
        return refuse("Amazon wants a tracking number; ship it again with one, or confirm it in Seller Central");
    }
    if parcel.carrier.trim().is_empty() {
        return refuse("Amazon wants the name of the carrier; ship it again with one, or confirm it in Seller Central");
    }
    if parcel.lines.is_empty() || parcel.lines.iter().any(|(_, quantity)| *quantity < 1) {
        return refuse("it has no units of lines that Amazon knows");
    }
    let (carrier_code, carrier_name) = carrier(&parcel.carrier);
    Ok(Confirmation {
        marketplace_id: marketplace_id.to_owned(),
        package_detail: PackageDetail {
            package_reference_id: (index + 1).to_string(),
            carrier_code,
            carrier_name,
            tracking_number: parcel.tracking_number.trim().to_owned(),
            ship_date: Timestamp::from_ms(parcel.shipped_at_ms).to_rfc3339(),
            order_items: parcel
                .lines
                .iter()
                .map(|(order_item_id, quantity)| ConfirmedItem {
                    order_item_id: order_item_id.clone(),
                    quantity: *quantity,
                })
                .collect(),
        },
    })
}

/// The units that Amazon says have left and that are not recorded as left here: line and units.
#[must_use]
pub fn missing_units(at_amazon: &[(String, i64)], here: &[(String, i64)]) -> Vec<(String, i64)> {
    at_amazon
        .iter()
        .map(|(line, units)| {
            let known: i64 = here.iter().filter(|(known, _)| known == line).map(|(_, units)| units).sum();
            (line.clone(), units - known)
        })
        .filter(|(_, units)| *units > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parcel() -> Parcel {
        Parcel {
            id: "s-9".into(),
            carrier: "dhl".into(),
            tracking_number: " JD01 ".into(),
            shipped_at_ms: 1_770_771_600_000,
            lines: vec![("123".into(), 2)],
        }
    }

    #[test]
    fn a_parcel_keeps_its_number_and_says_what_amazon_wants() {
        let body = serde_json::to_value(confirmation(&parcel(), 1, "A1PA6795UKMFR9").unwrap()).unwrap();
        assert_eq!(
            body,
            json!({ "marketplaceId": "A1PA6795UKMFR9", "packageDetail": {
                "packageReferenceId": "2", "carrierCode": "DHL", "trackingNumber": "JD01", "shipDate": "2026-02-11T01:00:00.000Z",
                "orderItems": [{ "orderItemId": "123", "quantity": 2 }],
            }})
        );
        let bike = Parcel { carrier: "Bike courier".into(), ..parcel() };
        let body = serde_json::to_value(confirmation(&bike, 0, "x").unwrap()).unwrap();
        assert_eq!(body["packageDetail"]["carrierCode"], "Other");
        assert_eq!(body["packageDetail"]["carrierName"], "Bike courier");
        for broken in [
            Parcel { tracking_number: String::new(), ..parcel() },
            Parcel { carrier: " ".into(), ..parcel() },
            Parcel { lines: Vec::new(), ..parcel() },
        ] {
            assert!(confirmation(&broken, 0, "x").unwrap_err().starts_with("shipment s-9: "));
        }
    }

    #[test]
    fn only_what_is_not_known_here_is_missing() {
        let line = |id: &str, units: i64| (id.to_owned(), units);
        let missing =
            missing_units(&[line("a", 3), line("b", 1), line("c", 2)], &[line("a", 1), line("b", 1), line("a", 1)]);
        assert_eq!(missing, [line("a", 1), line("c", 2)]);
    }
}
