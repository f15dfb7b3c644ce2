//! A connection that is made again when it is lost.

use std::error::Error as _;
use std::fmt::Display;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use grad_examples::printable::Printable;
use postgres::config::{Host, SslMode};
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls, Transaction};
use rustls::ClientConfig;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::schema::{self, Server};
use crate::store::StoreError;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a lost server is waited for, in all.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first pause between two attempts. Each further one is twice as long, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(4);

/// A connection to a server, or the way to one.
pub struct Connection {
    config: Config,
    /// The hosts, for messages.
    place: String,
    open: Option<(Client, Server)>,
}

impl Connection {
    /// Connects to the server at a URL, and prepares the tables.
    pub fn open(url: &str) -> Result<Self> {
        // Certificates are always verified: these modes of libpq's are not weaker here.
        let url =
            url.replace("sslmode=verify-full", "sslmode=require").replace("sslmode=verify-ca", "sslmode=require");
        let mut config = Config::from_str(&url).map_err(|error| {
            // The cause names an option or its place, not its value.
            StoreError::Unusable(format!("cannot use this URL of PostgreSQL: {}", Printable(chain(&error))))
        })?;
        ensure!(
            !config.get_hosts().is_empty() || !config.get_hostaddrs().is_empty(),
            StoreError::Unusable("cannot use this URL of PostgreSQL: it names no host".into())
        );
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("code-search");
        }
        config
            .keepalives(true)
            .keepalives_idle(Duration::from_secs(30))
            .keepalives_interval(Duration::from_secs(10));
        config.keepalives_retries(3).tcp_user_timeout(Duration::from_secs(60));
        let mut connection = Self { place: place(&config), config, open: None };
        connection.retry(Phase::Opening, |_, _| Ok(()))?;
        Ok(connection)
    }

    /// Runs `work` in a transaction. If the connection is lost, connects again and runs it anew, so `work` must have the same
    /// result when it has been done already.
    pub fn run<T>(&mut self, work: impl FnMut(&mut Transaction<'_>, Server) -> Result<T>) -> Result<T> {
        self.retry(Phase::Working, work)
    }

    fn retry<T>(
        &mut self,
        phase: Phase,
        mut work: impl FnMut(&mut Transaction<'_>, Server) -> Result<T>,
    ) -> Result<T> {
        let mut deadline = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.attempt(&mut work) {
                Ok(result) => return Ok(result),
                Err(error) => error,
            };
            // A client does not always notice that its connection is closed.
            let lost = error.downcast_ref::<postgres::Error>().is_some_and(is_lost);
            self.open.take_if(|(client, _)| lost || client.is_closed());
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
            if !is_transient(&error, phase) || Instant::now() + pause > deadline {
                return Err(self.explained(error, phase));
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    fn attempt<T>(&mut self, work: &mut impl FnMut(&mut Transaction<'_>, Server) -> Result<T>) -> Result<T> {
        let (client, server) = match &mut self.open {
            Some(open) => open,
            closed => {
                let mut client = connect(&self.config)?;
                let server = schema::prepare(&mut client)?;
                closed.insert((client, server))
            }
        };
        let mut transaction = client.transaction()?;
        let result = work(&mut transaction, *server)?;
        transaction.commit()?;
        Ok(result)
    }

    /// Makes an error of the server or the connection a [`StoreError`].
    fn explained(&self, error: anyhow::Error, phase: Phase) -> anyhow::Error {
        let unusable = |why: &dyn Display| format!("cannot use the store at {}: {}", self.place, Printable(why));
        let error = match error.downcast::<StoreError>() {
            Ok(StoreError::Damaged(why)) => return StoreError::Damaged(unusable(&why)).into(),
            Ok(StoreError::Unusable(why)) => return StoreError::Unusable(unusable(&why)).into(),
            Err(error) => error,
        };
        let why = match error.downcast::<postgres::Error>() {
            Ok(error) if error.code().is_some() && !is_lost(&error) => {
                return StoreError::Unusable(unusable(&chain(&error))).into();
            }
            Ok(error) => chain(&error),
            Err(error) if error.is::<io::Error>() => error.to_string(),
            Err(error) => return error,
        };
        let advice = match phase {
            Phase::Opening => "",
            Phase::Working => "; what was indexed so far is kept, run the same command again",
        };
        let why = Printable(why);
        StoreError::Unusable(format!("cannot reach the store at {}: {why}{advice}", self.place)).into()
    }
}

/// The use of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Opening the store. The URL may be wrong, so only a server that says so itself is waited for.
    Opening,
    /// Reading and writing.
    Working,
}

/// Returns whether the same may work later.
fn is_transient(error: &anyhow::Error, phase: Phase) -> bool {
    let Some(error) = error.downcast_ref::<postgres::Error>() else {
        return phase == Phase::Working && error.is::<io::Error>();
    };
    let conflict = [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE];
    match error.code() {
        Some(code) => is_lost(error) || conflict.contains(code),
        None => phase == Phase::Working && is_lost(error),
    }
}

/// Returns whether an error is one of the connection.
fn is_lost(error: &postgres::Error) -> bool {
    let codes = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ];
    match error.code() {
        Some(code) => codes.contains(code) || code.code().starts_with("08"),
        None => error.is_closed() || error.source().is_some_and(<dyn std::error::Error>::is::<io::Error>),
    }
}

/// Connects in bounded time.
fn connect(config: &Config) -> Result<Client> {
    let timeout = config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
    let addresses = u32::try_from(config.get_hosts().len().max(1)).unwrap_or(1);
    let config = config.clone();
    // The timeout of the configuration ends when the server accepts the connection, and one that hangs does no more than that.
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().name("connect".into()).spawn(move || {
        let _ = sender.send(connect_or_hang(&config));
    })?;
    receiver
        .recv_timeout(timeout * (addresses + 1))
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not answer").into()))
}

/// Connects with TLS if the URL says `sslmode=require`, or if it says nothing, the server is on another machine and has TLS.
fn connect_or_hang(config: &Config) -> Result<Client> {
    match config.get_ssl_mode() {
        SslMode::Disable => return Ok(config.connect(NoTls)?),
        SslMode::Prefer if is_local(config) => return Ok(config.connect(NoTls)?),
        _ => {}
    }
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config.connect(MakeRustlsConnect::new(tls))?)
}

/// Returns whether the server is on this machine.
fn is_local(config: &Config) -> bool {
    let hosts = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(host) => host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    });
    hosts && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

