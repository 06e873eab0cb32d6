//! The tests that drive the real server.
