//! How often requests were answered, by method and status.

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

/// The answers of one device so far.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    total: u64,
    /// Methods and statuses are few, and looked up for every request.
    counters: Vec<((&'static str, u16), Counter)>,
}

impl Answers {
    /// Counts one more; `counter` is asked for that of a method and status which come for the first time.
    pub(super) fn count(
        &self,
        method: &http::Method,
        status: u16,
        counter: impl FnOnce(&'static str) -> Counter,
    ) {
        let answer = (known(method), status);
        let mut counted = self.0.lock();
        counted.total += 1;
        let (_, counter) = match counted.counters.iter_mut().find(|(known, _)| *known == answer) {
            Some(known) => known,
            None => counted.counters.push_mut((answer, counter(answer.0))),
        };
        counter.inc();
    }

    /// How many there were.
    pub(super) fn total(&self) -> u64 {
        self.0.lock().total
    }
}

/// Callers may send any method; the figures don't grow with them.
fn known(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
