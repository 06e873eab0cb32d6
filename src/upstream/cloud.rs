//! Vendors' clouds: public roots only, no redirect followed, no proxy taken from the environment.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, header};

use super::{Answer, Pin, Settings, Trouble, Upstream};
use crate::clock::Clock;
use crate::config::{BaseUrl, Trust};
use crate::disk::Folder;

/// For one whole exchange with a cloud.
const TIMEOUT: Duration = Duration::from_secs(30);
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("keyward/", env!("CARGO_PKG_VERSION")));

/// Asks one question and reads the whole answer, over a connection for that alone.
///
/// # Errors
/// Says which host did not answer and why; never the address's query or the body.
pub async fn ask(question: Request<Bytes>) -> Result<Answer, String> {
    let host = question.uri().host().unwrap_or("the cloud").to_owned();
    put(question).await.map_err(|trouble| {
        tracing::debug!(host, %trouble, "a cloud can't be asked");
        let what = match trouble {
            Trouble::ConnectTimeout(_) | Trouble::ResponseTimeout(_) => {
                "has not answered in time: is it down, or the internet slow here?"
            }
            Trouble::Garbled(_) => {
                "answers what can't be right: is there a page before the internet here that wants a login?"
            }
            Trouble::BrokeOff(_) => "broke off: is the internet unsteady here?",
            _ => "can't be reached: is there internet here, a name server, and the right time?",
        };
        format!("{host} {what}")
    })
}

async fn put(question: Request<Bytes>) -> Result<Answer, Trouble> {
    let (mut head, body) = question.into_parts();
    let address = head.uri.into_parts();
    let (scheme, authority) = address.scheme.zip(address.authority).unzip();
    let url = format!(
        "{}://{}",
        scheme.as_ref().map_or("", |scheme| scheme.as_str()),
        authority.as_ref().map_or("", |authority| authority.as_str())
    );
    let url: BaseUrl = url.parse().map_err(|_| Trouble::NameNotFound(format!("{url} is no address")))?;
    let settings = Settings {
        device: url.host().to_owned(),
        url,
        trust: Trust::Public,
        connect_timeout: TIMEOUT,
        timeout: TIMEOUT,
        idle_timeout: TIMEOUT,
        max_connections: 1,
        keeps_connections: false,
        clock: Clock::system(),
        max_waiting: 0,
        max_streams: 0,
        min_interval: Duration::ZERO,
        path_interval: Duration::ZERO,
    };
    // Where roots decide nothing is pinned.
    let no_pin = Arc::new(Pin::new(Arc::new(Folder::new("", "")), "", settings.clock));
    let cloud = Upstream::new(settings, no_pin, None).map_err(Trouble::NameNotFound)?;
    head.uri = cloud.locate(address.path_and_query.as_ref().map_or("/", |path| path.as_str()))?;
    head.headers.entry(header::USER_AGENT).or_insert(USER_AGENT);
    head.headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    cloud.ask(Request::from_parts(head, body)).await
}
