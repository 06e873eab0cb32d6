//! The life of a server: reloads, errors of its own, callers without end, and its end.

mod burden;
mod end;
mod errors;
mod reload;
