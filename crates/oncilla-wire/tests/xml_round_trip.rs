//! What is written is read back equal, for every document and any text.

#![allow(clippy::unwrap_used)] // A test that fails should say so at once.

use std::borrow::Cow;

use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::tagging::{Tag, TagSet, TagTarget};
use oncilla_wire::xml::acl::{self, Acl, CannedAcl};
use oncilla_wire::xml::attributes::{
    AttributePart, ObjectAttributes, ObjectParts, WantedAttributes,
};
use oncilla_wire::xml::bucket::CreateBucketConfiguration;
use oncilla_wire::xml::copy::CopyResult;
use oncilla_wire::xml::delete::{
    Delete, DeleteError, DeleteResult, DeletedObject, MAX_DELETE_KEYS, ObjectIdentifier,
};
use oncilla_wire::xml::error::ErrorDocument;
use oncilla_wire::xml::list_buckets::{BucketEntry, ListBuckets};
use oncilla_wire::xml::list_objects::{ListObjects, ListObjectsV2, ObjectEntry, RestoreStatus};
use oncilla_wire::xml::list_versions::{ListVersions, VersionContent, VersionEntry};
use oncilla_wire::xml::multipart::{
    CompleteMultipartUpload, CompleteMultipartUploadResult, CompletedPart, InitiateMultipartUpload,
    ListMultipartUploads, ListParts, MAX_PARTS, PartEntry, UploadEntry, check_part_order,
    parse_part_number,
};
use oncilla_wire::xml::versioning::VersioningStatus;
use oncilla_wire::xml::writer::legal_text;
use oncilla_wire::xml::{Checksums, KeyEncoding, Owner, location, tagging};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

type Text = Cow<'static, str>;

/// Any text, with what XML and URLs find hard much more often than chance would have it.
fn text() -> BoxedStrategy<Text> {
    let hard = proptest::sample::select(vec![
        "\0",
        "\u{1}",
        "\u{8}",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "\u{1f}",
        " ",
        "  ",
        "<",
        ">",
        "&",
        "]]>",
        "\"",
        "'",
        "%",
        "%2F",
        "+",
        "/",
        "&amp;",
        "<!--",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{fffe}",
        "\u{ffff}",
        "\u{1f600}",
        "\u{e9}",
    ]);
    let piece = prop_oneof![
        hard.prop_map(str::to_owned),
        "[a-zA-Z0-9]{1,5}",
        any::<char>().prop_map(String::from)
    ];
    vec(piece, 0..8)
        .prop_map(|pieces| Cow::Owned(pieces.concat()))
        .boxed()
}

fn some_text() -> BoxedStrategy<Option<Text>> {
    option::of(text()).boxed()
}

fn etag() -> BoxedStrategy<Text> {
    "[0-9a-f]{32}(-[0-9]{1,4})?".prop_map(Cow::Owned).boxed()
}

fn time_ms() -> std::ops::Range<i64> {
    0..253_000_000_000_000
}

fn encoding() -> BoxedStrategy<KeyEncoding> {
    prop_oneof![Just(KeyEncoding::Plain), Just(KeyEncoding::Url)].boxed()
}

prop_compose! {
    fn owner()(id in text(), display_name in text()) -> Owner<'static> {
        Owner { id, display_name }
    }
}

prop_compose! {
    fn checksums()(crc32 in some_text(), crc32c in some_text(), crc64nvme in some_text(), sha1 in some_text(),
        sha256 in some_text(), checksum_type in some_text()) -> Checksums<'static> {
        Checksums { crc32, crc32c, crc64nvme, sha1, sha256, checksum_type }
    }
}

prop_compose! {
    fn restore_status()(in_progress: bool, expires_ms in option::of(time_ms())) -> RestoreStatus {
        RestoreStatus { in_progress, expires_ms }
    }
}

prop_compose! {
    fn object_entry()(key in text(), last_modified_ms in time_ms(), etag in etag(), size: u64, storage_class in text(),
        owner in option::of(owner()), checksum_algorithm in some_text(), checksum_type in some_text(),
        restore_status in option::of(restore_status()))
        -> ObjectEntry<'static> {
        ObjectEntry { key, last_modified_ms, etag, size, storage_class, owner, checksum_algorithm, checksum_type, restore_status }
    }
}

