//! What a connection says of its own accord, and when.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::pin::pin;
use std::sync::atomic::Ordering;

use futures_util::poll;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{advance, timeout};

use super::super::doorman::Doorman;
use super::*;
use crate::config::Limits;
use crate::metrics::Metrics;

/// A caller's connection from both ends; the caller's blocks.
async fn connection() -> (Watched, std::net::TcpStream, Arc<Seat>) {
    connection_at(&doorman(Limits::default())).await
}

fn doorman(limits: Limits) -> Arc<Doorman> {
    Doorman::new(limits, Arc::new(Metrics::new()))
}

async fn connection_at(doorman: &Arc<Doorman>) -> (Watched, std::net::TcpStream, Arc<Seat>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let caller = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let seat = doorman.seat().await;
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
        watched.flush().await.unwrap();
        assert_eq!(seat.at_rest_since().is_some(), phase == Phase::Waiting, "{phase:?}");
    }
    let taken = fill(&mut watched).await;
    assert!(seat.at_rest_since().is_none());
    caller.read_exact(&mut vec![0; taken]).unwrap();
    while poll!(pin!(watched.write_all(b"z"))).is_pending() {
        tokio::task::yield_now().await;
    }
    watched.flush().await.unwrap();
    assert!(seat.at_rest_since().is_some());
    // Something of a request may still be on its way.
    seat.is_read.store(false, Ordering::Relaxed);
    assert!(seat.at_rest_since().is_none());
}

#[tokio::test]
async fn who_waits_for_a_place_gets_it_when_all_of_an_answer_is_sent_and_no_sooner() {
    // More than what the system holds of it for both.
    const LENGTH: usize = 64 << 20;
    let doorman = doorman(Limits { connections: 1, ..Limits::default() });
    let (mut watched, mut caller, seat) = connection_at(&doorman).await;
    let mut newcomer = pin!(doorman.seat());
    let running = Arc::clone(&seat);
    let served = tokio::spawn(async move {
        seat.enter(Phase::Serving);
        seat.enter(Phase::Waiting);
        watched.write_all(&vec![b'a'; LENGTH]).await.unwrap();
        watched.flush().await.unwrap();
        std::future::pending::<()>().await;
        drop((watched, seat));
    });
    running.is_run_by(served.abort_handle());
    drop(running);
    for _ in 0..3 {
        tokio::task::yield_now().await;
        assert!(poll!(&mut newcomer).is_pending());
    }
    let reader = tokio::task::spawn_blocking(move || {
        let mut answer = Vec::new();
        caller.read_to_end(&mut answer).unwrap();
        answer.len()
    });
    timeout(Duration::from_secs(20), newcomer).await.expect("a place");
    assert_eq!(reader.await.unwrap(), LENGTH);
}

#[tokio::test]
async fn an_answer_is_on_its_way_until_hyper_has_written_it() {
    let (mut watched, _caller, seat) = connection().await;
    seat.is_read.store(true, Ordering::Relaxed);
    seat.enter(Phase::Serving);
    watched.flush().await.unwrap();
    seat.enter(Phase::Waiting);
    assert!(seat.is_served() && seat.at_rest_since().is_none());
    watched.write_all(b"a").await.unwrap();
    assert!(seat.is_served() && seat.at_rest_since().is_none());
    watched.flush().await.unwrap();
    assert!(!seat.is_served() && seat.at_rest_since().is_some());
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
