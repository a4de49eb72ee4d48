//! Messages: events in the words of S3, and in those of Tigris.
//! Source: S3 User Guide, "Event message structure"; Tigris, "Object notifications".

use std::borrow::Cow;

use bytes::Bytes;
use oncilla_store::rows::event::EventRecord;
use oncilla_wire::event::EventKind;
use oncilla_wire::time::iso8601;
use serde::Serialize;

use super::target::MessageFormat;

/// The message of an event; `None` if the format has no words for it.
pub fn message(record: &EventRecord, format: MessageFormat, region: &str) -> Option<Bytes> {
    let text = match (format, record.kind) {
        (MessageFormat::S3, 0) => serde_json::to_vec(&TestEvent::new(record)),
        (MessageFormat::S3, _) => {
            let event = S3Event::new(record, record.kind()?, region);
            serde_json::to_vec(&Records { records: [event] })
        }
        (MessageFormat::Tigris, _) => {
            let event = TigrisEvent::new(record, record.kind()?)?;
            serde_json::to_vec(&Events { events: [event] })
        }
    };
    // Plain structures of texts and numbers always have a JSON form.
    text.ok().map(Bytes::from)
}

/// What S3 sends when a destination is configured.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TestEvent<'a> {
    service: &'static str,
    event: &'static str,
    time: String,
    bucket: &'a str,
    request_id: &'a str,
    host_id: &'a str,
}

impl<'a> TestEvent<'a> {
    fn new(record: &'a EventRecord) -> Self {
        Self {
            service: "Amazon S3",
            event: "s3:TestEvent",
            time: time_text(record.time_ms),
            bucket: &record.bucket,
            request_id: &record.request_id,
            host_id: &record.host_id,
        }
    }
}

#[derive(Serialize)]
struct Records<'a> {
    #[serde(rename = "Records")]
    records: [S3Event<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct S3Event<'a> {
    event_version: &'static str,
    event_source: &'static str,
    aws_region: &'a str,
    event_time: String,
    event_name: &'static str,
    user_identity: Identity<'a>,
    request_parameters: RequestParameters<'a>,
    response_elements: ResponseElements<'a>,
    s3: S3Part<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    glacier_event_data: Option<GlacierEventData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifecycle_event_data: Option<LifecycleEventData<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    principal_id: &'a str,
}

#[derive(Serialize)]
struct RequestParameters<'a> {
    #[serde(rename = "sourceIPAddress")]
    source_ip_address: &'a str,
}

#[derive(Serialize)]
struct ResponseElements<'a> {
    #[serde(rename = "x-amz-request-id")]
    request_id: &'a str,
    #[serde(rename = "x-amz-id-2")]
    host_id: &'a str,
}

#[derive(Serialize)]
struct S3Part<'a> {
    #[serde(rename = "s3SchemaVersion")]
    schema_version: &'static str,
    #[serde(rename = "configurationId")]
    configuration_id: &'a str,
    bucket: BucketPart<'a>,
    object: ObjectPart<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BucketPart<'a> {
    name: &'a str,
    owner_identity: Identity<'a>,
    arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ObjectPart<'a> {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    e_tag: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version_id: &'a str,
    sequencer: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GlacierEventData<'a> {
    restore_event_data: RestoreEventData<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RestoreEventData<'a> {
    lifecycle_restoration_expiry_time: String,
    lifecycle_restore_storage_class: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LifecycleEventData<'a> {
    transition_event_data: TransitionEventData<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TransitionEventData<'a> {
    destination_storage_class: &'a str,
}

