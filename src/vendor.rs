//! What keyward knows of each make of device: how it lets somebody in, and what its answers mean.
//!
//! A vendor file says *how*; the [keeper](crate::keeper) says *when*. So there is no lock, task, sleep, clock,
//! environment or file in here, and a make is one file and one row of [`MAKES`].

mod basic;
mod bearer;
mod digest;
mod egauge;
mod enlighted;
mod enphase;
mod fixed;
#[cfg(fuzzing)]
pub(crate) mod fuzzed;
mod header;
mod key;
mod open;
mod query;
mod registry;
mod session;
#[cfg(test)]
mod tests;
mod visit;
mod yombo;

use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, Method, request, response};

pub use key::{Key, Kind, Need, Traces};
pub use registry::{Driver, MAKES, Make, Registry};
pub use session::{Session, Stamp, cookie_name};
pub use visit::{Count, Visit, retry_after};

use crate::clock::Timestamp;
use crate::config::SecretSource;
use crate::upstream::{Answer, Introduction, Trouble};

/// What one make of device obliges keyward to.
#[async_trait]
pub trait Vendor: Send + Sync + 'static {
    /// Whose session it is and what proves it, so that what was saved for one is not used for another.
    fn account(&self) -> Account<'_>;

    /// Under which names this make takes a credential, beside `Authorization` and `Cookie`: what a caller sends
    /// under them is dropped.
    fn carriers(&self) -> Carriers<'_> {
        Carriers::default()
    }

    /// Proves who we are. Called when there is no session, one call at a time.
    ///
    /// # Errors
    /// The variant of [`Refusal`] decides what the keeper does next.
    async fn login(&self, visit: &Visit<'_>) -> Result<Session, Refusal>;

    /// Trades an old session for a new one otherwise than by a login; `None`: this make has no such trade.
    ///
    /// # Errors
    /// As [`login`](Self::login). No login follows: where one could still help, `None` asks for it.
    async fn renew(&self, visit: &Visit<'_>, old: &Session) -> Result<Option<Session>, Refusal> {
        let _ = (visit, old);
        Ok(None)
    }

    /// Dresses one request, whose URI is the very target that goes out. On an error the head is as it was.
    ///
    /// # Errors
    /// When a credential can't be written into a header.
    fn sign(&self, held: &Session, moment: Moment<'_>, head: &mut request::Parts) -> Result<(), Refusal> {
        let _ = moment;
        held.stamp(head)
    }

    /// What the device counts requests by, where it does. The count goes on with every session that has the same.
    fn counted_by(&self, held: &Session) -> Option<String> {
        let _ = held;
        None
    }

    /// What a response says about the session.
    fn judge(&self, held: &Session, asked: &Asked<'_>, answered: &response::Parts) -> Verdict;

    /// Whether an answer that passed is one that nobody gets without the right credential.
    fn proves(&self, held: &Session, asked: &Asked<'_>, answered: &response::Parts) -> bool {
        let _ = (held, asked);
        answered.status.is_success()
    }

    /// After [`Verdict::Doubt`], asks the device: [`Verdict::Pass`], the session is good, so it was a matter of
    /// rights; [`Verdict::Expired`], it is void; [`Verdict::Rotated`], good again with what was handed out;
    /// [`Verdict::Refused`], the device does not say, so that only what it let in before tells the two apart.
    ///
    /// # Errors
    /// As [`login`](Self::login).
    async fn verify(&self, visit: &Visit<'_>, held: &Session) -> Result<Verdict, Refusal> {
        let _ = (visit, held);
        Ok(Verdict::Expired)
    }

    /// Answers the make's own login endpoints for callers that insist on them.
    fn answer(&self, asked: &Asked<'_>, now: &dyn Fn() -> Timestamp) -> Option<Answer> {
        let _ = (asked, now);
        None
    }

    /// What a peer is asked before it gets a credential, where the make can tell one device from another.
    fn introduction(&self) -> Option<Introduction> {
        None
    }

    /// Least time between two requests for the same path, where the make takes a second one for a replay.
    fn path_interval(&self) -> Duration {
        Duration::ZERO
    }

    /// A path and query that answers 200 to a good session, for `keyward check`.
    fn probe(&self) -> &'static str {
        "/"
    }

    /// What a device says of itself that a person knows it by, each with what it is: its serial number, its firmware.
    /// Asked with a good session; what the device does not say is left out.
    async fn describe(&self, visit: &Visit<'_>, held: &Session) -> Vec<(&'static str, String)> {
        let _ = (visit, held);
        Vec::new()
    }

    /// Ends the session at the device. Says whether it is over now.
    async fn logout(&self, visit: &Visit<'_>, held: &Session) -> bool {
        let _ = (visit, held);
        false
    }
}

