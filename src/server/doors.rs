//! The doors: bound, open, and exchanged when the configuration changes.

mod plan;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::StartError;
use super::accept::{self, Entrance, Hall};
use super::bind::bind;
use super::certificate::OwnCertificate;
use crate::config::Listener;
use crate::disk::plain;
use crate::gateway::admit::DoorId;
pub(super) use plan::Plan;
use plan::{Planned, bind_missing};

/// The host that is every address of IPv4, and the one that is every address at all, unless told otherwise.
const EVERY_V4: &str = "0.0.0.0";
const EVERY_ADDRESS: &str = "::";

/// All doors.
pub struct Doors {
    hall: Arc<Hall>,
    certificate: OwnCertificate,
    /// What a service manager has bound for us. It has them too and goes on listening there, so that no other socket can
    /// be bound there: they are kept for whichever configuration names them.
    handed: Vec<StdListener>,
    open: Mutex<Vec<Open>>,
}

/// A door that is open.
struct Open {
    id: Arc<DoorId>,
    /// Whether another door has IPv4 at its port.
    only_v6: bool,
    addresses: Vec<SocketAddr>,
    tls: Arc<ArcSwapOption<ServerConfig>>,
    ending: CancellationToken,
    accepting: Vec<JoinHandle<()>>,
}

impl Doors {
    /// `handed` are sockets that a service manager has bound.
    pub(super) fn new(hall: Arc<Hall>, certificate: OwnCertificate, handed: Vec<StdListener>) -> Self {
        Self { hall, certificate, handed, open: Mutex::default() }
    }

    /// Where each door listens and whether it speaks TLS, in the order of the configuration.
    pub fn addresses(&self) -> Vec<(SocketAddr, bool)> {
        let each = |door: &Open| {
            let secure = door.tls.load().is_some();
            door.addresses.iter().map(move |address| (*address, secure)).collect::<Vec<_>>()
        };
        self.open.lock().iter().flat_map(each).collect()
    }

    /// What each of these doors needs to speak TLS. Reads files.
    ///
    /// # Errors
    /// What can't be used, and what to do.
    pub(super) fn settings(&self, wanted: &[Listener]) -> Result<Vec<Option<Arc<ServerConfig>>>, String> {
        let settings = |door: &Listener| {
            let tls = door.tls.as_ref().map(|tls| self.certificate.settings(tls)).transpose();
            tls.map_err(|error| unusable(door, &error))
        };
        wanted.iter().map(settings).collect()
    }

    /// Prepares doors, `tls` being their [`Self::settings`], and binds those that are not open yet.
    ///
    /// # Errors
    /// What can't be bound or used. All doors are then as they were.
    pub(super) async fn plan(
        &self,
        wanted: &[Listener],
        tls: Vec<Option<Arc<ServerConfig>>>,
    ) -> Result<Plan, StartError> {
        let ids = DoorId::of(wanted.iter().map(|door| &door.listen));
        let planned = ids.into_iter().zip(tls).zip(wanted).map(|((id, tls), door)| {
            let has_v4 =
                |other: &Listener| other.listen.port == door.listen.port && other.listen.host == EVERY_V4;
            let only_v6 = door.listen.host == EVERY_ADDRESS && wanted.iter().any(has_v4);
            let is_open = self.open.lock().iter().any(|open| open.is(&id, only_v6) && open.listens());
            let (at, device) = (door.listen_at.clone(), door.device.clone());
            Planned { id, at, only_v6, device, ingress: door.ingress, tls, is_open, bound: Vec::new() }
        });
        let mut plan: Vec<_> = planned.collect();
        self.hand_out(&mut plan)?;
        // What can be bound is, before anything is closed: a door that was opened by root can't be opened again.
        bind_missing(&mut plan, |error| error.kind() == io::ErrorKind::AddrInUse).await?;
        self.make_way(&plan).await;
        if let Err(error) = bind_missing(&mut plan, |_| false).await {
            // What it has bound may be in the way.
            drop(plan);
            self.restore().await;
            return Err(error);
        }
        Ok(Plan(plan))
    }

    /// Opens the doors of a plan and closes all others. Connections by the latter end when what is under way has.
    pub(super) fn open(&self, plan: Plan) {
        let mut former = std::mem::take(&mut *self.open.lock());
        let doors = plan.0.into_iter().map(|planned| {
            let kept =
                former.iter().position(|open| planned.is_open && open.is(&planned.id, planned.only_v6));
            match kept.map(|at| former.swap_remove(at)) {
                Some(open) => {
                    open.tls.store(planned.tls);
                    open
                }
                None => {
                    let mut open = Open::new(planned.id, planned.only_v6, planned.tls, &self.hall);
                    open.listen(planned.bound, &self.hall);
                    open.introduce(planned.device.as_deref(), planned.ingress);
                    open
                }
            }
        });
        let doors: Vec<_> = doors.collect();
        for gone in former {
            tracing::info!("keyward no longer listens on {}", gone.id.listen);
            gone.ending.cancel();
        }
        *self.open.lock() = doors;
    }

