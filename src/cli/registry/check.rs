//! `edgepost registry check`: whether a registry can be used, and as whom; step by step.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::{
    cli::{
        Context, code,
        error::CliError,
        output::Output,
        registries::{SOON, days_until, push_config, time_until},
    },
    registry::client::{
        Challenge, FoundLogin, Login, LoginOrigin, Place, RegistryClient,
        check::{addresses_of, listens_at},
    },
    types::{Registry, Repository, image_ref::ParseImageError},
};

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Say whether a registry can be reached, and takes our login
///
/// Each step is told: the name, the connection, the certificates, how the registry asks for a login, which
/// one it gets and from where, and what that login may do. Nothing is changed there.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The registry, or a repository in it: HOST[:PORT][/REPOSITORY]
    #[arg(value_name = "HOST[/REPO]", value_parser = place)]
    place: Place,
    /// Ask for the right to push as well: an upload is begun, and given up
    #[arg(long)]
    push: bool,
    /// Speak plain HTTP with it: whoever is on the way sees and changes everything
    #[arg(long)]
    plain_http: bool,
}

/// Reads `HOST[:PORT][/REPOSITORY]`; a tag or digest may follow, and says nothing here.
fn place(text: &str) -> Result<Place, ParseImageError> {
    let Some((host, path)) = text.split_once('/') else {
        return text.parse().map(Place::Registry);
    };
    let path = path.split(['@', ':']).next().unwrap_or(path);
    Repository::new(host.parse()?, path).map(Place::Repository)
}

/// The steps that held so far.
struct Steps<'a> {
    context: &'a Context,
    told: Vec<Value>,
}

impl Steps<'_> {
    fn output(&self) -> Output {
        self.context.output
    }

    /// A step that held, told at once; for machines at the end.
    fn held(&mut self, step: &str, text: &str, more: &Value) {
        self.output().line(&format!("{step:<10}{text}"));
        let mut told = json!({"step": step, "text": text});
        if let (Some(told), Some(more)) = (told.as_object_mut(), more.as_object()) {
            told.extend(more.clone());
        }
        self.told.push(told);
    }

    fn warn(&self, text: &str) {
        self.output().note(format!("warning: {text}"));
    }
}

impl CheckArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        if self.push && matches!(self.place, Place::Registry(_)) {
            return Err(CliError::new(code::USAGE, "--push needs a repository")
                .help("name one: HOST/REPOSITORY"));
        }
        let mut steps = Steps { context, told: Vec::new() };
        let outcome = self.take(&mut steps).await;
        let registry = self.place.registry();
        let mut object = json!({"ok": outcome.is_ok(), "registry": registry, "steps": steps.told});
        match outcome {
            Ok(()) => {
                context.output.result(&object, String::new);
                Ok(())
            }
            Err(error) if context.output.is_json() => {
                object["error"] = error.to_json()["error"].take();
                context.output.result(&object, String::new);
                Err(error.told_as_json())
            }
            Err(error) => Err(error),
        }
    }

    async fn take(&self, steps: &mut Steps<'_>) -> Result<(), CliError> {
        let registry = self.place.registry();
        let plain = self.plain_http.then(|| registry.clone());
        let client = RegistryClient::new(push_config(steps.context, plain.as_slice()));
        connect(&client, registry, steps).await?;
        let challenge = client.challenge_of(registry).await?;
        tell_challenge(&challenge, steps);
        let found = client.login_for(&self.place).await?;
        tell_login(found.as_ref(), steps);
        match &self.place {
            Place::Registry(registry) => {
                client.ping(registry).await?;
                steps.held("access", "the registry lets us in", &json!({}));
            }
            Place::Repository(repository) => {
                let text = if client.may_pull(repository).await? {
                    format!("{repository} can be pulled from")
                } else {
                    format!("{repository} is not there, or is not shown to this login")
                };
                steps.held("pull", &text, &json!({}));
                if self.push {
                    client.may_push(repository).await?;
                    let text = format!("{repository} can be pushed to");
                    steps.held("push", &text, &json!({}));
                }
            }
        }
        Ok(())
    }
}

