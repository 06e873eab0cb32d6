//! Doors that open and close while keyward runs, and those that others have opened for it.

use std::net::{SocketAddr, TcpListener};

use http::Method;
use keyward::clock::Clock;
use keyward::config::{self, Config, Environment};
use keyward::server::Server;
use keyward::twin::generic::{Generic, Scheme};
use keyward::vendor::{Driver, Registry};
use tempfile::TempDir;
use tokio_util::task::AbortOnDropHandle;

use super::Building;
use crate::support::{Ask, Device, Line, Process};

/// A port that nobody has just now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn door(address: &str, more: &str) -> String {
    format!("[[listeners]]\nlisten = \"{address}\"\n{more}")
}

async fn answers(address: SocketAddr) -> bool {
    match tokio::net::TcpStream::connect(address).await {
        Ok(_) => {
            Line::to(address).await.ask(&Ask::get("/healthz")).await.is_ok_and(|reply| reply.status == 200)
        }
        Err(_) => false,
    }
}

#[tokio::test]
async fn doors_open_and_close_with_the_configuration_and_the_others_stay() {
    let mut building = Building::with("", "").await;
    let tables = [building.meter.table("meter", ""), building.other.table("other", "")].concat();
    let mut line = building.lab.connect().await;
    assert_eq!(line.ask(&Ask::get("/meter/twin/echo")).await.unwrap().status, 200);
    building.lab.reconfigure(&format!("{tables}{}", door("127.0.0.1:0", ""))).await;
    let added = building.lab.doors()[1];
    let mut by_added = Line::to(added).await;
    assert_eq!(by_added.ask(&Ask::get("/meter/twin/echo")).await.unwrap().status, 200);
    let mut slow = Line::to(added).await;
    slow.begin(&Ask::get("/meter/twin/slow?ms=300")).await;
    building.meter.twin.journal().reaches(3).await;
    building.lab.reconfigure(&tables).await;
    assert!(by_added.rest().await.unwrap().is_empty(), "an idle connection by a closed door ends");
    assert_eq!(slow.reply(&Method::GET).await.unwrap().status, 200, "what is under way is finished");
    crate::support::until(|| std::net::TcpStream::connect(added).is_err()).await;
    assert_eq!(line.ask(&Ask::get("/meter/twin/echo")).await.unwrap().status, 200);
    assert_eq!(building.lab.doors().len(), 1);
}

#[tokio::test]
async fn a_door_that_moves_to_every_address_of_its_port_takes_it_over() {
    let mut building = Building::with("", "").await;
    let tables = [building.meter.table("meter", ""), building.other.table("other", "")].concat();
    let port = free_port();
    let loopback: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    building.lab.reconfigure(&format!("{tables}{}", door(&loopback.to_string(), ""))).await;
    assert!(answers(loopback).await);
    building.lab.reconfigure(&format!("{tables}{}", door(&format!("0.0.0.0:{port}"), ""))).await;
    assert!(answers(loopback).await);
    assert_eq!(building.lab.doors()[1], format!("0.0.0.0:{port}").parse().unwrap());
    // One of IPv6 beside it has the other half of the port.
    let both = [door(&format!("0.0.0.0:{port}"), ""), door(&format!("[::]:{port}"), "")].concat();
    building.lab.reconfigure(&format!("{tables}{both}")).await;
    assert!(answers(loopback).await);
    assert!(answers(format!("[::1]:{port}").parse().unwrap()).await);
}

#[tokio::test]
async fn a_door_that_cannot_be_opened_leaves_all_doors_as_they_were() {
    let mut building = Building::with("", "").await;
    let tables = [building.meter.table("meter", ""), building.other.table("other", "")].concat();
    let port = free_port();
    let here: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    building.lab.reconfigure(&format!("{tables}{}", door(&here.to_string(), ""))).await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let wrong =
        [door(&format!("0.0.0.0:{port}"), ""), door(&taken.local_addr().unwrap().to_string(), "")].concat();
    building.lab.reconfigure(&format!("{tables}{wrong}")).await;
    assert!(answers(here).await, "it made way and came back");
    assert_eq!(building.lab.doors()[1], here);
    let page = building.lab.get("/").await;
    assert!(page.text().contains(&taken.local_addr().unwrap().to_string()), "{}", page.text());
}

/// All addresses of IPv6 are those of IPv4 too, unless another door has these.
#[tokio::test]
async fn a_reload_leaves_the_doors_that_a_restart_would() {
    let mut building = Building::with("", "").await;
    let tables = [building.meter.table("meter", ""), building.other.table("other", "")].concat();
    let port = free_port();
    let v4: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    let v6: SocketAddr = format!("[::1]:{port}").parse().unwrap();
    let every = door(&format!("[::]:{port}"), "");
    let both = [door(&format!("0.0.0.0:{port}"), ""), every.clone()].concat();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let wrong = [door(&v6.to_string(), ""), door(&taken.local_addr().unwrap().to_string(), "")].concat();
    for (doors, is_right) in
        [(&every, true), (&both, true), (&wrong, false), (&both, true), (&every, true), (&both, true)]
    {
        building.lab.reconfigure(&format!("{tables}{doors}")).await;
        assert!(answers(v4).await && answers(v6).await, "after {doors}");
        let ready = building.lab.get("/readyz").await;
        assert_eq!(ready.status, 200);
        assert_eq!(building.lab.get("/").await.text().contains("not taken over"), !is_right);
    }
}

