//! The proxies on the way to a registry.

use std::{collections::BTreeSet, fmt};

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{ClientBuilder, NoProxy, Proxy};
use url::Url;

use crate::types::Secret;

/// Which proxies are used. None of them ever is for a registry on this machine.
#[derive(Debug, Clone, Default)]
pub enum Proxies {
    /// What the process's environment says: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, in
    /// capitals or not; `http://`, `https://`, `socks5://` and `socks5h://`, by which the proxy
    /// resolves the names.
    #[default]
    Environment,
    /// None.
    Direct,
    /// These.
    Given {
        /// The proxy for everything, such as `socks5h://user:password@host:1080`.
        all: Secret,
        /// Hosts that are reached without it, as in `NO_PROXY`.
        except: String,
    },
}

impl Proxies {
    fn matcher(&self) -> Option<Matcher> {
        match self {
            Self::Environment => Some(Matcher::from_system()),
            Self::Direct => None,
            Self::Given { all, except } => {
                let builder = Matcher::builder().all(all.expose().to_owned());
                Some(builder.no(except.clone()).build())
            }
        }
    }

    /// Lets a client use them.
    pub(super) fn of(&self, builder: ClientBuilder) -> Result<ClientBuilder, UnusableProxy> {
        Ok(match self {
            Self::Environment => builder,
            Self::Direct => builder.no_proxy(),
            Self::Given { all, except } => {
                // The library's own words may quote the address, and with it its credentials.
                let proxy = Proxy::all(all.expose()).map_err(|_| UnusableProxy)?;
                builder.proxy(proxy.no_proxy(NoProxy::from_string(except)))
            }
        })
    }

    /// The proxy on the way to `url`, without its credentials.
    pub(super) fn on_the_way_to(&self, url: &Url) -> Option<String> {
        let intercepted = self.matcher()?.intercept(&url.as_str().parse().ok()?)?;
        let uri = intercepted.uri();
        let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{}://{}{port}", uri.scheme_str()?, uri.host()?))
    }

    /// The hosts of all of them.
    pub(super) fn hosts(&self) -> BTreeSet<String> {
        let Some(matcher) = self.matcher() else { return BTreeSet::new() };
        ["http://proxied.invalid/", "https://proxied.invalid/"]
            .into_iter()
            .filter_map(|url| {
                matcher.intercept(&url.parse().ok()?)?.uri().host().map(str::to_owned)
            })
            .collect()
    }
}

/// An address that is none of a proxy. It is not repeated, as it may hold credentials.
#[derive(Debug)]
pub(super) struct UnusableProxy;

impl fmt::Display for UnusableProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address of a proxy cannot be read")
    }
}

impl std::error::Error for UnusableProxy {}
