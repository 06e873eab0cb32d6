//! Fields behind a body: they are fields like those before it, and no way round what is done to those.

use super::FINE;
use crate::support::{Act, Ask, Lab, Scripted};

/// Each would do harm if somebody took it for a header.
const HARMFUL: [&str; 12] = [
    "Authorization",
    "Connection",
    "Content-Length",
    "Cookie",
    "Forwarded",
    "Host",
    "Proxy-Authorization",
    "Transfer-Encoding",
    "X-Forwarded-For",
    "X_Auth_Key",
    "X-Auth-Key",
    "X-Nominated",
];

/// `0`, the fields and the end, as the end of a body in chunks.
fn end(names: &[&str]) -> String {
    let lines: String = names.iter().map(|name| format!("{name}: theirs\r\n")).collect();
    format!("0\r\n{lines}X-Fine: a\r\nX-Fine: b\r\n\r\n")
}

#[tokio::test]
async fn of_a_callers_trailers_only_what_may_be_a_header_goes_to_the_device() {
    let device = Scripted::new(|_| Act::Answer(FINE.to_vec())).await;
    let lab = Lab::new(&format!(
        "[devices.meter]\nvendor = \"header\"\nurl = \"http://{}\"\nname = \"x-auth-key\"\nvalue = \"ours\"\n",
        device.address
    ))
    .await;
    let told = format!("X-Fine, {}", HARMFUL.join(", "));
    let mut line = lab.connect().await;
    for _ in 0..2 {
        let head = format!(
            "POST /meter/x HTTP/1.1\r\nHost: localhost\r\nConnection: X-Nominated\r\nTransfer-Encoding: chunked\r\n\
             Trailer: {told}\r\n\r\n"
        );
        line.write(head + "5\r\nhello\r\n" + &end(&HARMFUL)).await;
        assert_eq!(line.reply(&http::Method::POST).await.unwrap().text(), "ok");
    }
    for (nth, heard) in device.heard().iter().enumerate() {
        assert_eq!(heard.trailers, "x-fine: a\r\nx-fine: b\r\n\r\n", "request {nth}");
        // Nothing is left on a connection after them, so it is used again.
        assert_eq!((heard.connection, heard.body.as_slice()), (0, &b"hello"[..]));
    }
}

#[tokio::test]
async fn of_a_devices_trailers_only_what_may_be_a_header_goes_to_the_caller() {
    const KEPT: [&str; 7] = [
        "Connection",
        "Content-Length",
        "Location",
        "Set-Cookie",
        "Transfer-Encoding",
        "WWW-Authenticate",
        "X-Nominated",
    ];
    let answer = format!(
        "HTTP/1.1 200 OK\r\nConnection: X-Nominated\r\nTransfer-Encoding: chunked\r\nTrailer: X-Fine, {}\r\n\r\n\
         5\r\nhello\r\n{}",
        KEPT.join(", "),
        end(&KEPT)
    );
    let device = Scripted::new(move |_| Act::Answer(answer.clone().into_bytes())).await;
    let lab = Lab::new(&device.table("meter", "acts_on_get = []\n")).await;
    let mut line = lab.connect().await;
    for _ in 0..2 {
        let ask = Ask::get("/meter/x").with_all(&[("TE", "trailers"), ("Connection", "TE")]);
        let reply = line.ask(&ask).await.unwrap();
        assert_eq!(reply.text(), "hello");
        let fields: Vec<_> =
            reply.trailers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(fields, [("x-fine", "a"), ("x-fine", "b")]);
    }
    // Who does not take trailers gets the body and its end.
    let reply = line.ask(&Ask::get("/meter/x")).await.unwrap();
    assert_eq!((reply.text(), reply.trailers.len()), ("hello", 0));
    assert!(device.heard().iter().all(|heard| heard.connection == 0));
}
