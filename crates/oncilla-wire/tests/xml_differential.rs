//! The same documents mean the same to s3s, an independent implementation.

#![allow(clippy::unwrap_used)] // A test that fails should say so at once.

use oncilla_wire::tagging::{Tag, TagSet, TagTarget};
use oncilla_wire::xml::delete::{Delete, ObjectIdentifier};
use oncilla_wire::xml::list_objects::ListObjectsV2;
use oncilla_wire::xml::multipart::{CompleteMultipartUpload, CompletedPart};
use oncilla_wire::xml::{Checksums, tagging};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use s3s::dto;
use s3s::xml::{Deserialize, Deserializer, Serialize, Serializer};

fn written_by_s3s(document: &impl Serialize) -> Vec<u8> {
    let mut xml = Vec::new();
    let mut serializer = Serializer::new(&mut xml);
    serializer.decl().unwrap();
    document.serialize(&mut serializer).unwrap();
    xml
}

fn read_by_s3s<T: for<'x> Deserialize<'x>>(xml: &[u8]) -> T {
    let mut deserializer = Deserializer::new(xml);
    let document = T::deserialize(&mut deserializer).unwrap();
    deserializer.expect_eof().unwrap();
    document
}

/// Without control characters: s3s follows XML 1.0 there, S3 and this crate do not.
const KEY: &str = "[ -~\u{e9}\u{4e2d}]{1,20}";

proptest! {
    #[test]
    fn delete(keys in vec((KEY, option::of("[a-z0-9]{1,10}")), 1..10), quiet: bool) {
        let objects = keys.iter().map(|(key, version_id)| ObjectIdentifier {
            key: key.into(), version_id: version_id.as_ref().map(Into::into), ..ObjectIdentifier::default()
        }).collect();
        let ours = Delete { objects, quiet };
        let theirs: dto::Delete = read_by_s3s(&ours.to_xml());
        prop_assert_eq!(theirs.quiet.unwrap_or(false), quiet);
        let read: Vec<_> = theirs.objects.iter().map(|object| (object.key.clone(), object.version_id.clone())).collect();
        prop_assert_eq!(&read, &keys);
        prop_assert_eq!(Delete::parse(&written_by_s3s(&theirs)).unwrap(), ours);
    }

    #[test]
    fn complete(parts in vec((1u32..=10_000, "[0-9a-f]{32}", option::of("[A-Za-z0-9+/]{6}==")), 1..10)) {
        let ours = CompleteMultipartUpload { parts: parts.iter().map(|(part_number, etag, crc32)| CompletedPart {
            part_number: *part_number,
            etag: etag.into(),
            checksums: Checksums { crc32: crc32.as_ref().map(Into::into), ..Checksums::default() },
        }).collect() };
        let theirs: dto::CompletedMultipartUpload = read_by_s3s(&ours.to_xml());
        let read: Vec<_> = theirs.parts.iter().flatten().map(|part| {
            let etag = part.e_tag.as_ref().unwrap().value().to_owned();
            (part.part_number.unwrap() as u32, etag, part.checksum_crc32.clone())
        }).collect();
        prop_assert_eq!(&read, &parts);
        prop_assert_eq!(CompleteMultipartUpload::parse(&written_by_s3s(&theirs)).unwrap(), ours);
    }

    #[test]
    fn tags(pairs in proptest::collection::btree_map("[a-z][a-zA-Z0-9 _./=+@-]{0,10}", "[a-zA-Z0-9 _./=+:@-]{0,20}", 0..10)) {
        let tags = pairs.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect();
        let ours = TagSet::new(tags, TagTarget::Object).unwrap();
        let theirs: dto::Tagging = read_by_s3s(&tagging::to_xml(&ours));
        let read: std::collections::BTreeMap<_, _> =
            theirs.tag_set.iter().map(|tag| (tag.key.clone().unwrap(), tag.value.clone().unwrap())).collect();
        prop_assert_eq!(&read, &pairs);
        prop_assert_eq!(tagging::parse(&written_by_s3s(&theirs), TagTarget::Object).unwrap(), ours);
    }

    #[test]
    fn list(keys in vec((KEY, 0i64..1 << 50, 0u64..4_000_000_000), 0..10), prefixes in vec(KEY, 0..5), truncated: bool) {
        let contents = keys.iter().map(|(key, size, seconds)| dto::Object {
            key: Some(key.clone()),
            size: Some(*size),
            last_modified: Some((std::time::UNIX_EPOCH + std::time::Duration::from_secs(*seconds)).into()),
            e_tag: Some(dto::ETag::Strong("abc".to_owned())),
            ..dto::Object::default()
        }).collect();
        let common_prefixes =
            prefixes.iter().map(|prefix| dto::CommonPrefix { prefix: Some(prefix.clone()) }).collect();
        let theirs = dto::ListObjectsV2Output {
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            is_truncated: Some(truncated),
            next_continuation_token: truncated.then(|| "token".to_owned()),
            ..dto::ListObjectsV2Output::default()
        };
        let ours = ListObjectsV2::parse(&written_by_s3s(&theirs)).unwrap();
        prop_assert_eq!(ours.is_truncated, truncated);
        prop_assert_eq!(ours.next_continuation_token.as_deref(), truncated.then_some("token"));
        prop_assert_eq!(&ours.common_prefixes, &prefixes);
        let read: Vec<_> = ours.contents.iter().map(|entry| {
            prop_assert_eq!(&entry.etag, "abc");
            Ok((entry.key.to_string(), entry.size as i64, (entry.last_modified_ms / 1000) as u64))
        }).collect::<Result<_, TestCaseError>>()?;
        prop_assert_eq!(&read, &keys);
    }
}
