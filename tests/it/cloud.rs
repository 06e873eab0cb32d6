//! The client for vendors' clouds: whom it trusts, and that it goes nowhere else.

use std::sync::Arc;

use keyward::twin::cloud::{Cloud, CloudSettings};
use keyward::twin::enphase::{Enphase, EnphaseSettings};
use keyward::twin::{Authority, Certificate, Served, serve};

use crate::support::{Act, Ask, Device, Lab, Line, Process, Scripted};

/// A cloud that shows this certificate, or speaks plain HTTP, and a gateway whose tokens come from it.
fn cloud(certificate: Option<Certificate>) -> (Arc<Cloud>, Served, Device) {
    let cloud = Cloud::new(CloudSettings::default());
    let served = serve(Arc::clone(&cloud).face(), certificate, "127.0.0.1:0".parse().unwrap()).unwrap();
    let gateway = gateway(&cloud, &served.url());
    (cloud, served, gateway)
}

/// A gateway whose tokens come from this address.
fn gateway(cloud: &Arc<Cloud>, url: &str) -> Device {
    Device::new(Enphase::new(EnphaseSettings::default(), Arc::clone(cloud), url))
}

#[tokio::test]
async fn a_cloud_with_a_certificate_of_its_own_hears_nothing_whatever_is_accepted_of_its_device() {
    let authority = Authority::new("house").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    for trust in ["\"any\"".to_owned(), format!("{{ ca = \"{}\", name = false }}", file.display())] {
        for certificate in [Certificate::self_signed().unwrap(), authority.leaf(&["127.0.0.1"]).unwrap()] {
            let (cloud, served, mut device) = cloud(Some(certificate));
            device.shows(authority.leaf(&["127.0.0.1"]).unwrap()).await;
            let lab = Lab::new(&device.table("solar", &format!("trust = {trust}\n"))).await;
            assert_eq!(lab.get("/solar/production.json").await.fault(), "login_unavailable");
            assert_eq!(cloud.journal().total(), 0, "a password went to whoever answers");
            assert!(served.accepted() > 0, "nobody asked it");
        }
    }
}

#[tokio::test]
async fn nothing_that_is_for_a_cloud_follows_a_redirect() {
    const ENTERED: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: _enlighten_4_session=cookie\r\n\
         Content-Length: 24\r\n\r\n{\"session_id\":\"a-login\"}";
    for status in [301, 302, 307, 308] {
        // The password, and then what it was exchanged for.
        for logins in [0, 1] {
            let elsewhere = Scripted::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            let redirect = format!(
                "HTTP/1.1 {status} Elsewhere\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n",
                elsewhere.address
            );
            let site = Scripted::new(move |nth| {
                Act::Answer(if nth < logins { ENTERED.into() } else { redirect.clone().into_bytes() })
            })
            .await;
            let device = gateway(&Cloud::new(CloudSettings::default()), &format!("http://{}", site.address));
            let lab = Lab::new(&device.table("solar", "")).await;
            assert_eq!(lab.get("/solar/production.json").await.fault(), "login_unavailable", "{status}");
            assert!(site.heard().len() > logins, "it never came to the redirect");
            assert_eq!(elsewhere.heard().len(), 0, "{status} was followed");
        }
    }
}

#[tokio::test]
async fn a_proxy_of_the_environment_gets_neither_clouds_nor_devices_to_see() {
    let proxy = Scripted::saying("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
    let (cloud, _served, device) = cloud(None);
    let mut process = Process::new(&device.table("solar", ""));
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        for name in [name.to_owned(), name.to_lowercase()] {
            process = process.with(&name, format!("http://{}", proxy.address));
        }
    }
    let server = process.start(&["run"]);
    let mut line = Line::to(server.address().await).await;
    let reply = line.ask(&Ask::get("/solar/production.json")).await.unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!((cloud.logins(), cloud.fetches(), proxy.heard().len()), (1, 1, 0));
}
