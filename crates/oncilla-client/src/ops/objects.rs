//! HeadObject, GetObject, PutObject, DeleteObject, DeleteObjects, CopyObject.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderName, Method, header};
use oncilla_hash::Md5;
use oncilla_wire::header as s3_header;
use oncilla_wire::tagging::TagTarget;
use oncilla_wire::uri::{encode_component, encode_path};
use oncilla_wire::xml::copy::CopyResult;
use oncilla_wire::xml::delete::{Delete, DeleteResult, ObjectIdentifier};

use super::tagging::tag_set;
use crate::body::{Body, Progress, UPLOAD_CHECKSUM};
use crate::call::{BodyChecksum, Call, Repeat};
use crate::client::Client;
use crate::error::Error;
use crate::response::{etag, text};
use crate::types::{
    CopyObjectRequest, DeleteFailure, DeleteObjectOutput, GetObjectOutput, GetObjectRequest,
    ListedVersion, ObjectAttributes, ObjectInfo, PutObjectOutput, PutObjectRequest,
};

/// Most keys in one DeleteObjects request (S3's limit).
pub const DELETE_OBJECTS_MAX: usize = oncilla_wire::xml::delete::MAX_DELETE_KEYS;

impl Client {
    /// An object's headers, its checksums among them.
    pub async fn head_object(&self, request: &GetObjectRequest) -> Result<ObjectInfo, Error> {
        let answer = self
            .send(read_call(Method::HEAD, request)?, Body::Empty)
            .await?;
        Ok(ObjectInfo::from_headers(answer.headers()))
    }

    /// An object's headers and bytes. The bytes are not verified here: see [`crate::transfer`].
    pub async fn get_object(&self, request: &GetObjectRequest) -> Result<GetObjectOutput, Error> {
        let answer = self
            .send(read_call(Method::GET, request)?, Body::Empty)
            .await?;
        let info = ObjectInfo::from_headers(answer.headers());
        Ok(GetObjectOutput {
            info,
            body: answer.into_body(),
        })
    }

    /// Writes an object, with a checksum that the endpoint verifies.
    pub async fn put_object(
        &self,
        request: &PutObjectRequest,
        body: Body,
        progress: Option<Progress>,
    ) -> Result<PutObjectOutput, Error> {
        let mut call = Call::new(Method::PUT, Some(&request.bucket), Some(&request.key))
            .attributes(&request.attributes)?
            .conditions(request)?;
        call.checksum = BodyChecksum::WhereSupported;
        call.progress = progress;
        if request.if_match.is_some() || request.if_none_match.is_some() {
            // The first attempt's own object would fail the condition of the second.
            call.repeat = Repeat::IfNotBegun;
        }
        let document = self.send_for_document(call, body).await?;
        Ok(PutObjectOutput {
            etag: etag(&document.headers).unwrap_or_default(),
            version_id: text(&document.headers, s3_header::X_AMZ_VERSION_ID),
            checksum_crc64nvme: upload_checksum(&document.headers),
        })
    }

    /// Removes an object; one that does not exist counts as removed.
    pub async fn delete_object(&self, bucket: &str, key: &str) -> Result<(), Error> {
        self.delete_version(bucket, key, None).await.map(|_| ())
    }

    /// As [`Client::delete_object`], or removes one version for good.
    pub async fn delete_version(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
    ) -> Result<DeleteObjectOutput, Error> {
        let call = Call::new(Method::DELETE, Some(bucket), Some(key))
            .optional_query("versionId", version_id);
        let document = self.send_for_document(call, Body::Empty).await?;
        let marker = text(&document.headers, s3_header::X_AMZ_DELETE_MARKER);
        Ok(DeleteObjectOutput {
            version_id: text(&document.headers, s3_header::X_AMZ_VERSION_ID),
            delete_marker: marker.as_deref() == Some("true"),
        })
    }

    /// Removes up to [`DELETE_OBJECTS_MAX`] objects and returns those that could not be removed.
    pub async fn delete_objects(
        &self,
        bucket: &str,
        keys: &[String],
    ) -> Result<Vec<DeleteFailure>, Error> {
        let objects = keys.iter().map(|key| ObjectIdentifier {
            key: key.as_str().into(),
            ..Default::default()
        });
        self.delete_identified(bucket, objects.collect()).await
    }

