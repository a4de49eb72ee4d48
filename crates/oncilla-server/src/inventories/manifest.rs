//! The manifest of an inventory.
//! Source: S3 User Guide, "Locating your inventory list", "Inventory manifest".

use bytes::Bytes;
use oncilla_wire::time::iso8601;
use serde::Serialize;

/// The version of S3's manifests.
const VERSION: &str = "2016-11-30";

/// What an inventory consists of.
pub struct Manifest<'a> {
    /// The bucket it is of.
    pub source_bucket: &'a str,
    /// ARN of the bucket it is in.
    pub destination_bucket: String,
    /// When it was begun, in Unix milliseconds.
    pub created_ms: u64,
    /// Its columns.
    pub schema: String,
    /// Its files.
    pub files: Vec<ManifestFile>,
}

/// A file of an inventory.
#[derive(Serialize)]
pub struct ManifestFile {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its MD5 in hex.
    #[serde(rename = "MD5checksum")]
    pub md5: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    source_bucket: &'a str,
    destination_bucket: &'a str,
    version: &'static str,
    creation_timestamp: String,
    file_format: &'static str,
    file_schema: &'a str,
    files: &'a [ManifestFile],
}

impl Manifest<'_> {
    /// The document.
    pub fn to_json(&self) -> Bytes {
        let document = Document {
            source_bucket: self.source_bucket,
            destination_bucket: &self.destination_bucket,
            version: VERSION,
            creation_timestamp: self.created_ms.to_string(),
            file_format: "CSV",
            file_schema: &self.schema,
            files: &self.files,
        };
        // Texts and numbers always have a JSON form.
        serde_json::to_vec_pretty(&document)
            .unwrap_or_default()
            .into()
    }
}

/// The folder of a manifest: `YYYY-MM-DDTHH-MMZ`.
pub fn folder_time(unix_ms: u64) -> String {
    let text = iso8601(i64::try_from(unix_ms).unwrap_or(i64::MAX));
    let minute = String::from_utf8_lossy(&text[..16]);
    format!("{}Z", minute.replace(':', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_those_of_s3() {
        assert_eq!(folder_time(1_478_467_979_999), "2016-11-06T21-32Z");
        let manifest = Manifest {
            source_bucket: "s",
            destination_bucket: "arn:aws:s3:::d".to_owned(),
            created_ms: 1_478_467_979_999,
            schema: "Bucket, Key".to_owned(),
            files: vec![ManifestFile {
                key: "k".to_owned(),
                size: 1,
                md5: "m".to_owned(),
            }],
        };
        let document: serde_json::Value = serde_json::from_slice(&manifest.to_json()).unwrap();
        assert_eq!(
            document,
            serde_json::json!({
                "sourceBucket": "s", "destinationBucket": "arn:aws:s3:::d", "version": "2016-11-30",
                "creationTimestamp": "1478467979999", "fileFormat": "CSV",
                "fileSchema": "Bucket, Key",
                "files": [{"key": "k", "size": 1, "MD5checksum": "m"}],
            })
        );
    }
}
