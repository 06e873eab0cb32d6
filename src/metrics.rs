//! What is counted, for `/metrics` and for the list of devices.

mod answers;
mod device;
mod latencies;
mod process;

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

pub use device::{DeviceFigures, Last, LastFault};

use crate::clock::{Clock, Timestamp};

/// Upper bounds of the duration buckets, in seconds: from a kept connection's answer to an embedded gateway's.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    device: String,
    method: &'static str,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LoginLabels {
    device: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeviceLabels {
    device: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    device: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabels {
    device: String,
    fault: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

/// A count that is kept where it happens, of the process and not of one server.
pub type Source = Box<dyn Fn() -> u64 + Send + Sync>;

type Durations = Family<DeviceLabels, Histogram, fn() -> Histogram>;

/// Every figure of the process.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    logins: Family<LoginLabels, Counter>,
    faults: Family<FaultLabels, Counter>,
    replays: Family<DeviceLabels, Counter>,
    recalls: Family<CacheLabels, Counter>,
    durations: Durations,
    device_durations: Durations,
    in_flight: Family<DeviceLabels, Gauge>,
    up: Family<DeviceLabels, Gauge>,
    session_ends: Family<DeviceLabels, Gauge>,
    taken_over: Family<DeviceLabels, Gauge>,
    connections: Gauge,
    reloaded: Gauge,
    reload_ok: Gauge,
    panics: Counter,
    dropped_lines: Counter,
    /// What the two before follow.
    followed: OnceLock<[Source; 2]>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        let mut registry = Registry::with_prefix("keyward");
        let requests = Family::default();
        registry.register("requests", "Requests answered, by device, method and status", requests.clone());
        let faults = Family::default();
        registry.register("faults", "Answers of keyward's own instead of the device's", faults.clone());
        let logins = Family::default();
        registry.register("logins", "Logins and renewals", logins.clone());
        let replays = Family::default();
        registry.register("replays", "Requests sent again with a renewed session", replays.clone());
        let recalls = Family::default();
        let help = "How memory served: hit, stale, collapsed (with another's fetch), miss or bypass";
        registry.register("cache_requests", help, recalls.clone());
        let durations = Family::new_with_constructor(histogram);
        let help = "From the request's head to the response's";
        registry.register_with_unit("request_duration", help, Unit::Seconds, durations.clone());
        let device_durations = Family::new_with_constructor(histogram);
        let help = "The device's share of that: from sending to the response's head";
        registry.register_with_unit("device_duration", help, Unit::Seconds, device_durations.clone());
        let in_flight = Family::default();
        registry.register("requests_in_flight", "Requests that wait for their answer", in_flight.clone());
        let up = Family::default();
        registry.register("device_up", "Whether the last exchange with the device was fine", up.clone());
        let session_ends = Family::default();
        let help = "When the session ends, in seconds since 1970";
        registry.register("session_expires_timestamp_seconds", help, session_ends.clone());
        let taken_over = Family::default();
        let help = "When a re-issued certificate took over by itself, in seconds since 1970";
        registry.register("certificate_taken_over_timestamp_seconds", help, taken_over.clone());
        let connections = Gauge::default();
        registry.register("connections", "Open connections of callers", connections.clone());
        let reloaded = Gauge::default();
        let help = "When the configuration was last read without an error, in seconds since 1970";
        registry.register("config_last_reload_success_timestamp_seconds", help, reloaded.clone());
        let reload_ok = Gauge::default();
        registry.register(
            "config_last_reload_successful",
            "Whether the configuration was read without an error the last time",
            reload_ok.clone(),
        );
        let panics = Counter::default();
        registry.register("panics", "Errors of keyward's own that ended a request or a task", panics.clone());
        let dropped_lines = Counter::default();
        let help = "Lines of the log that nobody read in time or that could not be written";
        registry.register("log_lines_dropped", help, dropped_lines.clone());
        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("build_info", "The version that runs", build);
        Self {
            registry,
            requests,
            logins,
            faults,
            replays,
            recalls,
            durations,
            device_durations,
            in_flight,
            up,
            session_ends,
            taken_over,
            connections,
            reloaded,
            reload_ok,
            panics,
            dropped_lines,
            followed: OnceLock::new(),
        }
    }

    /// The figures of one device; what goes wrong with it does so by this clock.
    pub fn device(self: &Arc<Self>, name: &str, clock: Clock) -> Arc<DeviceFigures> {
        Arc::new(DeviceFigures::new(name, Arc::clone(self), clock))
    }

    /// A device is no longer configured.
    pub fn forget(&self, name: &str) {
        let labels = DeviceLabels { device: name.to_owned() };
        self.in_flight.remove(&labels);
        self.up.remove(&labels);
        self.session_ends.remove(&labels);
        self.taken_over.remove(&labels);
    }

    /// A caller's connection was opened (`1`) or closed (`-1`).
    pub fn connection(&self, change: i64) {
        self.connections.inc_by(change);
    }

    /// The configuration was read.
    pub fn reloaded(&self, fine: bool, now: Timestamp) {
        self.reload_ok.set(i64::from(fine));
        if fine {
            self.reloaded.set(now.as_seconds());
        }
    }

    /// From now on these are the counts of panics and of lines dropped from the log.
    pub fn follow(&self, panics: Source, dropped_lines: Source) {
        // They are of the process, so the first to come are those of the last too.
        drop(self.followed.set([panics, dropped_lines]));
    }

    /// Everything, in the text format of Prometheus.
    ///
    /// # Errors
    /// When a figure can't be written, which the format has no case for.
    pub fn text(&self) -> Result<String, fmt::Error> {
        for (counter, source) in
            [&self.panics, &self.dropped_lines].into_iter().zip(self.followed.get().into_iter().flatten())
        {
            counter.inner().store(source(), Ordering::Relaxed);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(as_prometheus(&text) + &process::text())
    }
}

/// The library writes OpenMetrics, which few ask for. Prometheus' own format differs in that a counter's family
/// is named like its samples, and that it has neither units nor an end.
fn as_prometheus(text: &str) -> String {
    let counters: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut plain = String::with_capacity(text.len());
    for line in text.lines().filter(|line| !line.starts_with("# UNIT ") && *line != "# EOF") {
        let family = line.strip_prefix("# ").and_then(|rest| rest.split(' ').nth(1));
        match family.filter(|family| counters.contains(family)) {
            Some(family) => plain.push_str(&line.replacen(family, &format!("{family}_total"), 1)),
            None => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain
}