/// Returns the hosts and ports of a configuration.
fn place(config: &Config) -> String {
    let hosts = config.get_hosts().iter().map(|host| match host {
        // A password with an unescaped `@` reaches into the host.
        Host::Tcp(host) => host.rsplit_once('@').map_or(&**host, |(_, host)| host).to_owned(),
        #[cfg(unix)]
        Host::Unix(path) => Path::display(path).to_string(),
    });
    let mut hosts = hosts.collect::<Vec<_>>();
    if hosts.is_empty() {
        hosts.extend(config.get_hostaddrs().iter().map(ToString::to_string));
    }
    let ports = config.get_ports();
    let named = hosts.iter().enumerate().map(|(at, host)| match ports.get(at).or(ports.first()) {
        Some(port) => format!("{host}:{port}"),
        None => host.clone(),
    });
    Printable(named.collect::<Vec<_>>().join(", ")).to_string()
}

/// Returns an error and its causes.
fn chain(error: &postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return error.message().to_owned();
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    if text.contains("UnknownIssuer") || text.contains("certificate") {
        text.push_str("; name the certificate of its authority in SSL_CERT_FILE, or use sslmode=disable on a network you trust");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_no_password() {
        for (url, expected) in [
            ("postgresql://user:secret@example.org/db", "example.org:5432"),
            ("postgresql://user:sec@ret@example.org:5433/db", "example.org:5433"),
            ("postgresql://user:secret@a,b:1/db", "a:5432, b:1"),
            ("postgresql://user:secret@%2Frun%2Fpostgresql/db", "/run/postgresql:5432"),
            ("postgresql://user@h%1b%5B31m/db", r"h\u{1b}[31m:5432"),
        ] {
            assert_eq!(place(&url.parse().unwrap()), expected);
        }
    }

    #[test]
    fn a_url_that_cannot_be_used_is_an_error_without_its_password() {
        for url in [
            "postgresql://user:secret@host:port/db",
            "postgresql://user:secret@host/db?sslmode=always",
            "postgresql://user:secret@host/db?unknown=1",
            "postgresql://user:secret",
            "postgresql://",
        ] {
            let error = Connection::open(url).err().unwrap().to_string();
            assert!(error.starts_with("cannot use this URL of PostgreSQL: "), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