prop_compose! {
    fn version_entry()(key in text(), version_id in text(), is_latest: bool, last_modified_ms in time_ms(),
        owner in option::of(owner()), has_content: bool, etag in etag(), size: u64, storage_class in text(),
        restore_status in option::of(restore_status()))
        -> VersionEntry<'static> {
        let content = VersionContent { etag, size, storage_class, restore_status, ..VersionContent::default() };
        VersionEntry { key, version_id, is_latest, last_modified_ms, owner, content: has_content.then_some(content) }
    }
}

prop_compose! {
    fn part_entry()(part_number: u32, last_modified_ms in time_ms(), etag in etag(), size: u64,
        checksums in checksums()) -> PartEntry<'static> {
        PartEntry { part_number, last_modified_ms, etag, size, checksums }
    }
}

prop_compose! {
    fn upload_entry()(key in text(), upload_id in text(), initiator in owner(), owner in owner(),
        storage_class in text(), initiated_ms in time_ms(), checksum_algorithm in some_text())
        -> UploadEntry<'static> {
        UploadEntry { key, upload_id, initiator, owner, storage_class, initiated_ms, checksum_algorithm,
            checksum_type: None }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn list_objects(name in text(), prefix in text(), marker in text(), next_marker in some_text(),
        delimiter in some_text(), max_keys: u64, encoding in encoding(), is_truncated: bool,
        contents in vec(object_entry(), 0..4), common_prefixes in vec(text(), 0..4)) {
        let list = ListObjects { name, prefix, marker, next_marker, delimiter, max_keys, encoding, is_truncated,
            contents, common_prefixes };
        prop_assert_eq!(ListObjects::parse(&list.to_xml()).unwrap(), list);
    }

    #[test]
    fn list_objects_v2(names in (text(), text(), some_text()), max_keys: u64, key_count: u64, encoding in encoding(),
        is_truncated: bool, tokens in (some_text(), some_text(), some_text()),
        contents in vec(object_entry(), 0..4), common_prefixes in vec(text(), 0..4)) {
        let list = ListObjectsV2 { name: names.0, prefix: names.1, delimiter: names.2, max_keys, key_count, encoding,
            is_truncated, continuation_token: tokens.0, next_continuation_token: tokens.1, start_after: tokens.2,
            contents, common_prefixes };
        prop_assert_eq!(ListObjectsV2::parse(&list.to_xml()).unwrap(), list);
    }

    #[test]
    fn list_versions(texts in (text(), text(), text(), text()), next in (some_text(), some_text(), some_text()),
        max_keys: u64, encoding in encoding(), is_truncated: bool, entries in vec(version_entry(), 0..4),
        common_prefixes in vec(text(), 0..4)) {
        let list = ListVersions { name: texts.0, prefix: texts.1, key_marker: texts.2, version_id_marker: texts.3,
            next_key_marker: next.0, next_version_id_marker: next.1, delimiter: next.2, max_keys, encoding,
            is_truncated, entries, common_prefixes };
        prop_assert_eq!(ListVersions::parse(&list.to_xml()).unwrap(), list);
    }

    #[test]
    fn list_buckets(owner in owner(), names in vec((text(), time_ms(), some_text()), 0..4), prefix in some_text(),
        continuation_token in some_text()) {
        let buckets = names.into_iter()
            .map(|(name, creation_date_ms, region)| BucketEntry { name, creation_date_ms, region }).collect();
        let list = ListBuckets { owner, buckets, prefix, continuation_token };
        prop_assert_eq!(ListBuckets::parse(&list.to_xml()).unwrap(), list);
    }

    #[test]
    fn list_parts(texts in (text(), text(), text(), text()), owners in (owner(), owner()), marker: u32,
        next: Option<u32>, max_parts: u64, is_truncated: bool, encoding in encoding(),
        checksum in (some_text(), some_text()), parts in vec(part_entry(), 0..4)) {
        let list = ListParts { bucket: texts.0, key: texts.1, upload_id: texts.2, initiator: owners.0,
            owner: owners.1, storage_class: texts.3, part_number_marker: marker, next_part_number_marker: next,
            max_parts, is_truncated, encoding, checksum_algorithm: checksum.0, checksum_type: checksum.1, parts };
        prop_assert_eq!(ListParts::parse(&list.to_xml()).unwrap(), list);
    }

    #[test]
    fn list_uploads(texts in (text(), text(), text(), text()), next in (some_text(), some_text(), some_text()),
        max_uploads: u64, encoding in encoding(), is_truncated: bool, uploads in vec(upload_entry(), 0..4),
        common_prefixes in vec(text(), 0..4)) {
        let list = ListMultipartUploads { bucket: texts.0, key_marker: texts.1, upload_id_marker: texts.2,
            next_key_marker: next.0, next_upload_id_marker: next.1, prefix: texts.3, delimiter: next.2,
            max_uploads, encoding, is_truncated, uploads, common_prefixes };
        prop_assert_eq!(ListMultipartUploads::parse(&list.to_xml()).unwrap(), list);
    }

    #[test]
    fn multipart_and_copy(bucket in text(), key in text(), upload_id in text(), location in text(), etag in etag(),
        checksums in checksums(), last_modified_ms in time_ms(), number in 1u32..=10_000) {
        let initiate = InitiateMultipartUpload { bucket: bucket.clone(), key: key.clone(), upload_id };
        prop_assert_eq!(InitiateMultipartUpload::parse(&initiate.to_xml()).unwrap(), initiate);

        let part = CompletedPart { part_number: number, etag: etag.clone(), checksums: checksums.clone() };
        let complete = CompleteMultipartUpload { parts: vec![part] };
        prop_assert_eq!(CompleteMultipartUpload::parse(&complete.to_xml()).unwrap(), complete);

        let copy = CopyResult { last_modified_ms, etag: etag.clone(), checksums: checksums.clone() };
        prop_assert_eq!(CopyResult::parse(&copy.to_object_xml()).unwrap().unwrap(), copy.clone());
        prop_assert_eq!(CopyResult::parse(&copy.to_part_xml()).unwrap().unwrap(), copy);

        let result = CompleteMultipartUploadResult { location, bucket, key, etag, checksums };
        prop_assert_eq!(CompleteMultipartUploadResult::parse(&result.to_xml()).unwrap().unwrap(), result);
    }

    #[test]
    fn delete(keys in vec((text(), some_text(), option::of(etag()), option::of(time_ms()), any::<Option<u64>>()), 1..5),
        quiet: bool, errors in vec((text(), some_text(), text(), text()), 0..3)) {
        let objects: Vec<_> = keys.into_iter().filter(|key| !key.0.is_empty())
            .map(|(key, version_id, etag, last_modified_time_ms, size)| {
                ObjectIdentifier { key, version_id, etag, last_modified_time_ms, size }
            }).collect();
        prop_assume!(!objects.is_empty());
        let deleted = objects.iter().map(|object| DeletedObject {
            key: object.key.clone(), version_id: object.version_id.clone(), delete_marker: quiet,
            delete_marker_version_id: object.version_id.clone(),
        }).collect();
        let errors = errors.into_iter()
            .map(|(key, version_id, code, message)| {
                let message = legal_text(&message).into_owned().into();
                DeleteError { key, version_id, code, message }
            }).collect();
        let delete = Delete { objects, quiet };
        prop_assert_eq!(Delete::parse(&delete.to_xml()).unwrap(), delete);
        let result = DeleteResult { deleted, errors };
        prop_assert_eq!(DeleteResult::parse(&result.to_xml()).unwrap(), result);
    }

    #[test]
    fn errors(message in text(), resource in text(), detail in text()) {
        let message = message.into_owned();
        let error = S3Error::with_message(S3ErrorCode::NoSuchKey, message.clone()).detail("Key", detail.clone());
        let read = ErrorDocument::parse(&error.to_xml(&resource, "request", "host")).unwrap();
        prop_assert_eq!((read.code.as_str(), read.message.as_str()), ("NoSuchKey", &*legal_text(&message)));
        prop_assert_eq!(read.resource.as_str(), &*legal_text(&resource));
        prop_assert_eq!((read.request_id.as_str(), read.host_id.as_str()), ("request", "host"));
        prop_assert_eq!(read.detail("Key"), Some(&*legal_text(&detail)));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200), markup in "[<>/&;#x0-9a-zA-Z!\\[\\]\"= -]{0,200}") {
        for document in [bytes.as_slice(), markup.as_bytes(), format!("<Delete>{markup}").as_bytes(),
            format!("<Error><Code>{markup}</Code></Error>").as_bytes()] {
            parse_everything(document);
        }
    }

    #[test]
    fn damaged_documents_never_panic(at in 0usize..600, byte: u8, cut: bool) {
        let list = ListObjectsV2 { contents: vec![ObjectEntry::default(); 2], ..ListObjectsV2::default() };
        let complete = CompleteMultipartUpload { parts: vec![CompletedPart::default()] };
        for mut document in [list.to_xml(), complete.to_xml()] {
            let at = at % document.len();
            document[at] = byte;
            if cut {
                document.truncate(at);
            }
            parse_everything(&document);
        }
    }
}

