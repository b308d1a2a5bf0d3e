//! Uploads under way: files, so that they go on after a crash where they stopped.

use std::{
    collections::HashMap,
    fmt,
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    registry::{
        protocol::RepositoryName,
        server::storage::{Folder, StorageError, durable},
    },
    types::{Digest, DigestHasher},
};

/// How much of an upload is gathered in memory before it is hashed and written, in bytes.
const BUFFER: usize = 256 * 1024;

/// The most uploads that are open at once: those that nobody finishes stay for a week.
const MOST_UPLOADS: usize = 4096;

/// The name of an upload, which nobody guesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UploadId(Uuid);

impl FromStr for UploadId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// What this process knows of uploads beyond their files.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<UploadId, Session>>);

#[derive(Debug, Clone, Default)]
struct Session {
    /// What was hashed while it passed; whoever holds it may write.
    hashed: Arc<tokio::sync::Mutex<DigestHasher>>,
    /// Tells whoever writes now to stop.
    writer: CancellationToken,
}

impl Sessions {
    /// The session, with a new token in place of the one that is cancelled.
    fn take_over(&self, id: UploadId) -> Session {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.entry(id).or_default();
        std::mem::take(&mut session.writer).cancel();
        session.clone()
    }

    fn forget(&self, id: UploadId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    fn is_open(&self, id: UploadId) -> bool {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(&id).is_some_and(|session| session.hashed.try_lock().is_err())
    }
}

impl Folder {
    /// Begins an upload to `repository`, unless too many are open.
    pub async fn begin_upload(
        &self,
        repository: &RepositoryName,
    ) -> Result<UploadId, StorageError> {
        let id = UploadId(Uuid::new_v4());
        let (folder, name, temporary) =
            (self.upload_folder(id), repository.to_string(), self.temporary());
        let own = self.clone();
        let uploads = self.uploads_folder();
        durable::blocking(move || {
            own.check_space()?;
            if durable::each_name(&uploads)?.count() >= MOST_UPLOADS {
                return Err(StorageError::TooManyUploads(MOST_UPLOADS));
            }
            durable::make_folder(&folder)?;
            let begun = durable::touch(&folder.join("data")).and_then(|()| {
                durable::write(&temporary, &folder.join("repository"), name.as_bytes())
            });
            begun.inspect_err(|_| {
                // The reported error is why it could not begin.
                let _ = fs::remove_dir_all(&folder);
            })
        })
        .await?;
        Ok(id)
    }

    /// Opens an upload to go on with it. Whoever had it open is told to stop, and waited for: a
    /// client whose connection broke comes back before the server has noticed.
    pub async fn upload(
        &self,
        repository: &RepositoryName,
        id: UploadId,
    ) -> Result<Upload, StorageError> {
        let folder = self.upload_folder(id);
        let own = durable::read_text(&folder.join("repository"))?;
        if own.as_deref() != Some(repository.as_str()) {
            return Err(StorageError::UploadUnknown(id));
        }
        let session = self.sessions.take_over(id);
        let hashed = session.hashed.lock_owned().await;
        let data = folder.join("data");
        let path = data.clone();
        let file = durable::blocking(move || match open(&path) {
            Err(error) if durable::is_absent(&error) => Err(StorageError::UploadUnknown(id)),
            file => file.map_err(StorageError::io("open", path)),
        })
        .await?;
        let (file, length) = file;
        Ok(Upload {
            folder: self.clone(),
            repository: repository.clone(),
            id,
            taken_over: session.writer,
            length,
            buffer: Vec::new(),
            writer: Some(Writer { file, length, hashed, data }),
        })
    }

    /// Ends uploads that were last written to before `then` and that nobody is writing to;
    /// gives their number.
    pub async fn purge_uploads(&self, then: Timestamp) -> Result<usize, StorageError> {
        let folder = self.clone();
        durable::blocking(move || {
            let mut purged = 0;
            for name in durable::names(&folder.uploads_folder())? {
                let path = folder.uploads_folder().join(&name);
                let Ok(id) = name.parse::<UploadId>() else { continue };
                if is_older(&path, then) && !folder.sessions.is_open(id) {
                    folder.drop_upload(id)?;
                    purged += 1;
                }
            }
            Ok(purged)
        })
        .await
    }

