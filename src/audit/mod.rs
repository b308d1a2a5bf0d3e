//! One line for each security event: who did what, from where, to what.
//!
//! Lines have the target `audit` and the fields `event`, `actor`, `address` and `object`. Of a refusal that
//! one address repeats, a few lines are written; the rest is counted in one line a minute. Names are
//! escaped and cut; no line holds a secret. Behind a reverse proxy the address is the proxy's.

mod watch;

use std::{
    borrow::Cow,
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

pub use watch::{AuditTrail, address, watch};

use crate::types::Subnet;

/// The target of all audit lines, for filters of the log.
pub const TARGET: &str = "audit";
/// Refusals of one kind from one address that are written before the rest of a window is counted.
const WRITTEN: u64 = 5;
/// How long refusals are counted.
const WINDOW: Duration = Duration::from_mins(1);
/// The most addresses that are counted apart in a window; all others are counted together.
const MOST: usize = 256;
/// The longest name of an actor or object in a line, in characters.
const LONGEST: usize = 160;

/// What happened. Each has a stable name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuditEvent {
    /// A name does not exist, or its secret is wrong.
    LoginRefused,
    /// Too many failed logins: the secret was not looked at.
    LoginThrottled,
    /// A caller who is logged in may not do this.
    RightRefused,
    /// A document is not signed as the organization's trust asks for.
    SignatureRefused,
    /// The password of a user was set or cleared.
    PasswordChanged,
    /// The token of a node was set.
    TokenChanged,
    /// A service, pattern or policy was deleted.
    DocumentDeleted,
    /// A signed document was withdrawn by a signed statement.
    DocumentWithdrawn,
    /// An organization was deleted, with all that is in it.
    OrgDeleted,
    /// A user was deleted, with all that the user owned.
    UserDeleted,
    /// A node was deleted.
    NodeDeleted,
    /// A part of something was deleted: a key, an API key, a login of a service, an agreement.
    PartDeleted,
    /// A manifest or a tag was deleted from the registry.
    ManifestDeleted,
    /// A blob was deleted from the registry.
    BlobDeleted,
}

impl AuditEvent {
    /// The stable name, as it is in the field `event`.
    pub fn name(self) -> &'static str {
        match self {
            Self::LoginRefused => "login.refused",
            Self::LoginThrottled => "login.throttled",
            Self::RightRefused => "right.refused",
            Self::SignatureRefused => "signature.refused",
            Self::PasswordChanged => "password.changed",
            Self::TokenChanged => "token.changed",
            Self::DocumentDeleted => "document.deleted",
            Self::DocumentWithdrawn => "document.withdrawn",
            Self::OrgDeleted => "org.deleted",
            Self::UserDeleted => "user.deleted",
            Self::NodeDeleted => "node.deleted",
            Self::PartDeleted => "part.deleted",
            Self::ManifestDeleted => "manifest.deleted",
            Self::BlobDeleted => "blob.deleted",
        }
    }

    /// Whether it changed nothing: only such events are counted instead of written.
    pub fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::LoginRefused | Self::LoginThrottled | Self::RightRefused | Self::SignatureRefused
        )
    }
}

/// One event, with what it is about.
#[derive(Debug, Clone, Copy)]
pub struct AuditEntry<'a> {
    /// What happened.
    pub event: AuditEvent,
    /// Who did it: `org/name`; for a refused login, who it claimed to be.
    pub actor: &'a str,
    /// Where the connection came from.
    pub address: Option<IpAddr>,
    /// What it was done to.
    pub object: &'a str,
}

/// Writes audit lines, and counts refusals that repeat.
#[derive(Debug)]
pub struct AuditLog(Mutex<Counts>);

#[derive(Debug)]
struct Counts {
    since: Instant,
    refusals: HashMap<(AuditEvent, Option<Subnet>), u64>,
}

impl Default for AuditLog {
    fn default() -> Self {
        Self(Mutex::new(Counts { since: Instant::now(), refusals: HashMap::new() }))
    }
}

impl AuditLog {
    /// Writes the line of an event, or counts it.
    pub fn record(&self, entry: &AuditEntry<'_>) {
        self.write_counted(Instant::now());
        if entry.event.is_refusal() && !self.counts().admit(entry) {
            return;
        }
        let (event, actor, object) =
            (entry.event.name(), printable(entry.actor), printable(entry.object));
        let address = entry.address.map(|it| it.to_canonical().to_string());
        let address = address.as_deref().unwrap_or("unknown");
        tracing::info!(target: TARGET, event, %actor, %address, %object);
    }

    /// Writes what was counted, if the window is over. Servers call this now and then, so that the count
    /// of a flood that has ended is written too.
    pub fn write_counted(&self, now: Instant) {
        let counted = {
            let mut counts = self.counts();
            if now.saturating_duration_since(counts.since) < WINDOW {
                return;
            }
            counts.take(now)
        };
        write(counted);
    }

