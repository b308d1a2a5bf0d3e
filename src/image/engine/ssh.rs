//! An engine on another machine, through the user's own `ssh` and the `docker system dial-stdio`
//! there: keys, known hosts, jumps and everything else are as that ssh has them.

use std::{
    fmt, io,
    os::fd::OwnedFd,
    pin::Pin,
    process::Stdio,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::http::Uri;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker, errors::Error};
use futures_util::FutureExt as _;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use tokio::{
    io::AsyncReadExt as _,
    net::UnixStream,
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};
use tower_service::Service;
use url::Url;

/// How much of what ssh complains of is told, in bytes.
const MOST_COMPLAINT: u64 = 4096;
/// How long ssh may take to say why it ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A machine as Docker's command names it for ssh: `ssh://[user@]host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

impl FromStr for Destination {
    type Err = ();

    /// Nothing that is taken could be an option of ssh, or a word for a shell.
    fn from_str(text: &str) -> Result<Self, ()> {
        let url = Url::parse(text).map_err(|_| ())?;
        let host = url.host_str().ok_or(())?.trim_start_matches('[').trim_end_matches(']');
        let is_name = |text: &str, also: &[char]| {
            !text.is_empty()
                && !text.starts_with('-')
                && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(&c))
        };
        let user = Some(url.username()).filter(|user| !user.is_empty());
        let fits = url.scheme() == "ssh"
            && is_name(host, &['.', '-', '_', ':'])
            && user.is_none_or(|user| is_name(user, &['.', '-', '_']))
            && url.password().is_none()
            && matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none();
        let (user, host) = (user.map(str::to_owned), host.to_owned());
        if fits { Ok(Self { user, host, port: url.port() }) } else { Err(()) }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ssh://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// The engine there. One answer may take `seconds`.
pub(super) fn connect(destination: &Destination, seconds: u64) -> Result<Docker, Error> {
    let dialer = Dialer { destination: destination.clone(), latest: Arc::default() };
    let client = Client::builder(TokioExecutor::new()).build(dialer.clone());
    let ask = move |request: BollardRequest| {
        let (client, dialer) = (client.clone(), dialer.clone());
        async move {
            match client.request(request).await {
                Ok(answer) => Ok(answer),
                // That the connection ended says little; why ssh ended says all.
                Err(error) => Err(match dialer.last_words().await {
                    Some(complaint) => io::Error::other(format!("ssh: {complaint}")).into(),
                    None => Error::from(error),
                }),
            }
        }
    };
    // The name of the host is a formality: whoever is at the other end of ssh is the engine.
    Docker::connect_with_custom_transport(ask, Some("http://engine"), seconds, API_DEFAULT_VERSION)
}

/// Makes connections by running ssh.
#[derive(Debug, Clone)]
struct Dialer {
    destination: Destination,
    /// What the latest ssh complained of, once it has ended.
    latest: Arc<Mutex<Option<JoinHandle<String>>>>,
}

impl Dialer {
    fn dial(&self) -> io::Result<TokioIo<UnixStream>> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let child = self.command(theirs.into())?.spawn().map_err(|error| {
            io::Error::new(error.kind(), format!("the command ssh cannot be run: {error}"))
        })?;
        let end = tokio::spawn(complaint(child));
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
        Ok(TokioIo::new(UnixStream::from_std(ours)?))
    }

    /// As Docker's command calls it.
    fn command(&self, socket: OwnedFd) -> io::Result<Command> {
        let Destination { user, host, port } = &self.destination;
        let mut command = Command::new("ssh");
        command.args(["-T", "-o", "ConnectTimeout=30"]);
        if let Some(user) = user {
            command.args(["-l", user]);
        }
        if let Some(port) = port {
            command.args(["-p", &port.to_string()]);
        }
        command.args(["--", host, "docker", "system", "dial-stdio"]);
        command.stdin(Stdio::from(socket.try_clone()?)).stdout(Stdio::from(socket));
        command.stderr(Stdio::piped()).kill_on_drop(true);
        Ok(command)
    }

    async fn last_words(&self) -> Option<String> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let words = timeout(LAST_WORDS, latest).await.ok()?.ok()?;
        Some(words.trim().to_owned()).filter(|words| !words.is_empty())
    }
}

/// What an ssh says on its way to its end.
async fn complaint(mut child: Child) -> String {
    let mut said = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        // What cannot be read is not told.
        let _ = (&mut stderr).take(MOST_COMPLAINT).read_to_end(&mut said).await;
        let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    }
    let _ = child.wait().await;
    String::from_utf8_lossy(&said).into_owned()
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        std::future::ready(self.dial()).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_prints_what_it_reads() {
        for text in ["ssh://host", "ssh://me@host.example", "ssh://host:2222", "ssh://me@[::1]:22"]
        {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn nothing_becomes_an_option_or_a_word_for_a_shell() {
        for text in [
            "ssh://",
            "ssh://-oProxyCommand=x",
            "ssh://-l",
            "ssh://-me@host",
            "ssh://a;b",
            "ssh://a@b@c",
            "ssh://$(x)",
            "ssh://me:secret@host",
            "ssh://host/run/docker.sock",
            "ssh://host?x",
            "http://host",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
    }
}
