//! What the tests are made of: a laboratory with a real server in it, a client that sends whatever it is told, and
//! devices.

mod client;
mod device;
mod lab;
mod problem;
mod scripted;

pub(crate) use client::{Ask, Line, Reply};
pub(crate) use device::Device;
pub(crate) use lab::{Lab, pass};
pub(crate) use problem::has_members;
pub(crate) use scripted::{Act, Scripted};
