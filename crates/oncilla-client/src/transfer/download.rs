//! Objects into files.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::Options;
use super::plan::PartPlan;
use super::upload::blocking;
use super::verify::{
    DigestKind, Expectation, Verified, check_length, compare, composite_text, range_text,
};
use crate::client::Client;
use crate::error::Error;
use crate::retry::RetryPolicy;
use crate::types::{GetObjectRequest, ObjectInfo};

/// Bytes gathered before a write: a trip to the file threads per network packet would be slow.
const WRITE_BYTES: usize = 1024 * 1024;

/// Downloads an object into `path`, which appears only when every byte has arrived and been
/// verified. Until then the bytes are in a hidden file beside it, which is removed on failure. The
/// file gets the object's modification time.
///
/// The bytes are not synced to disk: the object still exists where it came from.
///
/// # Errors
/// [`Error::Changed`] if the object was overwritten meanwhile, [`Error::Integrity`] if what arrived
/// is not what the endpoint says is stored.
pub async fn download_file(
    client: &Client,
    request: &GetObjectRequest,
    path: &Path,
    options: &Options,
) -> Result<(ObjectInfo, Verified), Error> {
    options
        .unless_cancelled(download(client, request, path, options))
        .await
}

async fn download(
    client: &Client,
    request: &GetObjectRequest,
    path: &Path,
    options: &Options,
) -> Result<(ObjectInfo, Verified), Error> {
    let subject = format!("s3://{}/{}", request.bucket, request.key);
    let info = {
        let _slot = options.slot().await?;
        client.head_object(request).await?
    };
    // From here on every request means the same bytes as this one.
    let pinned = GetObjectRequest {
        if_match: info.etag.clone(),
        ..request.clone()
    };
    let partial = PartialFile::create(path).await?;
    let size = info.content_length;

    if size < options.multipart_threshold_bytes {
        let _slot = options.slot().await?;
        fetch_range(client, &pinned, &partial, 0, size, options).await?;
    } else {
        let plan = PartPlan::new(size, options.part_bytes)
            .map_err(|error| Error::Config(format!("{subject}: {error}")))?;
        let fetches = plan.numbers().map(|number| {
            let (offset, length) = plan.part(number);
            let (pinned, partial) = (&pinned, &partial);
            async move {
                let _slot = options.slot().await?;
                fetch_range(client, pinned, partial, offset, length, options).await
            }
        });
        stream::iter(fetches)
            .buffer_unordered(options.concurrency)
            .try_collect::<()>()
            .await?;
    }
    let file = LocalFile {
        file: partial.file.clone(),
        path: partial.path.clone(),
    };
    let verified = verify(client, &pinned, &file, &info, &subject).await?;
    partial.put_in_place(info.last_modified_ms).await?;
    Ok((info, verified))
}

/// Fetches `length` bytes from `offset` into the same place of the file. A connection that breaks
/// is taken up again where it broke.
async fn fetch_range(
    client: &Client,
    request: &GetObjectRequest,
    partial: &PartialFile,
    offset: u64,
    length: u64,
    options: &Options,
) -> Result<(), Error> {
    let policy = RetryPolicy {
        max_attempts: client.settings().max_attempts,
    };
    let end = offset + length;
    let mut position = offset;
    let mut failures = 0;
    while position < end {
        let before = position;
        let error = match fetch_once(client, request, partial, &mut position, end, options).await {
            Ok(()) => continue,
            Err(error @ (Error::Network { .. } | Error::Timeout { .. })) => error,
            Err(Error::PreconditionFailed(_)) => {
                let subject = format!("s3://{}/{}", request.bucket, request.key);
                return Err(Error::Changed { subject });
            }
            Err(error) => return Err(error),
        };
        // A connection that brought something was not in vain.
        failures = if position > before { 1 } else { failures + 1 };
        let random = getrandom::u32().unwrap_or(u32::MAX);
        let Some(delay) = policy.delay(failures, random, None) else {
            return Err(error);
        };
        tracing::debug!(position, error = %error, "download will be taken up again");
        tokio::time::sleep(delay).await;
    }
    Ok(())
}

