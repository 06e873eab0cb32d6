//! What Home Assistant's ingress tells of a request, beside what its caller does.

use http::header::HeaderName;
use http::request;

/// Where Home Assistant shows us: the path before ours.
const PATH: &str = "x-ingress-path";
/// What else it tells: who is logged in there, and which of its parts asks. No device's business.
const SOURCE: &str = "x-hass-source";
const USER: &str = "x-remote-user-";

/// No path of an ingress is longer.
const LONGEST: usize = 256;

/// Takes off what the ingress has added, and gives the path before ours.
pub(super) fn enter(asked: &mut request::Parts) -> String {
    let base = base(asked);
    let is_of_ingress = |name: &&HeaderName| {
        let name = name.as_str().replace('_', "-");
        name == PATH || name == SOURCE || name.starts_with(USER)
    };
    let told: Vec<_> = asked.headers.keys().filter(is_of_ingress).cloned().collect();
    for name in told {
        asked.headers.remove(name);
    }
    base
}

/// It goes into pages and references: whatever is no plain path of this host is none, and links do without.
fn base(asked: &request::Parts) -> String {
    let mut told = asked.headers.get_all(PATH).iter();
    let (Some(path), None) = (told.next(), told.next()) else { return String::new() };
    let path = path.to_str().unwrap_or_default().trim_end_matches('/');
    let is_plain = |segment: &str| {
        let of_path = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        !matches!(segment, "" | "." | "..") && segment.bytes().all(of_path)
    };
    let segments = path.strip_prefix('/').filter(|_| path.len() <= LONGEST);
    if segments.is_some_and(|segments| segments.split('/').all(is_plain)) {
        path.to_owned()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn entered(lines: &[(&str, &str)]) -> (String, request::Parts) {
        let request =
            lines.iter().fold(Request::builder(), |request, (name, value)| request.header(*name, *value));
        let mut asked = request.body(()).unwrap().into_parts().0;
        (enter(&mut asked), asked)
    }

    #[test]
    fn the_path_before_ours_is_a_plain_path_or_none() {
        for (told, base) in [
            ("/api/hassio_ingress/a-B_9~.z", "/api/hassio_ingress/a-B_9~.z"),
            ("/api/hassio_ingress/x/", "/api/hassio_ingress/x"),
            ("/", ""),
            ("", ""),
            ("api", ""),
            ("//evil.example", ""),
            ("/a//evil.example", ""),
            ("/\\evil.example", ""),
            ("/a/../b", ""),
            ("/a/./b", ""),
            ("/a/%2e%2e/b", ""),
            ("/a\"><script>alert(1)</script>", ""),
            ("/a b", ""),
            ("/a?b", ""),
            ("/a#b", ""),
            ("https://evil.example/", ""),
        ] {
            assert_eq!(entered(&[(PATH, told)]).0, base, "{told}");
        }
        assert_eq!(entered(&[(PATH, "/a"), (PATH, "/a")]).0, "");
        assert_eq!(entered(&[(PATH, &format!("/{}", "a".repeat(LONGEST)))]).0, "");
        assert_eq!(entered(&[]).0, "");
    }

    #[test]
    fn what_the_ingress_tells_stays_here_however_it_is_spelt() {
        let (_, asked) = entered(&[
            (PATH, "/a"),
            ("X_Ingress_Path", "/b"),
            (SOURCE, "core.ingress"),
            ("X-Remote-User-Name", "bob"),
            ("x_remote_user_id", "7"),
            ("x-remote-control", "on"),
        ]);
        let left: Vec<_> = asked.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-remote-control"]);
    }
}
