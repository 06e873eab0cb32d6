//! What an operator may ask for: the same whether a running server does it or a command by itself.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use crate::gateway::operator::{Findings, Pinning, Told};
use crate::gateway::operator::{check, examine, trust};
use crate::gateway::{Device, House};
use crate::upstream::Certificate;

/// An operator's instruction.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instruction {
    /// Where is the first door, and which configuration is it of?
    Listening,
    /// Visit this device, name to probe.
    Check {
        /// Its name.
        device: String,
    },
    /// The same, and tell apart what was found.
    Examine {
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
    /// Of an examination: what was found, good or bad.
    Examined(Findings),
    /// The server that runs.
    Listening {
        /// Where the first door is, with the port that it got.
        address: String,
        /// The configuration that it reads: an absolute path, as text.
        file: String,
    },
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
        | Instruction::Examine { device }
        | Instruction::Certificates { device }
        | Instruction::Trust { device, .. } => device,
        Instruction::Listening => return Outcome::Failed("no server runs".to_owned()),
    };
    let Some(device) = house.devices.iter().find(|device| device.name == *name) else {
        return Outcome::Failed(format!("there is no device {name} in the configuration"));
    };
    let outcome = match &instruction {
        Instruction::Trust { sha256, .. } => {
            trust(device, sha256).await.map(Outcome::Fine).map_err(|fault| fault.detail)
        }
        Instruction::Certificates { .. } => certificates(device).await,
        Instruction::Examine { .. } => Ok(Outcome::Examined(examine(device).await)),
        Instruction::Check { .. } | Instruction::Listening => match check(device).await {
            Ok(found) => Ok(Outcome::Fine(found.to_string())),
            Err(told) => Err(told.detail),
        },
    };
    outcome.unwrap_or_else(Outcome::Failed)
}

async fn certificates(device: &Arc<Device>) -> Result<Outcome, String> {
    let presented = device.upstream.presented().await.map_err(|trouble| trouble.to_string())?;
    let pinned = device.upstream.pinned().map(|pinned| Facts::from(&pinned.certificate));
    Ok(Outcome::Certificates { pinned, presented: Facts::from(&presented) })
}
