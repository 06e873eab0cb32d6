//! What goes wrong at the cloud, each by a name.

use std::fmt;
use std::str::FromStr;

/// Where at the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// `/login/login.json`.
    Login,
    /// `/tokens`, the first way to a token.
    Tokens,
    /// `/entrez-auth-token`, the second.
    Entrez,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Login, Self::Tokens, Self::Entrez];
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Login: 401, wrong email or password.
    Invalid,
    /// Login: 200 with `requires_mfa`.
    Mfa,
    /// Login: 200 with the cookie of a one-time password.
    OtpCookie,
    /// Login: 200 without `session_id`.
    NoSession,
    /// Login: 200 with a session and `isBlocked`.
    Blocked,
    /// Login: too many active sessions, with the status of the settings.
    Crowded,
    /// Anywhere: 400.
    BadRequest,
    /// Anywhere: 403.
    Forbidden,
    /// Anywhere: 406.
    NotAcceptable,
    /// Anywhere: 200 with a page.
    BotWall,
    /// Anywhere: 429 with `Retry-After`.
    TooManyRequests,
    /// Anywhere: 500.
    Broken,
    /// Anywhere: 503 with `Retry-After`.
    Unavailable,
    /// Anywhere: no answer, ever.
    Hang,
    /// Token: 200 with words instead of a token.
    TokenError,
    /// Token: 200 with nothing.
    TokenEmpty,
    /// Token: of another gateway.
    TokenForeign,
    /// Token: its `exp` is past.
    TokenExpired,
    /// Token: two dotted parts.
    TokenTorn,
}

impl Trouble {
    /// All of them, each with its name.
    pub const ALL: [(&'static str, Self); 19] = [
        ("invalid", Self::Invalid),
        ("mfa", Self::Mfa),
        ("otp-cookie", Self::OtpCookie),
        ("no-session", Self::NoSession),
        ("blocked", Self::Blocked),
        ("crowded", Self::Crowded),
        ("bad-request", Self::BadRequest),
        ("forbidden", Self::Forbidden),
        ("not-acceptable", Self::NotAcceptable),
        ("bot-wall", Self::BotWall),
        ("too-many-requests", Self::TooManyRequests),
        ("broken", Self::Broken),
        ("unavailable", Self::Unavailable),
        ("hang", Self::Hang),
        ("token-error", Self::TokenError),
        ("token-empty", Self::TokenEmpty),
        ("token-foreign", Self::TokenForeign),
        ("token-expired", Self::TokenExpired),
        ("token-torn", Self::TokenTorn),
    ];

    /// Whether it can happen there.
    pub fn befalls(self, stage: Stage) -> bool {
        match self {
            Self::Invalid | Self::Mfa | Self::OtpCookie | Self::NoSession | Self::Blocked | Self::Crowded => {
                stage == Stage::Login
            }
            Self::TokenError
            | Self::TokenEmpty
            | Self::TokenForeign
            | Self::TokenExpired
            | Self::TokenTorn => stage != Stage::Login,
            _ => true,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::ALL.iter().find(|(_, trouble)| trouble == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

impl FromStr for Trouble {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.iter().find(|(known, _)| *known == name);
        named.map(|(_, trouble)| *trouble).ok_or_else(|| format!("no trouble is called `{name}`"))
    }
}
