//! The servers that ours is measured beside: each started on free ports, pinned like ours, given
//! the same frames to fan out to the same clients.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rustix::process::Signal;

use super::dialect::{Dialect, ROOM};
use super::known::Mark;
use super::payload;
use super::speech::Voice;
use crate::stack::process::{Process, Recipe};
use crate::stack::{StackError, free_address};

/// A peer that does not listen after this time will not.
const LISTENS_WITHIN: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// A peer that takes nothing for so long has failed.
const TAKES_WITHIN: Duration = Duration::from_secs(20);
const ADVICE: &str = "`cargo xtask peers` installs the peers";

/// One that can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// uWebSockets, as it is in Bun.
    Uws,
    /// nats-server with its WebSocket listener.
    Nats,
    /// nginx with the nchan module.
    Nchan,
    /// Socket.IO on Node.
    Socketio,
}

impl Peer {
    /// As in the names of figures.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Uws => "uws",
            Self::Nats => "nats",
            Self::Nchan => "nchan",
            Self::Socketio => "socketio",
        }
    }

    const fn dialect(self) -> Dialect {
        match self {
            Self::Uws | Self::Nchan => Dialect::Plain,
            Self::Nats => Dialect::Nats,
            Self::Socketio => Dialect::SocketIo,
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Uws | Self::Nats => "/",
            Self::Nchan => "/sub",
            Self::Socketio => "/socket.io/?EIO=4&transport=websocket",
        }
    }
}

/// One that runs; ended when dropped.
pub(crate) struct RunningPeer {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) dialect: Dialect,
    pub(crate) path: &'static str,
    kind: Peer,
    publish: SocketAddr,
    _folder: tempfile::TempDir,
}

impl RunningPeer {
    /// Starts it on these cores; back when it listens.
    pub(crate) async fn start(kind: Peer, cores: &[usize]) -> Result<Self, StackError> {
        let folder = tempfile::Builder::new().prefix("vetrina-peer-").tempdir()?;
        let address = free_address()?;
        let publish = match kind {
            // One listener for both.
            Peer::Nchan => address,
            Peer::Uws | Peer::Nats | Peer::Socketio => free_address()?,
        };
        let mut recipe = recipe(kind, folder.path(), address, publish)?;
        recipe.cores = cores.to_vec();
        let mut peer = Self {
            process: recipe.start()?,
            address,
            dialect: kind.dialect(),
            path: kind.path(),
            kind,
            publish,
            _folder: folder,
        };
        peer.listens().await?;
        Ok(peer)
    }

