//! Every bad ending of a request, and the one table that turns it into a status.

use std::time::Duration;

use http::StatusCode;

use crate::keeper::{Failure, TRIED_EVERY as CHECKED_EVERY};
use crate::upstream::Trouble;
use crate::vendor::Refusal;

/// So many letters of a caller's word are repeated.
const REPEATED: usize = 80;

/// What went wrong, by its name in answers, logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No device has this prefix.
    UnknownDevice,
    /// The `Host` is none of ours.
    HostNotAllowed,
    /// A page of another origin asks.
    OriginNotAllowed,
    /// The caller's network may not ask.
    ClientNotAllowed,
    /// The caller shows no key.
    KeyRequired,
    /// Its key does not open this.
    KeyNotAllowed,
    /// The device may only be read, or never be asked this.
    ReadOnly,
    /// No such method here.
    MethodNotAllowed,
    /// A path that two readers could resolve to two places.
    BadPath,
    /// More than `max_body`.
    BodyTooLarge,
    /// The device or its cloud refuses the credentials.
    LoginRefused,
    /// There is no session now, and there may be one later.
    LoginUnavailable,
    /// The session was void and the body can't be sent a second time.
    NotReplayed,
    /// No connection to the device.
    DeviceUnreachable,
    /// Another certificate than the one trusted.
    CertificateChanged,
    /// Another device.
    WrongDevice,
    /// No answer in time.
    DeviceTimeout,
    /// No HTTP, or ambiguous HTTP.
    DeviceGarbled,
    /// An answer without its end.
    DeviceBrokeOff,
    /// Too many requests for it at once.
    DeviceBusy,
    /// It has not finished starting.
    DeviceStarting,
    /// The request has been here before.
    Loop,
    /// An error of keyward's own.
    Internal,
    /// The caller's request broke off or stalled; nobody is left to be told in detail.
    CallerLeft,
    /// The caller's request is none.
    Malformed,
    /// At `timeout` the caller had not sent all of its request.
    CallerSlow,
}

impl Kind {
    /// Name, status, and the Proxy-Status error (RFC 9209 section 2.3) where the cause does not say it better.
    pub(super) fn row(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::UnknownDevice => ("unknown_device", S::NOT_FOUND, "destination_not_found"),
            Self::HostNotAllowed => ("host_not_allowed", S::FORBIDDEN, "http_request_denied"),
            Self::OriginNotAllowed => ("origin_not_allowed", S::FORBIDDEN, "http_request_denied"),
            Self::ClientNotAllowed => ("client_not_allowed", S::FORBIDDEN, "http_request_denied"),
            Self::KeyRequired => ("key_required", S::UNAUTHORIZED, "http_request_denied"),
            Self::KeyNotAllowed => ("key_not_allowed", S::FORBIDDEN, "http_request_denied"),
            Self::ReadOnly => ("read_only", S::FORBIDDEN, "http_request_denied"),
            Self::MethodNotAllowed => ("method_not_allowed", S::METHOD_NOT_ALLOWED, "http_request_denied"),
            Self::BadPath => ("bad_path", S::BAD_REQUEST, "http_request_error"),
            Self::BodyTooLarge => ("body_too_large", S::PAYLOAD_TOO_LARGE, "http_request_error"),
            Self::LoginRefused => ("login_refused", S::BAD_GATEWAY, "proxy_configuration_error"),
            Self::LoginUnavailable => {
                ("login_unavailable", S::SERVICE_UNAVAILABLE, "destination_unavailable")
            }
            Self::NotReplayed => ("not_replayed", S::SERVICE_UNAVAILABLE, "destination_unavailable"),
            Self::DeviceUnreachable => ("device_unreachable", S::BAD_GATEWAY, "destination_unavailable"),
            Self::CertificateChanged => ("certificate_changed", S::BAD_GATEWAY, "tls_certificate_error"),
            Self::WrongDevice => ("wrong_device", S::BAD_GATEWAY, "destination_unavailable"),
            Self::DeviceTimeout => ("device_timeout", S::GATEWAY_TIMEOUT, "http_response_timeout"),
            Self::DeviceGarbled => ("device_garbled", S::BAD_GATEWAY, "http_protocol_error"),
            Self::DeviceBrokeOff => ("device_broke_off", S::BAD_GATEWAY, "http_response_incomplete"),
            Self::DeviceBusy => ("device_busy", S::SERVICE_UNAVAILABLE, "connection_limit_reached"),
            Self::DeviceStarting => ("device_starting", S::SERVICE_UNAVAILABLE, "destination_unavailable"),
            Self::Loop => ("loop", S::BAD_GATEWAY, "proxy_loop_detected"),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, "proxy_internal_error"),
            Self::CallerLeft => ("caller_left", S::REQUEST_TIMEOUT, "http_request_error"),
            Self::Malformed => ("malformed", S::BAD_REQUEST, "http_request_error"),
            Self::CallerSlow => ("device_timeout", S::GATEWAY_TIMEOUT, "http_response_timeout"),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Whether it says something about the device, and not about the request.
    pub fn is_of_device(self) -> bool {
        matches!(
            self,
            Self::LoginRefused
                | Self::LoginUnavailable
                | Self::DeviceUnreachable
                | Self::CertificateChanged
                | Self::WrongDevice
                | Self::DeviceTimeout
                | Self::DeviceGarbled
                | Self::DeviceBrokeOff
                | Self::DeviceStarting
        )
    }

