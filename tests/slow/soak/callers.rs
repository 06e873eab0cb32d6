//! Those who ask.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::dice::Dice;
use super::errands::{Ending, Errand};
use super::ledger::Ledger;
use super::plant::Park;
use crate::it::support::Line;

/// Longer than any device may take, and then a little.
const DEADLINE: Duration = Duration::from_secs(60);
/// Of a hundred requests so many go over the connection of the one before.
const KEPT: u64 = 70;

pub(super) struct Callers {
    running: JoinSet<()>,
    over: CancellationToken,
}

impl Callers {
    pub(super) fn start(
        count: u64,
        address: SocketAddr,
        seed: u64,
        park: &Arc<Park>,
        ledger: &Arc<Ledger>,
    ) -> Self {
        let over = CancellationToken::new();
        let mut running = JoinSet::new();
        for nth in 0..count {
            let (park, ledger, over) = (Arc::clone(park), Arc::clone(ledger), over.clone());
            running.spawn(async move { call(address, Dice::new(seed, nth), &park, &ledger, &over).await });
        }
        Self { running, over }
    }

    /// Everybody gets the answer to the last question.
    pub(super) async fn stop(self) {
        self.over.cancel();
        self.running.join_all().await;
    }
}

async fn call(address: SocketAddr, mut dice: Dice, park: &Park, ledger: &Ledger, over: &CancellationToken) {
    let mut kept = None;
    while !over.is_cancelled() {
        let mut line = match kept.take() {
            Some(line) => line,
            None => Line::to(address).await,
        };
        let plant = dice.pick(&park.plants);
        let errand = Errand::draw(&mut dice);
        let begun = Instant::now();
        let ended = timeout(DEADLINE, errand.run(plant, &mut line, &mut dice)).await;
        let ending = ended.unwrap_or_else(|_| Ending::Wrong("no answer in time".to_owned()));
        let is_over = matches!(errand, Errand::WebSocket | Errand::Events | Errand::LargeUpload);
        if matches!(ending, Ending::Right)
            && !is_over
            && errand != Errand::BrokenBody
            && dice.roll(100) < KEPT
        {
            kept = Some(line);
        }
        ledger.note(plant, errand, ending, begun);
    }
}
