//! Where settings come from: flag, environment, project file, user file, system file, Horizon's files,
//! in this order.
//! The only reader of the environment, the home folder and the current folder.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use crate::{
    agent::Sockets,
    cli::{
        EVERYWHERE, code,
        error::CliError,
        files::read_certificates,
        variables::{ENVIRONMENT, Layer, SettingsFile},
    },
    exchange::client::{Auth, ExchangeClient, ExchangeConfig, PlainHttp},
    image::engine::EngineEndpoint,
    types::{CopyFlaw, NodeRef, OrgId, Secret, UserId},
};
use clap::{Args, builder::FalseyValueParser};

/// How to reach the exchange, and as whom.
#[derive(Debug, Clone, Args)]
pub(crate) struct Connection {
    /// The exchange, ending in /v1 [also: HZN_EXCHANGE_URL]
    #[arg(long, env = "EDGEPOST_EXCHANGE_URL", value_name = "URL", global = true, help_heading = EVERYWHERE)]
    pub(crate) exchange: Option<String>,
    /// The organization [also: HZN_ORG_ID]
    #[arg(short, long, env = "EDGEPOST_ORG", global = true, help_heading = EVERYWHERE)]
    pub(crate) org: Option<OrgId>,
    /// [ORG/]USER:PASSWORD; better in the environment than on the command line [also: HZN_EXCHANGE_USER_AUTH]
    #[arg(short, long, env = "EDGEPOST_USER_AUTH", hide_env_values = true, global = true, help_heading = EVERYWHERE)]
    pub(crate) user_auth: Option<String>,
    /// A certificate authority to trust for the exchange, as a PEM file [also: HZN_MGMT_HUB_CERT_PATH]
    #[arg(long, env = "EDGEPOST_CA_FILE", value_name = "FILE", global = true, help_heading = EVERYWHERE)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Allow plain HTTP with an exchange, or for a server, that is not on this machine: passwords and tokens cross
    /// the network unencrypted
    #[arg(long, env = "EDGEPOST_INSECURE_HTTP", value_parser = FalseyValueParser::new(), global = true,
        help_heading = EVERYWHERE)]
    pub(crate) insecure_http: bool,
}

/// A snapshot of what surrounds the program, taken once.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
    current_folder: PathBuf,
    system_folder: PathBuf,
}

