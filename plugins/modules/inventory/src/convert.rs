//! Between the contract's generated types and those of the rules. One function a type, no decision.

use crate::bindings::exports::kontor::{commerce0_1_0::inventory as wit, commerce0_2_0::availability};
use crate::model;

impl From<model::Error> for wit::InventoryError {
    fn from(error: model::Error) -> Self {
        match error {
            model::Error::NotFound(text) => wit::InventoryError::NotFound(text),
            model::Error::Invalid(text) => wit::InventoryError::Invalid(text),
            model::Error::Conflict(text) => wit::InventoryError::Conflict(text),
            model::Error::Other(text) => wit::InventoryError::Other(text),
            model::Error::Insufficient(shortages) => wit::InventoryError::Insufficient(
                shortages
                    .into_iter()
                    .map(|shortage| wit::Shortage {
                        sku: shortage.sku,
                        requested: shortage.requested,
                        available: shortage.available,
                    })
                    .collect(),
            ),
        }
    }
}

impl From<wit::Location> for model::Location {
    fn from(location: wit::Location) -> Self {
        model::Location {
            id: location.id,
            name: location.name,
            kind: match location.kind {
                wit::LocationKind::Warehouse => model::LocationKind::Warehouse,
                wit::LocationKind::Store => model::LocationKind::Store,
                wit::LocationKind::ThirdParty => model::LocationKind::ThirdParty,
            },
            time_zone: location.time_zone,
            active: location.active,
        }
    }
}

impl From<model::Location> for wit::Location {
    fn from(location: model::Location) -> Self {
        wit::Location {
            id: location.id,
            name: location.name,
            kind: match location.kind {
                model::LocationKind::Warehouse => wit::LocationKind::Warehouse,
                model::LocationKind::Store => wit::LocationKind::Store,
                model::LocationKind::ThirdParty => wit::LocationKind::ThirdParty,
            },
            time_zone: location.time_zone,
            active: location.active,
        }
    }
}

macro_rules! same_cases {
    ($type:ident: $($case:ident),+) => {
        impl From<wit::$type> for model::$type {
            fn from(value: wit::$type) -> Self {
                match value { $(wit::$type::$case => model::$type::$case),+ }
            }
        }
        impl From<model::$type> for wit::$type {
            fn from(value: model::$type) -> Self {
                match value { $(model::$type::$case => wit::$type::$case),+ }
            }
        }
    };
}

same_cases!(MovementReason: ReceivePo, SalePos, Ship, CancelRelease, ReturnRestock, ReturnDamaged, TransferOut, TransferIn,
    CountAdjust, ShrinkTheft, Damage, Expiry, Sample, Found, SupplierReturn, Correction);
same_cases!(ReservationKind: Cart, Pickup, Order, Preorder, Transfer);
same_cases!(ReservationState: Active, Committed, Fulfilled, Released, Expired);

impl From<wit::ChannelRule> for model::ChannelRule {
    fn from(rule: wit::ChannelRule) -> Self {
        model::ChannelRule {
            channel: rule.channel,
            locations: rule.locations,
            buffer: rule.buffer,
            maximum: rule.maximum,
        }
    }
}

impl From<model::ChannelRule> for wit::ChannelRule {
    fn from(rule: model::ChannelRule) -> Self {
        wit::ChannelRule {
            channel: rule.channel,
            locations: rule.locations,
            buffer: rule.buffer,
            maximum: rule.maximum,
        }
    }
}

impl From<wit::MovementInput> for model::MovementInput {
    fn from(input: wit::MovementInput) -> Self {
        model::MovementInput {
            sku: input.sku,
            location: input.location,
            quantity: input.quantity,
            reason: input.reason.into(),
            ref_type: input.ref_type,
            ref_id: input.ref_id,
            line: input.line,
            occurred_at_ms: input.occurred_at_ms,
        }
    }
}

