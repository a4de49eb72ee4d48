//! Get, List, Put and Delete of the configurations of which a bucket can have many: analytics,
//! metrics and intelligent tiering. They are kept and told; nothing here acts on them.

use http::StatusCode;
use oncilla_store::Bucket;
use oncilla_store::rows::document::DocumentKind;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::xml::named_configuration::{
    CONFIGURATIONS_PER_PAGE, MAX_NAMED_CONFIGURATION_BODY_BYTES, NamedConfiguration, NamedKind,
    check_configuration_id, list_to_xml,
};

use crate::s3::S3Service;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::read_document;
use crate::s3::bucket::set_document;
use crate::s3::request::S3Request;

fn document_kind(kind: NamedKind) -> DocumentKind {
    match kind {
        NamedKind::Analytics => DocumentKind::Analytics,
        NamedKind::Metrics => DocumentKind::Metrics,
        NamedKind::IntelligentTiering => DocumentKind::IntelligentTiering,
    }
}

/// The id that the request is about.
fn id_of(request: &S3Request) -> Result<&str, S3Error> {
    let id = request.query.get("id").unwrap_or_default();
    check_configuration_id(id)?;
    Ok(id)
}

fn no_such_configuration(id: &str) -> S3Error {
    S3Error::new(S3ErrorCode::NoSuchConfiguration).detail("ConfigurationId", id)
}

pub fn get_configuration(request: &S3Request, bucket: &Bucket, kind: NamedKind) -> Answer {
    let id = id_of(request)?;
    let document = bucket.documents.named(document_kind(kind), id);
    let document = document.ok_or_else(|| no_such_configuration(id))?;
    Ok(xml(document.text().to_vec()))
}

/// A page begins after the id that its token is.
pub fn list_configurations(request: &S3Request, bucket: &Bucket, kind: NamedKind) -> Answer {
    let token = request.query.get("continuation-token");
    if let Some(token) = token.filter(|token| check_configuration_id(token).is_err()) {
        let message = "The continuation token provided is incorrect";
        return Err(S3Error::invalid_argument(
            "continuation-token",
            token,
            message,
        ));
    }
    let all = bucket.documents.all(document_kind(kind));
    let mut rest = all.filter(|(id, _)| token.is_none_or(|token| *id > token));
    let mut page = Vec::new();
    for (id, document) in rest.by_ref().take(CONFIGURATIONS_PER_PAGE) {
        let configuration = NamedConfiguration::parse(kind, document.text());
        page.push(configuration.map_err(|error| {
            tracing::error!(bucket = bucket.name, id, %error, "a stored configuration is damaged");
            S3Error::new(S3ErrorCode::InternalError)
        })?);
    }
    let last = page.last().map(|last| last.id.as_str());
    let next = last.filter(|_| rest.next().is_some());
    Ok(xml(list_to_xml(kind, &page, token, next)))
}

pub async fn put_configuration(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
    kind: NamedKind,
) -> Answer {
    let document = read_document(request, MAX_NAMED_CONFIGURATION_BODY_BYTES as u64).await?;
    let id = id_of(request)?;
    let configuration = NamedConfiguration::parse(kind, &document)?;
    // S3 has a code of its own for this, and keeps it to inventories. Source: observed of S3.
    if configuration.id != id {
        let message = "The id of the request and that of the configuration differ.";
        return Err(S3Error::with_message(S3ErrorCode::MalformedXML, message));
    }
    let text = Some(configuration.to_xml());
    set_document(service, bucket, document_kind(kind), id, text).await?;
    Ok(empty(StatusCode::OK))
}

pub async fn delete_configuration(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
    kind: NamedKind,
) -> Answer {
    let id = id_of(request)?;
    if bucket.documents.named(document_kind(kind), id).is_none() {
        return Err(no_such_configuration(id));
    }
    set_document(service, bucket, document_kind(kind), id, None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
