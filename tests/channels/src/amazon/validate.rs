//! The published shapes of requests. What does not fit them is refused as Amazon refuses it, and written down as a violation.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::decimal;
use super::model::{Order, time_ms};
use super::people::issue;

const ORDER_DATA: [&str; 11] = [
    "BUYER",
    "RECIPIENT",
    "PROCEEDS",
    "EXPENSE",
    "PROMOTION",
    "CANCELLATION",
    "FULFILLMENT",
    "PACKAGES",
    "TAX",
    "PAYMENT",
    "FULFILLMENT_ORDERS",
];
const ORDER_STATUSES: [&str; 7] =
    ["PENDING_AVAILABILITY", "PENDING", "UNSHIPPED", "PARTIALLY_SHIPPED", "SHIPPED", "CANCELLED", "UNFULFILLABLE"];
const LISTING_DATA: [&str; 8] = [
    "summaries",
    "attributes",
    "issues",
    "offers",
    "fulfillmentAvailability",
    "procurement",
    "relationships",
    "productTypes",
];

/// An answer that refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(status: u16, code: &'static str, message: &str) -> Self {
        Self { status, code, message: message.to_owned() }
    }

    pub(crate) fn invalid(field: &str, what: &str) -> Self {
        Self::new(400, "InvalidInput", &format!("{field} {what}."))
    }

    pub(crate) fn not_found(message: &str) -> Self {
        Self::new(404, "NotFound", message)
    }

    /// The body, in the shape that all operations share.
    pub(crate) fn body(&self) -> Value {
        json!({ "errors": [{ "code": self.code, "message": self.message, "details": "" }] })
    }
}

/// The parameters of a request; each must be asked for.
#[derive(Debug)]
pub(crate) struct Query {
    values: BTreeMap<String, String>,
}

impl Query {
    pub(crate) fn parse(raw: &str) -> Result<Self, ApiError> {
        let mut values = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
            if values.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(ApiError::invalid(&name, "is given more than once; lists are comma-separated"));
            }
        }
        Ok(Self { values })
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.values.remove(name)
    }

    fn list(&mut self, name: &str) -> Result<Vec<String>, ApiError> {
        let Some(text) = self.take(name) else { return Ok(Vec::new()) };
        let values: Vec<String> = text.split(',').map(str::to_owned).collect();
        if values.iter().any(String::is_empty) {
            return Err(ApiError::invalid(name, "has an empty element"));
        }
        Ok(values)
    }

    fn list_of(&mut self, name: &str, allowed: &[&str]) -> Result<Vec<String>, ApiError> {
        let values = self.list(name)?;
        match values.iter().find(|value| !allowed.contains(&value.as_str())) {
            Some(value) => Err(ApiError::invalid(name, &format!("has the unknown value `{value}`"))),
            None => Ok(values),
        }
    }

    fn time(&mut self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.take(name) else { return Ok(None) };
        match time_ms(&text) {
            Some(time_ms) => Ok(Some(time_ms)),
            None => Err(ApiError::invalid(name, &format!("`{text}` is no ISO 8601 date and time"))),
        }
    }

    /// Refuses what nobody asked for.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        match self.values.keys().next() {
            Some(name) => Err(ApiError::invalid(name, "is no parameter of this operation")),
            None => Ok(()),
        }
    }
}

/// The time that a search is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SearchWindow {
    Created { after_ms: u64, before_ms: Option<u64> },
    Updated { after_ms: u64, before_ms: Option<u64> },
}

/// `searchOrders`.
#[derive(Debug)]
pub(crate) struct SearchRequest {
    pub(crate) window: SearchWindow,
    statuses: Vec<String>,
    marketplaces: Vec<String>,
    fulfilled_by: Vec<String>,
    pub(crate) max_results_per_page: usize,
    pub(crate) pagination_token: Option<String>,
    pub(crate) included_data: Vec<String>,
}

