//! Those who ask: wrk where time is measured, and callers of our own where requests are counted or callers wait.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// Longer than any program takes to start, to answer or to end, under valgrind too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Every connection has had its first answer by then.
const WARM: Duration = Duration::from_millis(400);

/// What wrk did.
pub(crate) struct Done {
    pub(crate) requests: f64,
    pub(crate) p50: Duration,
}

/// Asks for so long on so many connections, without a pause. With `body`, sends so many bytes each time. `distinct`:
/// every request is for something of its own. `warm` is done once those
/// who came first have been answered.
pub(crate) fn wrk(
    url: &str,
    connections: u32,
    seconds: f64,
    body: usize,
    distinct: bool,
    warm: impl FnOnce(),
) -> Result<Done, String> {
    let mut wrk = Command::new("wrk");
    // wrk counts whole seconds.
    wrk.args([
        "-t1",
        &format!("-c{connections}"),
        &format!("-d{seconds:.0}"),
        "--latency",
        "--timeout",
        "30",
    ]);
    if distinct {
        wrk.arg("-s").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/distinct.lua"));
    }
    let wrk = wrk.env("KEYWARD_BENCH_BODY", body.to_string()).arg(url);
    let begun =
        wrk.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    thread::sleep(WARM);
    warm();
    let told = begun.wait_with_output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&told.stdout);
    if !told.status.success()
        || said.contains("\n  0 requests in ")
        || said.contains("Non-2xx")
        || said.contains("Socket errors")
    {
        return Err(format!("{url}: {said}{}", String::from_utf8_lossy(&told.stderr)));
    }
    let requests = said.lines().find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok());
    let p50 = said.lines().find_map(|line| duration(line.trim().strip_prefix("50%")?.trim()));
    requests.zip(p50).map(|(requests, p50)| Done { requests, p50 }).ok_or_else(|| format!("{url}: {said}"))
}

/// `123.40us`, `1.20ms` or `1.00s`.
fn duration(word: &str) -> Option<Duration> {
    let number = word.trim_end_matches(char::is_alphabetic);
    let unit = match word.strip_prefix(number)? {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| Duration::from_secs_f64(number * unit))
}

/// A caller with a connection of its own.
pub(crate) struct Caller(TcpStream);

impl Caller {
    pub(crate) fn new(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    pub(crate) fn send(&mut self, path: &str) -> io::Result<()> {
        self.0.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
    }

    /// Reads an answer that says its length, and gives its status and the length of its body.
    pub(crate) fn receive(&mut self) -> io::Result<(u16, usize)> {
        let mut buffer = vec![0; 64 * 1024];
        let mut filled = 0;
        let end = loop {
            let free = buffer.get_mut(filled..).unwrap_or_default();
            match self.0.read(free)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
            let received = buffer.get(..filled).unwrap_or_default();
            if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let head = String::from_utf8_lossy(buffer.get(..end).unwrap_or_default()).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let (Some(status), Some(length)) = (status, length) else {
            return Err(io::Error::other(format!("an answer without status or length: {head}")));
        };
        let mut left: usize = end + length - filled;
        while left > 0 {
            match self.0.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => left -= read,
            }
        }
        Ok((status, length))
    }

    /// Asks for something that is there.
    pub(crate) fn ask(&mut self, path: &str) -> io::Result<usize> {
        self.send(path)?;
        match self.receive()? {
            (200, length) => Ok(length),
            (status, _) => Err(io::Error::other(format!("{path}: {status}"))),
        }
    }
}

/// Asks exactly so many times, spread over so many connections, and each time for something of its own.
pub(crate) fn exactly(
    address: SocketAddr,
    path: &str,
    requests: usize,
    connections: usize,
) -> io::Result<()> {
    let each = requests / connections;
    let ask = |caller: usize| {
        let mut line = Caller::new(address)?;
        (0..each).try_for_each(|nth| line.ask(&format!("{path}?n={}", caller * each + nth)).map(drop))
    };
    at_once(connections, ask).into_iter().collect()
}

/// Does this on so many threads at once.
pub(crate) fn at_once<T: Send>(callers: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let act = &act;
        let callers: Vec<_> = (0..callers).map(|caller| scope.spawn(move || act(caller))).collect();
        callers.into_iter().filter_map(|caller| caller.join().ok()).collect()
    })
}
