//! What a container gets of its host beyond the default sandbox of its engine.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Component, Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::{Container, Deployment, mount::Bind};

/// Capabilities that Docker and Podman both give by default, so that adding them changes nothing.
const DEFAULT_CAPABILITIES: [&str; 11] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Log drivers that write on the host alone, with no credentials of the engine.
const LOCAL_LOG_DRIVERS: [&str; 6] = ["", "json-file", "journald", "local", "none", "syslog"];

/// Options of a bind mount that change nothing on the host.
const HARMLESS_OPTIONS: [&str; 6] = ["ro", "nocopy", "private", "rprivate", "slave", "rslave"];

/// Where engines listen. Who may speak to an engine is root on its host.
const ENGINE_SOCKETS: [&str; 5] = [
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/k3s/containerd/containerd.sock",
];

/// How a path of the host is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathAccess {
    /// The container can read it.
    ReadOnly,
    /// The container can read and change it.
    ReadWrite,
}

/// One kind of access to the host beyond the default sandbox, with its value. A service needs it, and the
/// node's owner allows it. Both are written in the same form, such as `host-path=/var/data:ro`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostAccess {
    /// `privileged`: everything that the host's root can do.
    Privileged,
    /// `network=host`: the host's network, and what listens on its loopback.
    Network,
    /// `pid=host`, or another container's: the processes outside the container.
    Pid(String),
    /// `ipc=host`, or another container's: shared memory outside the container.
    Ipc(String),
    /// `capability=NET_ADMIN`: a Linux capability that engines do not give by default. `ALL` is all of them.
    Capability(String),
    /// `device=/dev/video0`: a device, or a folder of devices.
    Device(PathBuf),
    /// `security-option=seccomp=unconfined`: an option of the kernel's security modules.
    SecurityOption(String),
    /// `sysctl=net.ipv4.ip_forward`: a kernel parameter, whatever its value.
    Sysctl(String),
    /// `log-driver=fluentd`: a log driver that sends elsewhere.
    LogDriver(String),
    /// `engine-socket`: the socket of a container engine.
    EngineSocket,
    /// `host-path=/var/data`, or `host-path=/var/data:ro`: a folder or file of the host, and what is in it.
    HostPath(PathBuf, PathAccess),
}

/// A string that names no access to the host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no access to the host: expected privileged, network=host, pid=host, ipc=host, capability=NAME, \
     device=/PATH, security-option=OPTION, sysctl=NAME, log-driver=NAME, engine-socket, host-path=/PATH or host-path=/PATH:ro"
)]
pub struct ParseHostAccessError(String);

/// A need of a deployment, and which field states it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccessNeed {
    /// What is needed.
    pub access: HostAccess,
    /// The field, such as `deployment.services.web.binds`.
    pub field: String,
}

impl HostAccess {
    /// Whether an owner who allows `self` has allowed `needed`. Paths are compared as they are: links must
    /// have been resolved.
    pub fn covers(&self, needed: &Self) -> bool {
        match (self, needed) {
            (Self::Capability(all), Self::Capability(_)) if all == "ALL" => true,
            (Self::Device(allowed), Self::Device(path)) => path.starts_with(allowed),
            (Self::HostPath(allowed, access), Self::HostPath(path, needed)) => {
                path.starts_with(allowed) && needed <= access
            }
            _ => self == needed,
        }
    }

    /// The path on the host, if it is about one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Device(path) | Self::HostPath(path, _) => Some(path),
            _ => None,
        }
    }

    /// The same access to another path.
    #[must_use]
    pub fn with_path(&self, path: PathBuf) -> Self {
        match self {
            Self::Device(_) => Self::Device(path),
            Self::HostPath(_, access) => Self::HostPath(path, *access),
            other => other.clone(),
        }
    }
}

impl fmt::Display for HostAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Privileged => f.write_str("privileged"),
            Self::Network => f.write_str("network=host"),
            Self::Pid(of) => write!(f, "pid={of}"),
            Self::Ipc(of) => write!(f, "ipc={of}"),
            Self::Capability(name) => write!(f, "capability={name}"),
            Self::Device(path) => write!(f, "device={}", path.display()),
            Self::SecurityOption(option) => write!(f, "security-option={option}"),
            Self::Sysctl(name) => write!(f, "sysctl={name}"),
            Self::LogDriver(name) => write!(f, "log-driver={name}"),
            Self::EngineSocket => f.write_str("engine-socket"),
            Self::HostPath(path, PathAccess::ReadWrite) => {
                write!(f, "host-path={}", path.display())
            }
            Self::HostPath(path, PathAccess::ReadOnly) => {
                write!(f, "host-path={}:ro", path.display())
            }
        }
    }
}