async fn fetch_once(
    client: &Client,
    request: &GetObjectRequest,
    partial: &PartialFile,
    position: &mut u64,
    end: u64,
    options: &Options,
) -> Result<(), Error> {
    let range = Some(format!("bytes={}-{}", *position, end - 1));
    let request = GetObjectRequest {
        range,
        ..request.clone()
    };
    let mut output = client.get_object(&request).await?;
    let subject = format!("s3://{}/{}", request.bucket, request.key);
    if output.info.etag != request.if_match {
        return Err(Error::Changed { subject });
    }
    // Also catches an endpoint that ignores ranges and sends everything.
    check_length(&subject, end - *position, output.info.content_length)?;
    let mut pending = BytesMut::with_capacity(WRITE_BYTES);
    loop {
        let piece = output.body.chunk().await;
        if let Ok(Some(bytes)) = &piece {
            options.advance(bytes.len() as u64);
            pending.extend_from_slice(bytes);
        }
        let is_last = !matches!(piece, Ok(Some(_)));
        if pending.len() >= WRITE_BYTES || (is_last && !pending.is_empty()) {
            let (file, bytes, at) = (partial.file.clone(), pending.split(), *position);
            if at + bytes.len() as u64 > end {
                return check_length(&subject, end - at, bytes.len() as u64);
            }
            let written = bytes.len() as u64;
            blocking(&partial.path, move || file.write_all_at(&bytes, at)).await?;
            *position += written;
        }
        match piece {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Whether a local file is what an object holds, by the best check that the object's headers allow.
/// `info` is the answer to [`Client::head_object`] for `request`.
///
/// # Errors
/// [`Error::Integrity`] if it is not.
pub async fn verify_file(
    client: &Client,
    request: &GetObjectRequest,
    info: &ObjectInfo,
    path: &Path,
) -> Result<Verified, Error> {
    let opened = path.to_owned();
    let file = Arc::new(blocking(path, move || File::open(opened)).await?);
    let local = LocalFile {
        file,
        path: path.to_owned(),
    };
    let subject = path.display().to_string();
    let pinned = GetObjectRequest {
        if_match: info.etag.clone(),
        ..request.clone()
    };
    verify(client, &pinned, &local, info, &subject).await
}

/// An open file with its name for messages.
struct LocalFile {
    file: Arc<File>,
    path: PathBuf,
}

async fn verify(
    client: &Client,
    request: &GetObjectRequest,
    local: &LocalFile,
    info: &ObjectInfo,
    subject: &str,
) -> Result<Verified, Error> {
    let size = info.content_length;
    let file = local.file.clone();
    let length = blocking(&local.path, move || Ok(file.metadata()?.len())).await?;
    check_length(subject, size, length)?;
    match Expectation::of(info) {
        Expectation::Nothing => Ok(Verified::LengthOnly),
        Expectation::Whole { digest, expected } => {
            let file = local.file.clone();
            let found = blocking(&local.path, move || range_text(digest, &file, 0, size)).await?;
            compare(subject, digest.name(), &expected, &found)?;
            Ok(match digest {
                DigestKind::Checksum(algorithm) => Verified::Checksum(algorithm),
                DigestKind::Md5 => Verified::Md5,
            })
        }
        Expectation::Parts {
            digest,
            expected,
            parts,
        } => {
            let Some(first) = part_size(client, request, 1).await? else {
                return Ok(Verified::LengthOnly);
            };
            // Nearly every tool makes equal parts; who does not is asked part by part.
            let even = PartPlan {
                object_bytes: size,
                part_bytes: first.max(1),
            };
            let mut sizes: Vec<u64> = even.numbers().map(|number| even.part(number).1).collect();
            let mut found = composite(local, digest, sizes).await?;
            if found != expected {
                sizes = Vec::new();
                for number in 1..=parts {
                    match part_size(client, request, number).await? {
                        Some(size) => sizes.push(size),
                        None => return Ok(Verified::LengthOnly),
                    }
                }
                if sizes.iter().sum::<u64>() != size {
                    return Ok(Verified::LengthOnly);
                }
                found = composite(local, digest, sizes).await?;
            }
            compare(
                subject,
                format!("{} of its parts", digest.name()),
                &expected,
                &found,
            )?;
            Ok(match digest {
                DigestKind::Checksum(algorithm) => Verified::CompositeChecksum(algorithm),
                DigestKind::Md5 => Verified::CompositeMd5,
            })
        }
    }
}

async fn composite(
    local: &LocalFile,
    digest: DigestKind,
    sizes: Vec<u64>,
) -> Result<String, Error> {
    let file = local.file.clone();
    blocking(&local.path, move || composite_text(digest, &file, &sizes)).await
}

/// Size of one part; `None` if the endpoint does not keep parts apart.
async fn part_size(
    client: &Client,
    request: &GetObjectRequest,
    number: u32,
) -> Result<Option<u64>, Error> {
    let request = GetObjectRequest {
        part_number: Some(number),
        ..request.clone()
    };
    match client.head_object(&request).await {
        Ok(info) if info.parts_count.is_some() => Ok(Some(info.content_length)),
        Ok(_) => Ok(None),
        Err(Error::Service(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file that is not there yet.
struct PartialFile {
    file: Arc<File>,
    path: PathBuf,
    target: PathBuf,
    kept: bool,
}

impl PartialFile {
    async fn create(target: &Path) -> Result<Self, Error> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let random =
            getrandom::u64().map_err(|error| Error::io(target, std::io::Error::other(error)))?;
        // Long names are cut, because the addition must not exceed what a file system allows.
        let stem: String = name.chars().take(48).collect();
        let path = target.with_file_name(format!(".{stem}.{random:016x}.part"));
        let created = path.clone();
        let file = blocking(&path, move || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&created)
        })
        .await?;
        Ok(Self {
            file: Arc::new(file),
            path,
            target: target.to_owned(),
            kept: false,
        })
    }

    async fn put_in_place(mut self, modified_ms: Option<i64>) -> Result<(), Error> {
        let (file, path, target) = (self.file.clone(), self.path.clone(), self.target.clone());
        blocking(&self.target, move || {
            if let Some(modified) = modified_ms.and_then(system_time) {
                file.set_modified(modified)?;
            }
            std::fs::rename(&path, &target)
        })
        .await?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "unfinished file left behind");
        }
    }
}

fn system_time(unix_ms: i64) -> Option<SystemTime> {
    let since = Duration::from_millis(u64::try_from(unix_ms).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}
