//! Finding a primary and making it ready: address, connection, functions, identity. It refuses to
//! know how long a connection is kept.

use std::path::Path;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    RedisConnectionInfo, RedisError as DriverError, TlsCertificates, cmd,
};
use tokio::time::timeout;

use super::address::{Host, Login, RedisAddress};
use super::keys::Keys;
use super::{Patience, RedisError, functions};

/// A sentinel that takes longer is passed over.
const SENTINEL_PATIENCE: Duration = Duration::from_millis(300);

/// How one primary is reached.
#[derive(Debug, Clone)]
pub(crate) struct Dial {
    pub(crate) goal: Goal,
    pub(crate) login: Login,
    sentinel_login: Login,
    tls: bool,
    ca: Option<Vec<u8>>,
    /// A key on this primary that holds its generation.
    pub(crate) generation_key: String,
    patience: Patience,
}

/// A connection that may be used, and whose it is.
pub(crate) struct Prepared {
    pub(crate) connection: MultiplexedConnection,
    pub(crate) host: Host,
    pub(crate) identity: String,
}

/// Where the primary is.
#[derive(Debug, Clone)]
pub(crate) enum Goal {
    Host(Host),
    Sentinels {
        sentinels: Vec<Host>,
        master: String,
    },
}

impl std::fmt::Display for Dial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.goal {
            Goal::Host(host) => host.fmt(f),
            Goal::Sentinels { master, .. } => write!(f, "{master} (by sentinel)"),
        }
    }
}

impl Dial {
    pub(crate) fn new(
        address: &RedisAddress,
        keys: &Keys,
        goal: Goal,
        patience: Patience,
    ) -> Result<Self, RedisError> {
        Ok(Self {
            goal,
            login: address.login.clone(),
            sentinel_login: address.sentinel_login.clone(),
            tls: address.tls,
            ca: address.ca.as_deref().map(read_ca).transpose()?,
            generation_key: keys.generation(0),
            patience,
        })
    }

    /// The same for another host of a cluster, with the key that lives there.
    pub(crate) fn for_host(&self, host: Host, generation_key: String) -> Self {
        Self {
            goal: Goal::Host(host),
            generation_key,
            ..self.clone()
        }
    }

    /// Connected, functions loaded, identity read.
    pub(crate) async fn prepared(&self) -> Result<Prepared, DriverError> {
        let host = self.host().await?;
        let mut connection = self
            .connect(&host, &self.login, self.patience.call * 2)
            .await?;
        refuse_replica(&mut connection).await?;
        let _: redis::Value = functions::load().cmd().query_async(&mut connection).await?;
        let identity = self.identity(&mut connection).await?;
        Ok(Prepared {
            connection,
            host,
            identity,
        })
    }

    /// Just connected, for reading beside a prepared connection.
    pub(crate) async fn reader(
        &self,
        host: &Host,
        response: Duration,
    ) -> Result<MultiplexedConnection, DriverError> {
        self.connect(host, &self.login, response).await
    }

    /// The sentinels agree on another primary than the one that we are connected to. False when
    /// they cannot be asked.
    pub(crate) async fn has_moved(&self, connected_to: &Host) -> bool {
        match &self.goal {
            Goal::Host(_) => false,
            Goal::Sentinels { .. } => self.host().await.is_ok_and(|host| host != *connected_to),
        }
    }

    async fn host(&self) -> Result<Host, DriverError> {
        let (sentinels, master) = match &self.goal {
            Goal::Host(host) => return Ok(host.clone()),
            Goal::Sentinels { sentinels, master } => (sentinels, master),
        };
        let mut last: Option<DriverError> = None;
        for sentinel in sentinels {
            match timeout(SENTINEL_PATIENCE, self.ask_sentinel(sentinel, master)).await {
                Ok(Ok(Some(host))) => return Ok(host),
                Ok(Ok(None)) => {
                    last = Some(failed(format!(
                        "sentinel {sentinel} does not know `{master}`"
                    )));
                }
                Ok(Err(error)) => last = Some(error),
                Err(_) => last = Some(failed(format!("sentinel {sentinel} does not answer"))),
            }
        }
        Err(last.unwrap_or_else(|| failed("no sentinel is named".into())))
    }

    async fn ask_sentinel(
        &self,
        sentinel: &Host,
        master: &str,
    ) -> Result<Option<Host>, DriverError> {
        let mut connection = self
            .connect(sentinel, &self.sentinel_login, SENTINEL_PATIENCE)
            .await?;
        let found: Option<(String, u16)> = cmd("SENTINEL")
            .arg("GET-MASTER-ADDR-BY-NAME")
            .arg(master)
            .query_async(&mut connection)
            .await?;
        Ok(found.map(|(name, port)| Host { name, port }))
    }

    pub(crate) async fn connect(
        &self,
        host: &Host,
        login: &Login,
        response: Duration,
    ) -> Result<MultiplexedConnection, DriverError> {
        let client = self.client(host, login)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.patience.connect))
            .set_response_timeout(Some(response));
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    fn client(&self, host: &Host, login: &Login) -> Result<Client, DriverError> {
        let addr = if self.tls {
            ConnectionAddr::TcpTls {
                host: host.name.clone(),
                port: host.port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host.name.clone(), host.port)
        };
        let mut settings = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(user) = &login.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &login.password {
            settings = settings.set_password(password);
        }
        let info: ConnectionInfo = addr.into_connection_info()?.set_redis_settings(settings);
        if !self.tls {
            return Client::open(info);
        }
        let certificates = TlsCertificates {
            client_tls: None,
            root_cert: self.ca.clone(),
        };
        Client::build_with_tls(info, certificates)
    }

    /// Process, history and generation: after a loss at least one of them is another.
    async fn identity(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<String, DriverError> {
        let run = field(connection, "server", "run_id").await?;
        let history = field(connection, "replication", "master_replid").await?;
        let fresh = uuid::Uuid::new_v4().simple().to_string();
        let () = cmd("SET")
            .arg(&self.generation_key)
            .arg(fresh)
            .arg("NX")
            .query_async::<Option<String>>(connection)
            .await
            .map(drop)?;
        let generation: String = cmd("GET")
            .arg(&self.generation_key)
            .query_async(connection)
            .await?;
        Ok(format!("{run}/{history}/{generation}"))
    }
}

async fn refuse_replica(connection: &mut MultiplexedConnection) -> Result<(), DriverError> {
    match field(connection, "replication", "role").await?.as_str() {
        "master" => Ok(()),
        role => Err(failed(format!("it is a {role}, not the primary"))),
    }
}

async fn field(
    connection: &mut MultiplexedConnection,
    section: &str,
    name: &str,
) -> Result<String, DriverError> {
    let info: String = cmd("INFO").arg(section).query_async(connection).await?;
    info.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim().to_owned())
        .ok_or_else(|| failed(format!("INFO {section} does not tell {name}")))
}

fn failed(words: String) -> DriverError {
    DriverError::from((ErrorKind::Client, "Redis cannot be used", words))
}

fn read_ca(path: &Path) -> Result<Vec<u8>, RedisError> {
    std::fs::read(path).map_err(|error| {
        RedisError::Address(format!("ca: {} cannot be read: {error}", path.display()))
    })
}
