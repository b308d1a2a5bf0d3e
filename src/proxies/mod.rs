//! The proxies on the way to servers, as `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name them.

use std::{error::Error as StdError, fmt, io, sync::Arc};

use reqwest::{ClientBuilder, Proxy};
use url::Url;

mod exceptions;

use exceptions::Exceptions;

/// Which proxies are used. None of them ever is for a server on this machine.
#[derive(Debug, Clone, Default)]
pub enum Proxies {
    /// What the process's environment says: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, in
    /// capitals or not; `http://`, `https://`, `socks5://` and `socks5h://`, by which the proxy
    /// resolves the names.
    #[default]
    Environment,
    /// None.
    Direct,
}

/// The proxies for each scheme, and the hosts that are reached without one.
#[derive(Debug, Clone, Default)]
pub struct ProxyRules {
    http: Option<Arc<ProxyAddress>>,
    https: Option<Arc<ProxyAddress>>,
    exceptions: Exceptions,
}

/// Where a proxy is, and which variable says so.
#[derive(PartialEq, Eq)]
pub struct ProxyAddress {
    /// With its credentials, percent-encoded.
    url: Url,
    variable: &'static str,
}

impl fmt::Debug for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProxyAddress").field(&self.to_string()).finish()
    }
}

/// Scheme, host and port, without credentials.
impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.url.scheme(), self.url.host_str().unwrap_or_default())?;
        self.url.port().iter().try_for_each(|port| write!(f, ":{port}"))
    }
}

/// A variable names no usable proxy. Its value is not repeated, as it may hold credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{variable} names no usable proxy: expected http://[USER:PASSWORD@]HOST[:PORT], or https://, socks5:// or socks5h://"
)]
pub struct UnusableProxy {
    variable: &'static str,
}

