//! Inventories: what a bucket holds, as compressed CSV files in another bucket, every day or week.
//!
//! An inventory that was not finished is begun again from its first object. Its files have names that
//! only depend on the inventory and the day, so the second attempt replaces what the first one left, and
//! readers go by the manifest, which comes last.

mod csv;
mod manifest;
mod schedule;

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::CONTENT_TYPE;
use oncilla_hash::{Md5, Sha256, hex};
use oncilla_store::inventory::InventoryQuery;
use oncilla_store::object::NewObject;
use oncilla_store::rows::key::BucketId;
use oncilla_store::{Bucket, DocumentKind, Fault, Origin, Store};
use oncilla_wire::error::S3Error;
use oncilla_wire::xml::inventory::{InventoryConfiguration, InventoryFormat};

use crate::metrics::Collectors;
use crate::metrics_collectors::{Figure, count_of, figures};
use crate::service_write::{ServiceWrite, WriteRefused};
use manifest::{Manifest, ManifestFile};

/// Who writes inventories, as policies and events name it. Source: S3 User Guide, "Configuring
/// Amazon S3 Inventory", destination bucket policy.
pub const INVENTORY_DELIVERY: &str = "s3.amazonaws.com";

/// Bytes of a file when the next one is begun: it is in memory until it is written.
const FILE_BYTES: usize = 16 << 20;

/// Versions read at a time.
const PAGE_ENTRIES: usize = 1_000;

/// Configurations read at a time.
const PAGE_CONFIGURATIONS: usize = 100;

/// Most inventories whose failure is remembered, so that they are not tried every minute.
const FAILURES_MAX: usize = 10_000;

/// When inventories are made.
#[derive(Clone, Debug)]
pub struct InventoryOptions {
    /// How often it is looked for inventories that are due.
    pub look_interval: Duration,
    /// How long an inventory that failed waits for its next attempt.
    pub retry_after: Duration,
    /// Bytes of a file when the next one is begun.
    pub file_bytes: usize,
}

impl Default for InventoryOptions {
    fn default() -> Self {
        Self {
            look_interval: Duration::from_secs(60),
            retry_after: Duration::from_secs(3_600),
            file_bytes: FILE_BYTES,
        }
    }
}

/// Figures since the server was started.
#[derive(Debug, Default)]
struct Stats {
    made: AtomicU64,
    entries: AtomicU64,
    failed: AtomicU64,
}

/// Makes inventories. Cheap to clone.
#[derive(Clone)]
pub struct Inventories {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    options: InventoryOptions,
    stats: Stats,
}

/// An inventory that failed, by bucket and id, and when it is tried again.
type Failures = HashMap<(BucketId, String), u64>;

