//! What becomes of a request on its way, and of an answer on its way back.

mod admission;
mod headers;
mod limits;
mod own;
mod paths;
mod rest;
