//! CreateMultipartUpload, UploadPart, UploadPartCopy, CompleteMultipartUpload,
//! AbortMultipartUpload, ListParts, ListMultipartUploads.

use http::{Method, header};
use oncilla_hash::{Sha256, hex};
use oncilla_wire::header as s3_header;
use oncilla_wire::xml::Checksums;
use oncilla_wire::xml::copy::CopyResult;
use oncilla_wire::xml::multipart::{
    CompleteMultipartUpload, CompleteMultipartUploadResult, CompletedPart, InitiateMultipartUpload,
    ListMultipartUploads, ListParts,
};

use super::objects::{copy_source, quoted, upload_checksum};
use crate::body::{Body, Progress, UPLOAD_CHECKSUM};
use crate::call::{BodyChecksum, Call, Repeat};
use crate::client::Client;
use crate::error::Error;
use crate::response::{etag, text};
use crate::types::{
    CopyObjectRequest, MultipartUpload, PutObjectOutput, PutObjectRequest, UploadedPart,
};

impl Client {
    /// Begins a multipart upload and returns its id. Conditions of the request count on completion.
    pub async fn create_multipart_upload(
        &self,
        request: &PutObjectRequest,
    ) -> Result<String, Error> {
        let mut call = self.create_call(request)?;
        // A second attempt would leave the first one's upload behind.
        call.repeat = Repeat::IfNotBegun;
        let document = self.send_for_document(call, Body::Empty).await?;
        Ok(document
            .parse(InitiateMultipartUpload::parse)?
            .upload_id
            .into_owned())
    }

