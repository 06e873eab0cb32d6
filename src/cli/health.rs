//! `keyward health`: asks the running server and not its file, which may be another by now.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Exit;
use super::beside::look;
use super::neighbour::is_same_file;
use crate::config::{self, Address, Environment, Whereabouts, place_of_new, whereabouts};
use crate::server::control;
use crate::server::operate::{Instruction, Outcome};

/// A container's health check has no time to lose.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn health(named: Option<PathBuf>, environment: Environment) -> Result<(), Exit> {
    // Pins and sessions, which it may miss, are nothing to it.
    let (environment, _) = look(named.as_deref(), environment).await;
    let Whereabouts { state, listen } = whereabouts(named.as_deref(), &environment);
    let unusable = config::unusable(named.as_deref(), &environment);
    let found = config::find(named.as_deref(), &environment).ok().flatten();
    let file = found.unwrap_or_else(|| place_of_new(named.as_deref(), &environment));
    let asked = timeout(PATIENCE, async {
        let running = match control::ask(&state, &Instruction::Listening).await {
            Ok(Some(Outcome::Listening { address, file: read })) => {
                // What became of the file of a server that runs says nothing of that.
                let is_asked_for = unusable.is_none() || is_same_file(Path::new(&read), &file);
                is_asked_for.then(|| address.parse().ok()).flatten()
            }
            _ => None,
        };
        // Whoever is at the usual address may be anyone's. Where the environment says which it is, and nobody which
        // file, a spoilt one is nothing that a container would be well without.
        if running.is_none()
            && (named.is_some() || environment.listen().is_none())
            && let Some(why) = unusable
        {
            return Err(Exit::Usage(why));
        }
        // Where the state folder can't be written there is no socket to ask at.
        let address = running.unwrap_or(listen);
        Ok(ask(&address).await.with_context(|| format!("keyward at {address} does not serve"))?)
    });
    let told =
        || anyhow!("keyward with the state folder {} does not answer within {PATIENCE:?}", state.display());
    asked.await.unwrap_or_else(|_| Err(told().into()))
}

async fn ask(address: &Address) -> anyhow::Result<()> {
    let status = send(address, Method::GET, "/healthz").await?.status();
    if status.is_success() { Ok(()) } else { Err(anyhow!("it answers {status}")) }
}

/// What is answered at this address of this machine.
pub(super) async fn send(
    address: &Address,
    method: Method,
    target: &'static str,
) -> anyhow::Result<Response<Incoming>> {
    // The address of every interface is none to connect to.
    let host = match address.host.as_str() {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    if address.port == 0 {
        return Err(anyhow!("its port is known to itself alone, and none runs with this state folder"));
    }
    let stream = TcpStream::connect((host, address.port)).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(target).header(header::HOST, "localhost");
    let request = request.body(Empty::<Bytes>::new())?;
    Ok(sender.send_request(request).await?)
}
