//! A client that sends what it is told to the byte, and reads answers as they come.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Longer than any answer of a test may take; who waits longer waits for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked.
#[derive(Clone)]
pub(crate) struct Ask {
    method: Method,
    target: String,
    lines: Vec<(String, String)>,
    body: Bytes,
}

impl Ask {
    pub(crate) fn new(method: Method, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), lines: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn get(target: impl Into<String>) -> Self {
        Self::new(Method::GET, target)
    }

    pub(crate) fn post(target: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::new(Method::POST, target) }
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    #[must_use]
    pub(crate) fn by(self, method: Method) -> Self {
        Self { method, ..self }
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.lines.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub(crate) fn with_all(self, lines: &[(&str, &str)]) -> Self {
        lines.iter().fold(self, |ask, (name, value)| ask.with(name, value))
    }

    /// Its bytes: `Host` and the length are added where nobody said otherwise.
    fn bytes(&self) -> Vec<u8> {
        let says = |name: &str| self.lines.iter().any(|(said, _)| said.eq_ignore_ascii_case(name));
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !says("host") {
            head += "Host: localhost\r\n";
        }
        if !self.body.is_empty() && !says("content-length") && !says("transfer-encoding") {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.lines {
            head += &format!("{name}: {value}\r\n");
        }
        [(head + "\r\n").as_bytes(), &self.body].concat()
    }
}

/// What was answered, as far as it has come: the body is empty until somebody reads it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Reply {
    /// The one value of a header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map_or("", |value| value.to_str().unwrap());
        assert!(values.next().is_none(), "`{name}` came twice: {:?}", self.headers);
        value
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// How long the body under way is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
    Ended,
}

/// A connection to the server.
pub(crate) struct Line {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
    framing: Framing,
    trailers: HeaderMap,
}

/// Bytes both ways.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Line {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    /// By TLS, to a door that shows this certificate (PEM) for `localhost`.
    pub(crate) async fn by_tls(address: SocketAddr, pem: &[u8]) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut settings = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        settings.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(settings)).connect(name, stream).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        Ok(Self::over(stream))
    }

    fn over(stream: impl Stream + 'static) -> Self {
        let stream = Box::new(stream);
        Self { stream, buffer: BytesMut::new(), framing: Framing::Ended, trailers: HeaderMap::new() }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_write(bytes).await.unwrap();
    }

    /// Writes to a server that may have had enough.
    pub(crate) async fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        timeout(PATIENCE, self.stream.write_all(bytes.as_ref())).await?
    }

    /// Asks and reads the whole answer.
    pub(crate) async fn ask(&mut self, ask: &Ask) -> io::Result<Reply> {
        self.begin(ask).await;
        self.reply(&ask.method).await
    }

    /// Asks, and leaves the answer to be read.
    pub(crate) async fn begin(&mut self, ask: &Ask) {
        // Who is refused early may be refused in the middle of a body.
        drop(self.try_write(ask.bytes()).await);
    }

    /// The whole answer to a request of this method.
    pub(crate) async fn reply(&mut self, method: &Method) -> io::Result<Reply> {
        let mut reply = self.head(method).await?;
        while reply.status.is_informational() && reply.status != StatusCode::SWITCHING_PROTOCOLS {
            reply = self.head(method).await?;
        }
        let mut body = BytesMut::new();
        while let Some(piece) = self.piece().await? {
            body.extend_from_slice(&piece);
        }
        Ok(Reply { body: body.freeze(), trailers: std::mem::take(&mut self.trailers), ..reply })
    }

    /// The next head.
    pub(crate) async fn head(&mut self, method: &Method) -> io::Result<Reply> {
        let head = self.until(b"\r\n\r\n").await?;
        let head = String::from_utf8(head.to_vec()).map_err(io::Error::other)?;
        let mut lines = head.split("\r\n").take_while(|line| !line.is_empty());
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status line in {head:?}")))?;
        let headers = fields(lines)?;
        self.framing = framing(method, status, &headers);
        Ok(Reply { status, headers, body: Bytes::new(), trailers: HeaderMap::new() })
    }

    /// What comes next of the body: a chunk, or as much as is there. `None`: the body is complete.
    pub(crate) async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        match self.framing {
            Framing::Ended | Framing::Length(0) => Ok(None),
            Framing::Length(left) => {
                if self.buffer.is_empty() {
                    self.fill().await?;
                }
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
                self.framing = Framing::Length(left - length as u64);
                Ok(Some(self.buffer.split_to(length).freeze()))
            }
            Framing::UntilClose => Ok(self.some().await?),
            Framing::Chunked => self.chunk().await,
        }
    }

    async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        let size = self.until(b"\r\n").await?;
        let size = str::from_utf8(&size).unwrap().trim();
        let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
        if size == 0 {
            let mut trailers = Vec::new();
            loop {
                let line = self.until(b"\r\n").await?;
                if line == "\r\n" {
                    break;
                }
                trailers.push(str::from_utf8(&line).unwrap().trim_end().to_owned());
            }
            self.trailers = fields(trailers.iter().map(String::as_str))?;
            self.framing = Framing::Ended;
            return Ok(None);
        }
        while self.buffer.len() < size + 2 {
            self.fill().await?;
        }
        let chunk = self.buffer.split_to(size).freeze();
        self.buffer.advance(2);
        Ok(Some(chunk))
    }

    /// Bytes as they come, whatever they are; `None` at the end of the connection.
    pub(crate) async fn some(&mut self) -> io::Result<Option<Bytes>> {
        if self.buffer.is_empty() && !self.more().await? {
            return Ok(None);
        }
        Ok(Some(self.buffer.split().freeze()))
    }

    /// Exactly so many bytes.
    pub(crate) async fn exactly(&mut self, count: usize) -> io::Result<Bytes> {
        while self.buffer.len() < count {
            self.fill().await?;
        }
        Ok(self.buffer.split_to(count).freeze())
    }

    /// Waits for the server to close, and says what came until then.
    pub(crate) async fn rest(&mut self) -> io::Result<Bytes> {
        while self.more().await? {}
        Ok(self.buffer.split().freeze())
    }

    async fn until(&mut self, end: &[u8]) -> io::Result<Bytes> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return Ok(self.buffer.split_to(at + end.len()).freeze());
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        if self.more().await? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    async fn more(&mut self) -> io::Result<bool> {
        Ok(timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await?? > 0)
    }
}

fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> io::Result<HeaderMap> {
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value.trim()).ok()?))
    };
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = field(line).ok_or_else(|| io::Error::other(format!("no field: {line:?}")))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// RFC 9112 section 6.3, for a client.
fn framing(method: &Method, status: StatusCode, headers: &HeaderMap) -> Framing {
    let is = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bodiless =
        status.is_informational() || matches!(status.as_u16(), 204 | 304) || method == Method::HEAD;
    match (is("transfer-encoding"), is("content-length")) {
        _ if bodiless => Framing::Ended,
        (Some(_), _) => Framing::Chunked,
        (None, Some(length)) => Framing::Length(length.parse().unwrap()),
        (None, None) => Framing::UntilClose,
    }
}