fn parse_everything(bytes: &[u8]) {
    let _ = ListObjects::parse(bytes);
    let _ = ListObjectsV2::parse(bytes);
    let _ = ListVersions::parse(bytes);
    let _ = ListBuckets::parse(bytes);
    let _ = ListParts::parse(bytes);
    let _ = ListMultipartUploads::parse(bytes);
    let _ = InitiateMultipartUpload::parse(bytes);
    let _ = CompleteMultipartUpload::parse(bytes);
    let _ = CompleteMultipartUploadResult::parse(bytes);
    let _ = CopyResult::parse(bytes);
    let _ = Delete::parse(bytes);
    let _ = DeleteResult::parse(bytes);
    let _ = ErrorDocument::parse(bytes);
    let _ = CreateBucketConfiguration::parse(bytes);
    let _ = VersioningStatus::parse(bytes);
    let _ = location::parse(bytes);
    let _ = tagging::parse(bytes, TagTarget::Object);
}

fn refused<T: std::fmt::Debug>(result: Result<T, S3Error>) {
    assert_eq!(result.unwrap_err().code, S3ErrorCode::MalformedXML);
}

#[test]
fn small_documents() {
    for status in [
        VersioningStatus::Unversioned,
        VersioningStatus::Enabled,
        VersioningStatus::Suspended,
    ] {
        assert_eq!(VersioningStatus::parse(&status.to_xml()).unwrap(), status);
    }
    for region in ["us-east-1", "auto", "eu-central-1"] {
        assert_eq!(location::parse(&location::to_xml(region)).unwrap(), region);
    }
    let tags = vec![Tag {
        key: "a".into(),
        value: "b +".into(),
    }];
    let tags = TagSet::new(tags, TagTarget::Object).unwrap();
    assert_eq!(
        tagging::parse(&tagging::to_xml(&tags), TagTarget::Object).unwrap(),
        tags
    );
    let configuration = CreateBucketConfiguration {
        location_constraint: Some("auto".into()),
        tags,
    };
    let read = CreateBucketConfiguration::parse(&configuration.to_xml()).unwrap();
    assert_eq!(read, configuration);
    assert_eq!(
        CreateBucketConfiguration::parse(b"").unwrap(),
        CreateBucketConfiguration::default()
    );
}

