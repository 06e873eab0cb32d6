//! A device that answers with whatever bytes a test has for it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// What is done about each request, counted from 0 over all connections, with this head.
type Script = dyn Fn(usize, &str) -> Act + Send + Sync;

/// What is done about one request.
pub(crate) enum Act {
    /// These bytes, and the next request.
    Answer(Vec<u8>),
    /// These bytes as soon as the head is there, and the next request.
    Early(Vec<u8>),
    /// These bytes, and the end of the connection.
    Last(Vec<u8>),
    /// These bytes once somebody says so, and the next request.
    Held(watch::Receiver<bool>, Vec<u8>),
    /// Nothing, for ever.
    Hang,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// The connection, counted from 0.
    pub(crate) connection: usize,
    pub(crate) head: String,
    /// The body, out of its chunks.
    pub(crate) body: Vec<u8>,
    /// The lines behind the last chunk.
    pub(crate) trailers: String,
}

impl Heard {
    /// Every value of a header, in whatever case its name is.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let fields = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(said, _)| said.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// The first line without its method and version.
    pub(crate) fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
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
        Self::reading(move |nth, _| script(nth)).await
    }

    /// The same by what the head of the request says.
    pub(crate) async fn reading(script: impl Fn(usize, &str) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (note, heard) = watch::channel(Vec::new());
        let device = Arc::new(Device { note, script: Box::new(script), begun: AtomicUsize::new(0) });
        let accepting = tokio::spawn(async move {
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else { break };
                let (with, device) = (Conversation { stream, received: Vec::new() }, Arc::clone(&device));
                tokio::spawn(async move { device.converse(with, connection).await });
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

    /// Every request that has arrived whole.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.borrow().clone()
    }
}

struct Device {
    note: watch::Sender<Vec<Heard>>,
    script: Box<Script>,
    begun: AtomicUsize,
}

impl Device {
    async fn converse(&self, mut with: Conversation, connection: usize) -> io::Result<()> {
        loop {
            let head = with.until(b"\r\n\r\n").await?;
            let read = String::from_utf8_lossy(&head);
            let act = (self.script)(self.begun.fetch_add(1, Ordering::Relaxed), &read);
            if let Act::Early(bytes) = &act {
                with.stream.write_all(bytes).await?;
            }
            let mut heard =
                Heard { connection, head: read.into_owned(), body: Vec::new(), trailers: String::new() };
            with.body(&mut heard).await?;
            self.note.send_modify(|all| all.push(heard));
            match act {
                Act::Answer(bytes) => with.stream.write_all(&bytes).await?,
                Act::Early(_) => {}
                Act::Last(bytes) => return with.stream.write_all(&bytes).await,
                Act::Held(mut said, bytes) => {
                    drop(said.wait_for(|said| *said).await);
                    with.stream.write_all(&bytes).await?;
                }
                Act::Hang => std::future::pending().await,
            }
        }
    }
}

/// A connection, and what came on it that is not read yet.
struct Conversation {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Conversation {
    /// The body that the head tells of.
    async fn body(&mut self, heard: &mut Heard) -> io::Result<()> {
        if let [length] = heard.values("content-length")[..] {
            let length = length.parse().map_err(io::Error::other)?;
            heard.body = self.exactly(length).await?;
        }
        if heard.values("transfer-encoding") != ["chunked"] {
            return Ok(());
        }
        loop {
            let size = self.until(b"\r\n").await?;
            let size = String::from_utf8_lossy(&size);
            let size = usize::from_str_radix(size.trim_end(), 16).map_err(io::Error::other)?;
            if size == 0 {
                break;
            }
            let chunk = self.exactly(size + 2).await?;
            heard.body.extend(&chunk[..size]);
        }
        while !heard.trailers.ends_with("\r\n\r\n") && heard.trailers != "\r\n" {
            heard.trailers += &String::from_utf8_lossy(&self.until(b"\r\n").await?);
        }
        Ok(())
    }

    async fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.received.windows(end.len()).position(|window| window == end) {
                return Ok(self.received.drain(..at + end.len()).collect());
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.received.len() < count {
            self.more().await?;
        }
        Ok(self.received.drain(..count).collect())
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
