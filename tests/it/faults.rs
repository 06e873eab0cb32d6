//! Devices that are off, broken or hostile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use keyward::twin::Authority;
use keyward::twin::generic::{Generic, Scheme};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

use crate::support::{Act, Ask, Device, Door, Lab, Port, Reply, Scripted, until};

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn table(url: &str, more: &str) -> String {
    format!("[devices.meter]\nvendor = \"open\"\nurl = \"{url}\"\n{more}\n")
}

#[tokio::test]
async fn a_device_that_refuses_connections_is_told_of_at_once() {
    let port = Port::new();
    let lab = Lab::new(&table(&format!("http://{}", port.address()), "")).await;
    let begun = Instant::now();
    let problem = lab.get("/meter/x").await.problem();
    assert_eq!(
        (problem.fault.as_str(), problem.error.as_str()),
        ("device_unreachable", "connection_refused")
    );
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_device_that_takes_connections_and_hangs_is_given_up_at_the_timeout_and_others_go_on() {
    let hanging = Scripted::new(|_| Act::Hang).await;
    let other = Device::new(Generic::new(Scheme::Bearer));
    let text = hanging.table("slow", "timeout = \"1s\"\n") + &other.table("other", "");
    let lab = Lab::new(&text).await;
    let begun = Instant::now();
    let hung = async {
        let problem = lab.get("/slow/x").await.problem();
        assert_eq!(
            (problem.fault.as_str(), problem.error.as_str()),
            ("device_timeout", "http_response_timeout")
        );
        begun.elapsed()
    };
    let others = async {
        for _ in 0..20 {
            assert_eq!(lab.get("/other/twin/sample").await.status, 200);
        }
        begun.elapsed()
    };
    let (hung, others) = tokio::join!(hung, others);
    assert!(others < hung, "others took {others:?}");
    assert!((Duration::from_millis(950)..Duration::from_secs(3)).contains(&hung), "{hung:?}");
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_given_up_at_the_connect_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let lab = Lab::new(&table(&url, "connect_timeout = \"300ms\"\n")).await;
    let problem = timeout(Duration::from_secs(5), lab.get("/meter/x")).await.unwrap().problem();
    assert_eq!((problem.fault.as_str(), problem.error.as_str()), ("device_timeout", "connection_timeout"));
    assert!(problem.detail.contains("connect_timeout"), "{}", problem.detail);
}

#[tokio::test]
async fn what_is_no_tls_is_told_as_that() {
    let plain = Scripted::saying("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let lab = Lab::new(&table(&format!("https://{}", plain.address), "connect_timeout = \"1s\"\n")).await;
    // It waits for the end of a head that a handshake does not have, so the port is closed on it.
    let problem = lab.get("/meter/x").await.problem();
    assert!(["device_timeout", "device_unreachable"].contains(&problem.fault.as_str()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let lab = Lab::new(&table(&format!("https://{}", listener.local_addr().unwrap()), "")).await;
    let speaking = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    };
    let problem = tokio::select! {
        reply = lab.get("/meter/x") => reply.problem(),
        () = speaking => unreachable!(),
    };
    assert_eq!(
        (problem.fault.as_str(), problem.error.as_str()),
        ("device_unreachable", "tls_protocol_error")
    );
    assert!(problem.detail.contains("http://"), "{}", problem.detail);
    let lab = Lab::new(&table(&format!("https://{}", listener.local_addr().unwrap()), "")).await;
    let leaving = async {
        drop(listener.accept().await.unwrap());
        std::future::pending::<()>().await;
    };
    let problem = tokio::select! {
        reply = lab.get("/meter/x") => reply.problem(),
        () = leaving => unreachable!(),
    };
    assert_eq!(
        (problem.fault.as_str(), problem.error.as_str()),
        ("device_unreachable", "connection_terminated")
    );
}

#[tokio::test]
async fn a_device_that_ends_the_handshake_with_an_alert_is_told_of_by_it() {
    // A fatal alert: the version is not supported (RFC 8446 section 6.2).
    let told = accept_with(|mut stream| async move {
        stream.write_all(&[21, 3, 3, 0, 2, 2, 70]).await.unwrap();
        drop(stream.read_to_end(&mut Vec::new()).await);
    });
    // A server that wants a certificate of its callers, and says in the handshake that there is none.
    let authority = Authority::new("callers").unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let callers =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let own = rcgen::generate_simple_self_signed(["device".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let settings = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_client_cert_verifier(callers)
        .with_single_cert(vec![own.cert.into()], key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(settings));
    let asked = accept_with(move |stream| {
        let acceptor = acceptor.clone();
        async move { assert!(acceptor.accept(stream).await.is_err()) }
    });
    for (address, words) in [(told.await, "TLS 1.0"), (asked.await, "a certificate of whoever asks")] {
        let lab = Lab::new(&table(&format!("https://{address}"), "")).await;
        let problem = lab.get("/meter/x").await.problem();
        assert_eq!(
            (problem.fault.as_str(), problem.error.as_str()),
            ("device_unreachable", "tls_alert_received"),
            "{}",
            problem.detail
        );
        assert!(problem.detail.contains(words), "{}", problem.detail);
    }
}

/// A port whose connections are seen to so, for as long as the test takes.
async fn accept_with<F: Future<Output = ()> + Send + 'static>(
    see_to: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(see_to(stream));
        }
    });
    address
}

#[tokio::test]
async fn a_device_that_closes_before_its_head_is_complete_has_broken_off() {
    for bytes in ["", "HTTP/1.1 200 OK\r\nContent-Le"] {
        let device = Scripted::saying(bytes).await;
        let lab = Lab::new(&device.table("meter", "")).await;
        let problem = lab.get("/meter/x").await.problem();
        assert_eq!(problem.fault, "device_broke_off", "{bytes:?}");
        assert_eq!(device.heard().len(), 1, "it was asked again");
    }
}

/// A device that closes its first connection on the second request, without a byte.
async fn dying() -> Scripted {
    Scripted::new(|nth| if nth == 1 { Act::Last(Vec::new()) } else { Act::Answer(FINE.to_vec()) }).await
}

#[tokio::test]
async fn on_a_dead_connection_only_a_get_that_changes_nothing_is_repeated() {
    let cases = [
        (Method::GET, "/meter/read", true),
        (Method::HEAD, "/meter/read", true),
        (Method::GET, "/meter/act", false),
        (Method::POST, "/meter/read", false),
        (Method::DELETE, "/meter/read", false),
    ];
    for (method, path, repeated) in cases {
        let device = dying().await;
        let lab = Lab::new(&device.table("meter", "acts_on_get = [\"/act\"]\n")).await;
        assert_eq!(lab.get("/meter/read").await.status, 200);
        let reply = lab.send(&Ask::new(method.clone(), path)).await;
        if repeated {
            assert_eq!((reply.status.as_u16(), device.heard().len()), (200, 3), "{method} {path}");
        } else {
            assert_eq!(
                (reply.fault().as_str(), device.heard().len()),
                ("device_broke_off", 2),
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn a_repeated_request_is_repeated_once() {
    let device =
        Scripted::new(|nth| if nth == 0 { Act::Answer(FINE.to_vec()) } else { Act::Last(Vec::new()) }).await;
    let lab = Lab::new(&device.table("meter", "acts_on_get = []\n")).await;
    assert_eq!(lab.get("/meter/x").await.status, 200);
    assert_eq!(lab.get("/meter/x").await.fault(), "device_broke_off");
    assert_eq!(device.heard().len(), 3);
}

#[tokio::test]
async fn a_device_that_comes_back_is_found_again() {
    let mut door = Door::new().await;
    for _ in 0..3 {
        assert_eq!(door.lab.get("/meter/twin/sample").await.status, 200);
        door.device.leave().await;
        assert_eq!(door.lab.get("/meter/twin/sample").await.fault(), "device_unreachable");
        door.device.come_back().await;
    }
    assert_eq!(door.lab.get("/meter/twin/sample").await.status, 200);
}

#[tokio::test]
async fn a_device_that_leaves_with_requests_under_way_leaves_nobody_hanging() {
    let mut door = Door::with("max_connections = 4\n").await;
    let asking = async { join_all((0..10).map(|_| door.lab.get("/meter/twin/slow?ms=3600000"))).await };
    let twin = std::sync::Arc::clone(&door.device.twin);
    let leaving = async {
        twin.journal().reaches(4).await;
        door.device.leave().await;
    };
    let (replies, ()) = tokio::join!(asking, leaving);
    let faults: Vec<_> = replies.iter().map(Reply::fault).collect();
    assert_eq!(faults.iter().filter(|fault| *fault == "device_broke_off").count(), 4, "{faults:?}");
    assert_eq!(faults.iter().filter(|fault| *fault == "device_unreachable").count(), 6, "{faults:?}");
}

#[tokio::test]
async fn connections_are_kept_and_not_one_more_than_allowed() {
    let door = Door::with("max_connections = 3\n").await;
    for _ in 0..5 {
        join_all((0..12).map(|_| door.lab.get("/meter/twin/sample"))).await;
    }
    until(|| door.device.served().connections() <= 3).await;
    assert!(
        door.device.served().peak() <= 3 && door.device.served().accepted() <= 3,
        "{}",
        door.device.served().accepted()
    );
}
