//! What callers send.

use http::Method;

use super::FINE;
use crate::support::{Act, Ask, Heard, Lab, Line, Reply, Scripted};

/// What becomes of the bytes on one connection.
#[derive(Debug)]
enum Outcome {
    /// No request: this status with nothing else, and the end of the connection.
    Bare(u16),
    /// Not even a status: who speaks so would not understand it.
    Silent,
    /// An answer of ours, and nothing at the device.
    Ours(u16),
    /// Exactly these requests at the device, targets and bodies, and the connection serves on.
    Passed(&'static [(&'static str, &'static str)]),
    /// The same, and the connection ends after it, since where it ended is a matter of opinion.
    PassedLast(&'static str, &'static str),
    /// A body that ends nowhere: nothing whole at the device, no answer of its, and the end of the connection.
    Broken,
}
use Outcome::{Bare, Broken, Ours, Passed, PassedLast, Silent};

/// What somebody would smuggle in.
const INNER: &str = "GET /meter/smuggled HTTP/1.1\r\nHost: localhost\r\nX-Auth-Key: theirs\r\n\r\n";
/// Of a body of five bytes.
const FIVE: Outcome = Passed(&[("/x", "hello")]);
const NONE: Outcome = Passed(&[("/x", "")]);

/// A POST with these lines and what follows its head.
fn post(lines: &str, rest: &str) -> String {
    format!("POST /meter/x HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n{rest}")
}

fn get(lines: &str) -> String {
    format!("GET /meter/x HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

/// A POST in chunks, these.
fn chunks(chunks: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", chunks)
}

/// The head that asks for this, with a Host.
fn line(request_line: &str) -> String {
    format!("{request_line}\r\nHost: localhost\r\n\r\n")
}

/// A device that takes a key, and what was heard by it.
struct Bench {
    device: Scripted,
    lab: Lab,
}

impl Bench {
    async fn new() -> Self {
        let device = Scripted::new(|_| Act::Answer(FINE.to_vec())).await;
        // With one connection, what is asked later stands behind whatever else was sent.
        let table = format!(
            "[devices.meter]\nvendor = \"header\"\nurl = \"http://{}\"\nname = \"x-auth-key\"\nvalue = \"ours\"\n\
             acts_on_get = []\nmax_connections = 1\n[limits]\nhead_timeout = \"2s\"\n",
            device.address
        );
        let lab = Lab::new(&table).await;
        Self { device, lab }
    }

    /// Sends these bytes and looks at all that comes of them, on both sides.
    async fn check(&self, what: &str, bytes: &[u8], outcome: &Outcome) {
        let before = self.device.heard().len();
        let mut line = self.lab.connect().await;
        // Who is refused early may be refused in the middle.
        drop(line.try_write(bytes).await);
        let method = if bytes.starts_with(b"HEAD ") { Method::HEAD } else { Method::GET };
        match outcome {
            Bare(status) => {
                let reply = answer(&mut line, &method, what).await;
                assert_eq!((reply.status.as_u16(), reply.body.len()), (*status, 0), "{what}");
                ends(&mut line, what).await;
            }
            Silent => ends(&mut line, what).await,
            Ours(status) => {
                assert_eq!(answer(&mut line, &method, what).await.status, *status, "{what}");
            }
            Passed(requests) => {
                for _ in *requests {
                    assert_eq!(answer(&mut line, &method, what).await.status, 200, "{what}");
                }
                let next = line.ask(&Ask::get("/meter/next")).await.unwrap();
                assert_eq!(next.text(), "ok", "after {what}");
            }
            PassedLast(..) => {
                assert_eq!(answer(&mut line, &method, what).await.status, 200, "{what}");
                ends(&mut line, what).await;
            }
            Broken => {
                if let Ok(reply) = line.reply(&method).await {
                    assert!(reply.status.is_client_error(), "{what}: {reply:?}");
                }
                drop(line.rest().await);
            }
        }
        let last = self.lab.get("/meter/last").await;
        assert_eq!(last.text(), "ok", "for somebody else after {what}");
        let heard = self.device.heard().split_off(before);
        heard.iter().for_each(|request| is_whole(request, what));
        let arrived: Vec<_> =
            heard.iter().map(|request| (request.target(), str::from_utf8(&request.body).unwrap())).collect();
        let mut expected = match outcome {
            Passed(requests) => [*requests, &[("/next", "")]].concat(),
            PassedLast(target, body) => vec![(*target, *body)],
            Bare(_) | Silent | Ours(_) | Broken => Vec::new(),
        };
        expected.push(("/last", ""));
        assert_eq!(arrived, expected, "{what}");
    }

    async fn check_all(&self, rows: Vec<(&str, String, Outcome)>) {
        for (what, bytes, outcome) in rows {
            self.check(what, bytes.as_bytes(), &outcome).await;
        }
    }
}

async fn answer(line: &mut Line, method: &Method, what: &str) -> Reply {
    line.reply(method).await.unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// The connection is closed, and nothing more comes on it.
async fn ends(line: &mut Line, what: &str) {
    let rest = line.rest().await.unwrap_or_default();
    assert!(rest.is_empty(), "{what}: {rest:?}");
}

/// No head at the device can be read in two ways: one Host, one framing at the most, one credential, ours.
fn is_whole(request: &Heard, what: &str) {
    let count = |name| request.values(name).len();
    assert!(!request.head.replace("\r\n", "").contains(['\r', '\n', '\0']), "{what}: {:?}", request.head);
    assert_eq!(count("host"), 1, "{what}: {:?}", request.head);
    assert!(count("content-length") + count("transfer-encoding") <= 1, "{what}: {:?}", request.head);
    assert!(!request.head.to_lowercase().contains("theirs"), "{what}: {:?}", request.head);
    assert_eq!(request.values("x-auth-key"), ["ours"], "{what}");
    assert_eq!(count("authorization") + count("cookie"), 0, "{what}");
}

#[tokio::test]
async fn a_body_has_one_length_or_is_none() {
    let length = |value: &str| post(&format!("Content-Length:{value}\r\n"), "hello");
    let both = format!("0\r\n\r\n{INNER}");
    let bench = Bench::new().await;
    bench
        .check_all(vec![
            ("one length", length(" 5"), FIVE),
            ("blanks around it", length(" \t 5 \t "), FIVE),
            ("a zero before it", length(" 05"), FIVE),
            ("the same twice", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), FIVE),
            ("two lengths", post("Content-Length: 5\r\nContent-Length: 0\r\n", "hello"), Bare(400)),
            ("a list of one length", length(" 5, 5"), Bare(400)),
            ("a list of two", length(" 5, 0"), Bare(400)),
            ("a plus", length(" +5"), Bare(400)),
            ("a minus", length(" -5"), Bare(400)),
            ("sixteens", length(" 0x5"), Bare(400)),
            ("a fraction", length(" 5.0"), Bare(400)),
            ("a blank within", length(" 5 5"), Bare(400)),
            ("a parameter", length(" 5;q=1"), Bare(400)),
            ("quotes", length(" \"5\""), Bare(400)),
            ("nothing", length(""), Bare(400)),
            ("past 64 bits", length(" 99999999999999999999999"), Bare(400)),
            ("the last of 64 bits", length(" 18446744073709551615"), Bare(431)),
            // RFC 9112 section 6.3: the coding counts, and nothing after it.
            (
                "both, the length first",
                post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", &both),
                PassedLast("/x", ""),
            ),
            (
                "both, the coding first",
                post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", &both),
                PassedLast("/x", ""),
            ),
            (
                "both, the length no number",
                post("Transfer-Encoding: chunked\r\nContent-Length: x\r\n", &both),
                PassedLast("/x", ""),
            ),
        ])
        .await;
}

#[tokio::test]
async fn a_transfer_coding_is_chunked_alone_or_refused() {
    let coded = |lines: &str| post(lines, &format!("5\r\nhello\r\n0\r\n\r\n{INNER}"));
    let fine = "5\r\nhello\r\n0\r\n\r\n";
    let bench = Bench::new().await;
    bench
        .check_all(vec![
            ("chunked", post("Transfer-Encoding: chunked\r\n", fine), FIVE),
            ("in capitals", post("TRANSFER-ENCODING: CHUNKED\r\n", fine), FIVE),
            ("a tab before it", post("Transfer-Encoding:\tchunked\r\n", fine), FIVE),
            ("nothing before it in the list", coded("Transfer-Encoding: ,chunked\r\n"), Bare(400)),
            ("nothing behind it", coded("Transfer-Encoding: chunked,\r\n"), Bare(400)),
            ("twice in a list", coded("Transfer-Encoding: chunked, chunked\r\n"), Bare(400)),
            (
                "twice in two lines",
                coded("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
                Bare(400),
            ),
            ("identity", coded("Transfer-Encoding: identity\r\n"), Bare(400)),
            ("identity before it", coded("Transfer-Encoding: identity, chunked\r\n"), Bare(400)),
            (
                "identity in a line before",
                coded("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"),
                Bare(400),
            ),
            (
                "identity in a line behind",
                coded("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
                Bare(400),
            ),
            ("another before it", coded("Transfer-Encoding: gzip, chunked\r\n"), Bare(400)),
            ("another behind it", coded("Transfer-Encoding: chunked, gzip\r\n"), Bare(400)),
            ("a name like it", coded("Transfer-Encoding: xchunked\r\n"), Bare(400)),
            ("a parameter", coded("Transfer-Encoding: chunked;q=1\r\n"), Bare(400)),
            ("quotes", coded("Transfer-Encoding: \"chunked\"\r\n"), Bare(400)),
            ("nothing", coded("Transfer-Encoding:\r\n"), Bare(400)),
            ("a vertical tab", coded("Transfer-Encoding: \x0bchunked\r\n"), Bare(400)),
            ("a NUL", coded("Transfer-Encoding: chunked\0\r\n"), Bare(400)),
            ("a folded line", coded("Transfer-Encoding:\r\n chunked\r\n"), Bare(400)),
            ("a space before the colon", coded("Transfer-Encoding : chunked\r\n"), Bare(400)),
            ("a tab before the colon", coded("Transfer-Encoding\t: chunked\r\n"), Bare(400)),
            (
                "odd, where no Host is asked for",
                coded("Transfer-Encoding: gzip, chunked\r\n").replace("/meter/x", "/healthz"),
                Bare(400),
            ),
            ("HTTP/1.0", coded("Transfer-Encoding: chunked\r\n").replace("1.1", "1.0"), Bare(400)),
            (
                "an underscore, so another name",
                post("Content-Length: 5\r\nTransfer_Encoding: chunked\r\n", "hello"),
                FIVE,
            ),
            (
                "an underscore in the length",
                post("Content-Length: 5\r\nContent_Length: 70\r\n", "hello"),
                FIVE,
            ),
        ])
        .await;
}

#[tokio::test]
async fn chunks_are_read_to_the_letter_or_not_at_all() {
    let long = "x".repeat(20 << 10);
    let bench = Bench::new().await;
    bench
        .check_all(vec![
            ("an extension", chunks("5;a=\"b\"\r\nhello\r\n0;c\r\n\r\n"), FIVE),
            ("blanks behind the size", chunks("5 \t\r\nhello\r\n0\r\n\r\n"), FIVE),
            ("zeros before the size", chunks("0005\r\nhello\r\n000\r\n\r\n"), FIVE),
            ("a size in capitals", chunks("A\r\nhellohello\r\n0\r\n\r\n"), Passed(&[("/x", "hellohello")])),
            (
                "a request behind the last",
                chunks(&format!("0\r\n\r\n{}", INNER.replace("smuggled", "y"))),
                Passed(&[("/x", ""), ("/y", "")]),
            ),
            (
                "a request within",
                chunks(&format!("{:x}\r\n{INNER}\r\n0\r\n\r\n", INNER.len())),
                Passed(&[("/x", INNER)]),
            ),
            (
                "trailers nobody told of",
                chunks("5\r\nhello\r\n0\r\nContent-Length: 70\r\nX-Auth-Key: theirs\r\n\r\n"),
                FIVE,
            ),
            ("a long extension", chunks(&format!("5;{long}\r\nhello\r\n0\r\n\r\n")), Broken),
            ("a line end in an extension", chunks(&format!("5;a\nhello\r\n0\r\n\r\n{INNER}")), Broken),
            ("a bare CR in an extension", chunks(&format!("5;a\rb\r\nhello\r\n0\r\n\r\n{INNER}")), Broken),
            ("sixteens said so", chunks(&format!("0x5\r\nhello\r\n0\r\n\r\n{INNER}")), Broken),
            ("a minus", chunks(&format!("-5\r\nhello\r\n0\r\n\r\n{INNER}")), Broken),
            ("a plus", chunks(&format!("+5\r\nhello\r\n0\r\n\r\n{INNER}")), Broken),
            ("a blank before", chunks(&format!(" 5\r\nhello\r\n0\r\n\r\n{INNER}")), Broken),
            ("a blank within", chunks(&format!("1 0\r\nhello\r\n0\r\n\r\n{INNER}")), Broken),
            ("no size", chunks(&format!("\r\nhello\r\n0\r\n\r\n{INNER}")), Broken),
            ("no number", chunks(&format!("g\r\nhello\r\n0\r\n\r\n{INNER}")), Broken),
            ("past 64 bits", chunks(&format!("10000000000000005\r\nhello\r\n0\r\n\r\n{INNER}")), Broken),
            ("no line end behind the data", chunks(&format!("5\r\nhello0\r\n\r\n{INNER}")), Broken),
            ("more data than said", chunks(&format!("5\r\nhello!\r\n0\r\n\r\n{INNER}")), Broken),
            ("bare LF", chunks(&format!("5\nhello\n0\n\n{INNER}")), Broken),
            ("bare LF behind the data", chunks(&format!("5\r\nhello\n0\r\n\r\n{INNER}")), Broken),
            ("bare CR", chunks(&format!("5\rhello\r0\r\r{INNER}")), Broken),
            (
                "a trailer that is none",
                chunks(&format!("5\r\nhello\r\n0\r\nno colon\r\n\r\n{INNER}")),
                Broken,
            ),
            ("a folded trailer", chunks(&format!("5\r\nhello\r\n0\r\na: b\r\n c\r\n\r\n{INNER}")), Broken),
        ])
        .await;
}

#[tokio::test]
async fn a_head_is_lines_of_name_colon_value() {
    // With the one Host, and with what is there besides.
    let most = "a: b\r\n".repeat(99);
    let head = |length: usize| {
        let rest = get("a: \r\n").len();
        get(&format!("a: {}\r\n", "x".repeat(length - rest)))
    };
    assert_eq!(head(32 << 10).len(), 32 << 10);
    let bench = Bench::new().await;
    bench.check_all(vec![
        ("blank lines before", format!("\r\n\r\n{}", get("")), NONE),
        // RFC 9112 section 2.2 allows it, and old scripts do it: every line goes on with CR and LF.
        ("bare LF", get("a: b\r\n").replace("\r\n", "\n"), NONE),
        ("bare LF before a name", get("a: b\nX-Auth-Key: theirs\r\n"), NONE),
        ("a space before", format!(" {}", get("")), Bare(400)),
        ("a folded line", get("a: b\r\n c\r\n"), Bare(400)),
        ("a folded first line", get("").replacen("Host", " Host", 1), Bare(400)),
        ("a bare CR in a value", get("a: b\rHost: elsewhere\r\n"), Bare(400)),
        ("a bare CR in a name", get("a\rb: c\r\n"), Bare(400)),
        ("a NUL in a value", get("a: b\0c\r\n"), Bare(400)),
        ("a NUL in a name", get("a\0: b\r\n"), Bare(400)),
        ("a space before the colon", get("a : b\r\n"), Bare(400)),
        ("no colon", get("nonsense\r\n"), Bare(400)),
        ("no name", get(": b\r\n"), Bare(400)),
        ("a name of other letters", get("ä: b\r\n"), Bare(400)),
        ("as many lines as may be", get(&most), NONE),
        ("one line more", get(&format!("{most}a: b\r\n")), Bare(431)),
        ("as long a head as may be", head(32 << 10), NONE),
        ("a byte more", head((32 << 10) + 1), Bare(431)),
        ("no Host", "GET /meter/x HTTP/1.1\r\n\r\n".to_owned(), Bare(400)),
        ("no Host in HTTP/1.0", "GET /meter/x HTTP/1.0\r\n\r\n".to_owned(), Bare(400)),
        ("an empty Host", "GET /meter/x HTTP/1.1\r\nHost: \r\n\r\n".to_owned(), Bare(400)),
        ("two Hosts", get("Host: localhost\r\n"), Bare(400)),
        ("two Hosts in a line", get("").replace("localhost", "localhost, elsewhere.example"), Ours(403)),
        ("somebody in Host", get("").replace("localhost", "me@localhost"), Ours(403)),
        ("a path in Host", get("").replace("localhost", "localhost/x"), Ours(403)),
        ("underscores", get("X_Auth_Key: theirs\r\nX-Auth_Key: theirs\r\nX_Forwarded_For: theirs\r\n"), NONE),
        ("credentials of theirs", get("Authorization: Basic theirs\r\nAuthorization: theirs\r\nCookie: theirs\r\nx-auth-key: theirs\r\n"), NONE),
        ("names that are only for one connection", get("Connection: Authorization, x-auth-key, host, content-length, close-not\r\n"), NONE),
        ("a name nominated with its header", get("Connection: close, te, x-own\r\nX-Own: theirs\r\n"), PassedLast("/x", "")),
        ("names nominated that are none", get("Connection: \x01, , a b, \"\r\n").replace('\x01', "ä"), NONE),
        ("an expectation nobody knows", get("Expect: 200-maybe\r\n"), NONE),
        ("an expectation without a body", get("Expect: 100-continue\r\n"), NONE),
        ("an upgrade to HTTP/2", get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"), NONE),
        ("so many hops", get("Max-Forwards: 0\r\n"), NONE),
    ]).await;
}

#[tokio::test]
async fn a_request_line_is_three_words_and_its_target_is_ours() {
    let asking = |length: usize| {
        let rest = "/meter/x?".len();
        line(&format!("GET /meter/x?{} HTTP/1.1", "y".repeat(length - rest)))
    };
    let longest: &str = format!("/x?{}", "y".repeat((8 << 10) - "/meter/x?".len())).leak();
    let passed: &'static [(&str, &str)] = vec![(longest, "")].leak();
    let bench = Bench::new().await;
    bench
        .check_all(vec![
            ("HTTP/0.9", "GET /meter/x\r\n\r\n".to_owned(), Bare(400)),
            ("HTTP/1.0", line("GET /meter/x HTTP/1.0"), PassedLast("/x", "")),
            ("HTTP/1.0 that goes on", get("Connection: keep-alive\r\n").replace("1.1", "1.0"), NONE),
            ("HTTP/1.2", line("GET /meter/x HTTP/1.2"), Bare(400)),
            ("HTTP/3.0", line("GET /meter/x HTTP/3.0"), Bare(400)),
            ("small letters", line("GET /meter/x http/1.1"), Bare(400)),
            ("another protocol", line("GET /meter/x ICY/1.1"), Bare(400)),
            ("more behind the version", line("GET /meter/x HTTP/1.1 x"), Bare(400)),
            ("two blanks", line("GET  /meter/x HTTP/1.1"), Bare(400)),
            ("a tab", line("GET\t/meter/x\tHTTP/1.1"), Bare(400)),
            ("a blank in the target", line("GET /meter/ x HTTP/1.1"), Bare(400)),
            ("a NUL in the target", line("GET /meter/\0x HTTP/1.1"), Bare(400)),
            ("no slash", line("GET meter/x HTTP/1.1"), Bare(400)),
            ("an authority alone", line("GET localhost HTTP/1.1"), Bare(400)),
            ("no method", line("/meter/x HTTP/1.1"), Bare(400)),
            ("a method that is no word", line("GE(T /meter/x HTTP/1.1"), Bare(400)),
            ("a method nobody knows", line("BREW /meter/x HTTP/1.1"), NONE),
            ("letters as they are", line("GET /meter/ü HTTP/1.1"), Passed(&[("/ü", "")])),
            // What is behind it is for who asks (RFC 3986 section 3.5), and no device would get it.
            ("a fragment", line("GET /meter/x#/../y HTTP/1.1"), NONE),
            ("a whole URL", line("GET http://LOCALHOST:1/meter/x HTTP/1.1"), NONE),
            ("a URL elsewhere", line("GET http://elsewhere.example/meter/x HTTP/1.1"), Ours(403)),
            ("somebody in the URL", line("GET http://me:it@localhost/meter/x HTTP/1.1"), Ours(403)),
            ("a path elsewhere", line("GET //elsewhere.example/meter/x HTTP/1.1"), Ours(404)),
            ("a tunnel", line("CONNECT localhost:443 HTTP/1.1"), Ours(405)),
            ("an echo", line("TRACE /meter/x HTTP/1.1"), Ours(405)),
            ("all of it", line("OPTIONS * HTTP/1.1"), Ours(204)),
            ("a star to be got", line("GET * HTTP/1.1"), Ours(405)),
            ("as long a target as may be", asking(8 << 10), Passed(passed)),
            ("a byte more", asking((8 << 10) + 1), Bare(414)),
            ("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), Silent),
        ])
        .await;
    bench
        .check("bytes that are no text", b"GET /meter/\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", &Bare(400))
        .await;
    bench.check("TLS", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", &Bare(400)).await;
}

#[tokio::test]
async fn whatever_the_method_a_body_is_a_body_and_what_follows_is_the_next_request() {
    let with = |method: &str, framing: &str, body: &str| {
        format!("{method} /meter/x HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n{body}")
    };
    let length = format!("Content-Length: {}\r\n", INNER.len());
    let in_chunks = format!("{:x}\r\n{INNER}\r\n0\r\n\r\n", INNER.len());
    let chunked = "Transfer-Encoding: chunked\r\n";
    let inner = || Passed(&[("/x", INNER)]);
    let bench = Bench::new().await;
    bench
        .check_all(vec![
            (
                "two, one behind the other",
                get("") + &get("").replace("/x", "/y"),
                Passed(&[("/x", ""), ("/y", "")]),
            ),
            (
                "one behind an upgrade that is declined",
                get("Connection: Upgrade\r\nUpgrade: websocket\r\n") + &INNER.replace("smuggled", "y"),
                Passed(&[("/x", ""), ("/y", "")]),
            ),
            ("one in the body of another", post(&length, INNER), inner()),
            ("a GET with a body", with("GET", &length, INNER), inner()),
            ("a GET in chunks", with("GET", chunked, &in_chunks), inner()),
            ("a DELETE with a body", with("DELETE", &length, INNER), inner()),
            ("a DELETE in chunks", with("DELETE", chunked, &in_chunks), inner()),
            ("a HEAD with a body", with("HEAD", &length, INNER), inner()),
            ("a HEAD in chunks", with("HEAD", chunked, &in_chunks), inner()),
            ("an OPTIONS with a body", with("OPTIONS", &length, INNER), inner()),
            ("a body for what is refused here", with("TRACE", &length, INNER), Ours(405)),
            (
                "a body for what is no device's",
                with("POST", &length, INNER).replacen("/meter/x", "/nobody/x", 1),
                Ours(404),
            ),
            ("a body that is expected", post(&format!("{length}Expect: 100-continue\r\n"), INNER), inner()),
        ])
        .await;
    // What a device waits for it is told, of nothing too.
    assert_eq!(
        bench.lab.send(&Ask::new(Method::PUT, "/meter/x").with("Content-Length", "0")).await.status,
        200
    );
    assert_eq!(bench.device.heard().pop().unwrap().values("content-length"), ["0"]);
    // Nor does it have to know chunks where the caller knew the length.
    for method in [Method::POST, Method::PUT, Method::GET, Method::DELETE] {
        for length in [5, 200_000] {
            bench.lab.send(&Ask::post("/meter/x", vec![b'a'; length]).by(method.clone())).await;
            let heard = bench.device.heard().pop().unwrap();
            assert_eq!(heard.values("content-length"), [length.to_string()], "{method}");
            assert_eq!(heard.body.len(), length, "{method}");
        }
    }
}

/// Small devices read no chunks, and none would know what is still to come.
#[tokio::test]
async fn a_body_whose_length_is_known_has_it_at_the_device_and_one_without_is_in_chunks() {
    let bench = Bench::new().await;
    for length in [1, 5, 200_000] {
        let body = "x".repeat(length);
        assert_eq!(bench.lab.send(&Ask::post("/meter/x", body)).await.status, 200);
        let heard = bench.device.heard().pop().unwrap();
        assert_eq!(heard.values("content-length"), [length.to_string()], "{}", heard.head);
        assert_eq!(heard.body.len(), length);
    }
    let mut line = bench.lab.connect().await;
    line.write(chunks("5\r\nhello\r\n0\r\n\r\n")).await;
    assert_eq!(line.reply(&Method::GET).await.unwrap().status, 200);
    let heard = bench.device.heard().pop().unwrap();
    assert_eq!(
        (heard.values("content-length").len(), heard.values("transfer-encoding")),
        (0, vec!["chunked"])
    );
}

#[tokio::test]
async fn only_a_websocket_of_http_1_1_is_an_upgrade() {
    let bench = Bench::new().await;
    let websocket = get("Connection: Upgrade\r\nUpgrade: websocket\r\n");
    let rows = [
        ("a WebSocket", websocket.clone(), vec!["websocket"]),
        ("not nominated", get("Upgrade: websocket\r\n"), vec![]),
        ("HTTP/2", get("Connection: Upgrade\r\nUpgrade: h2c\r\n"), vec![]),
        ("one of two", get("Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n"), vec![]),
        // RFC 9110 section 7.8.
        ("HTTP/1.0", websocket.replace("1.1", "1.0"), vec![]),
    ];
    for (what, bytes, asked_for) in rows {
        let mut line = bench.lab.connect().await;
        line.write(bytes).await;
        assert_eq!(line.reply(&Method::GET).await.unwrap().status, 200, "{what}");
        assert_eq!(bench.device.heard().pop().unwrap().values("upgrade"), asked_for, "{what}");
    }
}

/// Whoever is answered before it has sent all is told that this connection takes no other request.
#[tokio::test]
async fn an_answer_that_leaves_a_body_unread_says_that_the_connection_ends() {
    let device = Scripted::new(|_| Act::Answer(FINE.to_vec())).await;
    let lab = Lab::new(&device.table("meter", "access = \"read\"\nacts_on_get = []\n")).await;
    for path in ["/meter/x", "/nobody/x", "/healthz"] {
        let mut line = Line::to(lab.address()).await;
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n");
        line.write(head).await;
        let reply = line.reply(&Method::POST).await.unwrap();
        assert!(reply.status.as_u16() >= 400, "{path}: {reply:?}");
        assert_eq!(reply.header("connection"), "close", "{path}");
    }
}
