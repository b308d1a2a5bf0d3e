//! The headers of a tar, one after the other. They are read by hand, since whoever made the tar decides
//! how long its names are, and nothing may be read into memory only because a tar says so.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use tar::{EntryType, PaxExtensions};

use super::tar_index::Slice;

const BLOCK: u64 = 512;
/// The longest name, in bytes: what Linux takes as a path.
const MAX_NAME: usize = 4096;
/// The longest record of names and notes about a file, in bytes.
const MAX_RECORD: u64 = 1 << 20;

/// What a tar says about one file, and where its content is.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) kind: EntryType,
    /// What a link names.
    pub(super) target: Option<String>,
    pub(super) content: Slice,
}

/// What is wrong with a header that says nothing sensible.
const DAMAGED: &str = "a header in it is damaged";

/// Goes through a tar from header to header.
#[derive(Debug)]
pub(super) struct Headers<'a> {
    file: &'a File,
    at: u64,
    length: u64,
}

/// What records say about the file behind them, besides its own header.
#[derive(Debug, Default)]
struct Said {
    name: Option<String>,
    target: Option<String>,
    size: Option<u64>,
}

impl<'a> Headers<'a> {
    /// Begins at the beginning of `file`.
    pub(super) fn of(file: &'a File) -> io::Result<Self> {
        Ok(Self { file, at: 0, length: file.metadata()?.len() })
    }

    /// The next file; none at the end of the tar.
    pub(super) fn next(&mut self) -> io::Result<Option<Header>> {
        let mut said = Said::default();
        loop {
            let Some(block) = self.block()? else { return Ok(None) };
            let header = tar::Header::from_byte_slice(&block);
            let kind = header.entry_type();
            if kind.is_gnu_sparse() {
                return Err(wrong("it has a file with holes, as no image has"));
            }
            let is_record = matches!(
                kind,
                EntryType::GNULongName
                    | EntryType::GNULongLink
                    | EntryType::XHeader
                    | EntryType::XGlobalHeader
            );
            // The errors of the tar library quote the header.
            let own_size = header.entry_size().map_err(|_| wrong(DAMAGED))?;
            let size = if is_record { own_size } else { said.size.unwrap_or(own_size) };
            let content = self.content(size)?;
            match kind {
                EntryType::GNULongName => said.name = Some(name(&self.record(content)?)?),
                EntryType::GNULongLink => said.target = Some(name(&self.record(content)?)?),
                EntryType::XHeader => said.take_in(&self.record(content)?)?,
                EntryType::XGlobalHeader => (),
                _ => {
                    let target = header.link_name_bytes().map(|it| name(&it)).transpose()?;
                    return Ok(Some(Header {
                        name: said.name.map_or_else(|| name(&header.path_bytes()), Ok)?,
                        kind,
                        target: said.target.or(target),
                        content,
                    }));
                }
            }
        }
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => wrong("it is cut short"),
            _ => error,
        })
    }

    /// The next header as it is; none at the end.
    fn block(&mut self) -> io::Result<Option<[u8; 512]>> {
        if self.at == self.length {
            return Ok(None);
        }
        let mut block = [0; 512];
        self.read(&mut block, self.at)?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The sum is over the header with eight spaces in the place of the sum.
        let sum = |part: &[u8]| part.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        let expected = sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..]);
        let named = tar::Header::from_byte_slice(&block).cksum().map_err(|_| wrong(DAMAGED))?;
        if named != expected {
            return Err(wrong(DAMAGED));
        }
        self.at += BLOCK;
        Ok(Some(block))
    }

    /// The content behind a header, which is passed over. It may go on behind the end of the tar.
    fn content(&mut self, size: u64) -> io::Result<Slice> {
        let content = Slice { offset: self.at, size };
        let padded = size.checked_next_multiple_of(BLOCK);
        let end = padded.and_then(|padded| self.at.checked_add(padded));
        // A tar may leave out what fills its last block.
        self.at = end.ok_or_else(|| wrong("it has a file of a length that none has"))?;
        if self.at > self.length {
            self.at = self.length;
        }
        Ok(content)
    }

    fn record(&self, content: Slice) -> io::Result<Vec<u8>> {
        if content.size > MAX_RECORD {
            return Err(wrong("it has a name that is too long"));
        }
        let mut record = vec![0; usize::try_from(content.size).map_err(io::Error::other)?];
        self.read(&mut record, content.offset)?;
        Ok(record)
    }
}

impl Said {
    /// Takes in the records of POSIX (pax).
    fn take_in(&mut self, records: &[u8]) -> io::Result<()> {
        for record in PaxExtensions::new(records) {
            let record = record.map_err(|_| wrong(DAMAGED))?;
            match record.key_bytes() {
                b"path" => self.name = Some(name(record.value_bytes())?),
                b"linkpath" => self.target = Some(name(record.value_bytes())?),
                b"size" => {
                    let size = record.value().ok().and_then(|it| it.parse().ok());
                    self.size =
                        Some(size.ok_or_else(|| wrong("it has a length that is no number"))?);
                }
                _ => (),
            }
        }
        Ok(())
    }
}

/// A name as text, up to its end.
fn name(bytes: &[u8]) -> io::Result<String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    if end > MAX_NAME {
        return Err(wrong("it has a name that is too long"));
    }
    Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

fn wrong(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn headers_of(bytes: &[u8]) -> io::Result<Vec<(String, u64)>> {
        let mut file = tempfile::tempfile()?;
        file.write_all(bytes)?;
        let mut headers = Headers::of(&file)?;
        let mut all = Vec::new();
        while let Some(header) = headers.next()? {
            all.push((header.name, header.content.size));
        }
        Ok(all)
    }

    #[test]
    fn long_names_and_lengths_of_either_kind_are_read() {
        let mut builder = tar::Builder::new(Vec::new());
        let long = format!("{}/layer.tar", "a".repeat(200));
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        builder.append_data(&mut header, &long, &b"abc"[..]).unwrap();
        builder.append_pax_extensions([("path", &b"by/pax"[..]), ("size", b"4")]).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_path("short").unwrap();
        header.set_size(9);
        header.set_cksum();
        builder.append(&header, &b"abcd"[..]).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        builder.append_data(&mut header, "last", &b""[..]).unwrap();
        let all = headers_of(&builder.into_inner().unwrap()).unwrap();
        assert_eq!(all, [(long, 3), ("by/pax".to_owned(), 4), ("last".to_owned(), 0)]);
    }

    #[test]
    fn what_is_no_tar_is_refused() {
        assert_eq!(headers_of(b"").unwrap(), []);
        assert_eq!(headers_of(&[0; 1024]).unwrap(), []);
        assert!(headers_of(b"PK\x03\x04").is_err());
        assert!(headers_of(&[b'x'; 1024]).is_err());
    }
}
