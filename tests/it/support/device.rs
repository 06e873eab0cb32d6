//! A twin on a port.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use keyward::twin::{Certificate, Served, Twin, serve};
use tokio::net::TcpSocket;

use super::until;

/// Any free port of the loopback.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A simulated device over TLS, with what it takes to configure it.
pub(crate) struct Device {
    pub(crate) twin: Arc<dyn Twin>,
    pub(crate) certificate: Certificate,
    port: Port,
    served: Option<Served>,
}

impl Device {
    pub(crate) fn new(twin: Arc<dyn Twin>) -> Self {
        Self::showing(twin, Certificate::self_signed().unwrap())
    }

    pub(crate) fn showing(twin: Arc<dyn Twin>, certificate: Certificate) -> Self {
        let mut device = Self { twin, certificate, port: Port::new(), served: None };
        device.listen().unwrap();
        device
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.port.address())
    }

    /// Its address as `Host` has it.
    pub(crate) fn authority(&self) -> String {
        self.port.address().to_string()
    }

    /// Its port, while it is on.
    pub(crate) fn served(&self) -> &Served {
        self.served.as_ref().expect("a device that is on")
    }

    /// Its table in proxy.toml, with more lines of its own.
    pub(crate) fn table(&self, name: &str, more: &str) -> String {
        let (vendor, url, stanza) = (self.twin.vendor(), self.url(), self.twin.stanza());
        format!("[devices.{name}]\nvendor = \"{vendor}\"\nurl = \"{url}\"\n{stanza}{more}\n")
    }

    /// The plug is pulled.
    pub(crate) async fn leave(&mut self) {
        if let Some(served) = self.served.take() {
            served.stop().await;
        }
    }

    /// It comes back at its address; what it remembers is its twin's affair.
    pub(crate) async fn come_back(&mut self) {
        // A process that is being started has a copy of every socket until its program begins, the closed ones too.
        until(|| !self.listen().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)).await;
        self.served();
    }

    fn listen(&mut self) -> io::Result<()> {
        let certificate = Some(self.certificate.clone());
        self.served = Some(serve(Arc::clone(&self.twin).face(), certificate, self.port.address())?);
        Ok(())
    }

    /// It comes back with this certificate.
    pub(crate) async fn shows(&mut self, certificate: Certificate) {
        self.leave().await;
        self.certificate = certificate;
        self.come_back().await;
    }
}

/// A port of its own, which nobody else gets. It refuses connections until somebody listens there.
pub(crate) struct Port(TcpSocket);

impl Port {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Who names this port may listen there beside it; who asks for any port is given another.
        socket.set_reuseaddr(true).unwrap();
        socket.bind(ANY_PORT).unwrap();
        Self(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}
