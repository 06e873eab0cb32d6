//! What can go wrong between keyward and a device.

use std::io;

use rustls::AlertDescription;

use super::tls::Untrusted;

/// How what a device has sent on a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// Nothing has come.
    Silence,
    /// As HTTP.
    Http,
    /// As something else.
    Other,
}

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
    /// The request did not come whole in time, so that there could be no response: not the device's doing.
    #[error("{0}")]
    RequestTimeout(String),
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
            _ => Self::Terminated(format!("no connection to {place} ({}): is the device on?", error.kind())),
        }
    }

    /// What an error of hyper's means at this place, which is asked by TLS or not, and whose first words were HTTP or
    /// not.
    pub(super) fn of_http(place: &str, is_tls: bool, began: Beginning, error: &hyper::Error) -> Self {
        tracing::debug!(place, ?error, "an exchange failed");
        if error.is_user() || error.is_body_write_aborted() {
            return Self::Caller("the request's body broke off".to_owned());
        }
        if !error.is_parse() {
            return Self::BrokeOff(match (began, is_tls) {
                // A port of TLS may hang up on who speaks without.
                (Beginning::Silence, false) => format!(
                    "{place} closed the connection without an answer: ask again; if it always does, is that its port, or \
                     should `url` start with https://?"
                ),
                _ => format!(
                    "{place} closed the connection before its answer was complete: ask again; if it always does, see the \
                     device's own log"
                ),
            });
        }
        Self::Garbled(match (began, is_tls) {
            (Beginning::Http, _) if error.is_parse_too_large() => format!(
                "the head of what {place} answers is larger than keyward reads (64 KiB, 100 lines): ask the device for less"
            ),
            (Beginning::Http, _) => format!(
                "what {place} answers begins as HTTP, and its head breaks the rules of HTTP/1.1: update its firmware, or \
                 ask for another path"
            ),
            (_, false) => format!(
                "what {place} answers is not HTTP: is that its port, or should `url` start with https://?"
            ),
            (_, true) => format!("what {place} answers is not HTTP: is that its port?"),
        })
    }

    /// An answer of ours that did not come whole, or is larger than any that is expected.
    pub(super) fn incomplete(place: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::debug!(place, %error, "an answer is not complete");
        if error.is::<http_body_util::LengthLimitError>() {
            return Self::Garbled(format!(
                "the answer of {place} is larger than any that is expected: is that the device?"
            ));
        }
        Self::BrokeOff(format!(
            "{place} broke off its answer: ask again; if it always does, see the device's own log"
        ))
    }

    /// What an error of a TLS handshake means.
    pub(super) fn of_tls(place: &str, error: &io::Error) -> Self {
        tracing::debug!(place, ?error, "no TLS");
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
            return Self::Terminated(format!(
                "{place} closed the connection during the TLS handshake: is that its https port? If it always does, update \
                 its firmware, or use http:// in `url` if it offers that"
            ));
        };
        match tls {
            rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => {
                let text =
                    other.0.downcast_ref::<Untrusted>().map_or_else(|| tls.to_string(), |it| it.0.clone());
                Self::Certificate(text)
            }
            rustls::Error::InvalidCertificate(rustls::CertificateError::BadSignature) => {
                Self::Certificate(format!(
                    "{place} can't prove that the certificate it shows is its own, or its key is too weak to tell"
                ))
            }
            rustls::Error::InvalidCertificate(_) => Self::Certificate(format!(
                "the certificate of {place} can't be read: have the device make another, or update its firmware"
            )),
            rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => Self::TlsAlert(format!(
                "{place} refuses the TLS handshake: it wants a certificate of whoever asks, and keyward shows none; \
                 see whether the device can do without"
            )),
            rustls::Error::AlertReceived(_) => Self::TlsAlert(format!(
                "{place} refuses the TLS handshake: it may speak only TLS 1.0 or 1.1 or ciphers no longer \
                 safe; update its firmware, or use http:// in `url` if it offers that"
            )),
            rustls::Error::PeerIncompatible(_) => Self::TlsProtocol(format!(
                "{place} speaks a TLS too old or with ciphers no longer safe: update its firmware, or use \
                 http:// in `url` if it offers that"
            )),
            rustls::Error::InvalidMessage(_) => Self::TlsProtocol(format!(
                "{place} does not speak TLS: is that its https port, or should `url` start with http://?"
            )),
            _ => Self::TlsProtocol(format!(
                "{place} breaks the rules of TLS: update its firmware, or use http:// in `url` if it offers that"
            )),
        }
    }
}
