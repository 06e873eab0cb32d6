//! Path prefixes whose GET does something, matched so that no spelling of a path gets around them.

use std::borrow::Cow;
use std::str::FromStr;

use percent_encoding::percent_decode;

use super::Malformed;

/// A prefix of paths: `/api/cmd` stands for itself and all below it, `*` for anything within one segment.
///
/// Prefixes end where segments end: `/api/cmd` is not `/api/cmdline`, which `/api/cmd*` is. A path counts as
/// matched when *any* reading of it matches that a device may have: with percent-encoding undone (twice over,
/// too), empty segments dropped, dot segments kept or resolved, `\` taken for `/` or not, parameters after `;`
/// ignored. Letter case counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(Vec<Vec<u8>>);

impl PathPattern {
    /// The pattern of a text that is known to be one.
    pub(super) fn of(text: &str) -> Self {
        let plain = decoded(text.as_bytes());
        Self(segments(&plain).map(<[u8]>::to_vec).collect())
    }

    /// Whether a request for `path` (without its query) falls under this pattern.
    pub fn matches(&self, path: &str) -> bool {
        let mut form = Cow::Borrowed(path.as_bytes());
        // A device that decodes a path again after its web server did is common enough; more often is not.
        for _ in 0..3 {
            let between_slashes = form.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty());
            if self.covers(segments(&form))
                || self.covers(between_slashes)
                || self.covers(resolved(&form).into_iter())
            {
                return true;
            }
            let plain = decoded(&form);
            if plain == *form {
                break;
            }
            form = Cow::Owned(plain);
        }
        false
    }

    /// Of two patterns that match the same path, the one with more of this says more about it.
    pub(super) fn precision(&self) -> (usize, usize) {
        let signs = self.0.iter().flatten().filter(|byte| **byte != b'*');
        (self.0.len(), signs.count())
    }

    fn covers<'a>(&self, mut path: impl Iterator<Item = &'a [u8]>) -> bool {
        self.0.iter().all(|pattern| {
            path.next().is_some_and(|segment| fits(pattern, segment) || fits(pattern, bare(segment)))
        })
    }
}

impl FromStr for PathPattern {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if !text.starts_with('/') {
            return Err(Malformed("a path prefix begins with `/`, such as \"/api/cmd\""));
        }
        if text.contains(['?', '#']) {
            return Err(Malformed("a path prefix has no query and no fragment"));
        }
        if text.contains("**") {
            return Err(Malformed("`*` stands for one segment; a prefix covers all below it without `**`"));
        }
        if climbs(text) {
            return Err(Malformed("a path prefix has no `.` or `..`; write the path they lead to"));
        }
        Ok(Self::of(text))
    }
}

/// `text` with percent-encoding undone.
fn decoded(text: &[u8]) -> Vec<u8> {
    percent_decode(text).collect()
}

/// Whether a path, however spelled, has a segment that leads elsewhere: `.` or `..`.
pub(super) fn climbs(path: &str) -> bool {
    segments(&decoded(path.as_bytes())).any(|segment| matches!(bare(segment), b"." | b".."))
}

fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| b"/\\".contains(byte)).filter(|segment| !segment.is_empty())
}

/// The segments after dot segments have done their work.
fn resolved(path: &[u8]) -> Vec<&[u8]> {
    let mut kept = Vec::new();
    for segment in segments(path) {
        match bare(segment) {
            b"." => {}
            b".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    kept
}

/// A segment without what servers cut off before they look for a handler.
fn bare(segment: &[u8]) -> &[u8] {
    let end = segment.iter().position(|byte| b";?#\0".contains(byte)).unwrap_or(segment.len());
    segment.get(..end).unwrap_or(segment).trim_ascii()
}

/// Whether `text` is what `pattern` says, `*` being any run of bytes. No backtracking: the caller chose
/// `text`.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let mut pieces = pattern.split(|byte| *byte == b'*');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        let found = rest.windows(piece.len()).position(|window| window == piece);
        let Some(after) = found.and_then(|at| rest.get(at + piece.len()..)) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}
