//! Connections to a PostgreSQL server, over TCP or a Unix socket: who asks, by what password, and under which TLS.
//! Nothing is tried twice, and nothing with less protection.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use batch_export_system::Secret;
use batch_export_system::explain::{Cause, plain};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_postgres::config::{ChannelBinding, Config, SslMode as Negotiated};
use tokio_postgres::{CancelToken, Client, Error, NoTls};

use super::error::{Context, Failure};
use super::guard::Guarded;
use super::settings::{APPLICATION_NAME, DEFAULT_PORT, PostgresServer, SslMode};
use super::tls::{Files, Tls};
use super::{password, service};

/// The time in which a connection must be made, with its handshakes: a server that answers at all does it in one.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Silence after which the system asks whether the other side is still there, the time between such questions, and
/// their number: a connection that was cut without a word ends after two minutes, not never.
#[cfg(unix)]
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(10), 6);

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Tcp(String, u16),
    #[cfg(unix)]
    Socket(PathBuf),
}

/// A server, a database and who asks, with all that is needed to connect.
pub(super) struct Target {
    origin: String,
    address: Address,
    config: Config,
    tls: Option<Tls>,
    connect_time: Duration,
    /// For messages, which must not repeat it.
    password: Option<Secret>,
    user: String,
    database: String,
}

/// What moves the bytes of a connection until it ends.
pub(super) type Driver = std::pin::Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// What carries bytes.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// What is said of a server of which nothing is known yet.
const UNKNOWN: &str = "PostgreSQL";

impl Target {
    /// Looks up what the settings leave open: in a service, in a file of passwords. Reads certificates.
    pub(super) fn new(server: &PostgresServer) -> Result<Self, (String, Cause)> {
        let nameless = |cause: Cause| (UNKNOWN.to_owned(), cause);
        let mut server = server.clone();
        if let Some(name) = server.service.clone() {
            let found = service::look_up(server.service_file.as_deref(), &name).map_err(nameless)?;
            server = server.or(found);
        }
        let missing = |what: &str| nameless(Cause::new(format!("there is no {what}")).with_hint(format!("set {what}")));
        let host = server.host.clone().ok_or_else(|| missing("host"))?;
        let port = server.port.unwrap_or(DEFAULT_PORT);
        let is_socket = host.starts_with('/');
        let origin = match is_socket {
            true => format!("PostgreSQL at {host} (port {port})"),
            false if host.contains(':') => format!("PostgreSQL at [{host}]:{port}"),
            false => format!("PostgreSQL at {host}:{port}"),
        };
        let wrong = |cause: Cause| (origin.clone(), cause);
        if let Some(problem) = server.problem() {
            return Err(wrong(problem));
        }
        let user = server.user.clone().ok_or_else(|| missing("user"))?;
        let database = server.database.clone().unwrap_or_else(|| user.clone());
        let place = password::Place {
            host: &host,
            port,
            database: &database,
            user: &user,
        };
        let password = match &server.password {
            Some(password) => Some(password.clone()),
            None => password::look_up(server.passfile.as_deref(), place).map_err(wrong)?,
        };
        let tls = match server.sslmode.unwrap_or(SslMode::VerifyFull) {
            SslMode::Disable => None,
            _ if is_socket => None,
            mode => {
                let files = Files {
                    ca: server.ca_file.as_deref(),
                    certificate: server.certificate_file.as_deref(),
                    key: server.key_file.as_deref(),
                };
                Some(Tls::new(&host, mode, files).map_err(wrong)?)
            }
        };
        let mut config = Config::new();
        config
            .user(&user)
            .dbname(&database)
            .application_name(server.application_name.as_deref().unwrap_or(APPLICATION_NAME))
            .ssl_mode(match tls {
                Some(_) => Negotiated::Require,
                None => Negotiated::Disable,
            });
        if let Some(password) = &password {
            config.password(password.expose());
        }
        if let Some(options) = &server.options {
            config.options(options);
        }
        if server.requires_channel_binding == Some(true) {
            config.channel_binding(ChannelBinding::Require);
        }
        Ok(Self {
            address: address(host, port).map_err(wrong)?,
            origin,
            config,
            tls,
            connect_time: server.connect_timeout.unwrap_or(CONNECT_TIME),
            password,
            user,
            database,
        })
    }

    /// Returns what it is, to begin a sentence with.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns what messages are about.
    pub(super) fn context<'a>(&'a self, statement: Option<&'a str>) -> Context<'a> {
        Context {
            host: match &self.address {
                Address::Tcp(host, _) => host,
                #[cfg(unix)]
                Address::Socket(_) => "",
            },
            user: &self.user,
            database: &self.database,
            password: self.password.as_ref(),
            statement,
        }
    }

