//! What the page says of one device, read at one moment.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::gateway::condition::{Condition, condition};
use crate::gateway::{Device, permit};
use crate::metrics::LastFault;
use crate::upstream::Certificate;

/// One device as it is now.
pub(super) struct View {
    pub(super) name: String,
    pub(super) vendor: &'static str,
    pub(super) url: String,
    /// Names of its own.
    pub(super) hosts: Vec<String>,
    /// Whether a browser that follows a link to its prefix gets an answer of it.
    pub(super) opens: bool,
    pub(super) how: Condition,
    pub(super) session: Session,
    /// Nothing where it does not use TLS.
    pub(super) certificate: Option<Shown>,
    /// The certificate that it shows instead of the pinned one, for a person to accept.
    pub(super) offered: Option<Shown>,
    pub(super) last_fault: Option<LastFault>,
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) logins: u64,
    /// Requests that memory answered, and those that it did not.
    pub(super) recalls: (u64, u64),
    /// How long its last answers took, the oldest first.
    pub(super) latencies: Vec<Duration>,
}

/// What is known of its session.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// Whether the device is asked without a credential.
    pub(super) is_needless: bool,
    /// Whether it is a credential of the configuration, which does not end.
    pub(super) is_fixed: bool,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) renewed_at: Option<Timestamp>,
}

/// A certificate as a person compares it.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) sha256: String,
    pub(super) subject: String,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) pinned_at: Option<Timestamp>,
    /// When it took over from its predecessor by itself.
    pub(super) taken_over_at: Option<Timestamp>,
}

impl From<&Certificate> for Shown {
    fn from(certificate: &Certificate) -> Self {
        Self {
            sha256: certificate.fingerprint(),
            subject: certificate.subject.clone(),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            pinned_at: None,
            taken_over_at: None,
        }
    }
}

impl View {
    /// Reads what is known. No device is asked for it.
    pub(super) fn of(device: &Device) -> Self {
        let (figures, upstream) = (&device.figures, &device.upstream);
        let snapshot = device.keeper.snapshot();
        let pinned = upstream.pinned().map(|pinned| Shown {
            pinned_at: Some(pinned.pinned_at),
            taken_over_at: pinned.taken_over_at,
            ..Shown::from(&pinned.certificate)
        });
        let (requests, errors, logins) = figures.totals();
        Self {
            name: device.name.clone(),
            vendor: device.make.name,
            url: device.url.to_string(),
            hosts: device.hosts.clone(),
            opens: permit::opens_by_link(device),
            how: condition(device),
            session: Session {
                is_needless: device.vendor.account().proofs.is_empty(),
                is_fixed: snapshot.is_fixed,
                expires_at: snapshot.expires_at,
                renewed_at: snapshot.renewed_at,
            },
            certificate: pinned.or_else(|| upstream.certificate().as_ref().map(Shown::from)),
            offered: upstream.refused().as_ref().map(Shown::from),
            last_fault: figures.last_fault(),
            requests,
            errors,
            logins,
            recalls: figures.recalls(),
            latencies: figures.latencies(),
        }
    }
}
