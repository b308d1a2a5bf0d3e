//! Where settings come from: flag, environment, project file, user file, system file, in this order.
//! The only reader of the environment, the home folder and the current folder.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Deserialize;

use crate::{
    agent::Sockets,
    cli::{
        EVERYWHERE, code,
        error::CliError,
        files::{read_text, read_text_if_there},
    },
    document::source::Variables,
    exchange::client::{Auth, ExchangeClient, ExchangeConfig},
    image::engine::EngineEndpoint,
    types::{Arch, NodeRef, OrgId, Secret, UserId},
};

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
}

/// What a settings file may say. Unknown words are refused, so that a typing error is found.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SettingsFile {
    exchange: Option<String>,
    org: Option<String>,
    user_auth: Option<String>,
    ca_file: Option<String>,
}

/// A snapshot of what surrounds the program, taken once.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
    current_folder: PathBuf,
}

impl Environment {
    /// Reads it. Variables that are not UTF-8 are left out: nothing of ours is.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub(crate) fn read() -> Self {
        let variables = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { variables, current_folder: env::current_dir().unwrap_or_else(|_| ".".into()) }
    }

    /// A variable that is set to something.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The folder the program was started in.
    pub(crate) fn current_folder(&self) -> &Path {
        &self.current_folder
    }

    /// The user's own settings: `$EDGEPOST_HOME`, or `edgepost` in the configuration folder.
    pub(crate) fn home(&self) -> PathBuf {
        let folder = |name: &str| self.get(name).map(PathBuf::from);
        folder("EDGEPOST_HOME")
            .or_else(|| folder("XDG_CONFIG_HOME").map(|it| it.join("edgepost")))
            .or_else(|| folder("HOME").map(|it| it.join(".config/edgepost")))
            .unwrap_or_else(|| self.current_folder.join(".edgepost"))
    }

    /// The folder of the user's signing keys.
    pub(crate) fn keys(&self) -> PathBuf {
        self.home().join("keys")
    }

    /// The Docker login file: `$DOCKER_CONFIG/config.json`, or in `~/.docker`.
    pub(crate) fn docker_login_file(&self) -> Option<PathBuf> {
        let folder = self
            .get("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| self.get("HOME").map(|home| Path::new(home).join(".docker")))?;
        Some(folder.join("config.json"))
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
        let own = self.home().join("certs.d");
        let podman =
            self.get("HOME").map(|home| Path::new(home).join(".config/containers/certs.d"));
        let system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
        [own].into_iter().chain(podman).chain(system).collect()
    }

    /// The variables that a definition file may use: the environment, but for its credentials, over
    /// the project's hzn.json.
    pub(crate) fn variables(&self, project: &Variables) -> Variables {
        let mut all = Variables::new();
        // A definition is made to be shown to others.
        for (name, value) in self.variables.iter().filter(|(name, _)| !holds_secret(name)) {
            all.set(name, value);
        }
        let mut machine = Variables::new();
        machine.set("ARCH", Arch::of_this_machine().to_string());
        all.or(project).or(&machine)
    }

    /// The settings files, the nearest first.
    fn settings_files(&self) -> Result<Vec<SettingsFile>, CliError> {
        let project = self.current_folder.ancestors().map(|it| it.join("edgepost.toml"));
        let project = project.into_iter().find(|file| file.is_file());
        let user = self.home().join("config.toml");
        let system = PathBuf::from("/etc/edgepost/config.toml");
        project.into_iter().chain([user, system]).filter_map(|path| read_settings(&path)).collect()
    }
}

/// Whether a variable of the environment holds credentials: ours, and Horizon's.
fn holds_secret(name: &str) -> bool {
    matches!(
        name,
        "EDGEPOST_USER_AUTH"
            | "EDGEPOST_NODE_AUTH"
            | "HZN_EXCHANGE_USER_AUTH"
            | "HZN_EXCHANGE_NODE_AUTH"
    )
}

/// Reads a settings file, if it is there.
fn read_settings(path: &Path) -> Option<Result<SettingsFile, CliError>> {
    let text = match read_text_if_there(path).transpose()? {
        Ok(text) => text,
        Err(error) => return Some(Err(error)),
    };
    Some(toml::from_str(&text).map_err(|error| {
        // The error's own text repeats the line, which may be the one with the password.
        CliError::new(code::SETTINGS, format!("`{}` is not a settings file", path.display()))
            .why(error.message())
            .help("it may have: exchange, org, user-auth, ca-file")
    }))
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
    user_auth: Option<Secret>,
}

impl Connection {
    /// What is known of them, where that is enough.
    pub(crate) fn known(&self, environment: &Environment) -> Result<Known, CliError> {
        let files = environment.settings_files()?;
        let find =
            |flag: Option<String>, horizon: &str, field: fn(&SettingsFile) -> Option<&String>| {
                flag.or_else(|| environment.get(horizon).map(str::to_owned))
                    .or_else(|| files.iter().find_map(|file| field(file).cloned()))
            };
        let org = self.org.as_ref().map(ToString::to_string);
        let org = find(org, "HZN_ORG_ID", |file| file.org.as_ref());
        let org = org.map(|org| org.parse()).transpose().map_err(|error| {
            CliError::new(code::SETTINGS, "the organization is unusable").because(&error)
        })?;
        let ca_file = self.ca_file.as_ref().map(|file| file.display().to_string());
        Ok(Known {
            url: find(self.exchange.clone(), "HZN_EXCHANGE_URL", |file| file.exchange.as_ref()),
            org,
            ca_file: find(ca_file, "HZN_MGMT_HUB_CERT_PATH", |file| file.ca_file.as_ref()),
            user_auth: find(self.user_auth.clone(), "HZN_EXCHANGE_USER_AUTH", |file| {
                file.user_auth.as_ref()
            })
            .map(Secret::new),
        })
    }

    /// Finds the settings: flag or `EDGEPOST_…`, `HZN_…`, project file, user file, system file.
    pub(crate) fn settings(&self, environment: &Environment) -> Result<Settings, CliError> {
        let Known { url, org, ca_file, user_auth } = self.known(environment)?;
        let exchange = || missing("the exchange's URL", "--exchange or EDGEPOST_EXCHANGE_URL");
        Ok(Settings {
            url: url.ok_or_else(exchange)?,
            org: org.ok_or_else(|| missing("the organization", "--org or EDGEPOST_ORG"))?,
            ca: ca_file.map(|file| read_text(Path::new(&file))).transpose()?,
            user_auth,
        })
    }
}

impl Settings {
    /// How to reach the exchange as the user.
    pub(crate) fn exchange_config(&self) -> Result<ExchangeConfig, CliError> {
        let auth = self.user_auth.as_ref().ok_or_else(|| {
            missing("who you are", "EDGEPOST_USER_AUTH=user:password in the environment")
        })?;
        let auth = user_auth(auth, &self.org)?;
        let config = ExchangeConfig::new(self.url.clone(), self.org.clone(), auth);
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
pub(crate) fn node_auth(text: &Secret, org: &OrgId) -> Result<(NodeRef, Secret), CliError> {
    let (org, id, token) = split_auth(text, org)?;
    let id = id.parse().map_err(|error| {
        CliError::new(code::SETTINGS, "the node's id is unusable").because(&error)
    })?;
    Ok((NodeRef { org, id }, token))
}

fn split_auth(text: &Secret, org: &OrgId) -> Result<(OrgId, String, Secret), CliError> {
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
