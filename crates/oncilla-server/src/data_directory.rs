//! The data directory: whose it is, of which format, and that only one server uses it.
//!
//! `oncilla.json` marks a directory as ours and says its format; `lock` is held by the server that
//! uses it. Whatever is not understood is refused: nothing is ever created over what is there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

/// The format that this program writes and reads.
pub const FORMAT: u64 = 1;

/// The marker's name.
const MARKER: &str = "oncilla.json";

/// The marker while it is being written; a crash may leave it behind.
const MARKER_NEW: &str = "oncilla.json.new";

/// In a further directory with volumes: whose they are.
const OWNER: &str = "oncilla-owner.json";

/// The lock's name.
const LOCK: &str = "lock";

/// Only the server's own user may look into the directory, or write to its files.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Markers are short fields and two paths at most; more than this is not one.
const SMALL_FILE_BYTES_MAX: u64 = 16 * 1024;

/// Why a data directory cannot be used. Nothing was changed in it.
#[derive(Debug, thiserror::Error)]
pub enum DataDirectoryError {
    /// Another server has it.
    #[error("directory {} is in use by another oncilla{}", path.display(), pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other's process id, where it could be read.
        pid: Option<u32>,
    },
    /// A later version wrote it.
    #[error("data directory {} has format {found}, and this oncilla knows formats up to {FORMAT}: use the version that wrote it, or a later one", path.display())]
    NewerFormat {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// It holds something else.
    #[error("directory {} is not empty and has no {MARKER}: it is not a data directory of oncilla, or it is damaged; choose an empty one or restore the file", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
    /// The marker cannot be understood.
    #[error("{} is damaged: {detail}", path.display())]
    Damaged {
        /// The marker.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A further directory is a data directory, or lies where one keeps its own files.
    #[error("directory {} is a data directory of oncilla, or lies in the metadata or volumes of one: choose another directory", path.display())]
    IsData {
        /// The further directory.
        path: PathBuf,
    },
    /// A further directory holds volumes of another data directory.
    #[error("directory {} holds volumes of the data directory {}: give each data directory further directories of its own", path.display(), owner.display())]
    OfAnother {
        /// The further directory.
        path: PathBuf,
        /// Whose volumes it holds.
        owner: PathBuf,
    },
    /// The data directory is a copy, and its volumes in a further directory are the original's.
    #[error("directory {} holds volumes of {}, of which {} is a copy: what one of them deletes, the other would miss. Copy {} too and let the links in {}/volumes lead to the copy; or, if the original is not to be used again, move it away", path.display(), original.display(), copy.display(), path.display(), copy.display())]
    OfTheOriginal {
        /// The further directory.
        path: PathBuf,
        /// The data directory that uses it.
        original: PathBuf,
        /// The data directory that was to use it as well.
        copy: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot use data directory {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// It was to be opened and is not there.
    #[error("there is no data directory {}", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    format: u64,
    cluster_id: String,
    /// Metadata and volumes have been made, so that a directory without them has lost them.
    #[serde(default)]
    complete: bool,
}

/// Whose volumes a further directory holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    cluster_id: String,
    /// The data directory.
    data: PathBuf,
    /// The directory itself: a copy of it is another one.
    directory: PathBuf,
}

impl Owner {
    /// Whether a directory that belonged to `known` may belong to this one from now on: if the data
    /// directory, or the directory itself, was moved or restored, but not if the data directory is
    /// a copy while the original goes on using it. What one of them deletes, the other would miss.
    fn may_follow(&self, known: Owner) -> Result<(), DataDirectoryError> {
        let Owner {
            cluster_id,
            data,
            directory,
        } = known;
        let path = self.directory.clone();
        if cluster_id != self.cluster_id {
            return Err(DataDirectoryError::OfAnother { path, owner: data });
        }
        let is_copied = data != self.data && directory == self.directory;
        // The original may be gone, or something else may be in its place by now.
        let original = read_marker(&data.join(MARKER)).ok().flatten();
        if is_copied && original.is_some_and(|marker| marker.cluster_id == cluster_id) {
            return Err(DataDirectoryError::OfTheOriginal {
                path,
                original: data,
                copy: self.data.clone(),
            });
        }
        Ok(())
    }
}

/// Gives an empty directory that somebody else made the mode it would have had if it were made
/// here: the secrets of all keys will lie in it, in files that other users could read otherwise.
fn keep_others_out(path: &Path) {
    let mode = fs::Permissions::from_mode(DIRECTORY_MODE);
    if let Err(error) = fs::set_permissions(path, mode) {
        // It belongs to another user, or its file system has no modes.
        let path = path.display();
        tracing::warn!(%path, %error, "other users may be able to read the data directory");
    }
}

/// A data directory that this process has to itself until this is dropped.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    cluster_id: String,
    created: bool,
    complete: bool,
    /// The kernel gives a lock back when the file is closed, however the process ends. The first is
    /// that of the directory, the others are those of claimed ones.
    locks: Vec<File>,
    /// Further directories that are claimed, by their real paths.
    claimed: Vec<PathBuf>,
}

impl DataDirectory {
    /// Opens a data directory, making a new one if there is nothing yet.
    ///
    /// # Errors
    /// See [`DataDirectoryError`].
    pub fn open_or_create(path: &Path) -> Result<Self, DataDirectoryError> {
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(path)
            .map_err(|source| DataDirectoryError::Io {
                path: path.to_owned(),
                source,
            })?;
        Self::open_locked(path, true)
    }

    /// Opens a data directory that exists, for tools that must not make one.
    ///
    /// # Errors
    /// See [`DataDirectoryError`].
    pub fn open_existing(path: &Path) -> Result<Self, DataDirectoryError> {
        if !path.join(MARKER).exists() && !path.is_dir() {
            return Err(DataDirectoryError::Missing {
                path: path.to_owned(),
            });
        }
        Self::open_locked(path, false)
    }

    fn open_locked(path: &Path, may_create: bool) -> Result<Self, DataDirectoryError> {
        let failed = |file: &Path| {
            let path = file.to_owned();
            move |source| DataDirectoryError::Io { path, source }
        };
        let marker_path = path.join(MARKER);
        let marker = read_marker(&marker_path)?;
        if marker.is_none() && (!may_create || !is_new(path).map_err(failed(path))?) {
            return Err(DataDirectoryError::NotOurs {
                path: path.to_owned(),
            });
        }
        let lock = lock(path)?;
        // Another server may have made the marker before the lock was ours.
        let marker = match marker {
            Some(marker) => Some(marker),
            None => read_marker(&marker_path)?,
        };
        let (marker, created) = match marker {
            Some(marker) if marker.format > FORMAT => {
                let found = marker.format;
                return Err(DataDirectoryError::NewerFormat {
                    path: path.to_owned(),
                    found,
                });
            }
            Some(marker) if marker.format == 0 || marker.cluster_id.is_empty() => {
                let detail = "it names no format or no cluster".to_owned();
                return Err(DataDirectoryError::Damaged {
                    path: marker_path,
                    detail,
                });
            }
            Some(marker) => (marker, false),
            None => {
                keep_others_out(path);
                (create_marker(path).map_err(failed(&marker_path))?, true)
            }
        };
        let directory = Self {
            path: path.to_owned(),
            cluster_id: marker.cluster_id,
            created,
            complete: marker.complete,
            locks: vec![lock],
            claimed: Vec::new(),
        };
        directory.refuse_if_lost()?;
        Ok(directory)
    }

    /// What was there once is never made anew.
    fn refuse_if_lost(&self) -> Result<(), DataDirectoryError> {
        for part in [self.meta(), self.volumes()] {
            if self.complete && !part.is_dir() {
                let detail = "it is missing; put it back, or start with another data directory";
                let detail = detail.to_owned();
                return Err(DataDirectoryError::Damaged { path: part, detail });
            }
        }
        Ok(())
    }

    /// Remembers that metadata and volumes have been made. Does nothing if it is known.
    ///
    /// # Errors
    /// [`DataDirectoryError::Io`].
    pub fn mark_complete(&mut self) -> Result<(), DataDirectoryError> {
        if self.complete {
            return Ok(());
        }
        let cluster_id = self.cluster_id.clone();
        let marker = Marker {
            format: FORMAT,
            cluster_id,
            complete: true,
        };
        let path = self.path.join(MARKER);
        write_marker(&self.path, &marker)
            .map_err(|source| DataDirectoryError::Io { path, source })?;
        self.complete = true;
        Ok(())
    }

    /// Takes another directory, where volumes of this one lie or are to lie, for this one alone.
    ///
    /// # Errors
    /// [`DataDirectoryError::InUse`], [`DataDirectoryError::IsData`], and
    /// [`DataDirectoryError::OfAnother`] or
    /// [`DataDirectoryError::OfTheOriginal`] if it belongs to another data directory.
    pub fn claim(&mut self, directory: &Path) -> Result<(), DataDirectoryError> {
        let failed = |source| DataDirectoryError::Io {
            path: directory.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(directory)
            .map_err(failed)?;
        let owner = Owner {
            cluster_id: self.cluster_id.clone(),
            data: self.path.canonicalize().map_err(failed)?,
            directory: directory.canonicalize().map_err(failed)?,
        };
        let own = [self.meta(), self.volumes(), self.tls()];
        let is_own = |own: &PathBuf| {
            let own = own.canonicalize().unwrap_or_else(|_| own.clone());
            owner.directory.starts_with(own)
        };
        if owner.directory.join(MARKER).exists() || own.iter().any(is_own) {
            return Err(DataDirectoryError::IsData {
                path: directory.to_owned(),
            });
        }
        // The same one by another name.
        if self.claimed.contains(&owner.directory) {
            return Ok(());
        }
        let lock = lock(directory)?;
        let path = directory.join(OWNER);
        let known: Option<Owner> = read_small(&path, |content| serde_json::from_slice(content))?;
        if known.as_ref() != Some(&owner) {
            if let Some(known) = known {
                owner.may_follow(known)?;
            }
            write_small(directory, OWNER, &owner)
                .map_err(|source| DataDirectoryError::Io { path, source })?;
        }
        self.locks.push(lock);
        self.claimed.push(owner.directory);
        Ok(())
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The random id given to the directory when it was made.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Whether it was made by this call.
    pub fn was_created(&self) -> bool {
        self.created
    }

    /// Where the metadata engine keeps its files.
    pub fn meta(&self) -> PathBuf {
        self.path.join("meta")
    }

    /// Where the volumes are.
    pub fn volumes(&self) -> PathBuf {
        self.path.join("volumes")
    }

    /// Where self-signed certificates are kept.
    pub fn tls(&self) -> PathBuf {
        self.path.join("tls")
    }

    /// The socket for administration.
    pub fn admin_socket(&self) -> PathBuf {
        self.path.join("admin.sock")
    }
}

/// Whether a directory holds nothing but what an interrupted first start may leave.
fn is_new(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        // ext4 puts lost+found into a fresh file system that is mounted as the data directory.
        if ![LOCK, MARKER_NEW, "lost+found"]
            .iter()
            .any(|&known| name == known)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn lock(directory: &Path) -> Result<File, DataDirectoryError> {
    let path = directory.join(LOCK);
    let failed = |source| DataDirectoryError::Io {
        path: path.clone(),
        source,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(&path)
        .map_err(failed)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            // The id is only for the message; without it the message is still true.
            let _ = file.take(32).read_to_string(&mut text);
            let pid = text.trim().parse().ok();
            return Err(DataDirectoryError::InUse {
                path: directory.to_owned(),
                pid,
            });
        }
        Err(error) => return Err(failed(error.into())),
    }
    let write_pid = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write_pid(&mut file).map_err(failed)?;
    Ok(file)
}

fn read_marker(path: &Path) -> Result<Option<Marker>, DataDirectoryError> {
    read_small(path, parse_marker)
}

/// Reads a small file of ours; none if it is not there.
fn read_small<T>(
    path: &Path,
    parse: impl FnOnce(&[u8]) -> Result<T, serde_json::Error>,
) -> Result<Option<T>, DataDirectoryError> {
    let failed = |source| DataDirectoryError::Io {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut content = Vec::new();
    file.take(SMALL_FILE_BYTES_MAX)
        .read_to_end(&mut content)
        .map_err(failed)?;
    parse(&content)
        .map(Some)
        .map_err(|error| DataDirectoryError::Damaged {
            path: path.to_owned(),
            detail: error.to_string(),
        })
}

/// Only the format is required of a later version's marker, so that it can be refused by its name.
fn parse_marker(content: &[u8]) -> Result<Marker, serde_json::Error> {
    #[derive(Deserialize)]
    struct AnyFormat {
        format: u64,
    }
    let any: AnyFormat = serde_json::from_slice(content)?;
    if any.format > FORMAT {
        return Ok(Marker {
            format: any.format,
            cluster_id: String::new(),
            complete: false,
        });
    }
    serde_json::from_slice(content)
}

/// Makes the marker of a new directory.
fn create_marker(directory: &Path) -> io::Result<Marker> {
    let mut random = [0u8; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let cluster_id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let marker = Marker {
        format: FORMAT,
        cluster_id,
        complete: false,
    };
    write_marker(directory, &marker)?;
    Ok(marker)
}

fn write_marker(directory: &Path, marker: &Marker) -> io::Result<()> {
    write_small(directory, MARKER, marker)
}

/// Writes a small file so that it is there whole or not at all.
fn write_small(directory: &Path, name: &str, content: &impl Serialize) -> io::Result<()> {
    let temporary = directory.join(format!("{name}.new"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(&temporary)?;
    serde_json::to_writer(&mut file, content)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&temporary, directory.join(name))?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(outcome: Result<DataDirectory, DataDirectoryError>) -> String {
        outcome.unwrap_err().to_string()
    }

    #[test]
    fn what_was_lost_is_not_made_anew() {
        let parent = tempfile::tempdir().unwrap();
        let mut directory = DataDirectory::open_or_create(parent.path()).unwrap();
        fs::create_dir(directory.meta()).unwrap();
        fs::create_dir(directory.volumes()).unwrap();
        directory.mark_complete().unwrap();
        let meta = directory.meta();
        drop(directory);
        drop(DataDirectory::open_or_create(parent.path()).unwrap());
        fs::remove_dir(&meta).unwrap();
        let refusal = message(DataDirectory::open_or_create(parent.path()));
        assert!(
            refusal.contains("meta is damaged: it is missing"),
            "{refusal}"
        );
        assert!(!meta.exists());
    }

    #[test]
    fn a_directory_is_made_once_and_belongs_to_one() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let first = DataDirectory::open_or_create(&path).unwrap();
        assert!(first.was_created());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        let refusal = message(DataDirectory::open_or_create(&path));
        let pid = std::process::id();
        assert!(
            refusal.ends_with(&format!("is in use by another oncilla (pid {pid})")),
            "{refusal}"
        );
        let id = first.cluster_id().to_owned();
        drop(first);
        let again = DataDirectory::open_existing(&path).unwrap();
        assert!(!again.was_created());
        assert_eq!(again.cluster_id(), id);
    }

    #[test]
    fn a_further_directory_belongs_to_one_data_directory() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        let open = |name: &str| DataDirectory::open_or_create(&at(name)).unwrap();
        let refusal = |mut directory: DataDirectory, further: &str| {
            directory.claim(&at(further)).unwrap_err().to_string()
        };
        let mut first = open("first");
        first.claim(&at("cold")).unwrap();
        let in_use = refusal(open("second"), "cold");
        assert!(
            in_use.contains("cold is in use by another oncilla"),
            "{in_use}"
        );
        drop(first);
        let of_another = refusal(open("second"), "cold");
        assert!(
            of_another.contains("cold holds volumes of the data directory"),
            "{of_another}"
        );
        assert!(of_another.contains("first"), "{of_another}");

        // One that is a data directory, or a part of one by any name.
        let mut third = open("third");
        fs::create_dir(third.volumes()).unwrap();
        std::os::unix::fs::symlink(third.volumes(), at("link")).unwrap();
        for taken in [
            at("second"),
            at("third"),
            third.volumes().join("in"),
            at("link"),
        ] {
            let refused = third.claim(&taken).unwrap_err().to_string();
            assert!(refused.contains("is a data directory"), "{refused}");
            assert!(!taken.join(OWNER).exists());
        }
        // By two names.
        third.claim(&at("warm")).unwrap();
        third.claim(&at("third/../warm")).unwrap();

        // A copy of the data directory, while the original is there.
        fs::create_dir(at("copy")).unwrap();
        fs::copy(at("first").join(MARKER), at("copy").join(MARKER)).unwrap();
        let copied = refusal(open("copy"), "cold");
        assert!(copied.contains("copy is a copy"), "{copied}");
        // With a copy of the further directory it goes on alone.
        fs::create_dir(at("cold-copy")).unwrap();
        fs::copy(at("cold").join(OWNER), at("cold-copy").join(OWNER)).unwrap();
        open("copy").claim(&at("cold-copy")).unwrap();
        open("copy").claim(&at("cold-copy")).unwrap();
        open("first").claim(&at("cold")).unwrap();

        // A data directory that was moved is the original.
        fs::rename(at("first"), at("moved")).unwrap();
        open("moved").claim(&at("cold")).unwrap();
        fs::rename(at("cold"), at("colder")).unwrap();
        open("moved").claim(&at("colder")).unwrap();
    }

    #[test]
    fn a_directory_made_by_somebody_else_is_closed_to_others_once() {
        let directory = tempfile::tempdir().unwrap();
        let mode = || {
            let metadata = fs::metadata(directory.path()).unwrap();
            metadata.permissions().mode() & 0o777
        };
        let open_up = || fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755));
        open_up().unwrap();
        drop(DataDirectory::open_or_create(directory.path()).unwrap());
        assert_eq!(mode(), 0o700);
        // Whoever opens it later on means it.
        open_up().unwrap();
        drop(DataDirectory::open_or_create(directory.path()).unwrap());
        assert_eq!(mode(), 0o755);
    }

    #[test]
    fn what_is_not_understood_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let marker = directory.path().join(MARKER);
        for (content, expected) in [
            ("{\"format\":2,\"other\":true}", "has format 2"),
            ("{\"format\":1}", "is damaged"),
            ("{\"format\":0,\"cluster_id\":\"a\"}", "is damaged"),
            ("", "is damaged"),
            ("{\"format\":1,\"cluster_id\":\"\"}", "is damaged"),
        ] {
            fs::write(&marker, content).unwrap();
            let refusal = message(DataDirectory::open_or_create(directory.path()));
            assert!(refusal.contains(expected), "{content}: {refusal}");
            assert_eq!(fs::read_to_string(&marker).unwrap(), content);
        }
    }

    #[test]
    fn a_directory_of_something_else_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("meta")).unwrap();
        let refusal = message(DataDirectory::open_or_create(directory.path()));
        assert!(
            refusal.contains("is not empty and has no oncilla.json"),
            "{refusal}"
        );
        assert!(
            !directory.path().join(LOCK).exists(),
            "nothing was put into it"
        );
    }

    #[test]
    fn tools_do_not_make_directories() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("none");
        assert!(message(DataDirectory::open_existing(&missing)).contains("there is no"));
        assert!(!missing.exists());
        assert!(DataDirectory::open_existing(directory.path()).is_err());
    }

    #[test]
    fn an_interrupted_first_start_is_taken_up() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(LOCK), "1\n").unwrap();
        fs::write(directory.path().join(MARKER_NEW), "{\"form").unwrap();
        assert!(
            DataDirectory::open_or_create(directory.path())
                .unwrap()
                .was_created()
        );
    }
}
