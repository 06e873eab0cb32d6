//! A vendor's view of the outside while it logs in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri, header};

use super::{Refusal, Session};
use crate::clock::Timestamp;
use crate::config::SecretSource;
use crate::secret::Secret;
use crate::upstream::cloud::Cloud;
use crate::upstream::{Answer, Upstream};

/// What a vendor may use while it logs in, renews, verifies or logs out.
pub struct Visit<'a> {
    /// The way to the device.
    pub device: &'a Arc<Upstream>,
    /// The way to clouds.
    pub cloud: &'a Cloud,
    /// What time it is.
    pub now: Timestamp,
    /// The session that the device refused last, if that is why there is a visit.
    pub refused: Option<&'a Session>,
    /// How long the device may take for one answer.
    pub within: Duration,
    /// For what is signed during the visit and counted among the requests.
    pub count: &'a dyn Count,
}

/// How often what a device counts was used.
pub trait Count: Send + Sync {
    /// The next number of what is [counted by](super::Vendor::counted_by) this. Nobody else gets it.
    fn next(&self, name: &str) -> u64;
}

impl Visit<'_> {
    /// Asks the device, over connections with that device's trust. The path goes below its base path.
    ///
    /// # Errors
    /// [`Refusal::Unreachable`].
    pub async fn device(&self, question: Request<Bytes>) -> Result<Answer, Refusal> {
        let (mut head, body) = question.into_parts();
        head.uri = self.device.locate(&head.uri.to_string())?;
        Ok(self.device.ask(Request::from_parts(head, body), self.within).await?)
    }

    /// Asks the device for one of the make's own paths, with the stamps of a session.
    ///
    /// # Errors
    /// [`Refusal::Unreachable`], or a stamp that can't stand in a request.
    pub async fn ask(&self, path: &'static str, held: &Session) -> Result<Answer, Refusal> {
        let (mut head, body) = Request::new(Bytes::new()).into_parts();
        head.uri = Uri::from_static(path);
        held.stamp(&mut head)?;
        self.device(Request::from_parts(head, body)).await
    }

    /// Asks a cloud, which has to show a certificate that chains to a public root.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] where it does not answer. What its answers mean only the make can tell.
    pub async fn cloud(&self, question: Request<Bytes>) -> Result<Answer, Refusal> {
        self.cloud.ask(question).await.map_err(|detail| Refusal::Unavailable { detail, retry_after: None })
    }

    /// Reads a secret where the configuration says it is, as it is now.
    ///
    /// # Errors
    /// [`Refusal::Odd`], since it may be there again in a moment: files are swapped when they change.
    pub async fn secret(&self, source: &SecretSource) -> Result<Secret, Refusal> {
        let source = source.clone();
        // A disk may keep who reads from it waiting, but not who serves.
        let read = tokio::task::spawn_blocking(move || source.read()).await;
        read.map_err(|error| Refusal::Odd(error.to_string()))?
            .map_err(|error| Refusal::Odd(error.to_string()))
    }
}

/// What a device says of itself, if it is no more than a name or number: it is shown to a person as it is.
pub(super) fn plain(told: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    ((1..=32).contains(&told.len()) && told.bytes().all(is_plain)).then(|| told.to_owned())
}

/// The clock of whoever answers, where it shows it.
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let value = headers.get(header::DATE)?.to_str().ok()?;
    httpdate::parse_http_date(value).ok().map(Timestamp::from)
}

/// A refusal for an answer of a device that no one has described. Where it says that it is too busy, and when to come
/// back (RFC 6585 section 4, RFC 9110 section 15.6.4), it is left alone until then.
pub(super) fn odd(answer: &Answer, now: Timestamp, detail: String) -> Refusal {
    let is_busy = matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    match retry_after(answer.headers(), now).filter(|_| is_busy) {
        wait @ Some(_) => Refusal::Unavailable { detail, retry_after: wait },
        None => Refusal::Odd(detail),
    }
}

/// `Retry-After` in either form (RFC 9110 section 10.2.3).
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(Timestamp::from(httpdate::parse_http_date(value).ok()?).since(now)),
    }
}
