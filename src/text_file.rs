//! Small text files, read in one way everywhere: keys, certificates, passwords, logins, tokens, settings.
//!
//! Editors and shells add to a text what is not part of it: byte order marks, UTF-16 (as shells of Windows write it), CRLF, empty
//! lines at the end. They are passed over, and named.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::fs::OFlags;
use zeroize::{Zeroize as _, Zeroizing};

/// The longest text that is read where nothing else is said, in bytes: certificate bundles have some 250 KiB.
pub const LONGEST_TEXT: u64 = 1 << 20;

const DER: &str = "it is not text; it may be DER, the binary form of keys and certificates, which `openssl pkey` or \
     `openssl x509` with `-inform DER` converts to PEM";

/// Why a text file was not read. No variant holds content.
#[derive(Debug, thiserror::Error)]
pub enum TextFileError {
    /// It is not there, may not be read, or the disk fails.
    #[error("it cannot be opened or read")]
    Read(#[source] io::Error),
    /// A folder, a pipe or a device.
    #[error("it is not a plain file")]
    NotPlain,
    /// It is longer than such a file is.
    #[error("it is longer than {longest} bytes")]
    TooLong {
        /// The limit, in bytes.
        longest: u64,
    },
    /// It is neither UTF-8 nor UTF-16 with a byte order mark.
    #[error("{}", if *der { DER } else { "it is not text in UTF-8" })]
    NotText {
        /// Whether it begins like the binary form (DER) of a key or certificate.
        der: bool,
    },
}

/// What was passed over at the edges and line ends of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassedOver(Vec<&'static str>);

impl PassedOver {
    /// Whether there was nothing to pass over; a line break at the end is expected.
    pub fn is_nothing(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// A text without what was passed over: lines end with `\n`, the last line with nothing.
pub struct SmallText {
    /// The text, wiped from memory when it is dropped.
    pub text: Zeroizing<String>,
    /// What was passed over.
    pub passed_over: PassedOver,
}

impl fmt::Debug for SmallText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SmallText({} bytes)", self.text.len())
    }
}

impl SmallText {
    /// Decodes the bytes of a file.
    ///
    /// # Errors
    /// If they are no text.
    pub fn decode(mut bytes: Vec<u8>) -> Result<Self, TextFileError> {
        let mut passed_over = PassedOver::default();
        let decoded = match bytes.as_slice() {
            [0xef, 0xbb, 0xbf, rest @ ..] => {
                passed_over.0.push("a byte order mark");
                std::str::from_utf8(rest).ok().map(str::to_owned)
            }
            [0xff, 0xfe, rest @ ..] => {
                passed_over.0.push("UTF-16");
                utf_16(rest, u16::from_le_bytes)
            }
            [0xfe, 0xff, rest @ ..] => {
                passed_over.0.push("UTF-16");
                utf_16(rest, u16::from_be_bytes)
            }
            all => std::str::from_utf8(all).ok().map(str::to_owned),
        };
        let der = bytes.first() == Some(&0x30);
        bytes.zeroize();
        // A zero byte is in no text, and in nearly every binary file.
        let decoded = decoded.map(Zeroizing::new).filter(|it| !it.contains('\0'));
        let decoded = decoded.ok_or(TextFileError::NotText { der })?;
        let mut text = if decoded.contains('\r') {
            passed_over.0.push("CRLF line ends");
            Zeroizing::new(decoded.replace("\r\n", "\n").replace('\r', "\n"))
        } else {
            decoded
        };
        let end = text.trim_end_matches('\n').len();
        if text.len() > end + 1 && end > 0 {
            passed_over.0.push("empty lines at the end");
        }
        text.truncate(end);
        Ok(Self { text, passed_over })
    }

    /// Reads an open file of at most `longest` bytes.
    ///
    /// # Errors
    /// If it is longer, cannot be read, or is no text.
    pub fn read(file: impl io::Read, longest: u64) -> Result<Self, TextFileError> {
        Self::decode(read_bytes(file, longest)?)
    }

