//! What can go wrong between keyward and a device.

use std::io;

/// A failed exchange with a device. The variant says what to answer, the text what happened.
///
/// Texts name hosts, addresses and fingerprints, never a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The name of the device is not known to DNS or multicast DNS.
    #[error("{0}")]
    NameNotFound(String),
    /// Nobody answered for the name in time.
    #[error("{0}")]
    NameTimeout(String),
    /// The device, or a firewall before it, refuses connections.
    #[error("{0}")]
    Refused(String),
    /// There is no route to the device.
    #[error("{0}")]
    Unroutable(String),
    /// The connection ended before it could be used.
    #[error("{0}")]
    Terminated(String),
    /// Connecting took longer than `connect_timeout`.
    #[error("{0}")]
    ConnectTimeout(String),
    /// No TLS that both sides speak.
    #[error("{0}")]
    TlsProtocol(String),
    /// The device ended the handshake with an alert.
    #[error("{0}")]
    TlsAlert(String),
    /// The certificate is not the one that `trust` asks for.
    #[error("{0}")]
    Certificate(String),
    /// Another device answers at this address.
    #[error("{0}")]
    WrongDevice(String),
    /// Every connection is in use, and so is every place in the queue.
    #[error("{0}")]
    Busy(String),
    /// The head of the response did not come in time.
    #[error("{0}")]
    ResponseTimeout(String),
    /// What came is no HTTP, or HTTP that can be read in two ways.
    #[error("{0}")]
    Garbled(String),
    /// The device closed the connection before its answer was complete.
    #[error("{0}")]
    BrokeOff(String),
    /// The caller's body ended in an error: not the device's doing.
    #[error("{0}")]
    Caller(String),
}

impl Trouble {
    /// What a failed attempt to open a TCP connection means.
    pub(super) fn connecting(error: &io::Error, place: &str) -> Self {
        use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut};
        match error.kind() {
            ConnectionRefused => {
                Self::Refused(format!("{place} refuses connections: is the device on, and is that its port?"))
            }
            HostUnreachable | NetworkUnreachable => Self::Unroutable(format!(
                "there is no route to {place}: is the device on and on this network?"
            )),
            TimedOut => Self::ConnectTimeout(format!("{place} does not answer: is the device on?")),
            _ => Self::Terminated(format!("no connection to {place}: {error}")),
        }
    }
}
