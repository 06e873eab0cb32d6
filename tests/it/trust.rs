//! Whose certificate is accepted, and that nobody else gets to see a request.

mod take_over;

use std::os::unix::fs::PermissionsExt as _;

use keyward::server::operate::{Instruction, Outcome};
use keyward::twin::egauge::{Egauge, EgaugeSettings};
use keyward::twin::generic::{Generic, Scheme};
use keyward::twin::{Authority, Certificate};
use time::{Duration, OffsetDateTime};

use crate::support::{Device, Door, End, Lab};

const DAY: Duration = Duration::DAY;

fn now() -> OffsetDateTime {
    let millis = keyward::clock::Clock::of_runtime().now().as_millis();
    OffsetDateTime::from_unix_timestamp(millis / 1000).unwrap()
}

/// The fingerprint as openssl prints it.
fn fingerprint(certificate: &Certificate) -> String {
    let digits = certificate.sha256().to_uppercase();
    let pairs: Vec<_> = digits.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap()).collect();
    pairs.join(":")
}

/// A device that shows this certificate, known as `meter` and trusted so.
async fn door(certificate: Certificate, trust: &str) -> Door {
    let device = Device::showing(Generic::new(Scheme::Bearer), certificate);
    let lab = Lab::new(&device.table("meter", &format!("trust = {trust}\n"))).await;
    Door { device, lab }
}