impl From<model::Movement> for wit::Movement {
    fn from(movement: model::Movement) -> Self {
        wit::Movement {
            id: movement.id,
            sku: movement.sku,
            location: movement.location,
            quantity: movement.quantity,
            reason: movement.reason.into(),
            ref_type: movement.ref_type,
            ref_id: movement.ref_id,
            line: movement.line,
            occurred_at_ms: movement.occurred_at_ms,
            recorded_at_ms: movement.recorded_at_ms,
            actor: movement.actor,
        }
    }
}

impl From<model::MovementPage> for wit::MovementPage {
    fn from(page: model::MovementPage) -> Self {
        wit::MovementPage {
            movements: page.movements.into_iter().map(Into::into).collect(),
            next_cursor: page.next_cursor,
        }
    }
}

impl From<model::StockLevel> for wit::StockLevel {
    fn from(level: model::StockLevel) -> Self {
        wit::StockLevel {
            sku: level.sku,
            location: level.location,
            on_hand: level.on_hand,
            unsellable: level.unsellable,
            reserved: level.reserved,
            safety: level.safety,
            available_to_sell: level.available_to_sell,
        }
    }
}

impl From<wit::StockCount> for model::StockCount {
    fn from(count: wit::StockCount) -> Self {
        model::StockCount {
            sku: count.sku,
            location: count.location,
            expected: count.expected,
            counted: count.counted,
            reference: count.reference,
        }
    }
}

impl From<wit::Demand> for model::Demand {
    fn from(demand: wit::Demand) -> Self {
        model::Demand { sku: demand.sku, quantity: demand.quantity, location: demand.location }
    }
}

impl From<wit::ReservationRequest> for model::ReservationRequest {
    fn from(request: wit::ReservationRequest) -> Self {
        model::ReservationRequest {
            channel: request.channel,
            kind: request.kind.into(),
            owner: request.owner,
            demands: request.demands.into_iter().map(Into::into).collect(),
            expires_at_ms: request.expires_at_ms,
            allow_partial: request.allow_partial,
        }
    }
}

impl From<model::Reservation> for wit::Reservation {
    fn from(reservation: model::Reservation) -> Self {
        wit::Reservation {
            id: reservation.id,
            channel: reservation.channel,
            kind: reservation.kind.into(),
            owner: reservation.owner,
            state: reservation.state.into(),
            allocations: reservation
                .allocations
                .into_iter()
                .map(|part| wit::Allocation {
                    sku: part.sku,
                    location: part.location,
                    quantity: part.quantity,
                    fulfilled: part.fulfilled,
                })
                .collect(),
            expires_at_ms: reservation.expires_at_ms,
        }
    }
}

impl From<model::ChannelOffer> for wit::ChannelOffer {
    fn from(offer: model::ChannelOffer) -> Self {
        wit::ChannelOffer { sku: offer.sku, quantity: offer.quantity }
    }
}

impl From<availability::Wish> for model::ChannelOffer {
    fn from(wish: availability::Wish) -> Self {
        model::ChannelOffer { sku: wish.sku, quantity: wish.quantity }
    }
}

impl From<model::Shortage> for availability::Shortage {
    fn from(shortage: model::Shortage) -> Self {
        availability::Shortage { sku: shortage.sku, requested: shortage.requested, available: shortage.available }
    }
}

impl From<model::Error> for availability::AvailabilityError {
    fn from(error: model::Error) -> Self {
        match error {
            model::Error::NotFound(text) => availability::AvailabilityError::NotFound(text),
            model::Error::Invalid(text) => availability::AvailabilityError::Invalid(text),
            other => availability::AvailabilityError::Other(other.to_string()),
        }
    }
}

impl From<model::Verification> for wit::Verification {
    fn from(verification: model::Verification) -> Self {
        wit::Verification {
            checked: verification.checked,
            discrepancies: verification
                .discrepancies
                .into_iter()
                .map(|found| wit::Discrepancy {
                    sku: found.sku,
                    location: found.location,
                    field: found.field,
                    projected: found.projected,
                    ledger: found.ledger,
                })
                .collect(),
            next_cursor: verification.next_cursor,
        }
    }
}