#[test]
fn entities_types_and_wrong_shapes_are_refused() {
    let doctype =
        b"<!DOCTYPE Delete [<!ENTITY a \"b\">]><Delete><Object><Key>&a;</Key></Object></Delete>";
    refused(Delete::parse(doctype));
    for inside in [
        "",
        "<Object/>",
        "<Object><Key/></Object>",
        "<Object><Key>&b;</Key></Object>",
        "<Object><Key>&#xD800;</Key></Object>",
        "<Object><Key>&#+65;</Key></Object>",
        "<Object><Key>a</Object></Key>",
        "<Object><Key>a<b/></Key></Object>",
        "<Object><Key>a</Key><Key>b</Key></Object>",
        "<Object><Key>a</Key></Object><Quiet>maybe</Quiet>",
    ] {
        refused(Delete::parse(
            format!("<Delete>{inside}</Delete>").as_bytes(),
        ));
    }
    refused(Delete::parse(b""));
    refused(Delete::parse(
        b"<Deletes><Object><Key>a</Key></Object></Deletes>",
    ));
    refused(Delete::parse(b"<Delete><Object><Key>a</Key></Object>"));
    refused(Delete::parse(
        b"<Delete><Object><Key>a</Key></Object></Delete><x/>",
    ));
    refused(Delete::parse(
        b"x<Delete><Object><Key>a</Key></Object></Delete>",
    ));
    refused(Delete::parse(
        b"<Delete><Object><Key>\xff</Key></Object></Delete>",
    ));
    refused(Delete::parse(
        format!("<Delete>{}", "<a>".repeat(100_000)).as_bytes(),
    ));
    refused(Delete::parse(
        format!("<Delete>{}</Delete>", "<a/>".repeat(200_000)).as_bytes(),
    ));
}