    /// The text; what was passed over is logged with the file's name.
    pub fn noted(self, path: &Path) -> Zeroizing<String> {
        if !self.passed_over.is_nothing() {
            tracing::warn!(
                event = "file.passed_over",
                path = %path.display(),
                passed_over = %self.passed_over,
                "parts of a file that an editor or a copy has added were passed over"
            );
        }
        self.text
    }
}

fn utf_16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let units = bytes.chunks(2).map(|pair| Some(unit(pair.try_into().ok()?)));
    let units = Zeroizing::new(units.collect::<Option<Vec<_>>>()?);
    String::from_utf16(&units).ok()
}

/// Reads the file at `path`, of at most `longest` bytes. What a shell has opened already, such as `/dev/stdin`, is read
/// too.
///
/// # Errors
/// If it is no plain file, is longer, cannot be read, or is no text.
pub fn read(path: &Path, longest: u64) -> Result<SmallText, TextFileError> {
    SmallText::decode(read_undecoded(path, longest)?)
}

/// The bytes of such a file, which may have a binary form, too: certificates in DER.
///
/// # Errors
/// If it is no plain file, is longer, or cannot be read.
pub fn read_undecoded(path: &Path, longest: u64) -> Result<Vec<u8>, TextFileError> {
    let file = open(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => TextFileError::NotPlain,
        _ => TextFileError::Read(error),
    })?;
    read_bytes(file, longest)
}

/// Opens a plain file, or what a shell has opened already. A named pipe, which would wait for its writer, is refused as
/// [`io::ErrorKind::InvalidInput`]; so is a folder.
pub fn open(path: &Path) -> io::Result<File> {
    if path.parent().is_some_and(|it| it == "/dev" || it == "/dev/fd") {
        return File::open(path);
    }
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file"))
}

fn read_bytes(file: impl io::Read, longest: u64) -> Result<Vec<u8>, TextFileError> {
    let mut bytes = Vec::new();
    let read = file.take(longest + 1).read_to_end(&mut bytes);
    let too_long = bytes.len() as u64 > longest;
    match read {
        Ok(_) if !too_long => Ok(bytes),
        other => {
            bytes.zeroize();
            Err(other.map_or_else(TextFileError::Read, |_| TextFileError::TooLong { longest }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> (String, String) {
        let it = SmallText::decode(bytes.to_vec()).unwrap();
        ((*it.text).clone(), it.passed_over.to_string())
    }

    #[test]
    fn what_editors_add_is_passed_over_and_named() {
        let utf_16 = |units: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            units.encode_utf16().flat_map(bytes).collect()
        };
        for (bytes, text, passed_over) in [
            (b"one\ntwo\n".to_vec(), "one\ntwo", ""),
            (b"\xef\xbb\xbfone".to_vec(), "one", "a byte order mark"),
            (b"one\r\ntwo\r\n".to_vec(), "one\ntwo", "CRLF line ends"),
            (b"one \n\n\n".to_vec(), "one ", "empty lines at the end"),
            (b"\n".to_vec(), "", ""),
            (utf_16("\u{feff}one\r\n", u16::to_le_bytes), "one", "UTF-16, CRLF line ends"),
            (utf_16("\u{feff}grün", u16::to_be_bytes), "grün", "UTF-16"),
        ] {
            assert_eq!(decoded(&bytes), (text.to_owned(), passed_over.to_owned()));
        }
    }

    #[test]
    fn what_is_no_text_is_refused_without_its_content() {
        for (bytes, der) in
            [(&b"\xff\xfea"[..], false), (b"\x30\x82canary\xff", true), (b"a\0b", false)]
        {
            let error = SmallText::decode(bytes.to_vec()).err().unwrap();
            assert!(matches!(error, TextFileError::NotText { der: it } if it == der));
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
    }

    #[test]
    fn only_plain_files_of_some_length_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| read(path, 4).err().unwrap();
        assert!(matches!(error(folder.path()), TextFileError::NotPlain));
        assert!(matches!(error(&folder.path().join("none")), TextFileError::Read(_)));
        assert!(matches!(error(Path::new("/dev/zero")), TextFileError::TooLong { longest: 4 }));
        assert_eq!(*read(Path::new("/dev/null"), 4).unwrap().text, "");
    }
}
