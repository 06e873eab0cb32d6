//! Whoever waits for something on a connection is woken for it, and for nothing else.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::thread;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::counted::Counted;
use super::super::socket::Socket;
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
    let mut connection = Connection::new(sender, line, Default::default(), 0);
    let device = tokio::spawn(async move {
        theirs.read_buf(&mut Vec::new()).await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        theirs.write_all(head).await.unwrap();
        theirs
    });
    let request = Request::get("/x").header("host", "x").body(Outbound::from(Bytes::new())).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let answered = connection.send(request, deadline).await.expect("in time");
    let mut body = answered.unwrap().into_body();
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

/// A connection over this.
async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, news: Arc<News>) -> Connection {
    let received = Arc::<Received>::default();
    let ours = TokioIo::new(Counted::new(stream, Arc::clone(&received), Arc::clone(&news)));
    let (sender, line) = http1::handshake::<_, Outbound>(ours).await.unwrap();
    Connection::new(sender, async move { drop(line.await) }, (received, news), 0)
}

fn request() -> Request<Outbound> {
    Request::get("/x").header("host", "x").body(Outbound::from(Bytes::new())).unwrap()
}

/// Asks, has the device answer after a while, and reads all of it.
async fn ask(
    connection: &mut Connection,
    device: &mut (impl AsyncRead + AsyncWrite + Unpin),
    takes: Duration,
) {
    let answered = connection.send(request(), Instant::now() + LONG);
    let answers = async {
        device.read_buf(&mut Vec::new()).await.unwrap();
        tokio::time::advance(takes).await;
        device.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    };
    let (answered, ()) = tokio::join!(answered, answers);
    let body = answered.expect("in time").unwrap().into_body();
    connection.body(body).collect().await.unwrap();
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn who_rests_is_looked_at_when_something_comes_and_the_end_of_it_is_seen() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut theirs, _) = listener.accept().await.unwrap();
    let news = Arc::<News>::default();
    let mut connection = over(Socket::new(ours, Arc::clone(&news)), news).await;
    for _ in 0..2 {
        ask(&mut connection, &mut theirs, Duration::ZERO).await;
        assert!(connection.is_good(Waker::noop()));
        assert!(connection.is_quiet(), "nothing to look after");
    }
    drop(theirs);
    poll_fn(|context| match connection.is_good(context.waker()) {
        true => Poll::Pending,
        false => Poll::Ready(()),
    })
    .await;
    assert!(!connection.is_free().await);
}

#[tokio::test(start_paused = true)]
async fn each_request_has_the_time_that_it_has_whatever_the_one_before_it_had() {
    let (ours, mut device) = tokio::io::duplex(1 << 16);
    let mut connection = over(ours, Arc::default()).await;
    // The alarm of the first rings while the third is under way.
    for takes in [Duration::ZERO, LONG / 2, LONG - Duration::from_secs(1)] {
        ask(&mut connection, &mut device, takes).await;
    }
    for within in [LONG, LONG / 2] {
        let begun = Instant::now();
        assert!(connection.send(request(), begun + within).await.is_none(), "nothing is said");
        assert_eq!(begun.elapsed(), within);
        let (ours, other) = tokio::io::duplex(1 << 16);
        (connection, device) = (over(ours, Arc::default()).await, other);
        ask(&mut connection, &mut device, Duration::ZERO).await;
    }
}

#[tokio::test]
async fn what_is_over_gets_no_task() {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let ours = hyper_util::rt::TokioIo::new(ours);
    let (sender, line) = hyper::client::conn::http1::handshake::<_, Outbound>(ours).await.unwrap();
    let mut connection = Connection::new(sender, async move { drop(line.await) }, Default::default(), 0);
    assert!(connection.is_free().await);
    drop(theirs);
    assert!(!connection.is_free().await);
    connection.go_apart();
    assert!(!connection.is_apart);
}
