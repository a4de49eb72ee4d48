//! Rows of the engine: of the store, and of accounts and keys.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use oncilla_iam::{AccountUpdate, Iam, KeyUpdate};
use oncilla_keys::{CustomerKey, DataKey, MasterKey, WrappedKey};
use oncilla_meta::memory::MemoryEngine;
use oncilla_meta::{Engine, Mutation, Space};
use oncilla_store::rows::bucket::{
    BucketRecord, bucket_by_owner_key, bucket_key, bucket_name, bucket_name_by_owner,
};
use oncilla_store::rows::codec::SharedText;
use oncilla_store::rows::encryption::Encryption;
use oncilla_store::rows::event::{EventRecord, event_key, split_event_key};
use oncilla_store::rows::garbage::Garbage;
use oncilla_store::rows::history::{
    DeleteMarker, Past, history_key, null_version_key, split_history_key, split_null_version_key,
};
use oncilla_store::rows::key::{put_ordered, take_ordered};
use oncilla_store::rows::layout::Layout;
use oncilla_store::rows::lifecycle::LifecycleProgress;
use oncilla_store::rows::object::{ObjectRecord, ObjectSummary, object_key, split_object_key};
use oncilla_store::rows::part::{PartRecord, part_key, split_part_key};
use oncilla_store::rows::placement::Placement;
use oncilla_store::rows::reference::{
    decode_extent_reference, decode_upload_reference, extent_reference_key, extent_reference_value,
    upload_reference_key,
};
use oncilla_store::rows::upload::{UploadRecord, split_upload_key, upload_key};
use oncilla_store::rows::version_id::VersionId;
use oncilla_store::rows::{DecodeError, body as body_rows, codec, usage};

use crate::input;

/// What is decoded, encoded and decoded again is the same: no field is lost, those of newer versions
/// included, and writing it once more changes no byte.
fn round_trip<T: Debug + PartialEq>(
    data: &[u8],
    decode: impl Fn(Bytes) -> Result<T, DecodeError>,
    encode: impl Fn(&T) -> Bytes,
) -> Option<T> {
    let record = decode(Bytes::copy_from_slice(data)).ok()?;
    let encoded = encode(&record);
    let again = decode(encoded.clone());
    let again = again.unwrap_or_else(|error| panic!("just encoded, {record:?}: {error}"));
    assert_eq!(again, record);
    assert_eq!(encode(&again), encoded);
    Some(record)
}

/// An event that waits for its delivery.
pub fn event(data: &[u8]) {
    round_trip(data, EventRecord::decode, EventRecord::encode);
    if let Ok((target, time)) = split_event_key(&Bytes::copy_from_slice(data)) {
        let key = event_key(&target, time, 0);
        assert_eq!(split_event_key(&key), Ok((target, time)));
    }
}

/// A record of the present or the history, and what a listing reads out of it.
pub fn object(data: &[u8]) {
    let value = Bytes::copy_from_slice(data);
    if let Ok(past) = Past::decode(value.clone()) {
        assert_eq!(VersionId::of_row(value.clone()), Ok(past.version_id()));
        let shown = past.version_id().to_string();
        assert_eq!(VersionId::parse(&shown), Some(past.version_id()));
    }
    if let Ok(Some(marker)) = DeleteMarker::decode(value) {
        assert_eq!(DeleteMarker::decode(marker.encode()), Ok(Some(marker)));
    }
    let record = round_trip(data, ObjectRecord::decode, ObjectRecord::encode);
    let summary = ObjectSummary::decode(Bytes::copy_from_slice(data), &mut SharedText::default());
    let Some(record) = record else {
        return;
    };
    assert!(!record.storage_class().is_empty());
    let expected = ObjectSummary {
        size: record.size,
        etag: record.etag,
        last_modified_ms: record.last_modified_ms,
        storage_class: record.storage_class.clone(),
        owner: record.owner.as_str().into(),
        checksum: record
            .checksum
            .as_ref()
            .map(|stored| (stored.checksum.algorithm(), stored.composite)),
        restoration: record.restoration,
    };
    assert_eq!(summary, Ok(expected));
}

/// How a body is encrypted.
pub fn encryption(data: &[u8]) {
    let decode = |value: Bytes| Encryption::decode(&value);
    round_trip(data, decode, Encryption::encode);
}

