use super::*;

const MARKETPLACE: &str = "A1PA6795UKMFR9";

fn search(query: &str) -> Result<SearchRequest, ApiError> {
    SearchRequest::parse(query, &[MARKETPLACE.to_owned()], 1_800_000_000_000)
}

#[test]
fn searches_outside_the_contract_are_refused() {
    for query in [
        "",
        "createdAfter=2026-01-01T00:00:00Z&lastUpdatedAfter=2026-01-01T00:00:00Z",
        "lastUpdatedAfter=yesterday",
        "lastUpdatedAfter=2026-01-01T00:00:00Z&maxResultsPerPage=0",
        "lastUpdatedAfter=2026-01-01T00:00:00Z&maxResultsPerPage=101",
        "lastUpdatedAfter=2026-01-01T00:00:00Z&includedData=BUYER,SHOESIZE",
        "lastUpdatedAfter=2026-01-01T00:00:00Z&fulfillmentStatuses=Unshipped",
        "lastUpdatedAfter=2026-01-01T00:00:00Z&MarketplaceIds=A1PA6795UKMFR9",
        "lastUpdatedAfter=2026-01-01T00:00:00Z&marketplaceIds=ATVPDKIKX0DER",
        "lastUpdatedAfter=2026-01-01T00:00:00Z&lastUpdatedAfter=2026-01-01T00:00:00Z",
        "lastUpdatedAfter=2026-01-02T00:00:00Z&lastUpdatedBefore=2026-01-01T00:00:00Z",
        "lastUpdatedAfter=2026-01-02T00:00:00Z&createdBefore=2026-01-03T00:00:00Z",
        "lastUpdatedAfter=2099-01-02T00:00:00Z",
    ] {
        assert!(search(query).is_err(), "`{query}` was accepted");
    }
    let fine = search(
        "lastUpdatedAfter=2026-01-01T00%3A00%3A00Z&marketplaceIds=A1PA6795UKMFR9&includedData=BUYER,TAX&maxResultsPerPage=100",
    );
    assert_eq!(fine.unwrap().included_data, ["BUYER", "TAX"]);
}

fn patch(body: Value) -> Result<PatchRequest, ApiError> {
    PatchRequest::parse("marketplaceIds=A1PA6795UKMFR9", &body, &[MARKETPLACE.to_owned()], "EUR")
}

#[test]
fn patches_are_checked_for_shape_and_for_sense() {
    let stock = |value: Value| {
        json!({ "productType": "HOME", "patches": [
            { "op": "replace", "path": "/attributes/fulfillment_availability", "value": value }
        ]})
    };
    let fine = patch(stock(json!([{ "fulfillment_channel_code": "DEFAULT", "quantity": 7 }]))).unwrap();
    assert_eq!((fine.quantity, fine.issues.len()), (Some(7), 0));
    for sense in [
        json!([{ "fulfillment_channel_code": "DEFAULT", "quantity": -1 }]),
        json!([{ "fulfillment_channel_code": "DEFAULT", "quantity": "7" }]),
        json!([{ "fulfillment_channel_code": "AMAZON_EU", "quantity": 7 }]),
        json!([{ "fulfillment_channel_code": "DEFAULT", "quantity": 7, "colour": "red" }]),
    ] {
        assert_eq!(patch(stock(sense.clone())).unwrap().issues.len(), 1, "{sense}");
    }
    for shape in [
        json!([]),
        json!({ "patches": [{ "op": "delete", "path": "/attributes/x" }] }),
        json!({ "productType": "HOME", "patches": [] }),
        json!({ "productType": "HOME", "patches": [{ "op": "set", "path": "/attributes/x", "value": [] }] }),
        json!({ "productType": "HOME", "patches": [{ "op": "replace", "path": "/attributes/x/0/value", "value": [] }] }),
        json!({ "productType": "HOME", "patches": [{ "op": "replace", "path": "/attributes/x" }] }),
        json!({ "productType": "HOME", "patches": [{ "op": "replace", "path": "/attributes/x", "value": 1 }] }),
        json!({ "productType": "HOME", "requirements": "LISTING", "patches": [{ "op": "delete", "path": "/attributes/x" }] }),
    ] {
        assert!(patch(shape.clone()).is_err(), "{shape} was accepted");
    }
}

#[test]
fn prices_are_exact_numbers_in_the_marketplaces_currency() {
    let price = |value: Value, currency: &str| {
        json!({ "productType": "HOME", "patches": [{
            "op": "replace", "path": "/attributes/purchasable_offer", "value": [{
                "marketplace_id": MARKETPLACE, "currency": currency,
                "our_price": [{ "schedule": [{ "value_with_tax": value }] }],
            }],
        }]})
    };
    assert_eq!(patch(price(json!(19.99), "EUR")).unwrap().price_minor, Some(1999));
    for (value, currency) in [(json!(19.999), "EUR"), (json!("19.99"), "EUR"), (json!(0), "EUR"), (json!(19.99), "USD")]
    {
        assert!(!patch(price(value.clone(), currency)).unwrap().issues.is_empty(), "{value} {currency}");
    }
}

#[test]
fn shipments_name_carrier_parcel_and_items() {
    let body = |edit: &dyn Fn(&mut Value)| {
        let mut body = json!({ "marketplaceId": MARKETPLACE, "packageDetail": {
            "packageReferenceId": "1", "carrierCode": "DHL", "trackingNumber": "JD0140", "shipDate": "2026-02-11T01:00:00Z",
            "orderItems": [{ "orderItemId": "10", "quantity": 2 }],
        }});
        edit(&mut body);
        body
    };
    assert!(ShipmentRequest::parse("", &body(&|_| {})).is_ok());
    let edits: [&dyn Fn(&mut Value); 7] = [
        &|body| body["packageDetail"]["packageReferenceId"] = json!("PKG-1"),
        &|body| body["packageDetail"]["packageReferenceId"] = json!(1),
        &|body| body["packageDetail"]["carrierCode"] = json!("Other"),
        &|body| body["packageDetail"]["shipDate"] = json!("02/11/2026"),
        &|body| body["packageDetail"]["orderItems"] = json!([]),
        &|body| body["packageDetail"]["orderItems"][0]["quantity"] = json!(0),
        &|body| body["marketplaceId"] = json!(null),
    ];
    for (index, edit) in edits.iter().enumerate() {
        assert!(ShipmentRequest::parse("", &body(edit)).is_err(), "edit {index} was accepted");
    }
}

#[test]
fn tokens_are_given_for_the_right_grant_only() {
    let credentials =
        Credentials { client_id: "client".into(), client_secret: "s e+cret".into(), refresh_token: "refresh".into() };
    let fine = "grant_type=refresh_token&client_id=client&client_secret=s+e%2Bcret&refresh_token=refresh";
    assert_eq!(token_request(fine.as_bytes(), &credentials), Ok(()));
    for (from, to, status, error) in [
        ("grant_type=refresh_token", "grant_type=password", 400, "unsupported_grant_type"),
        ("client_secret=s+e%2Bcret", "client_secret=wrong", 401, "invalid_client"),
        ("&refresh_token=refresh", "&refresh_token=old", 400, "invalid_grant"),
        ("&refresh_token=refresh", "", 400, "invalid_request"),
        ("&refresh_token=refresh", "&refresh_token=refresh&scope=x", 400, "invalid_request"),
    ] {
        let (got_status, got_error, _) = token_request(fine.replace(from, to).as_bytes(), &credentials).unwrap_err();
        assert_eq!((got_status, got_error), (status, error), "{to}");
    }
}
