//! Doors as a configuration wants them.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::TcpListener;

use crate::config::Location;
use crate::gateway::admit::DoorId;
use crate::server::StartError;
use crate::server::bind::bind;

/// All of them.
pub(in crate::server) struct Plan(pub(super) Vec<Planned>);

pub(super) struct Planned {
    pub(super) id: DoorId,
    /// What says that it is to be.
    pub(super) at: Location,
    pub(super) only_v6: bool,
    pub(super) device: Option<String>,
    pub(super) ingress: bool,
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) is_open: bool,
    pub(super) bound: Vec<TcpListener>,
}

impl Planned {
    pub(super) fn is_missing(&self) -> bool {
        !self.is_open && self.bound.is_empty()
    }
}

/// Binds what is missing; what can't be for a reason that `may_pass` still is.
pub(super) async fn bind_missing(
    plan: &mut [Planned],
    may_pass: fn(&io::Error) -> bool,
) -> Result<(), StartError> {
    for door in plan.iter_mut().filter(|door| door.is_missing()) {
        match bind(&door.id.listen, door.only_v6).await {
            Ok(bound) => door.bound = bound,
            Err(error) if may_pass(&error) => {}
            Err(source) => {
                let (at, address) = (door.at.clone(), door.id.listen.to_string());
                return Err(StartError::Listen { at, address, source });
            }
        }
    }
    Ok(())
}
