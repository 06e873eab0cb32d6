//! A real server on a free port, with folders of its own.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keyward::clock::Clock;
use keyward::config::{self, Config, Environment};
use keyward::gateway::House;
use keyward::gateway::front::{Front, front};
use keyward::server::operate::{Instruction, Outcome, carry_out};
use keyward::server::reload::Reloader;
use keyward::server::{Server, StartError};
use keyward::vendor::{Driver, Registry};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::{Ask, Line, Reply};

/// A server and its folder. `certs` and `state` stay when it is started again.
pub(crate) struct Lab {
    folder: TempDir,
    text: String,
    clock: Option<Clock>,
    running: Option<Running>,
}

struct Running {
    address: SocketAddr,
    reloader: Arc<Reloader>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Lab {
    /// A server that runs with this proxy.toml.
    pub(crate) async fn new(text: &str) -> Self {
        let mut lab =
            Self { folder: tempfile::tempdir().unwrap(), text: text.to_owned(), clock: None, running: None };
        lab.start().await;
        lab
    }

    /// Starts it with the folders as they are.
    pub(crate) async fn start(&mut self) {
        let clock = self.clock.unwrap_or_else(Clock::of_runtime);
        let server = loop {
            match Server::bind(self.read().unwrap(), clock, Vec::new()).await {
                // A process that another test is starting has a copy of the lock until its program begins.
                Err(StartError::Locked(_)) => tokio::task::yield_now().await,
                bound => break bound.unwrap(),
            }
        };
        let ((address, _), reloader) = (server.addresses()[0], server.reloader());
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.run(stop.clone().cancelled_owned()));
        self.running = Some(Running { address, reloader, stop, task });
    }

    /// Tells it to stop, as SIGTERM does.
    pub(crate) fn begin_to_stop(&self) {
        self.running().stop.cancel();
    }

    /// Tells it to stop and waits until it has.
    pub(crate) async fn stop(&mut self) {
        self.begin_to_stop();
        self.running.take().unwrap().task.await.unwrap();
    }

    /// Ends it as SIGKILL does: no session is ended, nothing is saved.
    pub(crate) async fn kill(&mut self) {
        let running = self.running.take().unwrap();
        running.task.abort();
        drop(running.task.await);
    }

    /// Ends it and starts it with the folders as they are.
    pub(crate) async fn restart(&mut self, end: End) {
        match end {
            End::Stopped => self.stop().await,
            End::Killed => self.kill().await,
        }
        self.start().await;
    }

    /// From the next start on, this is what time it is.
    pub(crate) fn set_clock(&mut self, clock: Clock) {
        self.clock = Some(clock);
    }

    /// Another proxy.toml, taken over while it runs or read at the next start.
    pub(crate) async fn reconfigure(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        if let Some(running) = &self.running {
            let read = self.read();
            running.reloader.take_over(move || read).await;
        }
    }

    fn read(&self) -> Result<Config<Driver>, String> {
        let text = format!("listen = \"127.0.0.1:0\"\n{}", self.text);
        config::parse(&text, &self.path("proxy.toml"), &Environment::default(), &Registry)
            .map_err(|errors| errors.to_string())
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("a server that runs")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running().address
    }

    /// What everything comes in by, whoever sends it.
    pub(crate) fn front(&self) -> Front {
        front(Arc::clone(&self.running().reloader.gateway))
    }

    /// What a request may need to know, as it is now.
    pub(crate) fn house(&self) -> Arc<House> {
        self.running().reloader.gateway.house.load_full()
    }

    /// What `/metrics` would say, but for what it asks of the keepers.
    pub(crate) fn figures(&self) -> String {
        self.running().reloader.gateway.metrics.text().unwrap()
    }

    /// Where its doors listen, the first one first.
    pub(crate) fn doors(&self) -> Vec<SocketAddr> {
        self.running().reloader.doors.addresses().into_iter().map(|(address, _)| address).collect()
    }

    /// A path in its folder.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Carries out an operator's order, as `keyward check` and `keyward trust` have it done.
    pub(crate) async fn order(&self, order: Instruction) -> Outcome {
        carry_out(&self.running().reloader.gateway.house.load_full(), order).await
    }

    /// What `keyward check` says of this device: what works, or what does not.
    pub(crate) async fn check(&self, device: &str) -> Result<String, String> {
        match self.order(Instruction::Check { device: device.to_owned() }).await {
            Outcome::Fine(said) => Ok(said),
            Outcome::Failed(said) => Err(said),
            other => panic!("nobody asked for that: {other:?}"),
        }
    }

    /// Asks by one of its doors, counted from the first.
    pub(crate) async fn send_by(&self, door: usize, ask: &Ask) -> Reply {
        Line::to(self.doors()[door]).await.ask(ask).await.unwrap()
    }

    pub(crate) async fn connect(&self) -> Line {
        Line::to(self.address()).await
    }

    /// Asks on a connection of its own.
    pub(crate) async fn send(&self, ask: &Ask) -> Reply {
        self.connect().await.ask(ask).await.unwrap()
    }

    pub(crate) async fn get(&self, target: &str) -> Reply {
        self.send(&Ask::get(target)).await
    }

    /// What `/-/devices` says of this device.
    pub(crate) async fn listed(&self, device: &str) -> serde_json::Value {
        let list = self.get("/-/devices").await.json();
        let mut devices = list["devices"].as_array().unwrap().iter();
        devices.find(|listed| listed["name"] == device).expect("a device of this name").clone()
    }
}

impl Drop for Lab {
    /// What a server was saving when its test ended is written to the end by a thread of its own, and would be left in a
    /// folder that is removed meanwhile. What is gone is not made anew.
    fn drop(&mut self) {
        while let Err(error) = std::fs::remove_dir_all(self.folder.path()) {
            if error.kind() != ErrorKind::DirectoryNotEmpty {
                break;
            }
        }
    }
}

/// How a server ends before it is started again.
#[derive(Clone, Copy)]
pub(crate) enum End {
    /// By SIGTERM: what can be put in order is.
    Stopped,
    /// By SIGKILL.
    Killed,
}

/// Lets so much time go by at once, for sessions and rests alike.
pub(crate) async fn pass(while_: Duration) {
    time::pause();
    time::advance(while_).await;
    time::resume();
}
