//! What a publisher says about one document, and what it says it about.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    sign::{Envelope, PayloadType, SigningKey, envelope::MAX_ENVELOPE},
    trust::strict,
    types::{Arch, DocumentKey, DocumentKind, JsonProblem, OrgId, Subject, Version},
};

/// Whether a document is meant to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is.
    Active,
    /// Its publisher has taken it back; the note that it has done so stays for ever.
    Withdrawn,
}

/// What every signed document says about itself: everything that tells it from another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Header {
    /// The organization it belongs to.
    pub org: OrgId,
    /// What it is about.
    pub subject: Subject,
    /// The epoch of the rule that lets its publisher sign it.
    pub epoch: u64,
    /// Counts the states of this document within the epoch, from 1.
    pub seq: u64,
    /// When it was signed.
    pub issued: Timestamp,
    /// Whether it is meant to be used.
    pub state: State,
}

impl Header {
    /// The name under which this document is asked for and tracked.
    pub fn key(&self) -> DocumentKey {
        self.subject.key()
    }

    /// The number of the state that comes after this one, under a rule of `epoch`: in a later epoch
    /// they begin anew. `None` where the numbers of this epoch are used up.
    pub fn next_seq(&self, epoch: u64) -> Option<u64> {
        if epoch > self.epoch {
            return Some(1);
        }
        self.seq.checked_add(1).filter(|it| *it < strict::MAX_NUMBER)
    }
}

/// The signed JSON: a header and what is said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement<T> {
    /// What it is about.
    pub header: Header,
    /// What is said.
    pub body: T,
}

/// Why a statement cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It would not be read again by the strict rules, so no node would take it.
    #[error("the document has a form that no node would take")]
    Form(#[source] JsonProblem),
    /// No node would read so much.
    #[error("the sealed document has {0} bytes, more than the 1 MiB allowed")]
    TooLarge(usize),
}

impl<T: Serialize> Statement<T> {
    /// Signs it with each of `keys`.
    pub fn seal(&self, keys: &[&SigningKey]) -> Result<Envelope, SealError> {
        let payload = serde_json::to_vec(self).map_err(|it| SealError::Form(it.into()))?;
        strict::check(&payload).map_err(SealError::Form)?;
        let payload_type = PayloadType::from(&self.header.subject);
        let envelope = Envelope::seal(payload_type, payload, keys);
        let size = envelope.to_json().len();
        if size > MAX_ENVELOPE { Err(SealError::TooLarge(size)) } else { Ok(envelope) }
    }
}

/// The header's JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    org: OrgId,
    kind: DocumentKind,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arch: Option<Arch>,
    epoch: u64,
    seq: u64,
    issued: Timestamp,
    state: State,
}

/// A header that names nothing.
#[derive(Debug, thiserror::Error)]
enum HeaderError {
    #[error("a service has a version and an arch, other documents have neither")]
    Fields,
    #[error("this version does not know a {0}")]
    Kind(DocumentKind),
    #[error("seq counts from 1")]
    SeqZero,
    #[error("the name cannot be that of a {kind}: {reason}")]
    Name { kind: DocumentKind, reason: String },
}

impl TryFrom<Wire> for Header {
    type Error = HeaderError;

    fn try_from(wire: Wire) -> Result<Self, HeaderError> {
        fn name<N: std::str::FromStr>(kind: DocumentKind, text: &str) -> Result<N, HeaderError>
        where
            N::Err: ToString,
        {
            text.parse().map_err(|e: N::Err| HeaderError::Name { kind, reason: e.to_string() })
        }
        let subject = match (wire.kind, wire.version, wire.arch) {
            (DocumentKind::Service, Some(version), Some(arch)) => {
                Subject::Service { url: name(wire.kind, &wire.name)?, version, arch }
            }
            (DocumentKind::Pattern, None, None) => Subject::Pattern(name(wire.kind, &wire.name)?),
            (DocumentKind::Policy, None, None) => Subject::Policy(name(wire.kind, &wire.name)?),
            (DocumentKind::NodePolicy, None, None) => {
                Subject::NodePolicy(name(wire.kind, &wire.name)?)
            }
            (DocumentKind::Other(_), ..) => return Err(HeaderError::Kind(wire.kind)),
            _ => return Err(HeaderError::Fields),
        };
        if wire.seq == 0 {
            return Err(HeaderError::SeqZero);
        }
        let Wire { org, epoch, seq, issued, state, .. } = wire;
        Ok(Self { org, subject, epoch, seq, issued, state })
    }
}

