//! From mapped orders to what the orders module takes.

use crate::bindings::kontor::commerce::orders;
use crate::bindings::kontor::commerce::types;
use crate::mapping::{Address, Line, MappedOrder, State, Stock};
use crate::settings::Settings;

/// What is reported of an order.
pub(crate) fn channel_order(mapped: &MappedOrder, settings: &Settings) -> orders::ChannelOrder {
    let paid_minor = if mapped.state == State::Confirmed { mapped.total_minor } else { 0 };
    let input = orders::OrderInput {
        channel: settings.channel.clone(),
        account: settings.account.clone(),
        external_id: mapped.external_id.clone(),
        placed_at_ms: mapped.placed_at_ms,
        currency: mapped.currency.clone(),
        email: mapped.email.clone(),
        customer_ref: None,
        shipping_address: mapped.shipping_address.as_ref().map(address),
        shipping_method: mapped.shipping_method.clone(),
        lines: mapped.lines.iter().map(line).collect(),
        shipping_net_minor: mapped.shipping_net_minor,
        shipping_tax_minor: mapped.shipping_tax_minor,
        shipping_gross_minor: mapped.shipping_gross_minor,
        total_minor: mapped.total_minor,
        payment_method: "amazon".to_owned(),
        paid_minor,
        stock: match mapped.stock {
            Stock::Reserve => orders::StockSource::Reserve,
            Stock::None => orders::StockSource::None,
        },
        attributes: mapped
            .attributes
            .iter()
            .map(|(name, value)| types::Attribute { name: name.clone(), value: value.clone() })
            .collect(),
    };
    let state = match mapped.state {
        State::Pending => orders::ChannelOrderState::Pending,
        State::Confirmed => orders::ChannelOrderState::Confirmed,
        State::Cancelled => orders::ChannelOrderState::Cancelled,
    };
    orders::ChannelOrder { input, state, changed_at_ms: mapped.changed_at_ms }
}

fn address(address: &Address) -> types::Address {
    types::Address {
        name: address.name.clone(),
        company: address.company.clone(),
        line1: address.line1.clone(),
        line2: address.line2.clone(),
        postal_code: address.postal_code.clone(),
        city: address.city.clone(),
        region: address.region.clone(),
        country: address.country.clone(),
        phone: address.phone.clone(),
    }
}

fn line(line: &Line) -> orders::OrderLineInput {
    orders::OrderLineInput {
        line_id: line.line_id.clone(),
        sku: line.sku.clone(),
        title: line.title.clone(),
        quantity: line.quantity,
        unit_price_minor: line.unit_price_minor,
        discount_minor: line.discount_minor,
        net_minor: line.net_minor,
        tax_minor: line.tax_minor,
        gross_minor: line.gross_minor,
        rate_basis_points: line.rate_basis_points,
        stocked: line.stocked,
    }
}