impl SearchRequest {
    pub(crate) fn parse(raw_query: &str, known_marketplaces: &[String], now_ms: u64) -> Result<Self, ApiError> {
        let mut query = Query::parse(raw_query)?;
        let created_after = query.time("createdAfter")?;
        let created_before = query.time("createdBefore")?;
        let updated_after = query.time("lastUpdatedAfter")?;
        let updated_before = query.time("lastUpdatedBefore")?;
        let window = match (created_after, updated_after) {
            (Some(after_ms), None) if updated_before.is_none() => {
                SearchWindow::Created { after_ms, before_ms: created_before }
            }
            (None, Some(after_ms)) if created_before.is_none() => {
                SearchWindow::Updated { after_ms, before_ms: updated_before }
            }
            (Some(_), Some(_)) | (None, None) => {
                return Err(ApiError::invalid(
                    "createdAfter",
                    "or lastUpdatedAfter must be given, and only one of them",
                ));
            }
            _ => return Err(ApiError::invalid("createdBefore", "and lastUpdatedBefore go with their own lower bound")),
        };
        let (SearchWindow::Created { after_ms, before_ms } | SearchWindow::Updated { after_ms, before_ms }) = window;
        if before_ms.is_some_and(|before_ms| before_ms < after_ms) {
            return Err(ApiError::invalid("lastUpdatedBefore", "must not be earlier than the lower bound"));
        }
        if after_ms > now_ms {
            return Err(ApiError::invalid("lastUpdatedAfter", "lies in the future"));
        }
        let statuses = query.list_of("fulfillmentStatuses", &ORDER_STATUSES)?;
        let marketplaces = marketplaces(&mut query, known_marketplaces, false)?;
        let fulfilled_by = query.list_of("fulfilledBy", &["MERCHANT", "AMAZON"])?;
        let max_results_per_page = match query.take("maxResultsPerPage") {
            None => 100,
            Some(text) => text
                .parse::<usize>()
                .ok()
                .filter(|count| (1..=100).contains(count))
                .ok_or_else(|| ApiError::invalid("maxResultsPerPage", "must be a number from 1 to 100"))?,
        };
        let pagination_token = query.take("paginationToken");
        let included_data = query.list_of("includedData", &ORDER_DATA)?;
        query.finish()?;
        Ok(Self { window, statuses, marketplaces, fulfilled_by, max_results_per_page, pagination_token, included_data })
    }

    /// What must stay the same from page to page.
    pub(crate) fn fingerprint(&self) -> String {
        format!("{:?} {:?} {:?} {:?}", self.window, self.statuses, self.marketplaces, self.fulfilled_by)
    }

    /// Whether the order passes the filters other than time.
    pub(crate) fn matches(&self, order: &Order) -> bool {
        let passes = |filter: &[String], value: &str| filter.is_empty() || filter.iter().any(|wanted| wanted == value);
        passes(&self.statuses, order.status().map_or("", |status| status.as_str()))
            && passes(&self.marketplaces, order.sales_channel.marketplace_id.as_deref().unwrap_or_default())
            && passes(&self.fulfilled_by, order.fulfilled_by())
    }
}

fn marketplaces(query: &mut Query, known: &[String], required: bool) -> Result<Vec<String>, ApiError> {
    let asked = query.list("marketplaceIds")?;
    if required && asked.is_empty() {
        return Err(ApiError::invalid("marketplaceIds", "is required"));
    }
    if asked.len() > 50 {
        return Err(ApiError::invalid("marketplaceIds", "has more than 50 elements"));
    }
    match asked.iter().find(|id| !known.contains(id)) {
        Some(id) => {
            Err(ApiError::invalid("marketplaceIds", &format!("names {id}, in which this account does not sell")))
        }
        None => Ok(asked),
    }
}

/// `getOrder`: the data sets asked for.
pub(crate) fn get_order_query(raw_query: &str) -> Result<Vec<String>, ApiError> {
    let mut query = Query::parse(raw_query)?;
    let included = query.list_of("includedData", &ORDER_DATA)?;
    query.finish()?;
    Ok(included)
}

