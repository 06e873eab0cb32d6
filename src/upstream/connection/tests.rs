//! Whoever waits for something on a connection is woken for it, and for nothing else.

use std::sync::atomic::AtomicUsize;
use std::thread;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// Counts how often it was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// So often somebody else rings while the connection is looked at.
const RINGS: usize = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_bell_that_another_thread_rings_is_heard_whenever_it_rings() {
    let (ours, mut theirs) = tokio::io::duplex(1 << 16);
    let ours = hyper_util::rt::TokioIo::new(ours);
    let (sender, line) = hyper::client::conn::http1::handshake::<_, Outbound>(ours).await.unwrap();
    let line = async move { drop(line.await) };
    let mut connection = Connection::new(sender, line, Arc::default(), 0);
    let device = tokio::spawn(async move {
        theirs.read_buf(&mut Vec::new()).await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        theirs.write_all(head).await.unwrap();
        theirs
    });
    let request = Request::get("/x").header("host", "x").body(Outbound::from(Bytes::new())).unwrap();
    let mut body = connection.send(request).await.unwrap().into_body();
    let _open = device.await.unwrap();
    let quiet = Arc::<Count>::default();
    let waker = Waker::from(Arc::clone(&quiet));
    for _ in 0..3 {
        assert!(connection.poll_body(&mut body, &mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(quiet.0.load(Ordering::SeqCst), 0, "nobody rang");
    let (bell, round, rung) = (Arc::clone(&connection.bell), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|threads| {
        threads.spawn(|| {
            for nth in 1..=RINGS {
                while round.load(Ordering::SeqCst) != nth {
                    thread::yield_now();
                }
                // At another moment of the look each time.
                (0..nth * 7919 % 400).for_each(|_| std::hint::spin_loop());
                bell.wake_by_ref();
                rung.store(nth, Ordering::SeqCst);
            }
        });
        for nth in 1..=RINGS {
            let count = Arc::<Count>::default();
            let waker = Waker::from(Arc::clone(&count));
            round.store(nth, Ordering::SeqCst);
            assert!(connection.poll_body(&mut body, &mut Context::from_waker(&waker)).is_pending());
            while rung.load(Ordering::SeqCst) != nth {
                thread::yield_now();
            }
            let is_heard = count.0.load(Ordering::SeqCst) > 0 || !connection.bell.has_rung();
            assert!(is_heard, "the {nth}th");
        }
    });
}

#[tokio::test]
async fn what_is_over_gets_no_task() {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let ours = hyper_util::rt::TokioIo::new(ours);
    let (sender, line) = hyper::client::conn::http1::handshake::<_, Outbound>(ours).await.unwrap();
    let mut connection = Connection::new(sender, async move { drop(line.await) }, Arc::default(), 0);
    assert!(connection.is_free().await);
    drop(theirs);
    assert!(!connection.is_free().await);
    connection.go_apart();
    assert!(!connection.is_apart);
}