    /// Writes what was counted so far: at the end of a server.
    pub fn close(&self) {
        let counted = self.counts().take(Instant::now());
        write(counted);
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Counts a refusal; whether it is among the first of its kind and address.
    fn admit(&mut self, entry: &AuditEntry<'_>) -> bool {
        let key = (entry.event, entry.address.map(Subnet::of));
        let is_new = !self.refusals.contains_key(&key);
        let key = if is_new && self.refusals.len() >= MOST { (entry.event, None) } else { key };
        let count = self.refusals.entry(key).or_default();
        *count += 1;
        *count <= WRITTEN
    }

    /// Begins the next window.
    fn take(&mut self, now: Instant) -> Vec<Counted> {
        let seconds = now.saturating_duration_since(self.since).as_secs();
        self.since = now;
        let counted = self.refusals.drain().filter(|(_, count)| *count > WRITTEN);
        let counted = counted.map(|((event, subnet), count)| Counted {
            event,
            subnet,
            repeated: count - WRITTEN,
            seconds,
        });
        counted.collect()
    }
}

/// Refusals that were counted in a window, and not written.
#[derive(Debug)]
struct Counted {
    event: AuditEvent,
    subnet: Option<Subnet>,
    repeated: u64,
    seconds: u64,
}

fn write(counted: Vec<Counted>) {
    for Counted { event, subnet, repeated, seconds } in counted {
        let event = event.name();
        let address = subnet.map_or_else(|| "other addresses".to_owned(), |it| it.to_string());
        tracing::info!(target: TARGET, event, %address, repeated, seconds, "repeated");
    }
}

/// A name in printable ASCII, cut at [`LONGEST`] characters. An empty one is `-`.
fn printable(text: &str) -> Cow<'_, str> {
    if text.is_empty() {
        return Cow::Borrowed("-");
    }
    if text.len() <= LONGEST && text.bytes().all(|it| it.is_ascii_graphic()) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().flat_map(|it| match it {
        ' ' => "\\x20".chars().collect::<Vec<_>>(),
        it if it.is_ascii_graphic() => vec![it],
        it => it.escape_default().collect(),
    });
    let mut printable: String = escaped.take(LONGEST + 1).collect();
    if printable.len() > LONGEST {
        printable.truncate(LONGEST);
        printable.push_str("...");
    }
    Cow::Owned(printable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(event: AuditEvent, last: u8) -> AuditEntry<'static> {
        let address = Some(IpAddr::from([10, 0, 0, last]));
        AuditEntry { event, actor: "acme/ann", address, object: "orgs/acme" }
    }

    #[test]
    fn refusals_of_one_address_are_written_then_counted() {
        let log = AuditLog::default();
        let mut counts = log.counts();
        let refused = entry(AuditEvent::LoginRefused, 1);
        let written = (0..10_000).filter(|_| counts.admit(&refused)).count() as u64;
        assert_eq!(written, WRITTEN);
        assert!(counts.admit(&entry(AuditEvent::LoginRefused, 2)), "another address");
        assert!(counts.admit(&entry(AuditEvent::RightRefused, 1)), "another event");
        let counted = counts.take(Instant::now());
        assert_eq!(counted.len(), 1);
        assert_eq!(
            (counted[0].event, counted[0].repeated),
            (AuditEvent::LoginRefused, 10_000 - WRITTEN)
        );
        assert!(counts.admit(&refused), "a new window");
    }

    #[test]
    fn flood_of_addresses_is_counted_within_bounds() {
        let log = AuditLog::default();
        let mut counts = log.counts();
        let written = (0..100_000_u32).filter(|number| {
            let address = Some(IpAddr::from(number.to_be_bytes()));
            counts.admit(&AuditEntry { address, ..entry(AuditEvent::LoginRefused, 1) })
        });
        assert!(written.count() <= MOST + 8);
        assert!(counts.refusals.len() <= MOST + 1);
        let others = counts.take(Instant::now());
        assert!(others.iter().any(|it| it.subnet.is_none() && it.repeated > 90_000));
    }

    #[test]
    fn names_in_a_line_are_printable_and_bounded() {
        assert_eq!(printable("acme/ann"), "acme/ann");
        assert_eq!(printable(""), "-");
        let hostile = printable("a\nevent=\"x\" \u{1b}[31m\u{202e}é");
        assert_eq!(hostile, "a\\nevent=\"x\"\\x20\\u{1b}[31m\\u{202e}\\u{e9}");
        assert_eq!(printable(&"x".repeat(10_000)).len(), LONGEST + 3);
        assert!(printable(&"\u{202e}".repeat(10_000)).len() <= LONGEST + 3);
    }
}
