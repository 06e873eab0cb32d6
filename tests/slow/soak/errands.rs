//! What callers ask for, and what is the right answer to it.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use keyward::twin::noise;
use serde_json::Value;
use tokio::time::interval;

use super::dice::Dice;
use super::plant::Plant;
use crate::it::support::{Ask, Line, Reply};

/// More than is kept for a second attempt.
const LARGE: usize = 200_000;
/// What waits for the one who reads it, in pieces.
const SLOWLY: usize = 1 << 20;
const SIP: usize = 32 << 10;
const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// One thing to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Errand {
    Sample,
    Bytes,
    Chunked,
    Head,
    Range,
    Status,
    Upload,
    LargeUpload,
    SlowReader,
    Events,
    WebSocket,
    Leaver,
    /// The device breaks its answer off.
    BrokenBody,
    /// The device answers with something else than HTTP.
    Garbage,
    /// A device without manners.
    Wild,
}

/// How often each is asked for.
const SHARES: [(Errand, u64); 15] = [
    (Errand::Sample, 30),
    (Errand::Bytes, 10),
    (Errand::Chunked, 10),
    (Errand::Head, 5),
    (Errand::Range, 5),
    (Errand::Status, 5),
    (Errand::Upload, 10),
    (Errand::LargeUpload, 4),
    (Errand::SlowReader, 2),
    (Errand::Events, 2),
    (Errand::WebSocket, 3),
    (Errand::Leaver, 6),
    (Errand::BrokenBody, 2),
    (Errand::Garbage, 2),
    (Errand::Wild, 4),
];

/// How it ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// As it should.
    Right,
    /// In a fault by this name.
    Fault(String),
    /// The caller left, as it meant to.
    Left,
    /// In nothing that was to be expected.
    Wrong(String),
}

impl Errand {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        let mut left = dice.roll(SHARES.iter().map(|(_, share)| share).sum());
        for (errand, share) in SHARES {
            match left.checked_sub(share) {
                Some(rest) => left = rest,
                None => return errand,
            }
        }
        unreachable!()
    }

    /// Faults that are no trouble's: what is asked for, or too many of it at once.
    pub(super) fn explains(self, fault: &str) -> bool {
        match self {
            Self::Events | Self::WebSocket => fault == "device_busy",
            Self::Wild => ["device_garbled", "device_broke_off", "device_timeout", "broken"].contains(&fault),
            _ => false,
        }
    }

    /// Goes on it.
    pub(super) async fn run(self, plant: &Plant, line: &mut Line, dice: &mut Dice) -> Ending {
        let length = usize::try_from(1 + dice.roll(60_000)).unwrap();
        let get = |path: String| Ask::get(plant.at(&path)).with("Accept", "application/json");
        match self {
            Self::Sample => {
                let sample = get(plant.twin.sample().to_owned());
                answer(line, &sample, |reply| reply.status == 200 && is_json(reply)).await
            }
            Self::Bytes | Self::Chunked => {
                let path = if self == Self::Bytes { "bytes" } else { "chunked" };
                let ask = get(format!("/twin/{path}?n={length}"));
                answer(line, &ask, |reply| reply.status == 200 && reply.body == noise(0, length)).await
            }
            Self::Head => {
                let ask = get(format!("/twin/bytes?n={length}")).by(Method::HEAD);
                let length = length.to_string();
                answer_by(&Method::HEAD, line, &ask, |reply| {
                    reply.status == 200 && reply.header("content-length") == length
                })
                .await
            }
            Self::Range => {
                let ask = get("/twin/range".to_owned()).with("Range", "bytes=10-19");
                answer(line, &ask, |reply| reply.status == 206 && reply.body == noise(10, 10)).await
            }
            Self::Status => {
                let code = *dice.pick(&[204, 400, 404, 500]);
                let ask = get(format!("/twin/status?code={code}"));
                answer(line, &ask, |reply| reply.status == code).await
            }
            Self::Upload => upload(line, plant, length).await,
            Self::LargeUpload => upload(line, plant, LARGE).await,
            Self::SlowReader => read_slowly(line, &get(format!("/twin/bytes?n={SLOWLY}"))).await,
            Self::Events => listen(line, &get("/twin/events?ms=20".to_owned())).await,
            Self::WebSocket => {
                tunnel(line, &Ask::get(plant.at("/twin/websocket")).with_all(&UPGRADE), length).await
            }
            Self::Leaver => leave(line, plant, dice).await,
            Self::BrokenBody => {
                let ask = get("/twin/break?n=1000&after=500".to_owned());
                match answer(line, &ask, |_| false).await {
                    Ending::Fault(fault) if ["broken", "device_broke_off"].contains(&fault.as_str()) => {
                        Ending::Right
                    }
                    other => other,
                }
            }
            Self::Garbage => match answer(line, &get("/twin/raw?text=SSH".to_owned()), |_| false).await {
                Ending::Fault(fault) if fault == "device_garbled" => Ending::Right,
                other => other,
            },
            Self::Wild => answer(line, &Ask::get("/wild/"), |reply| reply.text() == "fine").await,
        }
    }
}

/// Asks, and says whether the answer is right.
async fn answer(line: &mut Line, ask: &Ask, is_right: impl Fn(&Reply) -> bool) -> Ending {
    answer_by(&Method::GET, line, ask, is_right).await
}