impl From<Header> for Wire {
    fn from(header: Header) -> Self {
        let kind = header.subject.kind();
        let (name, version, arch) = match header.subject {
            Subject::Service { url, version, arch } => (url.into(), Some(version), Some(arch)),
            Subject::Pattern(id) => (id.into(), None, None),
            Subject::Policy(id) => (id.into(), None, None),
            Subject::NodePolicy(id) => (id.into(), None, None),
        };
        let Header { org, epoch, seq, issued, state, .. } = header;
        Self { org, kind, name, version, arch, epoch, seq, issued, state }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(json: &str) -> Result<Header, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_header_prints_what_it_reads() {
        let json = r#"{"org":"acme","kind":"service","name":"hello","version":"1.0","arch":"amd64","epoch":0,"seq":1,"issued":"2026-11-21T10:00:00Z","state":"active"}"#;
        let read = header(json).unwrap();
        assert_eq!(read.key().to_string(), "service/hello_1.0_amd64");
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
    }

    #[test]
    fn what_is_no_service_has_a_name_alone() {
        for kind in ["pattern", "policy", "node-policy"] {
            let json = format!(
                r#"{{"org":"acme","kind":"{kind}","name":"hello","epoch":0,"seq":1,"issued":"2026-11-21T10:00:00Z","state":"active"}}"#
            );
            let read = header(&json).unwrap();
            assert_eq!(read.key().to_string(), format!("{kind}/hello"));
            assert_eq!(serde_json::to_string(&read).unwrap(), json);
            let unknown = header(&json.replace(kind, "orbit")).unwrap_err().to_string();
            assert!(unknown.contains("does not know a orbit"), "{unknown}");
        }
    }

    #[test]
    fn a_header_that_says_too_little_or_too_much_is_refused() {
        let rest = r#""epoch":0,"seq":1,"issued":"2026-11-21T10:00:00Z","state":"active"}"#;
        for start in [
            r#"{"org":"acme","kind":"service","name":"hello","arch":"amd64","#,
            r#"{"org":"acme","kind":"pattern","name":"hello","arch":"amd64","#,
            r#"{"org":"acme","kind":"pattern","name":"a/b","#,
            r#"{"org":"acme","kind":"pattern","name":"hello","extra":1,"#,
            r#"{"org":"acme","kind":"pattern","name":"hello","name":"bye","#,
            r#"{"org":"acme","kind":"stamp","name":"hello","#,
        ] {
            assert!(header(&format!("{start}{rest}")).is_err(), "{start}");
        }
    }

    #[test]
    fn the_numbers_of_an_epoch_end_where_no_node_would_read_them() {
        let next = |seq: u64, epoch: u64| {
            let rest = format!(r#""seq":{seq},"issued":"2026-11-21T10:00:00Z","state":"active"}}"#);
            let start = r#"{"org":"acme","kind":"pattern","name":"p","epoch":1,"#;
            header(&format!("{start}{rest}")).unwrap().next_seq(epoch)
        };
        assert_eq!(next(1, 1), Some(2));
        assert_eq!(next((1 << 53) - 2, 1), Some((1 << 53) - 1));
        assert_eq!(next((1 << 53) - 1, 1), None);
        assert_eq!(next(u64::MAX, 1), None);
        assert_eq!(next(u64::MAX, 2), Some(1));
    }

    #[test]
    fn what_no_node_could_read_is_not_sealed() {
        let header = header(
            r#"{"org":"acme","kind":"pattern","name":"p","epoch":0,"seq":1,"issued":"2026-11-21T10:00:00Z","state":"active"}"#,
        )
        .unwrap();
        let key = SigningKey::generate();
        let huge = Statement { header: header.clone(), body: u64::MAX };
        assert!(matches!(huge.seal(&[&key]), Err(SealError::Form(_))));
        let long = Statement { header, body: "x".repeat(MAX_ENVELOPE) };
        assert!(matches!(long.seal(&[&key]), Err(SealError::TooLarge(_))));
    }
}
