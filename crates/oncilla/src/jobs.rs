//! Transfers: one, or many at once with a count of what failed.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{StreamExt, stream};
use oncilla_client::transfer::{
    Options, StreamVerifier, copy_object, download_file, upload_file, upload_stream,
};
use oncilla_client::{
    ByteStream, CHUNK_BYTES, Client, CopyObjectRequest, GetObjectRequest, ObjectAttributes,
    ObjectInfo, PutObjectRequest, exit_code,
};
use serde::Serialize;

use crate::commands::attribute_args::AttributeArgs;
use crate::commands::customer_key_args::TransferKeys;
use crate::common_args::CommonArgs;
use crate::failure::{Failure, INTERRUPTED};
use crate::location::{Location, S3Url};
use crate::output;
use crate::progress::TransferBar;

/// One thing to copy.
#[derive(Clone, Debug)]
pub struct Job {
    /// From where.
    pub source: Location,
    /// To where.
    pub destination: Location,
    /// How many bytes, where known.
    pub size: u64,
}

/// Does jobs and reports about them.
pub struct Runner {
    /// Where the objects are.
    pub client: Client,
    /// How to transfer.
    pub options: Options,
    /// Headers of what is uploaded.
    pub attributes: AttributeArgs,
    /// Keys of the client's, by which objects are encrypted.
    pub keys: TransferKeys,
    /// Remove every source that has been copied (`mv`).
    pub remove_source: bool,
    /// Say what would be done and do nothing.
    pub dry_run: bool,
    /// Length of a stream on standard input, where the user knows it.
    pub expected_bytes: Option<u64>,
    /// Version of the one source, when not the newest.
    pub source_version: Option<String>,
    bar: TransferBar,
    concurrency: usize,
    json: bool,
    quiet: bool,
    failed: AtomicU64,
}

/// One line of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    operation: &'a str,
    source: String,
    destination: Option<String>,
    size: Option<u64>,
    dry_run: bool,
}

impl Runner {
    /// A runner with the common flags.
    pub fn new(client: Client, common: &CommonArgs, attributes: AttributeArgs) -> Self {
        let bar = TransferBar::new(common.shows_progress());
        let mut options = common.transfer_options();
        options.progress = Some(bar.sink());
        options.notice = (!common.quiet).then(|| bar.notices());
        Self {
            client,
            options,
            attributes,
            keys: TransferKeys::default(),
            remove_source: false,
            dry_run: false,
            expected_bytes: None,
            source_version: None,
            bar,
            concurrency: common.concurrency,
            json: common.json,
            quiet: common.quiet,
            failed: AtomicU64::new(0),
        }
    }

    /// Does one job; its failure is the command's.
    pub async fn run_one(&self, job: Job) -> Result<(), Failure> {
        self.bar.expect(job.size);
        let outcome = self.transfer(&job).await;
        self.bar.finish();
        outcome
    }

    /// Does all jobs, some at once, in spite of failures in between.
    pub async fn run_all(&self, jobs: Vec<Job>) {
        for job in &jobs {
            self.bar.expect(job.size);
        }
        stream::iter(jobs)
            .for_each_concurrent(self.concurrency, |job| async move {
                if self.options.cancel.is_cancelled() {
                    return;
                }
                if let Err(failure) = self.transfer(&job).await {
                    self.note_failure(&failure);
                }
            })
            .await;
    }

