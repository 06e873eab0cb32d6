//! What a make wants to know of one of its devices, for whoever asks a person for it.

/// One of a make's own keys in the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Whether a device can do without.
    pub need: Need,
    /// What a person is asked for.
    pub asked: &'static str,
}

/// What a key may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// One of these.
    Choice(&'static [&'static str]),
    /// Where something is asked with credentials.
    Url,
    /// A password, key or token.
    Secret,
}

/// Whether a device can do without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It can't.
    Always,
    /// Not without this one or another.
    Unless(&'static str),
    /// It can, and then this holds; a person is asked.
    Usually(&'static str),
    /// It can, and few need it.
    Seldom,
}

/// By what a make's devices show themselves on the network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traces {
    /// Types of service (RFC 6763 section 4.1.2) that they announce.
    pub services: &'static [&'static str],
    /// Names below `.local` that they answer to.
    pub names: &'static [&'static str],
    /// What their names begin with, before a number.
    pub stem: Option<&'static str>,
    /// What their announcement says, and the key that it is the value of.
    pub told: &'static [(&'static str, &'static str)],
}

impl Traces {
    /// Whether there is anything to know them by.
    pub fn are_any(&self) -> bool {
        !self.services.is_empty() || !self.names.is_empty() || self.stem.is_some()
    }
}

const fn key(name: &'static str, kind: Kind, need: Need, asked: &'static str) -> Key {
    Key { name, kind, need, asked }
}

/// A text that a device can't do without.
pub(super) const fn text(name: &'static str, asked: &'static str) -> Key {
    key(name, Kind::Text, Need::Always, asked)
}

/// A secret that a device can't do without.
pub(super) const fn secret(name: &'static str, asked: &'static str) -> Key {
    key(name, Kind::Secret, Need::Always, asked)
}

impl Key {
    /// The same key, not needed where the other one is given.
    pub(super) const fn unless(self, other: &'static str) -> Self {
        Self { need: Need::Unless(other), ..self }
    }

    /// The same key, which few need.
    pub(super) const fn seldom(self) -> Self {
        Self { need: Need::Seldom, ..self }
    }

    /// The same key, of which there are few forms, one of them usual.
    pub(super) const fn among(self, forms: &'static [&'static str], usual: &'static str) -> Self {
        Self { kind: Kind::Choice(forms), need: Need::Usually(usual), ..self }
    }

    /// The same key, for an endpoint.
    pub(super) const fn url(self) -> Self {
        Self { kind: Kind::Url, ..self }
    }
}