impl Proxies {
    /// The rules.
    pub fn rules(&self) -> Result<ProxyRules, UnusableProxy> {
        match self {
            Self::Environment => ProxyRules::from_variables(variable),
            Self::Direct => Ok(ProxyRules::default()),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "every client of HTTP takes its proxies from here")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl ProxyRules {
    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, UnusableProxy> {
        // In a CGI program a request chooses HTTP_PROXY (CVE-2016-5385).
        if variable("REQUEST_METHOD").is_some() {
            return Ok(Self::default());
        }
        let first = |names: [&'static str; 2]| {
            let found = names.into_iter().find_map(|name| Some((name, variable(name)?)));
            found.filter(|(_, text)| !text.trim().is_empty())
        };
        let proxy = |names| {
            let found = first(names).or_else(|| first(["ALL_PROXY", "all_proxy"]));
            found.map(|(name, text)| ProxyAddress::read(name, text.trim())).transpose()
        };
        let except = first(["NO_PROXY", "no_proxy"]);
        Ok(Self {
            http: proxy(["HTTP_PROXY", "http_proxy"])?.map(Arc::new),
            https: proxy(["HTTPS_PROXY", "https_proxy"])?.map(Arc::new),
            exceptions: except.map(|(_, text)| Exceptions::read(&text)).unwrap_or_default(),
        })
    }

    /// The proxy on the way to `url`.
    pub fn on_the_way_to(&self, url: &Url) -> Option<&ProxyAddress> {
        let proxy = if url.scheme() == "http" { &self.http } else { &self.https };
        proxy.as_deref().filter(|_| !self.exceptions.cover(url))
    }

    /// The hosts of all of them.
    pub fn hosts(&self) -> impl Iterator<Item = String> {
        let all = [&self.http, &self.https].into_iter().flatten();
        all.filter_map(|it| it.url.host_str().map(str::to_owned))
    }

    /// Lets a client use them.
    pub fn apply(self, builder: ClientBuilder) -> ClientBuilder {
        builder
            .proxy(Proxy::custom(move |url| self.on_the_way_to(url).map(|proxy| proxy.url.clone())))
    }
}

impl ProxyAddress {
    /// Reads `[SCHEME://][USER:PASSWORD@]HOST[:PORT][/]`. The password may hold `@`, `#`, `/` and `?` as they are.
    fn read(variable: &'static str, text: &str) -> Result<Self, UnusableProxy> {
        let unusable = UnusableProxy { variable };
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        if !matches!(scheme, "http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h") {
            return Err(unusable);
        }
        let (login, host) = match rest.rsplit_once('@') {
            Some((login, host)) => (Some(login), host),
            None => (None, rest),
        };
        let host = host.split(['/', '?', '#']).next().unwrap_or_default();
        let mut url = Url::parse(&format!("{scheme}://{host}/")).map_err(|_| unusable)?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(unusable);
        }
        if let Some(login) = login {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            // What is percent-encoded stays so, and the rest of what has to be is encoded.
            url.set_username(user).map_err(|()| unusable)?;
            url.set_password(Some(password).filter(|it| !it.is_empty())).map_err(|()| unusable)?;
        }
        Ok(Self { url, variable })
    }
}

/// A connection failed that leads by a proxy. What the HTTP client says of it is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the proxy {proxy} (by {variable}) {problem}")]
pub struct ProxyFailure {
    proxy: String,
    variable: &'static str,
    problem: String,
}

impl ProxyFailure {
    /// What `error`, by which no connection was made, means where the way leads by `proxy`.
    pub fn new(proxy: &ProxyAddress, error: &(dyn StdError + 'static)) -> Self {
        let (proxy, variable) = (proxy.to_string(), proxy.variable);
        Self { proxy, variable, problem: problem(error) }
    }
}

/// The HTTP client tells only in words what a proxy answered.
fn problem(error: &(dyn StdError + 'static)) -> String {
    let causes = || std::iter::successors(Some(error), |&error| error.source());
    let says = |word: &str| causes().any(|cause| cause.to_string().contains(word));
    let by_system = causes().find_map(|cause| {
        let error = cause.downcast_ref::<io::Error>()?;
        error.raw_os_error().map(|_| error.kind())
    });
    if says("proxy authorization required") {
        "wants another login: http://USER:PASSWORD@HOST:PORT".to_owned()
    } else if says("dns error") {
        "cannot be reached: its name has no address".to_owned()
    } else if let Some(kind) = by_system {
        format!("cannot be reached: {kind}")
    } else if says("timed out") {
        "cannot be reached: timed out".to_owned()
    } else {
        "makes no connection to it".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(variables: &[(&str, &str)]) -> Result<ProxyRules, UnusableProxy> {
        ProxyRules::from_variables(|name| {
            let found = variables.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn way(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let rules = rules(variables).unwrap();
        rules.on_the_way_to(&url.parse().unwrap()).map(ToString::to_string)
    }

    #[test]
    fn variables_name_a_proxy_for_each_scheme() {
        let some = |text: &str| Some(text.to_owned());
        let both = [("HTTP_PROXY", "a:3128"), ("https_proxy", "https://b/")];
        assert_eq!(way(&both, "http://h/"), some("http://a:3128"));
        assert_eq!(way(&both, "https://h/"), some("https://b"));
        let all = [("ALL_PROXY", "socks5h://[::1]:1080"), ("HTTP_PROXY", "")];
        assert_eq!(way(&all, "https://h/"), some("socks5h://[::1]:1080"));
        assert_eq!(way(&[], "https://h/"), None);
        assert_eq!(way(&[("HTTP_PROXY", "a"), ("REQUEST_METHOD", "GET")], "http://h/"), None);
    }

    #[test]
    fn a_password_may_hold_what_an_address_may_not() {
        for (text, user, password) in [
            ("http://ann:p@ss#1/?x@proxy:3128", "ann", "p%40ss%231%2F%3Fx"),
            ("ann:p%40ss@proxy:3128", "ann", "p%40ss"),
            ("http://do:main:pw@proxy:3128/", "do", "main%3Apw"),
        ] {
            let address = ProxyAddress::read("HTTPS_PROXY", text).unwrap();
            assert_eq!((address.url.username(), address.url.password()), (user, Some(password)));
            assert_eq!(address.to_string(), "http://proxy:3128");
            assert!(!format!("{address:?}").contains("pass"));
        }
        for text in ["ftp://proxy", "http://", "http://a b", "http://ann:canary@"] {
            let error = ProxyAddress::read("HTTPS_PROXY", text).unwrap_err().to_string();
            assert!(error.starts_with("HTTPS_PROXY") && !error.contains("canary"), "{error}");
        }
    }
}
