//! keyward: a local HTTP gateway that keeps the keys to the devices of a home or a building.
pub mod clock;
pub mod config;
pub mod secret;
pub mod upstream;
pub mod vendor;