impl Environment {
    /// Reads it. Variables that are not UTF-8 are left out: nothing of ours is.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub(crate) fn read() -> Self {
        let variables = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            variables,
            current_folder: env::current_dir().unwrap_or_else(|_| ".".into()),
            system_folder: "/etc".into(),
        }
    }

    /// One that a test has made up: its home folder is `home` of the folder, the machine's is `etc`.
    #[cfg(test)]
    pub(crate) fn made_up(folder: &Path, variables: &[(&str, &str)]) -> Self {
        let home = ("HOME".to_owned(), folder.join("home").display().to_string());
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Self {
            variables: variables.chain([home]).collect(),
            current_folder: folder.to_owned(),
            system_folder: folder.join("etc"),
        }
    }

    /// The same surroundings with one more variable.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut environment = self.clone();
        environment.variables.insert(name.to_owned(), value.to_owned());
        environment
    }

    /// A variable that is set to something.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The folder the program was started in.
    pub(crate) fn current_folder(&self) -> &Path {
        &self.current_folder
    }

    /// The folder of the machine's settings.
    pub(crate) fn system_folder(&self) -> &Path {
        &self.system_folder
    }

    /// The variables of the environment.
    pub(crate) fn environment_layer(&self) -> Layer {
        Layer { origin: ENVIRONMENT.to_owned(), values: self.variables.iter().collect() }
    }

    /// The user's own settings: `$EDGEPOST_HOME`, or `edgepost` in the configuration folder; nothing where the
    /// environment names no home. The current folder is never used instead: keys do not belong into a checkout.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        let folder = |name: &str| self.get(name).map(PathBuf::from);
        let absolute = |name: &str| folder(name).filter(|it| it.is_absolute());
        folder("EDGEPOST_HOME")
            .or_else(|| absolute("XDG_CONFIG_HOME").map(|it| it.join("edgepost")))
            .or_else(|| absolute("HOME").map(|it| it.join(".config/edgepost")))
    }

    /// The folder of the user's signing keys.
    pub(crate) fn keys(&self) -> Option<PathBuf> {
        self.home().map(|home| home.join("keys"))
    }

    /// Where what transfers teach is kept: `edgepost/transfers` in `$XDG_STATE_HOME`, or what stands for it.
    pub(crate) fn transfers_folder(&self) -> Option<PathBuf> {
        let state = self
            .get("XDG_STATE_HOME")
            .map(PathBuf::from)
            .or_else(|| self.get("HOME").map(|home| Path::new(home).join(".local/state")))?;
        Some(state.join("edgepost/transfers"))
    }

    /// The Docker login file: `$DOCKER_CONFIG/config.json`, or in `~/.docker`.
    pub(crate) fn docker_login_file(&self) -> Option<PathBuf> {
        let folder = self
            .get("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| self.get("HOME").map(|home| Path::new(home).join(".docker")))?;
        Some(folder.join("config.json"))
    }

    /// The login files for registries, in the order in which they are asked: the one that Podman's
    /// `REGISTRY_AUTH_FILE` names, Docker's, Podman's, and `~/.dockercfg`, which Docker wrote before 1.7.
    /// What is kept goes into the first.
    pub(crate) fn login_files(&self) -> Vec<PathBuf> {
        let folder = |name: &str| self.get(name).map(Path::new);
        let named = folder("REGISTRY_AUTH_FILE").map(Path::to_owned);
        let running = folder("XDG_RUNTIME_DIR").map(|it| it.join("containers/auth.json"));
        let config = folder("XDG_CONFIG_HOME")
            .map(Path::to_owned)
            .or_else(|| folder("HOME").map(|home| home.join(".config")));
        let lasting = config.map(|it| it.join("containers/auth.json"));
        let old = folder("HOME").map(|home| home.join(".dockercfg"));
        let all = [named, self.docker_login_file(), running, lasting, old];
        all.into_iter().flatten().collect()
    }

    /// The container engine of this machine: `DOCKER_HOST`, or the first socket there is.
    pub(crate) fn engine(&self) -> Result<Option<EngineEndpoint>, CliError> {
        Ok(match self.sockets()? {
            Sockets::Named(engine) => Some(engine),
            Sockets::Usual(engines) => engines
                .into_iter()
                .find(|it| matches!(it, EngineEndpoint::Unix(socket) if socket.exists())),
        })
    }

    /// Where engines listen: at `DOCKER_HOST` alone, or in the usual places, the user's own first.
    pub(crate) fn sockets(&self) -> Result<Sockets, CliError> {
        if let Some(host) = self.get("DOCKER_HOST") {
            return host.parse().map(Sockets::Named).map_err(|error| {
                CliError::new(code::SETTINGS, "DOCKER_HOST is unusable").because(&error)
            });
        }
        let user =
            self.get("XDG_RUNTIME_DIR").map(|folder| Path::new(folder).join("podman/podman.sock"));
        let system = ["/var/run/docker.sock", "/run/podman/podman.sock"].map(PathBuf::from);
        let all = user.into_iter().chain(system).map(EngineEndpoint::Unix);
        Ok(Sockets::Usual(all.collect()))
    }

    /// The folders that may hold `HOST[:PORT]/ca.crt`, as Docker and Podman read them.
    pub(crate) fn certs_folders(&self) -> Vec<PathBuf> {
        let own = self.home().map(|home| home.join("certs.d"));
        let users = self.get("HOME").into_iter().flat_map(|home| {
            [".config/containers/certs.d", ".docker/certs.d"].map(|it| Path::new(home).join(it))
        });
        let system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
        own.into_iter().chain(users).chain(system).collect()
    }
}

/// What is known of the connection's settings; each may be nowhere.
#[derive(Debug)]
pub(crate) struct Known {
    /// The exchange's URL.
    pub(crate) url: Option<String>,
    /// The organization.
    pub(crate) org: Option<OrgId>,
    ca_file: Option<String>,
    user_auth: Option<Secret>,
}

/// The connection's settings, found.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The exchange's URL.
    pub(crate) url: String,
    /// The organization.
    pub(crate) org: OrgId,
    /// A certificate authority for the exchange, as PEM.
    pub(crate) ca: Option<String>,
    /// Where unencrypted HTTP may go.
    plain_http: PlainHttp,
    user_auth: Option<Secret>,
}

/// A setting of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// The exchange's URL.
    Exchange,
    /// The organization.
    Org,
    /// As whom.
    UserAuth,
    /// A certificate authority for the exchange.
    CaFile,
}