async fn is_accepted(door: &Door) {
    let reply = door.lab.get("/meter/twin/sample").await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// Refused before a byte of a request came, with these words.
async fn is_refused(door: &Door, words: &[&str]) {
    let arrived = door.arrived();
    let problem = door.lab.get("/meter/twin/sample").await.problem();
    assert_eq!(problem.fault, "certificate_changed", "{}", problem.detail);
    assert!(
        words.iter().all(|word| problem.detail.contains(word)),
        "{} lacks one of {words:?}",
        problem.detail
    );
    assert_eq!(door.arrived(), arrived, "a request went to somebody else");
}

#[tokio::test]
async fn the_first_certificate_seen_is_pinned_in_a_file_of_our_own() {
    let door = Door::new().await;
    let file = door.lab.path("certs/meter.pem");
    assert!(!file.exists(), "pinned before anybody asked");
    is_accepted(&door).await;
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(door.device.certificate.pem().trim()), "{text}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0);
    let listed = door.lab.listed("meter").await;
    assert_eq!(listed["certificate"]["sha256"], fingerprint(&door.device.certificate));
}

#[tokio::test]
async fn another_key_is_refused_with_both_fingerprints_and_the_command_that_accepts_it() {
    let mut door = Door::new().await;
    is_accepted(&door).await;
    let pinned = door.device.certificate.clone();
    let other = Certificate::self_signed().unwrap();
    door.device.shows(other.clone()).await;
    let words = [fingerprint(&pinned), fingerprint(&other), "keyward trust meter".to_owned()];
    let words = words.each_ref().map(String::as_str);
    is_refused(&door, &words).await;
    door.lab.restart(End::Stopped).await;
    is_refused(&door, &words).await;
    door.device.shows(pinned).await;
    is_accepted(&door).await;
}

#[tokio::test]
async fn the_pinned_key_is_accepted_whatever_names_and_dates_are_written_around_it() {
    let mut door = Door::new().await;
    is_accepted(&door).await;
    let key = door.device.certificate.clone();
    let expired =
        Certificate::named("another name", now() - DAY * 400, now() - DAY * 30, Some(&key)).unwrap();
    let first_version = Certificate::version_one("device", now() - DAY, now() + DAY, Some(&key)).unwrap();
    for certificate in [expired, first_version] {
        door.device.shows(certificate).await;
        is_accepted(&door).await;
    }
}

#[tokio::test]
async fn the_right_certificate_without_its_key_is_refused_in_every_form_of_trust() {
    let authority = Authority::new("house").unwrap();
    let leaf = authority.leaf(&["127.0.0.1"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let ca = ca.display();
    let forms = [
        "\"pin\"".to_owned(),
        "{ pin = \"strict\" }".to_owned(),
        format!("{{ sha256 = \"{}\" }}", leaf.sha256()),
        format!("{{ ca = \"{ca}\" }}"),
        format!("{{ ca = \"{ca}\", name = false }}"),
        "\"any\"".to_owned(),
    ];
    for trust in forms {
        for tls12 in [false, true] {
            let old =
                |certificate: Certificate| if tls12 { certificate.at_most_tls12() } else { certificate };
            let mut door = door(old(leaf.clone()), &trust).await;
            is_accepted(&door).await;
            door.device.shows(old(leaf.stolen().unwrap())).await;
            is_refused(&door, &[]).await;
            door.device.shows(old(leaf.clone())).await;
            is_accepted(&door).await;
        }
    }
}

#[tokio::test]
async fn certificates_of_the_first_version_serve_over_both_versions_of_tls() {
    let certificate = Certificate::version_one("device", now() - DAY, now() + DAY, None).unwrap();
    for trust in
        ["\"pin\"".to_owned(), "\"any\"".to_owned(), format!("{{ sha256 = \"{}\" }}", certificate.sha256())]
    {
        for certificate in [certificate.clone(), certificate.clone().at_most_tls12()] {
            let door = door(certificate, &trust).await;
            is_accepted(&door).await;
            is_accepted(&door).await;
        }
    }
}

#[tokio::test]
async fn each_form_of_trust_accepts_what_it_names_and_nothing_else() {
    let authority = Authority::new("house").unwrap();
    let ours = authority.leaf(&["127.0.0.1"]).unwrap();
    let elsewhere = authority.leaf(&["meter.example"]).unwrap();
    let expired = authority.leaf_until(&["127.0.0.1"], now() - DAY * 9, now() - DAY).unwrap();
    let lone = Certificate::self_signed().unwrap();
    let strangers = Authority::new("house").unwrap().leaf(&["127.0.0.1"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    let ca = |name: &str| format!("{{ ca = \"{}\"{name} }}", file.display());
    let cases = [
        (ca(""), &ours, true),
        (ca(""), &elsewhere, false),
        (ca(", name = \"meter.example\""), &elsewhere, true),
        (ca(", name = \"meter.example\""), &ours, false),
        (ca(", name = false"), &elsewhere, true),
        (ca(""), &expired, false),
        (ca(", name = false"), &expired, false),
        (ca(""), &strangers, false),
        (ca(", name = false"), &strangers, false),
        (ca(", name = false"), &lone, false),
        ("\"public\"".to_owned(), &lone, false),
        ("\"public\"".to_owned(), &ours, false),
        ("\"any\"".to_owned(), &lone, true),
        ("\"any\"".to_owned(), &expired, true),
        (format!("{{ sha256 = \"{}\" }}", lone.sha256()), &lone, true),
        (format!("{{ sha256 = \"{}\" }}", fingerprint(&lone)), &lone, true),
        (format!("{{ sha256 = \"{}\" }}", lone.sha256()), &ours, false),
    ];
    for (trust, certificate, accepted) in cases {
        println!("{trust}");
        let door = door(certificate.clone(), &trust).await;
        if accepted {
            is_accepted(&door).await;
        } else {
            is_refused(&door, &[]).await;
        }
        assert!(!door.lab.path("certs/meter.pem").exists(), "pinned though {trust}");
    }
}

#[tokio::test]
async fn another_authority_in_the_same_file_holds_from_the_next_reload_on() {
    let authorities = ["house", "garden"].map(|name| Authority::new(name).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, authorities[0].pem()).unwrap();
    let trust = format!("{{ ca = \"{}\" }}", file.display());
    let mut door = door(authorities[0].leaf(&["127.0.0.1"]).unwrap(), &trust).await;
    assert!(door.lab.house().files.contains(&file), "it is watched");
    let table = door.device.table("meter", &format!("trust = {trust}\n"));
    for _ in 0..2 {
        is_accepted(&door).await;
        door.lab.reconfigure(&table).await;
    }
    assert_eq!(door.device.served().accepted(), 1, "nothing has changed");
    std::fs::write(&file, authorities[1].pem()).unwrap();
    door.lab.reconfigure(&table).await;
    is_refused(&door, &["ca.pem has signed it"]).await;
    std::fs::write(&file, authorities.each_ref().map(Authority::pem).concat()).unwrap();
    door.lab.reconfigure(&table).await;
    is_accepted(&door).await;
}

#[tokio::test]
async fn a_certificate_that_the_file_names_itself_needs_no_signature() {
    let (ours, gone) = (now() - DAY, now() + DAY);
    let lone = Certificate::authority(&["127.0.0.1"], ours, gone).unwrap();
    let named = Certificate::authority(&["meter.example"], ours, gone).unwrap();
    let expired = Certificate::authority(&["127.0.0.1"], ours - DAY, ours).unwrap();
    let early = Certificate::authority(&["127.0.0.1"], gone, gone + DAY).unwrap();
    let nameless = Certificate::version_one("device", ours, gone, None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("device.pem");
    let all = [&lone, &named, &expired, &early, &nameless].map(Certificate::pem).concat();
    std::fs::write(&file, all).unwrap();
    let ca = |name: &str| format!("{{ ca = \"{}\"{name} }}", file.display());
    for tls12 in [false, true] {
        let old = |certificate: &Certificate| match tls12 {
            true => certificate.clone().at_most_tls12(),
            false => certificate.clone(),
        };
        let mut door = door(old(&lone), &ca("")).await;
        is_accepted(&door).await;
        // Who has only seen it can't show it.
        door.device.shows(old(&lone.stolen().unwrap())).await;
        is_refused(&door, &["can't prove"]).await;
    }
    is_accepted(&door(named.clone(), &ca(", name = \"meter.example\"")).await).await;
    is_accepted(&door(named.clone(), &ca(", name = false")).await).await;
    is_accepted(&door(nameless.clone(), &ca(", name = false")).await).await;
    is_refused(&door(named, &ca("")).await, &["for meter.example, not for 127.0.0.1", "name = false"]).await;
    is_refused(&door(nameless, &ca("")).await, &["trust = \"pin\""]).await;
    is_refused(&door(expired, &ca("")).await, &["has ended", "set the clock here"]).await;
    is_refused(&door(early, &ca("")).await, &["not good yet"]).await;
}

#[tokio::test]
async fn why_a_certificate_is_not_accepted_is_told_in_words_with_what_to_do() {
    let authority = Authority::new("house").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    let ca = format!("{{ ca = \"{}\" }}", file.display());
    let lone = Certificate::self_signed().unwrap();
    let alike = Certificate::authority(&["127.0.0.1"], now() - DAY, now() + DAY).unwrap();
    let expired = authority.leaf_until(&["127.0.0.1"], now() - DAY * 9, now() - DAY).unwrap();
    let early = authority.leaf_until(&["127.0.0.1"], now() + DAY, now() + DAY * 9).unwrap();
    let elsewhere = authority.leaf(&["meter.example", "10.9.8.7"]).unwrap();
    for (trust, certificate, words) in [
        (ca.as_str(), &lone, ["ca.pem has signed it", "put that of its issuer there"]),
        (&ca, &alike, ["CA:TRUE", "put this very certificate into"]),
        (&ca, &expired, ["has ended", "make a new one"]),
        (&ca, &early, ["not good yet", "set the clock"]),
        (&ca, &elsewhere, ["for meter.example, 10.9.8.7, not for 127.0.0.1", "name = false"]),
        ("\"public\"", &lone, ["no public authority has signed it", "trust = \"pin\""]),
        ("\"public\"", &alike, ["CA:TRUE", "trust = \"pin\""]),
    ] {
        let door = door(certificate.clone(), trust).await;
        is_refused(&door, &words).await;
        let detail = door.lab.get("/meter/twin/sample").await.problem().detail;
        for code in ["Error", "UnknownIssuer", "Other", "Context", "invalid peer"] {
            assert!(!detail.contains(code), "{detail}");
        }
    }
}

#[tokio::test]
async fn any_certificate_is_warned_of_on_the_page() {
    let door = door(Certificate::self_signed().unwrap(), "\"any\"").await;
    let page = door.lab.get("/").await;
    assert!(page.text().contains("devices.meter.trust"), "{}", page.text());
}

#[tokio::test]
async fn an_order_to_trust_pins_what_is_shown_and_the_running_server_uses_it() {
    let mut door = Door::new().await;
    is_accepted(&door).await;
    let pinned = fingerprint(&door.device.certificate);
    door.device.shows(Certificate::self_signed().unwrap()).await;
    is_refused(&door, &[]).await;
    let presented = fingerprint(&door.device.certificate);
    match door.lab.order(Instruction::Certificates { device: "meter".to_owned() }).await {
        Outcome::Certificates { pinned: shown, presented: now } => {
            assert_eq!((shown.unwrap().sha256, now.sha256), (pinned.clone(), presented.clone()));
        }
        other => panic!("{other:?}"),
    }
    let trust = |sha256: &str| Instruction::Trust { device: "meter".to_owned(), sha256: sha256.to_owned() };
    let refused = door.lab.order(trust(&pinned)).await;
    assert!(matches!(&refused, Outcome::Failed(why) if why.contains(&presented)), "{refused:?}");
    is_refused(&door, &[]).await;
    let taken = door.lab.order(trust(&presented.replace(':', "").to_lowercase())).await;
    assert!(matches!(taken, Outcome::Fine(_)), "{taken:?}");
    is_accepted(&door).await;
    door.lab.restart(End::Killed).await;
    is_accepted(&door).await;
}

#[tokio::test]
async fn a_login_that_failed_at_a_changed_certificate_is_tried_as_soon_as_that_is_accepted() {
    let mut device = Device::new(Egauge::new(EgaugeSettings::default()));
    let mut lab = Lab::new(&device.table("meter", "")).await;
    assert_eq!(lab.get("/meter/api/register").await.status, 200);
    device.shows(Certificate::self_signed().unwrap()).await;
    lab.restart(End::Stopped).await;
    for _ in 0..3 {
        assert_eq!(lab.get("/meter/api/register").await.problem().fault, "certificate_changed");
    }
    let sha256 = fingerprint(&device.certificate);
    let taken = lab.order(Instruction::Trust { device: "meter".to_owned(), sha256 }).await;
    assert!(matches!(taken, Outcome::Fine(_)), "{taken:?}");
    assert_eq!(lab.get("/meter/api/register").await.status, 200);
}

#[tokio::test]
async fn a_pin_that_was_removed_is_withdrawn() {
    let mut door = Door::new().await;
    is_accepted(&door).await;
    std::fs::remove_file(door.lab.path("certs/meter.pem")).unwrap();
    door.device.shows(Certificate::self_signed().unwrap()).await;
    is_accepted(&door).await;
    let text = std::fs::read_to_string(door.lab.path("certs/meter.pem")).unwrap();
    assert!(text.contains(door.device.certificate.pem().trim()));
}

/// A resumed session shows no certificate that could be compared.
#[tokio::test]
async fn a_pin_that_was_exchanged_holds_for_a_device_that_would_go_on_with_an_earlier_handshake() {
    let certificate = Certificate::self_signed().unwrap();
    for certificate in [certificate.clone(), certificate.at_most_tls12()] {
        let door = door(certificate, "\"pin\"").await;
        // The device remembers its handshakes for as long as it is on.
        is_accepted(&door).await;
        is_accepted(&door).await;
        assert_eq!(door.device.served().accepted(), 1, "one connection, and it is kept");
        let other = Certificate::self_signed().unwrap();
        std::fs::write(door.lab.path("certs/meter.pem"), other.pem()).unwrap();
        assert_eq!(door.lab.get("/meter/twin/raw?text=nonsense").await.fault(), "device_garbled");
        door.device.served().settles(0).await;
        is_refused(&door, &[&fingerprint(&other), &fingerprint(&door.device.certificate)]).await;
    }
}

#[tokio::test]
async fn a_pin_that_cannot_be_read_accepts_nobody_until_a_person_acts() {
    let mut door = Door::new().await;
    is_accepted(&door).await;
    let file = door.lab.path("certs/meter.pem");
    for garbage in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate"] {
        std::fs::write(&file, garbage).unwrap();
        // The connection that is open was made under the pin as it was.
        let certificate = door.device.certificate.clone();
        door.device.shows(certificate).await;
        is_refused(&door, &["meter.pem", "remove it, or run `keyward trust meter`"]).await;
    }
    let sha256 = fingerprint(&door.device.certificate);
    let taken = door.lab.order(Instruction::Trust { device: "meter".to_owned(), sha256 }).await;
    assert!(matches!(taken, Outcome::Fine(_)), "{taken:?}");
    is_accepted(&door).await;
}

#[tokio::test]
async fn a_check_pins_on_first_contact_and_says_so() {
    let door = Door::new().await;
    let said = door.lab.check("meter").await.unwrap();
    assert!(said.contains(&fingerprint(&door.device.certificate)) && said.contains("pinned"), "{said}");
    assert!(door.lab.path("certs/meter.pem").exists());
    assert!(!door.lab.check("meter").await.unwrap().contains("first contact"));
}
