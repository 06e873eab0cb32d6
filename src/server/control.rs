//! The control socket in the state folder: commands ask a running server through it, so that they use its
//! sessions and pins and not their own. A line of JSON each way.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines, Take};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::operate::{Instruction, Outcome, carry_out};
use super::reload::Reloader;

/// Longest line on the socket.
const MAX_LINE: u64 = 64 * 1024;
/// A server that serves says at once where.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where the socket of the server with this state folder is.
pub fn socket(state: &Path) -> PathBuf {
    state.join("control.sock")
}

/// Listens for commands. Only whoever may open the state folder reaches it.
///
/// # Errors
/// When the socket can't be made, in a folder that can't be written, say.
pub fn listen(state: &Path, server: Arc<Reloader>) -> io::Result<AbortOnDropHandle<()>> {
    let socket = socket(state);
    // A killed server leaves its socket behind; whoever holds the folder's lock may remove it.
    match std::fs::remove_file(&socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&socket)?;
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let server = Arc::clone(&server);
                    tokio::spawn(async move {
                        if let Err(error) = answer(stream, &server).await {
                            tracing::debug!(%error, "a command went away");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a command could not be accepted");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    })))
}

async fn answer(stream: UnixStream, server: &Reloader) -> io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut lines = BufReader::new(from.take(MAX_LINE)).lines();
    while let Some(line) = lines.next_line().await? {
        let outcome = match serde_json::from_str::<Instruction>(&line) {
            Ok(Instruction::Listening) => match server.doors.addresses().first() {
                Some((address, _)) => Outcome::Listening {
                    address: address.to_string(),
                    file: server.builder.file().display().to_string(),
                },
                None => Outcome::Failed("no door is open".to_owned()),
            },
            Ok(instruction) => carry_out(&server.gateway.house.load_full(), instruction).await,
            Err(error) => {
                Outcome::Failed(format!("the running keyward does not understand this command: {error}"))
            }
        };
        let mut line = serde_json::to_vec(&outcome)?;
        line.push(b'\n');
        to.write_all(&line).await?;
    }
    Ok(())
}

/// Has a running server carry out an instruction; `None` where none runs with this state folder.
///
/// # Errors
/// When it is there and does not answer in our terms, or not in time: who only wants to know where it listens sets a
/// bound of their own, and all others are told so soon, since what they want may take its time.
pub async fn ask(state: &Path, instruction: &Instruction) -> io::Result<Option<Outcome>> {
    let greeted = async {
        let mut connection = Connection::to(state).await?;
        if let Some(connection) = &mut connection
            && !matches!(instruction, Instruction::Listening)
        {
            connection.ask(&Instruction::Listening).await?;
        }
        Ok(connection)
    };
    let connection = match instruction {
        Instruction::Listening => greeted.await,
        _ => timeout(PATIENCE, greeted).await.unwrap_or_else(|_| Err(stuck())),
    };
    match connection? {
        Some(mut connection) => connection.ask(instruction).await.map(Some),
        None => Ok(None),
    }
}

/// What is said of a server that is there and does nothing.
fn stuck() -> io::Error {
    let words = format!(
        "it is there and says nothing for {PATIENCE:?}: end it, start it again, and then repeat this"
    );
    io::Error::new(io::ErrorKind::TimedOut, words)
}

/// A connection to a running server.
struct Connection {
    from: Lines<BufReader<Take<OwnedReadHalf>>>,
    to: OwnedWriteHalf,
}

impl Connection {
    /// `None`: no server runs with this state folder.
    async fn to(state: &Path) -> io::Result<Option<Self>> {
        let stream = match UnixStream::connect(socket(state)).await {
            Ok(stream) => stream,
            // Where the folder belongs there may be a file, and a path may be too long for a socket: nobody listens there.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound
                        | io::ErrorKind::NotADirectory
                        | io::ErrorKind::ConnectionRefused
                        | io::ErrorKind::InvalidInput
                ) =>
            {
                return Ok(None);
            }
            // So many wait for it already that no more may.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(stuck()),
            Err(error) => return Err(error),
        };
        let (from, to) = stream.into_split();
        Ok(Some(Self { from: BufReader::new(from.take(MAX_LINE)).lines(), to }))
    }

    async fn ask(&mut self, instruction: &Instruction) -> io::Result<Outcome> {
        let mut line = serde_json::to_vec(instruction)?;
        line.push(b'\n');
        self.to.write_all(&line).await?;
        let answer = self.from.next_line().await?;
        let answer = answer.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        Ok(serde_json::from_str(&answer)?)
    }
}
