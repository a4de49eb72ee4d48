//! The lines of an inventory.
//! Source: S3 User Guide, "Amazon S3 Inventory list": every value in quotes, keys URL-encoded.

use oncilla_store::inventory::InventoryEntry;
use oncilla_store::rows::history::Past;
use oncilla_store::{ObjectRecord, Scheme};
use oncilla_wire::object_lock::LegalHold;
use oncilla_wire::time::iso8601;
use oncilla_wire::uri::encode_path;
use oncilla_wire::xml::inventory::InventoryField;

/// The columns of an inventory, as its manifest tells them.
pub fn schema(all_versions: bool, fields: &[InventoryField]) -> String {
    let mut columns = vec!["Bucket", "Key"];
    if all_versions {
        columns.extend(["VersionId", "IsLatest", "IsDeleteMarker"]);
    }
    columns.extend(fields.iter().map(|field| field.name()));
    columns.join(", ")
}

/// Appends the line of one version.
pub fn write_line(
    out: &mut Vec<u8>,
    bucket: &str,
    entry: &InventoryEntry,
    all_versions: bool,
    fields: &[InventoryField],
) {
    let mut line = Line {
        out: &mut *out,
        is_first: true,
    };
    line.value(bucket);
    // Keys are texts: the server takes no others.
    line.value(&encode_path(&String::from_utf8_lossy(&entry.key)));
    let (object, last_modified_ms) = match &entry.version {
        Past::Object(record) => (Some(&**record), record.last_modified_ms),
        Past::DeleteMarker(marker) => (None, marker.last_modified_ms),
    };
    if all_versions {
        line.value(&entry.version.version_id().to_string());
        line.flag(entry.is_latest);
        line.flag(object.is_none());
    }
    for field in fields {
        match (field, object) {
            (InventoryField::LastModifiedDate, _) => line.time(last_modified_ms),
            (_, Some(record)) => line.of_object(*field, record),
            // Nothing else is known of a delete marker.
            (_, None) => line.value(""),
        }
    }
    out.push(b'\n');
}

/// Source: S3 User Guide, "Amazon S3 Inventory list", "Encryption status" and "Bucket Key status".
fn encryption_status(record: &ObjectRecord) -> &'static str {
    match record.encryption.as_ref().map(|kept| kept.scheme) {
        None => "NOT-SSE",
        Some(Scheme::S3) => "SSE-S3",
        Some(Scheme::Kms) => "SSE-KMS",
        Some(Scheme::Customer) => "SSE-C",
    }
}

fn bucket_key_status(record: &ObjectRecord) -> &'static str {
    match record
        .encryption
        .as_ref()
        .is_some_and(|kept| kept.bucket_key)
    {
        true => "ENABLED",
        false => "DISABLED",
    }
}

struct Line<'a> {
    out: &'a mut Vec<u8>,
    is_first: bool,
}

impl Line<'_> {
    fn value(&mut self, text: &str) {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        self.out.push(b'"');
        for byte in text.bytes() {
            // RFC 4180 §2.7.
            if byte == b'"' {
                self.out.push(b'"');
            }
            self.out.push(byte);
        }
        self.out.push(b'"');
    }

    fn flag(&mut self, value: bool) {
        self.value(if value { "true" } else { "false" });
    }

    fn time(&mut self, unix_ms: u64) {
        let text = iso8601(i64::try_from(unix_ms).unwrap_or(i64::MAX));
        self.value(&String::from_utf8_lossy(&text));
    }

    fn of_object(&mut self, field: InventoryField, record: &ObjectRecord) {
        match field {
            InventoryField::Size => self.value(&record.size.to_string()),
            InventoryField::LastModifiedDate => self.time(record.last_modified_ms),
            InventoryField::ETag => self.value(&record.etag.to_string()),
            InventoryField::StorageClass => self.value(record.storage_class()),
            InventoryField::IsMultipartUploaded => self.flag(record.etag.parts > 0),
            InventoryField::EncryptionStatus => self.value(encryption_status(record)),
            InventoryField::BucketKeyStatus => self.value(bucket_key_status(record)),
            InventoryField::ChecksumAlgorithm => match &record.checksum {
                Some(stored) => self.value(&stored.checksum.algorithm().to_string()),
                None => self.value(""),
            },
            InventoryField::ObjectOwner => self.value(&record.owner),
            InventoryField::ObjectLockRetainUntilDate => match &record.retention {
                Some(retention) => self.time(u64::try_from(retention.until_ms).unwrap_or(0)),
                None => self.value(""),
            },
            InventoryField::ObjectLockMode => {
                let retention = record.retention.as_ref();
                self.value(retention.map_or("", |retention| retention.mode.as_str()));
            }
            InventoryField::ObjectLockLegalHoldStatus => match record.legal_hold {
                Some(LegalHold::On) => self.value("On"),
                Some(LegalHold::Off) => self.value("Off"),
                None => self.value(""),
            },
            InventoryField::ReplicationStatus
            | InventoryField::IntelligentTieringAccessTier
            | InventoryField::ObjectAccessControlList
            | InventoryField::LifecycleExpirationDate => self.value(""),
        }
    }
}