/// `getListingsItem`: the data sets asked for.
pub(crate) fn get_listing_query(raw_query: &str, known_marketplaces: &[String]) -> Result<BTreeSet<String>, ApiError> {
    let mut query = Query::parse(raw_query)?;
    marketplaces(&mut query, known_marketplaces, true)?;
    drop(query.take("issueLocale"));
    let mut included = query.list_of("includedData", &LISTING_DATA)?;
    query.finish()?;
    if included.is_empty() {
        included.push("summaries".to_owned());
    }
    Ok(included.into_iter().collect())
}

/// `patchListingsItem`, its shape being right. What is wrong with the values is in `issues`.
#[derive(Debug, Default)]
pub(crate) struct PatchRequest {
    pub(crate) product_type: String,
    pub(crate) preview: bool,
    pub(crate) quantity: Option<i64>,
    pub(crate) price_minor: Option<i64>,
    pub(crate) issues: Vec<Value>,
}

impl PatchRequest {
    pub(crate) fn parse(
        raw_query: &str,
        body: &Value,
        known_marketplaces: &[String],
        currency: &str,
    ) -> Result<Self, ApiError> {
        let mut query = Query::parse(raw_query)?;
        let asked = marketplaces(&mut query, known_marketplaces, true)?;
        let included = query.list_of("includedData", &["identifiers", "issues"])?;
        let preview = match query.take("mode").as_deref() {
            None => false,
            Some("VALIDATION_PREVIEW") => true,
            Some(other) => return Err(ApiError::invalid("mode", &format!("has the unknown value `{other}`"))),
        };
        drop(query.take("issueLocale"));
        query.finish()?;
        if !preview && included.iter().any(|data| data == "identifiers") {
            return Err(ApiError::invalid("includedData", "may name identifiers only with mode=VALIDATION_PREVIEW"));
        }
        let body = object(body, "body")?;
        only_fields(body, "body", &["productType", "patches"])?;
        let product_type = text(body, "productType")?;
        let patches = body.get("patches").and_then(Value::as_array).filter(|patches| !patches.is_empty());
        let patches =
            patches.ok_or_else(|| ApiError::invalid("patches", "must be a list of at least one operation"))?;
        let mut request = Self { product_type, preview, ..Self::default() };
        for patch in patches {
            request.take_patch(object(patch, "patches")?, &asked, currency)?;
        }
        Ok(request)
    }

    fn take_patch(&mut self, patch: &Map<String, Value>, asked: &[String], currency: &str) -> Result<(), ApiError> {
        only_fields(patch, "patches", &["op", "path", "value"])?;
        let op = text(patch, "op")?;
        if !["add", "replace", "merge", "delete"].contains(&op.as_str()) {
            return Err(ApiError::invalid("patches.op", &format!("has the unknown value `{op}`")));
        }
        let path = text(patch, "path")?;
        let attribute = path
            .strip_prefix("/attributes/")
            .filter(|attribute| !attribute.is_empty() && !attribute.contains('/'))
            .ok_or_else(|| {
                ApiError::invalid("patches.path", "must name a top-level attribute, such as /attributes/item_name")
            })?;
        let values = match patch.get("value") {
            None if op == "delete" => return Ok(()),
            None => return Err(ApiError::invalid("patches.value", "is required")),
            Some(value) => {
                value.as_array().ok_or_else(|| ApiError::invalid("patches.value", "must be a list of objects"))?
            }
        };
        for value in values {
            let value = object(value, "patches.value")?;
            match attribute {
                "fulfillment_availability" => self.take_availability(value),
                "purchasable_offer" => self.take_offer(value, asked, currency),
                _ => {}
            }
        }
        Ok(())
    }

    fn complain(&mut self, message: &str, attribute: &str, category: &str) {
        self.issues.push(issue("90000900", message, attribute, category));
    }

