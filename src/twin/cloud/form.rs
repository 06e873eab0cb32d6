//! The two forms that a login may have.

use std::collections::BTreeMap;

/// The fields of an urlencoded or multipart body; none where the type is neither.
pub(super) fn fields(kind: &str, body: &[u8]) -> BTreeMap<String, String> {
    let (name, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    match name.trim() {
        "application/x-www-form-urlencoded" => form_urlencoded::parse(body).into_owned().collect(),
        "multipart/form-data" => {
            let boundary = parameters.trim().strip_prefix("boundary=").unwrap_or_default().trim_matches('"');
            multipart(boundary, &String::from_utf8_lossy(body))
        }
        _ => BTreeMap::new(),
    }
}

fn multipart(boundary: &str, body: &str) -> BTreeMap<String, String> {
    if boundary.is_empty() {
        return BTreeMap::new();
    }
    let body = format!("\r\n{body}");
    let border = format!("\r\n--{boundary}");
    body.split(&border)
        .skip(1)
        .filter_map(|part| {
            let (head, value) = part.split_once("\r\n\r\n")?;
            let (_, name) = head.split_once("name=\"")?;
            let (name, _) = name.split_once('"')?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect()
}
