use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderMap, Method, Request, StatusCode};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower::ServiceExt as _;

use super::generic::{Generic, Scheme};
use super::*;

/// What a face answers: status, headers, body.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

/// Sends one request to a face, without a port.
pub(super) async fn ask(
    face: &Router,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let mut request = Request::new(Body::from(body.to_owned()));
    *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
    *request.uri_mut() = target.parse().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    let response = face.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let text = String::from_utf8_lossy(&body).into_owned();
    Reply { status: head.status.as_u16(), headers: head.headers, text }
}

/// A GET.
pub(super) async fn visit(face: &Router, target: &str, headers: &[(&str, &str)]) -> Reply {
    ask(face, "GET", target, headers, "").await
}

fn anywhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn open() -> Arc<Generic> {
    Generic::new(Scheme::Open)
}

/// Writes a request as it is and reads until the other side closes.
async fn talk(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A broken connection ends the answer, too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn there_is_one_twin_of_every_vendor_and_it_lets_nobody_in_unasked() {
    let twins = every().await.unwrap();
    let names: Vec<_> = twins.iter().map(|twin| twin.vendor()).collect();
    assert_eq!(
        names,
        ["egauge", "enlighted", "yombo", "enphase", "bearer", "basic", "header", "query", "digest", "open"]
    );
    for twin in twins {
        let name = twin.vendor();
        let face = Arc::clone(&twin).face();
        let reply = visit(&face, twin.sample(), &[("accept", "application/json")]).await;
        assert_eq!(reply.status == 200, name == "open", "{name}: {}", reply.status);
        let doubled = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
        let reply = visit(&face, twin.sample(), &doubled).await;
        let indifferent = ["open", "header", "query", "yombo"].contains(&name);
        assert_eq!(reply.status == 400, !indifferent, "{name}: {}", reply.status);
        assert_eq!(twin.arrivals().len(), 2, "{name}");
        assert_eq!(twin.secrets().is_empty(), name == "open", "{name}");
    }
}

#[tokio::test]
async fn a_header_with_an_underscore_is_no_credential() {
    let twin = Generic::with(Scheme::Header, "key".into());
    let face = Arc::clone(&twin).face();
    assert_eq!(visit(&face, "/twin/sample", &[("x-api-key", "key")]).await.status, 200);
    assert_eq!(visit(&face, "/twin/sample", &[("x_api_key", "key")]).await.status, 400);
    assert_eq!(
        visit(&face, "/twin/sample", &[("x-api-key", "key"), ("x_api_key", "other")]).await.status,
        400
    );
}

#[tokio::test]
async fn echo_tells_everything_but_the_secret() {
    let twin = Generic::with(Scheme::Query, "hush".into());
    let face = Arc::clone(&twin).face();
    let reply = ask(&face, "PUT", "/twin/echo//a%2fb?x&apikey=hush", &[("x-one", "1")], "body").await;
    assert_eq!(reply.json()["target"], "/twin/echo//a%2fb?x&apikey=[secret]");
    assert_eq!(reply.json()["headers"], serde_json::json!([["x-one", "1"]]));
    assert_eq!(reply.json()["length"], 4);
    let arrival = &twin.arrivals()[0];
    assert_eq!((arrival.body_length, arrival.status), (4, 200));
    assert!(!format!("{arrival:?}").contains("hush"));
}

#[tokio::test]
async fn a_refused_body_is_read_before_the_answer() {
    let twin = Generic::new(Scheme::Bearer);
    let face = Arc::clone(&twin).face();
    let reply = ask(&face, "POST", "/twin/upload", &[], "12345").await;
    assert_eq!((reply.status, twin.arrivals()[0].body_length), (401, 5));
}

#[tokio::test]
async fn noise_is_the_same_from_wherever_it_starts() {
    let whole = noise(0, 200_000);
    assert_eq!(whole.slice(65_000..130_000), noise(65_000, 65_000));
    let face = open().face();
    let reply = visit(&face, "/twin/range", &[("range", "bytes=10-19")]).await;
    assert_eq!((reply.status, reply.headers["content-range"].as_bytes()), (206, &b"bytes 10-19/1000"[..]));
}

#[tokio::test]
async fn a_port_that_stopped_is_closed_and_serves_again() {
    let twin = open();
    let served = serve(Arc::clone(&twin).face(), None, anywhere()).unwrap();
    let address = served.address;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /twin/events HTTP/1.1\r\nHost: twin\r\n\r\n").await.unwrap();
    twin.journal().reaches(1).await;
    assert_eq!((served.connections(), served.peak(), served.accepted()), (1, 1, 1));
    served.stop().await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(TcpStream::connect(address).await.is_err());
    let served = serve(Arc::clone(&twin).face(), None, address).unwrap();
    let answer = talk(address, "GET /twin/html HTTP/1.1\r\nHost: twin\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    served.settles(0).await;
    assert_eq!(twin.arrivals()[1].connection, 1);
}

#[tokio::test]
async fn bytes_come_back_over_a_websocket_until_the_port_stops() {
    let served = serve(open().face(), None, anywhere()).unwrap();
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let request = "GET /twin/websocket HTTP/1.1\r\nHost: twin\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = String::new();
    while !seen.ends_with("\r\n\r\n") {
        seen.push(char::from(stream.read_u8().await.unwrap()));
    }
    assert!(seen.starts_with("HTTP/1.1 101 "), "{seen}");
    assert!(seen.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{seen}");
    stream.write_all(b"\x81ping").await.unwrap();
    let mut echoed = [0; 5];
    stream.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"\x81ping");
    served.stop().await;
    assert_eq!(stream.read(&mut echoed).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn bodies_break_off_and_bytes_go_out_raw() {
    let served = serve(open().face(), None, anywhere()).unwrap();
    let answer = talk(served.address, "GET /twin/break?after=5&n=9 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert!(answer.to_lowercase().contains("content-length: 9\r\n"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, String::from_utf8_lossy(&noise(0, 5)));
    let answer = talk(served.address, "GET /twin/raw?text=no%20head%0a HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(answer, "no head\n");
    let meter = egauge::Egauge::new(egauge::EgaugeSettings::default());
    let metered = serve(meter.face(), None, anywhere()).unwrap();
    let answer = talk(metered.address, "GET /api/auth/unauthorized?noHTTP HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert!(answer.starts_with("{\"ts\""), "{answer}");
    let answer = talk(served.address, "GET /twin/until-close?n=3 HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200") && !answer.contains("chunked"), "{answer}");
    let request = "GET /twin/trailers HTTP/1.1\r\nHost: t\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n";
    let answer = talk(served.address, request).await;
    assert!(answer.ends_with("x-twin-trailer: the end\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_leaf_is_served_under_its_authority_and_a_stolen_one_is_not() {
    let authority = Authority::new("twin authority").unwrap();
    let leaf = authority.leaf(&["127.0.0.1"]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let name = ServerName::try_from("127.0.0.1").unwrap();
    for (certificate, good) in [
        (leaf.clone(), true),
        (leaf.clone().at_most_tls12(), true),
        (leaf.stolen().unwrap(), false),
        (Certificate::self_signed().unwrap(), false),
    ] {
        let served = serve(open().face(), Some(certificate), anywhere()).unwrap();
        assert!(served.url().starts_with("https://127.0.0.1:"));
        let stream = TcpStream::connect(served.address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&config));
        assert_eq!(connector.connect(name.clone(), stream).await.is_ok(), good);
    }
}

#[test]
fn a_version_one_certificate_is_one_and_signs_itself() {
    let now = time::OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
    let later = now + time::Duration::days(400);
    let made = Certificate::version_one("gateway", now, later, None).unwrap();
    let (rest, parsed) = x509_parser::parse_x509_certificate(made.der()).unwrap();
    assert!(rest.is_empty());
    assert_eq!(parsed.version(), x509_parser::x509::X509Version::V1);
    assert_eq!(parsed.subject(), parsed.issuer());
    assert_eq!(parsed.subject().to_string(), "CN=gateway");
    assert_eq!(parsed.validity().not_before.timestamp(), now.unix_timestamp());
    assert_eq!(parsed.validity().not_after.timestamp(), later.unix_timestamp());
    assert!(parsed.extensions().is_empty());
    let provider = rustls::crypto::ring::default_provider();
    let key = &parsed.public_key().subject_public_key.data;
    let verified = provider.signature_verification_algorithms.all.iter().any(|algorithm| {
        let body = parsed.tbs_certificate.as_ref();
        algorithm.verify_signature(key, body, &parsed.signature_value.data).is_ok()
    });
    assert!(verified);
    assert!(made.server_config().is_ok());
    let again = Certificate::named("gateway", now, later, Some(&made)).unwrap();
    let (_, again) = x509_parser::parse_x509_certificate(again.der()).unwrap();
    assert_eq!(again.public_key().raw, parsed.public_key().raw);
    assert_eq!(again.subject().as_raw(), parsed.subject().as_raw());
    assert_eq!(CertificateDer::from_pem_slice(made.pem().as_bytes()).unwrap(), *made.der());
}

#[tokio::test]
async fn a_basic_password_travels_as_utf8() {
    let twin = Generic::with(Scheme::Basic, "pä:ss".into());
    let pair = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "admin:pä:ss");
    let face = Arc::clone(&twin).face();
    let shown = format!("Basic {pair}");
    assert_eq!(visit(&face, "/twin/sample", &[(AUTHORIZATION.as_str(), &shown)]).await.status, 200);
    twin.lock_out();
    let reply = visit(&face, "/twin/sample", &[(AUTHORIZATION.as_str(), &shown)]).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    twin.readmit();
    assert_eq!(visit(&face, "/twin/sample", &[(AUTHORIZATION.as_str(), &shown)]).await.status, 200);
}
