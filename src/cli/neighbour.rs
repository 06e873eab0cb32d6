//! Who listens where keyward wants to.

use std::io::ErrorKind;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use tokio::time::timeout;

use super::Exit;
use super::health::get;
use crate::config::Address;
use crate::server::StartError;

/// Somebody waits for the answer, and it comes from this machine.
const PATIENCE: Duration = Duration::from_secs(1);
/// How what keyward says of its devices begins, and how much of it is read.
const DEVICES: &[u8] = b"{\"devices\":[";
const LONGEST: usize = 1024 * 1024;

/// Why the server does not start. Where its port is taken: whether another keyward has it, and `how` this one gets
/// another, given that.
pub(super) async fn told(error: StartError, how: impl FnOnce(&Address) -> String) -> Exit {
    match &error {
        StartError::Listen { at, address, source } if source.kind() == ErrorKind::AddrInUse => {
            let Ok(taken) = address.parse::<Address>() else { return error.into() };
            let is_ours = timeout(PATIENCE, is_keyward(&taken)).await.unwrap_or(false);
            let who =
                if is_ours { "a keyward listens there already" } else { "another program listens there" };
            let next = Address { port: taken.port.checked_add(1).unwrap_or(8480), ..taken };
            let how = how(&next);
            Exit::Usage(format!(
                "{at}: {address} can't be listened on: {who}; end it, or choose another port: {how}"
            ))
        }
        _ => error.into(),
    }
}

/// Whether a keyward answers there: with its devices, or in its own words that it does not say.
async fn is_keyward(address: &Address) -> bool {
    let Ok(answer) = get(address, "/-/devices").await else { return false };
    let status = answer.headers().get("proxy-status").map(|status| status.as_bytes().to_owned());
    if status.is_some_and(|status| status.starts_with(b"keyward;")) {
        return true;
    }
    let body = Limited::new(answer.into_body(), LONGEST).collect().await;
    body.is_ok_and(|body| body.to_bytes().starts_with(DEVICES))
}