    /// A voice that everybody hears.
    pub(crate) fn voice(&self, text_bytes: usize) -> io::Result<Box<dyn Voice>> {
        let stream = TcpStream::connect(self.publish)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(TAKES_WITHIN))?;
        stream.set_read_timeout(Some(TAKES_WITHIN))?;
        Ok(match self.kind {
            Peer::Uws | Peer::Socketio => Box::new(Prefixed { stream, text_bytes }),
            Peer::Nats => Box::new(Nats::connect(stream, text_bytes)?),
            Peer::Nchan => Box::new(Posting {
                reader: BufReader::new(stream.try_clone()?),
                stream,
                text_bytes,
            }),
        })
    }

    async fn listens(&mut self) -> Result<(), StackError> {
        let deadline = Instant::now() + LISTENS_WITHIN;
        while Instant::now() < deadline {
            self.process.still_runs()?;
            let both = [self.address, self.publish];
            if both
                .iter()
                .all(|address| TcpStream::connect(address).is_ok())
            {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(StackError::Silent("the peer: it does not listen"))
    }
}

/// The folder with the peers' scripts, configurations and packages.
fn home() -> PathBuf {
    std::env::var_os("VETRINA_PEERS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("peers"),
        PathBuf::from,
    )
}

fn recipe(
    kind: Peer,
    folder: &Path,
    address: SocketAddr,
    publish: SocketAddr,
) -> Result<Recipe, StackError> {
    let ports = [address.port().to_string(), publish.port().to_string()];
    let home = home();
    let new = |program: PathBuf| Recipe {
        advice: ADVICE,
        ..Recipe::new(kind.name(), program, folder)
    };
    Ok(match kind {
        Peer::Uws => new(home.join("node_modules/.bin/bun"))
            .with([home.join("uws.js")])
            .with(ports),
        Peer::Socketio => {
            if !home.join("node_modules/socket.io").is_dir() {
                let missing = io::Error::other("the package socket.io is not installed");
                return Err(StackError::Start("socket.io".into(), missing, ADVICE));
            }
            new("node".into())
                .with([home.join("socketio.js")])
                .with(ports)
        }
        Peer::Nats => {
            let file = configured(&home.join("nats.conf"), folder, &ports)?;
            new(system("nats-server")).with(["-c".into(), file])
        }
        Peer::Nchan => {
            let file = configured(&home.join("nginx.conf"), folder, &ports)?;
            let nginx = Recipe {
                // Its worker would outlive it.
                ends_by: Some(Signal::TERM),
                ..new(system("nginx"))
            };
            nginx.with(["-p", "/usr/share/nginx", "-c"]).with([file])
        }
    })
}

/// Debian keeps its servers where an ordinary user's PATH does not look.
fn system(name: &str) -> PathBuf {
    let debian = Path::new("/usr/sbin").join(name);
    if debian.exists() { debian } else { name.into() }
}

/// A configuration with this run's ports and folder in it.
fn configured(template: &Path, folder: &Path, ports: &[String; 2]) -> Result<PathBuf, StackError> {
    let text = std::fs::read_to_string(template)?;
    let root = rustix::process::getuid().is_root();
    let text = text
        .replace("FOLDER", &folder.display().to_string())
        .replace("PUBLISH", &ports[1])
        .replace("PORT", &ports[0])
        // Workers of nginx leave root for somebody who may not enter our folder.
        .replace("USER\n", if root { "user root;\n" } else { "" });
    let file = folder.join("configuration");
    std::fs::write(&file, text)?;
    Ok(file)
}

/// The frame a Vetrina server would send; positions are the numbers of comments.
fn frame(mark: Mark, text_bytes: usize) -> Vec<u8> {
    payload::comment_frame(u64::from(mark.number) + 1, mark, text_bytes)
}

/// Length, then bytes.
struct Prefixed {
    stream: TcpStream,
    text_bytes: usize,
}

impl Voice for Prefixed {
    fn say(&mut self, mark: Mark) -> io::Result<()> {
        let frame = frame(mark, self.text_bytes);
        let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend(frame);
        self.stream.write_all(&bytes)
    }
}

/// NATS' own protocol.
struct Nats {
    stream: TcpStream,
    text_bytes: usize,
}

impl Nats {
    fn connect(mut stream: TcpStream, text_bytes: usize) -> io::Result<Self> {
        stream.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n")?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        while line != "PONG\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Self { stream, text_bytes })
    }
}

impl Voice for Nats {
    fn say(&mut self, mark: Mark) -> io::Result<()> {
        let frame = frame(mark, self.text_bytes);
        let mut bytes = format!("PUB {ROOM} {}\r\n", frame.len()).into_bytes();
        bytes.extend(frame);
        bytes.extend(b"\r\n");
        self.stream.write_all(&bytes)
    }
}

/// One POST after the other on one connection.
struct Posting {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    text_bytes: usize,
}

impl Voice for Posting {
    fn say(&mut self, mark: Mark) -> io::Result<()> {
        let frame = frame(mark, self.text_bytes);
        let head = format!(
            "POST /pub HTTP/1.1\r\nHost: peer\r\nContent-Type: application/octet-stream\r\n\
             Content-Length: {}\r\n\r\n",
            frame.len()
        );
        let mut bytes = head.into_bytes();
        bytes.extend(frame);
        self.stream.write_all(&bytes)?;
        self.answer()
    }
}

impl Posting {
    /// Reads one answer, which must be of success.
    fn answer(&mut self) -> io::Result<()> {
        let mut status = String::new();
        self.reader.read_line(&mut status)?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse::<u64>().map_err(io::Error::other)?;
            }
        }
        io::copy(&mut self.reader.by_ref().take(length), &mut io::sink())?;
        if status.starts_with("HTTP/1.1 2") {
            Ok(())
        } else {
            Err(io::Error::other(status))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_in() {
        let folder = tempfile::tempdir().expect("a folder");
        let ports = ["4001".to_owned(), "4002".to_owned()];
        for (name, wanted) in [
            (
                "nats.conf",
                "\"127.0.0.1:4002\"\nwebsocket {\n  listen: \"127.0.0.1:4001\"",
            ),
            ("nginx.conf", "listen 127.0.0.1:4001 backlog"),
        ] {
            let file = configured(&home().join(name), folder.path(), &ports).expect("written");
            let text = std::fs::read_to_string(file).expect("readable");
            assert!(text.contains(wanted), "{text}");
            for word in ["FOLDER/", ":PORT", "PUBLISH\"", "\nUSER"] {
                assert!(!text.contains(word), "{name}: {word}");
            }
        }
    }
}
