//! What is counted of one device.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::answers::Answers;
use super::latencies::Latencies;
use super::{CacheLabels, DeviceLabels, FaultLabels, LoginLabels, Metrics, RequestLabels};
use crate::clock::{Clock, Timestamp};

/// How the last exchange with a device ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Last {
    /// None since the start.
    #[default]
    Unknown,
    /// Well.
    Fine,
    /// In this fault.
    Fault {
        /// Its name.
        fault: &'static str,
        /// What happened and what to do.
        detail: String,
    },
}

/// The last fault of any request for a device, the callers' own among them, or of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastFault {
    /// Its name.
    pub fault: &'static str,
    /// What happened and what to do.
    pub detail: String,
    /// When.
    pub at: Timestamp,
}

/// What is counted of one device.
#[derive(Debug)]
pub struct DeviceFigures {
    name: String,
    all: Arc<Metrics>,
    in_flight: Gauge,
    durations: Histogram,
    device_durations: Histogram,
    answers: Answers,
    errors: AtomicU64,
    logins: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    /// Whether an answer from before stood in for the last one.
    stale: AtomicBool,
    last: Mutex<Last>,
    /// Whether that is [`Last::Fine`], for every answer to look at: nearly each finds it so.
    is_fine: AtomicBool,
    last_fault: Mutex<Option<LastFault>>,
    latencies: Latencies,
    clock: Clock,
}

impl DeviceFigures {
    pub(super) fn new(name: &str, all: Arc<Metrics>, clock: Clock) -> Self {
        let labels = DeviceLabels { device: name.to_owned() };
        Self {
            in_flight: all.in_flight.get_or_create_owned(&labels),
            durations: all.durations.get_or_create_owned(&labels),
            device_durations: all.device_durations.get_or_create_owned(&labels),
            name: name.to_owned(),
            all,
            answers: Answers::default(),
            errors: AtomicU64::new(0),
            logins: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            stale: AtomicBool::new(false),
            last: Mutex::default(),
            is_fine: AtomicBool::new(false),
            last_fault: Mutex::default(),
            latencies: Latencies::default(),
            clock,
        }
    }

