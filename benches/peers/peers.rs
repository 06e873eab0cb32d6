//! keyward and those it is compared with: how each is configured and started before the same device.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use tokio::time::Instant;

use super::device::{Device, SMALL, TOKEN};
use super::load::{Caller, PATIENCE};
use super::options::Options;
use super::process::Running;

/// How one of them is started.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// The file that configures it, and the text of that.
    configuration: (&'static str, &'static str),
    /// What starts it. `{FOLDER}` is where its file is, `{PROGRAM}` is keyward, `{TOOLS}` is where packages of npm and
    /// PyPI are.
    words: &'static str,
}

const fn template(name: &'static str, file: &'static str, text: &'static str, words: &'static str) -> Kind {
    Kind { name, configuration: (file, text), words }
}

/// Who is measured, in the order of the table.
pub(crate) const KINDS: [Kind; 6] = [
    KEYWARD,
    NGINX,
    template("HAProxy", "haproxy.cfg", include_str!("haproxy.cfg"), "haproxy -db -q -f {FOLDER}/haproxy.cfg"),
    template(
        "Caddy",
        "Caddyfile",
        include_str!("Caddyfile"),
        "caddy run --adapter caddyfile --config {FOLDER}/Caddyfile",
    ),
    template(
        "http-proxy",
        "http-proxy.js",
        include_str!("http-proxy.js"),
        "env NODE_PATH={TOOLS}/node_modules node {FOLDER}/http-proxy.js",
    ),
    template("requests", "proxy.py", include_str!("proxy.py"), "{TOOLS}/venv/bin/python {FOLDER}/proxy.py"),
];
pub(crate) const KEYWARD: Kind = template(
    "keyward",
    "keyward.toml",
    include_str!("keyward.toml"),
    "{PROGRAM} run --config {FOLDER}/keyward.toml",
);
pub(crate) const NGINX: Kind = template(
    "nginx",
    "nginx.conf",
    include_str!("nginx.conf"),
    "nginx -e {FOLDER}/nginx.log -p {FOLDER} -c {FOLDER}/nginx.conf",
);
/// keyward with answers from memory, where it has them.
pub(crate) const KEYWARD_CACHED: Kind = template(
    "keyward",
    "keyward-cached.toml",
    include_str!("keyward-cached.toml"),
    "{PROGRAM} run --config {FOLDER}/keyward-cached.toml",
);

/// One of them, running.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) program: Running,
    /// From its start to its first answer.
    pub(crate) began: Duration,
}

/// What runs it, `callgrind` say; nothing for itself.
#[derive(Clone, Copy, Default)]
pub(crate) struct Below<'a> {
    pub(crate) words: &'a [String],
}

/// Makes keyward what the packages of the others are: without its symbols, and read from the disk when it starts. What was
/// just written lies in memory in larger pieces than what was read, and of those more counts as the program's.
pub(crate) fn install(options: &Options) -> io::Result<()> {
    let released = options.released();
    let strip = Command::new("strip").arg("-o").arg(&released).arg(&options.program).status();
    if !strip.map_err(|error| io::Error::other(format!("strip: {error}")))?.success() {
        return Err(io::Error::other(format!("strip failed for {}", options.program.display())));
    }
    let file = File::open(&released)?;
    file.sync_all()?;
    Ok(rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?)
}

impl Kind {
    /// Starts it in a folder of its own below `folder` and waits until it answers `path`.
    pub(crate) fn start(
        &self,
        options: &Options,
        device: &Device,
        below: Below<'_>,
        path: &str,
    ) -> Result<Peer, String> {
        let (file, text) = self.configuration;
        let folder = options.folder.join(file.replace('.', "-"));
        // An earlier device had another certificate, and what it answered may still be kept.
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let address = free_port().map_err(|error| error.to_string())?;
        // What a profile is of has to have its names.
        let keyward = if below.words.is_empty() { options.released() } else { options.program.clone() };
        let fill = |text: &str| {
            text.replace("{FOLDER}", &folder.display().to_string())
                .replace("{PROGRAM}", &keyward.display().to_string())
                .replace("{TOOLS}", &options.tools.display().to_string())
                .replace("{DEVICE}", &device.address.to_string())
                .replace("{TOKEN}", TOKEN)
                .replace("{LISTEN}", &address.to_string())
                .replace("{PORT}", &address.port().to_string())
                .replace("{MASTER}", if below.words.is_empty() { "on" } else { "off" })
        };
        fs::write(folder.join(file), fill(text)).map_err(|error| error.to_string())?;
        let own = fill(self.words);
        let words: Vec<_> = below.words.iter().cloned().chain(own.split(' ').map(str::to_owned)).collect();
        let begun = Instant::now();
        let mut program =
            Running::start(&words, &folder, "log").map_err(|error| format!("{words:?}: {error}"))?;
        first_answer(&mut program, address, path).map_err(|error| format!("{}: {error}", self.name))?;
        Ok(Peer { name: self.name, address, program, began: begun.elapsed() })
    }
}

impl Peer {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Asks until there is an answer from the device.
fn first_answer(program: &mut Running, address: SocketAddr, path: &str) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let failed = match Caller::new(address).and_then(|mut caller| caller.ask(path)) {
            Ok(SMALL) => return Ok(()),
            Ok(length) => format!("{length} bytes, which are not the device's"),
            Err(error) => error.to_string(),
        };
        if program.has_ended() {
            return Err(program.said().trim().to_owned());
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("no answer: {failed}; {}", program.said().trim()));
        }
        sleep(Duration::from_micros(500));
    }
}

/// A port that nobody has just now.
fn free_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
