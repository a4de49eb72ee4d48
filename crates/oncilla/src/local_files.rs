//! Folders of this machine: what is in them, and where keys go.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::sync_plan::{Entry, Listing};

/// Deepest folder walked into: beyond it a mistake (a mount inside itself) is likelier than intent.
const DEPTH_MAX: usize = 256;

/// What a folder holds.
#[derive(Debug, Default)]
pub struct Folder {
    /// Regular files by their path relative to the folder, with `/` between names.
    pub files: Listing,
    /// What could not be looked at, in words.
    pub problems: Vec<String>,
    /// What was left out because it is neither file nor folder.
    pub skipped: Vec<String>,
}

/// Everything in and below `root`. Symbolic links are followed, unless `follow_symlinks` is off:
/// then they are left out, as the AWS CLI does. A link to a folder that contains it is a problem,
/// not a loop. Blocks.
pub fn walk(root: &Path, follow_symlinks: bool) -> Folder {
    let mut folder = Folder::default();
    let mut above = Vec::new();
    walk_into(root, "", follow_symlinks, &mut above, &mut folder);
    folder
}

fn walk_into(
    directory: &Path,
    prefix: &str,
    follow_symlinks: bool,
    above: &mut Vec<(u64, u64)>,
    folder: &mut Folder,
) {
    let mut problem = |path: &Path, what: &dyn std::fmt::Display| {
        folder.problems.push(format!("{}: {what}", path.display()));
    };
    let identity = match fs::metadata(directory) {
        Ok(metadata) => (metadata.dev(), metadata.ino()),
        Err(error) => return problem(directory, &error),
    };
    if above.contains(&identity) {
        return problem(
            directory,
            &"a symbolic link leads back to a folder above it",
        );
    }
    if above.len() >= DEPTH_MAX {
        return problem(directory, &"folders are nested too deeply");
    }
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => return problem(directory, &error),
    };
    above.push(identity);
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                folder
                    .problems
                    .push(format!("{}: {error}", directory.display()));
                continue;
            }
        };
        let path = entry.path();
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            folder.problems.push(format!(
                "{}: the name is not UTF-8, which keys must be",
                path.display()
            ));
            continue;
        };
        if !follow_symlinks && entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
            continue;
        }
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) => {
                folder.problems.push(format!("{}: {error}", path.display()));
                continue;
            }
        };
        let relative = format!("{prefix}{name}");
        if metadata.is_dir() {
            walk_into(
                &path,
                &format!("{relative}/"),
                follow_symlinks,
                above,
                folder,
            );
        } else if metadata.is_file() {
            folder.files.insert(relative, entry_of(&metadata));
        } else {
            folder.skipped.push(path.display().to_string());
        }
    }
    above.pop();
}

/// Size and modification time of a file.
pub fn entry_of(metadata: &Metadata) -> Entry {
    let modified_ms = metadata
        .modified()
        .ok()
        .and_then(|time| match time.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).ok(),
            Err(before) => i64::try_from(before.duration().as_millis())
                .ok()
                .map(|ms| -ms),
        })
        .unwrap_or_default();
    Entry {
        size: metadata.len(),
        modified_ms,
    }
}

/// Where an object goes below `root`. Refuses keys that would end up elsewhere or that no file can
/// have as its name: whoever writes into a bucket must not write into a reader's home.
pub fn path_below(root: &Path, relative: &str) -> Result<PathBuf, String> {
    let mut path = root.to_owned();
    for name in relative.split('/') {
        let mut components = Path::new(name).components();
        match (components.next(), components.next()) {
            (Some(Component::Normal(_)), None) if !name.contains('\0') => path.push(name),
            _ => {
                return Err(format!(
                    "the key {relative:?} cannot be a path below a folder"
                ));
            }
        }
    }
    Ok(path)
}

/// Where it is kept which uploads can be resumed: below `$XDG_STATE_HOME`, else `~/.local/state`. `None`
/// if the environment names neither. Source: XDG Base Directory Specification, which ignores relative paths.
pub fn upload_records_folder() -> Option<PathBuf> {
    state_folder(|name| std::env::var_os(name)).map(|state| state.join("oncilla/uploads"))
}

fn state_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn state_is_kept_where_the_environment_says() {
        let folder = |state: &str, home: &str| {
            let found = state_folder(|name| {
                let value = if name == "HOME" { home } else { state };
                Some(value)
                    .filter(|value| !value.is_empty())
                    .map(OsString::from)
            });
            found.map(|path| path.to_string_lossy().into_owned())
        };
        assert_eq!(folder("/s", "/h").as_deref(), Some("/s"));
        assert_eq!(folder("", "/h").as_deref(), Some("/h/.local/state"));
        assert_eq!(folder("s", "/h").as_deref(), Some("/h/.local/state"));
        assert_eq!(folder("", ""), None);
    }

    #[test]
    fn walks_files_and_links() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir_all(path("a/b")).unwrap();
        fs::write(path("a/b/x"), "12").unwrap();
        fs::write(path("y"), "").unwrap();
        symlink(path("y"), path("link")).unwrap();
        symlink(root.path(), path("a/loop")).unwrap();
        symlink(path("nowhere"), path("dangling")).unwrap();

        let followed = walk(root.path(), true);
        let names: Vec<&str> = followed.files.keys().map(String::as_str).collect();
        assert_eq!(names, ["a/b/x", "link", "y"]);
        assert_eq!(followed.files["a/b/x"].size, 2);
        assert_eq!(followed.problems.len(), 2, "{:?}", followed.problems);

        let plain = walk(root.path(), false);
        assert_eq!(plain.files.len(), 2);
        assert!(plain.problems.is_empty());
        assert_eq!(walk(&path("none"), true).problems.len(), 1);
    }

    #[test]
    fn keys_stay_below_the_folder() {
        let below = |key| path_below(Path::new("/r"), key);
        assert_eq!(below("a/b"), Ok(PathBuf::from("/r/a/b")));
        for key in [
            "", "/a", "a//b", "../a", "a/../b", "a/.", "a/", "./a", "a\0b", "..",
        ] {
            assert!(below(key).is_err(), "{key:?}");
        }
    }
}