    /// Reports a failure that does not end the command, and remembers it.
    pub fn note_failure(&self, failure: &Failure) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        if failure.exit_code != INTERRUPTED {
            self.bar.pause(|| failure.report());
        }
    }

    /// The outcome of the whole command.
    pub fn finish(&self) -> Result<(), Failure> {
        self.bar.finish();
        if self.options.cancel.is_cancelled() {
            return Err(Failure {
                message: "interrupted".to_owned(),
                advice: None,
                exit_code: INTERRUPTED,
            });
        }
        match self.failed.load(Ordering::Relaxed) {
            0 => Ok(()),
            1 => Err(Failure::reported(exit_code::GENERAL)),
            failed => {
                let message = format!("{failed} of the files failed; the others are done");
                Err(Failure {
                    exit_code: exit_code::GENERAL,
                    ..Failure::general(message)
                })
            }
        }
    }

    /// Says what was done.
    pub fn report(
        &self,
        operation: &str,
        source: &Location,
        destination: Option<&Location>,
        size: Option<u64>,
    ) -> Result<(), Failure> {
        let dry_run = self.dry_run;
        // With bytes on standard output nothing else may appear there.
        if destination == Some(&Location::Standard) {
            return Ok(());
        }
        let printed = self.bar.pause(|| {
            if self.json {
                return output::json_line(&Report {
                    operation,
                    source: source.to_string(),
                    destination: destination.map(Location::to_string),
                    size,
                    dry_run,
                });
            }
            if self.quiet && !dry_run {
                return Ok(());
            }
            let mark = if dry_run { "(dry run) " } else { "" };
            match destination {
                Some(destination) => {
                    output::line(&format!("{mark}{operation}: {source} to {destination}"))
                }
                None => output::line(&format!("{mark}{operation}: {source}")),
            }
        });
        output::despite_gone_reader(printed)
    }

    async fn transfer(&self, job: &Job) -> Result<(), Failure> {
        let operation = match (&job.source, &job.destination) {
            _ if self.remove_source => "move",
            (Location::S3(_), Location::S3(_)) => "copy",
            (Location::S3(_), _) => "download",
            _ => "upload",
        };
        if !self.dry_run {
            self.copy(job).await.map_err(|mut failure| {
                if !failure.is_gone_reader() {
                    failure.message =
                        format!("{operation} of {} failed: {}", job.source, failure.message);
                }
                failure
            })?;
            if self.remove_source {
                self.remove(&job.source).await?;
            }
        }
        self.report(
            operation,
            &job.source,
            Some(&job.destination),
            Some(job.size),
        )
    }

    async fn copy(&self, job: &Job) -> Result<(), Failure> {
        match (&job.source, &job.destination) {
            (Location::Local(path), Location::S3(url)) => {
                let request = self.put_request(url, path.to_str());
                upload_file(&self.client, path, &request, &self.options).await?;
            }
            (Location::Standard, Location::S3(url)) => {
                let request = self.put_request(url, None);
                let input = standard_input();
                upload_stream(
                    &self.client,
                    input,
                    self.expected_bytes,
                    &request,
                    &self.options,
                )
                .await?;
            }
            (Location::S3(url), Location::Local(path)) => {
                create_parent(path).await?;
                let request = self.source_request(url);
                download_file(&self.client, &request, path, &self.options).await?;
            }
            (Location::S3(url), Location::Standard) => {
                let request = self.source_request(url);
                print_object(&self.client, &request, &self.options).await?;
            }
            (Location::S3(source), Location::S3(url)) => {
                let request = CopyObjectRequest {
                    source_bucket: source.bucket.clone(),
                    source_key: source.key.clone(),
                    bucket: url.bucket.clone(),
                    key: url.key.clone(),
                    source_version_id: self.source_version.clone(),
                    source_if_match: None,
                    if_none_match: self.condition(),
                    source_customer_key: self.keys.source.clone(),
                    attributes: ObjectAttributes {
                        customer_key: self.keys.destination.clone(),
                        ..self.attributes.named()
                    },
                    replace_metadata: self.attributes.replaces_metadata(),
                };
                copy_object(&self.client, &request, &self.options).await?;
            }
            (source, destination) => {
                return Err(Failure::usage(format!(
                    "{source} to {destination}: one side has to be an S3 URL"
                )));
            }
        }
        Ok(())
    }

    /// The request that reads a source.
    pub fn source_request(&self, url: &S3Url) -> GetObjectRequest {
        GetObjectRequest {
            version_id: self.source_version.clone(),
            customer_key: self.keys.source.clone(),
            ..get_request(url)
        }
    }

    /// The request that reads what is at a destination.
    pub fn destination_request(&self, url: &S3Url) -> GetObjectRequest {
        GetObjectRequest {
            customer_key: self.keys.destination.clone(),
            ..get_request(url)
        }
    }

    fn put_request(&self, url: &S3Url, name: Option<&str>) -> PutObjectRequest {
        PutObjectRequest {
            bucket: url.bucket.clone(),
            key: url.key.clone(),
            attributes: ObjectAttributes {
                customer_key: self.keys.destination.clone(),
                ..self.attributes.for_upload(name.unwrap_or(&url.key))
            },
            if_match: None,
            if_none_match: self.condition(),
        }
    }

    /// `If-None-Match` of what is written.
    fn condition(&self) -> Option<String> {
        self.attributes.no_overwrite.then(|| "*".to_owned())
    }

    /// Removes a file or object, if this is no dry run.
    pub async fn remove(&self, place: &Location) -> Result<(), Failure> {
        match place {
            _ if self.dry_run => {}
            Location::S3(url) => self.client.delete_object(&url.bucket, &url.key).await?,
            Location::Local(path) => {
                std::fs::remove_file(path).map_err(|error| Failure::io(path, &error))?;
            }
            Location::Standard => {}
        }
        Ok(())
    }
}

