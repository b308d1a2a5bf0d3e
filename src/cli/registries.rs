//! The registries' side of the surroundings: login files, certificate folders.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    str::FromStr,
    sync::Arc,
};

use clap::Args;
use jiff::Timestamp;

use crate::{
    cli::{Context, files::read_certificates},
    publish::PullLogin,
    registry::client::{ClientConfig, Login, Logins, Memory, Mirror},
    types::{Registry, Repository, image_ref::ParseImageError},
};

/// Who else has what registries have.
#[derive(Debug, Default, Args)]
pub(super) struct MirrorArgs {
    /// Ask this registry first for what another one has, [http://]HOST[:PORT][/PREFIX]; repeatable, in this order.
    /// Content is believed by its digest alone
    #[arg(long, env = "EDGEPOST_MIRRORS", value_name = "REGISTRY=MIRROR", value_delimiter = ',')]
    mirror: Vec<MirrorOf>,
}

/// A registry, and one that has the same.
#[derive(Debug, Clone)]
struct MirrorOf(Registry, Mirror);

impl FromStr for MirrorOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (registry, mirror) =
            text.split_once('=').ok_or_else(|| format!("`{text}` is not REGISTRY=MIRROR"))?;
        let registry = registry.parse().map_err(|error: ParseImageError| error.to_string())?;
        let mirror = mirror.parse().map_err(|error: ParseImageError| error.to_string())?;
        Ok(Self(registry, mirror))
    }
}

impl MirrorArgs {
    /// The mirrors of each registry.
    pub(super) fn by_registry(&self) -> BTreeMap<Registry, Vec<Mirror>> {
        let mut all: BTreeMap<Registry, Vec<Mirror>> = BTreeMap::new();
        for MirrorOf(registry, mirror) in &self.mirror {
            all.entry(registry.clone()).or_default().push(mirror.clone());
        }
        all
    }
}

/// A client's configuration with the logins of this user, and with what earlier transfers taught: for
/// pushing. Plain HTTP is spoken with `plain_http` and with whatever `EDGEPOST_PLAIN_HTTP` names.
pub(super) fn push_config(context: &Context, plain_http: &[Registry]) -> ClientConfig {
    let files = context.environment.login_files();
    let ca_for_all = ca_for_all(context);
    let plain_http = plain_http.iter().cloned().chain(always_plain_http(context));
    ClientConfig {
        logins: files.into_iter().fold(Logins::none(), Logins::and_file),
        token_servers: token_servers(context),
        ca: hub_authority(context, &ca_for_all),
        ca_for_all,
        certs_dirs: context.environment.certs_folders(),
        plain_http: plain_http.collect(),
        memory: context
            .environment
            .transfers_folder()
            .map_or_else(Memory::default, |folder| Memory::at(&folder, Arc::clone(&context.clock))),
        ..ClientConfig::default()
    }
}

/// The certificate authority of `--ca-file`, which counts for registries as it does for the exchange: a proxy
/// that reads TLS stands before both.
pub(super) fn ca_for_all(context: &Context) -> Vec<String> {
    let file = context.connection.ca_file(&context.environment);
    let read = file.map(|file| read_certificates(Path::new(&file)));
    match read {
        None => Vec::new(),
        Some(Ok(pem)) => vec![pem],
        Some(Err(error)) => {
            context.output.note(format!("warning: {}, so it counts for no registry", error.what()));
            Vec::new()
        }
    }
}

/// The same authority for the registry at the exchange's own address: a hub is both, and one on this machine is
/// spoken to over TLS only where a certificate is configured for it by name.
fn hub_authority(context: &Context, authority: &[String]) -> BTreeMap<Registry, Vec<String>> {
    let url = context.connection.exchange_url(&context.environment);
    let rest = url.as_deref().and_then(|url| url.strip_prefix("https://"));
    let host = rest.and_then(|rest| rest.split('/').next()?.parse::<Registry>().ok());
    let host = host.filter(|_| !authority.is_empty());
    host.into_iter().map(|host| (host, authority.to_vec())).collect()
}