impl FromStr for HostAccess {
    type Err = ParseHostAccessError;

    fn from_str(text: &str) -> Result<Self, ParseHostAccessError> {
        let error = || ParseHostAccessError(text.to_owned());
        let (kind, value) = text.split_once('=').unwrap_or((text, ""));
        if text.chars().any(char::is_control) {
            return Err(error());
        }
        let absolute = |value: &str| {
            value.starts_with('/').then(|| below_run(&normalized(value))).ok_or_else(error)
        };
        let name = |value: &str| {
            if value.is_empty() { Err(error()) } else { Ok(value.to_owned()) }
        };
        Ok(match kind {
            "privileged" if text == kind => Self::Privileged,
            "engine-socket" if text == kind => Self::EngineSocket,
            "network" if value == "host" => Self::Network,
            "pid" => Self::Pid(name(value)?),
            "ipc" => Self::Ipc(name(value)?),
            "capability" => Self::Capability(capability(&name(value)?)),
            "device" => Self::Device(absolute(value)?),
            "security-option" => Self::SecurityOption(name(value)?),
            "sysctl" => Self::Sysctl(name(value)?),
            "log-driver" => Self::LogDriver(name(value)?),
            "host-path" => match value.strip_suffix(":ro") {
                Some(path) => Self::HostPath(absolute(path)?, PathAccess::ReadOnly),
                None => Self::HostPath(absolute(value)?, PathAccess::ReadWrite),
            },
            _ => return Err(error()),
        })
    }
}

impl TryFrom<String> for HostAccess {
    type Error = ParseHostAccessError;

    fn try_from(text: String) -> Result<Self, ParseHostAccessError> {
        text.parse()
    }
}

impl From<HostAccess> for String {
    fn from(it: HostAccess) -> Self {
        it.to_string()
    }
}

impl<I> Deployment<I> {
    /// Everything that its containers need of the host, each once for each field.
    ///
    /// Published ports, volumes of the engine, temporary file systems in memory, users and limits are part of
    /// the default sandbox.
    pub fn host_access(&self) -> BTreeSet<AccessNeed> {
        let of_container = |(name, container): (&String, &Container<I>)| {
            let name = name.clone();
            needs(container).into_iter().map(move |(field, access)| {
                let field = format!("deployment.services.{name}.{field}");
                AccessNeed { access, field }
            })
        };
        self.services.iter().flat_map(of_container).collect()
    }
}

/// What one container needs, with the field that states it. The pattern has no `..`, so that a new field
/// of a container does not compile before it is classified here.
fn needs<I>(container: &Container<I>) -> Vec<(&'static str, HostAccess)> {
    let Container {
        image: _,
        command: _,
        entrypoint: _,
        environment: _,
        cap_add,
        security_opt,
        privileged,
        network,
        pid,
        ipc,
        user: _,
        log_driver,
        devices,
        binds,
        tmpfs: _,
        ports: _,
        ephemeral_ports: _,
        specific_ports: _,
        max_memory_mb: _,
        max_cpus: _,
        sysctls,
        // The next four never reach an engine.
        secrets: _,
        variation_label: _,
        network_isolation: _,
        unknown: _,
    } = container;
    let mut needs = Vec::new();
    if *privileged == Some(true) {
        needs.push(("privileged", HostAccess::Privileged));
    }
    if network.as_deref() == Some("host") {
        needs.push(("network", HostAccess::Network));
    }
    let outside = |mode: &Option<String>| {
        mode.clone().filter(|it| !matches!(it.as_str(), "" | "private" | "none" | "shareable"))
    };
    needs.extend(outside(pid).map(|it| ("pid", HostAccess::Pid(it))));
    needs.extend(outside(ipc).map(|it| ("ipc", HostAccess::Ipc(it))));
    for name in cap_add.iter().flatten().map(|it| capability(it)) {
        if !DEFAULT_CAPABILITIES.contains(&name.as_str()) {
            needs.push(("cap_add", HostAccess::Capability(name)));
        }
    }
    for option in security_opt.iter().flatten() {
        if !matches!(option.as_str(), "no-new-privileges" | "no-new-privileges:true") {
            needs.push(("security_opt", HostAccess::SecurityOption(option.clone())));
        }
    }
    let driver = log_driver.as_deref().filter(|it| !LOCAL_LOG_DRIVERS.contains(it));
    needs.extend(driver.map(|it| ("log_driver", HostAccess::LogDriver(it.to_owned()))));
    for device in devices.iter().flatten() {
        needs.push(("devices", HostAccess::Device(normalized(device.host()))));
    }
    for bind in binds.iter().flatten().filter(|it| it.is_path()) {
        let path = normalized(bind.source());
        needs.extend(of_path(&path, access_of(bind), &[]).into_iter().map(|it| ("binds", it)));
    }
    for name in sysctls.iter().flat_map(|it| it.keys()) {
        needs.push(("sysctls", HostAccess::Sysctl(name.clone())));
    }
    needs
}