    /// Removes up to [`DELETE_OBJECTS_MAX`] versions for good, and returns those that could not be
    /// removed.
    pub async fn delete_versions(
        &self,
        bucket: &str,
        versions: &[ListedVersion],
    ) -> Result<Vec<DeleteFailure>, Error> {
        let objects = versions.iter().map(|version| ObjectIdentifier {
            key: version.key.as_str().into(),
            version_id: Some(version.version_id.as_str().into()),
            ..Default::default()
        });
        self.delete_identified(bucket, objects.collect()).await
    }

    async fn delete_identified(
        &self,
        bucket: &str,
        objects: Vec<ObjectIdentifier<'_>>,
    ) -> Result<Vec<DeleteFailure>, Error> {
        if objects.is_empty() {
            return Ok(Vec::new());
        }
        let xml = Delete {
            objects,
            quiet: true,
        }
        .to_xml();
        // Content-MD5 is the one integrity header that every S3 implementation accepts here.
        let md5 = BASE64.encode(Md5::digest(&xml));
        let call = Call::new(Method::POST, Some(bucket), None)
            .query("delete", "")
            .header(HeaderName::from_static("content-md5"), &md5)?
            .header(header::CONTENT_TYPE, oncilla_wire::xml::CONTENT_TYPE)?;
        let document = self
            .send_for_document(call, Body::Bytes(xml.into()))
            .await?;
        let result = document.parse(DeleteResult::parse)?;
        Ok(result
            .errors
            .into_iter()
            .map(|error| DeleteFailure {
                key: error.key.into_owned(),
                version_id: error.version_id.map(std::borrow::Cow::into_owned),
                code: error.code.into_owned(),
                message: error.message.into_owned(),
            })
            .collect())
    }

    /// Copies an object within the endpoint without moving its bytes through here. S3 allows up
    /// to 5 GiB; [`crate::transfer::copy_object`] copies any size.
    pub async fn copy_object(&self, request: &CopyObjectRequest) -> Result<PutObjectOutput, Error> {
        let source = copy_source(request);
        let mut call = Call::new(Method::PUT, Some(&request.bucket), Some(&request.key))
            .header(s3_header::X_AMZ_COPY_SOURCE, &source)?
            .optional_header(
                s3_header::X_AMZ_COPY_SOURCE_IF_MATCH,
                request.source_if_match.as_deref().map(quoted).as_deref(),
            )?
            .optional_header(
                header::IF_NONE_MATCH,
                request.if_none_match.as_deref().map(quoted).as_deref(),
            )?
            .copy_source_customer_key(request.source_customer_key.as_ref())?;
        if request.if_none_match.is_some() {
            // The first attempt's own copy would fail the condition of the second.
            call.repeat = Repeat::IfNotBegun;
        }
        if !request.attributes.tags.is_empty() {
            call = call.header(s3_header::X_AMZ_TAGGING_DIRECTIVE, "REPLACE")?;
        }
        call = if request.replace_metadata {
            call.header(s3_header::X_AMZ_METADATA_DIRECTIVE, "REPLACE")?
                .attributes(&request.attributes)?
        } else {
            call.own_attributes(&request.attributes)?
        };
        let document = self.send_for_document(call, Body::Empty).await?;
        match document.parse(CopyResult::parse)? {
            Ok(result) => Ok(PutObjectOutput {
                etag: result.etag.into_owned(),
                version_id: text(&document.headers, s3_header::X_AMZ_VERSION_ID),
                checksum_crc64nvme: result.checksums.crc64nvme.map(|value| value.into_owned()),
            }),
            Err(error) => Err(document.late_error(error)),
        }
    }
}

fn read_call<'a>(method: Method, request: &'a GetObjectRequest) -> Result<Call<'a>, Error> {
    let part_number = request.part_number.map(|number| number.to_string());
    Call::new(method, Some(&request.bucket), Some(&request.key))
        .optional_query("partNumber", part_number.as_deref())
        .optional_query("versionId", request.version_id.as_deref())
        .header(s3_header::X_AMZ_CHECKSUM_MODE, "ENABLED")?
        .optional_header(header::RANGE, request.range.as_deref())?
        .optional_header(
            header::IF_MATCH,
            request.if_match.as_deref().map(quoted).as_deref(),
        )?
        .optional_header(
            header::IF_NONE_MATCH,
            request.if_none_match.as_deref().map(quoted).as_deref(),
        )?
        .customer_key(request.customer_key.as_ref())
}

