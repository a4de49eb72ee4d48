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

/// Checks that every directory that links lead to is there, and makes those of new groups.
pub fn open(fs: &dyn FileSystem, dir: &Path, groups: &[VolumeGroup]) -> Result<(), OpenError> {
    let mut in_use = BTreeSet::new();
    for id in list_volumes(fs, dir)? {
        if let Some(target) = fs.link_target(&dir.join(id.file_name()))? {
            in_use.extend(target.parent().map(Path::to_owned));
        }
    }
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

fn is_marked(fs: &dyn FileSystem, dir: &Path) -> io::Result<bool> {
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
