//! The master key: where it comes from.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use oncilla_hash::hex;
use zeroize::{Zeroize, Zeroizing};

use crate::cipher::{Salt, derive, nonce, purpose};
use crate::error::{KeysError, OpenFailed};
use crate::secret::{KEY_BYTES, Secret};

/// A key file holds a line or two; what is longer was named by mistake.
const FILE_BYTES_MAX: u64 = 4096;

/// Only the server's own user may read a key file that is made here.
const FILE_MODE: u32 = 0o600;

/// The key that wraps all KMS keys.
#[derive(Clone, Debug)]
pub struct MasterKey(pub(crate) Secret);

/// Why there is no master key. Never tells a part of it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The text is not a key.
    #[error("a master key is 32 bytes, written as 64 hexadecimal digits or in base64")]
    Form,
    /// The file could not be read or written.
    #[error("master key file {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said, or what is wrong with it.
        reason: String,
    },
}

impl MasterKey {
    /// A new one.
    ///
    /// # Errors
    /// [`KeysError::Random`].
    pub fn random() -> Result<Self, KeysError> {
        Secret::random().map(Self)
    }

    /// Reads a key: 64 hexadecimal digits, or 32 bytes in base64.
    ///
    /// # Errors
    /// [`MasterKeyError::Form`].
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let text = text.trim();
        if let Some(mut bytes) = hex::decode::<KEY_BYTES>(text.as_bytes()) {
            return Secret::take(&mut bytes)
                .map(Self)
                .ok_or(MasterKeyError::Form);
        }
        let decoded = BASE64_STANDARD.decode(text);
        let mut bytes = decoded.map_err(|_| MasterKeyError::Form)?;
        Secret::take(&mut bytes)
            .map(Self)
            .ok_or(MasterKeyError::Form)
    }

    /// The text for a key file.
    fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64_STANDARD.encode(self.0.expose()))
    }

    /// What rows remember of the key that wrapped them: eight bytes that tell nothing about it.
    pub(crate) fn fingerprint(&self) -> Result<String, OpenFailed> {
        let key = derive(&self.0, Salt([0; 16]), purpose::FINGERPRINT)?;
        let mut block = [0; 8];
        let aad = aws_lc_rs::aead::Aad::empty();
        match key.seal_in_place_separate_tag(nonce(0), aad, &mut block) {
            Ok(_) => Ok(hex::encode(&block)),
            Err(_) => Err(OpenFailed),
        }
    }

    /// Reads a key file: one key a line. There are two only while the master key is being changed.
    ///
    /// # Errors
    /// [`MasterKeyError`].
    pub fn read_file(path: &Path) -> Result<Vec<Self>, MasterKeyError> {
        let failed = |error: io::Error| MasterKeyError::File {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let mut text = Zeroizing::new(String::new());
        let file = File::open(path).map_err(failed)?;
        let read = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
        read.map_err(failed)?;
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let keys = lines.map(Self::parse).collect::<Result<Vec<_>, _>>();
        match keys {
            Ok(keys) if !keys.is_empty() => Ok(keys),
            Ok(_) | Err(_) => Err(MasterKeyError::File {
                path: path.to_owned(),
                reason: MasterKeyError::Form.to_string(),
            }),
        }
    }

    /// Writes a key file, so that it is there whole or not at all.
    pub(crate) fn write_file(path: &Path, keys: &[&Self]) -> Result<(), MasterKeyError> {
        let mut text = Zeroizing::new(String::new());
        for key in keys {
            text.push_str(&key.to_text());
            text.push('\n');
        }
        let write = || {
            let temporary = path.with_extension("new");
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(FILE_MODE)
                .open(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(|error: io::Error| MasterKeyError::File {
            path: path.to_owned(),
            reason: error.to_string(),
        })
    }
}

/// Where the master key is.
#[derive(Clone, Debug)]
pub enum MasterKeySource {
    /// It was given.
    Given(MasterKey),
    /// In this file, which is made with a new key when one is first needed. A file beside the data
    /// protects against the loss of disks only if it is moved elsewhere.
    File(PathBuf),
    /// In this file, which is never made: for tools, which cannot know that the server's key is not
    /// somewhere else.
    ExistingFile(PathBuf),
}

impl MasterKeySource {
    /// The keys there are; none if the file was not made yet.
    pub(crate) fn load(&self) -> Result<Vec<MasterKey>, MasterKeyError> {
        match self {
            Self::Given(key) => Ok(vec![key.clone()]),
            Self::File(path) | Self::ExistingFile(path) if !path.exists() => Ok(Vec::new()),
            Self::File(path) | Self::ExistingFile(path) => MasterKey::read_file(path),
        }
    }

    /// Makes the file with a new key, where the source is one.
    pub(crate) fn create(&self) -> Result<MasterKey, KeysError> {
        match self {
            Self::Given(key) => Ok(key.clone()),
            Self::File(path) => {
                let key = MasterKey::random()?;
                MasterKey::write_file(path, &[&key])?;
                tracing::warn!(
                    path = %path.display(),
                    "made a master key; without this file no encrypted object can be read: keep a \
                     copy of it apart from the data"
                );
                Ok(key)
            }
            Self::ExistingFile(path) => Err(KeysError::Locked(format!(
                "there is no master key in {}: start the server once, or name the key that it has",
                path.display()
            ))),
        }
    }

    /// The file that new master keys are kept in.
    ///
    /// # Errors
    /// `NowhereToKeep` where the key was given: a new one would be lost.
    pub(crate) fn file(&self) -> Result<&Path, KeysError> {
        match self {
            Self::Given(_) => Err(KeysError::NowhereToKeep),
            Self::File(path) | Self::ExistingFile(path) => Ok(path),
        }
    }

    /// Removes the file, once another source has the key; unless it is where that key is, which then
    /// is all that stays in it.
    pub(crate) fn give_up(&self, new: &MasterKey) -> Result<(), KeysError> {
        let Ok(path) = self.file() else {
            return Ok(());
        };
        if !path.exists() {
            return Ok(());
        }
        let fingerprint = new.fingerprint()?;
        for kept in MasterKey::read_file(path)? {
            if kept.fingerprint()? == fingerprint {
                return Ok(MasterKey::write_file(path, &[new])?);
            }
        }
        fs::remove_file(path).map_err(|error| {
            let (path, reason) = (path.to_owned(), error.to_string());
            MasterKeyError::File { path, reason }.into()
        })
    }
}

/// Reads the output of a command, or the value of a variable, as a master key; wipes the text.
impl TryFrom<String> for MasterKey {
    type Error = MasterKeyError;

    fn try_from(mut text: String) -> Result<Self, MasterKeyError> {
        let key = Self::parse(&text);
        text.zeroize();
        key
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms_are_the_same_key() {
        let expected = MasterKey(Secret::take(&mut [0x5a; 32]).unwrap());
        let fingerprint = expected.fingerprint().unwrap();
        assert_eq!(fingerprint.len(), 16);
        for text in ["5a".repeat(32), BASE64_STANDARD.encode([0x5a; 32]) + "\n"] {
            let key = MasterKey::parse(&text).unwrap();
            assert_eq!(key.fingerprint().unwrap(), fingerprint);
        }
        let other = MasterKey::parse(&"5b".repeat(32)).unwrap();
        assert_ne!(other.fingerprint().unwrap(), fingerprint);
        for text in ["", "5a", &"5a".repeat(31), &"5a".repeat(33), "not base64!"] {
            assert!(MasterKey::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_key_or_refused_without_being_repeated(text: String) {
            if let Err(error) = MasterKey::parse(&text) {
                prop_assert!(text.len() < 8 || !error.to_string().contains(&text));
            }
        }
    }

    #[test]
    fn a_file_is_made_once_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let source = MasterKeySource::File(path.clone());
        assert!(source.load().unwrap().is_empty());
        let made = source.create().unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let loaded = source.load().unwrap();
        assert_eq!(loaded.len(), 1);
        assert_eq!(loaded[0].0.expose(), made.0.expose());
        fs::write(&path, "nonsense").unwrap();
        let refused = source.load().unwrap_err().to_string();
        assert!(refused.contains("master.key") && !refused.contains("nonsense"));
    }
}
