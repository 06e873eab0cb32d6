//! Who a gateway says it is, before it gets a token.

use crate::upstream::{Answer, Trouble};

/// Whether `/info` shows the serial number that is configured.
pub(in crate::vendor) fn introduced(serial: &str, answer: &Answer) -> Result<(), Trouble> {
    let text = String::from_utf8_lossy(answer.body());
    match serial_number(&text) {
        Some(shown) if shown == serial => Ok(()),
        Some(shown) => Err(Trouble::WrongDevice(format!(
            "the device at this address is serial {shown}, `serial` says {serial}: correct `url` or `serial`; no credential \
             was sent to it"
        ))),
        // Busy or just starting: it may still be the right one.
        None if answer.status().is_server_error() => Err(Trouble::BrokeOff(format!(
            "the device at this address answers {} when asked for its serial number: it may be starting; ask again in a minute",
            answer.status()
        ))),
        None => Err(Trouble::WrongDevice(format!(
            "the device at this address does not show its serial number at /info ({}): is it an IQ Gateway? If not, correct \
             `url`",
            answer.status()
        ))),
    }
}

/// What stands in the first element of this name. That is all that is wanted, so nothing else in the document has to
/// be right.
pub(super) fn element<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once('<')?;
    Some(text.trim())
}

fn serial_number(document: &str) -> Option<&str> {
    let number = element(document, "sn")?;
    let is_plain =
        !number.is_empty() && number.len() <= 32 && number.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_plain.then_some(number)
}
