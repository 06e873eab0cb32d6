//! keyward's own refusals: whoever reads one here has checked all that the contract says of its form.

use super::Reply;

/// Every fault with its status and the `error` of its `Proxy-Status`.
const FAULTS: [(&str, u16, &[&str]); 23] = [
    ("unknown_device", 404, &["destination_not_found"]),
    ("host_not_allowed", 403, &["http_request_denied"]),
    ("origin_not_allowed", 403, &["http_request_denied"]),
    ("client_not_allowed", 403, &["http_request_denied"]),
    ("key_required", 401, &["http_request_denied"]),
    ("key_not_allowed", 403, &["http_request_denied"]),
    ("read_only", 403, &["http_request_denied"]),
    ("method_not_allowed", 405, &["http_request_denied"]),
    ("bad_path", 400, &["http_request_error"]),
    ("body_too_large", 413, &["http_request_error"]),
    ("login_refused", 502, &["proxy_configuration_error"]),
    ("login_unavailable", 503, &["destination_unavailable"]),
    ("not_replayed", 503, &["destination_unavailable"]),
    (
        "device_unreachable",
        502,
        &[
            "dns_error",
            "connection_refused",
            "connection_terminated",
            "destination_ip_unroutable",
            "tls_protocol_error",
            "tls_alert_received",
        ],
    ),
    ("certificate_changed", 502, &["tls_certificate_error"]),
    ("wrong_device", 502, &["destination_unavailable"]),
    ("device_timeout", 504, &["dns_timeout", "connection_timeout", "http_response_timeout"]),
    ("device_garbled", 502, &["http_protocol_error"]),
    ("device_broke_off", 502, &["http_response_incomplete"]),
    ("device_busy", 503, &["connection_limit_reached"]),
    ("device_starting", 503, &["destination_unavailable"]),
    ("loop", 502, &["proxy_loop_detected"]),
    ("internal", 500, &["proxy_internal_error"]),
];
/// Those that say when to come back.
const PATIENT: [&str; 5] =
    ["login_refused", "login_unavailable", "not_replayed", "device_busy", "device_starting"];

/// A refusal, read.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) fault: String,
    pub(crate) detail: String,
    pub(crate) device: Option<String>,
    /// The `error` of `Proxy-Status`.
    pub(crate) error: String,
    pub(crate) retry_after: Option<u64>,
}

impl Reply {
    /// The problem that this answer tells.
    pub(crate) fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        assert!(self.headers.get_all("vary").iter().any(|name| name == "Accept"), "{self:?}");
        let told = self.json();
        has_members(&told, &["detail", "device", "fault", "instance", "status", "title"]);
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        assert_eq!(told["status"], self.status.as_u16());
        assert_eq!(text("title"), self.status.canonical_reason().unwrap());
        assert!(!text("detail").is_empty() && !text("instance").is_empty(), "{told}");
        let (error, details) = proxy_status(self.header("proxy-status"));
        let ascii = text("detail").replace(|letter: char| !letter.is_ascii_graphic() && letter != ' ', "?");
        match details.strip_suffix("...") {
            Some(beginning) if ascii.len() > 1000 => assert!(ascii.starts_with(beginning), "{details}"),
            _ => assert_eq!(details, ascii),
        }
        assert!(details.len() <= 1003, "{details}");
        let fault = text("fault");
        let (_, status, errors) =
            FAULTS.iter().find(|(name, ..)| *name == fault).expect("a fault of the table");
        assert_eq!(self.status.as_u16(), *status, "{fault}");
        assert!(errors.contains(&error.as_str()), "{fault} is told as {error}");
        let retry_after =
            self.headers.get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
        assert_eq!(retry_after.is_some(), PATIENT.contains(&fault.as_str()), "Retry-After of {fault}");
        Problem {
            fault,
            detail: text("detail"),
            device: told["device"].as_str().map(str::to_owned),
            error,
            retry_after,
        }
    }

    /// The fault's name and what is said of it; everything else was checked.
    pub(crate) fn fault(&self) -> String {
        self.problem().fault
    }
}

/// `keyward; error=token; details="string"` (RFC 9209 section 2, RFC 8941 section 3.3.3).
fn proxy_status(value: &str) -> (String, String) {
    let rest = value.strip_prefix("keyward; error=").unwrap_or_else(|| panic!("Proxy-Status: {value}"));
    let (error, rest) = rest.split_once("; details=\"").unwrap();
    assert!(error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{error}");
    let quoted = rest.strip_suffix('"').unwrap();
    let mut details = String::new();
    let mut letters = quoted.chars();
    while let Some(letter) = letters.next() {
        assert!(letter != '"' && (letter.is_ascii_graphic() || letter == ' '), "{value}");
        details.push(if letter == '\\' { letters.next().unwrap() } else { letter });
    }
    (error.to_owned(), details)
}

/// Whether an object has exactly these members, named in their order.
pub(crate) fn has_members(object: &serde_json::Value, expected: &[&str]) {
    let mut names: Vec<_> = object.as_object().unwrap().keys().collect();
    names.sort_unstable();
    assert_eq!(names, expected, "{object}");
}
