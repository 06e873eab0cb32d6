//! What a connection says of its own accord, and when.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::pin::pin;

use futures_util::poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::advance;

use super::super::doorman::Doorman;
use super::*;
use crate::config::Limits;
use crate::metrics::Metrics;

/// A caller's connection from both ends; the caller's blocks.
async fn connection() -> (Watched, std::net::TcpStream, Arc<Seat>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let caller = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let seat = Doorman::new(Limits::default(), Arc::new(Metrics::new())).seat().await;
    let watched = Watched::new(Either::Left(TcpStream::from_std(stream).unwrap()), Arc::clone(&seat));
    (watched, caller, seat)
}

/// Writes until nobody takes any more; says how much was taken.
async fn fill(watched: &mut Watched) -> usize {
    let block = [b'a'; 64 << 10];
    let mut taken = 0;
    while let Poll::Ready(written) = poll!(pin!(watched.write(&block))) {
        taken += written.unwrap();
    }
    taken
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_into_an_answer_that_is_still_on_its_way() {
    let (mut watched, mut caller, seat) = connection().await;
    let limits = Limits::default();
    seat.enter(Phase::Serving);
    let taken = fill(&mut watched).await;
    for phase in [Phase::Waiting, Phase::Head] {
        // The answer is made, and so is half of the next head, but the caller has not read it all.
        seat.enter(phase);
        assert!(poll!(pin!(watched.read_u8())).is_pending());
        advance(limits.head_timeout.max(limits.keep_alive) * 2).await;
        assert!(poll!(pin!(watched.read_u8())).is_pending(), "given up in {phase:?}");
    }
    caller.read_exact(&mut vec![0; taken]).unwrap();
    while poll!(pin!(watched.write_all(b"z"))).is_pending() {
        tokio::task::yield_now().await;
    }
    // From here on the head is late.
    assert!(poll!(pin!(watched.read_u8())).is_pending());
    advance(limits.head_timeout).await;
    let given_up = watched.read_u8().await.unwrap_err();
    assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
    drop(watched);
    let mut rest = Vec::new();
    caller.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, [b"z", TOO_LATE].concat());
}

#[tokio::test(start_paused = true)]
async fn a_connection_rests_for_as_long_as_it_may_and_no_longer() {
    let (mut watched, mut caller, seat) = connection().await;
    let limits = Limits::default();
    std::io::Write::write_all(&mut caller, b"a").unwrap();
    watched.read_u8().await.unwrap();
    seat.enter(Phase::Serving);
    let mut read = pin!(watched.read_u8());
    assert!(poll!(&mut read).is_pending());
    advance(limits.head_timeout / 2).await;
    // Nobody looks at the connection when the answer is done.
    seat.enter(Phase::Waiting);
    let since = Instant::now();
    let ended = read.await.unwrap_err();
    assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
    let rested = since.elapsed();
    assert!((limits.keep_alive..limits.keep_alive + Duration::from_secs(1)).contains(&rested), "{rested:?}");
}

#[tokio::test]
async fn an_answer_that_waits_for_its_reader_is_no_rest() {
    let (mut watched, mut caller, seat) = connection().await;
    seat.is_read.store(true, Ordering::Relaxed);
    for phase in [Phase::Serving, Phase::Head, Phase::Waiting] {
        seat.enter(phase);
        assert_eq!(seat.at_rest_since().is_some(), phase == Phase::Waiting, "{phase:?}");
    }
    let taken = fill(&mut watched).await;
    assert!(seat.at_rest_since().is_none());
    caller.read_exact(&mut vec![0; taken]).unwrap();
    while poll!(pin!(watched.write_all(b"z"))).is_pending() {
        tokio::task::yield_now().await;
    }
    assert!(seat.at_rest_since().is_some());
    // Something of a request may still be on its way.
    seat.is_read.store(false, Ordering::Relaxed);
    assert!(seat.at_rest_since().is_none());
}

#[tokio::test]
async fn what_is_put_back_is_read_first_and_in_its_order() {
    let (mut watched, mut caller, _seat) = connection().await;
    std::io::Write::write_all(&mut caller, b"de").unwrap();
    watched.put_back(Bytes::from_static(b"bc"));
    watched.put_back(Bytes::from_static(b"a"));
    watched.put_back(Bytes::new());
    for letter in b"abcde" {
        assert_eq!(watched.read_u8().await.unwrap(), *letter);
    }
}
