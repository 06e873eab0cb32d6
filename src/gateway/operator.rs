//! What an operator has done with a device: by a command, or by the page.

use std::sync::Arc;

use http::HeaderMap;

use super::Device;
use super::fault::{Fault, Kind};

/// Visits a device, name to probe, and says what works.
///
/// # Errors
/// What does not work, and what to do.
pub async fn check(device: &Arc<Device>) -> Result<String, String> {
    let was_pinned = device.upstream.pinned().is_some();
    let answer = device.keeper.check().await.map_err(|failure| {
        let fault = Fault::from(failure);
        device.figures.fault(fault.kind.name(), &fault.detail, fault.kind.is_of_device());
        advice(&fault)
    })?;
    let status = answer.status();
    if let Some(why) = answers_for_another(answer.headers()) {
        return Err(why);
    }
    if status.is_server_error() {
        return Err(format!(
            "the device answers {status} to GET {}: it has a trouble of its own; see its own page or log, or start it \
             anew",
            device.vendor.probe()
        ));
    }
    device.figures.fine();
    let mut said = vec![format!("answers ({})", status.as_u16())];
    if let Some(shown) = device.upstream.certificate() {
        let pinned = match (was_pinned, device.upstream.pinned().is_some()) {
            (false, true) => " pinned just now, on first contact",
            (true, true) => " pinned",
            (_, false) => "",
        };
        said.push(format!("certificate {}{pinned}", shown.fingerprint()));
    }
    if let Some(end) = device.keeper.snapshot().expires_at {
        said.push(format!("session until {end}"));
    }
    Ok(said.join(", "))
}

/// What it means that a fault of keyward's is answered, and not something of a device's.
fn answers_for_another(headers: &HeaderMap) -> Option<String> {
    let status = headers.get("proxy-status")?.to_str().ok()?;
    let (_, error) = status.strip_prefix("keyward;")?.split_once("error=")?;
    Some(match error.split(';').next().unwrap_or_default() {
        "proxy_loop_detected" => {
            "a loop: `url` leads back to this keyward; write the address of the device there".to_owned()
        }
        error => format!("a keyward answers there, and with a fault ({error}): is `url` that of the device?"),
    })
}

/// What does not work, and what to do.
fn advice(fault: &Fault) -> String {
    match fault.kind {
        Kind::LoginRefused => format!("login refused: {}", fault.detail),
        Kind::LoginUnavailable => format!("no login now: {}", fault.detail),
        _ => fault.detail.clone(),
    }
}

/// Pins the certificate that the device shows now, if it has this fingerprint, and says so.
///
/// # Errors
/// It shows another one or none, or is not trusted by a pin: nothing is changed.
pub async fn trust(device: &Arc<Device>, sha256: &str) -> Result<String, Fault> {
    let presented = device.upstream.presented().await?;
    let shown = presented.fingerprint();
    let plain = |text: &str| text.replace(':', "").to_ascii_lowercase();
    if plain(&shown) != plain(sha256) {
        if device.upstream.refused().is_some() {
            device.upstream.note_refused(&presented);
        }
        let detail = format!(
            "the device shows a certificate with the fingerprint {shown}, not {sha256}: nothing is changed"
        );
        return Err(Fault::new(Kind::CertificateChanged, detail));
    }
    let pinned = device.upstream.repin(&presented).await;
    pinned.map_err(|detail| Fault::new(Kind::CertificateChanged, detail))?;
    tracing::info!(device = device.name, sha256 = shown, "certificate accepted by the operator");
    Ok(format!("{shown} is pinned now"))
}
