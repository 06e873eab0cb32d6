//! Which device a request is for, byte for byte.

use std::borrow::Cow;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{Uri, request};
use percent_encoding::percent_decode;

use super::admit::{Admitted, Shown, Site};
use super::fault::{Fault, Kind, cut};
use super::{Device, House};
use crate::config::PathPattern;
use crate::fields::are_alike;

/// As often as this a path may be encoded; nobody needs more, and each round costs time.
const MAX_DECODED: usize = 4;

/// Where a request goes.
pub(super) enum Route {
    /// To a device.
    Hop(Hop),
    /// To the same address with a slash at its end.
    Slash {
        /// Whose address it is.
        device: Arc<Device>,
        /// Path and query.
        to: String,
    },
}

/// One request's way to its device.
pub(super) struct Hop {
    pub(super) device: Arc<Device>,
    /// Whether all of the door or the host name is the device's own.
    is_own_site: bool,
    /// How the caller's browser calls this door.
    pub(super) site: Site,
    /// What stands before the prefix there.
    pub(super) base: String,
    /// What the device is asked for: its base path and the caller's bytes.
    pub(super) target: Uri,
    read: Read,
}

/// A path as a device may read it: decoded, with backslashes for slashes, without parameters, empty segments and a slash
/// at the end.
enum Read {
    /// It is written so, but for slashes at its end.
    Plain,
    /// It reads so below the base path, and with the base path before it.
    Other { below: String, whole: String },
}

impl Hop {
    /// Whether a browser takes this device for a site of its own.
    pub(super) fn is_own_site(&self) -> bool {
        self.is_own_site
    }

    /// Where the device is behind this door: `/<name>`, or nothing where all of it is its own.
    pub(super) fn prefix(&self) -> &str {
        if self.is_own_site { "" } else { &self.device.prefix }
    }

    /// The path below the base path as a device may read it.
    pub(super) fn path(&self) -> &str {
        match &self.read {
            Read::Plain => trimmed(self.target.path().get(self.device.url.path().len()..).unwrap_or("/")),
            Read::Other { below, .. } => below,
        }
    }

    /// The same with the base path before it, which may be a part of the device's API or of a proxy before it.
    fn whole(&self) -> &str {
        match &self.read {
            Read::Plain if self.device.url.path().is_empty() => self.path(),
            Read::Plain => match self.path() {
                // A base path is asked for with its slash.
                "/" => self.target.path(),
                _ => trimmed(self.target.path()),
            },
            Read::Other { whole, .. } => whole,
        }
    }

    /// Whether the path falls under this pattern, wherever the device's API begins.
    pub(super) fn falls_under(&self, pattern: &PathPattern) -> bool {
        self.paths().chain(self.as_written()).any(|path| pattern.matches(path))
    }

    /// The same as it is written, where it can be read otherwise: to a device that takes a path apart before it decodes it,
    /// `a%2Fb` is one segment.
    fn as_written(&self) -> impl Iterator<Item = &str> {
        let whole = match &self.read {
            Read::Plain => None,
            Read::Other { .. } => Some(self.target.path()),
        };
        let base = self.device.url.path();
        let below = whole.filter(|_| !base.is_empty()).and_then(|whole| whole.get(base.len()..));
        whole.into_iter().chain(below)
    }

    /// The paths that this may be to the device.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        let whole = Some(self.whole()).filter(|_| !self.device.url.path().is_empty());
        std::iter::once(self.path()).chain(whole)
    }
}

/// Without slashes at its end, unless it is one.
fn trimmed(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => "/",
        path => path,
    }
}

/// Finds the device: the one whose own the door or the host name is, or the one whose name is the first segment.
pub(super) fn find(house: &House, asked: &request::Parts, admitted: &Admitted) -> Result<Route, Fault> {
    let path = asked.uri.path();
    let read = readable(path)?;
    let (device, rest) = match &admitted.own {
        Some(device) => (device, path),
        None => {
            let named = path.strip_prefix('/').unwrap_or(path);
            let (name, rest) = named.find('/').map_or((named, ""), |at| named.split_at(at));
            let device = house.devices.iter().find(|device| device.name == name);
            let device = device.ok_or_else(|| unknown(house, name, &admitted.shown))?;
            if rest.is_empty() {
                let query = asked.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
                return Ok(Route::Slash {
                    device: Arc::clone(device),
                    to: format!("{}/{name}/{query}", admitted.base),
                });
            }
            (device, rest)
        }
    };
    let is_own_site = admitted.own.is_some();
    let read = match read {
        None => Read::Plain,
        Some(read) => {
            let below = if is_own_site { Some(read.as_str()) } else { read.strip_prefix(&device.prefix) };
            let below = below.filter(|below| !below.is_empty()).unwrap_or("/").to_owned();
            Read::Other { whole: format!("{}{below}", device.url.path()), below }
        }
    };
    let target = target(device, rest, asked.uri.query()).map_err(|fault| fault.at(&device.name))?;
    let (device, site, base) = (Arc::clone(device), admitted.site, admitted.base.clone());
    Ok(Route::Hop(Hop { device, is_own_site, site, base, target, read }))
}

