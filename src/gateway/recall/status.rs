//! How an answer came about, for the caller (RFC 9211).

use http::header::HeaderValue;

use super::question::Question;
use super::stored::Found;

/// Why the device was asked, by the words of RFC 9211 section 2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Why {
    /// Memory has nothing to do with this.
    Bypass,
    /// Nor with this method.
    Method,
    /// The caller wanted it so.
    Request,
    /// What is remembered is too old.
    Stale,
    /// What is remembered was for another kind of request.
    Vary,
    /// Nothing is remembered.
    Missing,
}

impl Why {
    fn word(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Vary => "vary-miss",
            Self::Missing => "uri-miss",
        }
    }

    /// What it is counted as.
    pub(super) fn result(self) -> &'static str {
        match self {
            Self::Bypass | Self::Method | Self::Request => "bypass",
            Self::Stale | Self::Vary | Self::Missing => "miss",
        }
    }
}

impl Found {
    /// Why what was found does not do.
    pub(super) fn why(&self, question: &Question, keeps: bool) -> Why {
        match self {
            _ if !keeps => Why::Bypass,
            _ if !question.shares => Why::Request,
            Self::Stale(_) => Why::Stale,
            Self::Other => Why::Vary,
            Self::Fresh(_) | Self::Nothing => Why::Missing,
        }
    }
}

/// How an answer came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Status {
    /// From memory.
    Hit {
        /// For how many seconds it is good; less than none where it stands in.
        ttl: i64,
        /// The fault that it stands in for.
        fault: Option<&'static str>,
        /// How many seconds ago the device said it.
        age: u64,
    },
    /// From the device.
    Forwarded { why: Why, is_stored: bool, is_collapsed: bool },
}

impl Status {
    pub(super) fn forwarded(why: Why) -> Self {
        Self::Forwarded { why, is_stored: false, is_collapsed: false }
    }

    /// `Cache-Status` of this.
    pub(in crate::gateway) fn header(&self) -> Option<HeaderValue> {
        let text = match self {
            Self::Hit { ttl, fault: None, .. } => format!("keyward; hit; ttl={ttl}"),
            Self::Hit { ttl, fault: Some(fault), .. } => {
                format!("keyward; hit; ttl={ttl}; detail=\"stale: {fault}\"")
            }
            Self::Forwarded { why, is_stored, is_collapsed } => {
                let stored = if *is_stored { "; stored" } else { "" };
                let collapsed = if *is_collapsed { "; collapsed" } else { "" };
                format!("keyward; fwd={}{stored}{collapsed}", why.word())
            }
        };
        HeaderValue::from_str(&text).ok()
    }

    /// `Age`, in seconds.
    pub(in crate::gateway) fn age(&self) -> Option<u64> {
        match self {
            Self::Hit { age, .. } => Some(*age),
            Self::Forwarded { .. } => None,
        }
    }
}
