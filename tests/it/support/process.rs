//! The binary itself, with an environment and a folder of its own.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
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
    /// What a shell does first, if anything.
    first: Option<String>,
    /// What it gets as its standard input.
    stdin: Option<OwnedFd>,
}

/// A command that goes on. It is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    out: watch::Receiver<String>,
    err: watch::Receiver<String>,
}

impl Process {
    pub(crate) fn new(text: &str) -> Self {
        let process =
            Self { folder: tempfile::tempdir().unwrap(), environment: Vec::new(), first: None, stdin: None };
        process.write(text);
        process
    }

    /// With this variable beside the few that every process needs.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// After these words to a shell, `ulimit` say, whose process it takes over.
    pub(crate) fn after(mut self, first: impl Into<String>) -> Self {
        self.first = Some(first.into());
        self
    }

    /// With this as its standard input.
    pub(crate) fn given(mut self, stdin: OwnedFd) -> Self {
        self.stdin = Some(stdin);
        self
    }

    /// Writes proxy.toml anew, in one step: whoever reads it meanwhile has the old one.
    pub(crate) fn write(&self, text: &str) {
        let whole = self.path("proxy.toml.new");
        std::fs::write(&whole, format!("listen = \"127.0.0.1:0\"\n{text}")).unwrap();
        std::fs::rename(whole, self.path("proxy.toml")).unwrap();
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a command.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut child = self.spawn(arguments, Stdio::piped());
        let out = gather(child.stdout.take().unwrap());
        let err = gather(child.stderr.take().unwrap());
        Running { child, out, err }
    }

    /// Starts a command whose log goes there.
    pub(crate) fn spawn(&self, arguments: &[&str], err: impl Into<Stdio>) -> Child {
        std::fs::create_dir_all(self.path("tmp")).unwrap();
        self.program()
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("TMPDIR", self.path("tmp"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(self.stdin.as_ref().map_or(Stdio::null(), |stdin| stdin.try_clone().unwrap().into()))
            .stdout(Stdio::piped())
            .stderr(err)
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    fn program(&self) -> Command {
        const PROGRAM: &str = env!("CARGO_BIN_EXE_keyward");
        let Some(first) = &self.first else { return Command::new(PROGRAM) };
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("{first}; exec \"$0\" \"$@\""), PROGRAM]);
        shell
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

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        self.err.borrow().clone()
    }

    /// Waits until it is printed, and gives all that is.
    pub(crate) async fn prints(&self, words: &str) -> String {
        said(&self.out, words).await
    }

    /// Where a server listens, once it does.
    pub(crate) async fn address(&self) -> SocketAddr {
        address_in(&self.logs("listens on http://").await, "listens on http://")
    }

    /// Its number among the processes.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("a process that runs")
    }

    /// Sends a signal by its name.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args([format!("-{name}"), id]).status().await.unwrap();
        assert!(sent.success());
    }

    /// Kills it, and waits until nothing of it is left.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
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
