//! The seeds that nobody can write by hand: binary ones and signed ones. `cargo run -p
//! oncilla-fuzz-targets --bin fuzz-seeds` writes them; a test compares what is checked in.
//!
//! When a record gains a field, add it here: the mutator does not find fields by itself.

use bytes::{Bytes, BytesMut};
use oncilla_blob::format::{FORMAT_VERSION, VolumeHeader};
use oncilla_blob::{Extent, VolumeId};
use oncilla_hash::{Checksum, ChecksumAlgorithm};
use oncilla_keys::{Salt, WrappedKey};
use oncilla_store::rows::bucket::{BucketRecord, bucket_by_owner_key, bucket_key};
use oncilla_store::rows::codec::{FieldWriter, UnknownFields};
use oncilla_store::rows::encryption::{Encryption, Scheme};
use oncilla_store::rows::event::{EventRecord, event_key};
use oncilla_store::rows::garbage::Garbage;
use oncilla_store::rows::history::{DeleteMarker, history_key, null_version_key};
use oncilla_store::rows::key::{BucketId, put_ordered};
use oncilla_store::rows::layout::Layout;
use oncilla_store::rows::lifecycle::LifecycleProgress;
use oncilla_store::rows::object::{ObjectRecord, Restoration, object_key};
use oncilla_store::rows::part::{PartRecord, part_key};
use oncilla_store::rows::placement::Placement;
use oncilla_store::rows::reference::{
    extent_reference_key, extent_reference_value, upload_reference_key,
};
use oncilla_store::rows::upload::{UploadRecord, upload_key};
use oncilla_store::{ETag, StoredChecksum, UniqueId, rows};
use oncilla_wire::object_lock::{
    DefaultRetention, LegalHold, Retention, RetentionMode, RetentionPeriod,
};
use oncilla_wire::xml::acl::CannedAcl;
use oncilla_wire::xml::object_lock::ObjectLockConfiguration;
use oncilla_wire::xml::versioning::VersioningStatus;

use crate::framing;

/// A seed: its target, the name of its file, and what is in it.
pub type Seed = (&'static str, &'static str, Vec<u8>);

const ID: UniqueId = UniqueId([0x11; 16]);
const EXTENT: Extent = Extent {
    volume: VolumeId(3),
    offset: 8192,
    length: 300_000,
};

/// All of them.
pub fn generated() -> Vec<Seed> {
    let mut seeds = framing_seeds();
    seeds.extend(object_seeds());
    seeds.extend(record_seeds());
    seeds.extend(key_seeds());
    seeds.extend(volume_seeds());
    seeds.extend(lane_seeds());
    seeds
}

fn framing_seeds() -> Vec<Seed> {
    let trailer = Some(("x-amz-checksum-crc32c", "sOO8/Q=="));
    let body = |line: &str, payload: &[u8], chunk, trailer| {
        [line.as_bytes(), &framing::encode(payload, chunk, trailer)].concat()
    };
    let payload = b"hello, otters";
    vec![
        (
            "chunked_decode",
            "signed.bin",
            body("signed 13 5\n", payload, 8, None),
        ),
        (
            "chunked_decode",
            "signed-empty.bin",
            body("signed 0 1\n", b"", 8, None),
        ),
        (
            "chunked_decode",
            "signed-trailer.bin",
            body("signed-trailer 13 3\n", payload, 64, trailer),
        ),
        (
            "chunked_tampered",
            "chunks-of-4.bin",
            [&[4, 20, 0, 1, 0], &payload[..]].concat(),
        ),
        (
            "chunked_tampered",
            "trailer.bin",
            [&[64, 130, 0, 32, 1], &payload[..]].concat(),
        ),
        ("chunked_tampered", "empty.bin", vec![1, 3, 0, 4, 1]),
    ]
}

fn stored(algorithm: ChecksumAlgorithm, composite: bool) -> StoredChecksum {
    StoredChecksum {
        checksum: Checksum::of(algorithm, b"hello"),
        composite,
    }
}

fn unknown_field(known: Bytes) -> Vec<u8> {
    let mut writer = FieldWriter::with_capacity(32);
    writer.bytes(900, b"from a newer version");
    let added = writer.finish(&UnknownFields::default());
    // Both begin with the format byte; a record has it once.
    [&known[..], &added[1..]].concat()
}

fn pair(name: &'static str, value: &'static str) -> (Bytes, Bytes) {
    (
        Bytes::from_static(name.as_bytes()),
        Bytes::from_static(value.as_bytes()),
    )
}

