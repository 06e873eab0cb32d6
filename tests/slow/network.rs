//! Callers and devices beyond the loopback, in network namespaces that are made for one test and removed after it.
//! Needs root, `ip` (Debian's package `iproute2`), `curl` and `python3`.

mod names;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::process::Child;

use crate::support::{Ask, Line, Process, until};

/// Two hosts and a cable between them.
struct Hosts {
    server: String,
    caller: String,
}

impl Hosts {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            |side: &str| format!("kw{}-{}-{side}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let hosts = Self { server: name("s"), caller: name("c") };
        for host in [&hosts.server, &hosts.caller] {
            ip(&format!("netns add {host}"));
            ip(&format!("-n {host} link set lo up"));
        }
        ip(&format!("-n {} link add lan type veth peer name lan netns {}", hosts.server, hosts.caller));
        for host in [&hosts.server, &hosts.caller] {
            ip(&format!("-n {host} link set lan up"));
        }
        hosts
    }

    /// Gives both an address in this network: the server the first one, the caller the second.
    fn join(&self, network: &str, length: u8) {
        self.place(&self.server, &format!("{network}1/{length}"));
        self.place(&self.caller, &format!("{network}2/{length}"));
    }

    fn place(&self, host: &str, address: &str) {
        // Whether somebody else has an address of IPv6 would be asked for seconds.
        let at_once = if address.contains(':') { " nodad" } else { "" };
        ip(&format!("-n {host} addr add {address} dev lan{at_once}"));
    }

    /// What runs on the server's side and listens there.
    fn process(&self, listen: &str) -> Process {
        let there = format!("exec ip netns exec {} \"$0\" \"$@\"", self.server);
        Process::new("").with("KEYWARD_LISTEN", listen).after(there)
    }

    /// What the server has in `/etc` by this name.
    fn configure(&self, name: &str, text: &str) {
        let folder = Path::new("/etc/netns").join(&self.server);
        fs::create_dir_all(&folder).unwrap();
        // In place, since what runs there sees this very file.
        fs::write(folder.join(name), text).unwrap();
    }

    /// A device on this host: the files of a folder at port 8000.
    fn web_server(&self, host: &str, address: &str, folder: &Path) -> Child {
        let mut command = tokio::process::Command::new("ip");
        command.args(["netns", "exec", host, "python3", "-m", "http.server", "8000", "--bind", address]);
        let command = command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
        command.kill_on_drop(true).spawn().unwrap()
    }

    /// The whole answer that `curl` gets from there on the caller's side.
    fn answer(&self, url: &str) -> String {
        let out = run("ip", &["netns", "exec", &self.caller, "curl", "-gsSi", "-m", "60", url]);
        String::from_utf8(out.stdout).unwrap()
    }

    /// What `curl` gets from there on the caller's side: the status, then the body.
    fn curl(&self, url: &str) -> (String, String) {
        let out = run(
            "ip",
            &["netns", "exec", &self.caller, "curl", "-gsS", "-m", "10", "-w", "\n%{http_code}", url],
        );
        let text = String::from_utf8(out.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.to_owned(), body.to_owned())
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in [&self.server, &self.caller] {
            drop(Command::new("ip").args(["netns", "delete", host]).output());
        }
        drop(fs::remove_dir_all(format!("/etc/netns/{}", self.server)));
    }
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let out = Command::new(program).args(arguments).output();
    out.unwrap_or_else(|error| panic!("{program} has to be installed for these tests: {error}"))
}

fn ip(arguments: &str) {
    let out = run("ip", &arguments.split(' ').collect::<Vec<_>>());
    assert!(out.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&out.stderr));
}

const DEVICE: &str = "[devices.meter]\nvendor = \"open\"\nurl = \"http://127.0.0.1:1\"\n";

/// Serves for as long as what is returned lives; at this port.
async fn serve(process: &Process) -> (impl Sized, u16) {
    let server = process.start(&["run"]);
    let port = server.address().await.port();
    (server, port)
}

