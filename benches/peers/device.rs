//! The device behind every peer: HTTPS with a certificate made at the start, a bearer token that it insists on, and
//! answers of every kind. It is on bare sockets, since it shares its core with the load and is to cost little beside
//! it, and it counts what arrives.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use keyward::twin::Certificate;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What every request has to show.
pub(crate) const TOKEN: &str = "a-token-of-thirty-two-characters";
/// How long most answers are.
pub(crate) const SMALL: usize = 200;
/// How long `/large` is.
pub(crate) const LARGE: usize = 100 * 1024 * 1024;
/// How long `/delayed` takes: long enough for every caller of a herd to be there.
const DELAY: Duration = Duration::from_millis(300);

/// A device that runs until the process ends.
pub(crate) struct Device {
    pub(crate) address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    requests: AtomicU64,
    /// The last request without the token: a peer that sends it is not set up as it should be.
    refused: Mutex<Option<String>>,
    under_way: AtomicU64,
    most_at_once: AtomicU64,
}

/// What arrived since the device began.
#[derive(Clone, Copy)]
pub(crate) struct Arrived {
    pub(crate) connections: u64,
    pub(crate) requests: u64,
}

impl Device {
    pub(crate) fn start() -> io::Result<Self> {
        let tls = TlsAcceptor::from(Certificate::self_signed()?.server_config()?);
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let (address, counts) = (listener.local_addr()?, Arc::new(Counts::default()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let noted = Arc::clone(&counts);
        thread::spawn(move || runtime.block_on(accept(listener, tls, noted)));
        Ok(Self { address, counts })
    }

    pub(crate) fn arrived(&self) -> Arrived {
        Arrived {
            connections: self.counts.connections.load(Ordering::Relaxed),
            requests: self.counts.requests.load(Ordering::Relaxed),
        }
    }

    /// The last request that did not show the token, if there was one.
    pub(crate) fn refused(&self) -> Option<String> {
        self.counts.refused.lock().ok()?.clone()
    }

    /// The most requests that were under way at one time since this was last asked.
    pub(crate) fn most_at_once(&self) -> u64 {
        self.counts.most_at_once.swap(0, Ordering::Relaxed)
    }
}

impl Counts {
    fn refused(&self, head: &str) {
        if let Ok(mut refused) = self.refused.lock() {
            *refused = Some(head.to_owned());
        }
    }
}

async fn accept(listener: std::net::TcpListener, tls: TlsAcceptor, counts: Arc<Counts>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let answers = Arc::new(Answers::new());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        counts.connections.fetch_add(1, Ordering::Relaxed);
        let (tls, counts, answers) = (tls.clone(), Arc::clone(&counts), Arc::clone(&answers));
        tokio::spawn(async move {
            let stream = tls.accept(stream).await?;
            Conversation { stream, received: Vec::new() }.go_on(&counts, &answers).await
        });
    }
}

/// Answers as they go over the wire.
struct Answers {
    small: Vec<u8>,
    medium: Vec<u8>,
    chunked: Vec<u8>,
    refusal: Vec<u8>,
    unknown: Vec<u8>,
    piece: Vec<u8>,
}

impl Answers {
    fn new() -> Self {
        let mut chunked =
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                .to_vec();
        for _ in 0..8 {
            chunked.extend(b"400\r\n");
            chunked.extend([b'x'; 1024]);
            chunked.extend(b"\r\n");
        }
        chunked.extend(b"0\r\n\r\n");
        Self {
            small: whole("200 OK", SMALL),
            medium: whole("200 OK", 50 * 1024),
            chunked,
            refusal: whole("401 Unauthorized", 0),
            unknown: whole("404 Not Found", 0),
            piece: vec![b'x'; 64 * 1024],
        }
    }
}

/// Of JSON, where there is a body: who remembers answers looks whether they are whole.
fn whole(status: &str, length: usize) -> Vec<u8> {
    let mut answer = head(status, length);
    if let Some(inside) = length.checked_sub(8) {
        answer.extend(format!("{{\"x\":\"{}\"}}", "x".repeat(inside)).into_bytes());
    }
    answer
}

fn head(status: &str, length: usize) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n")
        .into_bytes()
}

/// A connection, and what came on it that is not read yet.
struct Conversation {
    stream: TlsStream<TcpStream>,
    received: Vec<u8>,
}

impl Conversation {
    async fn go_on(mut self, counts: &Counts, answers: &Answers) -> io::Result<()> {
        loop {
            let head = self.head().await?;
            counts.requests.fetch_add(1, Ordering::Relaxed);
            let at_once = counts.under_way.fetch_add(1, Ordering::Relaxed) + 1;
            counts.most_at_once.fetch_max(at_once, Ordering::Relaxed);
            let answered = self.answer(&head, counts, answers).await;
            counts.under_way.fetch_sub(1, Ordering::Relaxed);
            answered?;
        }
    }

    async fn answer(&mut self, head: &str, counts: &Counts, answers: &Answers) -> io::Result<()> {
        if value(head, "transfer-encoding").is_some() {
            while self.chunk().await? {}
        } else {
            let length = value(head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            self.skip(length).await?;
        }
        let path = head.split(' ').nth(1).unwrap_or_default();
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let whole = match path {
            _ if value(head, "authorization").and_then(|shown| shown.strip_prefix("Bearer "))
                != Some(TOKEN) =>
            {
                counts.refused(head);
                &answers.refusal
            }
            "/small" | "/upload" => &answers.small,
            "/medium" => &answers.medium,
            "/chunked" => &answers.chunked,
            "/delayed" => {
                sleep(DELAY).await;
                &answers.small
            }
            "/large" => {
                self.stream.write_all(&self::head("200 OK", LARGE)).await?;
                for _ in 0..LARGE / answers.piece.len() {
                    self.stream.write_all(&answers.piece).await?;
                }
                return self.stream.flush().await;
            }
            _ => &answers.unknown,
        };
        self.stream.write_all(whole).await?;
        self.stream.flush().await
    }

    /// The next request's head.
    async fn head(&mut self) -> io::Result<String> {
        self.until(b"\r\n\r\n").await
    }

    /// Reads a chunk and forgets it. Says whether there may be another.
    async fn chunk(&mut self) -> io::Result<bool> {
        let size = self.until(b"\r\n").await?;
        let size = usize::from_str_radix(size.trim_end(), 16).map_err(io::Error::other)?;
        // Nobody here sends trailers.
        self.skip(size + 2).await?;
        Ok(size > 0)
    }

    async fn until(&mut self, end: &[u8]) -> io::Result<String> {
        loop {
            if let Some(at) = self.received.windows(end.len()).position(|window| window == end) {
                let line: Vec<u8> = self.received.drain(..at + end.len()).collect();
                return String::from_utf8(line).map_err(io::Error::other);
            }
            self.more().await?;
        }
    }

    /// Reads a body and forgets it.
    async fn skip(&mut self, mut length: usize) -> io::Result<()> {
        loop {
            let here = length.min(self.received.len());
            self.received.drain(..here);
            length -= here;
            if length == 0 {
                return Ok(());
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// The value of a header.
fn value<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    fields.find(|(said, _)| said.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}
