//! The two forms that a login may have.

use std::collections::HashMap;

/// The fields of an urlencoded or multipart body; none where the type is neither.
pub(super) fn fields(kind: &str, body: &[u8]) -> HashMap<String, String> {
    let (name, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    match name.trim() {
        "application/x-www-form-urlencoded" => form_urlencoded::parse(body).into_owned().collect(),
        "multipart/form-data" => {
            let boundary = parameters.trim().strip_prefix("boundary=").unwrap_or_default().trim_matches('"');
            multipart(boundary, &String::from_utf8_lossy(body))
        }
        _ => HashMap::new(),
    }
}

fn multipart(boundary: &str, body: &str) -> HashMap<String, String> {
    if boundary.is_empty() {
        return HashMap::new();
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
