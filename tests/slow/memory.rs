//! How much memory it takes to carry much, and to hold many.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::it::support::{Ask, Line, Process};
use crate::soak::vitals::memory;

/// What is carried, and how much more memory that may take at any time of it.
const MUCH: u64 = 1 << 30;
const FOR_MUCH: u64 = 16 << 20;
/// As many connections as there may be, and how much more memory they may take: of those that rest hyper has no buffers.
const MANY: usize = 256;
const FOR_MANY: u64 = 5 << 19;
/// So many of them come one right after the other, and so long after these the next: by then they rest.
const AT_ONCE: usize = 16;
const UNTIL_REST: Duration = Duration::from_millis(50);
/// So often memory is looked at.
const LOOK: u64 = 32 << 20;
const PIECE: usize = 64 << 10;

/// A device that sends as many bytes as its path says, or takes as many as there are.
async fn device() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let mut sent: u64 = head.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
    if head.starts_with("post") {
        let mut piece = vec![0; PIECE];
        while sent > 0 {
            sent -= stream.read(&mut piece).await? as u64;
        }
        return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    }
    let told = format!("HTTP/1.1 200 OK\r\nContent-Length: {sent}\r\nConnection: close\r\n\r\n");
    stream.write_all(told.as_bytes()).await?;
    let piece = vec![b'x'; PIECE];
    while sent > 0 {
        let length = sent.min(PIECE as u64);
        stream.write_all(&piece[..usize::try_from(length).unwrap()]).await?;
        sent -= length;
    }
    Ok(())
}

/// The most memory that the process has in use while so many bytes come from the device.
async fn download(address: SocketAddr, process: u32, bytes: u64) -> u64 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let asked = format!("GET /meter/{bytes} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.unwrap();
    let (mut piece, mut read, mut looked, mut most) = (vec![0; PIECE], 0, 0, memory(process));
    loop {
        match stream.read(&mut piece).await.unwrap() as u64 {
            0 => break,
            length => read += length,
        }
        if read - looked >= LOOK {
            looked = read;
            most = most.max(memory(process));
        }
    }
    assert!((bytes..bytes + 2000).contains(&read), "{read} bytes");
    most.max(memory(process))
}

/// The same while so many bytes go to the device.
async fn upload(address: SocketAddr, process: u32, bytes: u64) -> u64 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /meter/{bytes} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b'x'; PIECE];
    let (mut left, mut most) = (bytes, memory(process));
    while left > 0 {
        stream.write_all(&piece).await.unwrap();
        left -= PIECE as u64;
        if left % LOOK == 0 {
            most = most.max(memory(process));
        }
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    most.max(memory(process))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_either_way_and_as_many_connections_as_may_be_take_little_memory() {
    let device = device().await;
    let process = Process::new(&format!("[devices.meter]\nvendor = \"open\"\nurl = \"http://{device}\"\n"));
    let server = process.start(&["run"]);
    let (address, id) = (server.address().await, server.id());
    // What every process takes for its first request is not counted.
    download(address, id, LOOK).await;
    upload(address, id, LOOK).await;
    for (what, before, most) in [
        ("from", memory(id), download(address, id, MUCH).await),
        ("to", memory(id), upload(address, id, MUCH).await),
    ] {
        println!("{what} the device: {} KiB, then {} KiB at the most", before >> 10, most >> 10);
        assert!(most <= before + FOR_MUCH, "{what} the device: {before}, then {most}");
    }
    let before = memory(id);
    let mut idle = Vec::new();
    for nth in 0..MANY {
        let mut line = Line::to(address).await;
        assert_eq!(line.ask(&Ask::get("/healthz")).await.unwrap().status, 200);
        if nth % AT_ONCE == 0 {
            assert!(timeout(UNTIL_REST, line.some()).await.is_err(), "who rests hears nothing");
        }
        idle.push(line);
    }
    let after = memory(id);
    println!("{MANY} connections: {} KiB, then {} KiB", before >> 10, after >> 10);
    assert!(after <= before + FOR_MANY, "{before}, then {after}");
    // None of them had to give way.
    for line in &mut idle {
        assert_eq!(line.ask(&Ask::get("/healthz")).await.unwrap().status, 200);
    }
}
