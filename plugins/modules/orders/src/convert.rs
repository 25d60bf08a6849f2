//! Between the contract's generated types and those of the rules. One function a type, no decision.

use crate::bindings::exports::kontor::commerce::orders as wit;
use crate::bindings::kontor::commerce::types;
use crate::model;
use crate::units;

impl From<model::Error> for wit::OrdersError {
    fn from(error: model::Error) -> Self {
        match error {
            model::Error::NotFound(text) => wit::OrdersError::NotFound(text),
            model::Error::Invalid(text) => wit::OrdersError::Invalid(text),
            model::Error::Insufficient(shortages) => wit::OrdersError::Insufficient(shortages),
            model::Error::Conflict(text) => wit::OrdersError::Conflict(text),
            model::Error::Other(text) => wit::OrdersError::Other(text),
        }
    }
}

macro_rules! same_cases {
    ($type:ident: $($case:ident),+) => {
        impl From<model::$type> for wit::$type {
            fn from(value: model::$type) -> Self {
                match value { $(model::$type::$case => wit::$type::$case),+ }
            }
        }
    };
}

same_cases!(OrderStatus: Draft, Placed, OnHold, Cancelled, Completed);
same_cases!(PaymentStatus: Pending, Authorised, Paid, PartiallyRefunded, Refunded);
same_cases!(FulfilmentStatus: Unfulfilled, PartiallyFulfilled, Fulfilled, NotApplicable);
same_cases!(ReturnStatus: None, Requested, PartiallyReturned, Returned);
same_cases!(UnitState: Open, Reserved, Backordered, Preordered, Picking, Packed, Shipped, Ready, Collected, Cancelled,
    ReturnRequested, ReturnedOk, ReturnedDamaged, Lost);

impl From<types::Address> for model::Address {
    fn from(address: types::Address) -> Self {
        model::Address {
            name: address.name,
            company: address.company,
            line1: address.line1,
            line2: address.line2,
            postal_code: address.postal_code,
            city: address.city,
            region: address.region,
            country: address.country,
            phone: address.phone,
        }
    }
}

impl From<model::Address> for types::Address {
    fn from(address: model::Address) -> Self {
        types::Address {
            name: address.name,
            company: address.company,
            line1: address.line1,
            line2: address.line2,
            postal_code: address.postal_code,
            city: address.city,
            region: address.region,
            country: address.country,
            phone: address.phone,
        }
    }
}

impl From<types::Attribute> for model::Attribute {
    fn from(attribute: types::Attribute) -> Self {
        model::Attribute { name: attribute.name, value: attribute.value }
    }
}

impl From<model::Attribute> for types::Attribute {
    fn from(attribute: model::Attribute) -> Self {
        types::Attribute { name: attribute.name, value: attribute.value }
    }
}

