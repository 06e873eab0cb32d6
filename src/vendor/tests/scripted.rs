//! A device, or a cloud, that says what it is told to say and remembers what it was asked.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub(super) struct Scripted {
    pub(super) url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Answers the first request with the first of `answers`, and so on; each is a status line and headers, with the
    /// body after an empty line.
    pub(super) async fn new(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (log, answers) =
            (Arc::clone(&asked), answers.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !is_whole(&request) {
                    let mut bytes = [0; 4096];
                    let read = stream.read(&mut bytes).await.unwrap();
                    assert!(read > 0, "the request broke off");
                    request.extend_from_slice(&bytes[..read]);
                }
                log.lock().push(String::from_utf8(request).unwrap());
                let (head, body) = answer.split_once("\n\n").unwrap_or((answer.as_str(), ""));
                let head = head.replace('\n', "\r\n");
                let length = body.len();
                let text =
                    format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        });
        Self { url, asked }
    }

    /// Every request so far, head and body.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    body.len() >= length.map_or(0, |length| length.trim().parse().unwrap())
}
