//! A token and what it says of itself.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use crate::clock::Timestamp;
use crate::secret::Secret;

/// A token for one gateway. Whether it is genuine only that gateway can tell.
#[derive(Clone, Debug)]
pub(in crate::vendor) struct Token {
    pub(in crate::vendor) text: Secret,
    pub(in crate::vendor) issued_at: Option<Timestamp>,
    pub(in crate::vendor) ends_at: Timestamp,
}

#[derive(Deserialize)]
struct Claims {
    aud: Value,
    exp: i64,
    iat: Option<i64>,
}

/// What the cloud wraps a token in, and somebody may have saved as it is.
#[derive(Deserialize)]
struct Wrapped {
    token: Secret,
}

impl Token {
    /// Reads a token, bare or wrapped.
    ///
    /// # Errors
    /// Says why it is none for this gateway, and nothing of what is in it but the gateway that it is for.
    pub(in crate::vendor) fn read(text: &str, serial: &str) -> Result<Self, String> {
        let wrapped = serde_json::from_str(text).ok().map(|wrapped: Wrapped| wrapped.token);
        let text = wrapped.as_ref().map_or(text, Secret::expose).trim();
        let parts: Vec<_> = text.split('.').collect();
        let is_part = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte))
        };
        let [_, claims, _] = parts.as_slice() else {
            return Err("not three parts with dots between".to_owned());
        };
        if !parts.iter().all(is_part) {
            return Err("not of the letters that tokens are made of".to_owned());
        }
        let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok();
        let claims = claims.and_then(|claims| serde_json::from_slice::<Claims>(&claims).ok());
        let claims =
            claims.ok_or("it does not say for which gateway it is (`aud`) and when it ends (`exp`)")?;
        let is_for = |audience: &Value| audience.as_str() == Some(serial);
        if !(is_for(&claims.aud) || claims.aud.as_array().is_some_and(|all| all.iter().any(is_for))) {
            return Err(format!("it is for another gateway than `serial` says ({serial})"));
        }
        Ok(Self {
            text: text.into(),
            issued_at: claims.iat.map(Timestamp::from_seconds),
            ends_at: Timestamp::from_seconds(claims.exp),
        })
    }
}
