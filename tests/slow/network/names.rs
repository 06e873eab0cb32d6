//! Names that lead nowhere, or that only their owners know, and addresses behind which nobody is.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{Hosts, ip, serve};
use crate::dialogue::after;

/// A name server that hears everything. To the word `unknown` it says of each name that it does not exist.
const NAME_SERVER: &str = r#"
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
print("ready", flush=True)
while True:
    asked, whence = server.recvfrom(4096)
    if sys.argv[1:] == ["unknown"]:
        server.sendto(asked[:2] + b"\x81\x83" + asked[4:6] + bytes(6) + asked[12:], whence)
"#;

/// Answers by multicast (RFC 6762) for one name and its address.
const OWNER: &str = r#"
import socket, struct, sys
name, address = sys.argv[1:]
wire = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
group, here = socket.inet_aton("224.0.0.251"), socket.inet_aton(address)
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("", 5353))
server.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + here)
server.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
server.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
print("ready", flush=True)
while True:
    asked, _ = server.recvfrom(9000)
    if asked[2] & 0x80 == 0 and wire in asked.lower():
        record = wire + struct.pack("!HHIH", 1, 0x8001, 120, 4) + here
        server.sendto(bytes(2) + b"\x84\0" + struct.pack("!HHHH", 0, 1, 0, 0) + record, ("224.0.0.251", 5353))
"#;

/// A program on one of the hosts, once it is ready. It ends when this is dropped.
async fn python(host: &str, program: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", host, "python3", "-c", program]).args(arguments);
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).await.unwrap();
    assert_eq!(said, "ready\n");
    child
}

/// Two hosts, of which the server asks a name server on itself.
fn hosts() -> Hosts {
    let hosts = Hosts::new();
    hosts.join("192.168.77.", 24);
    hosts.configure("resolv.conf", "nameserver 127.0.0.1\n");
    if Path::new("/etc/nsswitch.conf").exists() {
        hosts.configure("nsswitch.conf", "hosts: files dns\n");
    }
    hosts
}

fn device(name: &str, host: &str, more: &str) -> String {
    format!("[devices.{name}]\nvendor = \"open\"\nurl = \"http://{host}\"\nacts_on_get = []\n{more}\n")
}

#[tokio::test]
async fn a_name_that_nobody_has_is_told_apart_from_a_name_server_that_says_nothing() {
    let hosts = hosts();
    let process = hosts.process("0.0.0.0:0");
    // A search by multicast takes three seconds to find nobody.
    process.write(
        &(device("nobody", "nobody.example", "connect_timeout = \"30s\"")
            + &device("local", "nobody.local", "connect_timeout = \"30s\"")
            + &device("unanswered", "meter.example", "connect_timeout = \"1s\"")),
    );
    let (_server, port) = serve(&process).await;
    let asked = |name: &str| hosts.answer(&format!("http://192.168.77.1:{port}/{name}/x"));
    let mut unknown = python(&hosts.server, NAME_SERVER, &["unknown"]).await;
    for (name, words) in [("nobody", "check its spelling"), ("local", "Multicast does not reach a container")]
    {
        let told = asked(name);
        assert!(told.contains(" 502 ") && told.contains("\"device_unreachable\""), "{told}");
        assert!(told.contains("error=dns_error;") && told.contains(words), "{told}");
    }
    unknown.kill().await.unwrap();
    let _silent = python(&hosts.server, NAME_SERVER, &[]).await;
    let told = asked("unanswered");
    assert!(told.contains(" 504 ") && told.contains("\"device_timeout\""), "{told}");
    assert!(told.contains("error=dns_timeout;"), "{told}");
}

#[tokio::test]
async fn a_name_that_only_its_owner_knows_is_asked_for_by_multicast() {
    let hosts = hosts();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x"), "here").unwrap();
    let _meter = hosts.web_server(&hosts.caller, "192.168.77.2", folder.path());
    // What the system asks is silent for longer than the device has time.
    let _silent = python(&hosts.server, NAME_SERVER, &[]).await;
    let process = hosts.process("0.0.0.0:0");
    process.write(&device("meter", "METER.local:8000", "connect_timeout = \"4s\""));
    let (_server, port) = serve(&process).await;
    let url = format!("http://192.168.77.1:{port}/meter/x");
    let told = hosts.answer(&url);
    assert!(told.contains("error=dns_timeout;") || told.contains("error=dns_error;"), "{told}");
    let _owner = python(&hosts.caller, OWNER, &["meter.local", "192.168.77.2"]).await;
    assert!((0..5).any(|_| hosts.curl(&url) == ("200".to_owned(), "here".to_owned())));
}