    fn take_availability(&mut self, value: &Map<String, Value>) {
        const NAME: &str = "fulfillment_availability";
        if value.get("fulfillment_channel_code").and_then(Value::as_str) != Some("DEFAULT") {
            self.complain(
                "fulfillment_channel_code must be DEFAULT for offers that the seller ships.",
                NAME,
                "INVALID_ATTRIBUTE",
            );
        }
        match value.get("quantity").and_then(Value::as_i64) {
            Some(quantity) if quantity >= 0 => self.quantity = Some(quantity),
            _ => self.complain("quantity must be a whole number of at least 0.", NAME, "INVALID_ATTRIBUTE"),
        }
        let known =
            ["fulfillment_channel_code", "quantity", "lead_time_to_ship_max_days", "restock_date", "marketplace_id"];
        if let Some(name) = value.keys().find(|name| !known.contains(&name.as_str())) {
            self.complain(&format!("{name} is not part of the attribute."), NAME, "INVALID_ATTRIBUTE");
        }
    }

    fn take_offer(&mut self, value: &Map<String, Value>, asked: &[String], currency: &str) {
        const NAME: &str = "purchasable_offer";
        let marketplace = value.get("marketplace_id").and_then(Value::as_str);
        if !marketplace.is_some_and(|id| asked.iter().any(|asked| asked == id)) {
            self.complain("marketplace_id must be one of the request's marketplaces.", NAME, "INVALID_ATTRIBUTE");
        }
        if value.get("currency").and_then(Value::as_str) != Some(currency) {
            self.complain(&format!("currency must be {currency} in this marketplace."), NAME, "INVALID_PRICE");
        }
        let price = value.get("our_price").and_then(|price| price.pointer("/0/schedule/0/value_with_tax"));
        let minor = match price {
            Some(Value::Number(number)) => decimal::parse(&number.to_string(), currency),
            _ => None,
        };
        match minor {
            Some(minor) if minor > 0 => self.price_minor = Some(minor),
            _ => self.complain(
                "our_price.schedule.value_with_tax must be an amount above 0 with no more digits than the currency has.",
                NAME,
                "INVALID_PRICE",
            ),
        }
    }
}

/// `confirmShipment`.
#[derive(Debug)]
pub(crate) struct ShipmentRequest {
    pub(crate) marketplace_id: String,
    pub(crate) package_reference_id: String,
    pub(crate) carrier_code: String,
    pub(crate) carrier_name: Option<String>,
    pub(crate) tracking_number: String,
    pub(crate) ship_date: String,
    pub(crate) items: Vec<(String, i64)>,
}

impl ShipmentRequest {
    pub(crate) fn parse(raw_query: &str, body: &Value) -> Result<Self, ApiError> {
        Query::parse(raw_query)?.finish()?;
        let body = object(body, "body")?;
        only_fields(body, "body", &["marketplaceId", "packageDetail", "codCollectionMethod"])?;
        let marketplace_id = text(body, "marketplaceId")?;
        if body.get("codCollectionMethod").is_some_and(|method| method != "DirectPayment") {
            return Err(ApiError::invalid("codCollectionMethod", "must be DirectPayment"));
        }
        let missing = || ApiError::invalid("packageDetail", "is required");
        let package = object(body.get("packageDetail").ok_or_else(missing)?, "packageDetail")?;
        let fields = [
            "packageReferenceId",
            "carrierCode",
            "carrierName",
            "shippingMethod",
            "trackingNumber",
            "shipDate",
            "shipFromSupplySourceId",
            "orderItems",
        ];
        only_fields(package, "packageDetail", &fields)?;
        let package_reference_id = text(package, "packageReferenceId")?;
        if !package_reference_id.parse::<u64>().is_ok_and(|number| number > 0) {
            return Err(ApiError::invalid("packageReferenceId", "must be a positive number, written as a string"));
        }
        let carrier_code = text(package, "carrierCode")?;
        let carrier_name = optional_text(package, "carrierName")?;
        if carrier_code == "Other" && carrier_name.as_deref().is_none_or(str::is_empty) {
            return Err(ApiError::invalid("carrierName", "is required when carrierCode is Other"));
        }
        optional_text(package, "shippingMethod")?;
        optional_text(package, "shipFromSupplySourceId")?;
        let ship_date = text(package, "shipDate")?;
        if time_ms(&ship_date).is_none() {
            return Err(ApiError::invalid("shipDate", "is no ISO 8601 date and time"));
        }
        Ok(Self {
            marketplace_id,
            package_reference_id,
            carrier_code,
            carrier_name,
            tracking_number: text(package, "trackingNumber")?,
            ship_date,
            items: shipment_items(package)?,
        })
    }
}

