//! What need not be asked again: one fetch for all who ask the same at the same time, answers from memory for as long
//! as the configuration says, and for a while longer while the device fails.
//!
//! It stands before a session is taken: who is answered from memory needs none. What it shares and keeps is what the
//! device said, and each caller gets that as if the device had said it to them alone.

mod board;
mod body;
mod flights;
mod keeping;
mod landing;
mod question;
mod recording;
mod semantics;
mod source;
mod status;
mod stored;
mod writes;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::{timeout, timeout_at};

use super::Fetch;
use super::fault::{Fault, Kind};
use super::reply::Reply;
use crate::clock::Clock;
use crate::config::Cache;
use crate::metrics::DeviceFigures;
use board::{Flights, Place, Waits};
use flights::{Course, Departure, Flight, Landed, Shared};
use keeping::Keeping;
use landing::{Got, ask};
pub(super) use question::{Question, question};
use recording::Settled;
use semantics::is_shareable;
pub(super) use source::Source;
pub(super) use status::Status;
use status::Why;
use stored::{Found, Store, Stored};
use writes::Writes;
pub(super) use writes::Writing;

/// Answers up to this many bytes are shared and remembered.
const MOST: usize = 1024 * 1024;

/// An answer that nobody waits for and that does not end within this may be a stream.
const SEEN_THROUGH: Duration = Duration::from_secs(60);

/// How answers of a device are kept.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// How long they may be given from memory.
    pub cache: Cache,
    /// How long after that they may stand in while the device fails.
    pub stale_if_error: Duration,
    /// After how long without an answer a device counts as failing, where one can stand in.
    pub stale_after: Duration,
}

impl Rules {
    fn store(&self) -> Option<Store> {
        (self.cache.is_on() || !self.stale_if_error.is_zero()).then(Store::new)
    }

    /// Whether others keep the same for as long.
    fn keep_as(&self, others: &Self) -> bool {
        self.cache == others.cache && self.stale_if_error == others.stale_if_error
    }
}

/// What is under way to one device, and what is remembered of its answers.
pub struct Recall {
    rules: Rules,
    clock: Clock,
    figures: Arc<DeviceFigures>,
    flights: Flights,
    /// Nothing where nothing is to be remembered.
    store: Option<Store>,
    writes: Arc<Writes>,
}

/// The status and headers of a device's answer. No `Debug`: it may hand out a session.
pub(super) struct Told {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

/// An answer, and how it came about where that is told.
pub(super) struct Answered {
    pub(super) reply: Reply,
    pub(super) status: Option<Status>,
}

impl Recall {
    /// Nothing is remembered yet.
    pub fn new(rules: Rules, clock: Clock, figures: Arc<DeviceFigures>) -> Arc<Self> {
        let (flights, store) = (Flights::default(), rules.store());
        Arc::new(Self { rules, clock, figures, flights, store, writes: Arc::default() })
    }

