//! The control socket in the state folder: commands ask a running server through it, so that they use its
//! sessions and pins and not their own. A line of JSON each way.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::task::AbortOnDropHandle;

use super::operate::{Instruction, Outcome, carry_out};
use super::reload::Reloader;

/// Longest line on the socket.
const MAX_LINE: u64 = 64 * 1024;

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
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
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
/// When it is there and does not answer in our terms.
pub async fn ask(state: &Path, instruction: &Instruction) -> io::Result<Option<Outcome>> {
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
        Err(error) => return Err(error),
    };
    let (from, mut to) = stream.into_split();
    let mut line = serde_json::to_vec(instruction)?;
    line.push(b'\n');
    to.write_all(&line).await?;
    let answer = BufReader::new(from.take(MAX_LINE)).lines().next_line().await?;
    let answer = answer.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    Ok(Some(serde_json::from_str(&answer)?))
}
