//! PEM (RFC 7468): keys and certificates as text. What is wrong with a text is described by its markers alone, never by
//! its content, which may be a private key.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// The longest label that is repeated in a message, in bytes; `ENCRYPTED PRIVATE KEY` has 21.
const LONGEST_LABEL: usize = 40;

/// A section: `-----BEGIN LABEL-----`, base64, `-----END LABEL-----`.
pub struct PemSection {
    /// What it says it is, such as `PRIVATE KEY`.
    pub label: String,
    /// Its content, decoded.
    pub der: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for PemSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PemSection({}, {} bytes)", self.label, self.der.len())
    }
}

/// Why a text has no PEM section that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemProblem {
    /// There is nothing in it.
    #[error("the text is empty")]
    Empty,
    /// There is no `BEGIN` in it.
    #[error("the text has no -----BEGIN line, so it is not PEM")]
    NoBegin,
    /// The `BEGIN` line has no end, or a label of unusual characters.
    #[error("line {line} begins a PEM section, but is not of the form -----BEGIN LABEL-----")]
    BadBegin {
        /// The line, from 1.
        line: usize,
    },
    /// All of it is on one line.
    #[error(
        "has BEGIN {label} but no line breaks; copy the file again, or put a line break after the BEGIN marker and before the END marker"
    )]
    NoLineBreaks {
        /// What it says it is.
        label: String,
    },
    /// The line breaks became blanks.
    #[error("has BEGIN {label}, with blanks in the place of its line breaks; copy the file again")]
    Blanks {
        /// What it says it is.
        label: String,
    },
    /// The line breaks became the two characters `\n`.
    #[error(r"has BEGIN {label}, with the characters \n in the place of its line breaks; copy the file again, or let printf '%b' write it")]
    EscapedLineBreaks {
        /// What it says it is.
        label: String,
    },
    /// OpenSSL's form of before PKCS#8, under a passphrase.
    #[error(
        "has BEGIN {label} with headers, as OpenSSL once wrote keys under a passphrase; `openssl pkey -in FILE -out NEWFILE` converts it"
    )]
    Headers {
        /// What it says it is.
        label: String,
    },
    /// It is PEM of something else.
    #[error("holds no {wanted}, but {labels}")]
    Lacks {
        /// What was looked for.
        wanted: &'static str,
        /// What is there, by its labels.
        labels: String,
    },
    /// It breaks off.
    #[error("has BEGIN {label} in line {line} but no END {label}: the end is missing")]
    NoEnd {
        /// What it says it is.
        label: String,
        /// The line of its beginning, from 1.
        line: usize,
    },
    /// The content is no base64.
    #[error(
        "what is between BEGIN {label} and END {label} is not base64 (line {line}): it is damaged, or was copied incompletely"
    )]
    NotBase64 {
        /// What it says it is.
        label: String,
        /// The first line that cannot be read, from 1.
        line: usize,
    },
}

/// The sections of a text, in order; at least one. Text between sections is passed over, as are the blanks around each
/// line.
///
/// # Errors
/// If there is no section, or one that cannot be read.
pub fn sections(text: &str) -> Result<Vec<PemSection>, PemProblem> {
    if text.trim().is_empty() {
        return Err(PemProblem::Empty);
    }
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    while let Some((at, line)) = lines.next() {
        if let Some(begin) = line.find(BEGIN) {
            let label = label_of(&line[begin..], at)?;
            found.push(section(label, at, &mut lines)?);
        }
    }
    if found.is_empty() { Err(PemProblem::NoBegin) } else { Ok(found) }
}

/// The one section, or the first of several, that has one of these labels.
///
/// # Errors
/// If the text cannot be read as PEM. None: it can, and has no such section.
pub fn first_section(text: &str, labels: &[&str]) -> Result<Option<PemSection>, PemProblem> {
    Ok(sections(text)?.into_iter().find(|it| labels.contains(&it.label.as_str())))
}

/// The labels of the sections of a text, for a message.
pub fn labels(text: &str) -> String {
    let found = sections(text).unwrap_or_default();
    let labels: Vec<_> = found.iter().take(5).map(|it| it.label.as_str()).collect();
    labels.join(", ")
}

/// A PEM section with lines of 64 characters, which older readers insist on.
pub fn write(label: &str, der: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(BASE64_STANDARD.encode(der));
    // Its final size, so that no copy of a private key is left behind as it grows.
    let mut text = Zeroizing::new(String::with_capacity(base64.len() / 64 + base64.len() + 100));
    text.extend([BEGIN, label, DASHES, "\n"]);
    for line in base64.as_bytes().chunks(64) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text.extend([END, label, DASHES, "\n"]);
    text
}

