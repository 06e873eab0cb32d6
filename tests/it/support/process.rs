//! The binary itself, with an environment and a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// Longer than any command of a test takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A folder with a proxy.toml, and what runs there.
pub(crate) struct Process {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// A command that goes on. It is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    out: watch::Receiver<String>,
    err: watch::Receiver<String>,
}

impl Process {
    pub(crate) fn new(text: &str) -> Self {
        let process = Self { folder: tempfile::tempdir().unwrap(), environment: Vec::new() };
        process.write(text);
        process
    }

    /// With this variable beside the few that every process needs.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Writes proxy.toml anew.
    pub(crate) fn write(&self, text: &str) {
        std::fs::write(self.path("proxy.toml"), format!("listen = \"127.0.0.1:0\"\n{text}")).unwrap();
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a command.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyward"));
        command.args(arguments).stdin(Stdio::null());
        self.begin(command)
    }

    /// Runs a script that finds the binary in `$0`.
    pub(crate) fn start_in_shell(&self, script: &str, stdin: Stdio) -> Running {
        let mut command = Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_keyward")]).stdin(stdin);
        self.begin(command)
    }

    fn begin(&self, mut command: Command) -> Running {
        std::fs::create_dir_all(self.path("tmp")).unwrap();
        let mut child = command
            .current_dir(self.folder.path())
            .env_clear()
            .env("TMPDIR", self.path("tmp"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let out = gather(child.stdout.take().unwrap());
        let err = gather(child.stderr.take().unwrap());
        Running { child, out, err }
    }

    /// Carries out a command to its end.
    pub(crate) async fn carry_out(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).ends().await
    }
}

impl Running {
    /// Waits until the log says so, and gives the whole of it.
    pub(crate) async fn logs(&self, words: &str) -> String {
        said(&self.err, words).await
    }

    /// Waits until it is printed, and gives all that is.
    pub(crate) async fn prints(&self, words: &str) -> String {
        said(&self.out, words).await
    }

    /// Where a server listens, once it does.
    pub(crate) async fn address(&self) -> SocketAddr {
        address_in(&self.logs("listens on http://").await, "listens on http://")
    }

    /// Sends a signal by its name.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().expect("a process that runs").to_string();
        let sent = Command::new("kill").args([format!("-{name}"), id]).status().await.unwrap();
        assert!(sent.success());
    }

    pub(crate) async fn ends(mut self) -> Ended {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("an end").unwrap();
        // What was written is read to its end, which comes with that of the process.
        while self.out.changed().await.is_ok() {}
        while self.err.changed().await.is_ok() {}
        Ended { code: status.code(), out: self.out.borrow().clone(), err: self.err.borrow().clone() }
    }
}

/// The address that follows these words.
pub(crate) fn address_in(text: &str, words: &str) -> SocketAddr {
    let (_, rest) = text.split_once(words).unwrap();
    let end =
        rest.find(|letter: char| letter.is_whitespace() || "/\"".contains(letter)).unwrap_or(rest.len());
    rest[..end].parse().unwrap_or_else(|_| panic!("{text}"))
}

async fn said(told: &watch::Receiver<String>, words: &str) -> String {
    let mut told = told.clone();
    let waited = timeout(PATIENCE, told.wait_for(|text| text.contains(words))).await;
    let text = waited.unwrap_or_else(|_| panic!("nobody said {words:?}"));
    text.unwrap_or_else(|_| panic!("it ended without {words:?}")).clone()
}

fn gather(from: impl AsyncRead + Unpin + Send + 'static) -> watch::Receiver<String> {
    let (teller, told) = watch::channel(String::new());
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            teller.send_modify(|text| {
                text.push_str(&line);
                text.push('\n');
            });
        }
    });
    told
}
