//! Events: what is told to the targets that a bucket's notification configuration names.
//!
//! An event is a row of the mutation that makes the change. So none is lost in a crash, and none tells
//! of a write that was refused. Whoever delivers takes rows from here and removes them afterwards:
//! at least once. A change in a bucket without a notification configuration costs one look at the
//! bucket's documents, which are in memory.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use oncilla_meta::{Mutation, Space, next_key};
use oncilla_wire::event::EventKind;
use oncilla_wire::xml::notification::NotificationConfiguration;

use crate::bucket::Bucket;
use crate::clock::milliseconds;
use crate::fault::Fault;
use crate::rows::document::DocumentKind;
use crate::rows::event::{EventRecord, all_events, event_key, events_of_target, split_event_key};
use crate::rows::object::ObjectRecord;
use crate::rows::version_id::VersionId;
use crate::store::{Store, scan};
use crate::walk::Rows;

/// Events removed in one mutation.
const ROWS_PER_STEP: usize = 1_000;

/// Who causes the changes that a store makes. Kept in events only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// By what kind of cause.
    pub cause: Cause,
    /// Id of who asked, such as an account's.
    pub principal: String,
    /// The client's address.
    pub source_ip: String,
    /// The request's id.
    pub request_id: String,
    /// The request's other id (`x-amz-id-2`).
    pub host_id: String,
}

/// What kind of cause changes have: it decides by which names events tell them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cause {
    /// A request.
    #[default]
    Request,
    /// A form that was posted.
    Form,
    /// The bucket's lifecycle rules.
    Lifecycle,
}

/// The principal, and the address, of changes that the server makes on its own account. Source:
/// messages of S3 for lifecycle expirations.
const SERVER_ITSELF: &str = "s3.amazonaws.com";

impl Origin {
    /// The origin of what lifecycle rules do.
    pub fn lifecycle() -> Self {
        Self {
            cause: Cause::Lifecycle,
            ..Self::service(SERVER_ITSELF)
        }
    }

    /// The origin of what a part of the server does, such as `logging.s3.amazonaws.com`.
    pub fn service(name: &str) -> Self {
        Self {
            principal: name.to_owned(),
            source_ip: name.to_owned(),
            ..Self::default()
        }
    }
}

/// A change of an object, to be told.
pub(crate) struct Event<'a> {
    pub kind: EventKind,
    pub key: &'a [u8],
    /// Hybrid-logical time of the change.
    pub time: u64,
    /// The object as it is after the change, where S3 tells its size and entity tag.
    pub object: Option<&'a ObjectRecord>,
    pub version: VersionId,
    /// Of transitions and restorations: the storage class, and until when it can be read.
    pub storage_class: &'a str,
    pub restored_until_ms: u64,
}

impl<'a> Event<'a> {
    /// That an object was written, or what is kept beside its bytes changed.
    pub fn of_object(kind: EventKind, key: &'a [u8], time: u64, object: &'a ObjectRecord) -> Self {
        Self {
            object: Some(object),
            version: object.version_id(),
            ..Self::of_version(kind, key, time, VersionId::Null)
        }
    }

    /// That a version is gone or came about as a delete marker: without size and entity tag.
    /// Source: S3 User Guide, "Event message structure".
    pub fn of_version(kind: EventKind, key: &'a [u8], time: u64, version: VersionId) -> Self {
        Self {
            kind,
            key,
            time,
            object: None,
            version,
            storage_class: "",
            restored_until_ms: 0,
        }
    }
}

/// An event that waits for its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedEvent {
    /// Names it for [`Store::forget_events`].
    pub row_key: Bytes,
    /// What it tells.
    pub record: EventRecord,
}

/// A page of events that wait, oldest first.
#[derive(Clone, Debug, Default)]
pub struct QueuePage {
    /// The events.
    pub events: Vec<QueuedEvent>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<Bytes>,
}

/// A count of events that wait for a target, or of those that were dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventCount {
    /// How many there are.
    pub events: u64,
    /// How many there are of the buckets of each owner, by canonical id. Those that only a newer
    /// version can read are nobody's.
    pub by_owner: HashMap<String, u64>,
    /// The row key of the last one, behind which the next count goes on; `None` if there are none.
    pub last: Option<Bytes>,
}

impl EventCount {
    fn add(&mut self, record: Bytes) {
        self.events += 1;
        if let Ok(record) = EventRecord::decode(record) {
            *self.by_owner.entry(record.bucket_owner).or_default() += 1;
        }
    }
}

