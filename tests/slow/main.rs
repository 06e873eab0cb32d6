//! The tests that need more than Rust: a browser, `strace`, network namespaces, minutes. `cargo test` leaves them
//! out; `just slow` runs them, and so does CI after installing what they need.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails in a test or in what only tests use is to fail loudly"
)]

mod alone;
mod clients;
mod end;
mod memory;
mod readme;
mod saves;
mod soak;
mod stuck;
mod weak;

/// What these tests share with the others.
#[path = "../it"]
mod it {
    #![expect(dead_code, unused_imports, reason = "each of the two uses what it needs")]
    pub(crate) mod support;
}

use it::support;

mod browser;
mod dialogue;
mod network;
