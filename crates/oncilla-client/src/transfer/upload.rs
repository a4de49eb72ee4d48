//! Files and streams into objects.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use oncilla_hash::{Checksum, combine};

use super::Options;
use super::plan::{PARTS_MAX, PartPlan};
use super::resume::{self, Record};
use super::verify::{DigestKind, range_text};
use crate::body::{Body, ByteStream, FileRange, UPLOAD_CHECKSUM};
use crate::client::Client;
use crate::error::Error;
use crate::types::{PutObjectOutput, PutObjectRequest, UploadedPart};

/// Uploads a file: in one request below the threshold, else in parallel parts. The endpoint checks
/// every byte against checksums computed while the file was read.
///
/// On failure or cancellation an unfinished multipart upload is removed, unless
/// [`Options::resume`] asks to leave it to be continued, which the same request does.
///
/// # Errors
/// [`Error::Changed`] if the file changed meanwhile; nothing is stored then, or what was stored is
/// a consistent earlier state if the file was small.
pub async fn upload_file(
    client: &Client,
    path: &Path,
    request: &PutObjectRequest,
    options: &Options,
) -> Result<PutObjectOutput, Error> {
    let opened = path.to_owned();
    let (file, metadata) = blocking(path, move || {
        let file = File::open(&opened)?;
        let metadata = file.metadata()?;
        Ok((Arc::new(file), metadata))
    })
    .await?;
    let whole = FileRange {
        file,
        path: path.to_owned(),
        offset_bytes: 0,
        length_bytes: metadata.len(),
    };
    if metadata.len() < options.multipart_threshold_bytes.max(1) {
        let put = async {
            let _slot = options.slot().await?;
            client
                .put_object(request, Body::File(whole), options.progress.clone())
                .await
        };
        return options.unless_cancelled(put).await;
    }
    upload_file_in_parts(client, whole, &metadata, request, options).await
}

async fn upload_file_in_parts(
    client: &Client,
    whole: FileRange,
    metadata: &Metadata,
    request: &PutObjectRequest,
    options: &Options,
) -> Result<PutObjectOutput, Error> {
    let plan = PartPlan::new(whole.length_bytes, options.part_bytes)
        .map_err(|error| Error::Config(format!("{}: {error}", whole.path.display())))?;
    let Begun {
        upload_id,
        done,
        record,
    } = begin(client, &whole, &plan, request, options).await?;
    options.advance(done.values().map(|part| part.size).sum());

    let parts = async {
        let missing = plan.numbers().filter(|number| !done.contains_key(number));
        let uploads = stream::iter(missing.map(|number| {
            let (offset_bytes, length_bytes) = plan.part(number);
            let body = Body::File(FileRange {
                offset_bytes,
                length_bytes,
                ..whole.clone()
            });
            let upload_id = &upload_id;
            async move {
                let _slot = options.slot().await?;
                let progress = options.progress.clone();
                client
                    .upload_part(request, upload_id, number, body, progress)
                    .await
            }
        }));
        let sent: Vec<UploadedPart> = uploads
            .buffer_unordered(options.concurrency)
            .try_collect()
            .await?;
        let mut parts = done.clone();
        parts.extend(sent.into_iter().map(|part| (part.part_number, part)));
        check_unchanged(&whole, metadata).await?;
        let parts: Vec<UploadedPart> = parts.into_values().collect();
        complete(client, request, &upload_id, &parts).await
    };
    let outcome = options.unless_cancelled(parts).await;
    let Some(record) = record else {
        return abandon_if_failed(client, request, &upload_id, outcome).await;
    };
    match &outcome {
        Err(error) if !matches!(error, Error::Changed { .. }) => {
            tracing::info!(upload_id, key = request.key, "upload kept, to be resumed");
            outcome
        }
        _ => {
            record.remove();
            abandon_if_failed(client, request, &upload_id, outcome).await
        }
    }
}

/// An upload to send parts to.
struct Begun {
    upload_id: String,
    /// Parts that need not be sent any more.
    done: BTreeMap<u32, UploadedPart>,
    /// What allows to resume it.
    record: Option<Record>,
}