fn object_seeds() -> Vec<Seed> {
    let small = ObjectRecord {
        id: ID,
        size: 5,
        etag: ETag::of_md5([0x22; 16]),
        last_modified_ms: 1_700_000_000_123,
        time: 1_700_000_000_123 << 16,
        storage_class: String::new(),
        owner: "0123".to_owned(),
        checksum: Some(stored(ChecksumAlgorithm::Crc64Nvme, false)),
        placement: Placement::Inline(ID),
        acl: CannedAcl::PublicRead.into(),
        headers: vec![pair("content-type", "text/plain")],
        metadata: vec![pair("colour", "gr\u{fc}n")],
        tags: vec![("species".to_owned(), "otter".to_owned())],
        versioned: true,
        retention: Some(Retention {
            mode: RetentionMode::Governance,
            until_ms: 1_800_000_000_000,
        }),
        legal_hold: Some(LegalHold::On),
        restoration: None,
        encryption: None,
        unknown: UnknownFields::default(),
    };
    let large = ObjectRecord {
        size: 600_000,
        placement: Placement::Extents(vec![EXTENT, EXTENT]),
        checksum: Some(stored(ChecksumAlgorithm::Sha256, false)),
        storage_class: "GLACIER".to_owned(),
        restoration: Some(Restoration {
            ready_ms: 1_700_000_000_123,
            expires_ms: 1_700_000_000_456,
        }),
        ..small.clone()
    };
    let parts = ObjectRecord {
        etag: ETag {
            md5: [0x33; 16],
            parts: 12,
        },
        placement: Placement::Upload(ID),
        checksum: Some(stored(ChecksumAlgorithm::Crc32, true)),
        ..large.clone()
    };
    let empty = ObjectRecord {
        size: 0,
        checksum: None,
        placement: Placement::Empty,
        headers: Vec::new(),
        metadata: Vec::new(),
        tags: Vec::new(),
        ..small.clone()
    };
    let encrypted = ObjectRecord {
        encryption: Some(Box::new(encryption())),
        ..large.clone()
    };
    let marker = DeleteMarker {
        id: ID,
        last_modified_ms: 1_700_000_000_123,
        time: 1_700_000_000_123 << 16,
        owner: "0123".to_owned(),
        versioned: true,
        unknown: UnknownFields::default(),
    };
    vec![
        ("object_row", "inline.bin", small.encode().to_vec()),
        ("object_row", "extents.bin", large.encode().to_vec()),
        ("object_row", "parts.bin", parts.encode().to_vec()),
        ("object_row", "empty.bin", empty.encode().to_vec()),
        ("object_row", "encrypted.bin", encrypted.encode().to_vec()),
        (
            "encryption_field",
            "all-fields.bin",
            encryption().encode().to_vec(),
        ),
        (
            "encryption_field",
            "unknown-field.bin",
            unknown_field(encryption().encode()),
        ),
        (
            "wrapped_key",
            "customer.bin",
            encryption().wrapped_key.encode(),
        ),
        ("object_row", "delete-marker.bin", marker.encode().to_vec()),
        (
            "object_row",
            "unknown-field.bin",
            unknown_field(small.encode()),
        ),
        (
            "placement_field",
            "empty.bin",
            empty.placement.encode().to_vec(),
        ),
        (
            "placement_field",
            "inline.bin",
            small.placement.encode().to_vec(),
        ),
        (
            "placement_field",
            "extents.bin",
            large.placement.encode().to_vec(),
        ),
        (
            "placement_field",
            "parts.bin",
            parts.placement.encode().to_vec(),
        ),
    ]
}

/// All that can be said of an encrypted body.
fn encryption() -> Encryption {
    let wrapped = [&[1, 0, 0, 0, 7][..], &[0x66; 64]].concat();
    Encryption {
        scheme: Scheme::Kms,
        key_id: "key-1".to_owned(),
        wrapped_key: WrappedKey::decode(&wrapped).expect("as long as a wrapped key"),
        salt: Some(Salt([0x77; 16])),
        context: r#"{"a":"b"}"#.to_owned(),
        bucket_key: true,
        unknown: UnknownFields::default(),
    }
}