fn shipment_items(package: &Map<String, Value>) -> Result<Vec<(String, i64)>, ApiError> {
    let list = package.get("orderItems").and_then(Value::as_array).filter(|items| !items.is_empty());
    let list = list.ok_or_else(|| ApiError::invalid("orderItems", "must be a list of at least one item"))?;
    let mut items = Vec::new();
    for item in list {
        let item = object(item, "orderItems")?;
        only_fields(item, "orderItems", &["orderItemId", "quantity", "transparencyCodes"])?;
        let quantity = item.get("quantity").and_then(Value::as_i64).filter(|quantity| *quantity > 0);
        let quantity =
            quantity.ok_or_else(|| ApiError::invalid("orderItems.quantity", "must be a whole number above 0"))?;
        items.push((text(item, "orderItemId")?, quantity));
    }
    Ok(items)
}

fn object<'a>(value: &'a Value, name: &str) -> Result<&'a Map<String, Value>, ApiError> {
    value.as_object().ok_or_else(|| ApiError::invalid(name, "must be an object"))
}

fn only_fields(object: &Map<String, Value>, name: &str, allowed: &[&str]) -> Result<(), ApiError> {
    match object.keys().find(|field| !allowed.contains(&field.as_str())) {
        Some(field) => Err(ApiError::invalid(&format!("{name}.{field}"), "is no field of this request")),
        None => Ok(()),
    }
}

fn text(object: &Map<String, Value>, name: &str) -> Result<String, ApiError> {
    match object.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(_) => Err(ApiError::invalid(name, "must be a text that is not empty")),
        None => Err(ApiError::invalid(name, "is required")),
    }
}

fn optional_text(object: &Map<String, Value>, name: &str) -> Result<Option<String>, ApiError> {
    if object.contains_key(name) { text(object, name).map(Some) } else { Ok(None) }
}

/// An LWA request that was not granted: status, `error`, `error_description`.
pub(crate) type TokenRefusal = (u16, &'static str, String);

/// What the token endpoint expects of an account.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) refresh_token: String,
}

/// Checks a request for an access token by refresh token.
pub(crate) fn token_request(body: &[u8], credentials: &Credentials) -> Result<(), TokenRefusal> {
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(body) {
        if fields.insert(name.to_string(), value.into_owned()).is_some() {
            return Err((400, "invalid_request", format!("The parameter {name} is repeated")));
        }
    }
    let field = |name: &str| {
        let missing = || (400, "invalid_request", format!("The request is missing a required parameter : {name}"));
        fields.get(name).ok_or_else(missing)
    };
    if field("grant_type")? != "refresh_token" {
        return Err((400, "unsupported_grant_type", "The grant type is not supported".to_owned()));
    }
    if field("client_id")? != &credentials.client_id || field("client_secret")? != &credentials.client_secret {
        return Err((401, "invalid_client", "Client authentication failed".to_owned()));
    }
    if field("refresh_token")? != &credentials.refresh_token {
        return Err((400, "invalid_grant", "The request has an invalid grant parameter : refresh_token".to_owned()));
    }
    let known = ["grant_type", "client_id", "client_secret", "refresh_token"];
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err((400, "invalid_request", format!("The parameter {name} is not supported"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
