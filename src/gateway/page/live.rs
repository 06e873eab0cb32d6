//! The page's stream: what has changed on it, a second after it has at the latest.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::header::{self, HeaderValue};
use http::{Method, StatusCode};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{Sight, may_accept};
use crate::gateway::admit::{Admitted, Arrival};
use crate::gateway::{Gateway, House};

/// How often it is looked whether something has changed.
const LOOK: Duration = Duration::from_secs(1);
/// Whoever passes streams on may end those that are silent for longer.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// After so long a browser asks again when a stream has ended.
const RETRY: Duration = Duration::from_secs(1);

/// How many streams are open.
#[derive(Clone, Default)]
pub(in crate::gateway) struct Streams(Arc<AtomicUsize>);

impl Streams {
    /// A place for one more, where no more than `most` are taken.
    fn place(&self, most: usize) -> Option<Place> {
        let taken = |open: usize| (open < most).then_some(open + 1);
        let was = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
        was.ok().map(|_| Place(Arc::clone(&self.0)))
    }
}

/// The place of one stream, until it is dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers with a stream of what changes. It ends with the door by which it came, and when the configuration changes:
/// whoever asks again is let in again, or is not.
pub(in crate::gateway) async fn live(
    State(gateway): State<Arc<Gateway>>,
    Extension(streams): Extension<Streams>,
    Extension(arrival): Extension<Arrival>,
    Extension(admitted): Extension<Admitted>,
    method: Method,
) -> Response {
    let house = gateway.house.load_full();
    let Some(place) = streams.place(house.pages) else {
        let wait = [(header::RETRY_AFTER, "10")];
        return (StatusCode::SERVICE_UNAVAILABLE, wait, "as many pages are open as are kept up to date\n")
            .into_response();
    };
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let page = Page {
        gateway,
        house,
        may_accept: may_accept(&admitted),
        looks,
        sent: HashMap::new(),
        _place: place,
    };
    let ending = arrival.peer.ending.clone();
    let changes = stream::unfold(page, Page::change).take_until(ending.cancelled_owned());
    let mut response = match method {
        Method::HEAD => Sse::new(stream::empty::<Result<Event, Infallible>>()).into_response(),
        _ => Sse::new(changes).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response(),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A page that somebody has open.
struct Page {
    gateway: Arc<Gateway>,
    house: Arc<House>,
    may_accept: bool,
    looks: Interval,
    /// What it shows, part by part.
    sent: HashMap<String, String>,
    _place: Place,
}

impl Page {
    /// Waits until something is no longer what it was.
    async fn change(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            self.looks.tick().await;
            if !Arc::ptr_eq(&self.house, &self.gateway.house.load()) {
                return None;
            }
            let sight = Sight::of(&self.house, self.may_accept, self.gateway.clock.now());
            // The page may have been loaded before the configuration changed: at first it gets all devices as one.
            let is_first = self.sent.is_empty();
            let whole = is_first.then(|| ("devices".to_owned(), sight.main().into_string()));
            let parts = sight.parts().into_iter().filter(|(id, html)| self.sent.get(id) != Some(html));
            let changed: Vec<_> = parts.collect();
            if changed.is_empty() {
                continue;
            }
            let told: Vec<_> = match &whole {
                Some(whole) => {
                    let above = changed.iter().filter(|(id, _)| !id.starts_with("device-"));
                    above.chain(std::iter::once(whole)).collect()
                }
                None => changed.iter().collect(),
            };
            let event = Event::default().retry(RETRY).json_data(&told).unwrap_or_default();
            self.sent.extend(changed);
            return Some((Ok(event), self));
        }
    }
}