/// Name, connection and certificates, or the proxy that sees to them.
async fn connect(
    client: &RegistryClient,
    registry: &Registry,
    steps: &mut Steps<'_>,
) -> Result<(), CliError> {
    let way = client.way_to(registry)?;
    if let Some(proxy) = &way.proxy {
        steps.held("proxy", proxy, &json!({"proxy": proxy}));
        return Ok(());
    }
    let (host, port) = (way.host.as_str(), way.port);
    let away = |what: String, error: &std::io::Error| {
        CliError::new(code::REGISTRY_AWAY, what).at(registry).because(error)
    };
    let addresses = addresses_of(host, port)
        .await
        .map_err(|error| away(format!("{host} has no address"), &error).help("check its name"))?;
    let told: Vec<_> = addresses.iter().map(|it| it.ip().to_string()).collect();
    steps.held("name", &format!("{host} is {}", told.join(", ")), &json!({"addresses": told}));

    let listening = listens_at(&addresses, PATIENCE).await;
    let (address, time) = listening.map_err(|error| {
        away(format!("nothing answers at {host}, port {port}"), &error).help(
            "is the registry up, and is there a firewall, or a proxy to be named by HTTPS_PROXY?",
        )
    })?;
    let milliseconds = time.as_millis();
    let text = format!("{address} in {milliseconds} ms");
    steps.held("connect", &text, &json!({"milliseconds": milliseconds}));

    if !way.encrypted {
        steps.held("tls", "none: plain HTTP", &json!({"encrypted": false}));
        return Ok(());
    }
    // What it shows is told even if it is not trusted; that it is, is found by the first request.
    let chain = client.certificates_of(registry).await?;
    for (at, certificate) in chain.iter().enumerate() {
        let days = days_until(certificate.ends, steps.context);
        let own = if at == 0 { "" } else { "by " };
        let name = if certificate.subject.is_empty() { "(no name)" } else { &certificate.subject };
        let end = match time_until(certificate.ends, steps.context) {
            Some(left) => format!("ends in {left}"),
            None => format!("ended on {}", certificate.ends),
        };
        let text = format!("{own}{name}, {end}, SHA-256 {}", certificate.sha256);
        let more = json!({
            "subject": certificate.subject, "issuer": certificate.issuer, "sha256": certificate.sha256,
            "ends": certificate.ends.to_string(), "daysLeft": days,
        });
        steps.held("tls", &text, &more);
        if days < SOON {
            steps.warn(&format!("the certificate of `{name}` {end}"));
        }
    }
    Ok(())
}

fn tell_challenge(challenge: &Challenge, steps: &mut Steps<'_>) {
    match challenge {
        Challenge::Open => steps.held("asks", "for no login", &json!({"scheme": null})),
        Challenge::Basic => {
            steps.held("asks", "for name and password (Basic)", &json!({"scheme": "Basic"}));
        }
        Challenge::Bearer { realm, service } => {
            let more = json!({"scheme": "Bearer", "realm": realm, "service": service});
            steps.held("asks", &format!("for a token of {realm}"), &more);
        }
    }
}

/// Which login is used, without what is secret in it.
fn tell_login(found: Option<&FoundLogin>, steps: &mut Steps<'_>) {
    let Some(FoundLogin { login, origin }) = found else {
        steps.held("login", "none, so as nobody", &json!({"username": null}));
        return;
    };
    let kind = match login {
        Login::Password { .. } => "password",
        Login::IdentityToken { .. } => "identity token",
        Login::RegistryToken(_) => "registry token",
    };
    let (file, key) = match origin {
        LoginOrigin::File { path, key } | LoginOrigin::Helper { path, key, .. } => {
            (Some(path.display().to_string()), Some(key))
        }
        LoginOrigin::Given => (None, None),
    };
    let ends = login.expires();
    let days = ends.map(|ends| days_until(ends, steps.context));
    let left = ends.map(|ends| time_until(ends, steps.context));
    let username = login.username();
    let life = match &left {
        Some(Some(left)) => format!(", a token that ends in {left}"),
        Some(None) => ", a token that has ended".to_owned(),
        None => String::new(),
    };
    let more = json!({
        "username": username, "kind": kind, "file": file, "key": key,
        "expires": ends.map(|it| it.to_string()), "daysLeft": days,
    });
    steps.held("login", &format!("{username}, {kind} ****, {origin}{life}"), &more);
    match left {
        Some(None) => steps.warn("the token of this login has ended, by its own words"),
        Some(Some(left)) if days.is_some_and(|days| days < SOON) => {
            steps.warn(&format!("the token of this login ends in {left}"));
        }
        _ => (),
    }
}
