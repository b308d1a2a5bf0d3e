//! What helps after a registry's refusal, as far as its answer tells: one place, no I/O.
//!
//! Registries name few things by code, and many by a sentence; the sentences are looked at for the
//! words that stay the same over versions. What is not known is not guessed: there is no advice then.

use std::fmt;

use super::{Cloud, RegistryError, TlsProblem, auth::UNKNOWN_TOKEN_SERVER};
use crate::{
    image::ManifestError, proxies::ProxyFailure, registry::protocol::ErrorCode, types::Registry,
};

mod alien;

use alien::{Alien, alien};
pub(super) use alien::{alien_words, is_alien};

/// Whose registry it is, as far as its name or its answers show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// Azure Container Registry.
    Azure,
    /// IBM Cloud Container Registry.
    Ibm,
    /// The registry inside an OpenShift cluster.
    OpenShift,
    /// Docker Hub.
    DockerHub,
    /// Any other, or unknown.
    Other,
}

impl Host {
    /// By the registry's host name.
    pub fn of(registry: &Registry) -> Self {
        match Cloud::of(registry) {
            Some(Cloud::Azure) => Self::Azure,
            Some(Cloud::Ibm) => Self::Ibm,
            Some(Cloud::OpenShift) => Self::OpenShift,
            None if *registry == Registry::docker_hub()
                || registry.host().ends_with(".docker.io") =>
            {
                Self::DockerHub
            }
            None => Self::Other,
        }
    }
}

/// What a refusal means, and what helps; its text is what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// The image has layers that only their maker may serve.
    ForeignLayers,
    /// The login is missing or wrong, and the cloud has its own ways.
    LogIn(Cloud),
    /// There is no login for this registry, or a wrong one.
    LogInTo(Registry),
    /// There is no login for this registry, but for others.
    OtherLogin {
        /// The registry that the image's name means.
        registry: Registry,
        /// The first of those that there are logins for.
        others: Vec<String>,
    },
    /// Docker Hub refused, which a name without a host means.
    HubIsMeant(HubProblem),
    /// The registry names a token server on a host that is not known to be its own.
    NameTokenServer {
        /// The registry.
        registry: Registry,
        /// The token server's host.
        server: String,
    },
    /// A right that has just been given may not have arrived.
    NewGrant,
    /// Something before the registry takes no bodies of this length.
    BodyTooLong {
        /// What calls itself so in its answer: `nginx/1.18.0`.
        server: Option<String>,
    },
    /// The token allows to pull, and not to push.
    PullOnly,
    /// The route by which an OpenShift registry is reached from outside does not exist.
    NoRoute,
    /// The OpenShift project does not exist, or is not shown to this account.
    NoProject,
    /// The namespace does not exist at IBM.
    NoNamespace,
    /// There is no room left for this account.
    Quota,
    /// Too many requests of this account or address.
    TooManyRequests,
    /// The registry took blobs, and does not find them any more.
    LostBlobs,
    /// The registry does not know an upload that it has begun.
    LostUpload,
    /// A web server answered, and no registry.
    NotARegistry {
        /// What calls itself so in its answer.
        server: Option<String>,
    },
    /// The authority of a host that the registry points to, such as the storage of its blobs, is not trusted.
    StorageAuthority(Registry),
    /// The proxy on the way failed.
    Proxy,
    /// TLS was tried with a server that speaks plain HTTP.
    PlainHttp,
    /// Plain HTTP was tried with a server that speaks TLS.
    SpeaksTls,
    /// The image was made for registries of before 2016.
    Schema1,
    /// The registry deletes nothing.
    NoDeletion(Host),
    /// The registry deletes no tag by itself.
    NoTagDeletion,
}

/// What Docker Hub refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HubProblem {
    /// The login, or its absence.
    Login,
    /// What was asked for.
    Denied,
    /// There is no such image, or none that it shows.
    Absent,
}