#[tokio::test]
async fn callers_of_private_networks_are_answered_and_others_are_told_the_line_that_would_let_them_in() {
    let hosts = Hosts::new();
    hosts.join("192.168.77.", 24);
    hosts.join("10.77.0.", 24);
    hosts.join("203.0.113.", 24);
    hosts.join("fd77::", 64);
    hosts.join("2001:db8:77::", 64);
    // A provider's network: on one cable, and no neighbours for all that.
    hosts.place(&hosts.server, "2001:db9:0:1::1/32");
    hosts.place(&hosts.caller, "2001:db9:0:2::2/32");
    let process = hosts.process("[::]:0");
    process.write(DEVICE);
    let (_server, port) = serve(&process).await;
    for address in ["192.168.77.1", "10.77.0.1", "[fd77::1]", "[2001:db8:77::1]"] {
        let (status, body) = hosts.curl(&format!("http://{address}:{port}/-/devices"));
        assert_eq!(status, "200", "{address}: {body}");
    }
    for (address, caller) in [("203.0.113.1", "203.0.113.2"), ("[2001:db9:0:1::1]", "2001:db9:0:2::2")] {
        for path in ["/", "/-/devices", "/meter/x"] {
            let (status, body) = hosts.curl(&format!("http://{address}:{port}{path}"));
            assert_eq!(status, "403", "{address}{path}: {body}");
            let told: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(told["fault"], "client_not_allowed");
            let detail = told["detail"].as_str().unwrap();
            let ours = "allow = [\"10.0.0.0/8\", \"172.16.0.0/12\", ";
            assert!(detail.contains(ours) && detail.contains(&format!("\"{caller}\"]")), "{detail}");
        }
        assert_eq!(hosts.curl(&format!("http://{address}:{port}/healthz")).0, "200");
    }
}

#[tokio::test]
async fn allow_takes_the_place_of_the_private_networks_for_all_doors_or_for_one() {
    let hosts = Hosts::new();
    hosts.join("192.168.77.", 24);
    hosts.join("203.0.113.", 24);
    let process = hosts.process("0.0.0.0:0");
    process.write(&format!(
        "{DEVICE}[access]\nallow = [\"203.0.113.0/24\"]\n\
         [[listeners]]\nlisten = \"0.0.0.0:8481\"\nallow = [\"192.168.77.2\"]\n"
    ));
    let (_server, port) = serve(&process).await;
    for (port, friend, stranger, table) in [
        (port, "203.0.113.1", "192.168.77.1", "[access]"),
        (8481, "192.168.77.1", "203.0.113.1", "[[listeners]]"),
    ] {
        assert_eq!(hosts.curl(&format!("http://{friend}:{port}/-/devices")).0, "200");
        let (status, body) = hosts.curl(&format!("http://{stranger}:{port}/-/devices"));
        assert_eq!(status, "403");
        assert!(body.contains(table), "{body}");
    }
    let out = run(
        "ip",
        &["netns", "exec", &hosts.server, "curl", "-gsS", &format!("http://127.0.0.1:{port}/-/devices")],
    );
    assert!(String::from_utf8_lossy(&out.stdout).contains("meter"), "loopback is always let in");
}

#[tokio::test]
async fn a_device_without_a_route_to_it_is_named_so() {
    let hosts = Hosts::new();
    hosts.join("192.168.77.", 24);
    ip(&format!("-n {} route add unreachable 198.51.100.0/24", hosts.server));
    let process = hosts.process("0.0.0.0:0");
    process.write(
        "[devices.refused]\nvendor = \"open\"\nurl = \"http://198.51.100.7\"\n\
         [devices.nowhere]\nvendor = \"open\"\nurl = \"http://198.18.0.7\"\n",
    );
    let (_server, port) = serve(&process).await;
    for name in ["refused", "nowhere"] {
        let text = hosts.answer(&format!("http://192.168.77.1:{port}/{name}/x"));
        assert!(text.contains(" 502 ") && text.contains("device_unreachable"), "{text}");
        assert!(text.contains("error=destination_ip_unroutable;"), "{text}");
    }
}

/// A router gives the device another address.
#[tokio::test]
async fn a_device_is_found_again_when_its_name_leads_elsewhere() {
    let hosts = Hosts::new();
    hosts.join("192.168.77.", 24);
    hosts.configure("hosts", "127.0.0.2 meter.lan\n");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x"), "here").unwrap();
    let device = |address: &str| hosts.web_server(&hosts.server, address, folder.path());
    let mut first = device("127.0.0.2");
    let process = hosts.process("0.0.0.0:0");
    process.write("[devices.meter]\nvendor = \"open\"\nurl = \"http://meter.lan:8000\"\nacts_on_get = []\n");
    let (_server, port) = serve(&process).await;
    let asked = || hosts.curl(&format!("http://192.168.77.1:{port}/meter/x"));
    until(|| asked().0 == "200").await;
    first.kill().await.unwrap();
    assert_eq!(asked().0, "502");
    // The name still leads to the old address, and then in place to the new one.
    let _second = device("127.0.0.3");
    hosts.configure("hosts", "127.0.0.3 meter.lan\n");
    until(|| asked() == ("200".to_owned(), "here".to_owned())).await;
}