#[test]
fn the_spellings_of_clients_are_read() {
    let xml = b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- c --><s3:Delete xmlns:s3=\"http://s3.amazonaws.com/doc/2006-03-01/\">
        <s3:Object><s3:Key><![CDATA[a<b]]>&#x2F;&amp;&#13;</s3:Key><Unknown><Key>x</Key></Unknown></s3:Object>
        <s3:Quiet> TRUE </s3:Quiet></s3:Delete>\n";
    let delete = Delete::parse(xml).unwrap();
    assert_eq!(delete.objects[0].key, "a<b/&\r");
    assert!(delete.quiet);
    let xml = b"<CompleteMultipartUpload><Part><ETag>&quot;abc&quot;</ETag><PartNumber>1</PartNumber></Part>\
        <Part><PartNumber>2</PartNumber><ETag>def</ETag></Part></CompleteMultipartUpload>";
    let parts = CompleteMultipartUpload::parse(xml).unwrap().parts;
    assert_eq!(
        (parts[0].etag.as_ref(), parts[1].etag.as_ref()),
        ("abc", "def")
    );
    assert!(check_part_order(&parts).is_ok());
    let reversed = [parts[1].clone(), parts[0].clone()];
    assert_eq!(
        check_part_order(&reversed).unwrap_err().code,
        S3ErrorCode::InvalidPartOrder
    );
    let twice = [parts[0].clone(), parts[0].clone()];
    assert_eq!(
        check_part_order(&twice).unwrap_err().code,
        S3ErrorCode::InvalidPartOrder
    );
}

#[test]
fn counts_are_limited() {
    let object = "<Object><Key>a</Key></Object>";
    let delete =
        |count| Delete::parse(format!("<Delete>{}</Delete>", object.repeat(count)).as_bytes());
    assert_eq!(
        delete(MAX_DELETE_KEYS).unwrap().objects.len(),
        MAX_DELETE_KEYS
    );
    refused(delete(MAX_DELETE_KEYS + 1));

    let complete = |count: usize| {
        let parts = (1..=count).map(|n| CompletedPart {
            part_number: (n.min(MAX_PARTS)) as u32,
            etag: "d41d8cd98f00b204e9800998ecf8427e".into(),
            checksums: Checksums {
                sha256: Some("x".repeat(44).into()),
                ..Checksums::default()
            },
        });
        CompleteMultipartUpload::parse(
            &CompleteMultipartUpload {
                parts: parts.collect(),
            }
            .to_xml(),
        )
    };
    assert_eq!(complete(MAX_PARTS).unwrap().parts.len(), MAX_PARTS);
    refused(complete(MAX_PARTS + 1));
    refused(complete(0));

    assert_eq!(parse_part_number("10000").unwrap(), 10_000);
    for number in ["0", "10001", "-1", "x", ""] {
        assert_eq!(
            parse_part_number(number).unwrap_err().code,
            S3ErrorCode::InvalidArgument
        );
    }
}