#[tokio::test]
async fn what_never_ends_by_itself_ends_with_its_door() {
    let mut building = Building::with("", &door("127.0.0.1:0", "")).await;
    let tables = [building.meter.table("meter", ""), building.other.table("other", "")].concat();
    let mut events = Line::to(building.lab.doors()[1]).await;
    events.begin(&Ask::get("/meter/twin/events")).await;
    assert_eq!(events.head(&Method::GET).await.unwrap().status, 200);
    events.piece().await.unwrap();
    building.lab.reconfigure(&tables).await;
    while let Ok(Some(_)) = events.piece().await {}
}

#[tokio::test]
async fn a_name_is_listened_on_at_each_of_its_addresses() {
    let building = Building::with("", &door("localhost:0", "")).await;
    let doors = building.lab.doors();
    assert!(doors.len() > 1, "localhost has an address");
    for door in &doors[1..] {
        assert!(answers(*door).await, "{door}");
        assert_eq!(door.port(), doors[1].port());
    }
}

#[tokio::test]
async fn callers_by_ipv6_are_answered_as_those_by_ipv4_are() {
    let building = Building::with("", &door("[::1]:0", "")).await;
    let address = building.lab.doors()[1];
    assert!(address.is_ipv6());
    let ask = Ask::get("/meter/twin/echo").with("Host", &address.to_string());
    let (reply, arrived) = building.ask(1, &ask.with("Origin", &format!("http://{address}"))).await;
    assert_eq!((reply.status.as_u16(), arrived), (200, 1));
}

/// As systemd does it: the socket is file descriptor 3, and the environment says so.
#[tokio::test]
async fn a_socket_that_was_handed_over_is_the_door_of_its_port_or_the_first_one() {
    let device = Device::new(Generic::new(Scheme::Open));
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let handed = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$";
    for listen in [address.to_string(), format!("0.0.0.0:{}", address.port()), "127.0.0.1:1".to_owned()] {
        let process = Process::new(&device.table("meter", ""))
            .with("KEYWARD_LISTEN", listen.as_str())
            .after(handed)
            .given(socket.try_clone().unwrap().into());
        let server = process.start(&["run"]);
        assert_eq!(server.address().await, address, "{listen}");
        let reply = Line::to(address).await.ask(&Ask::get("/meter/twin/echo")).await.unwrap();
        assert_eq!(reply.status, 200);
        server.signal("TERM").await;
        assert_eq!(server.ends().await.code, Some(0));
    }
    let stray = std::os::unix::net::UnixDatagram::unbound().unwrap();
    let process = Process::new(&device.table("meter", "")).after(handed).given(stray.into());
    let ended = process.carry_out(&["run"]).await;
    assert!(ended.code == Some(2) && ended.err.contains("handed over"), "{ended:?}");
}

fn read(folder: &TempDir, text: &str) -> Config<Driver> {
    config::parse(text, &folder.path().join("proxy.toml"), &Environment::default(), &Registry).unwrap()
}

/// Who has handed it over goes on listening there: nobody can be bound in its place, and neither can it again.
#[tokio::test]
async fn a_socket_that_was_handed_over_is_there_for_whichever_configuration_names_it() {
    let device = "[devices.meter]\nvendor = \"open\"\nurl = \"http://127.0.0.1:1\"\n";
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let every = format!("0.0.0.0:{}", address.port());
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    let free = format!("127.0.0.1:{}", free_port());
    let here = address.to_string();
    let folder = tempfile::tempdir().unwrap();
    let config = |first: &str, second: Option<&str>| {
        let more = second.map(|second| door(second, "")).unwrap_or_default();
        read(&folder, &format!("listen = \"{first}\"\n{device}{more}"))
    };
    let handed = vec![socket.try_clone().unwrap()];
    let server = Server::bind(config(&here, None), Clock::of_runtime(), handed).await.unwrap();
    let reloader = server.reloader();
    let _running = AbortOnDropHandle::new(tokio::spawn(server.run(std::future::pending())));
    for (first, second, is_there) in [
        (taken.as_str(), None, true),
        (&every, Some(taken.as_str()), true),
        (&here, Some(&free), true),
        (&free, None, false),
        (&here, None, true),
        (&every, None, true),
        (&free, Some(&every), true),
    ] {
        let changed = config(first, second);
        reloader.take_over(move || Ok(changed)).await;
        let doors = reloader.doors.addresses();
        assert_eq!(doors.iter().any(|(door, _)| *door == address), is_there, "{first} {second:?}: {doors:?}");
        if is_there {
            assert!(answers(address).await, "{first} {second:?}");
        }
    }
}

#[tokio::test]
async fn a_socket_goes_to_the_door_of_its_address_and_a_door_takes_one_for_each_of_its_own() {
    let device = "[devices.meter]\nvendor = \"open\"\nurl = \"http://127.0.0.1:1\"\n";
    let four = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = four.local_addr().unwrap().port();
    let six = TcpListener::bind(("::1", port)).unwrap();
    let addresses = [four.local_addr().unwrap(), six.local_addr().unwrap()];
    for doors in [
        format!("listen = \"localhost:{port}\"\n{device}"),
        format!("listen = \"127.0.0.1:{port}\"\n{device}{}", door(&format!("[::1]:{port}"), "")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let handed = [&six, &four].map(|socket| socket.try_clone().unwrap()).into();
        let server = Server::bind(read(&folder, &doors), Clock::of_runtime(), handed).await.unwrap();
        let mut bound: Vec<_> = server.addresses().into_iter().map(|(address, _)| address).collect();
        bound.sort_unstable();
        assert_eq!(bound, addresses);
    }
}
