//! Simulated devices, one per make: what `keyward demo` shows and what the tests log into.
//!
//! A twin is state and face apart. The state knows accounts, live sessions and what arrived; the face is an
//! [`axum::Router`] that [`serve()`] puts on a port, with or without TLS. A twin *enforces* what the real device
//! does: an unknown token is refused, a nonce serves once, a seat too many is turned away. Every face also has the
//! routes below `/twin/`, behind the make's own authentication, so that one contract can run over all makes.

mod answer;
pub mod certificate;
pub mod cloud;
mod common;
mod desk;
pub mod digest;
pub mod egauge;
pub mod enlighted;
pub mod enphase;
mod face;
mod gate;
pub mod generic;
mod journal;
mod readings;
pub mod serve;
mod token;
pub mod yombo;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use axum::Router;

use crate::secret::Secret;

pub use certificate::{Authority, Certificate};
pub use common::noise;
pub use journal::{Arrival, Journal};
pub use serve::{Served, serve};

/// One simulated device: state apart from face.
pub trait Twin: Send + Sync + 'static {
    /// The name that `vendor` has in the configuration.
    fn vendor(&self) -> &'static str;

    /// The device's HTTP face. Any number of faces may share the state.
    fn face(self: Arc<Self>) -> Router;

    /// The lines below `[devices.<name>]` that let keyward in: the vendor's keys, but neither `url` nor `vendor`.
    fn stanza(&self) -> String;

    /// A path that answers 200 to who is logged in, as JSON where `Accept` names JSON.
    fn sample(&self) -> &'static str;

    /// A path whose GET is a matter of rights: refused however good the session. `None`: the make has none.
    fn forbidden(&self) -> Option<&'static str> {
        None
    }

    /// A path that takes POST and PUT and answers with the body's length and SHA-256 as JSON.
    fn upload(&self) -> &'static str {
        "/twin/upload"
    }

    /// Every live session reaches its end; a new login brings a new one.
    fn lapse(&self);

    /// The device restarts: what it only kept in memory is gone.
    fn reboot(&self);

    /// The credentials are changed at the device: what was right is wrong now, and sessions made of it end.
    fn lock_out(&self);

    /// The credentials are what they were. Sessions that ended stay ended.
    fn readmit(&self);

    /// How often somebody tried to log in; 0 for a credential that is fixed.
    fn logins(&self) -> usize;

    /// Whether this make's session can lapse and be renewed; not so for a fixed credential.
    fn renewable(&self) -> bool;

    /// Every secret that exists: the account's, and what was handed out so far.
    fn secrets(&self) -> Vec<Secret>;

    /// What arrived, and a way to wait for it.
    fn journal(&self) -> &Journal;

    /// What arrived, in order.
    fn arrivals(&self) -> Vec<Arrival> {
        self.journal().arrivals()
    }
}

/// One twin for every vendor name, each with settings of its own default.
///
/// # Errors
/// When no port is free for the cloud that the Enphase gateway's token comes from.
pub async fn every() -> io::Result<Vec<Arc<dyn Twin>>> {
    use generic::{Generic, Scheme};
    Ok(vec![
        egauge::Egauge::new(egauge::EgaugeSettings::default()),
        enlighted::Enlighted::new(enlighted::EnlightedSettings::default()),
        yombo::Yombo::new(yombo::YomboSettings::default()),
        enphase::Enphase::with_cloud(enphase::EnphaseSettings::default(), cloud::CloudSettings::default())
            .await?,
        Generic::new(Scheme::Bearer),
        Generic::new(Scheme::Basic),
        Generic::new(Scheme::Header),
        Generic::new(Scheme::Query),
        digest::Digest::new(digest::DigestSettings::default()),
        Generic::new(Scheme::Open),
    ])
}

/// A line of TOML. JSON's escapes are a subset of what a TOML basic string may hold.
fn line(key: &str, value: &str) -> String {
    format!("{key} = {}\n", serde_json::Value::from(value))
}
