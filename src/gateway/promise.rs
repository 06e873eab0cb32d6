//! What routing and the rewriting of references promise, whatever bytes they get: the property tests and the fuzz
//! targets hold them to it.

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Uri, request};
use percent_encoding::percent_decode;
use url::Url;

use super::admit::{Admitted, Shown, Site};
use super::fault::Kind;
use super::route::{self, Hop, Route};
use super::{Device, House};

/// Names that begin alike, paths before those of the device, and a credential in the query.
pub(crate) const DEVICES: &str = r#"
    [devices.meter]
    vendor = "open"
    url = "http://10.0.0.1"
    [devices.meter10]
    vendor = "open"
    url = "http://10.0.0.2:8080/house/3"
    [devices.lights]
    vendor = "query"
    url = "http://lights.local/api"
    name = "key"
    value = "not shown"
"#;

/// Holds the routing of this request target to its promises, at the first door and at each device's own.
pub(crate) fn route(house: &House, target: &[u8]) {
    let Ok(uri) = Uri::try_from(target) else { return };
    let asked = head(uri, "localhost");
    let (path, query) = (asked.uri.path(), asked.uri.query());
    if !path.starts_with('/') {
        // `*` is answered at the front, and an authority alone never becomes a request.
        return;
    }
    for device in &house.devices {
        match route::find(house, &asked, &admitted(Some(device))) {
            Ok(Route::Hop(hop)) => is_below(&hop, path, query),
            Ok(Route::Slash { to, .. }) => unreachable!("{path} is sent to {to}"),
            Err(fault) => assert_eq!(fault.kind, Kind::BadPath, "{path}"),
        }
    }
    let first = path.split('/').nth(1).unwrap_or_default();
    let named = house.devices.iter().find(|device| device.name == first);
    match route::find(house, &asked, &admitted(None)) {
        Ok(Route::Hop(hop)) => {
            assert_eq!((hop.prefix(), hop.device.name.as_str()), (format!("/{first}").as_str(), first));
            is_below(&hop, path, query);
        }
        Ok(Route::Slash { to, .. }) => {
            let query = query.map(|query| format!("?{query}")).unwrap_or_default();
            assert_eq!(path, format!("/{first}"));
            assert_eq!(to, format!("/{first}/{query}"));
            assert!(named.is_some(), "{to} leads to no device");
        }
        Err(fault) if fault.kind == Kind::UnknownDevice => assert!(named.is_none(), "{path} is a device's"),
        Err(fault) => assert_eq!(fault.kind, Kind::BadPath, "{path}"),
    }
}

/// Somebody who may ask, at the first door or at this device's own.
fn admitted(own: Option<&Arc<Device>>) -> Admitted {
    Admitted {
        own: own.cloned(),
        site: Site::Plain,
        base: String::new(),
        shown: Shown::Unasked,
        guest: None,
        is_known: true,
    }
}

/// The target is the base path and what the caller sent below the prefix, byte for byte, and climbs nowhere.
fn is_below(hop: &Hop, path: &str, query: Option<&str>) {
    let rest = path.strip_prefix(hop.prefix());
    let rest =
        rest.filter(|rest| rest.starts_with('/')).unwrap_or_else(|| unreachable!("{path} is not below"));
    assert_eq!(hop.target.path(), format!("{}{rest}", hop.device.url.path()));
    assert_eq!(hop.target.authority(), None);
    climbs_nowhere(rest.as_bytes());
    climbs_nowhere(hop.path().as_bytes());
    let carriers = hop.device.vendor.carriers().query;
    if carriers.is_empty() {
        assert_eq!(hop.target.query(), query);
    }
    let carried = form_urlencoded::parse(hop.target.query().unwrap_or_default().as_bytes())
        .any(|(name, _)| carriers.iter().any(|carrier| *carrier == name));
    assert!(!carried, "a caller's credential in {:?}", hop.target);
}

/// No reader finds a dot segment: decoded as often as it can be, by a tolerant decoder too, with backslashes for
/// slashes, with or without parameters.
fn climbs_nowhere(path: &[u8]) {
    let mut read = path.to_vec();
    loop {
        let tolerant = String::from_utf8_lossy(&overlong_forms_read(&read)).replace('\\', "/");
        assert!(!tolerant.contains('\0'), "a NUL in {path:?}");
        for segment in tolerant.split('/') {
            let bare = segment.split(';').next();
            assert!(!matches!(bare, Some("." | "..")), "{:?} climbs", String::from_utf8_lossy(path));
        }
        let decoded: Vec<u8> = percent_decode(&read).collect();
        if decoded.len() == read.len() {
            return;
        }
        read = decoded;
    }
}

/// What a decoder makes of UTF-8 that does not mind how many bytes a letter takes.
fn overlong_forms_read(bytes: &[u8]) -> Vec<u8> {
    let mut read = Vec::new();
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        (read, rest) = match rest {
            [0xC0 | 0xC1, low, after @ ..] => (with(read, (first & 1) << 6 | low & 0x3F), after),
            [0xE0, high @ 0x80..=0x81, low, after @ ..] => (with(read, (high & 1) << 6 | low & 0x3F), after),
            [0xF0, 0x80, high @ 0x80..=0x81, low, after @ ..] => {
                (with(read, (high & 1) << 6 | low & 0x3F), after)
            }
            _ => (with(read, *first), after),
        };
    }
    read
}

fn with(mut bytes: Vec<u8>, byte: u8) -> Vec<u8> {
    bytes.push(byte);
    bytes
}

/// Holds what becomes of a `Location` in the answer to this target to its promises, at the first door and at the
/// device's own.
pub(crate) fn location(house: &House, target: &str, told: &[u8]) {
    let (Ok(told), Ok(uri)) = (HeaderValue::from_bytes(told), target.parse::<Uri>()) else { return };
    for door in ["http://door.example:8480", "https://door.example"] {
        let asked = head(uri.clone(), door.split('/').nth(2).unwrap_or_default());
        for own in house.devices.iter().map(Some).chain([None]) {
            let Ok(Route::Hop(hop)) = route::find(house, &asked, &admitted(own)) else { return };
            is_not_led_astray(&hop, &asked, &format!("{door}{target}"), &told);
        }
    }
}

/// Who asked for this page and follows what becomes of `told` stays below the prefix, or leaves the door.
fn is_not_led_astray(hop: &Hop, asked: &request::Parts, page: &str, told: &HeaderValue) {
    let passed = super::location::rewrite(hop, asked, told);
    let Ok(page) = Url::parse(page) else { return };
    // As a browser would follow it.
    let Ok(followed) = page.join(&String::from_utf8_lossy(passed.as_bytes())) else { return };
    if followed.origin() == page.origin() {
        let below = followed.path().strip_prefix(hop.prefix());
        assert!(
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            "{told:?} leads from {page} to {followed}"
        );
    } else if passed != told {
        let device = Url::parse(&hop.device.origin()).map(|device| device.origin());
        assert_eq!(device.ok(), Some(followed.origin()), "{told:?} leads from {page} to {followed}");
    }
}

fn head(uri: Uri, host: &str) -> request::Parts {
    let mut head = Request::new(()).into_parts().0;
    head.method = Method::GET;
    head.uri = uri;
    head.headers = HeaderMap::from_iter(HeaderValue::from_str(host).ok().map(|host| (header::HOST, host)));
    head
}