    fn upload_folder(&self, id: UploadId) -> PathBuf {
        self.uploads_folder().join(id.to_string())
    }

    fn drop_upload(&self, id: UploadId) -> Result<(), StorageError> {
        let folder = self.upload_folder(id);
        let removed = fs::remove_dir_all(&folder);
        self.sessions.forget(id);
        match removed {
            Err(error) if !durable::is_absent(&error) => {
                Err(StorageError::io("remove", folder)(error))
            }
            _ => Ok(()),
        }
    }
}

/// An upload that is open: nobody else writes to it until this is dropped.
#[derive(Debug)]
pub struct Upload {
    folder: Folder,
    repository: RepositoryName,
    id: UploadId,
    taken_over: CancellationToken,
    length: u64,
    buffer: Vec<u8>,
    /// Away while it writes, and for good after a failure.
    writer: Option<Writer>,
}

/// The file, and the right to write to it.
#[derive(Debug)]
struct Writer {
    file: File,
    length: u64,
    hashed: OwnedMutexGuard<DigestHasher>,
    data: PathBuf,
}

impl Upload {
    /// Its name.
    pub fn id(&self) -> UploadId {
        self.id
    }

    /// How many bytes it has received.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Comes true when somebody else wants to go on with this upload.
    pub fn taken_over(&self) -> CancellationToken {
        self.taken_over.clone()
    }