/// Begins an upload, or resumes one if that is asked for and there is one.
async fn begin(
    client: &Client,
    whole: &FileRange,
    plan: &PartPlan,
    request: &PutObjectRequest,
    options: &Options,
) -> Result<Begun, Error> {
    if let Some(folder) = &options.resume {
        let resuming = async {
            let Some(record) = resume::find(client, folder, request, options).await? else {
                return Ok(None);
            };
            let done = parts_done(client, whole, plan, request, &record.upload_id).await?;
            Ok::<_, Error>(Some((record, done)))
        };
        if let Some((record, done)) = options.unless_cancelled(resuming).await? {
            return Ok(Begun {
                upload_id: record.upload_id.clone(),
                done,
                record: Some(record),
            });
        }
    }
    let upload_id = client.create_multipart_upload(request).await?;
    let record = match &options.resume {
        Some(folder) => resume::remember(client, folder, request, &upload_id, options).await,
        None => None,
    };
    Ok(Begun {
        upload_id,
        done: BTreeMap::new(),
        record,
    })
}

/// Uploads a stream of unknown length, such as standard input. It is cut into parts held in
/// memory, one per slot; a stream shorter than the threshold becomes one plain request.
///
/// # Errors
/// [`Error::Config`] if the stream is longer than 10,000 parts: state `expected_bytes` then.
pub async fn upload_stream(
    client: &Client,
    source: ByteStream,
    expected_bytes: Option<u64>,
    request: &PutObjectRequest,
    options: &Options,
) -> Result<PutObjectOutput, Error> {
    let plan = PartPlan::new(expected_bytes.unwrap_or_default(), options.part_bytes)
        .map_err(|error| Error::Config(error.to_string()))?;
    let part_bytes = usize::try_from(plan.part_bytes)
        .map_err(|_| Error::Config("parts do not fit this machine's memory".to_owned()))?;
    let mut source = PartSource {
        source,
        pending: BytesMut::new(),
        part_bytes,
    };

    let first = options.unless_cancelled(source.next()).await?;
    let second = options.unless_cancelled(source.next()).await?;
    let (first, second) = match (first, second) {
        (Some(first), Some(second)) => (first, second),
        (only, _) => {
            let body = Body::Bytes(only.unwrap_or_default());
            let put = client.put_object(request, body, options.progress.clone());
            return options.unless_cancelled(put).await;
        }
    };

    let upload_id = client.create_multipart_upload(request).await?;
    let upload = async {
        let head = stream::iter([Ok(first), Ok(second)]);
        let tail = stream::try_unfold(source, |mut source| async move {
            Ok(source.next().await?.map(|part| (part, source)))
        });
        let numbered = head.chain(tail).zip(stream::iter(1_u32..));
        let upload_id = &upload_id;
        let mut parts: Vec<UploadedPart> = numbered
            .map(|(part, number)| async move {
                let body = Body::Bytes(part?);
                if u64::from(number) > PARTS_MAX {
                    return Err(Error::Config(format!(
                        "the stream is longer than {PARTS_MAX} parts of {part_bytes} bytes; state its size with --expected-size"
                    )));
                }
                let _slot = options.slot().await?;
                let progress = options.progress.clone();
                client.upload_part(request, upload_id, number, body, progress).await
            })
            .buffer_unordered(options.concurrency)
            .try_collect()
            .await?;
        parts.sort_by_key(|part| part.part_number);
        complete(client, request, upload_id, &parts).await
    };
    let outcome = options.unless_cancelled(upload).await;
    // A stream cannot be read again, so there is nothing to resume.
    abandon_if_failed(client, request, &upload_id, outcome).await
}

/// Cuts a stream into parts of one size.
struct PartSource {
    source: ByteStream,
    pending: BytesMut,
    part_bytes: usize,
}

impl PartSource {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while self.pending.len() < self.part_bytes {
            match self.source.next().await {
                Some(Ok(bytes)) => self.pending.extend_from_slice(&bytes),
                Some(Err(error)) => return Err(Error::Source(error.to_string())),
                None => break,
            }
        }
        let length = self.pending.len().min(self.part_bytes);
        Ok((length > 0).then(|| self.pending.split_to(length).freeze()))
    }
}

