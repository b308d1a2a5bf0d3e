//! `edgepost hub`, `exchange` and `registry`: the servers.

use std::{
    collections::BTreeSet,
    net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
};

use clap::Args;
use serde_json::json;

use crate::{
    claim,
    cli::{Context, ReloadSignal, code, error::CliError, stop_signal, user::first_line},
    data_parts::{DataPart, Start},
    exchange::server::{ExchangeConfig, ExchangeServer},
    hub::{Hub, HubConfig, RegistryAccounts, admit_registry},
    listener::{ListenerLimits, Tls, raise_descriptor_limit},
    registry::server::{Access, RegistryConfig, RegistryServer, StartRegistryError},
    types::Secret,
};

/// Where a server keeps its data and where it listens.
#[derive(Debug, Args)]
struct ServerArgs {
    /// The folder of all its data
    // Optional for `edgepost registry COMMAND`, which serves nothing; clap demands it everywhere else.
    #[arg(long, value_name = "DIR", env = "EDGEPOST_DATA", required = true)]
    data: Option<PathBuf>,
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080", value_parser = address)]
    listen: SocketAddr,
    /// The certificate chain, as a PEM file; without it: plain HTTP, which for other machines needs --insecure-http.
    /// Loaded again, with its key, on SIGHUP and when the files change
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, as a PEM file that its owner alone may read
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The most connections at a time; each node that waits for changes holds one [default: three quarters of the
    /// descriptor limit (ulimit -Hn), at most 10000]
    #[arg(long, value_name = "N")]
    max_connections: Option<NonZeroUsize>,
    /// Make a lost part of the data again: database, timestamp-key, vault-key, registry-accounts or images; repeatable
    ///
    /// A server does not start without one of them while others are there. Restore it from a backup if there is one.
    #[arg(long, value_name = "PART")]
    create_missing: Vec<DataPart>,
}

/// Reads `ADDRESS:PORT`; `localhost` is the loopback address that registries are found at.
fn address(text: &str) -> Result<SocketAddr, AddrParseError> {
    match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}").parse(),
        None => text.parse(),
    }
}

/// Run exchange and registry in one process
///
/// SIGTERM ends it after the requests in progress. SIGHUP loads the TLS certificate and key again; all else is read at
/// the start alone.
#[derive(Debug, Args)]
pub(super) struct HubArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    root: RootArgs,
}

/// Run an exchange
///
/// SIGTERM ends it after the requests in progress. SIGHUP loads the TLS certificate and key again; all else is read at
/// the start alone.
#[derive(Debug, Args)]
pub(super) struct ServeExchangeArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    root: RootArgs,
}

/// Run a registry
///
/// SIGTERM ends it after the requests in progress. SIGHUP loads the TLS certificate and key again; all else is read at
/// the start alone.
#[derive(Debug, Args)]
pub(super) struct ServeRegistryArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Let everyone on this machine push and pull, without credentials
    #[arg(long)]
    anonymous: bool,
    /// Let everyone who reaches the address push and pull, without credentials, from other machines too
    #[arg(long)]
    insecure_anonymous: bool,
}

#[derive(Debug, Args)]
struct RootArgs {
    /// A file with the root user's password in its first line; without it the first start makes one and prints it
    #[arg(long, value_name = "FILE")]
    root_password_file: Option<PathBuf>,
}

impl RootArgs {
    fn password(&self) -> Result<Option<Secret>, CliError> {
        self.root_password_file.as_deref().map(first_line).transpose()
    }
}

impl ServerArgs {
    fn data(&self) -> Result<PathBuf, CliError> {
        self.data.clone().ok_or_else(|| CliError::new(code::USAGE, "--data is missing"))
    }

    fn create_missing(&self) -> BTreeSet<DataPart> {
        self.create_missing.iter().copied().collect()
    }

    fn tls(&self) -> Option<Tls> {
        let (cert_file, key_file) = (self.tls_cert.clone()?, self.tls_key.clone()?);
        Some(Tls { cert_file, key_file })
    }