    /// A request begins to wait for its answer, until what this returns is dropped.
    pub fn begun(&self) -> Waiting<'_> {
        self.in_flight.inc();
        Waiting(&self.in_flight)
    }

    /// A request was answered.
    pub fn answered(&self, method: &http::Method, status: u16, took: Duration) {
        self.answers.count(method, status, |method| {
            let labels = RequestLabels { device: self.name.clone(), method, code: status };
            self.all.requests.get_or_create_owned(&labels)
        });
        self.durations.observe(took.as_secs_f64());
    }

    /// The device has answered, however it did.
    pub fn exchanged(&self, took: Duration) {
        self.device_durations.observe(took.as_secs_f64());
        self.latencies.note(took);
    }

    /// How long the device took for its last answers, the oldest first.
    pub fn latencies(&self) -> Vec<Duration> {
        self.latencies.all()
    }

    /// The device has answered as one that works.
    pub fn fine(&self) {
        self.stale.store(false, Ordering::Relaxed);
        if !self.is_fine.load(Ordering::Relaxed) {
            self.set_last(Last::Fine);
        }
    }

    /// Memory had something to say to a request: `hit`, `stale`, `collapsed`, `miss` or `bypass`.
    pub fn recalled(&self, result: &'static str) {
        match result {
            "hit" | "stale" => drop(self.hits.fetch_add(1, Ordering::Relaxed)),
            "miss" => drop(self.misses.fetch_add(1, Ordering::Relaxed)),
            _ => {}
        }
        self.all.recalls.get_or_create(&CacheLabels { device: self.name.clone(), result }).inc();
    }

    /// An answer from before stood in for this fault.
    pub fn stood_in(&self, fault: &'static str, detail: &str) {
        self.stale.store(true, Ordering::Relaxed);
        self.note_fault(fault, detail);
        // Callers are not told, so the log is: once, however many they are.
        if !matches!(self.last(), Last::Fault { fault: known, .. } if known == fault) {
            tracing::warn!(device = self.name, fault, "answered from memory meanwhile: {detail}");
        }
        self.set_last(Last::Fault { fault, detail: detail.to_owned() });
    }

    /// What was remembered has been let go of: nothing can stand in.
    pub fn forgot(&self) {
        self.stale.store(false, Ordering::Relaxed);
    }

    /// Whether callers get answers from before, since the device fails.
    pub fn is_stood_in_for(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// How many requests memory answered, and how many it did not.
    pub fn recalls(&self) -> (u64, u64) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    /// A request ended in a fault. `of_device`: it says something about the device and not about the caller.
    pub fn fault(&self, fault: &'static str, detail: &str, of_device: bool) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        self.all.faults.get_or_create(&FaultLabels { device: self.name.clone(), fault }).inc();
        self.failed(fault, detail, of_device);
    }

    /// A visit ended in a fault that no request had asked for: it says how the device is, and counts among no requests.
    pub fn failed(&self, fault: &'static str, detail: &str, of_device: bool) {
        self.note_fault(fault, detail);
        if of_device {
            self.stale.store(false, Ordering::Relaxed);
            self.set_last(Last::Fault { fault, detail: detail.to_owned() });
        }
    }

    /// A login or renewal ended.
    pub fn login(&self, fine: bool) {
        self.logins.fetch_add(1, Ordering::Relaxed);
        let outcome = if fine { "success" } else { "failure" };
        self.all.logins.get_or_create(&LoginLabels { device: self.name.clone(), outcome }).inc();
    }

    /// A request went out once more with a renewed session.
    pub fn replayed(&self) {
        self.all.replays.get_or_create(&self.labels()).inc();
    }

    /// When the session in force ends.
    pub fn session_ends(&self, end: Option<Timestamp>) {
        self.note_time(&self.all.session_ends, end);
    }

    /// When a re-issued certificate took over from the one pinned before.
    pub fn taken_over(&self, at: Option<Timestamp>) {
        self.note_time(&self.all.taken_over, at);
    }

    fn note_time(&self, times: &Family<DeviceLabels, Gauge>, time: Option<Timestamp>) {
        match time {
            Some(time) => drop(times.get_or_create(&self.labels()).set(time.as_seconds())),
            None => drop(times.remove(&self.labels())),
        }
    }

    /// Says how this device is in the place of another that had its name, if that is another.
    pub fn succeed(&self, former: &Self) {
        if std::ptr::eq(self, former) {
            return;
        }
        let last = self.last.lock();
        match &*last {
            Last::Unknown => {
                self.all.up.remove(&self.labels());
            }
            known => self.show(known),
        }
    }

    /// How the last exchange ended.
    pub fn last(&self) -> Last {
        self.last.lock().clone()
    }

    /// The last fault of any request or check, and when it was.
    pub fn last_fault(&self) -> Option<LastFault> {
        self.last_fault.lock().clone()
    }

    fn note_fault(&self, fault: &'static str, detail: &str) {
        let noted = LastFault { fault, detail: detail.to_owned(), at: self.clock.now() };
        *self.last_fault.lock() = Some(noted);
    }

    /// Requests, errors and logins so far.
    pub fn totals(&self) -> (u64, u64, u64) {
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        (self.answers.total(), read(&self.errors), read(&self.logins))
    }

    fn set_last(&self, last: Last) {
        let mut held = self.last.lock();
        if *held != last {
            if matches!((&*held, &last), (Last::Fault { .. }, Last::Fine)) {
                tracing::info!(device = self.name, "answers again");
            }
            self.show(&last);
            self.is_fine.store(last == Last::Fine, Ordering::Relaxed);
            *held = last;
        }
    }

    /// Whoever holds [`last`](Self::last) calls this: what is shown is then what is held.
    fn show(&self, last: &Last) {
        self.all.up.get_or_create(&self.labels()).set(i64::from(*last == Last::Fine));
    }

    fn labels(&self) -> DeviceLabels {
        DeviceLabels { device: self.name.clone() }
    }
}

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Waiting<'a>(&'a Gauge);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
