//! Where a device sends its callers, in terms of this door.

use http::{HeaderValue, Uri};

use super::Device;
use super::route::{self, Hop};

/// Rewrites a `Location` that names the device, or `localhost` as some do, to where the device is behind this door.
/// Others, and relative ones, stay as they are.
pub(super) fn rewrite(hop: &Hop, value: &HeaderValue) -> HeaderValue {
    let rewritten = value.to_str().ok().and_then(|location| below_prefix(hop, location));
    rewritten.and_then(|location| HeaderValue::from_str(&location).ok()).unwrap_or_else(|| value.clone())
}

fn below_prefix(hop: &Hop, location: &str) -> Option<String> {
    let device = &hop.device;
    let (reference, fragment) = match location.split_once('#') {
        Some((reference, fragment)) => (reference, format!("#{fragment}")),
        None => (location, String::new()),
    };
    let is_path = reference.starts_with('/') && !reference.starts_with("//");
    let target = if is_path { reference.to_owned() } else { on_device(device, reference)? };
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(route::without(query, &device.vendor.carriers().query))),
        None => (target.as_str(), None),
    };
    let query = query.filter(|query| !query.is_empty()).map(|query| format!("?{query}")).unwrap_or_default();
    let below = path.strip_prefix(device.url.path()).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let Some(rest) = below else {
        // What lies beside the base path is not behind this door.
        return Some(format!("{}{path}{query}{fragment}", device.origin()));
    };
    let before = match rest.as_bytes() {
        // Two slashes at the start would make a host of what follows (RFC 3986 section 4.2).
        [b'/', b'/' | b'\\', ..] if hop.is_own_site() => "/.",
        _ => hop.prefix.as_str(),
    };
    let after = if rest.is_empty() { "/" } else { "" };
    Some(format!("{before}{rest}{after}{query}{fragment}"))
}

/// Path and query of an absolute reference, if it is to the device or to what it calls `localhost`.
fn on_device(device: &Device, reference: &str) -> Option<String> {
    let scheme = if device.url.is_tls() { "https" } else { "http" };
    let absolute =
        if reference.starts_with("//") { format!("{scheme}:{reference}") } else { reference.to_owned() };
    let uri: Uri = absolute.parse().ok()?;
    let host = uri.authority()?.host().trim_matches(['[', ']']);
    // Another port may be another service; none is what a device says that knows nothing of its own.
    let is_device = host.eq_ignore_ascii_case(device.url.host())
        && uri.port_u16().is_none_or(|port| port == device.url.port());
    let is_itself = host.eq_ignore_ascii_case("localhost");
    (is_device || is_itself).then(|| uri.path_and_query().map_or("/", |target| target.as_str()).to_owned())
}
