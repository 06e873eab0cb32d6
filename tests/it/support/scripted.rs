//! A device that answers with whatever bytes a test has for it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// What is done about each request, counted from 0 over all connections.
type Script = dyn Fn(usize) -> Act + Send + Sync;

/// What is done about one request.
pub(crate) enum Act {
    /// These bytes, and the next request.
    Answer(Vec<u8>),
    /// These bytes, and the end of the connection.
    Last(Vec<u8>),
    /// Nothing, for ever.
    Hang,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// The connection, counted from 0.
    pub(crate) connection: usize,
    pub(crate) head: String,
}

/// A device without TLS and without manners. It ends when this is dropped.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    heard: watch::Receiver<Vec<Heard>>,
    _accepting: AbortOnDropHandle<()>,
}

impl Scripted {
    /// A device that does `script` about each request, counted from 0 over all connections.
    pub(crate) async fn new(script: impl Fn(usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (note, heard) = watch::channel(Vec::new());
        let (note, script): (_, Arc<Script>) = (Arc::new(note), Arc::new(script));
        let accepting = tokio::spawn(async move {
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else { break };
                tokio::spawn(converse(stream, connection, Arc::clone(&note), Arc::clone(&script)));
            }
        });
        Self { address, heard, _accepting: AbortOnDropHandle::new(accepting) }
    }

    /// A device that answers every request with these bytes and closes.
    pub(crate) async fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::new(move |_| Act::Last(bytes.clone())).await
    }

    /// Its table in proxy.toml, with more lines of its own.
    pub(crate) fn table(&self, name: &str, more: &str) -> String {
        format!("[devices.{name}]\nvendor = \"open\"\nurl = \"http://{}\"\n{more}\n", self.address)
    }

    /// Every request that has arrived.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.borrow().clone()
    }
}

async fn converse(
    mut stream: TcpStream,
    connection: usize,
    note: Arc<watch::Sender<Vec<Heard>>>,
    script: Arc<Script>,
) {
    let mut received = Vec::new();
    loop {
        while !received.windows(4).any(|end| end == b"\r\n\r\n") {
            if !matches!(stream.read_buf(&mut received).await, Ok(1..)) {
                return;
            }
        }
        let head = String::from_utf8_lossy(&std::mem::take(&mut received)).into_owned();
        let mut nth = 0;
        note.send_modify(|heard| {
            nth = heard.len();
            heard.push(Heard { connection, head });
        });
        let (bytes, last) = match script(nth) {
            Act::Answer(bytes) => (bytes, false),
            Act::Last(bytes) => (bytes, true),
            Act::Hang => std::future::pending().await,
        };
        if stream.write_all(&bytes).await.is_err() || last {
            return;
        }
    }
}