/// The request that reads what a URL names.
fn get_request(url: &S3Url) -> GetObjectRequest {
    GetObjectRequest {
        bucket: url.bucket.clone(),
        key: url.key.clone(),
        ..GetObjectRequest::default()
    }
}

/// What HEAD says of an object. Its answer has no text, so where nothing is found this finds out whether it
/// is the bucket that is absent.
pub async fn head_object(
    client: &Client,
    request: &GetObjectRequest,
    advice_without_object: &str,
) -> Result<ObjectInfo, Failure> {
    let error = match client.head_object(request).await {
        Err(error) if error.is_not_found() => error,
        outcome => return Ok(outcome?),
    };
    let failure = Failure::from(error);
    let GetObjectRequest { bucket, key, .. } = request;
    match (client.head_bucket(bucket).await, &request.version_id) {
        (Ok(()), Some(version)) => Err(Failure {
            message: format!("there is no version {version} of s3://{bucket}/{key}"),
            ..failure
        }),
        (Ok(()), None) => Err(Failure {
            message: format!("there is no object s3://{bucket}/{key}"),
            ..failure
        }
        .advise(advice_without_object)),
        (Err(error), _) if error.is_not_found() => Err(no_such_bucket(bucket, error)),
        // Nothing was found out.
        (Err(_), _) => Err(failure),
    }
}

/// What a HEAD of a bucket says that does not exist.
pub fn no_such_bucket(bucket: &str, error: oncilla_client::Error) -> Failure {
    Failure {
        message: format!("there is no bucket {bucket}"),
        ..Failure::from(error)
    }
}

/// Writes an object to standard output, verified as far as a stream can be: a mismatch is found at
/// the end, when the bytes are out already, and then is the command's failure.
pub async fn print_object(
    client: &Client,
    request: &GetObjectRequest,
    options: &Options,
) -> Result<(), Failure> {
    let print = async {
        let mut output = client.get_object(request).await?;
        let subject = format!("s3://{}/{}", request.bucket, request.key);
        let whole = request.range.is_none() && request.part_number.is_none();
        let mut verifier = whole.then(|| StreamVerifier::new(subject, &output.info));
        while let Some(bytes) = output.body.chunk().await? {
            if let Some(verifier) = &mut verifier {
                verifier.update(&bytes);
            }
            if let Some(progress) = &options.progress {
                progress(i64::try_from(bytes.len()).unwrap_or(i64::MAX));
            }
            output::bytes(&bytes)?;
        }
        if let Some(verifier) = verifier {
            verifier.finish()?;
        }
        Ok(())
    };
    match options.cancel.run_until_cancelled(print).await {
        Some(outcome) => outcome,
        None => Err(oncilla_client::Error::Interrupted.into()),
    }
}

fn standard_input() -> ByteStream {
    Box::pin(stream::try_unfold((), |()| async {
        let read = tokio::task::spawn_blocking(|| {
            use std::io::Read;
            let mut buffer = vec![0; CHUNK_BYTES];
            let length = std::io::stdin().lock().read(&mut buffer)?;
            buffer.truncate(length);
            Ok::<_, std::io::Error>(buffer)
        });
        let buffer = read.await.map_err(std::io::Error::other)??;
        Ok((!buffer.is_empty()).then(|| (buffer.into(), ())))
    }))
}

async fn create_parent(path: &Path) -> Result<(), Failure> {
    let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    else {
        return Ok(());
    };
    let created = parent.to_owned();
    let outcome = tokio::task::spawn_blocking(move || std::fs::create_dir_all(created)).await;
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failure::io(parent, &error)),
        Err(error) => Err(Failure::general(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use oncilla_client::{Addressing, Endpoint, Settings};

    use super::*;

    #[tokio::test]
    async fn quiet_transfers_have_no_notices() {
        for quiet in [false, true] {
            let common = CommonArgs {
                quiet,
                ..CommonArgs::default()
            };
            let endpoint = Endpoint::parse("http://127.0.0.1:9", Addressing::Auto, "auto").unwrap();
            let client = Client::new(Settings::new(endpoint, None)).unwrap();
            let runner = Runner::new(client, &common, AttributeArgs::default());
            assert_eq!(runner.options.notice.is_some(), !quiet);
        }
    }
}