impl fmt::Display for Advice {
    #[expect(clippy::too_many_lines, reason = "an arm for each advice, and nothing else")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::ForeignLayers => {
                "push those layers as ordinary ones, which gives the image a new digest: --include-foreign-layers. \
                 Or let the registry's operator set \
                 REGISTRY_VALIDATION_DISABLED=true there, or allow their makers' hosts by validation.manifests.urls.allow"
            }
            Self::LogIn(cloud) => cloud.login_advice(),
            Self::LogInTo(registry) => {
                return write!(
                    f,
                    "edgepost registry login {registry}, with an account that may do this"
                );
            }
            Self::OtherLogin { registry, others } => {
                let other = others.first().map_or("HOST", String::as_str);
                return write!(
                    f,
                    "log in to the registry that the image names (edgepost registry login {registry}), or name the \
                     image in the one that there is a login for: {other}/…"
                );
            }
            Self::HubIsMeant(_) => {
                "a name without a host, such as `hello:1.0`, is an image of Docker Hub (docker.io): write \
                 HOST[:PORT]/hello:1.0 for another registry. For Docker Hub itself: edgepost registry login docker.io"
            }
            Self::NameTokenServer { registry, server } => {
                return write!(
                    f,
                    "if that is the registry's own token server, and may see the login, name it: \
                     EDGEPOST_TOKEN_SERVERS={registry}={server}"
                );
            }
            Self::NewGrant => {
                "a new role or token takes up to ten minutes to arrive everywhere in Azure: log in again after that. \
                 Pushing needs AcrPush, pulling AcrPull"
            }
            Self::BodyTooLong { server } => {
                let server = server.as_deref().unwrap_or("a proxy before the registry");
                return write!(
                    f,
                    "{server} limits how long a request may be: send smaller pieces by --chunk-size 50MB, \
                     or let its operator raise the limit (nginx: client_max_body_size 0)"
                );
            }
            Self::PullOnly => {
                "a token that may only pull cannot push: log in with an account that may push"
            }
            Self::NoRoute => {
                "the cluster has no route to its registry, or the registry does not run; an administrator of the cluster makes the route: oc patch configs.imageregistry.operator.openshift.io/cluster \
                 --type merge -p '{\"spec\":{\"defaultRoute\":true}}'; `oc get route default-route -n openshift-image-registry` then shows the host"
            }
            Self::NoProject => {
                "the first part of the repository is the project: oc new-project PROJECT; the account needs \
                 system:image-builder there to push, and system:image-puller to pull"
            }
            Self::NoNamespace => {
                "the first part of the repository is the namespace, which must exist: ibmcloud cr namespace-add NAMESPACE; \
                 it belongs to one region: check the registry's host too. In it, IAM must give the service ID Reader to pull, Writer to push"
            }
            Self::Quota => {
                "make room: `edgepost registry gc` lists what no service needs; space is often counted minutes later. Or raise the quota"
            }
            Self::TooManyRequests => {
                "wait, then repeat the command: it goes on where it stopped. A login often has a higher limit than none"
            }
            Self::LostBlobs => {
                "repeat the command: what is missing is sent again. If it stays so, the replicas of the registry do not share \
                 their storage, or a clean-up runs at the same time"
            }
            Self::LostUpload => {
                "the registry does not know an upload that it has just begun: its replicas must share their storage and one \
                 secret for uploads (http.secret, REGISTRY_HTTP_SECRET), or the load balancer keep a client at one of them"
            }
            Self::NotARegistry { server } => {
                return match server {
                    Some(server) => write!(f, "{server} answered, and no registry: check host and port, and what is before it"),
                    None => f.write_str("a web server answered, and no registry: check host and port, and what is before it"),
                };
            }
            Self::StorageAuthority(host) => {
                return write!(
                    f,
                    "the registry keeps its content at {host}: put the certificate of that host's authority into \
                     certs.d/{host}/ca.crt, and give it to nodes by --storage-ca {host}=FILE"
                );
            }
            Self::Proxy => {
                "start the proxy, correct HTTPS_PROXY or HTTP_PROXY, or leave it out for this host: NO_PROXY=HOST[:PORT]"
            }
            Self::PlainHttp => {
                "this server speaks plain HTTP: if whoever is on the way may see and change everything, say --plain-http HOST:PORT"
            }
            Self::SpeaksTls => {
                "this server speaks TLS: leave --plain-http out; one on this machine needs its CA in certs.d/HOST:PORT/ca.crt, \
                 or by --registry-ca"
            }
            Self::Schema1 => {
                "the image is of schema 1, which is given up: pull and push it once with Docker 20 or 23, or build it again"
            }
            Self::NoDeletion(Host::Azure) => {
                "the account needs the role AcrDelete, and the image no lock: az acr repository show --image … shows deleteEnabled"
            }
            Self::NoDeletion(Host::OpenShift) => {
                "an image goes with its stream's tag: oc delete istag IMAGE:TAG; then oc adm prune images"
            }
            Self::NoDeletion(Host::DockerHub) => "Docker Hub deletes on its web pages only",
            Self::NoDeletion(_) => {
                "its operator allows it by REGISTRY_STORAGE_DELETE_ENABLED=true, or storage.delete.enabled in its configuration"
            }
            Self::NoTagDeletion => {
                "registries of Distribution 2 delete manifests by digest only, and with one go all tags that name it"
            }
        };
        f.write_str(text)
    }
}