#[tokio::test]
async fn a_device_that_does_not_take_up_is_given_up_at_the_connect_timeout() {
    let hosts = hosts();
    // Whose frames they are is known, and nobody takes them.
    ip(&format!("-n {} neigh add 192.168.77.9 lladdr 02:00:00:00:00:09 nud permanent dev lan", hosts.server));
    let process = hosts.process("0.0.0.0:0");
    process.write(&device("meter", "192.168.77.9", "connect_timeout = \"1s\""));
    let (_server, port) = serve(&process).await;
    let told = hosts.answer(&format!("http://192.168.77.1:{port}/meter/x"));
    assert!(told.contains(" 504 ") && told.contains("\"device_timeout\""), "{told}");
    assert!(told.contains("error=connection_timeout;"), "{told}");
}

/// Answers by multicast for what these arguments say: `type instance host address text` announces a service, and
/// anybody who asks for the host gets the address.
const ANNOUNCER: &str = r#"
import socket, struct, sys
kind, instance, host, address, text = sys.argv[1:]
def wire(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
def record(name, number, data):
    return name + struct.pack("!HHIH", number, 1, 120, len(data)) + data
kind, host = wire(kind + ".local"), wire(host + ".local")
instance = bytes([len(instance)]) + instance.encode() + kind
group, here = socket.inet_aton("224.0.0.251"), socket.inet_aton(address)
texts = b"".join(bytes([len(part)]) + part.encode() for part in text.split(",")) or b"\0"
answer = record(kind, 12, instance) + record(instance, 33, struct.pack("!HHH", 0, 0, 443) + host)
answer += record(instance, 16, texts) + record(host, 1, here)
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("", 5353))
server.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + here)
server.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
server.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
print("ready", flush=True)
while True:
    asked, _ = server.recvfrom(9000)
    if asked[2] & 0x80 == 0 and (kind in asked.lower() or host in asked.lower()):
        server.sendto(bytes(2) + b"\x84\0" + struct.pack("!HHHH", 0, 4, 0, 0) + answer, ("224.0.0.251", 5353))
"#;

#[tokio::test]
async fn devices_that_show_themselves_are_found_and_others_are_not() {
    let hosts = hosts();
    let process = hosts.process("0.0.0.0:0");
    let nobody = process.carry_out(&["discover"]).await;
    assert_eq!((nobody.code, nobody.out.as_str()), (Some(1), ""), "{nobody:?}");
    assert!(nobody.err.contains("`keyward add DEVICE` asks"), "{nobody:?}");
    let announce =
        |arguments: [&'static str; 5]| python(&hosts.caller, ANNOUNCER, Box::leak(Box::new(arguments)));
    let gateway =
        ["_enphase-envoy._tcp", "envoy", "envoy", "192.168.77.2", "serialnum=121935144671,protovers=8.3"];
    let _gateway = announce(gateway).await;
    let steps = [
        ("Number or name: ", "enphase\n"),
        ("Found on the network: Enphase", ""),
        ("serial 121935144671", ""),
        ("Address [https://envoy.local]: ", "\n"),
        ("Enphase account: ", "owner@example.com\n"),
        ("(not shown): ", "word\n"),
        ("[solar]: ", "\n"),
    ];
    let there = ["ip", "netns", "exec", &hosts.server];
    let init = ["init", "--untested", "--config", "found.toml"];
    let told = after(&there, &process, &init, &steps, &[]).await;
    assert_eq!(told.code, Some(0), "{}", told.shown);
    // What the README shows of it, which nobody but a device in a network can show its reader.
    let readme = include_str!("../../../README.md").lines();
    let line = readme.filter(|line| line.starts_with("Found on the network: ")).collect::<String>();
    let line = line.replace("192.168.1.37", "192.168.77.2");
    assert!(!line.is_empty() && told.shown.contains(&line), "{line}: {}", told.shown);
    let written = std::fs::read_to_string(process.path("found.toml")).unwrap();
    assert!(written.contains("serial   = \"121935144671\""), "{written}");
    let _meter = announce(["_http._tcp", "Cellar", "egauge67385", "192.168.77.2", ""]).await;
    let _printer = announce(["_http._tcp", "Printer", "printer", "192.168.77.2", ""]).await;
    let found = process.carry_out(&["discover"]).await;
    assert_eq!(found.code, Some(0), "{found:?}");
    let read: toml::Table = found.out.parse().unwrap();
    let devices = read["devices"].as_table().unwrap();
    assert_eq!(devices.len(), 2, "{}", found.out);
    assert_eq!(devices["solar"]["url"].as_str(), Some("https://envoy.local"));
    assert_eq!(devices["solar"]["serial"].as_str(), Some("121935144671"));
    assert_eq!(devices["meter"]["url"].as_str(), Some("https://egauge67385.local"));
    assert!(
        found.out.contains("192.168.77.2") && found.err.contains("keyward add solar --vendor enphase"),
        "{found:?}"
    );
}