    /// Goes on from here where the device is set otherwise: what is forgotten by one of the two is by the other, since what
    /// is asked for by the one may change the device for the other. What is remembered stays if `is_same` device is
    /// asked for the same account, and by the same rules, so that nothing serves for longer than these allow.
    pub fn succeeded(&self, rules: Rules, is_same: bool) -> Arc<Self> {
        let stays = is_same && self.rules.keep_as(&rules);
        if !stays {
            self.figures.forgot();
        }
        let store = if stays { self.store.clone() } else { rules.store() };
        let (figures, writes) = (Arc::clone(&self.figures), Arc::clone(&self.writes));
        Arc::new(Self { rules, clock: self.clock, figures, flights: Flights::default(), store, writes })
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// How an answer came about with which memory has nothing to do.
    pub(super) fn bypassed(&self, is_get: bool) -> Option<Status> {
        let why = if is_get { Why::Bypass } else { Why::Method };
        self.store.as_ref().map(|_| {
            self.figures.recalled(why.result());
            Status::forwarded(why)
        })
    }

    /// Answers from memory, with what somebody else is asking for right now, or by asking.
    ///
    /// # Errors
    /// Why the device did not answer, where nothing may stand in.
    pub(super) async fn answer(
        self: &Arc<Self>,
        question: Question,
        fetch: &Fetch<'_>,
    ) -> Result<Answered, Fault> {
        let found = self.find(&question, &fetch.call.trip);
        if let Found::Fresh(stored) = &found {
            return Ok(self.remembered(stored, None));
        }
        let why = found.why(&question, self.keeps(&question));
        let may_stand_in = |stored: &Arc<Stored>| stored.may_stand_in(self.clock.instant());
        let former = found.former().filter(may_stand_in);
        let waits: Waits = former.is_some().then(Arc::default);
        let mut flight = self.board(question, found, fetch, waits);
        let got = match &former {
            None => ask(&mut flight, fetch, false).await,
            Some(stored) => {
                let slow_at = flight.begun + self.rules.stale_after;
                let waits = flight.waits.clone();
                let mut asking = pin!(ask(&mut flight, fetch, true));
                match timeout_at(slow_at, &mut asking).await {
                    Ok(got) => got,
                    Err(_) if may_stand_in(stored) => Err(late(&waits)),
                    Err(_) => asking.await,
                }
            }
        };
        match got {
            Ok(Got { reply, is_stored, is_collapsed }) => {
                self.count(if is_collapsed { "collapsed" } else { why.result() });
                let status = self.store.as_ref().map(|_| Status::Forwarded { why, is_stored, is_collapsed });
                Ok(Answered { reply, status })
            }
            Err(fault) => match former.filter(may_stand_in).filter(|_| fault.kind.is_failure()) {
                Some(stored) => {
                    let answered = self.remembered(&stored, Some(&fault));
                    self.see_through(flight);
                    Ok(answered)
                }
                None => Err(fault),
            },
        }
    }

    /// What is remembered, in the place of what the device would say or, in this fault, does not.
    fn remembered(&self, stored: &Arc<Stored>, fault: Option<&Fault>) -> Answered {
        let now = self.clock.instant();
        // That we have too much to ask at once says nothing of the device.
        if let Some(fault) = fault.filter(|fault| fault.kind.is_of_device()) {
            self.figures.stood_in(fault.kind.name(), &fault.detail);
        }
        self.count(if fault.is_some() { "stale" } else { "hit" });
        let (fault, age) = (fault.map(|fault| fault.kind.name()), stored.age(now).as_secs());
        let reply = Reply::Shared(Arc::clone(&stored.told), Source::from(stored.body.clone()));
        Answered { reply, status: Some(Status::Hit { ttl: stored.ttl(now), fault, age }) }
    }

    fn count(&self, result: &'static str) {
        if self.store.is_some() || result == "collapsed" {
            self.figures.recalled(result);
        }
    }

    /// Joins the fetch under way, or begins one.
    fn board(
        self: &Arc<Self>,
        question: Question,
        found: Found,
        fetch: &Fetch<'_>,
        waits: Waits,
    ) -> Flight<'_> {
        let number = match question.shares {
            true => match self.flights.join(fetch.call, self.writes.epoch(), &waits) {
                Place::Joined { number, begun, waits, course } => {
                    let number = Some(number);
                    return Flight { recall: self, begun, is_first: false, waits, course, number };
                }
                Place::First(number) => Some(number),
            },
            false => None,
        };
        let departure = Departure { call: fetch.call.again(waits.clone()), number };
        let keeping = Keeping::of(departure, question, found);
        let gateway = Arc::clone(fetch.gateway);
        // On the heap, since it may outlive its caller; and made there, since it is large, and all of it would be moved.
        let flying = Box::write(Box::new_uninit(), async move {
            let reply = gateway.carry(keeping.call()).await;
            keeping.landed(reply)
        });
        let course = Course::Driven(Box::into_pin(flying));
        Flight { recall: self, begun: fetch.call.begun, is_first: true, waits, course, number }
    }

    /// A fetch that its caller no longer waits for goes on, so that memory has its answer.
    fn see_through(&self, flight: Flight<'_>) {
        let Some(mut course) = flight.see_through() else { return };
        let figures = Arc::clone(&self.figures);
        tokio::spawn(async move {
            match course.landed().await {
                Landed::Shared(Shared::Failed(fault)) if fault.kind.is_of_device() => {
                    figures.stood_in(fault.kind.name(), &fault.detail);
                }
                Landed::Shared(Shared::Recorded(recording)) => {
                    if let Ok(Settled::Whole(..)) = timeout(SEEN_THROUGH, recording.settled()).await {
                        figures.fine();
                    }
                }
                Landed::Alone(_) | Landed::Shared(_) => {}
            }
        });
    }
}

/// There is no answer yet. While its turn has not come, that says nothing of the device.
fn late(waits: &Waits) -> Fault {
    match waits.as_ref().is_some_and(|waits| waits.load(Ordering::Relaxed)) {
        true => Fault::new(Kind::DeviceBusy, BUSY),
        false => Fault::new(Kind::DeviceTimeout, SLOW),
    }
}

const BUSY: &str = "the turn of this request has not come yet (`max_connections`, `min_interval`); what the device said before stands in \
     meanwhile";
const SLOW: &str = "the device is slow to answer; what it said before stands in meanwhile";
