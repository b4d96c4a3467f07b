//! The tail: one reader for each primary follows the streams of the shows that are open here. Its
//! connection is its own, because it blocks; a reader that was cut goes on where it was, and what
//! Redis has trimmed meanwhile comes from the archive. It refuses to know what the events mean.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamId, StreamReadReply};
use redis::{Cmd, Pipeline, Value, cmd};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::link::Link;
use super::local::{Gap, Local};
use super::show::Show;
use super::{Inner, functions};
use crate::StoreError;

/// How long one read waits for news. Something new to follow wakes it earlier.
const BLOCK: Duration = Duration::from_millis(250);
/// In a Cluster keys of two slots cannot be waited for together: asked so often instead.
const POLL: Duration = Duration::from_millis(10);
/// News that follow other news closely are read together: each read costs Redis as much as some
/// reservations.
const TOGETHER: Duration = Duration::from_millis(2);
/// Entries of one stream in one read.
const ENTRIES: usize = 256;
/// After a reader was cut.
const PAUSE: Duration = Duration::from_millis(50);
/// How often it is looked whether there are other primaries.
const LINKS_EVERY: Duration = Duration::from_millis(250);
/// The key that wakes a reader lives as long as somebody uses it.
const WAKE_SECONDS: u32 = 3_600;

/// What is followed, by key.
type Followed = HashMap<String, (Arc<Show>, Arc<Local>, Stream)>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Log,
    Notices,
}

/// Keeps one reader for each primary.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut readers = JoinSet::new();
    let mut links: Vec<Arc<Link>> = Vec::new();
    loop {
        for link in inner.primaries.all() {
            if !links.iter().any(|known| Arc::ptr_eq(known, &link)) {
                links.push(Arc::clone(&link));
                readers.spawn(follow(Arc::clone(&inner), link));
            }
        }
        links.retain(|link| !link.is_stopped());
        tokio::select! {
            () = tokio::time::sleep(LINKS_EVERY) => {}
            Some(ended) = readers.join_next(), if !readers.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a reader of the log failed");
                    links.clear();
                    readers.abort_all();
                }
            }
            () = inner.followed.notified(), if !inner.primaries.is_cluster() => wake(&inner).await,
            () = inner.stopping.cancelled() => return,
        }
    }
}

/// A read that blocks does not know of shows that were opened since.
async fn wake(inner: &Inner) {
    let key = inner.keys.wake(&inner.node);
    let mut add = cmd("XADD");
    add.arg(&key).arg("MAXLEN").arg(1).arg("*").arg("w").arg(1);
    let mut expire = cmd("EXPIRE");
    expire.arg(&key).arg(WAKE_SECONDS);
    for command in [add, expire] {
        if let Err(error) = inner.primaries.raw(&key, &command).await {
            // The read ends by itself soon.
            tracing::debug!(?error, "the reader was not woken");
        }
    }
}

