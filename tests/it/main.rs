//! The tests that drive the real server: over loopback, with real TLS, against the twins and against devices that
//! are worse than any twin. And the house rules.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails in a test or in what only tests use is to fail loudly"
)]

mod support;

mod cli;
mod cloud;
mod docs;
mod doors;
mod enphase;
mod faults;
mod house;
mod life;
mod makes;
mod page;
mod readme;
mod recall;
mod request;
mod saved;
mod schema;
mod secrets;
mod stream;
mod trust;
mod vendors;
mod wire;
