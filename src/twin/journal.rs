//! What arrived at a twin.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use axum::body::Body;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::serve::Connection;

/// How many arrivals are remembered.
const KEPT: usize = 10_000;

/// One request as it arrived.
///
/// Whether a secret is in it is for tests to find, so neither its target nor its headers show in `Debug`.
#[derive(Clone)]
pub struct Arrival {
    /// Its method.
    pub method: Method,
    /// Its target, as it stood in the request line.
    pub target: String,
    /// Its header fields.
    pub headers: HeaderMap,
    /// How much of its body was read so far.
    pub body_length: u64,
    /// What it was answered with; 0 while it is not.
    pub status: u16,
    /// The connection that it came on, counted from 1 on each port.
    pub connection: u64,
}

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{} {path} -> {} on {}", self.method, self.status, self.connection)
    }
}

/// The arrivals of one twin, in order; the oldest go when there are too many.
#[derive(Default)]
pub struct Journal {
    kept: Mutex<VecDeque<Entry>>,
    total: watch::Sender<usize>,
}

impl Journal {
    /// What arrived and is still remembered.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.kept.lock().iter().map(Entry::arrival).collect()
    }

    /// How many requests ever arrived.
    pub fn total(&self) -> usize {
        *self.total.borrow()
    }

    /// Waits until so many requests have arrived, counted from the beginning.
    pub async fn reaches(&self, total: usize) {
        // The sender lives in `self`, so this can't fail.
        let _ = self.total.subscribe().wait_for(|now| *now >= total).await;
    }

    pub(crate) fn enter(&self, head: &Parts) -> Progress {
        let progress = Progress::default();
        let entry = Entry {
            method: head.method.clone(),
            target: target(head).to_owned(),
            headers: head.headers.clone(),
            connection: head.extensions.get::<Connection>().map_or(0, Connection::number),
            progress: progress.clone(),
        };
        {
            let mut kept = self.kept.lock();
            if kept.len() >= KEPT {
                kept.pop_front();
            }
            kept.push_back(entry);
        }
        self.total.send_modify(|total| *total = total.saturating_add(1));
        progress
    }
}

/// The path and query as they stood in the request line.
pub(crate) fn target(head: &Parts) -> &str {
    head.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str)
}

struct Entry {
    method: Method,
    target: String,
    headers: HeaderMap,
    connection: u64,
    progress: Progress,
}

impl Entry {
    fn arrival(&self) -> Arrival {
        Arrival {
            method: self.method.clone(),
            target: self.target.clone(),
            headers: self.headers.clone(),
            body_length: self.progress.0.body_length.load(Ordering::Acquire),
            status: self.progress.0.status.load(Ordering::Acquire),
            connection: self.connection,
        }
    }
}

/// What becomes of an arrival after its head.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<Reached>);

#[derive(Default)]
struct Reached {
    status: AtomicU16,
    body_length: AtomicU64,
}

impl Progress {
    /// The same body; what is read of it is counted.
    pub(crate) fn count(&self, body: Body) -> Body {
        let reached = Arc::clone(&self.0);
        Body::new(body.map_frame(move |frame| {
            if let Some(data) = frame.data_ref() {
                let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
                reached.body_length.fetch_add(length, Ordering::AcqRel);
            }
            frame
        }))
    }

    pub(crate) fn answered(&self, status: StatusCode) {
        self.0.status.store(status.as_u16(), Ordering::Release);
    }
}
