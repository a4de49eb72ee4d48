//! One of those that are measured, with what was done to it and has to be undone.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use oncilla_bench::endpoint::{Endpoint, EndpointSettings};
use oncilla_bench::keys::{KeyPattern, ObjectName};
use oncilla_bench::round::{RoundResult, Target};
use oncilla_bench::workload::Objects;
use oncilla_bench::{OpenUpload, report::Stats};
use oncilla_client::tls::TlsSettings;
use oncilla_client::{Addressing, Client, DELETE_OBJECTS_MAX, ListObjectsRequest, Settings};

use super::BenchArgs;
use super::endpoints::EndpointSpec;
use crate::failure::Failure;

/// Requests at once while cleaning up.
const CLEANING_CONCURRENCY: usize = 8;

/// A target and what is kept about it over the rounds.
pub struct Subject {
    /// What the load generator needs of it.
    pub target: Target,
    /// Its endpoints' URLs.
    pub urls: Vec<String>,
    /// Whether requests are signed.
    pub signed: bool,
    /// Its bucket.
    pub bucket: String,
    /// Whether objects are written before, and everything removed after.
    pub prepares: bool,
    /// What was counted in each round.
    pub records: Vec<oncilla_bench::stats::Record>,
    /// The same, as reported.
    pub rounds: Vec<Stats>,
    /// Whether the bucket is this run's, to be removed at the end.
    pub made_bucket: bool,
    client: Client,
    prepared: u64,
    written: Vec<ObjectName>,
    open_uploads: Vec<OpenUpload>,
}

impl Subject {
    /// Resolves a target from the endpoints that share its name.
    pub fn new(
        name: String,
        specs: &[EndpointSpec],
        args: &BenchArgs,
        prefix: &str,
    ) -> Result<Self, Failure> {
        let mut general = args.common.overrides();
        general.no_sign_request |= args.unsigned;
        let first = specs.first().cloned().unwrap_or_default();
        let bucket = first.bucket.clone().unwrap_or_else(|| args.bucket.clone());
        let prepares = !(args.no_prepare || first.no_prepare);
        let keys = match first.keys.as_ref().or(args.keys.as_ref()) {
            Some(_) if prepares => {
                return Err(Failure::usage(format!(
                    "{name}: a pattern of keys is for objects that exist already: add --no-prepare"
                )));
            }
            Some(keys) => keys.clone(),
            None => KeyPattern::below(prefix),
        };
        if prepares && bucket.is_empty() {
            return Err(Failure::usage(format!("{name}: a bucket is needed")));
        }
        if !prepares && args.operation().writes() {
            return Err(Failure::usage(
                "--no-prepare is for get, stat, range and list: what others write has to be removed",
            ));
        }
        let mut endpoints = Vec::new();
        let mut urls = Vec::new();
        let mut client_settings = None;
        for spec in specs {
            let settings = spec.settings(&general)?;
            urls.push(settings.endpoint.url());
            endpoints.push(Arc::new(endpoint(&settings, &bucket)?));
            client_settings.get_or_insert(settings);
        }
        let settings = client_settings.ok_or_else(|| Failure::usage("an endpoint is needed"))?;
        Ok(Self {
            target: Target {
                name,
                endpoints,
                objects: Objects {
                    keys,
                    sizes_known: prepares || args.verify,
                },
            },
            urls,
            signed: settings.credentials.is_some(),
            bucket,
            prepares,
            records: Vec::new(),
            rounds: Vec::new(),
            client: Client::new(settings)?,
            made_bucket: false,
            prepared: 0,
            written: Vec::new(),
            open_uploads: Vec::new(),
        })
    }

    /// Makes the bucket if it does not exist, and makes sure that the prefix is nobody else's.
    pub async fn claim(&mut self) -> Result<(), Failure> {
        let prefix = self.target.objects.keys.prefix().to_owned();
        let request = ListObjectsRequest {
            bucket: self.bucket.clone(),
            prefix: prefix.clone(),
            max_keys: Some(1),
            ..ListObjectsRequest::default()
        };
        // Not a HEAD, whose refusal would not say why.
        let page = match self.client.list_objects(&request).await {
            Ok(page) => page,
            Err(error) if error.is_not_found() => {
                self.client.create_bucket(&self.bucket, None).await?;
                self.made_bucket = true;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if page.objects.is_empty() {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "{}: there are objects below {prefix} in {} already",
            self.target.name, self.bucket
        ))
        .advise("choose another --prefix, or measure them with --no-prepare --keys"))
    }

    /// Notes that prepared objects 0 to `count - 1` may exist from now on.
    pub fn will_prepare(&mut self, count: u64) {
        self.prepared = self.prepared.max(count);
    }

    /// Notes what a round left in the bucket.
    pub fn remember(&mut self, result: &mut RoundResult) {
        self.written.extend(&result.left);
        self.written.extend(&result.uncertain);
        self.open_uploads.append(&mut result.open_uploads);
    }

    /// Removes the objects that this run wrote, by name and nothing else. Everything is tried;
    /// returns what could not be done.
    pub async fn remove_objects(&mut self) -> Vec<String> {
        let mut problems = BTreeSet::new();
        let keys = &self.target.objects.keys;
        let names: Vec<ObjectName> = (0..self.prepared)
            .map(ObjectName::Prepared)
            .chain(self.written.drain(..))
            .collect();
        let (client, bucket) = (&self.client, &self.bucket);
        let mut batches = stream::iter(names.chunks(DELETE_OBJECTS_MAX).map(|batch| async move {
            let keys: Vec<String> = batch.iter().map(|name| name.key(keys)).collect();
            client.delete_objects(bucket, &keys).await
        }))
        .buffer_unordered(CLEANING_CONCURRENCY);
        while let Some(outcome) = batches.next().await {
            match outcome {
                Ok(failures) => problems.extend(
                    failures
                        .into_iter()
                        .filter(|failure| failure.code != "NoSuchKey")
                        .map(|failure| format!("{}: {}", failure.code, failure.message)),
                ),
                Err(error) => {
                    problems.insert(error.to_string());
                }
            }
        }
        drop(batches);
        for upload in &self.open_uploads {
            let key = upload.object.key(keys);
            let aborted = client.abort_multipart_upload(bucket, &key, &upload.upload_id);
            if let Err(error) = aborted.await {
                problems.insert(error.to_string());
            }
        }
        let problems = problems.into_iter();
        problems.map(|problem| self.not_cleaned(problem)).collect()
    }

    /// Removes the bucket that this run made; returns why it could not.
    pub async fn remove_bucket(&self) -> Option<String> {
        let outcome = self.client.delete_bucket(&self.bucket).await;
        outcome
            .err()
            .map(|error| self.not_cleaned(error.to_string()))
    }

    fn not_cleaned(&self, problem: String) -> String {
        format!("{}: cannot clean up: {problem}", self.target.name)
    }
}

fn endpoint(settings: &Settings, bucket: &str) -> Result<Endpoint, Failure> {
    Endpoint::new(&EndpointSettings {
        url: settings.endpoint.url(),
        bucket: bucket.to_owned(),
        virtual_hosted: settings.endpoint.addressing == Addressing::VirtualHosted,
        region: settings.endpoint.region.clone(),
        credentials: settings.credentials.clone(),
        tls: TlsSettings {
            ca_bundle: settings.ca_bundle.clone(),
            insecure: settings.insecure,
        },
    })
    .map_err(|error| Failure::general(error.to_string()))
}
