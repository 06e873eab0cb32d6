use super::*;

fn sighting(service: Option<&str>, host: &str, told: &[(&str, &str)]) -> Sighting {
    Sighting {
        service: service.map(str::to_owned),
        host: host.to_owned(),
        addresses: vec!["192.168.1.37".parse().unwrap()],
        told: told.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    }
}

#[test]
fn a_device_is_known_by_its_service_its_name_or_the_beginning_of_it_and_found_once() {
    let gateway = Some("_enphase-envoy._tcp");
    let found = recognised(vec![
        sighting(Some("_http._tcp"), "egauge67385.local", &[]),
        sighting(Some("_http._tcp"), "egauges.local", &[]),
        sighting(Some("_http._tcp"), "printer.local", &[]),
        sighting(gateway, "envoy.local", &[("serialnum", "121935144671"), ("protovers", "8")]),
        sighting(None, "envoy.local", &[]),
        sighting(gateway, "roof-east.local", &[("serialnum", "202\nx = 1")]),
    ]);
    let hosts: Vec<_> = found.iter().map(|found| (found.make.name, found.host.as_str())).collect();
    assert_eq!(
        hosts,
        [("egauge", "egauge67385.local"), ("enphase", "envoy.local"), ("enphase", "roof-east.local")]
    );
    assert_eq!(found[1].keys, [("serial", "121935144671".to_owned())].into());
    assert_eq!(
        found[2].keys,
        BTreeMap::new(),
        "what anybody may announce is not written into a file as it is"
    );
    assert_eq!(found[1].addresses.len(), 1);
}

#[test]
fn what_a_device_calls_itself_ends_no_line_of_a_stanza() {
    let gateway = Some("_enphase-envoy._tcp");
    assert!(recognised(vec![sighting(gateway, "x\"]\n[access].local", &[])]).is_empty());
    assert!(recognised(vec![sighting(gateway, "", &[])]).is_empty());
}

#[test]
fn a_stanza_is_ready_but_for_what_is_to_be_filled_in() {
    let seen = sighting(Some("_enphase-envoy._tcp"), "envoy.local", &[("serialnum", "121935144671")]);
    let found = recognised(vec![seen]);
    let text = found[0].stanza("solar-2");
    assert!(text.contains("username = \"\"") && text.contains("{ env = \"SOLAR_2_PASSWORD\" }"), "{text}");
    let filled = text.replace("username = \"\"", "username = \"owner@example.com\"");
    let environment = [("SOLAR_2_PASSWORD", "word")].into_iter().collect();
    let read = crate::config::parse(&filled, "proxy.toml".as_ref(), &environment, &crate::vendor::Registry);
    assert_eq!(read.unwrap().devices[0].url.to_string(), "https://envoy.local");
}

#[test]
fn what_is_to_be_done_next_fits_whether_there_is_a_file_yet() {
    let found = recognised(vec![
        sighting(None, "egauge1.local", &[]),
        sighting(Some("_enphase-envoy._tcp"), "envoy.local", &[]),
    ]);
    let names = ["meter".to_owned(), "solar".to_owned()];
    let [meter, solar] = [
        "meter --vendor egauge --url https://egauge1.local",
        "solar --vendor enphase --url https://envoy.local",
    ];
    let told = |is_first| commands(&found, &names, is_first);
    assert_eq!(told(true), [format!("keyward init {meter}"), format!("keyward add {solar}")]);
    assert_eq!(told(false), [format!("keyward add {meter}"), format!("keyward add {solar}")]);
    assert!(
        nobody(true).contains("`keyward init` asks") && nobody(false).contains("`keyward add DEVICE` asks")
    );
}