    /// Whether other machines can reach the address.
    fn is_reachable(&self) -> bool {
        !self.listen.ip().to_canonical().is_loopback()
    }

    /// Refuses plain HTTP for other machines, unless the operator asks for it.
    fn check_exposure(&self, context: &Context) -> Result<(), CliError> {
        let is_plain = self.is_reachable() && self.tls_cert.is_none();
        if !is_plain {
            return Ok(());
        }
        if !context.connection.insecure_http {
            return Err(CliError::new(code::EXPOSED, "plain HTTP for other machines is refused")
                .at(self.listen)
                .why("passwords, tokens and images would cross the network unencrypted")
                .help(
                    "serve TLS with --tls-cert FILE --tls-key FILE; or, behind a proxy or container that adds \
                     TLS, allow it with --insecure-http (EDGEPOST_INSECURE_HTTP=1)",
                ));
        }
        context.output.note(format!(
            "warning: plain HTTP on {}: passwords and tokens cross the network unencrypted",
            self.listen
        ));
        Ok(())
    }
}

impl ServeRegistryArgs {
    /// Whether the registry asks for no credentials. Beyond this machine that has a flag of its own.
    fn is_anonymous(&self) -> Result<bool, CliError> {
        if self.anonymous && !self.insecure_anonymous && self.server.is_reachable() {
            return Err(CliError::new(code::EXPOSED, "--anonymous for other machines is refused")
                .at(self.server.listen)
                .why("everyone who reaches the address could push and replace images")
                .help(
                    "leave --anonymous away: accounts are made at the first start; or allow it with \
                     --insecure-anonymous",
                ));
        }
        Ok(self.anonymous || self.insecure_anonymous)
    }
}

impl ServerArgs {
    /// The bounds of the listener, after the process has got all descriptors that it may have.
    fn limits(&self) -> ListenerLimits {
        raise_descriptor_limit();
        let limits = ListenerLimits::default();
        let connections = self.max_connections.map_or(limits.connections, NonZeroUsize::get);
        ListenerLimits { connections, ..limits }
    }
}

/// Returns when the process is asked to end. Until then each SIGHUP reloads the server.
async fn until_stopped(mut reload_signal: ReloadSignal, reload: impl AsyncFn()) {
    let mut stop = std::pin::pin!(stop_signal());
    loop {
        tokio::select! {
            () = &mut stop => return,
            () = reload_signal.received() => reload().await,
        }
    }
}

impl HubArgs {
    /// Runs the servers until they are stopped.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        self.server.check_exposure(context)?;
        let reload_signal = ReloadSignal::listen();
        let hub = Hub::bind(HubConfig {
            data: self.server.data()?,
            listen: self.server.listen,
            tls: self.server.tls(),
            root_password: self.root.password()?,
            limits: self.server.limits(),
            create_missing: self.server.create_missing(),
        })
        .await?;
        let first = FirstStart {
            exchange: Some(usable_url(&hub.exchange_url(), hub.address())),
            registry: Some(usable_address(hub.address())),
            root_password: hub.made_root_password(),
            accounts: hub.made_accounts(),
        };
        first.tell(context);
        until_stopped(reload_signal, async || hub.reload().await).await;
        hub.shutdown().await;
        Ok(())
    }
}

impl ServeExchangeArgs {
    /// Runs the server until it is stopped.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        self.server.check_exposure(context)?;
        let reload_signal = ReloadSignal::listen();
        let mut config = ExchangeConfig::new(self.server.data()?, self.server.listen);
        config.tls = self.server.tls();
        config.root_password = self.root.password()?;
        config.limits = self.server.limits();
        config.create_missing = self.server.create_missing();
        let server = ExchangeServer::bind(config).await?;
        let first = FirstStart {
            exchange: Some(usable_url(&server.url(), server.address())),
            registry: None,
            root_password: server.made_root_password(),
            accounts: None,
        };
        first.tell(context);
        until_stopped(reload_signal, async || server.reload().await).await;
        server.shutdown().await;
        Ok(())
    }
}