/// What it takes to mount a path of the host: the socket of an engine by itself, or the path, and the
/// socket besides if the path contains one. The path is normalised; `more` are further sockets of engines.
pub fn of_path(path: &Path, access: PathAccess, more: &[PathBuf]) -> Vec<HostAccess> {
    let path = below_run(path);
    if is_engine_socket(&path) || more.contains(&path) {
        return vec![HostAccess::EngineSocket];
    }
    let contains = contains_engine_socket(&path) || more.iter().any(|it| it.starts_with(&path));
    let mut needs = vec![HostAccess::HostPath(path, access)];
    if contains {
        needs.push(HostAccess::EngineSocket);
    }
    needs
}

/// `/var/run` is a link to `/run` on every system with an engine.
fn below_run(path: &Path) -> PathBuf {
    let rest = path.strip_prefix("/var/run");
    rest.map_or_else(|_| path.to_owned(), |rest| Path::new("/run").join(rest))
}

/// The parts of a path below `/run/user`, where engines of users listen; none elsewhere.
fn below_run_user(path: &Path) -> Option<Vec<&str>> {
    let rest = path.strip_prefix("/run/user").ok()?;
    rest.components().map(|it| it.as_os_str().to_str()).collect()
}

fn is_engine_socket(path: &Path) -> bool {
    let of_user = below_run_user(path);
    matches!(of_user.as_deref(), Some([_, "docker.sock"] | [_, "podman", "podman.sock"]))
        || ENGINE_SOCKETS.iter().any(|it| path == Path::new(it))
}

/// Whether an engine's socket can be found below `path`.
fn contains_engine_socket(path: &Path) -> bool {
    let of_user = below_run_user(path);
    matches!(of_user.as_deref(), Some([] | [_] | [_, "podman"]))
        || Path::new("/var/run").starts_with(path)
        || ENGINE_SOCKETS.iter().any(|it| Path::new(it).starts_with(path))
}

/// How a bind mount uses its source. Labels and owners (`z`, `Z`, `U`) are written on the host, and
/// `shared` brings mounts to it.
fn access_of(bind: &Bind) -> PathAccess {
    let is_harmless = bind.options().all(|it| HARMLESS_OPTIONS.contains(&it));
    if bind.is_read_only() && is_harmless { PathAccess::ReadOnly } else { PathAccess::ReadWrite }
}

/// A capability as the kernel names it, without `CAP_`.
fn capability(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    name.strip_prefix("CAP_").unwrap_or(&name).to_owned()
}

