//! Where a device sends its callers, in terms of this door.

use http::{HeaderValue, Uri};

use super::Device;

/// Rewrites a `Location` that names the device, or `localhost` as some do, to the device's prefix. Others, and
/// relative ones, stay as they are.
pub(super) fn rewrite(device: &Device, value: &HeaderValue) -> HeaderValue {
    let rewritten = value.to_str().ok().and_then(|location| below_prefix(device, location));
    rewritten.and_then(|location| HeaderValue::from_str(&location).ok()).unwrap_or_else(|| value.clone())
}

fn below_prefix(device: &Device, location: &str) -> Option<String> {
    let path = if location.starts_with('/') && !location.starts_with("//") {
        location.to_owned()
    } else {
        let (reference, fragment) = match location.split_once('#') {
            Some((reference, fragment)) => (reference, format!("#{fragment}")),
            None => (location, String::new()),
        };
        let absolute =
            if reference.starts_with("//") { format!("http:{reference}") } else { reference.to_owned() };
        let uri: Uri = absolute.parse().ok()?;
        let host = uri.authority()?.host().trim_matches(['[', ']']);
        let is_device = host.eq_ignore_ascii_case(device.url.host());
        if !is_device && !host.eq_ignore_ascii_case("localhost") {
            return None;
        }
        format!("{}{fragment}", uri.path_and_query().map_or("/", |target| target.as_str()))
    };
    let base = device.url.path();
    // What lies beside the base path can't be reached through this door.
    let rest = path.strip_prefix(base).filter(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))?;
    let slash = if rest.starts_with('/') { "" } else { "/" };
    Some(format!("/{}{slash}{rest}", device.name))
}
