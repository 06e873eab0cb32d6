//! What an operator has done with a device: by a command, or by the page.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::Device;
use super::fault::{Fault, Kind};
use crate::upstream::Answer;
use crate::vendor::Registry;

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
    /// What a person should think about although it works.
    #[serde(default)]
    pub remark: Option<String>,
}

/// A fault by its name, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its name, as in answers.
    pub name: String,
    /// What does not work and what to do.
    pub detail: String,
    /// The same without what keyward does about it by itself, for whoever has not written the device down yet.
    #[serde(default)]
    pub cause: String,
}

impl Told {
    /// A fault of this name.
    pub fn new(name: &str, detail: String) -> Self {
        Self { name: name.to_owned(), cause: detail.clone(), detail }
    }
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
    /// Its pin could not be saved, so that it goes with the process that has it.
    Unsaved,
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
                Pinning::Unsaved => " accepted, and its pin can't be saved",
                Pinning::None => "",
            };
            write!(f, ", certificate {certificate}{pinned}")?;
        }
        if let Some(end) = &self.session_until {
            write!(f, ", session until {end}")?;
        }
        if let Some(remark) = &self.remark {
            write!(f, "; {remark}")?;
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
        let cause = Fault::from(failure.refusal.clone()).detail;
        let fault = Fault::from(failure);
        device.figures.failed(fault.kind.name(), &fault.detail, fault.kind.is_of_device());
        tracing::warn!(device = device.name, fault = fault.kind.name(), "a check failed: {}", fault.detail);
        Told { cause, ..Told::new(fault.kind.name(), advice(&fault)) }
    })?;
    let status = answer.status();
    if let Some((kind, detail)) = answers_for_another(answer.headers()) {
        return Err(Told::new(kind.name(), detail));
    }
    let keyless = keyless(device, &answer);
    if status == StatusCode::UNAUTHORIZED
        && let Some(keyless) = &keyless
    {
        let detail = format!("the device answers {status} to GET {}: {keyless}", device.vendor.probe());
        return Err(Told::new(&format!("status {}", status.as_u16()), detail));
    }
    if status.is_server_error() {
        let detail = format!(
            "the device answers {status} to GET {}: it has a trouble of its own; see its own page or log, or start it \
             anew",
            device.vendor.probe()
        );
        return Err(Told::new(&format!("status {}", status.as_u16()), detail));
    }
    device.figures.fine();
    let shown = device.upstream.certificate();
    let pinned = match (was_pinned, device.upstream.pinned().is_some()) {
        _ if shown.is_none() => Pinning::None,
        _ if device.upstream.is_unsaved() => Pinning::Unsaved,
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
        remark: match keyless {
            Some(keyless) => Some(format!("if every path answers so, {keyless}")),
            None => device.keeper.is_untried().await.then(|| untried(device)),
        },
    })
}

/// What it means that nothing was asked for.
fn untried(device: &Device) -> String {
    let probe = device.vendor.probe();
    format!(
        "whether the credential is right it does not say: GET {probe} is open to all, or there is nothing"
    )
}

/// What it means that a device of a make without a credential does not let us in.
fn keyless(device: &Device, answer: &Answer) -> Option<String> {
    let is_shut = matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if !is_shut || !device.make.keys.is_empty() {
        return None;
    }
    let challenge = answer.headers().get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
    let scheme = challenge.and_then(|value| value.split(' ').next()).unwrap_or_default();
    let takers: Vec<_> = Registry::generic().map(|make| make.name).collect();
    let help = match takers.iter().find(|name| name.eq_ignore_ascii_case(scheme)) {
        Some(name) => format!("vendor {name:?} is for such devices"),
        None => format!("vendors that take one are {} and those of the makes", takers.join(", ")),
    };
    Some(format!("it asks for a credential, and vendor {:?} has none; {help}", device.make.name))
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
    device.keeper.try_again();
    tracing::info!(device = device.name, sha256 = shown, "certificate accepted by the operator");
    let until = if device.upstream.is_unsaved() { ", until a restart: its pin can't be saved" } else { "" };
    Ok(format!("{shown} is pinned now{until}"))
}
