//! Messages to the byte: what two parsers could read differently never becomes two.

mod requests;
mod responses;
mod trailers;

/// What a device says when all is well.
pub(crate) const FINE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