fn record_seeds() -> Vec<Seed> {
    let bucket = BucketRecord {
        document_changes: 3,
        object_lock: Some(ObjectLockConfiguration {
            default_retention: Some(DefaultRetention {
                mode: RetentionMode::Compliance,
                period: RetentionPeriod::Days(30),
            }),
        }),
        id: BucketId(7),
        owner: "0123".to_owned(),
        created_ms: 1_700_000_000_000,
        location: "eu-central-1".to_owned(),
        acl: CannedAcl::PublicRead,
        public_objects: true,
        tags: vec![("team".to_owned(), "river".to_owned())],
        versioning: VersioningStatus::Enabled,
        unknown: UnknownFields::default(),
    };
    let upload = UploadRecord {
        started_ms: 1_700_000_000_000,
        storage_class: "STANDARD_IA".to_owned(),
        owner: "0123".to_owned(),
        algorithm: ChecksumAlgorithm::Crc32c,
        composite: true,
        algorithm_declared: true,
        acl: CannedAcl::BucketOwnerFullControl.into(),
        headers: vec![pair("cache-control", "no-store")],
        metadata: vec![pair("a", "b")],
        tags: vec![("k".to_owned(), String::new())],
        retention: Some(Retention {
            mode: RetentionMode::Compliance,
            until_ms: 1_800_000_000_000,
        }),
        legal_hold: Some(LegalHold::Off),
        encryption: Some(Box::new(encryption())),
        kms_key_name: "alias/river".to_owned(),
        unknown: UnknownFields::default(),
    };
    let part = PartRecord {
        size: 300_000,
        md5: [0x44; 16],
        last_modified_ms: 1_700_000_000_000,
        checksum: Some(stored(ChecksumAlgorithm::Sha1, false)),
        placement: Placement::Extents(vec![EXTENT]),
        salt: Some(Salt([0x55; 16])),
        unknown: UnknownFields::default(),
    };
    let mut equal_parts = Layout::of_parts((1..=12).map(|number| (number, 5 << 20)));
    equal_parts.completed_time = 1_700_000_000_123 << 16;
    let progress = LifecycleProgress {
        began_ms: 1_700_000_000_123,
        document_changes: 3,
        after_key: Some(Bytes::from_static(b"logs/7")),
        ..LifecycleProgress::default()
    };
    let gaps = Layout::of_parts([(1, 5 << 20), (3, 5 << 20), (4, 6 << 20), (9, 1), (10, 0)]);
    let event = EventRecord {
        kind: 1,
        time_ms: 1_700_000_000_000,
        sequence: 5,
        bucket: "b".to_owned(),
        bucket_owner: "o".to_owned(),
        key: Bytes::from_static(b"k"),
        size: Some(300),
        etag: "e".to_owned(),
        version_id: "v".to_owned(),
        configuration_id: "c".to_owned(),
        principal: "p".to_owned(),
        source_ip: "::1".to_owned(),
        request_id: "r".to_owned(),
        host_id: "h".to_owned(),
        storage_class: "GLACIER".to_owned(),
        restored_until_ms: 1_800_000_000_000,
        unknown: UnknownFields::default(),
    };
    vec![
        ("event_row", "all-fields.bin", event.encode().to_vec()),
        (
            "event_row",
            "key.bin",
            event_key("arn:oncilla:sqs::a:webhook", 7, 9).to_vec(),
        ),
        ("bucket_row", "all-fields.bin", bucket.encode().to_vec()),
        (
            "bucket_row",
            "unknown-field.bin",
            unknown_field(bucket.encode()),
        ),
        ("upload_row", "all-fields.bin", upload.encode().to_vec()),
        (
            "upload_row",
            "unknown-field.bin",
            unknown_field(upload.encode()),
        ),
        ("part_row", "extents.bin", part.encode().to_vec()),
        (
            "part_row",
            "unknown-field.bin",
            unknown_field(part.encode()),
        ),
        (
            "layout_row",
            "equal-parts.bin",
            equal_parts.encode().to_vec(),
        ),
        ("layout_row", "gaps.bin", gaps.encode().to_vec()),
        (
            "layout_row",
            "unknown-field.bin",
            unknown_field(gaps.encode()),
        ),
        (
            "lifecycle_row",
            "under-way.bin",
            unknown_field(progress.encode()),
        ),
        (
            "garbage_row",
            "extent.bin",
            Garbage::Extent(EXTENT).encode().to_vec(),
        ),
        (
            "garbage_row",
            "upload.bin",
            Garbage::Upload(ID).encode().to_vec(),
        ),
        (
            "garbage_row",
            "bucket.bin",
            Garbage::BucketUploads(BucketId(7)).encode().to_vec(),
        ),
        (
            "body_row",
            "hello.bin",
            rows::body::encode(b"hello").to_vec(),
        ),
        ("body_row", "empty.bin", rows::body::encode(b"").to_vec()),
    ]
}

