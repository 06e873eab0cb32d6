//! What an operator may ask for: the same whether a running server does it or a command by itself.

use std::sync::Arc;

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::gateway::fault::{Fault, Kind};
use crate::gateway::{Device, House};
use crate::upstream::Certificate;

/// An operator's instruction.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instruction {
    /// Where is the first door?
    Listening,
    /// Visit this device, name to probe.
    Check {
        /// Its name.
        device: String,
    },
    /// Which certificate is pinned, and which does the device show now?
    Certificates {
        /// Its name.
        device: String,
    },
    /// Pin the certificate that the device shows now, if it has this fingerprint.
    Trust {
        /// Its name.
        device: String,
        /// SHA-256 of the DER: upper-case hex with colons.
        sha256: String,
    },
}

/// What became of an [`Instruction`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Of a check that went well: what works.
    Fine(String),
    /// What does not work and what to do about it.
    Failed(String),
    /// Where the first door is, with the port that it got.
    Listening(String),
    /// Certificates, the pinned and the presented one.
    Certificates {
        /// What is pinned.
        pinned: Option<Facts>,
        /// What the device shows now.
        presented: Facts,
    },
}

/// What a person needs to recognise a certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Facts {
    /// SHA-256 of the DER: upper-case hex with colons.
    pub sha256: String,
    /// Whom it names.
    pub subject: String,
    /// Start of its validity, RFC 3339.
    pub not_before: String,
    /// End of its validity, RFC 3339.
    pub not_after: String,
}

impl From<&Certificate> for Facts {
    fn from(certificate: &Certificate) -> Self {
        Self {
            sha256: certificate.fingerprint(),
            subject: certificate.subject.clone(),
            not_before: certificate.not_before.to_string(),
            not_after: certificate.not_after.to_string(),
        }
    }
}

/// Carries out an instruction.
pub async fn carry_out(house: &House, instruction: Instruction) -> Outcome {
    let name = match &instruction {
        Instruction::Check { device }
        | Instruction::Certificates { device }
        | Instruction::Trust { device, .. } => device,
        Instruction::Listening => return Outcome::Failed("no server runs".to_owned()),
    };
    let Some(device) = house.devices.iter().find(|device| device.name == *name) else {
        return Outcome::Failed(format!("there is no device {name} in the configuration"));
    };
    let outcome = match &instruction {
        Instruction::Trust { sha256, .. } => trust(device, sha256).await,
        Instruction::Certificates { .. } => certificates(device).await,
        Instruction::Check { .. } | Instruction::Listening => check(device).await.map(Outcome::Fine),
    };
    outcome.unwrap_or_else(Outcome::Failed)
}

async fn check(device: &Arc<Device>) -> Result<String, String> {
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

async fn certificates(device: &Arc<Device>) -> Result<Outcome, String> {
    let presented = device.upstream.presented().await.map_err(|trouble| trouble.to_string())?;
    let pinned = device.upstream.pinned().map(|pinned| Facts::from(&pinned.certificate));
    Ok(Outcome::Certificates { pinned, presented: Facts::from(&presented) })
}

async fn trust(device: &Arc<Device>, sha256: &str) -> Result<Outcome, String> {
    let presented = device.upstream.presented().await.map_err(|trouble| trouble.to_string())?;
    let shown = presented.fingerprint();
    let plain = |text: &str| text.replace(':', "").to_ascii_lowercase();
    if plain(&shown) != plain(sha256) {
        return Err(format!(
            "the device shows a certificate with the fingerprint {shown}, not {sha256}: nothing is changed"
        ));
    }
    device.upstream.repin(&presented).await?;
    tracing::info!(device = device.name, sha256 = shown, "certificate accepted by the operator");
    Ok(Outcome::Fine(format!("{shown} is pinned now")))
}
