//! Further directories with volumes: marked when they are first used, and refused without the mark.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::OpenError;
use crate::format::GROUP_BYTES_MAX;
use crate::fs::{FileSystem, write_all_at};
use crate::options::VolumeGroup;
use crate::volumes::list_volumes;

/// The file that marks a directory as one that holds volumes. It holds the name of the group.
const MARK: &str = "oncilla-volumes";

/// The directories besides `dir` that opening it with `groups` uses: those that hold volumes of
/// it, and those that are to. Without directories that are missing, or that something else is
/// mounted over: opening refuses those.
///
/// # Errors
/// What the file system says.
pub fn further_directories(
    fs: &dyn FileSystem,
    dir: &Path,
    groups: &[VolumeGroup],
) -> io::Result<BTreeSet<PathBuf>> {
    let in_use = match linked_directories(fs, dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
        linked => linked?,
    };
    let mut directories = BTreeSet::new();
    for used in &in_use {
        if is_marked(fs, used)? {
            directories.insert(used.clone());
        }
    }
    let new = groups.iter().map(|group| group.dir.clone());
    directories.extend(new.filter(|dir| !in_use.contains(dir)));
    Ok(directories)
}

/// The directories that the links in `dir` lead to.
fn linked_directories(fs: &dyn FileSystem, dir: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut linked = BTreeSet::new();
    for id in list_volumes(fs, dir)? {
        if let Some(target) = fs.link_target(&dir.join(id.file_name()))? {
            linked.extend(target.parent().map(Path::to_owned));
        }
    }
    Ok(linked)
}

/// Checks that every directory that links lead to is there, and makes those of new groups.
pub fn open(fs: &dyn FileSystem, dir: &Path, groups: &[VolumeGroup]) -> Result<(), OpenError> {
    let in_use = linked_directories(fs, dir)?;
    for used in &in_use {
        if !is_marked(fs, used)? {
            return Err(OpenError::GroupMissing(used.clone()));
        }
    }
    let mut seen: Vec<&VolumeGroup> = Vec::new();
    for group in groups {
        if group.name.len() > GROUP_BYTES_MAX {
            return Err(OpenError::Option {
                option: "group",
                allowed: "at most 64 bytes",
            });
        }
        let twice = |other: &&VolumeGroup| other.name == group.name || other.dir == group.dir;
        if seen.iter().any(twice) || group.dir == dir {
            return Err(OpenError::GroupTwice(group.name.clone()));
        }
        seen.push(group);
        fs.create_dir_all(&group.dir)?;
        if !is_marked(fs, &group.dir)? {
            mark(fs, group)?;
        }
    }
    Ok(())
}

fn mark_path(dir: &Path) -> PathBuf {
    dir.join(MARK)
}

/// Whether a directory is one that holds volumes.
pub fn is_marked(fs: &dyn FileSystem, dir: &Path) -> io::Result<bool> {
    match fs.open(&mark_path(dir)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn mark(fs: &dyn FileSystem, group: &VolumeGroup) -> io::Result<()> {
    let file = fs.create_new(&mark_path(&group.dir))?;
    write_all_at(&*file, group.name.as_bytes(), 0)?;
    file.sync_all()?;
    fs.sync_dir(&group.dir)
}