fn key_seeds() -> Vec<Seed> {
    let reference_key = extent_reference_key(&EXTENT, ID);
    let reference = [
        &[reference_key.len() as u8][..],
        &reference_key,
        &extent_reference_value(&EXTENT),
    ];
    let mut ordered = BytesMut::new();
    put_ordered(&mut ordered, b"a\0b\xff");
    vec![
        (
            "row_keys",
            "object.bin",
            object_key(BucketId(7), b"a/b").to_vec(),
        ),
        ("row_keys", "part.bin", part_key(ID, 12).to_vec()),
        (
            "row_keys",
            "history.bin",
            history_key(BucketId(7), b"a\0b", 1_700_000_000_123 << 16).to_vec(),
        ),
        (
            "row_keys",
            "null-version.bin",
            null_version_key(BucketId(7), b"a\0b").to_vec(),
        ),
        (
            "row_keys",
            "upload.bin",
            upload_key(BucketId(7), b"a\0b", ID).to_vec(),
        ),
        (
            "row_keys",
            "upload-reference.bin",
            upload_reference_key(ID, ID).to_vec(),
        ),
        ("row_keys", "extent-reference.bin", reference.concat()),
        ("row_keys", "bucket.bin", bucket_key("photos").to_vec()),
        (
            "row_keys",
            "bucket-of-owner.bin",
            bucket_by_owner_key("0123", "photos").to_vec(),
        ),
        ("row_keys", "ordered.bin", ordered.to_vec()),
        ("row_keys", "counter.bin", (-5_i64).to_be_bytes().to_vec()),
        (
            "row_keys",
            "varint.bin",
            vec![0xff; 9].into_iter().chain([1]).collect(),
        ),
    ]
}

fn volume_seeds() -> Vec<Seed> {
    let volume = VolumeHeader {
        version: FORMAT_VERSION,
        id: VolumeId(3),
        created_unix_ms: 1_700_000_000_000,
        group: "default".to_owned(),
    };
    vec![
        ("volume_header", "volume.bin", volume.encode()),
        (
            "extent_header",
            "one-frame.bin",
            extent(5, 4 << 10, FORMAT_VERSION),
        ),
        (
            "extent_header",
            "three-frames.bin",
            extent(150_000, 64 << 10, FORMAT_VERSION),
        ),
        (
            "extent_header",
            "empty.bin",
            extent(0, 1 << 20, FORMAT_VERSION),
        ),
        (
            "extent_header",
            "newer.bin",
            extent(5, 4 << 10, FORMAT_VERSION + 1),
        ),
        ("extent_header", "released.bin", vec![0; 64]),
    ]
}

/// The head of an extent, written after the description on the front page of `oncilla_blob`.
fn extent(length: u64, frame_bytes: u32, version: u16) -> Vec<u8> {
    let mut head = Vec::new();
    head.extend_from_slice(&version.to_le_bytes());
    head.extend_from_slice(&0_u16.to_le_bytes());
    head.extend_from_slice(&length.to_le_bytes());
    head.extend_from_slice(&3_u64.to_le_bytes());
    head.extend_from_slice(&8192_u64.to_le_bytes());
    head.extend_from_slice(&frame_bytes.to_le_bytes());
    head.extend_from_slice(&[0; 20]);
    for frame in 0..length.div_ceil(u64::from(frame_bytes)) {
        head.extend_from_slice(&(frame as u32).to_le_bytes());
    }
    let checksum = oncilla_hash::crc32c(&head);
    [&b"ONCILEXT"[..], &checksum.to_le_bytes(), &head].concat()
}

/// Streams for MD5 in lanes: as many as each kernel has lanes, and one more; with whole blocks, parts
/// of blocks and nothing in their pieces.
fn lane_seeds() -> Vec<Seed> {
    let streams = |count: u8, step: u8, lengths: &[u16]| {
        let mut seed = vec![count - 1, step];
        for (piece, length) in lengths.iter().enumerate() {
            for stream in 0..count {
                seed.push(stream);
                seed.extend(length.to_le_bytes());
                seed.extend((0..*length).map(|at| (at as u8) ^ stream ^ piece as u8));
            }
        }
        seed
    };
    vec![
        ("md5_lanes", "one.bin", streams(1, 255, &[63, 1, 64, 65])),
        ("md5_lanes", "four.bin", streams(4, 4, &[200, 0, 56])),
        ("md5_lanes", "five.bin", streams(5, 8, &[128, 7])),
        ("md5_lanes", "sixteen.bin", streams(16, 0, &[130, 62])),
        ("md5_lanes", "thirty-three.bin", streams(33, 16, &[129])),
    ]
}
