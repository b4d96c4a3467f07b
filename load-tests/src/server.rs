//! The server under load as its seller sees it: a running one by URL, a node of an installation,
//! or one of our own that ends with the command.

use std::net::SocketAddr;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Common;
use crate::buyer::BuyerError;
use crate::stack::{Plan, Stack, StackError, Stores, client};

/// A server with a host's token.
pub(crate) struct Server {
    /// Without a trailing slash.
    pub(crate) base: String,
    /// Of the public listener.
    pub(crate) address: SocketAddr,
    http: reqwest::Client,
    token: String,
    /// Ends with this value.
    own: Option<Stack>,
}

/// Why there is no server to load.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error("this command needs a server of its own: leave --target out")]
    NotOurs,
    #[error("--target {0}: {1}")]
    Target(String, String),
    #[error("{0}")]
    Stack(#[from] StackError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Buyer(#[from] BuyerError),
}

impl Server {
    /// The running server that was named, if one was.
    pub(crate) async fn target(common: &Common) -> Result<Option<Self>, ServerError> {
        let (Some(target), Some(token)) = (&common.target, &common.token) else {
            return Ok(None);
        };
        Ok(Some(Self {
            base: target.trim_end_matches('/').to_owned(),
            address: address_of(target).await?,
            http: client()?,
            token: token.clone(),
            own: None,
        }))
    }

    /// One of our own with further arguments, for commands that need more than selling.
    pub(crate) async fn own(arguments: &[String]) -> Result<Self, ServerError> {
        Self::own_on(arguments, &[]).await
    }

    /// The same, on these cores.
    pub(crate) async fn own_on(arguments: &[String], cores: &[usize]) -> Result<Self, ServerError> {
        let plan = Plan {
            arguments: arguments.to_vec(),
            cores: cores.to_vec(),
            ..Plan::selling(1, Stores::Own)
        };
        let stack = Stack::start(&plan).await?;
        let mut server = Self::node(&stack, 0);
        server.own = Some(stack);
        Ok(server)
    }

    /// A node of an installation that somebody else owns.
    pub(crate) fn node(stack: &Stack, n: usize) -> Self {
        let address = stack.nodes[n].address;
        Self {
            base: format!("http://{address}"),
            address,
            http: stack.http.clone(),
            token: stack.token.clone(),
            own: None,
        }
    }

    /// Kills our server with SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<(), ServerError> {
        let own = self.own.as_mut().ok_or(ServerError::NotOurs)?;
        Ok(own.nodes[0].process.kill()?)
    }

    /// Starts it again with the same ports and folder; back when it is ready.
    pub(crate) async fn restart(&mut self) -> Result<(), ServerError> {
        let own = self.own.as_mut().ok_or(ServerError::NotOurs)?;
        own.nodes[0].process.start_again()?;
        Ok(own.nodes[0].ready(&own.http).await?)
    }

    /// Our own server's process; none of a running one that was named.
    pub(crate) fn process(&self) -> Option<u32> {
        Some(self.own.as_ref()?.nodes.first()?.process.id())
    }

    /// The host's token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Makes something by REST, as the host.
    pub(crate) async fn make<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, BuyerError> {
        let answer = self
            .http
            .post(format!("{}{path}", self.base))
            .bearer_auth(&self.token)
            .header("idempotency-key", uuid::Uuid::new_v4().to_string())
            .json(body)
            .send()
            .await?;
        let status = answer.status();
        if !status.is_success() {
            return Err(BuyerError::Answer(
                status,
                answer.text().await.unwrap_or_default(),
            ));
        }
        Ok(answer.json().await?)
    }
}

impl Server {
    /// Reads something by REST, as the host.
    pub(crate) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, BuyerError> {
        let url = format!("{}{path}", self.base);
        let answer = self.http.get(url).bearer_auth(&self.token).send().await?;
        let status = answer.status();
        if !status.is_success() {
            return Err(BuyerError::Answer(
                status,
                answer.text().await.unwrap_or_default(),
            ));
        }
        Ok(answer.json().await?)
    }
}

async fn address_of(target: &str) -> Result<SocketAddr, ServerError> {
    let wrong = |why: &str| ServerError::Target(target.to_owned(), why.to_owned());
    let authority = target
        .strip_prefix("http://")
        .ok_or_else(|| wrong("only http:// is spoken here; put the tool beside the server"))?
        .trim_end_matches('/');
    let authority = if authority.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let mut addresses = tokio::net::lookup_host(&authority)
        .await
        .map_err(|error| wrong(&error.to_string()))?;
    addresses
        .find(SocketAddr::is_ipv4)
        .ok_or_else(|| wrong("no IPv4 address"))
}
