//! What twins hand out and are configured with: random texts, and tokens that look like JWTs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::secret::Secret;

/// Hex digits of `N` random bytes.
pub(crate) fn random<const N: usize>() -> String {
    let mut bytes = [0; N];
    rand::fill(&mut bytes);
    hex::encode(bytes)
}

/// A password that nobody guesses, with what forms, URLs and hashes get wrong if they are careless.
pub(crate) fn password() -> Secret {
    Secret::new(format!("{}+&%ü", random::<9>()))
}

/// A token in a JWT's form: header, claims, and random bytes in the signature's place, so that no two are alike.
///
/// Whether it is good, the twin that handed it out remembers.
pub(crate) fn jwt(algorithm: &str, claims: &Value) -> String {
    let mut signature = [0; 64];
    rand::fill(&mut signature);
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({ "typ": "JWT", "alg": algorithm });
    format!("{}.{}.{}", part(&header), part(claims), URL_SAFE_NO_PAD.encode(signature))
}