impl Setting {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Exchange, Self::Org, Self::UserAuth, Self::CaFile];

    /// Its name in settings files, our variable, and Horizon's.
    pub(crate) fn names(self) -> [&'static str; 3] {
        match self {
            Self::Exchange => ["exchange", "EDGEPOST_EXCHANGE_URL", "HZN_EXCHANGE_URL"],
            Self::Org => ["org", "EDGEPOST_ORG", "HZN_ORG_ID"],
            Self::UserAuth => ["user-auth", "EDGEPOST_USER_AUTH", "HZN_EXCHANGE_USER_AUTH"],
            Self::CaFile => ["ca-file", "EDGEPOST_CA_FILE", "HZN_MGMT_HUB_CERT_PATH"],
        }
    }

    fn of_file(self, file: &SettingsFile) -> Option<&String> {
        match self {
            Self::Exchange => file.exchange.as_ref(),
            Self::Org => file.org.as_ref(),
            Self::UserAuth => file.user_auth.as_ref(),
            Self::CaFile => file.ca_file.as_ref(),
        }
    }

    fn of_flag(self, connection: &Connection) -> Option<String> {
        match self {
            Self::Exchange => connection.exchange.clone(),
            Self::Org => connection.org.as_ref().map(ToString::to_string),
            Self::UserAuth => connection.user_auth.clone(),
            Self::CaFile => connection.ca_file.as_ref().map(|file| file.display().to_string()),
        }
    }
}

/// A setting, and where it was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// What it is.
    pub(crate) value: String,
    /// Where it stands.
    pub(crate) origin: String,
}

impl Connection {
    /// What is known of them, where that is enough.
    pub(crate) fn known(&self, environment: &Environment) -> Result<Known, CliError> {
        let [url, org, user_auth, ca_file] = self.found(environment)?;
        let org = org.map(|it| {
            it.value.parse().map_err(|error| {
                CliError::new(code::SETTINGS, "the organization is unusable")
                    .at(it.origin)
                    .because(&error)
            })
        });
        Ok(Known {
            url: url.map(|it| it.value),
            org: org.transpose()?,
            ca_file: ca_file.map(|it| it.value),
            user_auth: user_auth.map(|it| Secret::new(it.value)),
        })
    }

    /// The file of the exchange's certificate authority, where one is named and the settings can be read.
    pub(crate) fn ca_file(&self, environment: &Environment) -> Option<String> {
        self.known(environment).ok()?.ca_file
    }

    /// The exchange's URL, where it is known and the settings can be read.
    pub(crate) fn exchange_url(&self, environment: &Environment) -> Option<String> {
        self.known(environment).ok()?.url
    }

    /// Where unencrypted HTTP may go.
    fn plain_http(&self) -> PlainHttp {
        if self.insecure_http { PlainHttp::AnywhereUnsafe } else { PlainHttp::LoopbackOnly }
    }

    /// Finds the settings.
    pub(crate) fn settings(&self, environment: &Environment) -> Result<Settings, CliError> {
        let Known { url, org, ca_file, user_auth } = self.known(environment)?;
        let exchange = || missing("the exchange's URL", "--exchange or EDGEPOST_EXCHANGE_URL");
        Ok(Settings {
            url: url.ok_or_else(exchange)?,
            org: org.ok_or_else(|| missing("the organization", "--org or EDGEPOST_ORG"))?,
            ca: ca_file.map(|file| read_certificates(Path::new(&file))).transpose()?,
            plain_http: self.plain_http(),
            user_auth,
        })
    }