/// A wrapped key, which opens by nothing but the key that wrapped it; and the text of a master key.
pub fn wrapped_key(data: &[u8]) {
    let customer = |byte| CustomerKey::take(&mut [byte; 32]).expect("32 bytes");
    if let Some(wrapped) = WrappedKey::decode(data) {
        assert_eq!(wrapped.encode(), data);
        assert!(customer(0).unwrap(&wrapped).is_err(), "nobody wrapped it");
    }
    let data_key = DataKey::random().expect("random bytes");
    let mut own = customer(1).wrap(&data_key).expect("random bytes").encode();
    for (byte, change) in own.iter_mut().zip(data) {
        *byte ^= change;
    }
    if data.iter().take(own.len()).any(|&change| change != 0) {
        let opened = WrappedKey::decode(&own).map(|changed| customer(1).unwrap(&changed).is_ok());
        assert_ne!(opened, Some(true), "a change went unseen");
    }
    let _ = MasterKey::parse(&String::from_utf8_lossy(data));
}

/// A bucket's record.
pub fn bucket(data: &[u8]) {
    round_trip(data, BucketRecord::decode, BucketRecord::encode);
}

/// The record of an open upload.
pub fn upload(data: &[u8]) {
    round_trip(data, UploadRecord::decode, UploadRecord::encode);
}

/// A part's record.
pub fn part(data: &[u8]) {
    round_trip(data, PartRecord::decode, PartRecord::encode);
}

/// How far the lifecycle worker is with a bucket.
pub fn lifecycle(data: &[u8]) {
    round_trip(data, LifecycleProgress::decode, LifecycleProgress::encode);
}

/// The field that says where bytes are.
pub fn placement(data: &[u8]) {
    round_trip(
        data,
        |field| Placement::decode(&field, "fuzz"),
        Placement::encode,
    );
}

/// A garbage row.
pub fn garbage(data: &[u8]) {
    round_trip(data, Garbage::decode, Garbage::encode);
}

/// The layout of a completed upload: its parts lie one after the other and are found by position.
pub fn layout(data: &[u8]) {
    let Some(layout) = round_trip(data, Layout::decode, Layout::encode) else {
        return;
    };
    // A damaged row can announce millions of parts in a few bytes; some tell as much as all.
    const PARTS_LOOKED_AT: usize = 2_000;
    let mut offset = 0;
    for place in layout.parts().take(PARTS_LOOKED_AT) {
        assert_eq!(place.offset, offset);
        if place.size > 0 {
            for position in [place.offset, place.offset + place.size - 1] {
                assert_eq!(layout.part_at(position), Some(place));
            }
        }
        offset += place.size;
    }
    assert!(offset <= layout.size());
    assert_eq!(layout.part_at(layout.size()), None);
    if layout.part_count() <= PARTS_LOOKED_AT {
        assert_eq!(offset, layout.size());
        assert_eq!(layout.parts().count(), layout.part_count());
        for place in layout.parts() {
            // Of numbers that a damaged row has twice the first is found.
            assert_eq!(
                layout.part(place.number).map(|found| found.number),
                Some(place.number)
            );
        }
        let parts: Vec<(u16, u64)> = layout
            .parts()
            .map(|place| (place.number, place.size))
            .collect();
        let rebuilt = Layout::of_parts(parts);
        assert!(rebuilt.parts().eq(layout.parts()));
    }
}

/// The row of a small body: what is damaged in one byte is refused.
pub fn body(data: &[u8]) {
    if let Ok(body) = body_rows::decode(Bytes::copy_from_slice(data)) {
        assert_eq!(body_rows::encode(&body), data);
    }
    let ([at, change], body) = input::take(data);
    let mut row = BytesMut::from(&body_rows::encode(body)[..]);
    assert_eq!(body_rows::decode(row.clone().freeze()).as_deref(), Ok(body));
    let at = usize::from(at) % row.len();
    row[at] ^= change;
    assert_eq!(body_rows::decode(row.freeze()).is_ok(), change == 0);
}

