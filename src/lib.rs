//! keyward: a local HTTP gateway that keeps the keys to the devices of a home or a building.
//!
//! Modules stand here in the order of their layers. Imports point to an earlier one only, and no two of the same
//! layer import each other.

// 0: what everything else may use: time, files and secrets,
mod alarm;
pub mod clock;
pub mod disk;
pub mod fields;
pub mod secret;
// and, by themselves, what is to be done and what was done
pub mod config;
pub mod metrics;
// 1: the way to a device
pub mod upstream;
// 2: what is known of each make
pub mod vendor;
// 3: sessions
pub mod keeper;
// 4: requests
pub mod gateway;
// 5: where they meet
pub mod server;
// Simulated devices: they know nothing of the above but secrets and time
pub mod twin;
// 6: commands
pub mod cli;
// What fuzz/ calls
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
