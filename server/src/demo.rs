//! `vetrina demo`: a server with a made-up stall, its products and a show, and the links to it. It
//! differs from `serve` in defaults, seeds and what it prints, and in nothing else.

mod drawings;
mod lan;
mod links;
mod nodes;
mod seed;

use std::io::{BufRead as _, ErrorKind, Write as _};
use std::path::Path;

use tokio::sync::mpsc;

use crate::app::{App, Listeners};
use crate::cli::serve::{check_tls, until_signal};
use crate::cli::{Failure, block_on};
use crate::config::{Config, Gathered};
use links::Links;

pub(crate) use nodes::NODES_MAX;

/// Runs the demo until Ctrl-C, with so many nodes.
pub(crate) fn run(gathered: Gathered, lan: bool, nodes: u16) -> Result<(), Failure> {
    if nodes > 1 {
        return nodes::run(&gathered, nodes);
    }
    let gathered = if lan {
        lan::options(gathered)?
    } else {
        gathered
    };
    let config = Config::from_gathered(&gathered)?;
    check_tls(&config)?;
    crate::ops::log::start(&config.log);
    block_on(async {
        let listeners = Listeners::bind(&config)?;
        let app = App::open(config.clone(), listeners).await?;
        let show = seed::sow(app.records(), app.clock().now()).await?;
        let links = Links::new(&config, &app, show)?;
        let shutdown = until_signal()?;
        say(&links.all().await?)?;
        if lan {
            say(&links.qr()?)?;
        }
        let fresh = tokio::spawn(async move { fresh_links(&links, &mut lines()).await });
        app.run(shutdown).await?;
        fresh.abort();
        say("The demo has ended; its data stay in the folder.")?;
        Ok(())
    })
}

/// Whoever reads the links may be gone before the last of them (`vetrina demo | head -2`): the show
/// goes on.
fn say(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        said => said,
    }
}

/// Prints fresh links whenever somebody presses Enter.
async fn fresh_links(links: &Links, lines: &mut mpsc::Receiver<()>) {
    while lines.recv().await.is_some() {
        let printed = async { Ok::<_, Failure>(say(&links.all().await?)?) };
        if let Err(failure) = printed.await {
            tracing::warn!(%failure, "fresh links could not be printed");
        }
    }
}

/// Nobody else on this machine reads the file.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)?.write_all(text.as_bytes())
}

/// Lines typed in the terminal. The thread sits in a read that nothing can end but the process.
fn lines() -> mpsc::Receiver<()> {
    let (typed, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut line = String::new();
        while input.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            line.clear();
            if typed.blocking_send(()).is_err() {
                break;
            }
        }
    });
    lines
}