/// Why an inventory was not made.
#[derive(Debug, thiserror::Error)]
enum MakeError {
    #[error(transparent)]
    Refused(#[from] WriteRefused),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("the configuration is unreadable: {0}")]
    Configuration(S3Error),
    #[error("the destination bucket belongs to another account than the configuration says")]
    OtherAccount,
    #[error("compression failed: {0}")]
    Compression(std::io::Error),
}

impl Inventories {
    /// Inventories of the buckets of `store`.
    pub fn new(store: Store, options: InventoryOptions) -> Self {
        let inner = Inner {
            store: store.acting_for(Origin::service(INVENTORY_DELIVERY)),
            options,
            stats: Stats::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Figures for the metrics page.
    pub fn collectors(&self) -> Collectors {
        let inner = Arc::clone(&self.inner);
        let read = move || {
            let stats = &inner.stats;
            [
                Figure::counter(
                    "inventories_made",
                    "Inventories made",
                    count_of(&stats.made),
                ),
                Figure::counter(
                    "inventory_entries",
                    "Versions listed in inventories",
                    count_of(&stats.entries),
                ),
                Figure::counter(
                    "inventories_failed",
                    "Attempts at inventories that failed",
                    count_of(&stats.failed),
                ),
            ]
        };
        vec![figures(read)]
    }

    /// Makes inventories when they are due, for as long as it is polled. Drop it to stop.
    pub async fn run(&self) {
        let mut failures = Failures::new();
        loop {
            if let Err(error) = self.inner.make_due(&mut failures).await {
                tracing::error!(%error, "inventories cannot be looked for; trying again");
            }
            tokio::time::sleep(self.inner.options.look_interval).await;
        }
    }

    /// Makes what is due now.
    ///
    /// # Errors
    /// When configurations cannot be read. Inventories that fail are logged and tried again later.
    pub async fn make_due(&self) -> Result<(), Fault> {
        self.inner.make_due(&mut Failures::new()).await
    }
}

impl Inner {
    async fn make_due(&self, failures: &mut Failures) -> Result<(), Fault> {
        let mut last = None;
        loop {
            let page = self.store.documents_of_kind(
                DocumentKind::Inventory,
                last.as_ref(),
                PAGE_CONFIGURATIONS,
            );
            let page = page.await?;
            for place in &page {
                let now_ms = self.store.clock().now_ms();
                let name = (place.bucket, place.name.clone());
                if failures
                    .get(&name)
                    .is_some_and(|again_ms| *again_ms > now_ms)
                {
                    continue;
                }
                failures.remove(&name);
                let Some(bucket) = self.store.bucket_with_id(place.bucket).await? else {
                    continue;
                };
                if let Err(error) = self.make_if_due(&bucket, &place.name, now_ms).await {
                    self.stats.failed.fetch_add(1, Ordering::Relaxed);
                    let (bucket, id) = (&bucket.name, &place.name);
                    tracing::warn!(bucket, id, %error, "an inventory was not made");
                    if failures.len() < FAILURES_MAX {
                        let wait_ms = self.options.retry_after.as_millis();
                        let wait_ms = u64::try_from(wait_ms).unwrap_or(u64::MAX);
                        failures.insert(name, now_ms.saturating_add(wait_ms));
                    }
                }
            }
            last = match page.len() == PAGE_CONFIGURATIONS {
                true => page.into_iter().next_back(),
                false => return Ok(()),
            };
        }
    }

    async fn make_if_due(&self, bucket: &Bucket, id: &str, now_ms: u64) -> Result<(), MakeError> {
        let Some(document) = bucket.documents.named(DocumentKind::Inventory, id) else {
            return Ok(());
        };
        let configuration = InventoryConfiguration::parse(document.text());
        let configuration = configuration.map_err(MakeError::Configuration)?;
        let today = schedule::day_of(now_ms);
        let last = std::str::from_utf8(document.detail()).ok();
        let last = last.and_then(|day| day.parse().ok());
        let is_due = schedule::is_due(configuration.frequency, last, today);
        // Other formats are refused when they are configured.
        let is_made_here = configuration.destination.format == InventoryFormat::Csv;
        if !configuration.enabled || !is_due || !is_made_here {
            return Ok(());
        }
        let entries = Making {
            inner: self,
            bucket,
            configuration: &configuration,
            today,
            now_ms,
        };
        let entries = entries.make().await?;
        let detail = Bytes::from(today.to_string());
        let kind = DocumentKind::Inventory;
        let noted = self
            .store
            .set_document_detail(bucket, kind, id, document.text(), detail);
        // A configuration that was changed meanwhile is due again.
        noted.await?;
        self.stats.made.fetch_add(1, Ordering::Relaxed);
        tracing::info!(bucket = bucket.name, id, entries, "an inventory was made");
        Ok(())
    }
}

/// One inventory in the making.
struct Making<'a> {
    inner: &'a Inner,
    bucket: &'a Bucket,
    configuration: &'a InventoryConfiguration,
    today: u64,
    now_ms: u64,
}

impl Making<'_> {
    /// Writes the files and then the manifest; says how many versions are in them.
    async fn make(&self) -> Result<u64, MakeError> {
        let configuration = self.configuration;
        let write = delivery(&self.inner.store, self.bucket, configuration);
        let target = write.target().await?;
        if let Some(account) = &configuration.destination.account
            && *account != target.record.owner
        {
            return Err(MakeError::OtherAccount);
        }
        let folder = folder(self.bucket, configuration);
        let mut files = Vec::new();
        let mut entries = 0;
        let mut last = None;
        let (mut file, mut lines_in_file) = (new_file(), 0);
        loop {
            let query = InventoryQuery {
                prefix: configuration
                    .prefix
                    .as_deref()
                    .unwrap_or_default()
                    .as_bytes(),
                all_versions: configuration.all_versions,
                after: last.as_ref(),
                limit: PAGE_ENTRIES,
            };
            let mut page = self.inner.store.inventory_page(self.bucket, &query).await?;
            let is_last = page.len() < PAGE_ENTRIES;
            let mut lines = Vec::with_capacity(page.len() * 256);
            for entry in &page {
                csv::write_line(
                    &mut lines,
                    &self.bucket.name,
                    entry,
                    configuration.all_versions,
                    &configuration.fields,
                );
            }
            entries += page.len() as u64;
            lines_in_file += page.len();
            file.write_all(&lines).map_err(MakeError::Compression)?;
            let is_full = file.get_ref().len() >= self.inner.options.file_bytes;
            // An inventory of nothing has one empty file.
            if is_full || (is_last && (lines_in_file > 0 || files.is_empty())) {
                lines_in_file = 0;
                let finished = std::mem::replace(&mut file, new_file());
                let body = Bytes::from(finished.finish().map_err(MakeError::Compression)?);
                let key = format!("{folder}data/{}.csv.gz", self.file_name(files.len()));
                files.push(ManifestFile {
                    key: key.clone(),
                    size: body.len() as u64,
                    md5: hex::encode(&Md5::digest(&body)),
                });
                let new = new_object(&target, "application/x-gzip");
                write.put(&target, &key, new, body).await?;
            }
            if is_last {
                break;
            }
            last = page.pop();
        }
        self.inner
            .stats
            .entries
            .fetch_add(entries, Ordering::Relaxed);
        self.write_manifest(&write, &target, &folder, files).await?;
        Ok(entries)
    }

