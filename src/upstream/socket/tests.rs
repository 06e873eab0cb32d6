use std::future::poll_fn;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

async fn pair() -> (Socket, TcpStream, Arc<News>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (theirs, _) = listener.accept().await.unwrap();
    let news = Arc::<News>::default();
    (Socket::new(ours, Arc::clone(&news)), theirs, news)
}

fn read(socket: &mut Socket, waker: &Waker) -> Option<usize> {
    let mut room = [0; 16];
    let mut buffer = ReadBuf::new(&mut room);
    let read = Pin::new(socket).poll_read(&mut Context::from_waker(waker), &mut buffer);
    read.is_ready().then(|| buffer.filled().len())
}

#[tokio::test]
async fn what_comes_ends_the_quiet_and_rings_whoever_read_it() {
    let (mut socket, mut theirs, news) = pair().await;
    assert_eq!(read(&mut socket, Waker::noop()), None);
    news.ring();
    assert!(!news.is_quiet(), "what comes now rings for nobody");
    for _ in 0..2 {
        assert_eq!(read(&mut socket, Waker::noop()), None);
        assert!(news.is_quiet());
        theirs.write_all(b"x").await.unwrap();
        poll_fn(|context| {
            news.bell.wakes(context.waker());
            if news.is_quiet() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        assert_eq!(read(&mut socket, Waker::noop()), Some(1));
        assert!(!news.is_quiet(), "there may be more");
    }
}

#[tokio::test]
async fn where_nothing_rings_whoever_reads_is_woken() {
    let (mut socket, mut theirs, _) = pair().await;
    theirs.write_all(b"x").await.unwrap();
    assert_eq!(socket.read_u8().await.unwrap(), b'x');
    let ours = tokio::spawn(async move { socket.read_u8().await.unwrap() });
    tokio::task::yield_now().await;
    theirs.write_all(b"y").await.unwrap();
    assert_eq!(ours.await.unwrap(), b'y');
}

#[tokio::test]
async fn where_something_is_left_to_send_it_is_not_quiet() {
    let (mut socket, mut theirs, news) = pair().await;
    news.ring();
    assert_eq!(read(&mut socket, Waker::noop()), None);
    let much = vec![0; 64 * 1024];
    let mut write = || Pin::new(&mut socket).poll_write(&mut Context::from_waker(Waker::noop()), &much);
    while write().is_ready() {}
    assert!(!news.is_quiet());
    drop(theirs.shutdown().await);
}
