//! Who listens where keyward wants to.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use http::header::{self, HeaderName};
use http::{Method, StatusCode};
use tokio::time::timeout;

use super::Exit;
use super::health::send;
use crate::config::{Address, Location};
use crate::gateway::front::METHODS;
use crate::server::StartError;

/// Somebody waits for the answer, and it comes from this machine. Where the port is taken the process is to end within a
/// second, its start included.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why the server does not start. Where its port is taken: whether another keyward has it, and `how` this one gets
/// another, given that.
pub(super) async fn told(error: StartError, how: impl FnOnce(&Location, &Address) -> String) -> Exit {
    match &error {
        StartError::Listen { at, address, source } if source.kind() == ErrorKind::AddrInUse => {
            let Ok(taken) = address.parse::<Address>() else { return error.into() };
            let is_ours = is_at(&taken).await;
            let who =
                if is_ours { "a keyward listens there already" } else { "another program listens there" };
            let how = how(at, &next(&taken));
            Exit::Usage(format!(
                "{at}: {address} can't be listened on: {who}; end it, or choose another port: {how}"
            ))
        }
        _ => error.into(),
    }
}

/// Whether a keyward listens at this address.
pub(super) async fn is_at(address: &Address) -> bool {
    timeout(PATIENCE, is_keyward(address)).await.unwrap_or(false)
}

/// Whether two paths lead to one file, which need not be there any more.
pub(super) fn is_same_file(one: &Path, other: &Path) -> bool {
    let real = |file: &Path| file.canonicalize().or_else(|_| std::path::absolute(file)).ok();
    real(one) == real(other)
}

/// The address beside this one.
pub(super) fn next(address: &Address) -> Address {
    Address { port: address.port.checked_add(1).unwrap_or(8480), ..address.clone() }
}

/// Whether a keyward answers there. What all of a server can do it says itself, at every door, and no device hears of it.
async fn is_keyward(address: &Address) -> bool {
    let Ok(answer) = send(address, Method::OPTIONS, "*").await else { return false };
    let says = |name: HeaderName, words: &str| {
        answer.headers().get(name).is_some_and(|value| value.as_bytes().starts_with(words.as_bytes()))
    };
    // Who asks for a key says so in its own words.
    let is_refused = says(HeaderName::from_static("proxy-status"), "keyward;");
    is_refused || (answer.status() == StatusCode::NO_CONTENT && says(header::ALLOW, METHODS))
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_listens_and_says_nothing_leaves_time_to_start_and_to_end_within_a_second() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap().to_string().parse().unwrap();
        let asked = Instant::now();
        assert!(!is_at(&address).await);
        assert!(asked.elapsed() <= Duration::from_millis(700), "{:?}", asked.elapsed());
    }
}