/// Nobody is told of devices that the key `shown` does not open.
fn unknown(house: &House, name: &str, shown: &Shown) -> Fault {
    if house.welcome.is_some() {
        let detail = format!(
            "there is no configuration yet, so no device `{}`: the page at / says how to write one",
            cut(name)
        );
        return Fault::new(Kind::UnknownDevice, detail);
    }
    let known = house.devices.iter().filter(|device| shown.opens(&device.name));
    let names: Vec<_> = known.map(|device| format!("/{}/", device.name)).collect();
    let known = match names.as_slice() {
        [] => String::new(),
        [only] => format!("; there is {only}"),
        names => format!("; there are {}", names.join(", ")),
    };
    Fault::new(Kind::UnknownDevice, format!("there is no device `{}` in proxy.toml{known}", cut(name)))
}

fn target(device: &Device, rest: &str, query: Option<&str>) -> Result<Uri, Fault> {
    let base = device.url.path();
    let mut target =
        String::with_capacity(base.len() + rest.len() + query.map_or(0, |query| query.len() + 1));
    target.push_str(base);
    target.push_str(rest);
    if let Some(query) = query {
        target.push('?');
        target.push_str(&without(query, &device.vendor.carriers().query));
    }
    PathAndQuery::try_from(target).map(Uri::from).map_err(|_| {
        Fault::new(Kind::BadPath, "this path holds characters that no path may; percent-encode them")
    })
}

/// The query without the parameters that carry a credential, however their names are encoded. All other bytes
/// stay as they are.
pub(super) fn without<'a>(query: &'a str, carriers: &[&str]) -> Cow<'a, str> {
    if carriers.is_empty() {
        return Cow::Borrowed(query);
    }
    let carries = |parameter: &str| {
        let name = parameter.split('=').next().unwrap_or_default().replace('+', " ");
        let name = percent_decode(name.as_bytes()).decode_utf8_lossy().into_owned();
        carriers.iter().any(|carrier| are_alike(name.trim(), carrier))
    };
    // Some servers split at semicolons too.
    let kept = query.split('&').filter(|parameter| !parameter.split(';').any(carries));
    Cow::Owned(kept.collect::<Vec<_>>().join("&"))
}

/// The path decoded until nothing is left to decode; nothing where it is written as it reads.
///
/// # Errors
/// [`Kind::BadPath`] when any reader could find a dot segment in it: decoded once or twice, with backslashes
/// for slashes, or with parameters cut off.
fn readable(path: &str) -> Result<Option<String>, Fault> {
    let is_odd = |byte: u8| matches!(byte, b'%' | b'\\' | b';') || !byte.is_ascii_graphic();
    let is_segment_odd = |pair: &[u8]| matches!(pair, [b'/', b'/' | b'.']);
    if path.starts_with('/') && !path.bytes().any(is_odd) && !path.as_bytes().windows(2).any(is_segment_odd) {
        return Ok(None);
    }
    let mut bytes = path.as_bytes().to_vec();
    for _ in 0..MAX_DECODED {
        check_segments(&bytes)?;
        let decoded: Vec<u8> = percent_decode(&bytes).collect();
        if decoded.len() == bytes.len() {
            let text = String::from_utf8_lossy(&bytes).replace('\\', "/");
            let bare = |segment: &'_ str| segment.split(';').next().unwrap_or_default().to_owned();
            let segments: Vec<_> = text.split('/').map(bare).filter(|segment| !segment.is_empty()).collect();
            return Ok(Some(format!("/{}", segments.join("/"))));
        }
        bytes = decoded;
    }
    Err(Fault::new(Kind::BadPath, "the path is percent-encoded over and over; write it plainly"))
}

fn check_segments(path: &[u8]) -> Result<(), Fault> {
    let refused = |why: &str| Err(Fault::new(Kind::BadPath, format!("the path {why}; write it without")));
    // C0 and C1 occur in no valid UTF-8; decoders that are too tolerant read C0 AE as a dot, C0 AF as a slash.
    let overlong = path.windows(2).any(|pair| matches!(pair, [0xE0, 0x80..=0x9F] | [0xF0, 0x80..=0x8F]));
    if overlong || path.iter().any(|byte| matches!(byte, 0 | 0xC0 | 0xC1)) {
        return refused("holds bytes that no path needs");
    }
    for segment in path.split(|byte| matches!(byte, b'/' | b'\\')) {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        if name == b"." || name == b".." {
            return refused("holds `.` or `..`, or what somebody reads as that");
        }
    }
    Ok(())
}
