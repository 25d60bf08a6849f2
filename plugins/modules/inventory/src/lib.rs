//! The inventory module of Kontor.

pub mod allocation;
pub mod booking;
pub mod model;
pub mod offers;
pub mod reservation;
pub mod stock;
pub mod verify;

#[cfg(test)]
mod memory;
#[cfg(test)]
mod rules_test;
