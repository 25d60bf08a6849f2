//! What the orders API finds: eventually consistent, in pages, in windows of time.

use super::{Market, PagedSearch, SearchPage};
use crate::amazon::faults::{draw, draw_between, happens};
use crate::amazon::model::{Order, time_ms, time_text};
use crate::amazon::validate::{ApiError, SearchRequest, SearchWindow};

/// How long a pagination token is good for.
const PAGE_TOKEN_TTL_MS: u64 = 24 * 3_600_000;

impl Market {
    /// The version of an order that the replica knows which answers this request.
    fn visible(&self, order_id: &str, request: &str, now_ms: u64) -> Option<&(u64, Order)> {
        let lag_ms_max = self.settings.scaled(self.settings.plan.lag_ms_max);
        let lag_ms = draw_between(self.settings.seed, &["lag", order_id, request], 0, lag_ms_max);
        let record = self.orders.get(order_id)?;
        let as_of_ms = now_ms.saturating_sub(lag_ms);
        record.versions.iter().rev().find(|(updated_ms, _)| *updated_ms <= as_of_ms)
    }

    pub(crate) fn get_order(&mut self, order_id: &str, included: &[String], now_ms: u64) -> Result<Order, ApiError> {
        self.searches += 1;
        let request = format!("get-{}", self.searches);
        let visible = self.visible(order_id, &request, now_ms);
        let (_, order) = visible.ok_or_else(|| ApiError::not_found(&format!("There is no order {order_id}.")))?;
        Ok(shown(order, included))
    }

    pub(crate) fn search(&mut self, request: &SearchRequest, now_ms: u64) -> Result<SearchPage, ApiError> {
        self.paged.retain(|_, search| search.expires_ms > now_ms);
        let fingerprint = request.fingerprint();
        let mut search = match &request.pagination_token {
            Some(token) => {
                let search = self.paged.get(token).ok_or_else(|| {
                    ApiError::invalid("paginationToken", "is unknown or has expired (tokens are valid for 24 hours)")
                })?;
                if search.fingerprint != fingerprint {
                    return Err(ApiError::invalid(
                        "paginationToken",
                        "was issued for other parameters; only maxResultsPerPage and includedData may change",
                    ));
                }
                // The token stays valid: a caller whose answer got lost asks for the same page again.
                PagedSearch {
                    fingerprint,
                    order_ids: search.order_ids.clone(),
                    upper_bound: search.upper_bound.clone(),
                    expires_ms: search.expires_ms,
                    number: search.number,
                }
            }
            None => self.start_search(request, fingerprint, now_ms)?,
        };
        let seed = self.settings.seed;
        let mut orders = Vec::new();
        let page_key = format!("search-{}-{}", search.number, search.order_ids.len());
        let mut repeated = Vec::new();
        while orders.len() < request.max_results_per_page {
            let Some(order_id) = search.order_ids.pop_front() else { break };
            let Some((_, order)) = self.visible(&order_id, &page_key, now_ms) else { continue };
            orders.push(shown(order, &request.included_data));
            if happens(seed, &["duplicate", &page_key, &order_id], self.settings.plan.duplicate_order) {
                repeated.push(order_id);
            }
        }
        // Half of the repeated ones come twice in this page, the others again in the next, as when a page's bound moves.
        for order_id in repeated {
            if draw(seed, &["repeat", &order_id, &page_key]).is_multiple_of(2) && !search.order_ids.is_empty() {
                search.order_ids.push_front(order_id);
            } else if let Some((_, order)) = self.visible(&order_id, "repeat", now_ms)
                && orders.len() < request.max_results_per_page
            {
                orders.push(shown(order, &request.included_data));
            }
        }
        let upper_bound = search.upper_bound.clone();
        let next_token = (!search.order_ids.is_empty()).then(|| {
            let number = self.number();
            let token = format!("{:016x}{number:x}", draw(seed, &["page", &number.to_string()]));
            self.paged.insert(token.clone(), search);
            token
        });
        Ok(SearchPage { orders, next_token, upper_bound })
    }

    fn start_search(
        &mut self,
        request: &SearchRequest,
        fingerprint: String,
        now_ms: u64,
    ) -> Result<PagedSearch, ApiError> {
        self.searches += 1;
        let number = self.searches;
        let settled_ms = now_ms.saturating_sub(self.settings.scaled(self.settings.settling_ms));
        let request_key = format!("search-{number}");
        let (after_ms, before_ms, by_update) = match request.window {
            SearchWindow::Created { after_ms, before_ms } => (after_ms, before_ms, false),
            SearchWindow::Updated { after_ms, before_ms } => (after_ms, before_ms, true),
        };
        if let Some(before_ms) = before_ms
            && before_ms > settled_ms
        {
            let name = if by_update { "lastUpdatedBefore" } else { "createdBefore" };
            return Err(ApiError::invalid(name, "must be at least two minutes before the time of the request"));
        }
        let upper_ms = before_ms.unwrap_or(settled_ms);
        let mut found: Vec<(u64, String)> = Vec::new();
        for order_id in self.orders.keys() {
            let Some((updated_ms, order)) = self.visible(order_id, &request_key, now_ms) else { continue };
            // Filters compare what the answer says: times to the second.
            let time_ms = if by_update { Some(updated_ms / 1_000 * 1_000) } else { time_ms(&order.created_time) };
            let in_window = time_ms.is_some_and(|time_ms| time_ms >= after_ms && time_ms <= upper_ms);
            if in_window && request.matches(order) {
                found.push((time_ms.unwrap_or_default(), order_id.clone()));
            }
        }
        found.sort();
        if self.settings.plan.shuffle {
            found.sort_by_key(|(_, order_id)| draw(self.settings.seed, &["shuffle", order_id, &request_key]));
        }
        Ok(PagedSearch {
            fingerprint,
            order_ids: found.into_iter().map(|(_, order_id)| order_id).collect(),
            upper_bound: time_text(upper_ms),
            expires_ms: now_ms + PAGE_TOKEN_TTL_MS,
            number,
        })
    }
}

/// The order as an answer shows it, without the simulator's own notes.
fn shown(order: &Order, included: &[String]) -> Order {
    let mut shown = order.with_data(included);
    shown.other.remove("simulatedPrices");
    shown
}