/// What a caller asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path below the base path as a device may read it: percent-decoded, without empty segments and
    /// without a slash at the end.
    pub path: &'a str,
    /// The caller's headers.
    pub headers: &'a HeaderMap,
    /// What is known of the credential that it was sent with.
    pub standing: Standing,
}

/// What is known of a credential when an answer is judged, so that a refusal says as much as it can.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// Whether it has ever been accepted.
    pub is_proven: bool,
    /// Whether no other request was [counted](Vendor::counted_by) with this one.
    pub is_first: bool,
    /// Whether this request answers a [challenge](Verdict::Challenged) of its own.
    pub is_answer: bool,
}

/// What is particular to one request among those of a session.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// Counts from 1 the requests that are [counted together](Vendor::counted_by), else those of this session that ask for
    /// this; one that was rotated counts anew.
    pub nth: &'a dyn Fn() -> u64,
    /// The device's time as far as it is known; later than that of every earlier request. Few makes ask for either.
    pub time: &'a dyn Fn() -> Timestamp,
}

/// Whose session it is, and what proves it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Account<'a> {
    /// Names, serial numbers: another of these is another session.
    pub who: Vec<&'a str>,
    /// Names that are needed to get a session and that it is not bound to: another of these is worth another try.
    pub asks_as: Option<&'a str>,
    /// Whether a session is good wherever the device is: it says who it is before it gets one.
    pub roams: bool,
    /// Passwords, keys, tokens: others of these are worth another try.
    pub proofs: Vec<&'a SecretSource>,
}

/// Names under which a make takes a credential.
#[derive(Debug, Default)]
pub struct Carriers<'a> {
    /// Of headers, in lower case.
    pub headers: Vec<&'a str>,
    /// Of query parameters.
    pub query: Vec<&'a str>,
    /// Of cookies, where a device is a site of its own; elsewhere none pass.
    pub cookies: Cookies<'a>,
}

/// Cookies in which a make takes a session.
#[derive(Debug)]
pub enum Cookies<'a> {
    /// Those of these names.
    Named(&'a [&'a str]),
    /// Any may be.
    Every,
}

impl Default for Cookies<'_> {
    fn default() -> Self {
        Self::Named(&[])
    }
}

impl Cookies<'_> {
    /// Whether one of this name may carry a session.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Named(names) => names.iter().any(|known| known.eq_ignore_ascii_case(name)),
            Self::Every => true,
        }
    }
}

/// What a response says about the session.
#[derive(Debug)]
pub enum Verdict {
    /// Nothing that matters.
    Pass,
    /// It is void.
    Expired,
    /// It may be void, or it may be a matter of rights.
    Doubt,
    /// It is good, and this is what it looks like from now on.
    Rotated(Session),
    /// The device answers with what it wants proven, and this proves it: the same request goes out once more.
    Challenged(Session),
    /// A credential that can't be renewed is refused.
    Refused(String),
    /// The device has not finished starting.
    Starting(String),
    /// The device wants the same request once more, signed anew.
    Again {
        /// The device's clock, where the answer shows it.
        clock: Option<Timestamp>,
        /// How long to wait before.
        wait: Duration,
        /// What it means when it is refused again.
        busy: String,
    },
}

/// Why there is no new session. The variant decides what the keeper does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The device can't be reached: rest for seconds.
    #[error("{0}")]
    Unreachable(Trouble),
    /// A cloud can't be reached, or it or the device is too busy: rest for seconds, or as long as it says.
    #[error("{detail}")]
    Unavailable {
        /// What happened.
        detail: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The credentials are wrong: trying them again would only lock the account.
    #[error("{0}")]
    Rejected(String),
    /// A person must act: a second factor, a blocked account.
    #[error("{0}")]
    Person(String),
    /// The session in use lasts as long as any that is to be had: rest for a day, unless that one is refused.
    #[error("{0}")]
    Enough(String),
    /// An answer that no one has described: rest for seconds.
    #[error("{0}")]
    Odd(String),
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        Self::Unreachable(trouble)
    }
}