/// An absolute path without `.`, `..` and repeated slashes, as engines clean it before they resolve links.
pub fn normalized(path: &str) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What a container with these fields needs, as an owner would write it.
    fn needed(fields: &Value) -> Vec<String> {
        let mut container = json!({"image": "a.b/c:1"});
        container.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let deployment: Deployment<String> =
            serde_json::from_value(json!({"services": {"web": container}})).unwrap();
        deployment.host_access().iter().map(|it| it.access.to_string()).collect()
    }

    #[test]
    fn whatever_leaves_the_default_sandbox_is_a_need() {
        for (fields, expected) in [
            (json!({"privileged": true}), vec!["privileged"]),
            (json!({"network": "host"}), vec!["network=host"]),
            (json!({"pid": "host"}), vec!["pid=host"]),
            (json!({"pid": "container:x"}), vec!["pid=container:x"]),
            (json!({"ipc": "host"}), vec!["ipc=host"]),
            (json!({"cap_add": ["cap_net_admin", "CHOWN"]}), vec!["capability=NET_ADMIN"]),
            (json!({"cap_add": ["all"]}), vec!["capability=ALL"]),
            (json!({"devices": ["/dev/x/../sda:/dev/sda:r"]}), vec!["device=/dev/sda"]),
            (
                json!({"security_opt": ["seccomp=unconfined", "no-new-privileges"]}),
                vec!["security-option=seccomp=unconfined"],
            ),
            (
                json!({"security_opt": ["apparmor:unconfined", "label:disable"]}),
                vec!["security-option=apparmor:unconfined", "security-option=label:disable"],
            ),
            (json!({"sysctls": {"kernel.shmmax": "1"}}), vec!["sysctl=kernel.shmmax"]),
            (json!({"log_driver": "fluentd"}), vec!["log-driver=fluentd"]),
            (json!({"binds": ["/:/host:ro"]}), vec!["engine-socket", "host-path=/:ro"]),
            (json!({"binds": ["/srv//a/./../b:/b"]}), vec!["host-path=/srv/b"]),
            (json!({"binds": ["/srv/a:/a:ro,z"]}), vec!["host-path=/srv/a"]),
            (json!({"binds": ["/srv/a:/a:ro,rshared"]}), vec!["host-path=/srv/a"]),
            (json!({"binds": ["/var/run/docker.sock:/s:ro"]}), vec!["engine-socket"]),
            (json!({"binds": ["/run/user/1000/podman/podman.sock:/s"]}), vec!["engine-socket"]),
            (json!({"binds": ["/var/run/app:/a"]}), vec!["host-path=/run/app"]),
            (json!({"binds": ["/var:/v"]}), vec!["engine-socket", "host-path=/var"]),
            (
                json!({"binds": ["/run/user/1000:/u"]}),
                vec!["engine-socket", "host-path=/run/user/1000"],
            ),
        ] {
            assert_eq!(needed(&fields), expected, "{fields}");
        }
    }

    #[test]
    fn the_default_sandbox_needs_nothing() {
        let fields = json!({
            "command": ["a"], "entrypoint": ["b"], "environment": ["A=b"], "user": "0:0",
            "privileged": false, "network": "", "pid": "", "ipc": "private", "log_driver": "syslog",
            "binds": ["data:/data", "logs:/logs:ro"], "tmpfs": {"/t": "exec"}, "cap_add": ["NET_BIND_SERVICE"],
            "ports": [{"HostPort": "80:80"}], "ephemeral_ports": [{"port_and_protocol": "81"}],
            "specific_ports": [{"HostPort": "82"}], "max_memory_mb": 1, "max_cpus": 0.5,
            "secrets": {"key": {}}, "security_opt": ["no-new-privileges:true"],
            // No engine is given these: a deployment of ours has no such fields.
            "cgroup_parent": "/", "userns_mode": "host", "uts": "host", "volumes_from": ["x"],
            "cgroupns_mode": "host", "runtime": "other", "device_cgroup_rules": ["a *:* rwm"],
        });
        assert_eq!(needed(&fields), Vec::<String>::new());
    }

    #[test]
    fn an_allowance_reads_what_it_prints() {
        for text in [
            "privileged",
            "network=host",
            "pid=host",
            "ipc=host",
            "capability=NET_ADMIN",
            "device=/dev/video0",
            "security-option=seccomp=unconfined",
            "sysctl=net.core.somaxconn",
            "log-driver=fluentd",
            "engine-socket",
            "host-path=/var/data",
            "host-path=/var/data:ro",
        ] {
            assert_eq!(text.parse::<HostAccess>().unwrap().to_string(), text);
        }
        for text in
            ["", "all", "privileged=yes", "network=bridge", "host-path=data", "device=", "pid="]
        {
            assert!(text.parse::<HostAccess>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_allowance_covers_what_is_below_it_and_no_more() {
        let covers = |allowed: &str, needed: &str| {
            allowed.parse::<HostAccess>().unwrap().covers(&needed.parse().unwrap())
        };
        for (allowed, needed, expected) in [
            ("host-path=/var/data", "host-path=/var/data", true),
            ("host-path=/var/data", "host-path=/var/data/a:ro", true),
            ("host-path=/var/data:ro", "host-path=/var/data/a:ro", true),
            ("host-path=/var/data:ro", "host-path=/var/data/a", false),
            ("host-path=/var/data", "host-path=/var/database", false),
            ("host-path=/var/data", "host-path=/var", false),
            ("host-path=/var/data", "host-path=/var/data/../x", false),
            ("host-path=/dev", "device=/dev/sda", false),
            ("device=/dev/snd", "device=/dev/snd/a", true),
            ("capability=ALL", "capability=NET_ADMIN", true),
            ("capability=NET_ADMIN", "capability=ALL", false),
            ("privileged", "pid=host", false),
            ("host-path=/", "engine-socket", false),
        ] {
            assert_eq!(covers(allowed, needed), expected, "{allowed} {needed}");
        }
    }
}
