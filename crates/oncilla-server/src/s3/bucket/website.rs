//! GetBucketWebsite, PutBucketWebsite and DeleteBucketWebsite. How websites are served is in
//! `s3::website`.

use http::StatusCode;
use oncilla_store::Bucket;
use oncilla_store::rows::document::DocumentKind;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::xml::website::{MAX_WEBSITE_BODY_BYTES, WebsiteConfiguration};

use crate::s3::S3Service;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::read_document;
use crate::s3::bucket::set_document;
use crate::s3::request::S3Request;

pub fn get_website(bucket: &Bucket) -> Answer {
    let document = bucket.documents.get(DocumentKind::Website);
    let document = document.ok_or_else(|| no_website(bucket))?;
    Ok(xml(document.text().to_vec()))
}

pub async fn put_website(service: &S3Service, request: &mut S3Request, bucket: &Bucket) -> Answer {
    let document = read_document(request, MAX_WEBSITE_BODY_BYTES as u64).await?;
    let website = WebsiteConfiguration::parse(&document)?.to_xml();
    set_document(service, bucket, DocumentKind::Website, "", Some(website)).await?;
    Ok(empty(StatusCode::OK))
}

pub async fn delete_website(service: &S3Service, bucket: &Bucket) -> Answer {
    set_document(service, bucket, DocumentKind::Website, "", None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// The bucket is not served as a website.
pub fn no_website(bucket: &Bucket) -> S3Error {
    let error = S3Error::new(S3ErrorCode::NoSuchWebsiteConfiguration);
    error.detail("BucketName", bucket.name.clone())
}
