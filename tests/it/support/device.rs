//! A twin on a port.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use keyward::twin::{Certificate, Served, Twin, serve};
use tokio::net::TcpSocket;

/// Any free port of the loopback.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A simulated device over TLS, with what it takes to configure it.
pub(crate) struct Device {
    pub(crate) twin: Arc<dyn Twin>,
    pub(crate) certificate: Certificate,
    address: SocketAddr,
    served: Option<Served>,
    /// Keeps the port while the device is off.
    kept: Option<Kept>,
}

impl Device {
    pub(crate) fn new(twin: Arc<dyn Twin>) -> Self {
        Self::showing(twin, Certificate::self_signed().unwrap())
    }

    pub(crate) fn showing(twin: Arc<dyn Twin>, certificate: Certificate) -> Self {
        let served = serve(Arc::clone(&twin).face(), Some(certificate.clone()), ANY_PORT).unwrap();
        Self { twin, certificate, address: served.address, served: Some(served), kept: None }
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Its address as `Host` has it.
    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
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
        self.kept = Some(Kept::at(self.address));
    }

    /// It comes back at its address; what it remembers is its twin's affair.
    pub(crate) fn come_back(&mut self) {
        self.kept = None;
        let certificate = Some(self.certificate.clone());
        self.served = Some(serve(Arc::clone(&self.twin).face(), certificate, self.address).unwrap());
    }

    /// It comes back with this certificate.
    pub(crate) async fn shows(&mut self, certificate: Certificate) {
        self.leave().await;
        self.certificate = certificate;
        self.come_back();
    }
}

/// A port that refuses connections, and that nobody else gets meanwhile.
pub(crate) struct Kept(TcpSocket);

impl Kept {
    pub(crate) fn new() -> Self {
        Self::at(ANY_PORT)
    }

    fn at(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // What lingers of former connections is no hindrance; whoever asks for any free port later is not to get this.
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        socket.set_reuseaddr(false).unwrap();
        Self(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}