/// The keys of rows: what is taken apart can be put together again.
pub fn row_keys(data: &[u8]) {
    let key = Bytes::copy_from_slice(data);
    if let Ok((bucket, object)) = split_object_key(&key) {
        assert_eq!(object_key(bucket, &object)[1..], key[1..]);
    }
    if let Ok((bucket, object, time)) = split_history_key(&key) {
        let again = history_key(bucket, &object, time);
        assert_eq!(split_history_key(&again), Ok((bucket, object, time)));
    }
    if let Ok((bucket, object)) = split_null_version_key(&key) {
        let again = null_version_key(bucket, &object);
        assert_eq!(split_null_version_key(&again), Ok((bucket, object)));
    }
    if let Ok((upload, number)) = split_part_key(&key) {
        assert_eq!(part_key(upload, number)[1..], key[1..]);
    }
    if let Ok((bucket, object, upload)) = split_upload_key(&key) {
        let again = upload_key(bucket, &object, upload);
        assert_eq!(split_upload_key(&again), Ok((bucket, object, upload)));
    }
    if let Ok((upload, object)) = decode_upload_reference(&key) {
        assert_eq!(upload_reference_key(upload, object)[1..], key[1..]);
    }
    let ([length_of_key], rest) = input::take(data);
    let (row_key, value) = rest.split_at(usize::from(length_of_key).min(rest.len()));
    let (row_key, value) = (
        Bytes::copy_from_slice(row_key),
        Bytes::copy_from_slice(value),
    );
    if let Ok((extent, referrer)) = decode_extent_reference(&row_key, &value) {
        let again = extent_reference_key(&extent, referrer);
        assert_eq!(again[1..], row_key[1..]);
        let value = extent_reference_value(&extent);
        assert_eq!(
            decode_extent_reference(&again, &value),
            Ok((extent, referrer))
        );
    }
    if let Ok(name) = bucket_name(&key) {
        assert_eq!(bucket_key(&name)[1..], key[1..]);
    }
    if let Ok(name) = bucket_name_by_owner(&key) {
        let again = bucket_name_by_owner(&bucket_by_owner_key("owner", &name));
        assert_eq!(again, Ok(name));
    }
    if data.len() == 8 {
        assert_eq!(usage::value(Some(&key)).to_be_bytes(), data);
    } else {
        assert_eq!(usage::value(Some(&key)), 0);
    }
    let mut rest = key.clone();
    if let Some(taken) = take_ordered(&mut rest) {
        let mut again = BytesMut::new();
        put_ordered(&mut again, &taken);
        assert_eq!(take_ordered(&mut again.freeze()), Some(taken));
    }
    let mut rest = &key[..];
    if let Some(number) = codec::take_varint(&mut rest) {
        let mut again = BytesMut::new();
        codec::put_varint(&mut again, number);
        assert!(
            again.len() + rest.len() <= key.len(),
            "longer than what was read"
        );
        assert_eq!(codec::take_varint(&mut &again[..]), Some(number));
    }
}

pub(crate) const ACCOUNT_ID: &str =
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
pub(crate) const KEY_ID: &str = "tid_fuzz";

/// The record of an account as its door reads it, given as an engine's row.
pub fn account(data: &[u8]) {
    let (engine, iam) = door(format!("ai{ACCOUNT_ID}"), data);
    let Ok(account) = ready(iam.account(ACCOUNT_ID)) else {
        return;
    };
    assert_eq!(account.id, ACCOUNT_ID);
    // Nothing changes but the row is written again, with the fields of newer versions.
    let again = ready(iam.update_account(ACCOUNT_ID, AccountUpdate::default()));
    if let Ok(again) = again {
        assert_eq!(again, account);
        assert_eq!(ready(iam.account(ACCOUNT_ID)).ok(), Some(account));
    }
    drop(engine);
}

/// The record of an access key as its door reads it, given as an engine's row.
pub fn access_key(data: &[u8]) {
    let (engine, iam) = door(format!("ki{KEY_ID}"), data);
    let Ok(key) = ready(iam.key(KEY_ID)) else {
        return;
    };
    assert_eq!(key.id(), KEY_ID);
    if let Ok(info) = ready(iam.update_key(KEY_ID, KeyUpdate::default())) {
        assert_eq!(info, key.info);
        let again = ready(iam.key(KEY_ID));
        let again = again.unwrap_or_else(|error| panic!("just written: {error}"));
        assert_eq!(again.info, key.info);
        assert_eq!(again.secret.expose(), key.secret.expose());
    }
    // Its account does not exist, so it must not be possible to sign with it.
    assert!(ready(iam.lookup(KEY_ID)).is_err());
    drop(engine);
}

fn door(row_key: String, value: &[u8]) -> (Arc<MemoryEngine>, Iam) {
    let engine = Arc::new(MemoryEngine::new());
    let mut mutation = Mutation::new();
    mutation.put(Space::Records, row_key, Bytes::copy_from_slice(value));
    let committed = ready(engine.commit(mutation));
    assert!(committed.is_ok(), "{committed:?}");
    let iam = Iam::new(
        Arc::clone(&engine) as Arc<dyn Engine>,
        Arc::new(|| 1_700_000_000_000),
    );
    (engine, iam)
}

/// The engine in memory never waits.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match future.now_or_never() {
        Some(output) => output,
        None => panic!("the engine in memory waits"),
    }
}
