//! Where the files of a tar lie in it. Nothing is unpacked, so no name in the tar touches a disk.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
    path::Path,
};

use super::headers::Headers;
use crate::image::ImageError;

/// The most files a tar may have; an image has a few for each of its at most 127 layers.
const MAX_ENTRIES: usize = 100_000;
/// The most bytes that all names have together, since they are held in memory.
const MAX_NAMES: usize = 16 << 20;
/// The most links that are followed to one file.
const MAX_LINKS: usize = 8;

/// Some bytes of a tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Slice {
    /// Where they begin, in bytes from the beginning of the tar.
    pub(crate) offset: u64,
    /// How many they are.
    pub(crate) size: u64,
}

#[derive(Debug)]
enum Entry {
    File(Slice),
    /// A link to another entry.
    Link(String),
}

/// A tar and where its files lie.
#[derive(Debug)]
pub(crate) struct TarIndex {
    file: File,
    entries: HashMap<String, Entry>,
}

impl TarIndex {
    /// Reads the headers of the tar at `path`, and skips what is between them.
    pub(crate) fn scan(path: &Path, origin: &str) -> Result<Self, ImageError> {
        let file = File::open(path).map_err(ImageError::io("open", path))?;
        let length = file.metadata().map_err(ImageError::io("read", path))?.len();
        let malformed = |why: String| ImageError::malformed(origin, why);
        let unreadable = |error: io::Error| malformed(format!("it is no tar archive: {error}"));

        let mut entries = HashMap::new();
        let mut names = 0;
        let mut headers = Headers::of(&file).map_err(unreadable)?;
        while let Some(header) = headers.next().map_err(unreadable)? {
            names += header.name.len() + header.target.as_ref().map_or(0, String::len);
            if names > MAX_NAMES {
                return Err(malformed(format!("its names have more than {MAX_NAMES} bytes")));
            }
            let Some(name) = resolve("", &header.name) else {
                continue; // a name that leaves the archive names nothing that we look for
            };
            let what = if header.kind.is_file() {
                let slice = header.content;
                if slice.offset.checked_add(slice.size).is_none_or(|end| end > length) {
                    return Err(malformed(format!("it is cut short in `{name}`")));
                }
                Entry::File(slice)
            } else if let Some(target) = &header.target {
                let folder = match name.rsplit_once('/') {
                    Some((folder, _)) if header.kind.is_symlink() => folder,
                    _ => "", // a hard link names its target from the root
                };
                match resolve(folder, target) {
                    Some(target) => Entry::Link(target),
                    None => continue,
                }
            } else {
                continue;
            };
            entries.insert(name, what);
            if entries.len() > MAX_ENTRIES {
                return Err(malformed(format!("it has more than {MAX_ENTRIES} files")));
            }
        }
        Ok(Self { file, entries })
    }

    /// Where the file `name` lies, links followed.
    pub(crate) fn find(&self, name: &str) -> Option<Slice> {
        let mut name = resolve("", name)?;
        for _ in 0..MAX_LINKS {
            match self.entries.get(&name)? {
                Entry::File(slice) => return Some(*slice),
                Entry::Link(target) => name.clone_from(target),
            }
        }
        None
    }

    /// The bytes of a small slice.
    pub(crate) fn read(&self, slice: Slice) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader(slice).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads a slice; several readers do not disturb each other.
    pub(crate) fn reader(&self, slice: Slice) -> SliceReader<'_> {
        SliceReader { file: &self.file, slice }
    }
}

/// Reads the rest of a slice.
pub(crate) struct SliceReader<'a> {
    file: &'a File,
    slice: Slice,
}

impl Read for SliceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.slice.size).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..room], self.slice.offset)?;
        if count == 0 && room > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.slice.offset += count as u64;
        self.slice.size -= count as u64;
        Ok(count)
    }
}

/// `name` seen from `folder`, without `.` and `..`; none if it leaves the archive.
fn resolve(folder: &str, name: &str) -> Option<String> {
    if name.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(name.split('/')) {
        match part {
            "" | "." => (),
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_the_archive() {
        assert_eq!(resolve("", "./a//b").as_deref(), Some("a/b"));
        assert_eq!(resolve("a", "../b/layer.tar").as_deref(), Some("b/layer.tar"));
        assert_eq!(resolve("a", "../../b"), None);
        assert_eq!(resolve("", "/etc/passwd"), None);
    }
}
