//! An error of keyward's own: it costs the request that met it, and nothing else.

use std::sync::Arc;

use async_trait::async_trait;
use http::{request, response};
use keyward::clock::Clock;
use keyward::config::{self, Environment};
use keyward::server::Server;
use keyward::twin::generic::{Generic, Scheme};
use keyward::vendor::{Account, Asked, Moment, Refusal, Registry, Session, Vendor, Verdict, Visit};
use tokio_util::sync::CancellationToken;

use crate::support::{Ask, Device, Line};

/// A make with mistakes in it, of which a path brings each to light.
struct Mistaken(Arc<dyn Vendor>);

#[async_trait]
impl Vendor for Mistaken {
    fn account(&self) -> Account<'_> {
        self.0.account()
    }

    async fn login(&self, visit: &Visit<'_>) -> Result<Session, Refusal> {
        self.0.login(visit).await
    }

    fn sign(&self, held: &Session, moment: Moment<'_>, head: &mut request::Parts) -> Result<(), Refusal> {
        assert!(!head.uri.path().ends_with("/sign"), "as a test wants it");
        self.0.sign(held, moment, head)
    }

    fn judge(&self, held: &Session, asked: &Asked<'_>, answered: &response::Parts) -> Verdict {
        assert!(!asked.path.ends_with("/judge"), "as a test wants it");
        self.0.judge(held, asked, answered)
    }
}

#[tokio::test]
async fn an_error_of_its_own_costs_one_request_and_leaves_nothing_behind() {
    let device = Device::new(Generic::new(Scheme::Bearer));
    let folder = tempfile::tempdir().unwrap();
    let table = device.table("meter", "max_connections = 1\nmax_waiting = 1\n");
    let text = format!("listen = \"127.0.0.1:0\"\n{table}");
    let mut config =
        config::parse(&text, &folder.path().join("proxy.toml"), &Environment::default(), &Registry).unwrap();
    let driver = &mut config.devices[0].driver;
    driver.vendor = Arc::new(Mistaken(Arc::clone(&driver.vendor)));
    let server = Server::bind(config, Clock::of_runtime(), Vec::new()).await.unwrap();
    let (address, _) = server.addresses()[0];
    let stop = CancellationToken::new();
    let running = tokio::spawn(server.run(stop.clone().cancelled_owned()));
    let mut line = Line::to(address).await;
    for _ in 0..10 {
        for mistake in ["sign", "judge"] {
            let ask = Ask::get(format!("/meter/twin/echo/{mistake}"));
            let problem = line.ask(&ask).await.unwrap().problem();
            assert_eq!(problem.fault, "internal", "{mistake}");
            assert!(!problem.detail.contains("as a test wants it"), "{}", problem.detail);
            // On the same connection, and by the only one there is to the device.
            assert_eq!(line.ask(&Ask::get("/meter/twin/sample")).await.unwrap().status, 200);
        }
    }
    device.served().settles(1).await;
    stop.cancel();
    running.await.unwrap();
}
