//! keyward's own page: live, with its button, and below Home Assistant's ingress.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{Html, Response};
use axum::routing::get;
use http::{HeaderValue, Uri};
use keyward::gateway::RequestId;
use keyward::gateway::admit::{Arrival, Peer};
use keyward::gateway::front::Front;
use keyward::twin::generic::{Generic, Scheme};
use keyward::twin::{Certificate, Served, serve};
use tokio_util::sync::CancellationToken;

use super::pilot::Pilot;
use crate::support::{Ask, Device, Lab};

const LIVE: &str = "document.getElementById('live').dataset.state === 'live'";
const BASE: &str = "/api/hassio_ingress/aB-9_x";

fn state(of: &str) -> String {
    format!("document.getElementById('device-meter')?.dataset.state === '{of}'")
}

async fn lab(more: &str) -> (Device, Lab) {
    let device = Device::new(Generic::new(Scheme::Open));
    let lab = Lab::new(&device.table("meter", more)).await;
    (device, lab)
}

/// Its pinned certificate is exchanged, and somebody asks.
async fn exchange(device: &mut Device, lab: &Lab) {
    device.shows(Certificate::self_signed().unwrap()).await;
    assert_eq!(lab.get("/meter/twin/sample").await.fault(), "certificate_changed");
}

#[tokio::test]
async fn what_happens_is_on_the_page_by_itself_and_the_button_accepts_what_it_shows() {
    let (mut device, lab) = lab("").await;
    let mut page = Pilot::open(&format!("http://{}/", lab.address())).await;
    page.until(LIVE).await;
    page.until(&state("unknown")).await;
    assert_eq!(page.is("getComputedStyle(document.querySelector('.card')).borderRadius").await, "12px");
    assert_eq!(page.is("document.querySelector('h1 img').naturalWidth > 0").await, true);
    // What is there stays there: another page would not know this, nor have it unfolded.
    lab.get("/meter/twin/sample").await;
    page.until(&state("ok")).await;
    page.is("window.stays = document.getElementById('device-meter')").await;
    page.is("document.querySelector('#certificate-meter summary').click()").await;
    page.is("document.querySelector('#certificate-meter summary').focus()").await;
    exchange(&mut device, &lab).await;
    page.until(&state("down")).await;
    assert_eq!(page.is("window.stays === document.getElementById('device-meter')").await, true);
    assert_eq!(page.is("document.getElementById('certificate-meter').open").await, true);
    assert_eq!(page.is("document.activeElement.closest('details').id").await, "certificate-meter");
    page.until("document.title === '(1) meter is down · keyward'").await;
    let shown = page.is("document.querySelector('.offer [name=sha256]').value.replaceAll(':', '')").await;
    assert_eq!(shown.as_str().unwrap().to_lowercase(), device.certificate.sha256());
    page.is("document.getElementById('accept-meter').click()").await;
    page.until(&format!("!window.stays && {}", state("ok"))).await;
    page.until("document.querySelector('.offer') === null").await;
    page.until(LIVE).await;
    assert_eq!(lab.get("/meter/twin/sample").await.status, 200);
    page.close().await;
}

#[tokio::test]
async fn a_page_that_is_open_is_live_again_after_a_restart_and_a_reload() {
    let (device, lab) = lab("").await;
    let mut page = Pilot::open(&format!("http://{}/", lab.address())).await;
    page.until(LIVE).await;
    page.is("window.stays = true").await;
    let mut lab = lab;
    lab.reconfigure(&(device.table("meter", "") + &device.table("other", ""))).await;
    page.until("document.getElementById('device-other') !== null").await;
    lab.reconfigure(&device.table("other", "")).await;
    page.until("document.getElementById('device-meter') === null").await;
    page.until(LIVE).await;
    assert_eq!(page.is("window.stays").await, true);
    lab.stop().await;
    page.until("document.getElementById('live').dataset.state === 'lost'").await;
    page.close().await;
}

#[tokio::test]
async fn a_page_behind_a_key_is_live_for_who_has_it() {
    let key = "0123456789abcdefghij";
    let (_device, lab) = lab(&format!("[access.keys.me]\nkey = \"{key}\"\n")).await;
    let mut page = Pilot::open(&format!("http://me:{key}@{}/", lab.address())).await;
    page.until(LIVE).await;
    assert_eq!(page.is("getComputedStyle(document.querySelector('.card')).borderRadius").await, "12px");
    assert_eq!(lab.send(&Ask::get("/").with("X-API-Key", key)).await.status, 200);
    lab.send(&Ask::get("/meter/twin/sample").with("X-API-Key", key)).await;
    page.until(&state("ok")).await;
    page.close().await;
}

