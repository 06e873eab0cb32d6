//! What devices send.

use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::FINE;
use crate::support::{Act, Ask, Lab, Scripted};

/// What somebody would have taken for the answer to the next request.
const SECOND: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond";

/// An answer with these lines and this behind its head.
fn ok(lines: &str, rest: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{lines}\r\n{rest}")
}

/// An answer in chunks, these.
fn chunks(chunks: &str) -> String {
    ok("Transfer-Encoding: chunked\r\n", chunks)
}

/// A device that answers with these bytes once, and well from then on.
async fn once(answer: &str) -> (Scripted, Lab) {
    let answer = answer.as_bytes().to_vec();
    let act = move |nth| Act::Answer(if nth == 0 { answer.clone() } else { FINE.to_vec() });
    let device = Scripted::new(act).await;
    let lab = Lab::new(&device.table("meter", "acts_on_get = []\ntimeout = \"5s\"\n")).await;
    (device, lab)
}

/// Which connection each request came on.
fn connections(device: &Scripted) -> Vec<usize> {
    device.heard().iter().map(|heard| heard.connection).collect()
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_or_in_none_is_garbled_and_its_connection_dropped() {
    let endless = ok(&format!("x: {}\r\n", "x".repeat(200 << 10)), "");
    let many = ok(&format!("{}Content-Length: 0\r\n", "a: b\r\n".repeat(1000)), "");
    let coded = |lines: &str| ok(lines, &format!("5\r\nhello\r\n0\r\n\r\n{SECOND}"));
    let length = |value: &str| ok(&format!("Content-Length:{value}\r\n"), "hello");
    let status = |line: &str| format!("{line}\r\nContent-Length: 5\r\n\r\nhello");
    let get = || Ask::get("/meter/x");
    let head = || Ask::new(Method::HEAD, "/meter/x");
    let socket = || get().with("Connection", "Upgrade").with("Upgrade", "websocket");
    let rows = [
        ("garbage", get(), "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n\r\n".to_owned()),
        ("HTTP/0.9", get(), "<html>hello</html>\r\n\r\n".to_owned()),
        ("no status", get(), status("HTTP/1.1 OK")),
        ("a status of two digits", get(), status("HTTP/1.1 99 Low")),
        ("a status that begins with nothing", get(), status("HTTP/1.1 099 Low")),
        ("a status of no class", get(), status("HTTP/1.1 600 High")),
        ("a status of four digits", get(), status("HTTP/1.1 1000 High")),
        ("a status with a sign", get(), status("HTTP/1.1 +20 OK")),
        ("no blank behind the status", get(), status("HTTP/1.1 200OK")),
        ("two blanks before it", get(), status("HTTP/1.1  200 OK")),
        ("a tab before it", get(), status("HTTP/1.1\t200 OK")),
        ("a bare CR in the reason", get(), status("HTTP/1.1 200 O\rK")),
        ("a NUL in the reason", get(), status("HTTP/1.1 200 O\0K")),
        ("HTTP/3.0", get(), status("HTTP/3.0 200 OK")),
        ("small letters", get(), status("http/1.1 200 OK")),
        ("another protocol", get(), status("ICY 200 OK")),
        ("no colon", get(), ok("nonsense\r\n", "")),
        ("no name", get(), ok(": b\r\n", "")),
        ("a space before the colon", get(), ok("Content-Length : 5\r\n", "hello")),
        ("a folded line", get(), ok("a: b\r\n c\r\nContent-Length: 0\r\n", "")),
        ("a folded first line", get(), ok(" a: b\r\nContent-Length: 0\r\n", "")),
        ("a bare CR in a value", get(), ok("a: b\rSet-Cookie: c\r\nContent-Length: 0\r\n", "")),
        ("a NUL in a value", get(), ok("a: b\0c\r\nContent-Length: 0\r\n", "")),
        ("an endless line", get(), endless),
        ("a thousand lines", get(), many),
        ("both lengths", get(), coded("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")),
        ("both, the other way round", get(), coded("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")),
        ("both to a HEAD", head(), ok("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "")),
        ("two lengths", get(), ok("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!")),
        ("two lengths to a HEAD", head(), ok("Content-Length: 5\r\nContent-Length: 6\r\n", "")),
        (
            "two lengths of what is not there",
            get(),
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n".to_owned(),
        ),
        ("a list of lengths", get(), length(" 5, 6")),
        ("a list of one length", get(), length(" 5, 5")),
        ("a negative length", get(), length(" -5")),
        ("a signed length", get(), length(" +5")),
        ("a length in sixteens", get(), length(" 0x5")),
        ("a length and more", get(), length(" 5;q=1")),
        ("no length in it", get(), length("")),
        ("no number to a HEAD", head(), ok("Content-Length: five\r\n", "")),
        ("a length past all bounds", get(), length(" 99999999999999999999999")),
        ("chunked twice", get(), coded("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
        ("chunked twice in a list", get(), coded("Transfer-Encoding: chunked, chunked\r\n")),
        ("another coding", get(), coded("Transfer-Encoding: gzip\r\n")),
        ("another before chunked", get(), coded("Transfer-Encoding: gzip, chunked\r\n")),
        ("another behind it", get(), coded("Transfer-Encoding: chunked, gzip\r\n")),
        ("identity", get(), coded("Transfer-Encoding: identity\r\n")),
        ("nothing before chunked", get(), coded("Transfer-Encoding: ,chunked\r\n")),
        ("a parameter to chunked", get(), coded("Transfer-Encoding: chunked;q=1\r\n")),
        ("a name like chunked", get(), coded("Transfer-Encoding: xchunked\r\n")),
        ("a vertical tab before chunked", get(), coded("Transfer-Encoding: \x0bchunked\r\n")),
        ("chunked in HTTP/1.0", get(), coded("Transfer-Encoding: chunked\r\n").replace("1.1", "1.0")),
        (
            "an unsolicited 101",
            get(),
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nbytes"
                .to_owned(),
        ),
        (
            "a 101 to another protocol",
            socket(),
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nbytes".to_owned(),
        ),
        ("a 101 to nothing", socket(), "HTTP/1.1 101 Switching Protocols\r\n\r\nbytes".to_owned()),
        ("interim answers without end", get(), "HTTP/1.1 100 Continue\r\n\r\n".repeat(20_000)),
        ("hints without end", get(), "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(20_000)),
    ];
    for (what, ask, answer) in rows {
        println!("{what}");
        let (device, lab) = once(&answer).await;
        let mut line = lab.connect().await;
        let reply = line.ask(&ask).await.unwrap();
        assert_eq!(reply.status, 502, "{what}: {reply:?}");
        if !reply.body.is_empty() {
            assert_eq!(reply.fault(), "device_garbled", "{what}");
        }
        // The caller's connection is framed as if nothing had been; the device's is another one.
        assert_eq!(line.ask(&Ask::get("/meter/x")).await.unwrap().text(), "ok", "{what}");
        assert_eq!(lab.get("/meter/x").await.text(), "ok", "{what}");
        assert_eq!(connections(&device), [0, 1, 1], "{what}");
    }
}

#[tokio::test]
async fn what_was_wrong_with_an_answer_is_told_in_words_with_what_to_do() {
    let https = "start with https://?";
    let rows = [
        ("SSH-2.0-OpenSSH_9.2p1\r\n\r\n".to_owned(), "is not HTTP", https),
        ("\u{15}\u{3}\u{3}\0\u{2}\u{2}\u{32}".to_owned(), "is not HTTP", https),
        (String::new(), "without an answer", https),
        ("HTTP/1.1 200 OK\r\nContent-Le".to_owned(), "before its answer was complete", "ask again"),
        (ok("nonsense\r\n", ""), "begins as HTTP", "update its firmware"),
        (
            ok(&format!("x: {}\r\n", "x".repeat(200 << 10)), ""),
            "larger than keyward reads",
            "ask the device for less",
        ),
        (status("600 High"), "a status that no class of HTTP has", "update its firmware"),
        (status("101 Switching Protocols"), "switches to another protocol", "update its firmware"),
        (
            ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", ""),
            "can be read in two ways (both",
            "update",
        ),
    ];
    for (answer, what, next) in rows {
        let device = Scripted::saying(answer.clone()).await;
        let lab = Lab::new(&device.table("meter", "")).await;
        let detail = lab.get("/meter/x").await.problem().detail;
        assert!(detail.contains(what) && detail.contains(next), "{answer:?}: {detail}");
        assert_eq!(detail.contains("https://"), next == https, "{answer:?}: {detail}");
        for libraries in
            ["invalid HTTP", "connection error", "connection closed before", "parsed", "error from"]
        {
            assert!(!detail.contains(libraries), "{detail}");
        }
    }
}

fn status(line: &str) -> String {
    format!("HTTP/1.1 {line}\r\nContent-Length: 5\r\n\r\nhello")
}

#[tokio::test]
async fn an_answer_ends_where_it_says_and_what_is_behind_it_is_nobodys() {
    let get = || Ask::get("/meter/x");
    let head = || Ask::new(Method::HEAD, "/meter/x");
    let five = |lines: &str| ok(lines, "hello");
    let status = |line: &str| format!("HTTP/1.1 {line}\r\nContent-Length: 5\r\n\r\nhello");
    // What was asked and answered, what arrives of it, and whether the connection can be used again.
    let rows = [
        ("one length", get(), five("Content-Length: 5\r\n"), (200, "hello"), true),
        (
            "the same length twice",
            get(),
            five("Content-Length: 5\r\nContent-Length: 5\r\n"),
            (200, "hello"),
            true,
        ),
        ("chunks", get(), chunks("5\r\nhello\r\n0\r\n\r\n"), (200, "hello"), true),
        ("chunks with extensions", get(), chunks("5;a=b\r\nhello\r\n0;c\r\n\r\n"), (200, "hello"), true),
        ("bare LF", get(), five("Content-Length: 5\r\n").replace("\r\n", "\n"), (200, "hello"), true),
        ("no reason", get(), status("200"), (200, "hello"), true),
        ("a blank for a reason", get(), status("200 "), (200, "hello"), true),
        ("a status that nobody knows", get(), status("299 Odd"), (299, "hello"), true),
        ("a reason of other letters", get(), status("200 Schön"), (200, "hello"), true),
        (
            "interim answers",
            get(),
            format!(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n{}",
                five("Content-Length: 5\r\n")
            ),
            (200, "hello"),
            true,
        ),
        (
            "HTTP/1.0 that goes on",
            get(),
            five("Content-Length: 5\r\nConnection: keep-alive\r\n").replace("1.1", "1.0"),
            (200, "hello"),
            true,
        ),
        ("HTTP/1.0", get(), five("Content-Length: 5\r\n").replace("1.1", "1.0"), (200, "hello"), false),
        ("a farewell", get(), five("Content-Length: 5\r\nConnection: x, close\r\n"), (200, "hello"), false),
        ("bytes behind a length", get(), five("Content-Length: 4\r\n"), (200, "hell"), false),
        ("bytes behind the chunks", get(), chunks("5\r\nhello\r\n0\r\n\r\n\r\n"), (200, "hello"), false),
        ("an answer behind a length", get(), five("Content-Length: 5\r\n") + SECOND, (200, "hello"), false),
        (
            "an answer behind the chunks",
            get(),
            chunks("5\r\nhello\r\n0\r\n\r\n") + SECOND,
            (200, "hello"),
            false,
        ),
        ("an answer behind nothing", get(), ok("Content-Length: 0\r\n", SECOND), (200, ""), false),
        ("a 204 with a body", get(), status("204 No Content"), (204, ""), false),
        (
            "a 204 with an answer for a body",
            get(),
            format!("HTTP/1.1 204 No Content\r\n\r\n{SECOND}"),
            (204, ""),
            false,
        ),
        (
            "a 204 in chunks",
            get(),
            chunks("5\r\nhello\r\n0\r\n\r\n").replace("200 OK", "204 No Content"),
            (204, ""),
            false,
        ),
        ("a 205 with a body", get(), status("205 Reset Content"), (205, "hello"), true),
        ("a 304 with a body", get(), status("304 Not Modified"), (304, ""), false),
        ("a HEAD with a body", head(), five("Content-Length: 5\r\n"), (200, ""), false),
        ("a HEAD in chunks", head(), chunks("5\r\nhello\r\n0\r\n\r\n"), (200, ""), false),
        ("a HEAD with an answer for a body", head(), ok("", SECOND), (200, ""), false),
    ];
    for (what, ask, answer, (code, body), kept) in rows {
        println!("{what}");
        let (device, lab) = once(&answer).await;
        let mut line = lab.connect().await;
        let reply = line.ask(&ask).await.unwrap();
        assert_eq!((reply.status.as_u16(), reply.text()), (code, body), "{what}");
        assert_eq!(line.ask(&Ask::get("/meter/x")).await.unwrap().text(), "ok", "{what}");
        assert_eq!(lab.get("/meter/x").await.text(), "ok", "{what}");
        assert_eq!(connections(&device), if kept { [0, 0, 0] } else { [0, 1, 1] }, "{what}");
    }
}

#[tokio::test]
async fn a_body_whose_framing_breaks_is_seen_to_break() {
    let long = "x".repeat(20 << 10);
    let rows = [
        ("a size that is no number", chunks("5\r\nhello\r\nnonsense\r\n")),
        ("a size past 64 bits", chunks("ffffffffffffffffff\r\n")),
        ("a size with a sign", chunks("-5\r\nhello\r\n0\r\n\r\n")),
        ("sixteens said so", chunks("0x5\r\nhello\r\n0\r\n\r\n")),
        ("no size", chunks("5\r\nhello\r\n\r\n0\r\n\r\n")),
        ("more data than said", chunks("5\r\nhelloXX0\r\n\r\n")),
        ("no line end behind the data", chunks("5\r\nhello0\r\n\r\n")),
        ("bare LF", chunks("5\nhello\n0\n\n")),
        ("bare CR", chunks("5\rhello\r0\r\r")),
        ("a line end in an extension", chunks("5;a\nhello\r\n0\r\n\r\n")),
        ("an endless extension", chunks(&format!("5;{long}\r\nhello\r\n0\r\n\r\n"))),
        ("an endless trailer", chunks(&format!("5\r\nhello\r\n0\r\na: {}\r\n\r\n", long.repeat(5)))),
        ("a trailer that is none", chunks("5\r\nhello\r\n0\r\nnonsense\r\n\r\n")),
        ("an end within the chunks", chunks("5\r\nhello\r\n")),
        ("an end within a chunk", chunks("5\r\nhel")),
        ("an end within the last line", chunks("5\r\nhello\r\n0\r\n")),
        ("an end within the length", ok("Content-Length: 10\r\n", "hello")),
    ];
    for (what, answer) in rows {
        println!("{what}");
        let bytes = answer.as_bytes().to_vec();
        let act = move |nth| if nth == 0 { Act::Last(bytes.clone()) } else { Act::Answer(FINE.to_vec()) };
        let device = Scripted::new(act).await;
        let lab = Lab::new(&device.table("meter", "acts_on_get = []\n")).await;
        let mut line = lab.connect().await;
        let reply = line.ask(&Ask::get("/meter/x")).await;
        // Where nothing of the body was there to be passed on, it may be a fault of its own.
        assert!(reply.is_err() || reply.as_ref().is_ok_and(|reply| reply.status == 502), "{what}: {reply:?}");
        assert_eq!(lab.get("/meter/x").await.text(), "ok", "{what}");
        assert_eq!(connections(&device), [0, 1], "{what}");
    }
}

#[tokio::test]
async fn who_knows_no_chunks_sees_a_body_break_by_the_connection() {
    let device = Scripted::saying(chunks("5\r\nhello\r\nnonsense\r\n")).await;
    let lab = Lab::new(&device.table("meter", "")).await;
    let mut line = lab.connect().await;
    line.write("GET /meter/x HTTP/1.0\r\nHost: localhost\r\n\r\n").await;
    // The end of the connection would be the end of the body.
    let ended = line.rest().await;
    assert!(ended.is_err(), "{ended:?}");
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_is_whole_is_passed_on_and_its_connection_dropped() {
    let act = |nth| if nth == 0 { Act::Early(FINE.to_vec()) } else { Act::Answer(FINE.to_vec()) };
    let device = Scripted::new(act).await;
    let lab = Lab::new(&device.table("meter", "[limits]\nhead_timeout = \"300ms\"\n")).await;
    let mut line = lab.connect().await;
    line.write("POST /meter/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf").await;
    assert_eq!(line.reply(&Method::POST).await.unwrap().text(), "ok");
    // The rest of the body is no request, and whatever becomes of it is no second answer.
    drop(line.try_write("GET /meter").await);
    assert!(line.rest().await.unwrap_or_default().is_empty());
    assert_eq!(lab.get("/meter/y").await.text(), "ok");
    let heard = device.heard();
    assert_eq!((heard.len(), heard[0].target(), heard[0].connection), (1, "/y", 1));
}

#[tokio::test]
async fn bytes_on_a_connection_that_rests_are_nobodys_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let lab =
        Lab::new(&format!("[devices.meter]\nvendor = \"open\"\nurl = \"{url}\"\nacts_on_get = []\n")).await;
    let (reply, mut resting) = tokio::join!(lab.get("/meter/x"), serve(&listener));
    assert_eq!(reply.text(), "ok");
    resting.write_all(SECOND.as_bytes()).await.unwrap();
    // That keyward has seen it is seen by the end of the connection.
    drop(resting.read(&mut [0; 1]).await);
    let (reply, _other) = tokio::join!(lab.get("/meter/x"), serve(&listener));
    assert_eq!(reply.text(), "ok");
}

#[tokio::test]
async fn what_came_before_a_break_arrives_however_soon_it_breaks() {
    for answer in
        [ok("Content-Length: 10\r\n", "half"), chunks("4\r\nhalf\r\nnonsense\r\n"), chunks("nonsense\r\n")]
    {
        let device = Scripted::saying(answer.clone()).await;
        let lab = Lab::new(&device.table("meter", "acts_on_get = []\n")).await;
        let mut line = lab.connect().await;
        line.write("GET /meter/x HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        assert_eq!(line.head(&Method::GET).await.unwrap().status, 200, "{answer}");
        let rest = line.rest().await.unwrap_or_default();
        assert_eq!(rest.windows(4).any(|part| part == b"half"), answer.contains("half"), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_that_its_device_closes_while_it_rests_is_let_go_of_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let lab =
        Lab::new(&format!("[devices.meter]\nvendor = \"open\"\nurl = \"{url}\"\nacts_on_get = []\n")).await;
    for _ in 0..3 {
        let (reply, mut resting) = tokio::join!(lab.get("/meter/x"), serve(&listener));
        assert_eq!(reply.text(), "ok");
        resting.shutdown().await.unwrap();
        // Long before the time is over for which one is kept that nobody uses.
        let ended = timeout(Duration::from_secs(10), resting.read(&mut [0; 1])).await;
        assert_eq!(ended.unwrap().unwrap(), 0);
    }
}

#[tokio::test]
async fn an_upload_goes_on_while_nobody_reads_the_answer_that_came_before_its_end() {
    const MUCH: usize = 8 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let lab = Lab::new(&format!("[devices.meter]\nvendor = \"open\"\nurl = \"{url}\"\n")).await;
    let device = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let (mut reader, mut writer) = stream.split();
        let answer = async {
            writer.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {MUCH}\r\n\r\n").as_bytes()).await?;
            writer.write_all(&vec![b'x'; MUCH]).await
        };
        let mut body = vec![0; MUCH];
        let (answered, read) = tokio::join!(answer, reader.read_exact(&mut body));
        answered.and(read.map(drop)).unwrap();
    };
    let caller = async {
        let mut line = lab.connect().await;
        line.write(format!("POST /meter/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MUCH}\r\n\r\n"))
            .await;
        // Only who has said all listens.
        line.write(vec![b'a'; MUCH]).await;
        line.reply(&Method::POST).await.unwrap()
    };
    let ((), reply) = timeout(Duration::from_secs(60), async { tokio::join!(device, caller) }).await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.body.len()), (200, MUCH));
}

/// A device that answers the first request on the next connection well.
async fn serve(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_buf(&mut head).await.unwrap();
    }
    stream.write_all(FINE).await.unwrap();
    stream
}
