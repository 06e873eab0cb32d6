//! What an operator has done with a device: by a command, or by the page.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::Device;
use super::fault::{Fault, Kind};

/// What a device says of itself is worth no longer wait.
const SELF_DESCRIPTION: Duration = Duration::from_secs(10);

/// What a visit to a device found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// What does not work; `None`: it works.
    pub fault: Option<Told>,
    /// The status of its answer.
    pub status: Option<u16>,
    /// SHA-256 of the certificate that it showed: upper-case hex with colons.
    pub certificate: Option<String>,
    /// Whether that is pinned, and since when.
    pub pinned: Pinning,
    /// When the session ends, RFC 3339.
    pub session_until: Option<String>,
    /// What it says of itself, each with what it is: serial number, firmware.
    pub described: Vec<(String, String)>,
}

/// A fault by its name, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its name, as in answers.
    pub name: String,
    /// What does not work and what to do.
    pub detail: String,
}

/// Whether a certificate is pinned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pinning {
    /// It is trusted otherwise, or there is none.
    #[default]
    None,
    /// It was before.
    Before,
    /// It is now, since none was.
    JustNow,
}

/// What works, in one line.
impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(status) = self.status {
            write!(f, "answers ({status})")?;
        }
        if let Some(certificate) = &self.certificate {
            let pinned = match self.pinned {
                Pinning::JustNow => " pinned just now, on first contact",
                Pinning::Before => " pinned",
                Pinning::None => "",
            };
            write!(f, ", certificate {certificate}{pinned}")?;
        }
        if let Some(end) = &self.session_until {
            write!(f, ", session until {end}")?;
        }
        Ok(())
    }
}

/// Visits a device and says what works, and what the device says of itself.
pub async fn examine(device: &Arc<Device>) -> Findings {
    match check(device).await {
        Ok(found) => {
            let described = timeout(SELF_DESCRIPTION, device.keeper.describe()).await.unwrap_or_default();
            let described = described.into_iter().map(|(what, value)| (what.to_owned(), value)).collect();
            Findings { described, ..found }
        }
        Err(told) => Findings { fault: Some(told), ..Findings::default() },
    }
}

/// Visits a device, name to probe, and says what works.
///
/// # Errors
/// What does not work, and what to do.
pub async fn check(device: &Arc<Device>) -> Result<Findings, Told> {
    let was_pinned = device.upstream.pinned().is_some();
    let answer = device.keeper.check().await.map_err(|failure| {
        let fault = Fault::from(failure);
        device.figures.fault(fault.kind.name(), &fault.detail, fault.kind.is_of_device());
        Told { name: fault.kind.name().to_owned(), detail: advice(&fault) }
    })?;
    let status = answer.status();
    if let Some((kind, detail)) = answers_for_another(answer.headers()) {
        return Err(Told { name: kind.name().to_owned(), detail });
    }
    if status.is_server_error() {
        let detail = format!(
            "the device answers {status} to GET {}: it has a trouble of its own; see its own page or log, or start it \
             anew",
            device.vendor.probe()
        );
        return Err(Told { name: format!("status {}", status.as_u16()), detail });
    }
    device.figures.fine();
    let shown = device.upstream.certificate();
    let pinned = match (was_pinned, device.upstream.pinned().is_some()) {
        _ if shown.is_none() => Pinning::None,
        (false, true) => Pinning::JustNow,
        (true, true) => Pinning::Before,
        (_, false) => Pinning::None,
    };
    Ok(Findings {
        fault: None,
        status: Some(status.as_u16()),
        certificate: shown.map(|shown| shown.fingerprint()),
        pinned,
        session_until: device.keeper.snapshot().expires_at.map(|end| end.to_string()),
        described: Vec::new(),
    })
}

/// What it means that a fault of keyward's is answered, and not something of a device's.
fn answers_for_another(headers: &HeaderMap) -> Option<(Kind, String)> {
    let status = headers.get("proxy-status")?.to_str().ok()?;
    let (_, error) = status.strip_prefix("keyward;")?.split_once("error=")?;
    Some(match error.split(';').next().unwrap_or_default() {
        "proxy_loop_detected" => {
            let detail = "a loop: `url` leads back to this keyward; write the address of the device there";
            (Kind::Loop, detail.to_owned())
        }
        error => {
            let detail =
                format!("a keyward answers there, and with a fault ({error}): is `url` that of the device?");
            (Kind::WrongDevice, detail)
        }
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
