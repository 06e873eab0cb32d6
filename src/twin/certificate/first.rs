//! X.509 certificates of the first version, which no library makes any more but some gateways still show.

use std::io;

use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use time::{OffsetDateTime, UtcOffset};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// `SEQUENCE { OBJECT IDENTIFIER ecdsa-with-SHA256 }`
const ECDSA_SHA256: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// `OBJECT IDENTIFIER commonName`
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];

/// The DER of a self-signed certificate: RFC 5280 section 4.1 without version and extensions.
pub(super) fn self_signed(
    name: &str,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    key: &KeyPair,
) -> io::Result<Vec<u8>> {
    let name = tagged(
        SEQUENCE,
        &[&tagged(SET, &[&tagged(SEQUENCE, &[&COMMON_NAME, &tagged(UTF8_STRING, &[name.as_bytes()])])])],
    );
    let mut serial = [0; 8];
    rand::fill(&mut serial);
    let body = tagged(
        SEQUENCE,
        &[
            // A leading zero byte keeps it positive, and a one after it keeps the zero needed.
            &tagged(INTEGER, &[&[0, 0x80], &serial]),
            &ECDSA_SHA256,
            &name,
            &tagged(SEQUENCE, &[&moment(not_before), &moment(not_after)]),
            &name,
            &key.subject_public_key_info(),
        ],
    );
    let signature = key.sign(&body).map_err(io::Error::other)?;
    Ok(tagged(SEQUENCE, &[&body, &ECDSA_SHA256, &tagged(BIT_STRING, &[&[0], &signature])]))
}

fn moment(moment: OffsetDateTime) -> Vec<u8> {
    let moment = moment.to_offset(UtcOffset::UTC);
    let (year, month, day) = moment.to_calendar_date();
    let (hour, minute, second) = moment.to_hms();
    let (year, month) = (year.rem_euclid(100), u8::from(month));
    let text = format!("{year:02}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    tagged(UTC_TIME, &[text.as_bytes()])
}

/// One DER value: tag, length, and the parts one after another.
fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len().to_be_bytes();
    let digits: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut value = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => value.push(short),
        // The long form: how many bytes the length has, then those. A length of a `usize` has eight at most.
        _ => {
            value.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
            value.extend(digits);
        }
    }
    value.extend(content);
    value
}
