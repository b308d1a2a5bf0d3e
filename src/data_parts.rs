//! The parts of a server's data folder: made at its first start, and never in silence afterwards.
//!
//! A server that makes a lost part again goes on as another one: nodes refuse its timestamps, nothing opens the
//! credentials that it stores, or everything that was published is gone.

use std::{
    collections::BTreeSet,
    fmt, fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    str::FromStr,
};

/// A part that a server cannot lose and stay the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataPart {
    /// The exchange's database.
    Database,
    /// The key that signs timestamps.
    TimestampKey,
    /// The key that encrypts stored pull credentials.
    VaultKey,
    /// The registry's accounts.
    RegistryAccounts,
    /// The registry's images.
    Images,
}

impl DataPart {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Database, Self::TimestampKey, Self::VaultKey, Self::RegistryAccounts, Self::Images];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::TimestampKey => "timestamp-key",
            Self::VaultKey => "vault-key",
            Self::RegistryAccounts => "registry-accounts",
            Self::Images => "images",
        }
    }

    /// What has to be done once a new one is made.
    pub fn consequence(self) -> &'static str {
        match self {
            Self::Database => "everything must be published again, and nodes registered again",
            Self::TimestampKey => "nodes refuse it until `edgepost trust stamp-key` names it",
            Self::VaultKey => "pull credentials must be set again",
            Self::RegistryAccounts => "the accounts get new passwords",
            Self::Images => "images must be pushed again",
        }
    }
}

impl fmt::Display for DataPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DataPart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|it| it.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("expected one of {names}")
        })
    }
}

/// Why a server does not start on its data folder.
#[derive(Debug, thiserror::Error)]
pub enum DataPartsError {
    /// Parts are missing, and others are there.
    #[error("{} missing from a data folder that holds {}", list(missing), list(present))]
    Missing {
        /// What is missing, and where it would be.
        missing: Vec<(DataPart, PathBuf)>,
        /// What is there.
        present: Vec<(DataPart, PathBuf)>,
    },
    /// The mark of the first start cannot be written or removed.
    #[error("failed to write {}", path.display())]
    Mark {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A start that was admitted. The parts are made while this lives.
#[derive(Debug)]
#[must_use]
pub struct Start {
    mark: PathBuf,
}

impl Start {
    /// Admits a start on parts of one server: the first one, when there are none; one that goes on after the first
    /// start was broken off, which the file `mark` shows; one with all parts; or one that lacks only parts of `create`.
    ///
    /// # Errors
    /// If another part is missing.
    pub fn admit(
        mark: PathBuf,
        parts: impl IntoIterator<Item = (DataPart, PathBuf)>,
        create: &BTreeSet<DataPart>,
    ) -> Result<Self, DataPartsError> {
        let (present, missing): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|(_, path)| exists(path));
        let failed = |source| DataPartsError::Mark { path: mark.clone(), source };
        if present.is_empty() {
            write_mark(&mark).map_err(failed)?;
        } else if !mark.exists() {
            let (on_purpose, lost): (Vec<_>, Vec<_>) =
                missing.into_iter().partition(|(part, _)| create.contains(part));
            if !lost.is_empty() {
                return Err(DataPartsError::Missing { missing: lost, present });
            }
            for (part, path) in on_purpose {
                let (path, consequence) = (path.display(), part.consequence());
                tracing::warn!(event = "data_part.created", %part, %path, consequence, "a lost part is made again");
            }
        }
        Ok(Self { mark })
    }

    /// Notes that every part was made.
    pub fn finish(self) -> Result<(), DataPartsError> {
        match fs::remove_file(&self.mark) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(DataPartsError::Mark { path: self.mark, source })
            }
            _ => Ok(()),
        }
    }
}

/// An empty file is none: a database is made so before it is written to.
fn exists(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_dir() || found.len() > 0)
}

fn write_mark(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).open(path)?.sync_all()?;
    fs::File::open(folder)?.sync_all()
}

fn list(parts: &[(DataPart, PathBuf)]) -> String {
    parts.iter().map(|(part, _)| part.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Site(tempfile::TempDir);

    impl Site {
        fn admit(&self, create: &[DataPart]) -> Result<Start, DataPartsError> {
            let parts = [DataPart::Database, DataPart::TimestampKey, DataPart::VaultKey];
            let parts = parts.map(|part| (part, self.0.path().join(part.name())));
            Start::admit(self.0.path().join("mark"), parts, &create.iter().copied().collect())
        }

        fn make(&self, part: DataPart, content: &str) {
            let mut file = fs::File::create(self.0.path().join(part.name())).unwrap();
            io::Write::write_all(&mut file, content.as_bytes()).unwrap();
        }
    }

    #[test]
    fn a_first_start_goes_on_wherever_it_was_broken_off() {
        let site = Site(tempfile::tempdir().unwrap());
        for part in [DataPart::VaultKey, DataPart::Database, DataPart::TimestampKey] {
            drop(site.admit(&[]).unwrap());
            site.make(part, "content");
        }
        site.admit(&[]).unwrap().finish().unwrap();
        assert!(!site.0.path().join("mark").exists());
        site.admit(&[]).unwrap().finish().unwrap();
    }

    #[test]
    fn a_lost_part_is_made_again_only_on_purpose() {
        let site = Site(tempfile::tempdir().unwrap());
        site.make(DataPart::VaultKey, "content");
        site.make(DataPart::TimestampKey, "content");
        // As a copy leaves it that found no space.
        site.make(DataPart::Database, "");
        let refused = site.admit(&[DataPart::VaultKey]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "database missing from a data folder that holds timestamp-key, vault-key"
        );
        site.admit(&[DataPart::Database]).unwrap().finish().unwrap();
    }

    #[test]
    fn every_part_has_a_name_of_its_own() {
        for part in DataPart::ALL {
            assert_eq!(part.name().parse(), Ok(part));
        }
        assert!("".parse::<DataPart>().is_err());
    }
}
