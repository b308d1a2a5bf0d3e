//! The registry's own accounts: one that pushes, one that pulls. The first start makes them.

use std::{
    collections::BTreeSet,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::{
    data_parts::{DataPart, DataPartsError, Start},
    login::{HashError, Hasher, ParsePasswordError, PasswordHash},
    registry::server::{Access, Account, Password},
    types::{JsonProblem, Secret},
};

/// The accounts file in the data folder; it holds hashes, no passwords.
const FILE: &str = "registry-accounts.json";
/// The folder of its images in the data folder.
const IMAGES: &str = "registry";
/// The file that is in the data folder until the first start has made every part.
const FIRST_START: &str = ".first-start-registry";

/// Admits a start of the registry in `data`: its accounts and images are there, or neither.
///
/// # Errors
/// If one of them was lost, and is not in `create`.
pub fn admit_registry(data: &Path, create: &BTreeSet<DataPart>) -> Result<Start, DataPartsError> {
    let parts = [
        (DataPart::RegistryAccounts, data.join(FILE)),
        (DataPart::Images, data.join(IMAGES).join("blobs")),
    ];
    Start::admit(data.join(FIRST_START), parts, create)
}

/// The passwords that a first start made. They are kept nowhere.
#[derive(Debug)]
pub struct RegistryAccounts {
    /// The password of the account `push`, which may push and pull.
    pub push: Secret,
    /// The password of the account `pull`, which may only pull.
    pub pull: Secret,
}

/// Why the accounts could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The file cannot be read or written.
    #[error("cannot read or write `{}`", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what this program wrote.
    #[error("`{}` is not an accounts file", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: JsonProblem,
    },
    /// The machine gave no random bytes.
    #[error("no password could be made")]
    Random(#[from] getrandom::Error),
    /// A password could not be hashed.
    #[error("a password could not be hashed")]
    Hash(#[from] HashError),
    /// A hash of the file is damaged.
    #[error("a password hash of the accounts file is damaged")]
    Damaged(#[from] ParsePasswordError),
}

/// An account as the file has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredAccount {
    user: String,
    /// A hash as [`PasswordHash`] writes it: of a generated token by SHA-256, else Argon2id.
    password: String,
    push: bool,
}

impl RegistryAccounts {
    /// Opens the accounts in `data`. The second value is there only when this call made them.
    pub fn open(data: &Path) -> Result<(Access, Option<Self>), AccountsError> {
        let file = data.join(FILE);
        match fs::read(&file) {
            Ok(bytes) => {
                let stored: Vec<StoredAccount> =
                    serde_json::from_slice(&bytes).map_err(|source| AccountsError::Content {
                        file,
                        source: JsonProblem::of_secret(&source),
                    })?;
                Ok((access(stored)?, None))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = Self { push: Secret::random()?, pull: Secret::random()? };
                let hasher = Hasher::default();
                let account = |user: &str, password, push| -> Result<_, AccountsError> {
                    let password = hasher.hash(password)?.to_string();
                    Ok(StoredAccount { user: user.to_owned(), password, push })
                };
                let stored =
                    vec![account("push", &made.push, true)?, account("pull", &made.pull, false)?];
                write(&file, &stored)?;
                Ok((access(stored)?, Some(made)))
            }
            Err(source) => Err(AccountsError::File { file, source }),
        }
    }
}

fn access(stored: Vec<StoredAccount>) -> Result<Access, AccountsError> {
    let account = |it: StoredAccount| {
        let hash: PasswordHash = it.password.parse()?;
        Ok(Account { user: it.user, password: Password::hash(&hash), push: it.push })
    };
    stored.into_iter().map(account).collect::<Result<_, _>>().map(Access::Basic)
}

/// Writes the file, whole or not at all, and readable by its owner alone.
fn write(file: &Path, stored: &[StoredAccount]) -> Result<(), AccountsError> {
    let fail = |source| AccountsError::File { file: file.to_owned(), source };
    let json = serde_json::to_vec_pretty(stored).map_err(|source| AccountsError::Content {
        file: file.to_owned(),
        source: source.into(),
    })?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let write = || {
        fs::create_dir_all(folder)?;
        // Temporary files have mode 0600 from the start.
        let mut whole = NamedTempFile::new_in(folder)?;
        whole.write_all(&json)?;
        whole.as_file().sync_all()?;
        whole.persist(file)?;
        fs::File::open(folder)?.sync_all()
    };
    write().map_err(fail)
}
