//! Our own accept loop: with a bound on connections, and a rest where there is nothing to accept them with. `axum::serve`
//! has neither, nor the deadlines of what follows.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::connection;
use super::doorman::Doorman;
use crate::gateway::admit::DoorId;
use crate::gateway::front::Front;

/// So long at the most after a failed accept (no descriptors left, say) to let others finish.
const BREATHER: Duration = Duration::from_millis(100);
/// After so long without a failed accept it is over, and not only between two of them.
const CALM: Duration = Duration::from_secs(1);

/// What every door leads into.
pub(super) struct Hall {
    /// What answers.
    pub(super) front: Front,
    pub(super) doorman: Arc<Doorman>,
    /// Cancelled when all is ready to serve: who comes before waits.
    pub(super) begun: CancellationToken,
    /// Cancelled when keyward is told to stop.
    pub(super) closing: CancellationToken,
    /// Cancelled when nothing is waited for any longer.
    pub(super) gone: CancellationToken,
    pub(super) connections: TaskTracker,
}

impl Hall {
    /// Nothing is waited for any longer.
    pub(super) fn close(&self) {
        self.gone.cancel();
        self.doorman.close();
    }
}

/// One door, as its connections have to know it.
pub(super) struct Entrance {
    pub(super) id: Arc<DoorId>,
    /// How it speaks TLS; nothing: plain HTTP.
    pub(super) tls: Arc<ArcSwapOption<ServerConfig>>,
    /// Cancelled when this door is closed.
    pub(super) ending: CancellationToken,
}

/// Accepts connections until all is over, or this door is.
pub(super) async fn serve(listener: TcpListener, entrance: Entrance, hall: Arc<Hall>) {
    hall.gone.run_until_cancelled(hall.begun.cancelled()).await;
    // While keyward stops it goes on, to say that it does.
    let is_closed = || entrance.ending.is_cancelled() && !hall.closing.is_cancelled();
    let mut outage = Outage::default();
    while !is_closed() {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = entrance.ending.cancelled(), if !hall.closing.is_cancelled() => continue,
            () = hall.gone.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            // The caller is gone already; the next one is not to wait for that.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => {
                outage.failed(&error);
                // Whoever gives way leaves a descriptor behind; where nobody does, all there is to do is to wait.
                drop(timeout(BREATHER, hall.doorman.make_room()).await);
                continue;
            }
        };
        outage.accepted();
        // A door that is closed meanwhile keeps nobody waiting; while keyward stops there is an answer for all.
        let seat = match entrance.ending.run_until_cancelled(hall.doorman.seat()).await {
            Some(seat) => seat,
            None if hall.closing.is_cancelled() => hall.doorman.seat().await,
            None => return,
        };
        let connection = connection(stream, Arc::clone(&seat), hall.front.clone(), &entrance);
        seat.is_run_by(hall.connections.spawn(connection).abort_handle());
    }
}

/// A time in which connections can't be accepted: the log has one line for its beginning and one for its end.
#[derive(Default)]
struct Outage {
    /// How many times it failed, and when last.
    failures: Option<(u64, Instant)>,
}

impl Outage {
    fn failed(&mut self, error: &io::Error) {
        let former = self.failures.map_or(0, |(failures, _)| failures);
        if former == 0 {
            tracing::warn!(%error, "connections can't be accepted: those that wait longest for their requests give way");
        }
        self.failures = Some((former + 1, Instant::now()));
    }

    fn accepted(&mut self) {
        if let Some((failures, last)) = self.failures
            && last.elapsed() >= CALM
        {
            tracing::info!(failures, "connections are accepted again");
            self.failures = None;
        }
    }
}
