//! The sandbox: a payment provider of our own that behaves like a real one. It stands in its own
//! origin with its own file, has a pay page, intents, refunds, an audit list of charges, signed
//! webhooks with retries, and switches for everything that goes wrong with real providers.
//!
//! It is the outside world: it reads the clock itself, imports nothing of the shop, and talks to
//! the server by HTTP only. It takes no card number; its pay page asks how the payment should end.

pub mod api;
mod book;
mod delivery;
mod page;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use vetrina_protocol::time::UnixMs;

use api::Faults;
use book::Book;

/// How a sandbox is set up.
#[derive(Clone)]
pub struct SandboxConfig {
    /// Its SQLite file; it survives a kill like a provider survives a shop's crash.
    pub file: PathBuf,
    /// Where buyers' browsers find the pay page, without a trailing slash.
    pub public_url: String,
    /// Where its webhooks go: to the first, and after a failed try to the next.
    pub webhook_urls: Vec<String>,
    /// The one account's API key.
    pub api_key: String,
    /// The key its webhooks are signed with.
    pub webhook_secret: Vec<u8>,
}

/// A running sandbox. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    config: SandboxConfig,
    book: Book,
    /// Switches of what goes wrong; a lock because the API sets them while requests read them.
    faults: Mutex<Faults>,
    /// Something became due earlier than the delivery loop expects.
    due: Notify,
}

/// Why the sandbox could not do its part.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Its file.
    #[error("the sandbox's file: {0}")]
    File(#[from] sqlx::Error),
    /// Its webhook key or client.
    #[error("the sandbox's webhooks: {0}")]
    Webhooks(String),
}

impl Sandbox {
    /// Opens the file, creating it when it is not there.
    ///
    /// # Errors
    /// When the file cannot be opened or written.
    pub async fn open(config: SandboxConfig) -> Result<Self, SandboxError> {
        let book = Book::open(&config.file).await?;
        let faults = Mutex::new(Faults::default());
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                book,
                faults,
                due: Notify::new(),
            }),
        })
    }

    /// The pay page and the API, to be served in an origin of their own.
    pub fn routes(&self) -> axum::Router {
        page::routes(self.clone()).merge(api::routes(self.clone()))
    }

    /// Sends webhooks and finishes slow payments until dropped.
    ///
    /// # Errors
    /// When the webhook client cannot be made.
    pub async fn run(&self) -> Result<(), SandboxError> {
        delivery::run(self).await
    }

    fn faults(&self) -> Faults {
        self.inner
            .faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn now() -> UnixMs {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    UnixMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