impl ServeRegistryArgs {
    /// Runs the server until it is stopped.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        self.server.check_exposure(context)?;
        let is_anonymous = self.is_anonymous()?;
        let reload_signal = ReloadSignal::listen();
        let data = self.server.data()?;
        claim::secure_folder(&data).map_err(StartRegistryError::Claim)?;
        let (access, accounts, start) = if is_anonymous {
            (Access::Anonymous, None, None)
        } else {
            let start = admit_registry(&data, &self.server.create_missing())?;
            let (access, accounts) = RegistryAccounts::open(&data)?;
            (access, accounts, Some(start))
        };
        let server = RegistryServer::bind(RegistryConfig {
            folder: data.join("registry"),
            listen: self.server.listen,
            tls: self.server.tls(),
            access,
            limits: self.server.limits(),
        })
        .await?;
        start.map_or(Ok(()), Start::finish)?;
        let first = FirstStart {
            exchange: None,
            registry: Some(usable_address(server.address())),
            root_password: None,
            accounts: accounts.as_ref(),
        };
        first.tell(context);
        until_stopped(reload_signal, async || server.reload().await).await;
        server.shutdown().await;
        Ok(())
    }
}

/// An address at which a client on this machine finds the server: what listens everywhere is found at loopback.
fn usable_address(address: SocketAddr) -> SocketAddr {
    let loopback: IpAddr = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(loopback, address.port())
}

/// The same for the URL of a server at `address`.
fn usable_url(url: &str, address: SocketAddr) -> String {
    url.replacen(&address.to_string(), &usable_address(address).to_string(), 1)
}

/// Where a server listens, and what its first start made: that is told once.
struct FirstStart<'a> {
    exchange: Option<String>,
    registry: Option<SocketAddr>,
    root_password: Option<&'a Secret>,
    accounts: Option<&'a RegistryAccounts>,
}

impl FirstStart<'_> {
    /// Says where the server listens, and the secrets that were made: this once they are shown, since
    /// nobody could know them otherwise.
    fn tell(&self, context: &Context) {
        let root = self.root_password.map(Secret::expose);
        let accounts = self.accounts.map(|it| (it.push.expose(), it.pull.expose()));
        let object = json!({
            "exchange": self.exchange,
            "registry": self.registry,
            "rootPassword": root,
            "registryAccounts": accounts.map(|(push, pull)| json!({"push": push, "pull": pull})),
        });
        context.output.result(&object, || self.describe());
    }

    fn describe(&self) -> String {
        let mut lines = Vec::new();
        lines.extend(self.exchange.iter().map(|url| format!("exchange  {url}")));
        lines.extend(self.registry.map(|address| format!("registry  {address}")));
        lines.extend(self.accounts.map(|made| {
            let (push, pull) = (made.push.expose(), made.pull.expose());
            format!("registry accounts, not shown again: push:{push} pushes, pull:{pull} pulls")
        }));
        if let (Some(url), Some(password)) = (&self.exchange, self.root_password) {
            let password = password.expose();
            lines.push(format!("root's password, not shown again: {password}"));
            lines.push("next, in another terminal:".to_owned());
            lines.push(format!("  export EDGEPOST_EXCHANGE_URL={url} EDGEPOST_ORG=ORG"));
            lines.push(format!("  export EDGEPOST_USER_AUTH=root/root:{password}"));
            lines.push("  edgepost org create ORG".to_owned());
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_every_address_names_one_that_clients_can_use() {
        for (address, url, expected) in [
            ("0.0.0.0:8080", "http://0.0.0.0:8080/v1", "http://127.0.0.1:8080/v1"),
            ("[::]:8080", "https://[::]:8080/v1", "https://[::1]:8080/v1"),
            ("192.0.2.7:80", "http://192.0.2.7:80/v1", "http://192.0.2.7:80/v1"),
        ] {
            assert_eq!(usable_url(url, address.parse().unwrap()), expected);
        }
    }
}