pub(super) async fn complete(
    client: &Client,
    request: &PutObjectRequest,
    upload_id: &str,
    parts: &[UploadedPart],
) -> Result<PutObjectOutput, Error> {
    let checksum = whole_checksum(parts);
    client
        .complete_multipart_upload(request, upload_id, parts, checksum.as_deref())
        .await
}

/// The checksum of the whole from those of its parts; `None` if one of them is not known.
fn whole_checksum(parts: &[UploadedPart]) -> Option<String> {
    let mut whole: Option<Checksum> = None;
    for part in parts {
        let text = part.checksum_crc64nvme.as_deref()?;
        let checksum = Checksum::from_base64(UPLOAD_CHECKSUM, text).ok()?;
        whole = Some(match whole {
            None => checksum,
            Some(before) => combine(&before, &checksum, part.size)?,
        });
    }
    whole.map(|checksum| checksum.to_base64())
}

/// Removes the parts of an upload that will not be completed.
pub(super) async fn abandon_if_failed<T>(
    client: &Client,
    request: &PutObjectRequest,
    upload_id: &str,
    outcome: Result<T, Error>,
) -> Result<T, Error> {
    if outcome.is_err()
        && let Err(abort_error) = client
            .abort_multipart_upload(&request.bucket, &request.key, upload_id)
            .await
    {
        tracing::warn!(upload_id, key = request.key, error = %abort_error, "multipart upload could not be removed");
    }
    outcome
}

async fn check_unchanged(whole: &FileRange, before: &Metadata) -> Result<(), Error> {
    let file = whole.file.clone();
    let now = blocking(&whole.path, move || file.metadata()).await?;
    if now.len() == before.len() && now.modified().ok() == before.modified().ok() {
        return Ok(());
    }
    Err(Error::Changed {
        subject: whole.path.display().to_string(),
    })
}

/// Those parts of an upload that are equal to the file's. A part that is not goes through the net again.
async fn parts_done(
    client: &Client,
    whole: &FileRange,
    plan: &PartPlan,
    request: &PutObjectRequest,
    upload_id: &str,
) -> Result<BTreeMap<u32, UploadedPart>, Error> {
    let listed = client.list_parts(request, upload_id).await?;
    let mut done = BTreeMap::new();
    for part in listed {
        if !plan.numbers().contains(&part.part_number) {
            continue;
        }
        let (offset, length) = plan.part(part.part_number);
        if part.size != length {
            continue;
        }
        let (kind, expected) = match &part.checksum_crc64nvme {
            Some(checksum) => (DigestKind::Checksum(UPLOAD_CHECKSUM), checksum.clone()),
            None => (DigestKind::Md5, part.etag.clone()),
        };
        let file = whole.file.clone();
        let found = blocking(&whole.path, move || range_text(kind, &file, offset, length)).await?;
        if found == expected {
            done.insert(part.part_number, part);
        }
    }
    tracing::info!(upload_id, parts = done.len(), "resuming an upload");
    Ok(done)
}

/// Runs file work off the runtime's threads.
pub(super) async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error)))
        .map_err(|error| Error::io(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_checksum_follows_from_the_parts() {
        let part = |number, data: &[u8]| UploadedPart {
            part_number: number,
            etag: String::new(),
            size: data.len() as u64,
            checksum_crc64nvme: Some(Checksum::of(UPLOAD_CHECKSUM, data).to_base64()),
        };
        let mut parts = vec![part(1, b"hello "), part(2, b"world")];
        assert_eq!(whole_checksum(&parts).as_deref(), Some("jSnVw/bqjr4="));
        parts[1].checksum_crc64nvme = None;
        assert_eq!(whole_checksum(&parts), None);
    }

    #[test]
    fn streams_are_cut_into_equal_parts() {
        let pieces = [3_usize, 9, 1, 0, 7].map(|length| Ok(Bytes::from(vec![1; length])));
        let source = Box::pin(stream::iter(pieces));
        let mut source = PartSource {
            source,
            pending: BytesMut::new(),
            part_bytes: 8,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let lengths: Vec<usize> = runtime.block_on(async {
            let mut lengths = Vec::new();
            while let Some(part) = source.next().await.unwrap() {
                lengths.push(part.len());
            }
            lengths
        });
        assert_eq!(lengths, [8, 8, 4]);
    }
}