#[tokio::test]
async fn a_page_of_another_site_does_not_press_the_button() {
    let (mut device, lab) = lab("").await;
    lab.get("/meter/twin/sample").await;
    exchange(&mut device, &lab).await;
    let elsewhere = Router::new().fallback(get(async || Html("<!doctype html><title>elsewhere</title>")));
    let served = serve(elsewhere, None, "127.0.0.1:0".parse().unwrap()).unwrap();
    let port = served.url().rsplit(':').next().unwrap().to_owned();
    for host in ["127.0.0.1", "box.lan"] {
        let here = format!("http://{host}:{}", lab.address().port());
        let mut page = Pilot::open(&format!("http://evil.example:{port}/")).await;
        let sha256 = device.certificate.sha256();
        page.is(&format!(
            "const form = Object.assign(document.createElement('form'), {{ method: 'post', action: '{here}/-/trust' }}); \
             for (const [name, value] of [['device', 'meter'], ['sha256', '{sha256}']]) \
             form.append(Object.assign(document.createElement('input'), {{ name, value }})); \
             document.body.append(form); form.submit(); true"
        ))
        .await;
        page.until("document.body?.textContent.includes('origin_not_allowed')").await;
        page.close().await;
    }
    assert_eq!(lab.get("/meter/twin/sample").await.fault(), "certificate_changed");
}

/// Home Assistant: a page of its own with ours in a frame, and what passes requests on to us.
fn home_assistant(front: Front, door: Arc<keyward::gateway::admit::DoorId>) -> Served {
    let passes_on = async move |mut request: Request| -> Response {
        let path = request.uri().path_and_query().unwrap().as_str().to_owned();
        let Some(below) = path.strip_prefix(BASE) else {
            return axum::response::IntoResponse::into_response(Html(format!(
                "<iframe src=\"{BASE}/\"></iframe>"
            )));
        };
        let host = request.headers()["host"].clone();
        for (name, value) in [
            ("x-forwarded-host", host),
            ("x-ingress-path", HeaderValue::from_static(BASE)),
            ("host", HeaderValue::from_static("local-keyward:8099")),
        ] {
            request.headers_mut().insert(name, value);
        }
        *request.uri_mut() = below.parse::<Uri>().unwrap();
        let peer = Peer {
            remote: SocketAddr::from(([172, 30, 32, 2], 40_000)),
            local: SocketAddr::from(([172, 30, 33, 5], 8099)),
            door: Arc::clone(&door),
            secure: false,
            ending: CancellationToken::new(),
        };
        let (mut asked, body) = request.into_parts();
        front
            .answer(&mut asked, body, &Arrival { peer: Arc::new(peer), id: RequestId::new() })
            .await
            .map(axum::body::Body::new)
    };
    serve(Router::new().fallback(passes_on), None, "127.0.0.1:0".parse().unwrap()).unwrap()
}

#[tokio::test]
async fn the_page_lives_in_home_assistants_frame_and_its_button_and_links_work_there() {
    let ingress = "acts_on_get = []\n[[listeners]]\nlisten = \"127.0.0.1:0\"\ningress = true\n";
    let (mut device, lab) = lab(ingress).await;
    let door = lab.house().doors.iter().find(|door| door.ingress).map(|door| Arc::new(door.id.clone()));
    let assistant = home_assistant(lab.front(), door.unwrap());
    lab.get("/meter/twin/sample").await;
    for host in ["127.0.0.1", "ha.lan"] {
        exchange(&mut device, &lab).await;
        let port = assistant.url().rsplit(':').next().unwrap().to_owned();
        let mut page = Pilot::open(&format!("http://{host}:{port}/")).await;
        let framed = |expression: &str| {
            format!(
                "(document => {expression})(globalThis.document.querySelector('iframe')?.contentDocument ?? \
                 globalThis.document.implementation.createHTMLDocument())"
            )
        };
        page.until(&framed("document.getElementById('live')?.dataset.state === 'live'")).await;
        page.until(&framed(&state("down"))).await;
        let style = "getComputedStyle(document.querySelector('.card')).borderRadius === '12px'";
        page.until(&framed(style)).await;
        page.is(&framed("document.getElementById('accept-meter').click()")).await;
        page.until(&framed(&state("ok"))).await;
        let link = page.is(&framed("document.querySelector('.what a').href")).await;
        assert_eq!(link, format!("http://{host}:{port}{BASE}/meter/"));
        assert_eq!(lab.get("/meter/twin/sample").await.status, 200);
        page.close().await;
    }
}
