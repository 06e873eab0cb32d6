use super::*;
use crate::twin::tests::{Reply, visit};

const PATH: &str = "/ems/api/org/em/v1/energy";

fn server(settings: EnlightedSettings) -> (Arc<Enlighted>, Router) {
    let server = Enlighted::new(EnlightedSettings { api_key: "key".into(), ..settings });
    let face = Arc::clone(&server).face();
    (server, face)
}

async fn call(face: &Router, path: &str, stamp: i64) -> Reply {
    let stamp = stamp.to_string();
    let proof = sign(&["bob", "key", &stamp]);
    let headers =
        [("apikey", "bob"), ("ts", &stamp), ("authorization", &proof), ("accept", "application/json")];
    visit(face, path, &headers).await
}

#[test]
fn the_signatures_are_the_documented_ones() {
    let key = "6eb6f07fd09b18dd61dd353dfb669820e7859cd3";
    assert_eq!(sign(&["bob", key, "1457033811032"]), "e20ac2c963ccfacf23a1f70287286443820e66d1");
    let old = sign(&["sharad", "1436258793104", "EnlightedAuthKey"]);
    assert_eq!(old, "0e2ed0dc910059af858fac5b6b464a652ee7aa18");
}

#[tokio::test(start_paused = true)]
async fn a_signature_serves_once_per_path() {
    let (server, face) = server(EnlightedSettings::default());
    let now = server.now().as_millis();
    assert_eq!(call(&face, PATH, now).await.status, 200);
    let reply = call(&face, PATH, now).await;
    assert_eq!((reply.status, &reply.json()["msg"]), (408, &json!("Replay Attack Error")));
    assert_eq!(call(&face, "/ems/api/org/floor/list", now).await.status, 200);
    assert_eq!(call(&face, PATH, now - 349).await.status, 200);
    assert_eq!(call(&face, PATH, now - 350).await.status, 408);
}

#[tokio::test(start_paused = true)]
async fn a_strict_server_wants_the_time_to_have_passed() {
    let (server, face) = server(EnlightedSettings { replay_grace: -350, ..Default::default() });
    let now = server.now().as_millis();
    assert_eq!(call(&face, PATH, now).await.status, 200);
    assert_eq!(call(&face, PATH, now + 350).await.status, 408);
    assert_eq!(call(&face, PATH, now + 351).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn the_time_is_the_servers_own_and_its_date_tells() {
    let (server, face) = server(EnlightedSettings { clock_offset_seconds: 3600, ..Default::default() });
    let reply = call(&face, PATH, server.clock.now().as_millis()).await;
    assert_eq!((reply.status, &reply.json()["status"]), (408, &json!(1)));
    let date = httpdate::parse_http_date(reply.headers["date"].to_str().unwrap()).unwrap();
    let learnt = Timestamp::from(date).as_millis() + 1000;
    assert_eq!(call(&face, PATH, learnt).await.status, 200);
}

#[tokio::test]
async fn a_wrong_key_is_401_for_programs_and_the_login_for_people() {
    let (server, face) = server(EnlightedSettings::default());
    server.lock_out();
    let now = server.now().as_millis();
    let reply = call(&face, PATH, now).await;
    assert_eq!(reply.status, 401);
    assert!(reply.headers["set-cookie"].to_str().unwrap().starts_with("JSESSIONID="));
    let reply = call(&face, "/ems/home.action", now).await;
    assert_eq!((reply.status, reply.headers["location"].as_bytes()), (302, &b"/ems/login.jsp"[..]));
    assert_eq!(server.secrets().len(), 3);
}

#[tokio::test]
async fn a_static_key_needs_no_time_and_xml_is_the_default() {
    let (server, face) = server(EnlightedSettings { api: Api::FourFive, ..Default::default() });
    let headers = [("userid", "bob"), ("authorization", "apikey key")];
    let reply = visit(&face, server.sample(), &headers).await;
    assert_eq!((reply.status, reply.headers["content-type"].as_bytes()), (200, &b"application/xml"[..]));
    assert!(reply.text.contains("<energy>"), "{}", reply.text);
    assert_eq!(visit(&face, server.forbidden().unwrap(), &headers).await.status, 403);
}

#[tokio::test]
async fn the_oldest_api_has_a_header_of_its_own() {
    let (server, face) = server(EnlightedSettings { api: Api::Two, ..Default::default() });
    let stamp = server.now().as_millis().to_string();
    let proof = sign(&["bob", &stamp, "key"]);
    let headers = [("userid", "bob"), ("ts", stamp.as_str()), ("authenticationtoken", proof.as_str())];
    assert_eq!(visit(&face, PATH, &headers).await.status, 200);
}