    /// Whether an answer from before is of more use than this.
    pub(super) fn is_failure(self) -> bool {
        self.is_of_device() || self == Self::DeviceBusy
    }

    /// Faults that pass by themselves say when to come back.
    fn retry_after(self) -> Option<Duration> {
        match self {
            Self::LoginRefused => Some(Duration::from_secs(300)),
            Self::LoginUnavailable | Self::DeviceStarting => Some(Duration::from_secs(5)),
            Self::NotReplayed | Self::DeviceBusy => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

/// A bad ending of one request.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What went wrong.
    pub kind: Kind,
    /// What happened and what to do next, in words for a person. Holds no secret.
    pub detail: String,
    /// The device, once it is known.
    pub device: Option<String>,
    pub(super) error: &'static str,
    pub(super) retry_after: Option<Duration>,
    pub(super) allow: Option<&'static str>,
    /// Where a person goes on who sees this in a browser, from where they are.
    pub(super) back: Option<&'static str>,
}

impl Fault {
    /// A fault and what to do about it.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (_, _, error) = kind.row();
        Self {
            kind,
            detail: detail.into(),
            device: None,
            error,
            retry_after: kind.retry_after(),
            allow: None,
            back: None,
        }
    }

    /// The method is not one of `allow`.
    pub fn method(allow: &'static str) -> Self {
        let detail = format!("only {allow} can be asked here");
        Self { allow: Some(allow), ..Self::new(Kind::MethodNotAllowed, detail) }
    }

    /// Names the device.
    #[must_use]
    pub fn at(self, device: &str) -> Self {
        Self { device: Some(device.to_owned()), ..self }
    }

    fn with(error: &'static str, kind: Kind, detail: String) -> Self {
        Self { error, ..Self::new(kind, detail) }
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        use Kind::{DeviceTimeout, DeviceUnreachable};
        let detail = trouble.to_string();
        match trouble {
            Trouble::NameNotFound(_) => Self::with("dns_error", DeviceUnreachable, detail),
            Trouble::NameTimeout(_) => Self::with("dns_timeout", DeviceTimeout, detail),
            Trouble::Refused(_) => Self::with("connection_refused", DeviceUnreachable, detail),
            Trouble::Unroutable(_) => Self::with("destination_ip_unroutable", DeviceUnreachable, detail),
            Trouble::Terminated(_) => Self::with("connection_terminated", DeviceUnreachable, detail),
            Trouble::ConnectTimeout(_) => Self::with("connection_timeout", DeviceTimeout, detail),
            Trouble::TlsProtocol(_) => Self::with("tls_protocol_error", DeviceUnreachable, detail),
            Trouble::TlsAlert(_) => Self::with("tls_alert_received", DeviceUnreachable, detail),
            Trouble::Certificate(_) => Self::new(Kind::CertificateChanged, detail),
            Trouble::WrongDevice(_) => Self::new(Kind::WrongDevice, detail),
            Trouble::Busy(_) => Self::new(Kind::DeviceBusy, detail),
            Trouble::RequestTimeout(_) => Self::new(Kind::CallerSlow, detail),
            Trouble::ResponseTimeout(_) => Self::new(DeviceTimeout, detail),
            Trouble::Garbled(_) => Self::new(Kind::DeviceGarbled, detail),
            Trouble::BrokeOff(_) => Self::new(Kind::DeviceBrokeOff, detail),
            Trouble::Caller(_) => Self::new(Kind::CallerLeft, detail),
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unreachable(trouble) => trouble.into(),
            Refusal::Rejected(detail) | Refusal::Person(detail) => Self::new(Kind::LoginRefused, detail),
            Refusal::Unavailable { detail, .. } | Refusal::Enough(detail) | Refusal::Odd(detail) => {
                Self::new(Kind::LoginUnavailable, detail)
            }
        }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        let fault = Self::from(failure.refusal);
        let detail = match fault.kind {
            Kind::LoginRefused if failure.is_proven => format!(
                "{}. It was accepted before, so every request tries it again, and `keyward check` once in 5 min",
                fault.detail.trim_end_matches('.')
            ),
            Kind::LoginRefused => {
                // Sooner than that a check does not try it either.
                let check = if failure.retry_after > CHECKED_EVERY { " or by `keyward check`" } else { "" };
                format!(
                    "{}. The same is tried again in {}{check}, a changed one at once",
                    fault.detail.trim_end_matches('.'),
                    in_words(failure.retry_after)
                )
            }
            _ => fault.detail,
        };
        Self { detail, retry_after: Some(failure.retry_after), ..fault }
    }
}

/// A caller's word as a fault repeats it: enough to recognise it by, however long it is.
pub(super) fn cut(word: &str) -> String {
    match word.char_indices().nth(REPEATED).and_then(|(at, _)| word.get(..at)) {
        Some(beginning) => format!("{beginning}..."),
        None => word.to_owned(),
    }
}

/// A time as a person says it.
fn in_words(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{} s", seconds.max(1)),
        seconds @ 120..7200 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3600)),
    }
}
