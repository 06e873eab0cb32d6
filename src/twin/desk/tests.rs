use http::Request;

use super::*;

const NONCE: &str = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
const OPAQUE: &str = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS";
const CLIENT: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
const MD5: &str = "8ca523f5e9506fed4657c9700eebdbec";
const SHA256: &str = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";

/// The desk of RFC 7616 section 3.9.1.
fn desk(algorithm: Algorithm) -> Desk {
    let mut desk = Desk::with("http-auth@example.org", algorithm, true, Duration::from_secs(300));
    OPAQUE.clone_into(&mut desk.opaque);
    desk.nonces
        .insert(NONCE.to_owned(), Nonce { ends: Instant::now() + desk.lifetime, counts: BTreeSet::new() });
    desk
}

fn shown(algorithm: &str, response: &str) -> String {
    format!(
        "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
         algorithm={algorithm}, nonce=\"{NONCE}\", nc=00000001, cnonce=\"{CLIENT}\", qop=auth, \
         response=\"{response}\", opaque=\"{OPAQUE}\""
    )
}

/// The challenge, or `None` where the request may pass.
fn check(desk: &mut Desk, target: &str, shown: &str) -> Option<(u16, String)> {
    let request = Request::get(target).header(AUTHORIZATION, shown).body(()).unwrap();
    let (head, ()) = request.into_parts();
    let refusal = desk.check(&head, "Mufasa", &"Circle of Life".into()).err()?;
    let words = refusal.headers().get(WWW_AUTHENTICATE).map(|words| words.to_str().unwrap().to_owned());
    Some((refusal.status().as_u16(), words.unwrap_or_default()))
}

#[tokio::test]
async fn the_digests_of_rfc_7616_pass_once_and_are_stale_then() {
    for (algorithm, response) in [(Algorithm::Md5, MD5), (Algorithm::Sha256, SHA256)] {
        let mut desk = desk(algorithm);
        let shown = shown(algorithm.name(), response);
        assert_eq!(check(&mut desk, "/dir/index.html", &shown), None);
        let (status, words) = check(&mut desk, "/dir/index.html", &shown).unwrap();
        assert_eq!(status, 401);
        assert!(words.contains("stale=true") && words.contains(algorithm.name()), "{words}");
    }
}

#[tokio::test]
async fn a_wrong_digest_is_not_stale_and_one_of_another_target_is_malformed() {
    let mut desk = desk(Algorithm::Md5);
    let (status, words) = check(&mut desk, "/dir/index.html", &shown("MD5", SHA256)).unwrap();
    assert!(status == 401 && !words.contains("stale"), "{words}");
    assert_eq!(check(&mut desk, "/dir/other.html", &shown("MD5", MD5)).unwrap().0, 400);
    assert_eq!(check(&mut desk, "/dir/index.html", "Digest qop=auth, qop=auth").unwrap().0, 400);
}

#[tokio::test]
async fn a_nonce_that_lapsed_is_stale_and_one_that_is_forgotten_is_not() {
    let mut desk = desk(Algorithm::Md5);
    desk.lapse();
    let shown = shown("MD5", MD5);
    assert!(check(&mut desk, "/dir/index.html", &shown).unwrap().1.contains("stale=true"));
    desk.forget();
    assert!(!check(&mut desk, "/dir/index.html", &shown).unwrap().1.contains("stale"));
    assert_eq!(desk.challenges(), 2);
}

#[tokio::test]
async fn without_qop_a_nonce_serves_again() {
    let mut desk = desk(Algorithm::Md5);
    desk.qop = false;
    let hash = |text: &str| Algorithm::Md5.hash(text);
    let (first, second) = (hash("Mufasa:http-auth@example.org:Circle of Life"), hash("GET:/a?b"));
    let response = hash(&format!("{first}:{NONCE}:{second}"));
    let shown = format!(
        "Digest username=\"Mufasa\",realm=\"http-auth@example.org\",uri=\"/a?b\",nonce=\"{NONCE}\",\
         response=\"{response}\",opaque=\"{OPAQUE}\""
    );
    assert_eq!(check(&mut desk, "/a?b", &shown), None);
    assert_eq!(check(&mut desk, "/a?b", &shown), None);
    assert!(!check(&mut desk, "/a?b", "Digest x=y").unwrap().1.contains("qop"));
}
