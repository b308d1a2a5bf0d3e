//! Uploads that were begun and not ended: a file for each, locked by whoever goes on with it.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Once, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

use super::make_folder;
use crate::types::{Clock, Digest, Repository};

/// How long a session is worth asking for; registries end them in time.
const LIFE: SignedDuration = SignedDuration::from_hours(24);
/// The most sessions that are kept.
const MAX_SESSIONS: usize = 256;
/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 64 * 1024;

type Addresses = Arc<Mutex<HashMap<Digest, String>>>;

/// Uploads that were begun and not ended.
#[derive(Debug)]
pub(super) enum Sessions {
    /// Those of this process.
    Here(Addresses),
    /// Those of all processes that use a folder.
    Folder { folder: PathBuf, clock: Arc<dyn Clock>, cleaned: Once },
}

/// What a file says.
#[derive(Serialize, Deserialize)]
struct Saved {
    /// Where the next bytes go. It may hold a signed state.
    location: String,
    repository: Repository,
    digest: Digest,
    since: Timestamp,
}

/// The place of one upload's session; nobody else has it as long as this lives.
#[derive(Debug)]
pub(in crate::registry::client) struct KeptSession(Option<Place>);

#[derive(Debug)]
enum Place {
    Here(Digest, Addresses),
    File(SessionFile),
}

#[derive(Debug)]
struct SessionFile {
    file: File,
    path: PathBuf,
    repository: Repository,
    digest: Digest,
    clock: Arc<dyn Clock>,
}

impl Sessions {
    pub(super) fn here() -> Self {
        Self::Here(Addresses::default())
    }

    pub(super) fn at(folder: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self::Folder { folder, clock, cleaned: Once::new() }
    }

    /// The place of an upload's session. If another process is at the same blob, it has that place,
    /// and this upload is not kept.
    pub(super) fn take(&self, repository: &Repository, digest: &Digest) -> KeptSession {
        let key = Digest::of(format!("{repository} {digest}").as_bytes());
        let (folder, clock, cleaned) = match self {
            Self::Here(here) => return KeptSession(Some(Place::Here(key, Arc::clone(here)))),
            Self::Folder { folder, clock, cleaned } => (folder, clock, cleaned),
        };
        cleaned.call_once(|| clean(folder, clock.now()));
        let path = folder.join(&key.hex()[..32]);
        match lock(folder, &path) {
            Ok(file) => {
                let (repository, digest, clock) = (repository.clone(), *digest, Arc::clone(clock));
                let file = SessionFile { file, path, repository, digest, clock };
                KeptSession(Some(Place::File(file)))
            }
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "an upload is not kept");
                KeptSession(None)
            }
        }
    }
}

impl KeptSession {
    /// Keeps nothing.
    pub(in crate::registry::client) fn none() -> Self {
        Self(None)
    }

    /// Where an earlier attempt sent to.
    pub(in crate::registry::client) fn url(&mut self) -> Option<Url> {
        match self.0.as_mut()? {
            Place::Here(key, here) => {
                here.lock().unwrap_or_else(PoisonError::into_inner).get(key)?.parse().ok()
            }
            Place::File(it) => {
                let saved = read(&mut it.file)?;
                let is_it = saved.repository == it.repository && saved.digest == it.digest;
                (is_it && is_alive(&saved, it.clock.now())).then(|| saved.location.parse().ok())?
            }
        }
    }

    /// Keeps where to send to, for the case that this attempt ends early.
    pub(in crate::registry::client) fn keep(&mut self, url: &Url) {
        match &mut self.0 {
            None => (),
            Some(Place::Here(key, here)) => {
                let mut here = here.lock().unwrap_or_else(PoisonError::into_inner);
                if here.len() < MAX_SESSIONS || here.contains_key(key) {
                    here.insert(*key, url.to_string());
                }
            }
            Some(Place::File(it)) => {
                if let Err(error) = it.write(url) {
                    tracing::debug!(path = %it.path.display(), %error, "an upload is not kept");
                }
            }
        }
    }

    /// The upload has ended, or cannot be gone on with.
    pub(in crate::registry::client) fn forget(&mut self) {
        match &mut self.0 {
            None => (),
            Some(Place::Here(key, here)) => {
                here.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
            }
            Some(Place::File(it)) => {
                // The file stays until this is dropped: another session may take its place.
                let _ = it.file.set_len(0);
            }
        }
    }
}

impl SessionFile {
    fn write(&mut self, url: &Url) -> io::Result<()> {
        let saved = Saved {
            location: url.to_string(),
            repository: self.repository.clone(),
            digest: self.digest,
            since: self.clock.now(),
        };
        let text = serde_json::to_vec(&saved)?;
        self.file.rewind()?;
        self.file.set_len(0)?;
        self.file.write_all(&text)
    }
}

impl Drop for SessionFile {
    fn drop(&mut self) {
        if self.file.metadata().is_ok_and(|it| it.len() == 0) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens the file at `path` for this process alone.
fn lock(folder: &Path, path: &Path) -> io::Result<File> {
    make_folder(folder)?;
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path)?;
    file.try_lock()?;
    // Whoever had it before may have removed it in the meantime.
    if fs::metadata(path)?.ino() == file.metadata()?.ino() {
        Ok(file)
    } else {
        Err(io::ErrorKind::ResourceBusy.into())
    }
}

/// Removes what is too old, unreadable or too much, and what nobody has locked.
fn clean(folder: &Path, now: Timestamp) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut kept = 0;
    for path in entries.flatten().map(|entry| entry.path()) {
        let Ok(mut file) = File::open(&path) else { continue };
        let alive = read(&mut file).is_some_and(|saved| is_alive(&saved, now));
        if alive && kept < MAX_SESSIONS {
            kept += 1;
        } else if file.try_lock().is_ok() {
            let _ = fs::remove_file(path);
        }
    }
}

fn is_alive(saved: &Saved, now: Timestamp) -> bool {
    let age = now.duration_since(saved.since);
    age < LIFE && age > -LIFE
}

/// What a file says; nothing if it is empty, torn or not ours.
fn read(file: &mut File) -> Option<Saved> {
    let mut text = Vec::new();
    file.rewind().ok()?;
    file.take(MAX_FILE).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