async fn follow(inner: Arc<Inner>, link: Arc<Link>) {
    let mut woken = "0-0".to_owned();
    while !link.is_stopped() && !inner.stopping.is_cancelled() {
        let connection = tokio::select! {
            dialled = link.dial_reader(BLOCK + inner.options.patience.call) => dialled,
            () = inner.stopping.cancelled() => return,
        };
        match connection {
            Ok(mut connection) => {
                let why = tokio::select! {
                    why = read(&inner, &link, &mut connection, &mut woken) => why,
                    () = inner.stopping.cancelled() => return,
                };
                tracing::info!(%why, "the reader of the log was cut");
                // Perhaps Redis is another one now: that is noticed by connecting anew.
                link.look_again("the reader of the log was cut");
            }
            Err(error) => tracing::debug!(?error, "the reader of the log has no connection"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Reads until something fails, and says what.
async fn read(
    inner: &Arc<Inner>,
    link: &Arc<Link>,
    connection: &mut MultiplexedConnection,
    woken: &mut String,
) -> String {
    let wake_key = inner.keys.wake(&inner.node);
    let mut news_at = None;
    loop {
        if let Some(news_at) = news_at {
            tokio::time::sleep_until(news_at + TOGETHER).await;
        }
        let followed = followed(inner, link);
        let read = if inner.primaries.is_cluster() {
            tokio::time::sleep(POLL).await;
            poll(connection, &followed).await
        } else {
            block(connection, &followed, &wake_key, woken).await
        };
        let replies = match read {
            Ok(replies) => replies,
            Err(error) => return error.to_string(),
        };
        news_at = (!replies.is_empty()).then(Instant::now);
        for (key, entries) in replies {
            if key == wake_key {
                if let Some(last) = entries.last() {
                    last.id.clone_into(woken);
                }
                continue;
            }
            if let Some((show, local, stream)) = followed.get(&key) {
                take(inner, show, local, *stream, &entries).await;
            }
        }
    }
}

fn followed(inner: &Inner, link: &Arc<Link>) -> Followed {
    let mut followed = Followed::new();
    for show in &inner.shows {
        let here = inner.primaries.known(show.keys.log());
        if !here.is_some_and(|here| Arc::ptr_eq(&here, link)) {
            continue;
        }
        let Some(local) = show.local() else { continue };
        for (key, stream) in [
            (show.keys.log(), Stream::Log),
            (show.keys.notices(), Stream::Notices),
        ] {
            let what = (Arc::clone(&show), Arc::clone(&local), stream);
            followed.insert(key.to_owned(), what);
        }
    }
    followed
}

type Replies = Vec<(String, Vec<StreamId>)>;

async fn block(
    connection: &mut MultiplexedConnection,
    followed: &Followed,
    wake_key: &str,
    woken: &str,
) -> Result<Replies, redis::RedisError> {
    let mut read = cmd("XREAD");
    read.arg("COUNT").arg(ENTRIES);
    read.arg("BLOCK")
        .arg(u64::try_from(BLOCK.as_millis()).unwrap_or(u64::MAX));
    read.arg("STREAMS").arg(wake_key);
    for key in followed.keys() {
        read.arg(key);
    }
    read.arg(woken);
    for (_, local, stream) in followed.values() {
        read.arg(cursor(local, *stream));
    }
    replies(connection.send_packed_command(&read).await?)
}

async fn poll(
    connection: &mut MultiplexedConnection,
    followed: &Followed,
) -> Result<Replies, redis::RedisError> {
    let mut reads = Pipeline::with_capacity(followed.len());
    for (key, (_, local, stream)) in followed {
        reads.add_command(read_one(key, local, *stream));
    }
    if followed.is_empty() {
        return Ok(Vec::new());
    }
    let answers = connection
        .send_packed_commands(&reads, 0, followed.len())
        .await?;
    let mut all = Vec::new();
    for answer in answers {
        all.extend(replies(answer)?);
    }
    Ok(all)
}

fn read_one(key: &str, local: &Local, stream: Stream) -> Cmd {
    let mut read = cmd("XREAD");
    read.arg("COUNT").arg(ENTRIES);
    read.arg("STREAMS").arg(key).arg(cursor(local, stream));
    read
}

fn cursor(local: &Local, stream: Stream) -> String {
    let (offset, heard) = local.cursor();
    match stream {
        Stream::Log => format!("{}-0", offset.0),
        Stream::Notices => format!("{heard}-0"),
    }
}

fn replies(answer: Value) -> Result<Replies, redis::RedisError> {
    let answer = answer.extract_error()?;
    if answer == Value::Nil {
        return Ok(Vec::new());
    }
    let reply: StreamReadReply = redis::from_redis_value(answer)?;
    Ok(reply
        .keys
        .into_iter()
        .map(|stream| (stream.key, stream.ids))
        .collect())
}

/// Entries of one stream. Whatever does not fit ends this epoch here: the show is opened anew.
async fn take(
    inner: &Inner,
    show: &Arc<Show>,
    local: &Arc<Local>,
    stream: Stream,
    entries: &[StreamId],
) {
    let taken = match stream {
        Stream::Log => take_log(inner, local, entries).await,
        Stream::Notices => take_notices(show, local, entries),
    };
    match taken {
        Ok(()) if stream == Stream::Log => inner.dirty.notify_one(),
        Ok(()) => {}
        Err(why) => {
            tracing::warn!(show = %show.id, %why, "the show's streams cannot be followed on");
            show.lose(local);
        }
    }
}

async fn take_log(inner: &Inner, local: &Local, entries: &[StreamId]) -> Result<(), String> {
    for entry in entries {
        let (epoch, events) =
            functions::log_entry(&entry.id, &entry.map).map_err(|error| error.to_string())?;
        if epoch != local.epoch {
            return Err(format!("epoch {} began", epoch.0));
        }
        let Err(Gap { after, came }) = local.take_events(events.clone()) else {
            continue;
        };
        // Redis keeps what is not archived: what is not there is in the archive.
        let missing = u32::try_from(came.0 - after.0 - 1).unwrap_or(u32::MAX);
        let archived = inner.ledger.read_log(local.show, after, missing).await;
        let archived = archived.map_err(|error: StoreError| error.to_string())?;
        let filled = local.take_events(archived);
        filled
            .and_then(|()| local.take_events(events))
            .map_err(|gap| format!("nobody has the events after {}", gap.after.0))?;
    }
    Ok(())
}

fn take_notices(show: &Show, local: &Local, entries: &[StreamId]) -> Result<(), String> {
    for entry in entries {
        let entry =
            functions::notices_entry(&entry.id, &entry.map).map_err(|error| error.to_string())?;
        {
            let mut remembered = show.remembered();
            for private in &entry.notices {
                remembered.told(private);
            }
        }
        if !local.take_notices(entry.before, entry.notices) {
            return Err("notices are missing".into());
        }
    }
    Ok(())
}