    /// Takes the next bytes.
    pub async fn append(&mut self, mut bytes: &[u8]) -> Result<(), StorageError> {
        while !bytes.is_empty() {
            self.buffer.reserve_exact(BUFFER.saturating_sub(self.buffer.len()));
            let (now, later) = bytes.split_at(bytes.len().min(BUFFER - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            self.length += now.len() as u64;
            bytes = later;
            if self.buffer.len() == BUFFER {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Hands everything that was taken to the system, so that it outlives this process.
    pub async fn flush(&mut self) -> Result<(), StorageError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut writer = self.writer.take().ok_or(StorageError::Stopping)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let folder = self.folder.clone();
        let (writer, buffer) = durable::blocking(move || {
            folder.check_space()?;
            writer.write(&buffer)?;
            buffer.clear();
            Ok((writer, buffer))
        })
        .await?;
        (self.writer, self.buffer) = (Some(writer), buffer);
        Ok(())
    }

    /// Makes the upload the blob `digest` of its repository. Other content ends the upload: there
    /// is no way to go on from there.
    pub async fn finish(mut self, digest: &Digest) -> Result<(), StorageError> {
        self.flush().await?;
        let writer = self.writer.take().ok_or(StorageError::Stopping)?;
        let (folder, parts, id) =
            (self.folder.clone(), self.folder.parts(&self.repository), self.id);
        let expected = *digest;
        durable::blocking(move || {
            let mut writer = writer;
            let received = writer.digest()?;
            if received != expected {
                folder.drop_upload(id)?;
                return Err(StorageError::WrongContent { expected, received });
            }
            // A link to a blob that does not exist shows nothing, so the rename shows all at once.
            parts.link_blobs(&[expected])?;
            durable::move_in(&writer.data, &folder.blob_path(&expected))?;
            folder.drop_upload(id)
        })
        .await
    }

    /// Ends the upload without a blob.
    pub async fn cancel(self) -> Result<(), StorageError> {
        let (folder, id) = (self.folder.clone(), self.id);
        durable::blocking(move || folder.drop_upload(id)).await
    }
}

impl Writer {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.file.write_all(bytes).map_err(StorageError::io("write", &self.data))?;
        if self.hashed.length() == self.length {
            self.hashed.update(bytes);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// The digest of the file; what was not hashed while it passed is read again.
    fn digest(&mut self) -> Result<Digest, StorageError> {
        let failed = || StorageError::io("read", &self.data);
        let mut hasher = std::mem::take(&mut *self.hashed);
        if hasher.length() > self.length {
            hasher = DigestHasher::new();
        }
        self.file.seek(SeekFrom::Start(hasher.length())).map_err(failed())?;
        let mut buffer = vec![0; BUFFER];
        while hasher.length() < self.length {
            match self.file.read(&mut buffer).map_err(failed())? {
                0 => break,
                read => hasher.update(&buffer[..read]),
            }
        }
        Ok(hasher.finish())
    }
}

fn open(data: &Path) -> std::io::Result<(File, u64)> {
    let file = OpenOptions::new().read(true).append(true).open(data)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

/// Whether an upload was last written to before `then`; without its data it never began whole.
fn is_older(folder: &Path, then: Timestamp) -> bool {
    let written = fs::metadata(folder.join("data")).or_else(|_| fs::metadata(folder));
    let written = written.and_then(|it| it.modified()).ok().map(Timestamp::try_from);
    matches!(written, Some(Ok(written)) if written < then)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> RepositoryName {
        "team/app".parse().unwrap()
    }

    #[tokio::test]
    async fn an_upload_goes_on_after_a_restart() {
        let place = tempfile::tempdir().unwrap();
        let content = vec![7; 3 * BUFFER + 5];
        let digest = Digest::of(&content);
        let folder = Folder::open(place.path()).unwrap();
        let id = folder.begin_upload(&name()).await.unwrap();
        let mut upload = folder.upload(&name(), id).await.unwrap();
        upload.append(&content[..=BUFFER]).await.unwrap();
        drop((upload, folder)); // As a crash does it: without a flush.

        let folder = Folder::open(place.path()).unwrap();
        let mut upload = folder.upload(&name(), id).await.unwrap();
        assert_eq!(upload.length(), BUFFER as u64);
        upload.append(&content[BUFFER..]).await.unwrap();
        assert_eq!(folder.has_blob(&digest), None);
        upload.finish(&digest).await.unwrap();
        assert_eq!(folder.blob_in(&name(), &digest), Some(content.len() as u64));
        assert_eq!(folder.blob_in(&"other".parse().unwrap(), &digest), None);
        assert!(matches!(folder.upload(&name(), id).await, Err(StorageError::UploadUnknown(_))));
    }

    #[tokio::test]
    async fn other_content_than_announced_is_not_kept() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let id = folder.begin_upload(&name()).await.unwrap();
        let mut upload = folder.upload(&name(), id).await.unwrap();
        upload.append(b"hello").await.unwrap();
        let expected = Digest::of(b"bye");
        let refused = upload.finish(&expected).await;
        assert!(matches!(refused, Err(StorageError::WrongContent { .. })), "{refused:?}");
        assert_eq!(folder.has_blob(&expected), None);
        assert_eq!(folder.has_blob(&Digest::of(b"hello")), None);
        assert!(folder.upload(&name(), id).await.is_err());
    }

    #[tokio::test]
    async fn who_comes_later_takes_an_upload_over() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let id = folder.begin_upload(&name()).await.unwrap();
        let mut first = folder.upload(&name(), id).await.unwrap();
        first.append(b"hel").await.unwrap();
        let stop = first.taken_over();
        let name = name();
        let (second, ()) = tokio::join!(folder.upload(&name, id), async {
            stop.cancelled().await;
            first.flush().await.unwrap();
            drop(first);
        });
        let mut second = second.unwrap();
        assert_eq!(second.length(), 3);
        second.append(b"lo").await.unwrap();
        second.finish(&Digest::of(b"hello")).await.unwrap();
    }

    #[tokio::test]
    async fn an_upload_belongs_to_its_repository_and_ends_with_time() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let id = folder.begin_upload(&name()).await.unwrap();
        assert!(folder.upload(&"other".parse().unwrap(), id).await.is_err());
        assert_eq!(folder.purge_uploads(Timestamp::MIN).await.unwrap(), 0);
        assert_eq!(folder.purge_uploads(Timestamp::MAX).await.unwrap(), 1);
        assert!(folder.upload(&name(), id).await.is_err());
    }
}