/// An error may quote a key, and a key may have any character; the document can be read all the same.
#[test]
fn errors_are_legal_xml() {
    let hard = "a\0b\u{1}c\u{1b}d\u{fffe}e\u{ffff}f\t\n\r\u{85}\u{fffd}<&\u{1f600}";
    let soft = "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}f\t\n\r\u{85}\u{fffd}<&\u{1f600}";
    let of_request = S3Error::with_message(S3ErrorCode::AccessDenied, hard);
    let of_request = of_request.detail("Key", hard).to_xml(hard, "r", "h");
    let of_key = DeleteError {
        key: "k".into(),
        message: hard.into(),
        ..DeleteError::default()
    };
    let of_key = DeleteResult {
        errors: vec![of_key],
        ..DeleteResult::default()
    };
    let read = ErrorDocument::parse(&of_request).unwrap();
    assert_eq!(
        (read.message.as_str(), read.resource.as_str()),
        (soft, soft)
    );
    assert_eq!(read.detail("Key"), Some(soft));
    for (document, quotes) in [(of_request, 3), (of_key.to_xml(), 1)] {
        let text = String::from_utf8(document).unwrap();
        let references: Vec<_> = text.match_indices("&#").collect();
        // That of the carriage return, which is legal.
        assert_eq!(references.len(), quotes, "{text}");
        assert_eq!(text.matches("&#13;").count(), quotes, "{text}");
        let is_illegal = |c: char| c < ' ' && !"\t\n\r".contains(c);
        assert!(!text.contains(is_illegal), "{text}");
        assert!(!text.contains(['\u{fffe}', '\u{ffff}']), "{text}");
    }
}

#[test]
fn an_error_under_status_200_is_found() {
    let error = S3Error::new(S3ErrorCode::InternalError).to_xml("/b/k", "r", "h");
    assert_eq!(
        CompleteMultipartUploadResult::parse(&error)
            .unwrap()
            .unwrap_err()
            .code,
        "InternalError"
    );
    assert_eq!(
        CopyResult::parse(&error).unwrap().unwrap_err().code,
        "InternalError"
    );
}

/// Byte for byte, because these are what other people's parsers see.
#[test]
fn documents_as_they_stand() {
    let list = ListObjectsV2 {
        name: "b".into(),
        prefix: "a b/".into(),
        max_keys: 1000,
        key_count: 1,
        encoding: KeyEncoding::Url,
        contents: vec![ObjectEntry {
            key: "a b/test_file(3).png".into(),
            etag: "abc".into(),
            size: 3,
            storage_class: "STANDARD".into(),
            ..ObjectEntry::default()
        }],
        ..ListObjectsV2::default()
    };
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><Prefix>a%20b/</Prefix>\
        <KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>\
        <Contents><Key>a%20b/test_file%283%29.png</Key><LastModified>1970-01-01T00:00:00.000Z</LastModified>\
        <ETag>&quot;abc&quot;</ETag><Size>3</Size><StorageClass>STANDARD</StorageClass></Contents></ListBucketResult>";
    assert_eq!(String::from_utf8(list.to_xml()).unwrap(), expected);

    let owner = Owner {
        id: "i".into(),
        display_name: "<d>".into(),
    };
    let grants = Acl::Canned(CannedAcl::PublicRead);
    let grants = grants.grants("i", "i");
    let policy = acl::to_xml(&owner, &grants, |_| "<d>".to_owned());
    let policy = String::from_utf8(policy).unwrap();
    assert!(policy.contains("<Owner><ID>i</ID><DisplayName>&lt;d&gt;</DisplayName></Owner>"));
    assert!(policy.contains("xsi:type=\"CanonicalUser\"><ID>i</ID>"));
    assert!(policy.contains("xsi:type=\"Group\"><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission>"));

    let mut wanted = WantedAttributes::default();
    wanted.add("ETag, ObjectSize").unwrap();
    assert!(wanted.etag && wanted.object_size && !wanted.checksum);
    assert!(wanted.add("etag").is_err());
    let part = AttributePart {
        part_number: 1,
        size: 5,
        checksums: Checksums::default(),
    };
    let attributes = ObjectAttributes {
        etag: Some("abc".into()),
        object_parts: Some(ObjectParts {
            total_parts_count: 1,
            parts: vec![part],
            ..ObjectParts::default()
        }),
        object_size: Some(5),
        ..ObjectAttributes::default()
    };
    let xml = String::from_utf8(attributes.to_xml()).unwrap();
    assert!(xml.contains("<ETag>abc</ETag><ObjectParts><PartsCount>1</PartsCount>"));
    assert!(xml.contains("<Part><PartNumber>1</PartNumber><Size>5</Size></Part></ObjectParts><ObjectSize>5</ObjectSize>"));
}