/// A name with a dot in it might lead here by anybody's will, but for the machine's own. The packaged service sees no
/// more of /proc than processes.
#[tokio::test]
async fn the_machines_own_name_is_answered_to() {
    const RENAMED: &str = "exec unshare --uts --mount sh -c 'echo Box.Kw.Example >/proc/sys/kernel/hostname; \
                           mount -t tmpfs none /proc/sys; exec \"$0\" \"$@\"' \"$0\" \"$@\"";
    let process = Process::new(DEVICE).after(RENAMED);
    let server = process.start(&["run"]);
    let address = server.address().await;
    for (name, status) in [
        ("box.kw.example", 200),
        ("BOX.kw.example.:8480", 200),
        ("kw.example", 403),
        ("a.box.kw.example", 403),
        ("box.kw.example.evil.example", 403),
    ] {
        let ask = Ask::get("/-/devices").with("Host", name);
        assert_eq!(Line::to(address).await.ask(&ask).await.unwrap().status, status, "{name}");
    }
}

/// A door made way for another that could not be opened, and could not be opened again either. It does not where nothing
/// would come of it.
#[tokio::test]
async fn a_server_is_not_ready_while_one_of_its_doors_is_closed() {
    let hosts = Hosts::new();
    hosts.join("192.168.77.", 24);
    let door = |listen: &str| format!("[[listeners]]\nlisten = \"{listen}\"\n");
    let usual = format!("{DEVICE}{}", door("192.168.77.1:8000"));
    let process = hosts.process("127.0.0.1:0");
    process.write(&usual);
    let server = process.start(&["run"]);
    let address = server.address().await;
    let asked = |path: &str| {
        let url = format!("http://{address}{path}");
        let out = run("ip", &["netns", "exec", &hosts.server, "curl", "-gsSi", "-m", "60", &url]);
        String::from_utf8(out.stdout).unwrap()
    };
    assert!(asked("/readyz").contains(" 200 OK"));
    ip(&format!("-n {} addr del 192.168.77.1/24 dev lan", hosts.server));
    process.write(&format!("{DEVICE}{}{}", door("0.0.0.0:8000"), door("192.168.77.7:8482")));
    server.logs("192.168.77.7:8482 can't be listened on").await;
    assert!((0..100).all(|_| asked("/readyz").contains(" 200 OK")));
    let folder = tempfile::tempdir().unwrap();
    let mut other = hosts.web_server(&hosts.server, "127.0.0.1", folder.path());
    let ask_other = ["netns", "exec", &hosts.server, "curl", "-fsS", "-m", "10", "http://127.0.0.1:8000/"];
    until(|| run("ip", &ask_other).status.success()).await;
    process.write(&format!("{DEVICE}{}", door("0.0.0.0:8000")));
    server.logs("a door that made way could not be opened again").await;
    // What is told is noted a moment later.
    assert!((0..100).any(|_| asked("/readyz").contains(" 503 ")));
    assert!(asked("/readyz").contains("\"ready\":false"));
    assert!(asked("/healthz").contains(" 200 OK"));
    hosts.place(&hosts.server, "192.168.77.1/24");
    other.kill().await.unwrap();
    process.write(&usual);
    server.logs("configuration taken over").await;
    assert!((0..100).any(|_| asked("/readyz").contains(" 200 OK")));
}

/// The address of Home Assistant's ingress, and that of an app beside it.
#[tokio::test]
async fn the_door_of_the_ingress_is_for_its_address_alone() {
    let hosts = Hosts::new();
    hosts.join("172.30.32.", 23);
    hosts.place(&hosts.caller, "172.30.33.7/23");
    let process = hosts.process("127.0.0.1:0");
    process.write(&format!("{DEVICE}[[listeners]]\nlisten = \"0.0.0.0:8099\"\ningress = true\n"));
    let server = process.start(&["run"]);
    server.logs("http://0.0.0.0:8099/ is for Home Assistant's ingress").await;
    let asked = |from: &str, path: &str| {
        let url = format!("http://172.30.32.1:8099{path}");
        let told = ["-H", "Host: a0d7b954-keyward:8099", "-H", "X-Ingress-Path: /api/hassio_ingress/x"];
        let curl = ["netns", "exec", &hosts.caller, "curl", "-gsSi", "-m", "60", "--interface", from, &url];
        String::from_utf8(run("ip", &[&curl[..], &told].concat()).stdout).unwrap()
    };
    let page = asked("172.30.32.2", "/");
    assert!(page.contains(" 200 OK") && page.contains("<base href=\"/api/hassio_ingress/x/\">"), "{page}");
    let refused = asked("172.30.33.7", "/");
    assert!(refused.contains(" 403 ") && refused.contains("client_not_allowed"), "{refused}");
    assert!(asked("172.30.33.7", "/healthz").contains(" 200 OK"), "a health check needs no ingress");
}
