//! Versions of services and ranges of them, by Horizon's rules (vectors `version_*`).

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The largest part of a version that is told apart from others; larger ones count as this one, as in Horizon (Go's
/// `strconv.Atoi`).
const LARGEST_PART: u64 = i64::MAX as u64;

/// The pattern of a version, for schemas: what [`Version`] reads.
macro_rules! pattern {
    () => {
        r"[0-9]+(\.[0-9]+){0,2}(-([0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?)?"
    };
}

/// A bound of a range: a version, or `INFINITY` in letters of any size.
macro_rules! bound_pattern {
    () => {
        concat!("(", pattern!(), "|[Ii][Nn][Ff][Ii][Nn][Ii][Tt][Yy])")
    };
}

/// `x[.y[.z]][-prerelease]`; missing parts are 0. It prints as its author wrote it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    inline,
    example = &"1.0.0",
    extend("pattern" = concat!("^", pattern!(), "$")),
    extend("patternErrorMessage" = "one to three numbers parted by dots, such as 1.2.3")
)]
pub struct Version {
    text: String,
    parts: [u64; 3],
    prerelease: Option<String>,
}

/// A text that is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version: expected one to three numbers parted by dots, such as 1.2.3")]
pub struct ParseVersionError(String);

impl Version {
    /// As its author wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// With all three numbers.
    fn expanded(&self) -> String {
        let (numbers, prerelease) = match self.text.split_once('-') {
            Some((numbers, prerelease)) => (numbers, format!("-{prerelease}")),
            None => (self.text.as_str(), String::new()),
        };
        let missing = 3_usize.saturating_sub(numbers.split('.').count());
        format!("{numbers}{}{prerelease}", ".0".repeat(missing))
    }
}

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, ParseVersionError> {
        let refuse = || ParseVersionError(text.to_owned());
        // A dash with nothing behind it is no prerelease (Horizon fact, vectors `version_compare`).
        let (numbers, prerelease) = match text.split_once('-') {
            Some((numbers, "")) => (numbers, None),
            Some((numbers, prerelease)) => (numbers, Some(prerelease)),
            None => (text, None),
        };
        let mut parts = [0; 3];
        let mut given = numbers.split('.');
        for (part, slot) in given.by_ref().take(3).zip(&mut parts) {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(refuse());
            }
            *slot = part.parse().map_or(LARGEST_PART, |number: u64| number.min(LARGEST_PART));
        }
        let identifier =
            |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let prerelease_fits = prerelease.is_none_or(|it| it.split('.').all(identifier));
        if given.next().is_some() || !prerelease_fits {
            return Err(refuse());
        }
        Ok(Self { text: text.to_owned(), parts, prerelease: prerelease.map(str::to_owned) })
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts.cmp(&other.parts).then_with(|| match (&self.prerelease, &other.prerelease) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => compare_prereleases(a, b),
        })
    }
}

/// Semantic Versioning 2.0.0, section 11: numbers before words, fewer identifiers first.
fn compare_prereleases(a: &str, b: &str) -> Ordering {
    // A number beyond 64 bits is a word to Horizon.
    let compare = |(a, b): (&str, &str)| match (a.parse::<i64>(), b.parse::<i64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    };
    let (a, b) = (a.split('.').collect::<Vec<_>>(), b.split('.').collect::<Vec<_>>());
    a.iter()
        .copied()
        .zip(b.iter().copied())
        .map(compare)
        .find(|order| order.is_ne())
        .unwrap_or_else(|| a.len().cmp(&b.len()))
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Not the prerelease: `-01` and `-1` are equal, and must hash alike.
        self.parts.hash(state);
    }
}

impl TryFrom<String> for Version {
    type Error = ParseVersionError;

    fn try_from(text: String) -> Result<Self, ParseVersionError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.text
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A version, or `INFINITY`, which is above every version: the end of a range, and the value of a
/// property.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VersionOrInfinity {
    /// A version.
    Version(Version),
    /// Above all of them.
    Infinity,
}

impl VersionOrInfinity {
    /// With all three numbers.
    fn expanded(&self) -> String {
        match self {
            Self::Version(version) => version.expanded(),
            Self::Infinity => "INFINITY".to_owned(),
        }
    }
}

impl FromStr for VersionOrInfinity {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, ParseVersionError> {
        if text.eq_ignore_ascii_case("INFINITY") {
            return Ok(Self::Infinity);
        }
        text.parse().map(Self::Version)
    }
}