    async fn write_manifest(
        &self,
        write: &ServiceWrite<'_>,
        target: &Bucket,
        folder: &str,
        files: Vec<ManifestFile>,
    ) -> Result<(), MakeError> {
        let manifest = Manifest {
            source_bucket: &self.bucket.name,
            destination_bucket: format!("arn:aws:s3:::{}", target.name),
            created_ms: self.now_ms,
            schema: csv::schema(self.configuration.all_versions, &self.configuration.fields),
            files,
        };
        let text = manifest.to_json();
        let checksum = hex::encode(&Md5::digest(&text));
        let place = format!("{folder}{}/", manifest::folder_time(self.now_ms));
        // The checksum last: whoever finds it finds the rest.
        let documents = [
            ("manifest.json", "application/json", text),
            ("manifest.checksum", "text/plain", Bytes::from(checksum)),
        ];
        for (name, content_type, body) in documents {
            let new = new_object(target, content_type);
            write
                .put(target, &format!("{place}{name}"), new, body)
                .await?;
        }
        Ok(())
    }

    /// The name of a file, in the form of a UUID: the same in every attempt of a day.
    fn file_name(&self, number: usize) -> String {
        let bucket = self.bucket.id().0;
        let (id, today) = (&self.configuration.id, self.today);
        let digest = Sha256::digest(format!("{bucket}/{id}/{today}/{number}").as_bytes());
        let digits = hex::encode(&digest[..16]);
        let part = |range: std::ops::Range<usize>| &digits[range];
        let (a, b, c) = (part(0..8), part(8..12), part(12..16));
        format!("{a}-{b}-{c}-{}-{}", part(16..20), part(20..32))
    }
}

/// The write of an inventory into its destination.
pub(crate) fn delivery<'a>(
    store: &'a Store,
    bucket: &'a Bucket,
    configuration: &'a InventoryConfiguration,
) -> ServiceWrite<'a> {
    ServiceWrite {
        store,
        service: INVENTORY_DELIVERY,
        source_bucket: &bucket.name,
        source_account: &bucket.record.owner,
        target: &configuration.destination.bucket,
        may_cross_accounts: true,
    }
}

/// What the keys of an inventory begin with: `PREFIX/SOURCE/ID/`.
pub(crate) fn folder(bucket: &Bucket, configuration: &InventoryConfiguration) -> String {
    let prefix = configuration.destination.prefix.as_deref();
    let prefix = prefix.unwrap_or_default().trim_end_matches('/');
    let slash = if prefix.is_empty() { "" } else { "/" };
    let (source, id) = (&bucket.name, &configuration.id);
    format!("{prefix}{slash}{source}/{id}/")
}

fn new_file() -> GzEncoder<Vec<u8>> {
    GzEncoder::new(Vec::new(), Compression::default())
}

fn new_object(target: &Bucket, content_type: &'static str) -> NewObject {
    NewObject {
        owner: target.record.owner.clone(),
        headers: vec![(
            Bytes::from_static(CONTENT_TYPE.as_str().as_bytes()),
            Bytes::from_static(content_type.as_bytes()),
        )],
        ..NewObject::default()
    }
}
