//! GetPublicAccessBlock, PutPublicAccessBlock and DeletePublicAccessBlock.

use http::StatusCode;
use oncilla_store::{Bucket, DocumentKind, NewDocument};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::xml::public_access::{MAX_PUBLIC_ACCESS_BLOCK_BODY_BYTES, PublicAccessBlock};

use crate::s3::S3Service;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::read_document;
use crate::s3::bucket::put_document;
use crate::s3::request::S3Request;

pub fn get_public_access_block(bucket: &Bucket) -> Answer {
    let Some(block) = bucket.documents.get(DocumentKind::PublicAccessBlock) else {
        let error = S3Error::new(S3ErrorCode::NoSuchPublicAccessBlockConfiguration);
        return Err(error.detail("BucketName", bucket.name.clone()));
    };
    Ok(xml(block.text().to_vec()))
}

pub async fn put_public_access_block(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    let document = read_document(request, MAX_PUBLIC_ACCESS_BLOCK_BODY_BYTES as u64).await?;
    let block = PublicAccessBlock::parse(&document)?;
    let new = NewDocument::of_text(block.to_xml());
    put_document(service, bucket, DocumentKind::PublicAccessBlock, Some(new)).await?;
    Ok(empty(StatusCode::OK))
}

pub async fn delete_public_access_block(service: &S3Service, bucket: &Bucket) -> Answer {
    put_document(service, bucket, DocumentKind::PublicAccessBlock, None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