/// `[a,b)` with either bracket at either end; a version alone is everything from it on;
/// `INFINITY` has no end. It prints as its author wrote it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    inline,
    example = &"[1.0.0,2.0.0)",
    example = &"[1.0.0,INFINITY)",
    extend("pattern" = concat!(
        "^", bound_pattern!(), r"$|^[\[(]", bound_pattern!(), ",", bound_pattern!(), r"[\])]$"
    )),
    extend("patternErrorMessage" = "a version, or two in brackets such as [1.0.0,2.0.0)")
)]
pub struct VersionRange {
    text: String,
    from: Bound,
    to: Bound,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Bound {
    version: VersionOrInfinity,
    inclusive: bool,
}

impl Bound {
    fn text(&self) -> String {
        self.version.expanded()
    }
}

/// A text that is not a version range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a version range: expected a version, or two in brackets such as [1.0.0,2.0.0)"
)]
pub struct ParseVersionRangeError(String);

impl VersionRange {
    /// Every version there is.
    pub fn any() -> Self {
        let zero = Version { text: "0.0.0".to_owned(), parts: [0; 3], prerelease: None };
        let from = Bound { version: VersionOrInfinity::Version(zero), inclusive: true };
        Self::of(from, Bound { version: VersionOrInfinity::Infinity, inclusive: false })
    }

    /// Whether `version` lies in it. A bound that is inclusive wins over one that is not, so
    /// `[1.0.0,1.0.0)` contains 1.0.0 (Horizon fact).
    pub fn contains(&self, version: &Version) -> bool {
        self.contains_point(&VersionOrInfinity::Version(version.clone()))
    }

    /// The same for what may be `INFINITY`. An exclusive bound leaves out what is written like it alone: `01.2.3`, of the
    /// same value, lies in `(1.2.3,2.0.0)` (Horizon fact).
    pub fn contains_point(&self, point: &VersionOrInfinity) -> bool {
        let is_written_like = |bound: &&Bound| bound.version.expanded() == point.expanded();
        let mut bounds = [&self.from, &self.to].into_iter().filter(is_written_like).peekable();
        if bounds.peek().is_some() {
            return bounds.any(|it| it.inclusive);
        }
        self.from.version <= *point && *point <= self.to.version
    }

    /// Whether it contains any of `versions`, which must be sorted. It takes three binary searches.
    pub fn contains_any(&self, versions: &[Version]) -> bool {
        let up_to = |bound: &Bound| match &bound.version {
            VersionOrInfinity::Version(bound) => versions.partition_point(|it| it <= bound),
            VersionOrInfinity::Infinity => versions.len(),
        };
        let (from, to) = (up_to(&self.from), up_to(&self.to));
        // At the lower bound, the first above it, and at the upper bound.
        let candidates = [from.checked_sub(1), Some(from), to.checked_sub(1)];
        let candidates = candidates.into_iter().flatten().filter_map(|it| versions.get(it));
        candidates.into_iter().any(|it| self.contains(it))
    }

    /// Whether its bounds stand the wrong way round. It then contains its inclusive bounds alone.
    pub fn is_inverted(&self) -> bool {
        self.from.version > self.to.version
    }

    /// The version at both of its ends, if they are one and one of them is exclusive: `[1.0.0,1.0.0)`.
    pub fn only(&self) -> Option<&Version> {
        match &self.from.version {
            VersionOrInfinity::Version(version)
                if self.from.version == self.to.version
                    && !(self.from.inclusive && self.to.inclusive) =>
            {
                Some(version)
            }
            _ => None,
        }
    }

    /// What lies in both, or nothing if they only touch from outside or not at all. Of two equal
    /// bounds the exclusive one wins (Horizon fact, vectors `version_intersect`).
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        let narrower = |order: Ordering, a: &Bound, b: &Bound| match order {
            Ordering::Greater => a.clone(),
            Ordering::Less => b.clone(),
            Ordering::Equal => {
                Bound { inclusive: a.inclusive && b.inclusive, version: a.version.clone() }
            }
        };
        let from = narrower(self.from.version.cmp(&other.from.version), &self.from, &other.from);
        let to = narrower(other.to.version.cmp(&self.to.version), &self.to, &other.to);
        let meet = match from.version.cmp(&to.version) {
            Ordering::Less => true,
            Ordering::Equal => {
                from.inclusive || to.inclusive || to.version == VersionOrInfinity::Infinity
            }
            Ordering::Greater => false,
        };
        meet.then(|| Self::of(from, to))
    }

    /// Both bounds in brackets, each with all three numbers.
    pub fn expanded(&self) -> String {
        let open = if self.from.inclusive { '[' } else { '(' };
        let close = if self.to.inclusive { ']' } else { ')' };
        format!("{open}{},{}{close}", self.from.text(), self.to.text())
    }

    fn of(from: Bound, to: Bound) -> Self {
        let mut range = Self { text: String::new(), from, to };
        range.text = range.expanded();
        range
    }
}

impl FromStr for VersionRange {
    type Err = ParseVersionRangeError;

