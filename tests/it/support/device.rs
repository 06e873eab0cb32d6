//! A twin on a port.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use keyward::twin::{Certificate, Served, Twin, serve};

/// Any free port of the loopback.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A simulated device over TLS, with what it takes to configure it.
pub(crate) struct Device {
    pub(crate) twin: Arc<dyn Twin>,
    pub(crate) served: Served,
    pub(crate) certificate: Certificate,
}

impl Device {
    pub(crate) fn new(twin: Arc<dyn Twin>) -> Self {
        Self::showing(twin, Certificate::self_signed().unwrap())
    }

    pub(crate) fn showing(twin: Arc<dyn Twin>, certificate: Certificate) -> Self {
        let served = serve(Arc::clone(&twin).face(), Some(certificate.clone()), ANY_PORT).unwrap();
        Self { twin, served, certificate }
    }

    /// Its table in proxy.toml, with more lines of its own.
    pub(crate) fn table(&self, name: &str, more: &str) -> String {
        let (vendor, url, stanza) = (self.twin.vendor(), self.served.url(), self.twin.stanza());
        format!("[devices.{name}]\nvendor = \"{vendor}\"\nurl = \"{url}\"\n{stanza}{more}\n")
    }

    /// The device comes back at its address with this certificate; its twin is the same.
    pub(crate) async fn shows(&mut self, certificate: Certificate) {
        let address = self.served.address;
        let served = std::mem::replace(&mut self.served, serve(Arc::clone(&self.twin).face(), None, ANY_PORT).unwrap());
        served.stop().await;
        self.served = serve(Arc::clone(&self.twin).face(), Some(certificate.clone()), address).unwrap();
        self.certificate = certificate;
    }
}
