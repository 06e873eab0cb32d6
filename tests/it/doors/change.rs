//! Doors that open and close while keyward runs, and those that others have opened for it.

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;

use http::Method;

use super::Building;
use crate::support::{Ask, Line, Process};

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
async fn a_socket_that_was_handed_over_is_the_door_of_its_port() {
    let device = crate::support::Device::new(keyward::twin::generic::Generic::new(
        keyward::twin::generic::Scheme::Open,
    ));
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let process = Process::new(&device.table("meter", ""));
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" run";
    for (listen, is_first) in [(address.to_string(), true), ("127.0.0.1:1".to_owned(), true)] {
        let stdin = Stdio::from(std::os::fd::OwnedFd::from(socket.try_clone().unwrap()));
        let process_listen = listen.clone();
        std::fs::write(
            process.path("proxy.toml"),
            format!("listen = {process_listen:?}\n{}", device.table("meter", "")),
        )
        .unwrap();
        let server = process.start_in_shell(script, stdin);
        assert_eq!(server.address().await == address, is_first, "{listen}");
        let reply = Line::to(address).await.ask(&Ask::get("/meter/twin/echo")).await.unwrap();
        assert_eq!(reply.status, 200);
        server.signal("TERM").await;
        assert_eq!(server.ends().await.code, Some(0));
    }
}
