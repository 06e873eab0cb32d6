//! `keyward health`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Exit, load};
use crate::config::{Address, Environment};

/// A container's health check has no time to lose.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn health(named: Option<PathBuf>, environment: Environment) -> Result<(), Exit> {
    // A file that was broken while the server runs says nothing about the server.
    let address = match environment.listen() {
        Some(address) => address,
        None => load(named.as_deref(), &environment)?.listen,
    };
    let asked = timeout(PATIENCE, ask(&address)).await;
    let outcome = asked.unwrap_or_else(|_| Err(anyhow!("no answer within {PATIENCE:?}")));
    Ok(outcome.with_context(|| format!("keyward at {address} does not serve"))?)
}

async fn ask(address: &Address) -> anyhow::Result<()> {
    // The address of every interface is none to connect to.
    let host = match address.host.as_str() {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    let stream = TcpStream::connect((host, address.port)).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/healthz").header(header::HOST, "localhost").body(Empty::<Bytes>::new())?;
    let status = sender.send_request(request).await?.status();
    if status.is_success() { Ok(()) } else { Err(anyhow!("it answers {status}")) }
}
