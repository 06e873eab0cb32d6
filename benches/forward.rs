//! The forward path in instructions: the real server before an HTTPS device, a thousand requests over sixteen
//! connections, counted by valgrind. So the thousands that it prints are those of one request, the same on a busy
//! machine as on an idle one, and it tells how they differ from the run before.
//!
//! The server has a thread of its own and only that is counted: callers and device are other threads.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what fails in a benchmark is to fail loudly")]
#![expect(missing_docs, reason = "what the macros make has none")]

#[path = "peers/device.rs"]
#[expect(dead_code, reason = "nothing is counted at the device here")]
mod device;
#[path = "peers/load.rs"]
#[expect(dead_code, reason = "only what counts requests is of use here")]
mod load;

use std::net::SocketAddr;
use std::thread;

use gungraun::{library_benchmark, library_benchmark_group, main};
use keyward::clock::Clock;
use keyward::config::{self, Environment};
use keyward::server::Server;
use keyward::vendor::Registry;
use tempfile::TempDir;
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use device::{Device, TOKEN};

/// A thousand, so that the thousands of instructions are those of one request.
const REQUESTS: usize = 1_000;

/// A server that runs on this thread, whenever something is waited for there.
struct Gateway {
    runtime: Runtime,
    address: SocketAddr,
    _folder: TempDir,
}

impl Gateway {
    /// With its connections to the device open.
    fn warm() -> Self {
        // As it is logged by default, though to nowhere.
        tracing_subscriber::fmt().with_writer(std::io::sink).init();
        let (device, folder) = (Device::start().unwrap(), tempfile::tempdir().unwrap());
        let text = format!(
            "listen = \"127.0.0.1:0\"\n[devices.device]\nvendor = \"bearer\"\nurl = \"https://{}\"\n\
             token = \"{TOKEN}\"\nacts_on_get = []\nmax_connections = 16\n",
            device.address
        );
        let file = folder.path().join("proxy.toml");
        let config =
            config::parse(&text, &file, &Environment::default(), &Registry).expect("a configuration");
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let address = runtime.block_on(async {
            let server = Server::bind(config, Clock::system(), Vec::new()).await.expect("a server");
            let address = server.addresses().first().expect("a door").0;
            tokio::spawn(server.run(CancellationToken::new().cancelled_owned()));
            address
        });
        let gateway = Self { runtime, address, _folder: folder };
        gateway.carry("/device/small", REQUESTS, 16);
        gateway
    }

    /// Serves until so many requests are answered.
    fn carry(&self, path: &'static str, requests: usize, connections: usize) {
        let (done, is_done) = oneshot::channel();
        let address = self.address;
        thread::spawn(move || done.send(load::exactly(address, path, requests, connections)));
        self.runtime.block_on(is_done).unwrap().expect("answers");
    }
}

#[library_benchmark]
#[bench::small_1(args = ("/device/small", 1), setup = ready)]
#[bench::small_16(args = ("/device/small", 16), setup = ready)]
#[bench::medium_16(args = ("/device/medium", 16), setup = ready)]
fn forward((gateway, path, connections): (Gateway, &'static str, usize)) -> Gateway {
    gateway.carry(path, REQUESTS, connections);
    gateway
}

fn ready(path: &'static str, connections: usize) -> (Gateway, &'static str, usize) {
    (Gateway::warm(), path, connections)
}

library_benchmark_group!(name = path, benchmarks = [forward]);
main!(library_benchmark_groups = path);