impl From<wit::OrderLineInput> for model::LineInput {
    fn from(line: wit::OrderLineInput) -> Self {
        model::LineInput {
            line_id: line.line_id,
            sku: line.sku,
            title: line.title,
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
}

impl From<wit::StockSource> for model::StockSource {
    fn from(source: wit::StockSource) -> Self {
        match source {
            wit::StockSource::Reserve => model::StockSource::Reserve,
            wit::StockSource::Reservation(id) => model::StockSource::Reservation(id),
            wit::StockSource::HandedOver(location) => model::StockSource::HandedOver(location),
            wit::StockSource::None => model::StockSource::None,
        }
    }
}

impl From<wit::OrderInput> for model::OrderInput {
    fn from(input: wit::OrderInput) -> Self {
        model::OrderInput {
            channel: input.channel,
            account: input.account,
            external_id: input.external_id,
            placed_at_ms: input.placed_at_ms,
            currency: input.currency,
            email: input.email,
            customer_ref: input.customer_ref,
            shipping_address: input.shipping_address.map(Into::into),
            shipping_method: input.shipping_method,
            lines: input.lines.into_iter().map(Into::into).collect(),
            shipping_net_minor: input.shipping_net_minor,
            shipping_tax_minor: input.shipping_tax_minor,
            shipping_gross_minor: input.shipping_gross_minor,
            total_minor: input.total_minor,
            payment_method: input.payment_method,
            paid_minor: input.paid_minor,
            stock: input.stock.into(),
            attributes: input.attributes.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<wit::ChannelOrder> for model::Report {
    fn from(report: wit::ChannelOrder) -> Self {
        model::Report {
            input: report.input.into(),
            state: match report.state {
                wit::ChannelOrderState::Pending => model::ReportState::Pending,
                wit::ChannelOrderState::Confirmed => model::ReportState::Confirmed,
                wit::ChannelOrderState::Cancelled => model::ReportState::Cancelled,
            },
            changed_at_ms: report.changed_at_ms,
        }
    }
}

impl From<model::ReportOutcome> for wit::ChannelOrderOutcome {
    fn from(outcome: model::ReportOutcome) -> Self {
        match outcome {
            model::ReportOutcome::Created => wit::ChannelOrderOutcome::Created,
            model::ReportOutcome::Updated => wit::ChannelOrderOutcome::Updated,
            model::ReportOutcome::Unchanged => wit::ChannelOrderOutcome::Unchanged,
            model::ReportOutcome::Stale => wit::ChannelOrderOutcome::Stale,
            model::ReportOutcome::OnHold => wit::ChannelOrderOutcome::OnHold,
        }
    }
}

impl From<model::Line> for wit::OrderLine {
    fn from(line: model::Line) -> Self {
        wit::OrderLine {
            units: line
                .units
                .iter()
                .map(|(state, quantity)| wit::UnitCount { state: (*state).into(), quantity: *quantity })
                .collect(),
            line_id: line.line_id,
            sku: line.sku,
            title: line.title,
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
}

impl From<model::Shipment> for wit::Shipment {
    fn from(shipment: model::Shipment) -> Self {
        wit::Shipment {
            id: shipment.id,
            carrier: shipment.carrier,
            tracking_number: shipment.tracking_number,
            shipped_at_ms: shipment.shipped_at_ms,
            lines: shipment.lines,
        }
    }
}

impl From<model::Order> for wit::Order {
    fn from(order: model::Order) -> Self {
        wit::Order {
            payment: units::payment(&order).into(),
            fulfilment: units::fulfilment(&order).into(),
            returns: units::returns(&order).into(),
            paid_minor: order.paid_minor(),
            id: order.id,
            number: order.number,
            channel: order.channel,
            account: order.account,
            external_id: order.external_id,
            placed_at_ms: order.placed_at_ms,
            updated_at_ms: order.updated_at_ms,
            version: order.version,
            status: order.status.into(),
            hold_reason: order.hold_reason,
            currency: order.currency,
            email: order.email,
            customer_ref: order.customer_ref,
            shipping_address: order.shipping_address.map(Into::into),
            shipping_method: order.shipping_method,
            lines: order.lines.into_iter().map(Into::into).collect(),
            shipping_net_minor: order.shipping_net_minor,
            shipping_tax_minor: order.shipping_tax_minor,
            shipping_gross_minor: order.shipping_gross_minor,
            total_minor: order.total_minor,
            refunded_minor: order.refunded_minor,
            payment_method: order.payment_method,
            reservation_id: order.reservations.into_iter().next(),
            shipments: order.shipments.into_iter().map(Into::into).collect(),
            attributes: order.attributes.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<model::Summary> for wit::OrderSummary {
    fn from(summary: model::Summary) -> Self {
        wit::OrderSummary {
            id: summary.id,
            number: summary.number,
            channel: summary.channel,
            external_id: summary.external_id,
            placed_at_ms: summary.placed_at_ms,
            status: summary.status.into(),
            payment: summary.payment.into(),
            fulfilment: summary.fulfilment.into(),
            currency: summary.currency,
            total_minor: summary.total_minor,
            units: summary.units,
        }
    }
}

impl From<model::Page> for wit::OrderPage {
    fn from(page: model::Page) -> Self {
        wit::OrderPage { orders: page.orders.into_iter().map(Into::into).collect(), next_cursor: page.next_cursor }
    }
}

impl From<model::Placing> for wit::Placing {
    fn from(placing: model::Placing) -> Self {
        wit::Placing { order_id: placing.order_id, number: placing.number, created: placing.created }
    }
}