    fn create_call<'a>(&self, request: &'a PutObjectRequest) -> Result<Call<'a>, Error> {
        let call = Call::new(Method::POST, Some(&request.bucket), Some(&request.key))
            .query("uploads", "")
            .attributes(&request.attributes)?;
        if !self.settings().checksum_uploads {
            return Ok(call);
        }
        call.header(
            s3_header::X_AMZ_CHECKSUM_ALGORITHM,
            UPLOAD_CHECKSUM.as_str(),
        )?
        .header(s3_header::X_AMZ_CHECKSUM_TYPE, "FULL_OBJECT")
    }

    /// A digest of all that CreateMultipartUpload fixes for this request. Of a key of the client's it
    /// has the MD5 alone, so that it may be kept.
    pub(crate) fn attributes_digest(&self, request: &PutObjectRequest) -> Result<String, Error> {
        let call = self.create_call(request)?;
        let secret = s3_header::X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_KEY;
        let mut lines: Vec<Vec<u8>> = call
            .headers
            .iter()
            .filter(|(name, _)| name.as_str() != secret.as_str())
            .map(|(name, value)| [name.as_str().as_bytes(), b":", value.as_bytes()].concat())
            .collect();
        lines.sort();
        // No header has a line end in it.
        Ok(hex::encode(&Sha256::digest(&lines.join(&b'\n'))))
    }

    /// Uploads one part of the upload that the request began. Doing it again replaces it.
    pub async fn upload_part(
        &self,
        request: &PutObjectRequest,
        upload_id: &str,
        part_number: u32,
        body: Body,
        progress: Option<Progress>,
    ) -> Result<UploadedPart, Error> {
        let size = body.length_bytes();
        let mut call = part_call(&request.bucket, &request.key, upload_id, part_number)
            .customer_key(request.attributes.customer_key.as_ref())?;
        call.checksum = BodyChecksum::WhereSupported;
        call.progress = progress;
        let document = self.send_for_document(call, body).await?;
        Ok(UploadedPart {
            part_number,
            etag: etag(&document.headers).unwrap_or_default(),
            size,
            checksum_crc64nvme: upload_checksum(&document.headers),
        })
    }

    /// Makes a part of the upload of a copy out of bytes `first..=last` of its source, if the
    /// source's ETag still is `source_etag`.
    pub async fn upload_part_copy(
        &self,
        copy: &CopyObjectRequest,
        upload_id: &str,
        part_number: u32,
        source_etag: &str,
        first: u64,
        last: u64,
    ) -> Result<UploadedPart, Error> {
        let call = part_call(&copy.bucket, &copy.key, upload_id, part_number)
            .header(s3_header::X_AMZ_COPY_SOURCE, &copy_source(copy))?
            .header(
                s3_header::X_AMZ_COPY_SOURCE_RANGE,
                &format!("bytes={first}-{last}"),
            )?
            .header(s3_header::X_AMZ_COPY_SOURCE_IF_MATCH, &quoted(source_etag))?
            .copy_source_customer_key(copy.source_customer_key.as_ref())?
            .customer_key(copy.attributes.customer_key.as_ref())?;
        let document = self.send_for_document(call, Body::Empty).await?;
        match document.parse(CopyResult::parse)? {
            Ok(result) => Ok(UploadedPart {
                part_number,
                etag: result.etag.into_owned(),
                size: last - first + 1,
                checksum_crc64nvme: result.checksums.crc64nvme.map(|value| value.into_owned()),
            }),
            Err(error) => Err(document.late_error(error)),
        }
    }

    /// Makes the object out of its parts, which must be in ascending order. `checksum_crc64nvme`
    /// of the whole object is verified by the endpoint, as is its size.
    pub async fn complete_multipart_upload(
        &self,
        request: &PutObjectRequest,
        upload_id: &str,
        parts: &[UploadedPart],
        checksum_crc64nvme: Option<&str>,
    ) -> Result<PutObjectOutput, Error> {
        let size: u64 = parts.iter().map(|part| part.size).sum();
        let mut call = Call::new(Method::POST, Some(&request.bucket), Some(&request.key))
            .query("uploadId", upload_id)
            .header(header::CONTENT_TYPE, oncilla_wire::xml::CONTENT_TYPE)?
            .header(s3_header::X_AMZ_MP_OBJECT_SIZE, &size.to_string())?
            // S3 demands it of uploads with a checksum, which these are.
            .customer_key(request.attributes.customer_key.as_ref())?
            .conditions(request)?;
        if let Some(checksum) = checksum_crc64nvme {
            let name = http::HeaderName::from_static(UPLOAD_CHECKSUM.header_name());
            call = call
                .header(name, checksum)?
                .header(s3_header::X_AMZ_CHECKSUM_TYPE, "FULL_OBJECT")?;
        }
        if request.if_match.is_some() || request.if_none_match.is_some() {
            call.repeat = Repeat::IfNotBegun;
        }
        let parts = parts
            .iter()
            .map(|part| {
                let mut checksums = Checksums::default();
                if let Some(value) = &part.checksum_crc64nvme {
                    checksums.set(UPLOAD_CHECKSUM, value.as_str());
                }
                let etag = part.etag.as_str().into();
                CompletedPart {
                    part_number: part.part_number,
                    etag,
                    checksums,
                }
            })
            .collect();
        let xml = CompleteMultipartUpload { parts }.to_xml();
        let document = self
            .send_for_document(call, Body::Bytes(xml.into()))
            .await?;
        match document.parse(CompleteMultipartUploadResult::parse)? {
            Ok(result) => Ok(PutObjectOutput {
                etag: result.etag.into_owned(),
                version_id: text(&document.headers, s3_header::X_AMZ_VERSION_ID),
                checksum_crc64nvme: result.checksums.crc64nvme.map(|value| value.into_owned()),
            }),
            Err(error) => Err(document.late_error(error)),
        }
    }

    /// Gives an upload up; its parts are freed. One that is gone already is no error.
    pub async fn abort_multipart_upload(
        &self,
        bucket: &str,
        key: &str,
        upload_id: &str,
    ) -> Result<(), Error> {
        self.abort_present_upload(bucket, key, upload_id)
            .await
            .map(|_| ())
    }

    /// As [`Client::abort_multipart_upload`], for those who want to know whether it was there.
    pub async fn abort_present_upload(
        &self,
        bucket: &str,
        key: &str,
        upload_id: &str,
    ) -> Result<bool, Error> {
        let call = Call::new(Method::DELETE, Some(bucket), Some(key)).query("uploadId", upload_id);
        match self.send_for_document(call, Body::Empty).await {
            Err(error) if error.has_code("NoSuchUpload") => Ok(false),
            other => other.map(|_| true),
        }
    }

    /// The parts that the upload which the request began has, in order, all pages of them.
    pub async fn list_parts(
        &self,
        request: &PutObjectRequest,
        upload_id: &str,
    ) -> Result<Vec<UploadedPart>, Error> {
        let mut parts = Vec::new();
        let mut marker: Option<u32> = None;
        loop {
            let marker_text = marker.map(|number| number.to_string());
            let call = Call::new(Method::GET, Some(&request.bucket), Some(&request.key))
                .optional_query("part-number-marker", marker_text.as_deref())
                .query("uploadId", upload_id)
                .customer_key(request.attributes.customer_key.as_ref())?;
            let document = self.send_for_document(call, Body::Empty).await?;
            let page = document.parse(ListParts::parse)?;
            parts.extend(page.parts.into_iter().map(|part| UploadedPart {
                part_number: part.part_number,
                etag: part.etag.into_owned(),
                size: part.size,
                checksum_crc64nvme: part.checksums.crc64nvme.map(|value| value.into_owned()),
            }));
            let next = page
                .next_part_number_marker
                .filter(|next| Some(*next) > marker);
            match next {
                Some(next) if page.is_truncated => marker = Some(next),
                _ => return Ok(parts),
            }
        }
    }

    /// The unfinished uploads whose keys begin with `prefix`, all pages of them.
    pub async fn list_multipart_uploads(
        &self,
        bucket: &str,
        prefix: &str,
    ) -> Result<Vec<MultipartUpload>, Error> {
        let mut uploads = Vec::new();
        let mut marker: Option<(String, String)> = None;
        loop {
            let (key_marker, upload_id_marker) = marker.clone().unzip();
            let call = Call::new(Method::GET, Some(bucket), None)
                .query("uploads", "")
                .query("encoding-type", "url")
                .query("prefix", prefix)
                .optional_query("key-marker", key_marker.as_deref())
                .optional_query("upload-id-marker", upload_id_marker.as_deref());
            let document = self.send_for_document(call, Body::Empty).await?;
            let page = document.parse(ListMultipartUploads::parse)?;
            uploads.extend(page.uploads.into_iter().map(|upload| MultipartUpload {
                key: upload.key.into_owned(),
                upload_id: upload.upload_id.into_owned(),
                initiated_ms: upload.initiated_ms,
            }));
            let next = page.next_key_marker.map(|key| {
                let upload_id = page.next_upload_id_marker.unwrap_or_default();
                (key.into_owned(), upload_id.into_owned())
            });
            if !page.is_truncated || next.is_none() || next == marker {
                return Ok(uploads);
            }
            marker = next;
        }
    }
}

fn part_call<'a>(bucket: &'a str, key: &'a str, upload_id: &str, part_number: u32) -> Call<'a> {
    Call::new(Method::PUT, Some(bucket), Some(key))
        .query("partNumber", &part_number.to_string())
        .query("uploadId", upload_id)
}