/// The token servers that may see the logins of registries on other hosts, by `EDGEPOST_TOKEN_SERVERS`:
/// `REGISTRY=HOST`, parted by commas.
fn token_servers(context: &Context) -> BTreeMap<Registry, BTreeSet<String>> {
    let mut all: BTreeMap<Registry, BTreeSet<String>> = BTreeMap::new();
    let pairs = listed(context, "EDGEPOST_TOKEN_SERVERS", "REGISTRY=HOST", |pair| {
        let (registry, host) = pair.split_once('=')?;
        Some((registry.parse().ok()?, host.to_ascii_lowercase()))
    });
    for (registry, host) in pairs {
        all.entry(registry).or_default().insert(host);
    }
    all
}

/// The registries that `EDGEPOST_PLAIN_HTTP` names.
fn always_plain_http(context: &Context) -> Vec<Registry> {
    listed(context, "EDGEPOST_PLAIN_HTTP", "REGISTRY", |name| name.parse().ok())
}

/// The values of a variable, parted by commas; those that are none of `form` are told.
fn listed<T>(
    context: &Context,
    variable: &str,
    form: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Vec<T> {
    let text = context.environment.get(variable).unwrap_or_default();
    let values = text.split(',').map(str::trim).filter(|value| !value.is_empty());
    let told = |value| {
        let found = read(value);
        if found.is_none() {
            let what = format!("{variable}: `{value}` is not {form}");
            context.output.note(format!("warning: {what}, so it counts for nothing"));
        }
        found
    };
    values.filter_map(told).collect()
}

/// Before this many days something that ends is worth a warning.
pub(super) const SOON: i64 = 14;

/// Says of the logins that nodes get when they end, where they are tokens that say so.
pub(super) fn warn_of_ends(logins: &[PullLogin], context: &Context) {
    for login in logins {
        let own = Login::new(login.username.clone(), login.token.clone());
        let Some(ends) = own.expires() else { continue };
        warn_of_end(&login.username, &login.registry, ends, context);
    }
}

/// Says when a login that nodes get ends: a warning in its last days, and once it has ended.
pub(super) fn warn_of_end(username: &str, registry: &Registry, ends: Timestamp, context: &Context) {
    let login = format!("the login of `{username}` for {registry}");
    context.output.note(match time_until(ends, context) {
        None => format!("warning: {login} has ended on {ends}: nodes cannot pull with it"),
        Some(left) => {
            let word = if days_until(ends, context) < SOON { "warning" } else { "note" };
            format!(
                "{word}: {login} ends on {ends}, in {left}: nodes cannot pull with it afterwards"
            )
        }
    });
}

/// Says of the repositories that the logins given to nodes can push to.
pub(super) fn warn_of_pushable(repositories: &BTreeSet<Repository>, context: &Context) {
    for repository in repositories {
        context.output.note(format!(
            "warning: the login that nodes get can push to {repository}: whoever takes over a node could put other images \
             there, which nodes would refuse. Give them one that can only pull (docker-registry's htpasswd knows none)"
        ));
    }
}

/// Whole days until then; less than none if it is past.
pub(super) fn days_until(then: Timestamp, context: &Context) -> i64 {
    then.duration_since(context.clock.now()).as_secs().div_euclid(24 * 3600)
}

/// How long it is until then, in the largest unit of which there are two; none if it is past.
pub(super) fn time_until(then: Timestamp, context: &Context) -> Option<String> {
    let seconds = then.duration_since(context.clock.now()).as_secs();
    let units = [(24 * 3600, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds")];
    let (length, name) = units.into_iter().find(|(length, _)| seconds >= 2 * length)?;
    Some(format!("{} {name}", seconds / length))
}

/// What nodes will have: nothing but the logins that they get, and the certificate authorities that the service
/// carries. Our own certificates stand for those that each node has.
pub(super) fn as_node(
    config: ClientConfig,
    logins: &[PullLogin],
    carried: &BTreeMap<Registry, String>,
) -> ClientConfig {
    let ca = carried.iter().map(|(registry, pem)| (registry.clone(), vec![pem.clone()])).collect();
    ClientConfig {
        ca,
        ca_for_all: Vec::new(),
        ca_of_certs_dirs: false,
        mirrors: BTreeMap::new(),
        ..with_logins(config, logins)
    }
}

/// The same with nothing but the given logins.
pub(super) fn with_logins(config: ClientConfig, logins: &[PullLogin]) -> ClientConfig {
    let logins = logins.iter().fold(Logins::none(), |all, it| {
        all.with(it.registry.clone(), Login::new(it.username.clone(), it.token.clone()))
    });
    ClientConfig { logins, ..config }
}