impl Store {
    /// The same store for changes that somebody causes: events name them.
    pub fn acting_for(&self, origin: Origin) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            origin: Some(Arc::new(origin)),
        }
    }

    /// Adds to `mutation`, which makes a change, that it is told to those who want to know. Every
    /// change of an object that S3 has an event for passes here.
    pub(crate) fn announce(
        &self,
        mutation: &mut Mutation,
        bucket: &Bucket,
        event: &Event<'_>,
    ) -> Result<(), Fault> {
        let Some(document) = bucket.documents.get(DocumentKind::Notification) else {
            return Ok(());
        };
        let configuration = document.parsed(NotificationConfiguration::parse);
        let configuration = configuration.map_err(|error| {
            let name = &bucket.name;
            Fault::Damaged(format!(
                "notification configuration of bucket {name}: {error}"
            ))
        })?;
        let nobody = Origin::default();
        let origin = self.origin.as_deref().unwrap_or(&nobody);
        let kind = told_as(event.kind, origin.cause);
        for destination in &configuration.destinations {
            if !destination.takes(kind, event.key) {
                continue;
            }
            let record = EventRecord {
                kind: kind.number(),
                sequence: event.time,
                key: Bytes::copy_from_slice(event.key),
                size: event.object.map(|object| object.size),
                etag: event
                    .object
                    .map_or_else(String::new, |object| object.etag.to_string()),
                version_id: match bucket.keeps_history() {
                    true => event.version.to_string(),
                    false => String::new(),
                },
                storage_class: event.storage_class.to_owned(),
                restored_until_ms: event.restored_until_ms,
                ..self.record_of(bucket, origin, &destination.id)
            };
            self.enqueue(mutation, &destination.arn, &record)?;
        }
        Ok(())
    }

    /// Tells the destinations of a configuration that was just set that they are: S3's test event.
    pub async fn announce_test(
        &self,
        bucket: &Bucket,
        configuration: &NotificationConfiguration,
    ) -> Result<(), Fault> {
        let nobody = Origin::default();
        let origin = self.origin.as_deref().unwrap_or(&nobody);
        let time = self.inner.clock.tick();
        let mut mutation = Mutation::new();
        for destination in &configuration.destinations {
            let record = EventRecord {
                sequence: time,
                ..self.record_of(bucket, origin, &destination.id)
            };
            self.enqueue(&mut mutation, &destination.arn, &record)?;
        }
        if !mutation.is_empty() {
            self.commit(mutation, time).await?;
        }
        Ok(())
    }

    fn record_of(&self, bucket: &Bucket, origin: &Origin, configuration_id: &str) -> EventRecord {
        EventRecord {
            time_ms: self.inner.clock.now_ms(),
            bucket: bucket.name.clone(),
            bucket_owner: bucket.record.owner.clone(),
            configuration_id: configuration_id.to_owned(),
            principal: origin.principal.clone(),
            source_ip: origin.source_ip.clone(),
            request_id: origin.request_id.clone(),
            host_id: origin.host_id.clone(),
            ..EventRecord::default()
        }
    }

    fn enqueue(
        &self,
        mutation: &mut Mutation,
        target: &str,
        record: &EventRecord,
    ) -> Result<(), Fault> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)?;
        let key = event_key(target, record.sequence, u64::from_be_bytes(random));
        mutation.put(Space::Records, key, record.encode());
        Ok(())
    }

    /// The targets for which events wait, at most `limit`, in the order of their names from the one
    /// behind `after`.
    pub async fn event_targets(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, Fault> {
        let (mut start, end) = all_events();
        if let Some(after) = after {
            start = events_of_target(after).1;
        }
        let mut targets = Vec::new();
        while targets.len() < limit {
            let page = self.inner.engine.scan(scan(start, end.clone(), 1)).await?;
            let Some(row) = page.rows.first() else { break };
            let (target, _) = split_event_key(&row.key)?;
            start = events_of_target(&target).1;
            targets.push(target);
        }
        Ok(targets)
    }

    /// Events that wait for a target, oldest first, at most `limit`, from where an earlier page
    /// ended. Events that only a newer version can read are left out.
    pub async fn events_waiting(
        &self,
        target: &str,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<QueuePage, Fault> {
        let (start, end) = events_of_target(target);
        let start = from.unwrap_or(start);
        let page = self.inner.engine.scan(scan(start, end, limit)).await?;
        let last = page.rows.last().filter(|_| page.more);
        let next = last.map(|row| next_key(&row.key));
        let mut events = Vec::with_capacity(page.rows.len());
        for row in page.rows {
            match EventRecord::decode(row.value) {
                Ok(record) => events.push(QueuedEvent {
                    row_key: row.key,
                    record,
                }),
                Err(error) => tracing::debug!(%error, target, "an event is left in its queue"),
            }
        }
        Ok(QueuePage { events, next })
    }

    /// Removes events that were delivered or given up.
    pub async fn forget_events(&self, row_keys: Vec<Bytes>) -> Result<(), Fault> {
        let mut row_keys = row_keys.into_iter().peekable();
        while row_keys.peek().is_some() {
            let mut mutation = Mutation::new();
            for key in row_keys.by_ref().take(ROWS_PER_STEP) {
                mutation.delete(Space::Records, key);
            }
            self.inner.engine.commit(mutation).await?;
        }
        Ok(())
    }

    /// Counts the events of a target, or those behind the last one of an earlier count.
    pub async fn count_events(
        &self,
        target: &str,
        behind: Option<&Bytes>,
    ) -> Result<EventCount, Fault> {
        let (mut start, end) = events_of_target(target);
        if let Some(last) = behind {
            start = next_key(last);
        }
        let mut count = EventCount::default();
        let mut rows = Rows::new(&*self.inner.engine, (start, end));
        while let Some(row) = rows.next().await? {
            count.add(row.value);
            count.last = Some(row.key);
        }
        Ok(count)
    }

    /// Drops the events of a target that happened before `before_ms`; says how many. Costs a look at
    /// the oldest one where there are none.
    pub async fn drop_events_before(
        &self,
        target: &str,
        before_ms: u64,
    ) -> Result<EventCount, Fault> {
        let (start, end) = events_of_target(target);
        let (mut dropped, mut limit) = (EventCount::default(), 1);
        loop {
            let page = scan(start.clone(), end.clone(), limit);
            let page = self.inner.engine.scan(page).await?;
            let found = page.rows.len();
            let mut old = Vec::with_capacity(found);
            for row in page.rows {
                let (_, time) = split_event_key(&row.key)?;
                if milliseconds(time) >= before_ms {
                    break;
                }
                dropped.add(row.value);
                old.push(row.key);
            }
            let is_last = old.len() < found || !page.more;
            self.forget_events(old).await?;
            if is_last {
                return Ok(dropped);
            }
            limit = ROWS_PER_STEP;
        }
    }

    /// Drops the oldest events of a target, as many as are wanted or there are; says how many.
    pub async fn drop_oldest_events(&self, target: &str, wanted: u64) -> Result<EventCount, Fault> {
        let (start, end) = events_of_target(target);
        let mut dropped = EventCount::default();
        while dropped.events < wanted {
            let limit = usize::try_from(wanted - dropped.events).unwrap_or(usize::MAX);
            let page = scan(start.clone(), end.clone(), limit.min(ROWS_PER_STEP));
            let rows = self.inner.engine.scan(page).await?.rows;
            if rows.is_empty() {
                break;
            }
            let mut old = Vec::with_capacity(rows.len());
            for row in rows {
                dropped.add(row.value);
                old.push(row.key);
            }
            self.forget_events(old).await?;
        }
        Ok(dropped)
    }

    /// As [`Store::drop_oldest_events`], of the buckets of one owner only.
    pub async fn drop_oldest_events_of(
        &self,
        owner: &str,
        target: &str,
        wanted: u64,
    ) -> Result<EventCount, Fault> {
        let mut dropped = EventCount::default();
        let mut from = None;
        while dropped.events < wanted {
            let page = self.events_waiting(target, from, ROWS_PER_STEP).await?;
            let left = usize::try_from(wanted - dropped.events).unwrap_or(usize::MAX);
            let events = page.events.into_iter();
            let of_owner = events.filter(|event| event.record.bucket_owner == owner);
            let old: Vec<Bytes> = of_owner.take(left).map(|event| event.row_key).collect();
            dropped.events += old.len() as u64;
            self.forget_events(old).await?;
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        dropped.by_owner.insert(owner.to_owned(), dropped.events);
        Ok(dropped)
    }
}

/// The name of an event depends on what caused it.
fn told_as(kind: EventKind, cause: Cause) -> EventKind {
    match (kind, cause) {
        (EventKind::CreatedPut, Cause::Form) => EventKind::CreatedPost,
        (EventKind::RemovedDelete, Cause::Lifecycle) => EventKind::ExpiredDelete,
        (EventKind::RemovedMarker, Cause::Lifecycle) => EventKind::ExpiredMarker,
        (kind, Cause::Request | Cause::Form | Cause::Lifecycle) => kind,
    }
}
