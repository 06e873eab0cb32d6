//! What the tests are made of: a laboratory with a real server in it, a client that sends whatever it is told, and
//! devices.

mod client;
mod device;
mod door;
mod lab;
mod problem;
mod process;
mod reader;
mod scripted;

pub(crate) use client::{Ask, Line, Reply};
pub(crate) use device::{Device, Port};
pub(crate) use door::Door;
pub(crate) use lab::{End, Lab, pass};
pub(crate) use problem::has_members;
pub(crate) use process::{Process, Running, address_in};
pub(crate) use reader::{Answers, Hands, nowhere, read_and_do};
pub(crate) use scripted::{Act, Heard, Scripted};

/// Waits until something is so that nobody tells of.
pub(crate) async fn until(mut what: impl FnMut() -> bool) {
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(1));
    for _ in 0..10_000 {
        if what() {
            return;
        }
        looks.tick().await;
    }
    panic!("it never came to be");
}
