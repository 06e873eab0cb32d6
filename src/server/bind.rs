//! Listening at an address.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, lookup_host};

use crate::config::Address;

/// As many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Listens at every address of a name; `only_v6`: IPv4 is seen to by another door.
pub(super) async fn bind(listen: &Address, only_v6: bool) -> io::Result<Vec<TcpListener>> {
    let addresses: Vec<_> = lookup_host((listen.host.as_str(), listen.port)).await?.collect();
    let mut bound: Vec<TcpListener> = Vec::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for mut address in addresses {
        // A free port is the same for every address of a name.
        if let Some(Ok(first)) = bound.first().map(TcpListener::local_addr) {
            address.set_port(first.port());
        }
        match bind_one(address, only_v6) {
            Ok(listener) => bound.push(listener),
            // A name may have an address of a family that is turned off here.
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => last = error,
            Err(error) => return Err(error),
        }
    }
    if bound.is_empty() { Err(last) } else { Ok(bound) }
}

fn bind_one(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // After a restart the former one's connections may still be in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