impl<'a> S3Event<'a> {
    fn new(record: &'a EventRecord, kind: EventKind, region: &'a str) -> Self {
        let restored = kind == EventKind::RestoreCompleted;
        let transitioned = kind == EventKind::Transitioned;
        Self {
            event_version: version_of(kind),
            event_source: "aws:s3",
            aws_region: region,
            event_time: time_text(record.time_ms),
            event_name: kind.name(),
            user_identity: Identity {
                principal_id: &record.principal,
            },
            request_parameters: RequestParameters {
                source_ip_address: &record.source_ip,
            },
            response_elements: ResponseElements {
                request_id: &record.request_id,
                host_id: &record.host_id,
            },
            s3: S3Part {
                schema_version: "1.0",
                configuration_id: &record.configuration_id,
                bucket: BucketPart {
                    name: &record.bucket,
                    owner_identity: Identity {
                        principal_id: &record.bucket_owner,
                    },
                    arn: format!("arn:aws:s3:::{}", record.bucket),
                },
                object: ObjectPart {
                    key: encoded_key(&record.key),
                    size: record.size,
                    e_tag: &record.etag,
                    version_id: &record.version_id,
                    sequencer: format!("{:016X}", record.sequence),
                },
            },
            glacier_event_data: restored.then(|| GlacierEventData {
                restore_event_data: RestoreEventData {
                    lifecycle_restoration_expiry_time: time_text(record.restored_until_ms),
                    lifecycle_restore_storage_class: &record.storage_class,
                },
            }),
            lifecycle_event_data: transitioned.then(|| LifecycleEventData {
                transition_event_data: TransitionEventData {
                    destination_storage_class: &record.storage_class,
                },
            }),
        }
    }
}

/// The version of the message's structure.
fn version_of(kind: EventKind) -> &'static str {
    match kind {
        EventKind::CreatedPut
        | EventKind::CreatedPost
        | EventKind::CreatedCopy
        | EventKind::CreatedMultipart
        | EventKind::RemovedDelete
        | EventKind::RemovedMarker
        | EventKind::RestorePost
        | EventKind::RestoreCompleted => "2.1",
        EventKind::TaggingPut
        | EventKind::TaggingDelete
        | EventKind::AclPut
        | EventKind::ExpiredDelete
        | EventKind::ExpiredMarker
        | EventKind::Transitioned
        | EventKind::RestoreDelete => "2.3",
    }
}

#[derive(Serialize)]
struct Events<'a> {
    events: [TigrisEvent<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TigrisEvent<'a> {
    event_version: &'static str,
    event_source: &'static str,
    event_name: &'static str,
    event_time: String,
    bucket: &'a str,
    object: TigrisObject<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TigrisObject<'a> {
    key: Cow<'a, str>,
    size: u64,
    e_tag: &'a str,
}

impl<'a> TigrisEvent<'a> {
    fn new(record: &'a EventRecord, kind: EventKind) -> Option<Self> {
        let event_name = match kind {
            EventKind::CreatedPut | EventKind::CreatedPost => "OBJECT_CREATED_PUT",
            EventKind::CreatedCopy => "OBJECT_CREATED_COPY",
            EventKind::CreatedMultipart => "OBJECT_CREATED_MULTIPART",
            EventKind::RemovedDelete
            | EventKind::RemovedMarker
            | EventKind::ExpiredDelete
            | EventKind::ExpiredMarker => "OBJECT_DELETED",
            EventKind::Transitioned => "OBJECT_TRANSITIONED",
            EventKind::TaggingPut
            | EventKind::TaggingDelete
            | EventKind::AclPut
            | EventKind::RestorePost
            | EventKind::RestoreCompleted
            | EventKind::RestoreDelete => return None,
        };
        Some(Self {
            event_version: "1",
            event_source: "tigris",
            event_name,
            event_time: time_text(record.time_ms),
            bucket: &record.bucket,
            object: TigrisObject {
                key: String::from_utf8_lossy(&record.key),
                size: record.size.unwrap_or_default(),
                e_tag: &record.etag,
            },
        })
    }
}

fn time_text(unix_ms: u64) -> String {
    let text = iso8601(i64::try_from(unix_ms).unwrap_or(i64::MAX));
    String::from_utf8_lossy(&text).into_owned()
}