    /// Connects, or says why not.
    pub(super) async fn connect(&self) -> Result<(Client, Driver), Failure> {
        match timeout(self.connect_time, self.connected()).await {
            Ok(connected) => connected,
            Err(_) => Err(Failure::transient(
                Cause::new(format!("no connection within {} seconds", self.connect_time.as_secs()))
                    .with_hint("check host and port, and that no firewall drops the packets on the way"),
            )),
        }
    }

    async fn connected(&self) -> Result<(Client, Driver), Failure> {
        let wire = self.wire().await?;
        let refused = |error: Error| Failure::of(&error, &self.context(None));
        Ok(match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect_raw(wire, tls.clone()).await.map_err(refused)?;
                (client, Box::pin(connection))
            }
            None => {
                let connected = self.config.connect_raw(Guarded::new(wire), NoTls).await;
                let (client, connection) = connected.map_err(refused)?;
                (client, Box::pin(connection))
            }
        })
    }

    /// Asks the server to end what a connection is at.
    pub(super) async fn cancel(&self, token: &CancelToken) -> Result<(), Failure> {
        let wire = self.wire().await?;
        let asked = match &self.tls {
            Some(tls) => token.cancel_query_raw(wire, tls.clone()).await,
            None => token.cancel_query_raw(wire, NoTls).await,
        };
        asked.map_err(|error| Failure::of(&error, &self.context(None)))
    }

    async fn wire(&self) -> Result<Box<dyn Wire>, Failure> {
        match &self.address {
            Address::Tcp(host, port) => {
                let stream = self.tcp(host, *port).await?;
                Ok(Box::new(stream))
            }
            #[cfg(unix)]
            Address::Socket(path) => match tokio::net::UnixStream::connect(path.clone()).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(unreachable(&error, &path.display().to_string())),
            },
        }
    }

    async fn tcp(&self, host: &str, port: u16) -> Result<TcpStream, Failure> {
        let found = tokio::net::lookup_host((host, port)).await;
        let addresses: Vec<_> = found.map_err(|error| unresolved(&error, host))?.collect();
        let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        let mut failed = unresolved(&io::ErrorKind::NotFound.into(), host);
        for address in addresses {
            // One that does not answer leaves time for the others.
            match timeout(self.connect_time / count, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true).ok();
                    keep_alive(&stream);
                    return Ok(stream);
                }
                Ok(Err(error)) => failed = unreachable(&error, &address.to_string()),
                Err(_) => failed = unreachable(&io::ErrorKind::TimedOut.into(), &address.to_string()),
            }
        }
        Err(failed)
    }
}

#[cfg(unix)]
fn address(host: String, port: u16) -> Result<Address, Cause> {
    Ok(match host.starts_with('/') {
        true => Address::Socket(PathBuf::from(host).join(format!(".s.PGSQL.{port}"))),
        false => Address::Tcp(host, port),
    })
}

#[cfg(not(unix))]
fn address(host: String, port: u16) -> Result<Address, Cause> {
    match host.starts_with('/') {
        true => Err(Cause::new("there are no Unix sockets on this system").with_hint("set host to a name")),
        false => Ok(Address::Tcp(host, port)),
    }
}

/// Makes the system notice when the other side is gone. A socket without it works as well, while nothing fails.
#[cfg(unix)]
fn keep_alive(stream: &TcpStream) {
    use rustix::net::sockopt;
    let (silence, between, questions) = KEEPALIVE;
    sockopt::set_socket_keepalive(stream, true).ok();
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_keepidle(stream, silence).ok();
    #[cfg(not(target_os = "linux"))]
    let _ = silence;
    sockopt::set_tcp_keepintvl(stream, between).ok();
    sockopt::set_tcp_keepcnt(stream, questions).ok();
}

#[cfg(not(unix))]
fn keep_alive(_: &TcpStream) {}

fn unresolved(error: &io::Error, host: &str) -> Failure {
    let cause = match error.kind() {
        io::ErrorKind::NotFound => Cause::new(format!("the name `{host}` has no address")),
        _ => Cause::new(format!("the name `{host}` cannot be looked up: {}", plain(error))),
    };
    Failure::transient(cause.with_hint("correct the host, or run it again when names can be looked up"))
}

fn unreachable(error: &io::Error, address: &str) -> Failure {
    let cause = Cause::new(format!("no connection to {address}: {}", plain(error)));
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Failure::transient(
            cause.with_hint("check host and port, and that the server runs and listens there (listen_addresses)"),
        ),
        io::ErrorKind::PermissionDenied => {
            Failure::permanent(cause.with_hint("allow the user that runs this program to connect"))
        }
        _ => Failure::transient(cause.with_hint("check host and port, and that nothing on the way blocks them")),
    }
}