impl ObjectAttributes {
    /// What of these stands in headers of HTTP's own, by their names.
    pub(crate) fn standard_headers(&self) -> [(HeaderName, Option<&str>); 6] {
        [
            (header::CONTENT_TYPE, self.content_type.as_deref()),
            (header::CACHE_CONTROL, self.cache_control.as_deref()),
            (
                header::CONTENT_DISPOSITION,
                self.content_disposition.as_deref(),
            ),
            (header::CONTENT_ENCODING, self.content_encoding.as_deref()),
            (header::CONTENT_LANGUAGE, self.content_language.as_deref()),
            (header::EXPIRES, self.expires.as_deref()),
        ]
    }
}

impl Call<'_> {
    pub(crate) fn attributes(mut self, attributes: &ObjectAttributes) -> Result<Self, Error> {
        for (name, value) in attributes.standard_headers() {
            self = self.optional_header(name, value)?;
        }
        for (name, value) in &attributes.metadata {
            let full = format!("{}{name}", s3_header::USER_METADATA_PREFIX);
            let name = HeaderName::from_bytes(full.as_bytes())
                .map_err(|_| Error::Config(format!("metadata name {name:?} is not allowed")))?;
            self = self.header(name, value)?;
        }
        self.own_attributes(attributes)
    }

    /// What a copy gets of its own, whether the headers and metadata of its source are replaced or not.
    fn own_attributes(mut self, attributes: &ObjectAttributes) -> Result<Self, Error> {
        let named = [
            (
                s3_header::X_AMZ_WEBSITE_REDIRECT_LOCATION,
                &attributes.website_redirect,
            ),
            (s3_header::X_AMZ_STORAGE_CLASS, &attributes.storage_class),
            (s3_header::X_AMZ_ACL, &attributes.acl),
            (
                s3_header::X_AMZ_SERVER_SIDE_ENCRYPTION,
                &attributes.server_side_encryption,
            ),
            (
                s3_header::X_AMZ_SERVER_SIDE_ENCRYPTION_KMS_KEY_ID,
                &attributes.sse_kms_key_id,
            ),
        ];
        for (name, value) in named {
            self = self.optional_header(name, value.as_deref())?;
        }
        if !attributes.tags.is_empty() {
            let tags = tag_set(&attributes.tags, TagTarget::Object)?;
            self = self.header(s3_header::X_AMZ_TAGGING, &tags.to_header())?;
        }
        self.customer_key(attributes.customer_key.as_ref())
    }

    pub(crate) fn conditions(self, request: &PutObjectRequest) -> Result<Self, Error> {
        self.optional_header(
            header::IF_MATCH,
            request.if_match.as_deref().map(quoted).as_deref(),
        )?
        .optional_header(
            header::IF_NONE_MATCH,
            request.if_none_match.as_deref().map(quoted).as_deref(),
        )
    }
}

/// An entity tag as conditions want it; `*` stays.
pub(crate) fn quoted(etag: &str) -> String {
    if etag == "*" || etag.starts_with('"') {
        etag.to_owned()
    } else {
        format!("\"{etag}\"")
    }
}

/// The value of `x-amz-copy-source`.
pub(crate) fn copy_source(request: &CopyObjectRequest) -> String {
    let key = encode_path(&request.source_key);
    let version = match &request.source_version_id {
        Some(id) => format!("?versionId={}", encode_component(id)),
        None => String::new(),
    };
    format!("/{}/{key}{version}", request.source_bucket)
}

/// The checksum that the endpoint confirms in its answer to an upload.
pub(crate) fn upload_checksum(headers: &http::HeaderMap) -> Option<String> {
    headers
        .get(UPLOAD_CHECKSUM.header_name())?
        .to_str()
        .ok()
        .map(str::to_owned)
}