    fn from_str(text: &str) -> Result<Self, ParseVersionRangeError> {
        let refuse = || ParseVersionRangeError(text.to_owned());
        let version = |text: &str| text.parse::<VersionOrInfinity>().map_err(|_| refuse());
        let Some(rest) = text.strip_prefix(['[', '(']) else {
            let from = Bound { version: version(text)?, inclusive: true };
            let to = Bound { version: VersionOrInfinity::Infinity, inclusive: false };
            return Ok(Self { text: text.to_owned(), from, to });
        };
        let inner = rest.strip_suffix([']', ')']).ok_or_else(refuse)?;
        let (from, to) = inner.split_once(',').ok_or_else(refuse)?;
        Ok(Self {
            text: text.to_owned(),
            from: Bound { version: version(from)?, inclusive: text.starts_with('[') },
            to: Bound { version: version(to)?, inclusive: text.ends_with(']') },
        })
    }
}

impl PartialEq for VersionRange {
    fn eq(&self, other: &Self) -> bool {
        self.from == other.from && self.to == other.to
    }
}

impl Eq for VersionRange {}

impl Hash for VersionRange {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.from.hash(state);
        self.to.hash(state);
    }
}

impl TryFrom<String> for VersionRange {
    type Error = ParseVersionRangeError;

    fn try_from(text: String) -> Result<Self, ParseVersionRangeError> {
        text.parse()
    }
}

impl From<VersionRange> for String {
    fn from(range: VersionRange) -> Self {
        range.text
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a vector file, each a JSON object.
    fn vectors(name: &str) -> Vec<serde_json::Value> {
        let path = format!("{}/tests/fixtures/horizon/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn versions_compare_as_in_horizon() {
        for vector in vectors("version_compare.jsonl") {
            let [a, b] = ["a", "b"].map(|key| vector[key].as_str().unwrap());
            let order = a.parse::<VersionOrInfinity>().and_then(|a| Ok(a.cmp(&b.parse()?)));
            assert_eq!(order.ok().map(|it| it as i64), vector["cmp"].as_i64(), "{vector}");
        }
    }

    #[test]
    fn ranges_contain_what_they_contain_in_horizon() {
        for vector in vectors("version_range.jsonl") {
            let range = vector["range"].as_str().unwrap().parse::<VersionRange>();
            assert_eq!(range.is_ok(), vector["valid"].as_bool().unwrap(), "{vector}");
            let Ok(range) = range else { continue };
            assert_eq!(range.expanded(), vector["expanded"].as_str().unwrap());
            let point = vector["version"].as_str().unwrap().parse();
            let inside = point.ok().map(|it| range.contains_point(&it));
            assert_eq!(inside, vector["in"].as_bool(), "{vector}");
        }
    }

    #[test]
    fn ranges_intersect_as_in_horizon() {
        for vector in vectors("version_intersect.jsonl") {
            let range = |key| vector[key].as_str().unwrap().parse::<VersionRange>().unwrap();
            let both = range("a").intersect(&range("b")).map(|it| it.expanded());
            assert_eq!(both.as_deref(), vector["result"].as_str(), "{vector}");
        }
    }

    /// What Go's `strconv.Atoi` makes of numbers that fit no `int64`: the largest one.
    #[test]
    fn parts_beyond_64_bits_count_as_the_largest_number() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        let (huge, other) =
            (version("99999999999999999999.0.0"), version("88888888888888888888888"));
        assert_eq!(huge, other);
        assert_eq!(huge, version("9223372036854775807"));
        assert_eq!(version("9223372036854775808.1"), version("18446744073709551615.1"));
        assert!(version("9223372036854775806.9.9") < huge);
        assert_eq!(huge.to_string(), "99999999999999999999.0.0");
        assert!(version("1.0.0-9223372036854775807") < version("1.0.0-9223372036854775808"));
        let range = "[1.0.0,99999999999999999999.0.0)".parse::<VersionRange>().unwrap();
        assert_eq!(range.expanded(), "[1.0.0,99999999999999999999.0.0)");
        assert!(range.contains(&other) && !range.contains(&huge));
    }

    #[test]
    fn an_exclusive_bound_leaves_out_what_is_written_like_it() {
        let range = "(1.2.3,2.0.0)".parse::<VersionRange>().unwrap();
        for (text, inside) in [("1.2.3", false), ("01.2.3", true), ("2", false), ("02.0", true)] {
            assert_eq!(range.contains(&text.parse().unwrap()), inside, "{text}");
        }
    }

    #[test]
    fn ranges_apart_share_nothing() {
        let range = |text: &str| text.parse::<VersionRange>().unwrap();
        assert_eq!(range("[1.0.0,2.0.0)").intersect(&range("(2.0.0,3.0.0)")), None);
        assert_eq!(range("[3.0.0,4.0.0)").intersect(&range("[1.0.0,2.0.0)")), None);
        assert!(VersionRange::any().contains(&"0.0.1".parse().unwrap()));
    }
}