/// Where it is no HEAD, an answer to any method ends as that to a GET does.
async fn answer_by(method: &Method, line: &mut Line, ask: &Ask, is_right: impl Fn(&Reply) -> bool) -> Ending {
    line.begin(ask).await;
    match whole(line, method).await {
        Ok(reply) if is_right(&reply) => Ending::Right,
        Ok(reply) => Ending::Wrong(format!(
            "{} {:?} {:?}",
            reply.status,
            reply.headers,
            reply.body.slice(..reply.body.len().min(200))
        )),
        Err(ending) => ending,
    }
}

fn is_json(reply: &Reply) -> bool {
    serde_json::from_slice::<Value>(&reply.body).is_ok()
}

/// The head of an answer, if it is the device's.
async fn head(line: &mut Line, method: &Method) -> Result<Reply, Ending> {
    loop {
        let head = line.head(method).await.map_err(|error| Ending::Wrong(format!("no answer: {error}")))?;
        if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
            break refused(line, head).await;
        }
    }
}

/// A fault is read and named.
async fn refused(line: &mut Line, head: Reply) -> Result<Reply, Ending> {
    if head
        .headers
        .get("proxy-status")
        .is_some_and(|status| status.as_bytes().ends_with(b"received-status=401"))
    {
        drop(rest(line).await);
        return Err(Ending::Fault("rights".to_owned()));
    }
    if head.headers.get("content-type").is_none_or(|kind| kind != "application/problem+json") {
        return Ok(head);
    }
    let status = head.headers.get("proxy-status").and_then(|status| status.to_str().ok()).unwrap_or_default();
    let body =
        rest(line).await.map_err(|error| Ending::Wrong(format!("a fault without its end: {error}")))?;
    // A HEAD has the head alone to say so.
    let Ok(told) = serde_json::from_slice::<Value>(&body) else {
        return Err(Ending::Fault(of_error(status).to_owned()));
    };
    Err(Ending::Fault(told["fault"].as_str().unwrap_or_default().to_owned()))
}

/// The fault that a `Proxy-Status` tells, as far as it can be one in a soak.
fn of_error(status: &str) -> &'static str {
    match status.split([';', '=']).nth(2).unwrap_or_default() {
        "connection_refused" | "connection_terminated" => "device_unreachable",
        "http_response_incomplete" => "device_broke_off",
        "destination_unavailable" => "login_unavailable",
        _ => "",
    }
}

async fn rest(line: &mut Line) -> io::Result<Bytes> {
    let mut body = BytesMut::new();
    while let Some(piece) = line.piece().await? {
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

async fn whole(line: &mut Line, method: &Method) -> Result<Reply, Ending> {
    let head = head(line, method).await?;
    let body = rest(line).await.map_err(|_| Ending::Fault("broken".to_owned()))?;
    Ok(Reply { body, ..head })
}

async fn upload(line: &mut Line, plant: &Plant, length: usize) -> Ending {
    let ask = Ask::post(plant.at(plant.twin.upload()), noise(0, length));
    let ask = ask.with("Content-Type", "application/octet-stream").with("Accept", "application/json");
    answer(line, &ask, |reply| reply.status == 200 && is_json(reply) && reply.json()["length"] == length)
        .await
}

async fn read_slowly(line: &mut Line, ask: &Ask) -> Ending {
    line.begin(ask).await;
    if let Err(ending) = head(line, &Method::GET).await {
        return ending;
    }
    let mut pace = interval(Duration::from_millis(5));
    let (mut read, mut paused) = (0, 0);
    loop {
        match line.piece().await {
            Ok(Some(piece)) => {
                read += piece.len();
                while paused < read {
                    pace.tick().await;
                    paused += SIP;
                }
            }
            Ok(None) if read == SLOWLY => return Ending::Right,
            Ok(None) => return Ending::Wrong(format!("{read} bytes of {SLOWLY}")),
            Err(_) => return Ending::Fault("broken".to_owned()),
        }
    }
}

async fn listen(line: &mut Line, ask: &Ask) -> Ending {
    line.begin(ask).await;
    if let Err(ending) = head(line, &Method::GET).await {
        return ending;
    }
    for _ in 0..3 {
        match line.piece().await {
            Ok(Some(piece)) if piece.starts_with(b"id: ") => {}
            Ok(other) => return Ending::Wrong(format!("no event: {other:?}")),
            Err(_) => return Ending::Fault("broken".to_owned()),
        }
    }
    Ending::Right
}

async fn tunnel(line: &mut Line, ask: &Ask, length: usize) -> Ending {
    line.begin(ask).await;
    match head(line, &Method::GET).await {
        Ok(head) if head.status == 101 => {}
        Ok(head) => return Ending::Wrong(format!("{} instead of a tunnel", head.status)),
        Err(ending) => return ending,
    }
    let said = noise(7, length.min(10_000));
    let heard = match line.try_write(&said).await {
        Ok(()) => line.exactly(said.len()).await,
        Err(error) => Err(error),
    };
    match heard {
        Ok(heard) if heard == said => Ending::Right,
        Ok(_) => Ending::Wrong("the tunnel says something else".to_owned()),
        Err(_) => Ending::Fault("broken".to_owned()),
    }
}

/// Leaves before the answer, in the middle of it, or in the middle of the request.
async fn leave(line: &mut Line, plant: &Plant, dice: &mut Dice) -> Ending {
    match dice.roll(3) {
        0 => line.begin(&Ask::get(plant.at("/twin/slow?ms=3600000"))).await,
        1 => {
            line.begin(&Ask::get(plant.at("/twin/bytes?n=1000000000"))).await;
            drop(line.head(&Method::GET).await);
        }
        _ => {
            let target = plant.at(plant.twin.upload());
            let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf");
            drop(line.try_write(head).await);
        }
    }
    Ending::Left
}
