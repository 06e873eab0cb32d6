//! Vendors' clouds: public roots only, no redirect followed, no proxy taken from the environment.

use std::error::Error;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use rustls::ClientConfig;

use super::{Answer, MAX_ANSWER, tls};

/// For one whole exchange with a cloud.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client for vendors' clouds. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Cloud(reqwest::Client);

impl Cloud {
    /// A client that trusts the public roots and nothing else.
    ///
    /// # Errors
    /// When the TLS library refuses its own settings.
    pub fn new() -> Result<Self, String> {
        let tls = ClientConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(tls::public_roots())
            .with_no_client_auth();
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .timeout(TIMEOUT)
            .user_agent(concat!("keyward/", env!("CARGO_PKG_VERSION")))
            .build()
            .map(Self)
            .map_err(|error| error.to_string())
    }

    /// Asks one question and reads the whole answer.
    ///
    /// # Errors
    /// Says which host did not answer and why; never the address's query or the body.
    pub async fn ask(&self, question: Request<Bytes>) -> Result<Answer, String> {
        let host = question.uri().host().unwrap_or("the cloud").to_owned();
        let trouble = |error: reqwest::Error| {
            let error = error.without_url();
            tracing::debug!(host, cause = innermost(&error), "a cloud can't be reached");
            let what = match (error.is_timeout(), error.is_connect()) {
                (true, _) => "has not answered in time: is it down, or the internet slow here?",
                (_, true) => "can't be reached: is there internet here, a name server, and the right time?",
                _ => "broke off: is the internet unsteady here?",
            };
            format!("{host} {what}")
        };
        let request = reqwest::Request::try_from(question).map_err(trouble)?;
        let mut response = self.0.execute(request).await.map_err(trouble)?;
        let mut head = Response::builder().status(response.status());
        if let Some(headers) = head.headers_mut() {
            *headers = std::mem::take(response.headers_mut());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(trouble)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(format!("the answer of {host} is too large to be right"));
            }
            body.extend_from_slice(&chunk);
        }
        head.body(body.freeze()).map_err(|error| error.to_string())
    }
}

/// The last cause of an error: what it wraps is told by whoever asked.
fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