/// The label of a line that begins a section, if nothing else is on the line.
fn label_of(line: &str, at: usize) -> Result<String, PemProblem> {
    let rest = &line[BEGIN.len()..];
    let (label, after) = rest.split_once(DASHES).ok_or(PemProblem::BadBegin { line: at })?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'-' | b'#' | b'.');
    if label.is_empty() || label.len() > LONGEST_LABEL || !label.bytes().all(fits) {
        return Err(PemProblem::BadBegin { line: at });
    }
    let label = label.to_owned();
    match after {
        "" => Ok(label),
        _ if after.starts_with(r"\n") || after.starts_with(r"\r\n") => {
            Err(PemProblem::EscapedLineBreaks { label })
        }
        _ if after.starts_with(' ') => Err(PemProblem::Blanks { label }),
        _ => Err(PemProblem::NoLineBreaks { label }),
    }
}

fn section<'a>(
    label: String,
    begin: usize,
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
) -> Result<PemSection, PemProblem> {
    let end = format!("{END}{label}{DASHES}");
    let mut base64 = Zeroizing::new(String::new());
    let mut last = begin;
    for (at, line) in lines {
        if line == end {
            return match BASE64_STANDARD.decode(base64.as_str()) {
                Ok(der) => Ok(PemSection { label, der: Zeroizing::new(der) }),
                Err(_) => Err(PemProblem::NotBase64 { label, line: last }),
            };
        }
        if line.starts_with(DASHES) {
            return Err(PemProblem::NoEnd { label, line: begin });
        }
        if base64.is_empty() && line.contains(": ") {
            return Err(PemProblem::Headers { label });
        }
        let is_base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
        if !line.bytes().all(is_base64) {
            return Err(PemProblem::NotBase64 { label, line: at });
        }
        base64.push_str(line);
        last = at;
    }
    Err(PemProblem::NoEnd { label, line: begin })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DER: &[u8] = b"not really the DER of a key, but sixty bytes and some more are enough";

    fn problem(text: &str) -> String {
        match sections(text) {
            Ok(_) => panic!("it was read"),
            Err(problem) => problem.to_string(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = write("PRIVATE KEY", DER);
        let found = sections(&text).unwrap();
        assert_eq!((found[0].label.as_str(), found[0].der.as_slice()), ("PRIVATE KEY", DER));
        assert!(text.lines().all(|line| line.len() <= 64));
    }

    #[test]
    fn indents_and_text_around_sections_are_passed_over() {
        let key = write("A", DER);
        let indented = format!("subject=x\n{}", *key).replace('\n', "  \r\n    ");
        let both = format!("{indented}\n{}", *write("B", b"x"));
        let found: Vec<_> = sections(&both).unwrap().into_iter().map(|it| it.label).collect();
        assert_eq!(found, ["A", "B"]);
        assert_eq!(first_section(&both, &["B"]).unwrap().unwrap().der.as_slice(), b"x");
        assert!(first_section(&both, &["C"]).unwrap().is_none());
    }

    #[test]
    fn broken_copies_are_named_without_their_content() {
        let key = write("PRIVATE KEY", DER);
        let base64 = key.lines().nth(1).unwrap();
        for (text, expected) in [
            (key.replace('\n', ""), "has BEGIN PRIVATE KEY but no line breaks"),
            (key.replace('\n', " "), "with blanks in the place of its line breaks"),
            (key.replace('\n', r"\n"), r"with the characters \n in the place of its line breaks"),
            (key.replace('\n', r"\r\n"), r"with the characters \n in the place"),
            (key.lines().take(2).collect::<Vec<_>>().join("\n"), "no END PRIVATE KEY"),
            (key.replacen(base64, &base64[..7], 1), "is not base64"),
            (key.replacen(&base64[..9], "a b c d e", 1), "is not base64 (line 2)"),
            (key.replace("-----BEGIN PRIVATE KEY-----\n", ""), "has no -----BEGIN line"),
            (key.replace("KEY-----", "KEY----"), "line 1 begins a PEM section"),
            (
                key.replacen(base64, "Proc-Type: 4,ENCRYPTED", 1),
                "with headers, as OpenSSL once wrote",
            ),
            (" \n".to_owned(), "the text is empty"),
        ] {
            let problem = problem(&text);
            assert!(problem.contains(expected), "{problem}");
            let told = format!("{problem:?} {:?}", sections(&text).err());
            for part in base64.as_bytes().chunks(8).filter(|it| it.len() == 8) {
                assert!(!told.contains(std::str::from_utf8(part).unwrap()), "{told}");
            }
        }
    }
}
