//! The button that accepts a changed certificate: what `keyward trust` does, for the one that the page has shown.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header;
use http::{StatusCode, request};
use tokio::time::timeout;

use crate::config::Fingerprint;
use crate::fields;
use crate::gateway::admit::{Admitted, Arrival};
use crate::gateway::fault::{Fault, Kind, cut};
use crate::gateway::{Device, Gateway, House, operator, refuse};

/// The page from here, wherever it is shown.
const PAGE: &str = "../";
/// How a browser sends one (the URL standard of the WHATWG, section 5).
const FORM: &[u8] = b"application/x-www-form-urlencoded";
/// Larger than any form of ours.
const MAX_FORM: usize = 4096;
/// So long whoever pressed the button waits for how the device is now; the page shows it later all the same.
const LOOK: Duration = Duration::from_secs(5);

/// Pins what the form names, if the device shows it.
pub(in crate::gateway) async fn accept(
    State(gateway): State<Arc<Gateway>>,
    Extension(arrival): Extension<Arrival>,
    Extension(admitted): Extension<Admitted>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let house = gateway.house.load_full();
    match accepted(&house, &head, body, &admitted).await {
        Ok(()) => (StatusCode::SEE_OTHER, [(header::LOCATION, PAGE)]).into_response(),
        Err(fault) => refuse(&Fault { back: Some(PAGE), ..fault }, &head, &arrival),
    }
}

async fn accepted(
    house: &House,
    head: &request::Parts,
    body: Body,
    admitted: &Admitted,
) -> Result<(), Fault> {
    if !admitted.is_own_page(head) {
        return Err(Fault::new(
            Kind::OriginNotAllowed,
            "a certificate is accepted by the button on keyward's own page, and by nothing that does not say it is from \
             there: open the page, or use `keyward trust`",
        ));
    }
    if !admitted.is_known {
        return Err(Fault::new(
            Kind::ClientNotAllowed,
            "where no keys are set a certificate is accepted on the machine that keyward runs on alone, since whoever stands in \
             for a device may be on this network too: use `keyward trust` there, or set a key under [access.keys] in \
             proxy.toml",
        ));
    }
    // A browser that reports something for a device asks in our name too, and its report may hold anything.
    if !is_form(head) {
        return Err(malformed("what has come is no form: load the page again"));
    }
    let form = timeout(house.caller_idle, to_bytes(body, MAX_FORM)).await;
    let form = form.ok().and_then(Result::ok).ok_or_else(|| malformed("no form has come whole"))?;
    let field = |wanted: &str| {
        let mut values = form_urlencoded::parse(&form).filter(|(name, _)| name == wanted);
        values.next().map(|(_, value)| value).filter(|_| values.next().is_none())
    };
    let (Some(name), Some(sha256)) = (field("device"), field("sha256")) else {
        return Err(malformed("the form names no device and no fingerprint"));
    };
    let sha256: Fingerprint = sha256.parse().map_err(|_| malformed("the form names no fingerprint"))?;
    let device = house.devices.iter().find(|device| device.name == name).ok_or_else(|| {
        let detail =
            format!("there is no device `{}` in proxy.toml any more: load the page again", cut(&name));
        Fault::new(Kind::UnknownDevice, detail)
    })?;
    // Nothing else has been looked at by a person.
    if device.upstream.refused().is_none_or(|refused| refused.fingerprint() != sha256.to_string()) {
        let detail = format!("{} is not known to show this certificate: load the page again", device.name);
        return Err(Fault::new(Kind::CertificateChanged, detail).at(&device.name));
    }
    pin(device, sha256.to_string()).await.map_err(|fault| fault.at(&device.name))
}

/// Whether it does not say that it is something else than a form.
fn is_form(head: &request::Parts) -> bool {
    let mut kinds = fields::all(&head.headers, header::CONTENT_TYPE).map(fields::media_type);
    kinds.all(|kind| kind.eq_ignore_ascii_case(FORM))
}

fn malformed(why: &str) -> Fault {
    Fault::new(Kind::Malformed, why)
}

/// In a task of its own, so that who leaves meanwhile leaves nothing half done. Then the device is visited, since
/// nobody wants to be told of a certificate that was accepted just now.
async fn pin(device: &Arc<Device>, sha256: String) -> Result<(), Fault> {
    let internal = || Fault::new(Kind::Internal, "an error of keyward's own; the log says where");
    let of_task = Arc::clone(device);
    let pinning = tokio::spawn(async move {
        // Each opens a connection of its own, whoever waits for it.
        let Ok(_alone) = of_task.pinning.try_lock() else {
            return Err(Fault::new(
                Kind::DeviceBusy,
                "a certificate is being accepted right now: wait a moment",
            ));
        };
        operator::trust(&of_task, &sha256).await.map(drop)
    });
    pinning.await.map_err(|_| internal())??;
    let of_task = Arc::clone(device);
    let look = tokio::spawn(async move { operator::check(&of_task).await });
    // What does not work is on the page by then.
    drop(timeout(LOOK, look).await);
    Ok(())
}
