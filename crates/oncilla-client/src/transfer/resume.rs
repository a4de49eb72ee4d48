//! Which unfinished uploads may be resumed, and with what they were begun.
//!
//! S3 fixes ACL, encryption, storage class, tags, metadata and headers of an object when its multipart
//! upload is created, and no request tells them afterwards. So they are remembered here, as a digest: an
//! upload is resumed only by a request that would have created it the same way.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use oncilla_hash::{Sha256, hex};

use super::Options;
use super::upload::blocking;
use crate::client::Client;
use crate::error::Error;
use crate::types::PutObjectRequest;

/// An unfinished upload that was begun with this folder of records. It is one file, locked while a
/// process sends parts of the upload.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    pub(super) upload_id: String,
    attributes: String,
    is_in_use: bool,
    _locked: File,
}

impl Record {
    /// Remembers an upload that was just begun.
    fn create(folder: &Path, place: &str, upload_id: &str, attributes: &str) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{place}-{}", digest(upload_id)));
        let mut file = File::create_new(&path)?;
        file.lock()?;
        file.write_all(format!("{attributes}\n{upload_id}").as_bytes())?;
        Ok(Self {
            path,
            upload_id: upload_id.to_owned(),
            attributes: attributes.to_owned(),
            is_in_use: false,
            _locked: file,
        })
    }

    /// The records of one place.
    fn all_of(folder: &Path, place: &str) -> io::Result<Vec<Self>> {
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut records = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with(place)) {
                records.extend(Self::read(entry.path())?);
            }
        }
        Ok(records)
    }

    /// `None` for a record that is gone, or not yet written.
    fn read(path: PathBuf) -> io::Result<Option<Self>> {
        let mut file = match File::options().read(true).write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let is_in_use = match file.try_lock() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(error)) => return Err(error),
        };
        let mut content = String::new();
        file.read_to_string(&mut content)?;
        Ok(content
            .split_once('\n')
            .map(|(attributes, upload_id)| Self {
                path,
                upload_id: upload_id.to_owned(),
                attributes: attributes.to_owned(),
                is_in_use,
                _locked: file,
            }))
    }

    /// Forgets an upload that is no more.
    pub(super) fn remove(self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "record of an upload stays");
        }
    }
}

/// The upload of the key that was begun with the same attributes, if there is one. Others that were
/// begun from here with other attributes are given up: the new upload takes their place.
pub(super) async fn find(
    client: &Client,
    folder: &Path,
    request: &PutObjectRequest,
    options: &Options,
) -> Result<Option<Record>, Error> {
    let subject = format!("s3://{}/{}", request.bucket, request.key);
    let attributes = client.attributes_digest(request)?;
    let place = place(client, request);
    let kept_in = folder.to_owned();
    let read = blocking(folder, move || Record::all_of(&kept_in, &place)).await;
    let mut records = read.unwrap_or_else(|error| {
        options.notify(&format!("{subject}: no upload can be resumed: {error}"));
        Vec::new()
    });
    let mut uploads = client
        .list_multipart_uploads(&request.bucket, &request.key)
        .await?;
    uploads.retain(|upload| upload.key == request.key);
    uploads.sort_by_key(|upload| std::cmp::Reverse(upload.initiated_ms));

    let mut found = None;
    for upload in uploads {
        let id = &upload.upload_id;
        let Some(at) = records.iter().position(|record| record.upload_id == *id) else {
            options.notify(&format!(
                "{subject}: upload {id} is unfinished and left alone: it was not begun by this user of this machine with --resume"
            ));
            continue;
        };
        let record = records.swap_remove(at);
        if record.is_in_use {
            options.notify(&format!(
                "{subject}: upload {id} is left to the process that is at it"
            ));
        } else if record.attributes != attributes {
            give_up(client, request, record, options).await;
        } else if found.is_none() {
            found = Some(record);
        }
    }
    // What is left is of uploads that somebody completed or aborted.
    let stale = records.into_iter().filter(|record| !record.is_in_use);
    stale.for_each(Record::remove);
    Ok(found)
}

async fn give_up(client: &Client, request: &PutObjectRequest, record: Record, options: &Options) {
    let PutObjectRequest { bucket, key, .. } = request;
    let id = record.upload_id.clone();
    let begun = format!("s3://{bucket}/{key}: upload {id} was begun with other flags");
    match client.abort_multipart_upload(bucket, key, &id).await {
        Ok(()) => {
            record.remove();
            options.notify(&format!("{begun}; it is given up, and a new one begins"));
        }
        Err(error) => options.notify(&format!(
            "{begun}; a new one begins, but it could not be removed: {error}"
        )),
    }
}

/// Remembers an upload that was just begun; without that it cannot be resumed.
pub(super) async fn remember(
    client: &Client,
    folder: &Path,
    request: &PutObjectRequest,
    upload_id: &str,
    options: &Options,
) -> Option<Record> {
    let attributes = client.attributes_digest(request).ok()?;
    let (place, id, kept_in) = (
        place(client, request),
        upload_id.to_owned(),
        folder.to_owned(),
    );
    let create = move || Record::create(&kept_in, &place, &id, &attributes);
    match blocking(folder, create).await {
        Ok(record) => Some(record),
        Err(error) => {
            let (bucket, key) = (&request.bucket, &request.key);
            options.notify(&format!(
                "s3://{bucket}/{key}: this upload cannot be resumed should it be interrupted: {error}"
            ));
            None
        }
    }
}

/// What an object is called in the folder: keys are longer than file names may be.
fn place(client: &Client, request: &PutObjectRequest) -> String {
    let endpoint = client.settings().endpoint.url();
    digest(&format!("{endpoint}\n{}\n{}", request.bucket, request.key))
}

fn digest(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_of_one_place_and_say_whether_they_are_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("not/yet");
        assert!(Record::all_of(&folder, "p").unwrap().is_empty());
        let record = Record::create(&folder, "p", "id/1", "digest").unwrap();
        drop(Record::create(&folder, "q", "id/1", "digest").unwrap());
        assert!(Record::create(&folder, "p", "id/1", "digest").is_err());

        let all = Record::all_of(&folder, "p").unwrap();
        assert_eq!(all.len(), 1);
        assert!(all[0].is_in_use);
        drop((record, all));
        let mut all = Record::all_of(&folder, "p").unwrap();
        let again = all.pop().unwrap();
        assert!(!again.is_in_use && all.is_empty());
        assert_eq!(
            (again.upload_id.as_str(), again.attributes.as_str()),
            ("id/1", "digest")
        );
        again.remove();
        assert!(Record::all_of(&folder, "p").unwrap().is_empty());
        assert_eq!(Record::all_of(&folder, "q").unwrap().len(), 1);
    }
}