/// A key as S3's messages have it: encoded as in a form, so that a space is `+`, but for slashes.
fn encoded_key(key: &[u8]) -> String {
    let mut encoded = String::with_capacity(key.len());
    for &byte in key {
        match byte {
            b' ' => encoded.push('+'),
            b'-' | b'.' | b'_' | b'*' | b'/' => encoded.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn record(kind: EventKind) -> EventRecord {
        EventRecord {
            kind: kind.number(),
            time_ms: 1_700_000_000_123,
            sequence: 0xab,
            bucket: "b".to_owned(),
            bucket_owner: "owner".to_owned(),
            key: Bytes::from_static("a b/é+.jpg".as_bytes()),
            size: Some(7),
            etag: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
            version_id: "v".to_owned(),
            configuration_id: "c".to_owned(),
            principal: "p".to_owned(),
            source_ip: "192.0.2.1".to_owned(),
            request_id: "r".to_owned(),
            host_id: "h".to_owned(),
            storage_class: "GLACIER".to_owned(),
            restored_until_ms: 1_700_000_000_000,
            ..EventRecord::default()
        }
    }

    fn sent(record: &EventRecord, format: MessageFormat) -> Value {
        serde_json::from_slice(&message(record, format, "auto").unwrap()).unwrap()
    }

    #[test]
    fn messages_of_s3() {
        let expected = json!({"Records": [{
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "auto",
            "eventTime": "2023-11-14T22:13:20.123Z",
            "eventName": "ObjectCreated:Put",
            "userIdentity": {"principalId": "p"},
            "requestParameters": {"sourceIPAddress": "192.0.2.1"},
            "responseElements": {"x-amz-request-id": "r", "x-amz-id-2": "h"},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "c",
                "bucket": {
                    "name": "b",
                    "ownerIdentity": {"principalId": "owner"},
                    "arn": "arn:aws:s3:::b",
                },
                "object": {
                    "key": "a+b/%C3%A9%2B.jpg",
                    "size": 7,
                    "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                    "versionId": "v",
                    "sequencer": "00000000000000AB",
                },
            },
        }]});
        assert_eq!(
            sent(&record(EventKind::CreatedPut), MessageFormat::S3),
            expected
        );
        let moved = &sent(&record(EventKind::Transitioned), MessageFormat::S3)["Records"][0];
        assert_eq!(moved["eventVersion"], "2.3");
        assert_eq!(
            moved["lifecycleEventData"]["transitionEventData"]["destinationStorageClass"],
            "GLACIER"
        );
        let restored = &sent(&record(EventKind::RestoreCompleted), MessageFormat::S3)["Records"][0];
        let data = &restored["glacierEventData"]["restoreEventData"];
        assert_eq!(data["lifecycleRestoreStorageClass"], "GLACIER");
        assert_eq!(
            data["lifecycleRestorationExpiryTime"],
            "2023-11-14T22:13:20.000Z"
        );
        let test = EventRecord {
            kind: 0,
            ..record(EventKind::CreatedPut)
        };
        assert_eq!(
            sent(&test, MessageFormat::S3),
            json!({
                "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b",
                "Time": "2023-11-14T22:13:20.123Z", "RequestId": "r", "HostId": "h",
            })
        );
        let removed = EventRecord {
            size: None,
            etag: String::new(),
            version_id: String::new(),
            ..record(EventKind::RemovedDelete)
        };
        let object = &sent(&removed, MessageFormat::S3)["Records"][0]["s3"]["object"];
        assert_eq!(
            object,
            &json!({"key": "a+b/%C3%A9%2B.jpg", "sequencer": "00000000000000AB"})
        );
    }

    #[test]
    fn messages_of_tigris() {
        let expected = json!({"events": [{
            "eventVersion": "1",
            "eventSource": "tigris",
            "eventName": "OBJECT_CREATED_MULTIPART",
            "eventTime": "2023-11-14T22:13:20.123Z",
            "bucket": "b",
            "object": {
                "key": "a b/é+.jpg", "size": 7, "eTag": "d41d8cd98f00b204e9800998ecf8427e",
            },
        }]});
        let created = record(EventKind::CreatedMultipart);
        assert_eq!(sent(&created, MessageFormat::Tigris), expected);
        let tagged = record(EventKind::TaggingPut);
        assert!(message(&tagged, MessageFormat::Tigris, "auto").is_none());
    }
}
