//! How a device is, in one word and in those that tell what to do.

use super::Device;
use super::fault::Fault;
use crate::metrics::Last;

/// How a device is.
pub(super) struct Condition {
    /// `unknown`, `ok`, `degraded` or `down`.
    pub(super) name: &'static str,
    /// What goes wrong, by its name.
    pub(super) fault: Option<&'static str>,
    /// What goes wrong and what to do, in words.
    pub(super) detail: Option<String>,
}

/// How this device is, as far as it is known without asking it.
pub(super) fn condition(device: &Device) -> Condition {
    let session = device.keeper.snapshot();
    let trouble = session.failure.map(|failure| Fault::from(failure.refusal));
    let is = |name, fault, detail| Condition { name, fault, detail };
    match (device.figures.last(), trouble) {
        (Last::Fault { fault, detail }, _) if device.figures.is_stood_in_for() => {
            is("degraded", Some(fault), Some(format!("answered from memory: {detail}")))
        }
        (Last::Fault { fault, detail }, _) => is("down", Some(fault), Some(detail)),
        (Last::Fine, Some(fault)) => is("degraded", Some(fault.kind.name()), Some(fault.detail)),
        (Last::Fine, None) if session.unsaved => {
            let detail = "its session can't be saved: after a restart keyward logs in anew";
            is("degraded", None, Some(detail.to_owned()))
        }
        (Last::Fine, None) if device.upstream.is_unsaved() => {
            let detail =
                "its certificate can't be saved: after a restart keyward trusts the first one seen anew";
            is("degraded", None, Some(detail.to_owned()))
        }
        (Last::Fine, None) => is("ok", None, None),
        // What was saved before the start is why it would be refused, and not that it was.
        (Last::Unknown, Some(fault)) => is("unknown", Some(fault.kind.name()), Some(fault.detail)),
        (Last::Unknown, None) => is("unknown", None, None),
    }
}