/// What helps after `error`, if its answer is one that we know.
pub fn advice(error: &RegistryError) -> Option<Advice> {
    use RegistryError as E;
    let host = error.place().map_or(Host::Other, |place| Host::of(place.registry()));
    match error {
        E::ForeignLayers { .. } => Some(Advice::ForeignLayers),
        E::NoDeletion { .. } => Some(Advice::NoDeletion(host)),
        E::NoTagDeletion { .. } => Some(Advice::NoTagDeletion),
        E::Unauthorized { registry, others, .. } => Some(log_in(registry, others)),
        E::UnsafeTarget { registry, target, why } if *why == UNKNOWN_TOKEN_SERVER => {
            let host = target.strip_prefix("https://")?;
            let server = host.split(':').next().unwrap_or(host).to_owned();
            Some(Advice::NameTokenServer { registry: registry.clone(), server })
        }
        E::Denied { message, .. } => denied(message, host)
            .or_else(|| is_hub(host).then_some(Advice::HubIsMeant(HubProblem::Denied))),
        E::NotFound { message, .. } => not_found(message, host)
            .or_else(|| is_hub(host).then_some(Advice::HubIsMeant(HubProblem::Absent))),
        E::Refused { status, code, message, .. } => refused(*status, code.as_ref(), message, host),
        E::Target { target, source, .. } => match source.as_ref() {
            E::Tls { problem: TlsProblem::UnknownIssuer, .. } => {
                Some(Advice::StorageAuthority(target.clone()))
            }
            source => advice(source),
        },
        E::Tls { problem: TlsProblem::NotTls, .. } => Some(Advice::PlainHttp),
        E::Unreachable { source, .. } if source.is::<ProxyFailure>() => Some(Advice::Proxy),
        E::Unreachable { source, .. } if speaks_tls(source.as_ref()) => Some(Advice::SpeaksTls),
        E::Manifest { source: ManifestError::UnknownMediaType { media_type, .. }, .. } => {
            media_type.contains("distribution.manifest.v1").then_some(Advice::Schema1)
        }
        E::Manifest { source: ManifestError::Ambiguous { contradiction, .. }, .. } => {
            contradiction.starts_with("its schemaVersion").then_some(Advice::Schema1)
        }
        E::Protocol { why, .. } => alien(why).map(|it| Advice::NotARegistry { server: it.server }),
        _ => None,
    }
}

/// What helps where a login is missing or wrong.
fn log_in(registry: &Registry, others: &[String]) -> Advice {
    if let Some(cloud) = Cloud::of(registry) {
        Advice::LogIn(cloud)
    } else if is_hub(Host::of(registry)) {
        Advice::HubIsMeant(HubProblem::Login)
    } else if others.is_empty() {
        Advice::LogInTo(registry.clone())
    } else {
        Advice::OtherLogin { registry: registry.clone(), others: others.to_vec() }
    }
}

fn is_hub(host: Host) -> bool {
    host == Host::DockerHub
}

/// Whether `message` has one of `words`, in whatever case.
fn speaks_of(message: &str, words: &[&str]) -> bool {
    let message = message.to_lowercase();
    words.iter().any(|word| message.contains(word))
}

/// The login is good, and does not allow this.
fn denied(message: &str, host: Host) -> Option<Advice> {
    if let Some(Alien { server }) = alien(message) {
        return Some(Advice::NotARegistry { server });
    }
    if speaks_of(message, &["quota", "storage limit", "size limit"]) {
        return Some(Advice::Quota);
    }
    match host {
        Host::Azure => Some(Advice::NewGrant),
        Host::Ibm => Some(Advice::NoNamespace),
        Host::OpenShift => Some(Advice::NoProject),
        _ if speaks_of(message, &["not `push`", "action push", "insufficient_scope"]) => {
            Some(Advice::PullOnly)
        }
        _ => None,
    }
}

fn not_found(message: &str, host: Host) -> Option<Advice> {
    if let Some(Alien { server }) = alien(message) {
        return Some(Advice::NotARegistry { server });
    }
    match host {
        Host::Ibm => Some(Advice::NoNamespace),
        Host::OpenShift => Some(Advice::NoProject),
        _ if speaks_of(message, &["namespaces \""]) => Some(Advice::NoProject),
        _ => None,
    }
}

/// Any other refusal, by its status first: that is what a proxy sets too.
fn refused(status: u16, code: Option<&ErrorCode>, message: &str, host: Host) -> Option<Advice> {
    let alien = alien(message);
    match (status, code) {
        (413, _) => Some(Advice::BodyTooLong { server: alien.and_then(|it| it.server) }),
        (429, _) | (_, Some(ErrorCode::TooManyRequests)) => Some(Advice::TooManyRequests),
        (507, _) => Some(Advice::Quota),
        _ if speaks_of(message, &["quota", "storage limit"]) => Some(Advice::Quota),
        (_, Some(ErrorCode::ManifestBlobUnknown | ErrorCode::BlobUnknown)) => {
            Some(Advice::LostBlobs)
        }
        (_, Some(ErrorCode::BlobUploadUnknown | ErrorCode::BlobUploadInvalid)) => {
            Some(Advice::LostUpload)
        }
        (400, _) if speaks_of(message, &["request to an https server", "sent to https port"]) => {
            Some(Advice::SpeaksTls)
        }
        // What OpenShift's router says of a host that no route is for.
        (503, None) if speaks_of(message, &["application is not available"]) => {
            Some(Advice::NoRoute)
        }
        // The same to a HEAD, whose answer has no page.
        (503, None) if host == Host::OpenShift && alien.is_some() => Some(Advice::NoRoute),
        (_, None) => alien.map(|it| Advice::NotARegistry { server: it.server }),
        _ => None,
    }
}

/// Whether the other side, spoken to in plain, answered in TLS: the HTTP client tells it only in words.
fn speaks_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    causes.any(|cause| cause.to_string().contains("invalid HTTP version parsed"))
}

#[cfg(test)]
mod tests;
