//! The tests that drive the real server, and the house rules.
#![expect(clippy::panic, reason = "what fails in a test or in what only tests use is to fail loudly")]

mod house;
