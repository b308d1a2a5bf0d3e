//! What is shown to people of a certificate.

use jiff::{Timestamp, civil, tz::TimeZone};
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

/// A certificate of a server's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownCertificate {
    /// The common name, or the organization.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// When it begins to hold.
    pub begins: Timestamp,
    /// When it ends.
    pub ends: Timestamp,
    /// The SHA-256 of the whole, in hexadecimal.
    pub sha256: String,
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];

impl ShownCertificate {
    /// Reads what is shown of a certificate (RFC 5280, 4.1); none if it is no certificate.
    pub fn of(der: &CertificateDer<'_>) -> Option<Self> {
        let mut certificate = Reader(der).take(SEQUENCE)?;
        let mut body = certificate.take(SEQUENCE)?;
        if body.peek() == Some(VERSION) {
            body.any()?;
        }
        let _serial = body.any()?;
        let _algorithm = body.any()?;
        let issuer = name(body.take(SEQUENCE)?);
        let mut validity = body.take(SEQUENCE)?;
        let begins = time(validity.any()?)?;
        let ends = time(validity.any()?)?;
        let subject = name(body.take(SEQUENCE)?);
        let sha256 = hex::encode(Sha256::digest(der));
        Some(Self { subject, issuer, begins, ends, sha256 })
    }
}

/// The common name in a name, else the organization, else nothing.
fn name(mut parts: Reader<'_>) -> String {
    let mut organization = String::new();
    while let Some((_, set)) = parts.any() {
        let mut set = Reader(set);
        while let Some(mut attribute) = set.take(SEQUENCE) {
            let (Some((_, kind)), Some((_, value))) = (attribute.any(), attribute.any()) else {
                continue;
            };
            let value = String::from_utf8_lossy(value);
            if kind == COMMON_NAME {
                return value.into_owned();
            } else if kind == ORGANIZATION {
                organization = value.into_owned();
            }
        }
    }
    organization
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time((tag, text): (u8, &[u8])) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = text.split_at_checked(if tag == GENERALIZED_TIME { 4 } else { 2 })?;
    let year: i16 = year.parse().ok()?;
    let year = match tag {
        UTC_TIME if year < 50 => 2000 + year,
        UTC_TIME => 1900 + year,
        GENERALIZED_TIME => year,
        _ => return None,
    };
    let two = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let time = civil::DateTime::new(year, two(0)?, two(2)?, two(4)?, two(6)?, two(8)?, 0).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// The elements of a DER encoding, one after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element: its tag and content.
    fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            if digits.len() > 4 {
                return None;
            }
            (digits.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// What is in the next element, if it has this tag.
    fn take(&mut self, tag: u8) -> Option<Reader<'a>> {
        self.any().and_then(|(found, content)| (found == tag).then_some(Reader(content)))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn a_certificate_tells_its_names_and_its_end() {
        let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::OrganizationName, "an organization");
        params.distinguished_name.push(DnType::CommonName, "a name");
        for (year, ends) in [(2031, "2031-02-03T00:00:00Z"), (2061, "2061-02-03T00:00:00Z")] {
            params.not_after = rcgen::date_time_ymd(year, 2, 3);
            let own = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let shown = ShownCertificate::of(own.der()).unwrap();
            assert_eq!((shown.subject.as_str(), shown.issuer.as_str()), ("a name", "a name"));
            assert_eq!(shown.ends.to_string(), ends);
            assert_eq!(shown.sha256, hex::encode(Sha256::digest(own.der())));
        }
    }

    #[test]
    fn no_bytes_are_too_odd() {
        let own = CertificateParams::new(["a.example".to_owned()]).unwrap();
        let der = own.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        for end in 0..der.len() {
            assert_eq!(ShownCertificate::of(&CertificateDer::from(&der[..end])), None, "{end}");
        }
        for odd in [&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff][..], &[0x30, 0xff], &[0x30, 0x80]] {
            assert_eq!(ShownCertificate::of(&CertificateDer::from(odd)), None);
        }
    }
}