    /// Hands out the sockets that are no open door's: each is the door of its address, or else of its port, whatever its
    /// address; one that is nobody's at the start is the first door.
    fn hand_out(&self, plan: &mut [Planned]) -> Result<(), StartError> {
        let open = self.open.lock();
        for socket in &self.handed {
            let refused = |error: io::Error| {
                StartError::Configuration(format!("a socket that was handed over: {}", plain(&error)))
            };
            let address = socket.local_addr().map_err(refused)?;
            let stays = |door: &Open| door.addresses.contains(&address) && door.is_kept_by(plan);
            if open.iter().any(stays) {
                continue;
            }
            let (host, port) = (address.ip().to_string(), address.port());
            let of_port = |door: &Planned| !door.is_open && door.id.listen.port == port;
            let of_address = |door: &Planned| of_port(door) && door.id.listen.host == host;
            let at = plan.iter().position(of_address).or_else(|| plan.iter().position(of_port));
            let at = at.or(open.is_empty().then_some(0));
            let Some(door) = at.and_then(|at| plan.get_mut(at)) else { continue };
            let socket = socket.try_clone().map_err(refused)?;
            socket.set_nonblocking(true).map_err(refused)?;
            door.bound.push(TcpListener::from_std(socket).map_err(refused)?);
        }
        Ok(())
    }

    /// Closes doors that a plan has no use for and whose port one of its new doors wants. Where a handed socket is, nothing
    /// would come of it.
    async fn make_way(&self, plan: &[Planned]) {
        let handed: Vec<_> = self.handed.iter().filter_map(|socket| socket.local_addr().ok()).collect();
        let is_wanted = |open: &Open| {
            let port = open.id.listen.port;
            !open.is_kept_by(plan)
                && !open.addresses.iter().any(|address| handed.contains(address))
                && plan.iter().any(|door| door.is_missing() && door.id.listen.port == port)
        };
        let accepting: Vec<_> = {
            let mut doors = self.open.lock();
            doors
                .iter_mut()
                .filter(|open| is_wanted(open))
                .flat_map(|open| open.accepting.drain(..))
                .collect()
        };
        for task in accepting {
            task.abort();
            // Its listener goes with it.
            drop(task.await);
        }
    }

    /// Opens again what was closed to make way.
    async fn restore(&self) {
        let closed: Vec<_> = {
            let doors = self.open.lock();
            let closed = doors.iter().filter(|open| !open.listens());
            closed.map(|open| (Arc::clone(&open.id), open.only_v6)).collect()
        };
        for (id, only_v6) in closed {
            match bind(&id.listen, only_v6).await {
                Ok(bound) => {
                    if let Some(open) = self.open.lock().iter_mut().find(|open| open.id == id) {
                        open.listen(bound, &self.hall);
                    }
                }
                Err(error) => tracing::error!(
                    listen = %id.listen,
                    %error,
                    "a door that made way could not be opened again"
                ),
            }
        }
    }

    /// Closes what is still open: its ports are free then.
    pub(super) async fn close(&self) {
        let accepting: Vec<_> =
            self.open.lock().iter_mut().flat_map(|open| open.accepting.drain(..)).collect();
        for task in accepting {
            task.abort();
            drop(task.await);
        }
    }

    /// Whether every door is open.
    pub(super) fn all_listen(&self) -> bool {
        self.open.lock().iter().all(Open::listens)
    }
}

impl Open {
    fn new(id: DoorId, only_v6: bool, tls: Option<Arc<ServerConfig>>, hall: &Hall) -> Self {
        Self {
            id: Arc::new(id),
            only_v6,
            addresses: Vec::new(),
            tls: Arc::new(ArcSwapOption::new(tls)),
            ending: hall.closing.child_token(),
            accepting: Vec::new(),
        }
    }

    fn is(&self, id: &DoorId, only_v6: bool) -> bool {
        *self.id == *id && self.only_v6 == only_v6
    }

    fn is_kept_by(&self, plan: &[Planned]) -> bool {
        plan.iter().any(|door| door.is_open && self.is(&door.id, door.only_v6))
    }

    fn listens(&self) -> bool {
        !self.accepting.is_empty()
    }

    /// Tells in the log where it is and what it leads to.
    fn introduce(&self, device: Option<&str>, ingress: bool) {
        let scheme = if self.tls.load().is_some() { "https" } else { "http" };
        for address in &self.addresses {
            match device {
                Some(device) => tracing::info!("{scheme}://{address}/ is {device}, from its root on"),
                None if ingress => tracing::info!("{scheme}://{address}/ is for Home Assistant's ingress"),
                None => tracing::info!(
                    version = env!("CARGO_PKG_VERSION"),
                    "keyward listens on {scheme}://{address}"
                ),
            }
        }
    }

    fn listen(&mut self, bound: Vec<TcpListener>, hall: &Arc<Hall>) {
        self.addresses = bound.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        for listener in bound {
            let entrance = Entrance {
                id: Arc::clone(&self.id),
                tls: Arc::clone(&self.tls),
                ending: self.ending.clone(),
            };
            self.accepting.push(tokio::spawn(accept::serve(listener, entrance, Arc::clone(hall))));
        }
    }
}

/// What is said of a door whose certificate can't be shown.
pub(super) fn unusable(door: &Listener, why: &str) -> String {
    format!("{}: {why}", door.tls_at)
}
