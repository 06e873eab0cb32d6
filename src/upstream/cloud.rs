//! Vendors' clouds: public roots only, no redirect followed, no proxy taken from the environment.

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use rustls::ClientConfig;

use super::{Answer, MAX_ANSWER, tls};

/// For one whole exchange with a cloud.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client for vendors' clouds, made when it is first used: most devices have no cloud, and those that have one need it
/// a few times a year. Cloning it is cheap.
#[derive(Clone, Debug, Default)]
pub struct Cloud(Arc<OnceLock<Result<reqwest::Client, String>>>);

impl Cloud {
    /// Trusts the public roots and nothing else.
    fn client(&self) -> Result<&reqwest::Client, String> {
        self.0.get_or_init(client).as_ref().map_err(Clone::clone)
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
        let mut response = self.client()?.execute(request).await.map_err(trouble)?;
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

fn client() -> Result<reqwest::Client, String> {
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
        .map_err(|error| error.to_string())
}

/// The last cause of an error: what it wraps is told by whoever asked.
fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