    /// Each of [`Setting::ALL`], if it stands anywhere: flag or `EDGEPOST_…`, `HZN_…`, our files of
    /// project, user and machine, Horizon's of user and machine.
    pub(crate) fn found(&self, environment: &Environment) -> Result<[Option<Found>; 4], CliError> {
        let files = [
            environment.project_settings(environment.current_folder())?,
            environment.user_settings()?,
            environment.system_settings()?,
        ];
        // A project's hzn.json is for its documents alone: what came with a stranger's project must not
        // choose who is shown the user's password.
        let horizon = environment.horizon_layers()?;
        Ok(Setting::ALL.map(|setting| {
            let [_, ours, theirs] = setting.names();
            let of_flag = || {
                let value = setting.of_flag(self)?;
                let is_variable = environment.get(ours) == Some(&value);
                let origin = if is_variable { ours } else { "command line" };
                Some(Found { value, origin: origin.to_owned() })
            };
            let of_environment = || {
                let value = environment.get(theirs)?.to_owned();
                Some(Found { value, origin: theirs.to_owned() })
            };
            let of_files = || {
                files.iter().flatten().find_map(|file| {
                    let value = setting.of_file(file)?.clone();
                    Some(Found { value, origin: file.path.display().to_string() })
                })
            };
            let of_horizon = || {
                horizon.iter().find_map(|layer| {
                    let value = layer.values.get(theirs).filter(|it| !it.is_empty())?.to_owned();
                    Some(Found { value, origin: layer.origin.clone() })
                })
            };
            of_flag().or_else(of_environment).or_else(of_files).or_else(of_horizon)
        }))
    }
}

impl Settings {
    /// How to reach the exchange as the user.
    pub(crate) fn exchange_config(&self) -> Result<ExchangeConfig, CliError> {
        let auth = self.user_auth.as_ref().ok_or_else(|| {
            missing("who you are", "EDGEPOST_USER_AUTH=user:password in the environment")
        })?;
        let auth = user_auth(auth, &self.org)?;
        let config = ExchangeConfig::new(self.url.clone(), self.org.clone(), auth)
            .plain_http(self.plain_http);
        Ok(match &self.ca {
            Some(pem) => config.trusting(pem.clone()),
            None => config,
        })
    }

    /// A client of the exchange, as the user.
    pub(crate) fn client(&self) -> Result<ExchangeClient, CliError> {
        Ok(ExchangeClient::new(&self.exchange_config()?)?)
    }
}

fn missing(what: &str, help: &str) -> CliError {
    CliError::new(code::SETTINGS, format!("{what} is not known")).help(format!("set {help}"))
}

/// Splits `[org/]user:password`; the organization is the command's unless it is given.
fn user_auth(text: &Secret, org: &OrgId) -> Result<Auth, CliError> {
    let (org, name, password) = split_auth(text, org)?;
    let name: UserId = name.parse().map_err(|error| {
        CliError::new(code::SETTINGS, "the user's name is unusable").because(&error)
    })?;
    Ok(Auth::User { org, name, password })
}

/// Splits `[org/]node:token`.
pub(crate) fn node_auth(text: &Secret, org: &OrgId) -> Result<(NodeRef, Option<Secret>), CliError> {
    let (org, id, token) = if text.expose().contains(':') {
        let (org, id, token) = split_auth(text, org)?;
        (org, id, Some(token))
    } else {
        let (org, id, _) = split_auth(&Secret::new(format!("{}:", text.expose())), org)?;
        (org, id, None)
    };
    let id = id.parse().map_err(|error| {
        CliError::new(code::SETTINGS, "the node's id is unusable").because(&error)
    })?;
    Ok((NodeRef { org, id }, token))
}

/// Refuses credentials that broke as they were copied, before a server refuses them without saying why. Blanks inside a
/// password are part of it; one at the end may be.
fn check_copy(text: &Secret) -> Result<(), CliError> {
    match CopyFlaw::of(text.expose()) {
        None | Some(CopyFlaw::InnerBlank) => Ok(()),
        Some(flaw @ CopyFlaw::TrailingBlank) => {
            tracing::warn!(event = "secret.suspect_copy", %flaw, "the credentials may have been copied with more than themselves");
            Ok(())
        }
        Some(flaw) => {
            Err(CliError::new(code::SETTINGS, "the credentials are not as they were issued")
                .because(&flaw)
                .help("set them again, as user:password or org/user:password"))
        }
    }
}

fn split_auth(text: &Secret, org: &OrgId) -> Result<(OrgId, String, Secret), CliError> {
    check_copy(text)?;
    let (name, secret) = text.expose().split_once(':').ok_or_else(|| {
        CliError::new(code::SETTINGS, "the credentials have no `:`")
            .help("write them as user:password, or org/user:password")
    })?;
    let (org, name) = match name.split_once('/') {
        Some((org, name)) => {
            let org = org.parse().map_err(|error| {
                CliError::new(code::SETTINGS, "the organization is unusable").because(&error)
            })?;
            (org, name)
        }
        None => (org.clone(), name),
    };
    Ok((org, name.to_owned(), Secret::new(secret)))
}
