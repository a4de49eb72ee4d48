//! GetBucketInventoryConfiguration, ListBucketInventoryConfigurations,
//! PutBucketInventoryConfiguration and DeleteBucketInventoryConfiguration.

use http::StatusCode;
use oncilla_iam::policy::ResourceSide;
use oncilla_iam::{Question, authorize};
use oncilla_store::{Bucket, Document, DocumentKind};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::xml::inventory::{
    InventoryConfiguration, InventoryField, InventoryFormat, ListInventoryConfigurations,
    MAX_INVENTORY_BODY_BYTES, check_id,
};

use crate::inventories;
use crate::s3::S3Service;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::authorize::ActionTarget;
use crate::s3::body::read_document;
use crate::s3::bucket::set_document;
use crate::s3::condition_keys::ConditionKeys;
use crate::s3::request::S3Request;
use crate::service_write::{AllowedBy, WriteRefused};

/// Configurations in a page. Source: S3 API reference, ListBucketInventoryConfigurations.
const PAGE_MAX: usize = 100;

/// What cannot be listed here yet.
const FIELDS_NOT_IMPLEMENTED: [InventoryField; 2] = [
    InventoryField::ObjectAccessControlList,
    InventoryField::LifecycleExpirationDate,
];

pub fn get_inventory(request: &S3Request, bucket: &Bucket) -> Answer {
    let id = asked_id(request)?;
    let document = bucket.documents.named(DocumentKind::Inventory, id);
    match document {
        Some(document) => Ok(xml(document.text().to_vec())),
        None => Err(S3ErrorCode::NoSuchConfiguration.into()),
    }
}

/// Lists the configurations. A continuation token is the id before the page.
pub fn list_inventories(request: &S3Request, bucket: &Bucket) -> Answer {
    let token = request.query.get("continuation-token");
    let after = |id: &str| token.is_none_or(|token| id > token);
    let mut documents = bucket
        .documents
        .all(DocumentKind::Inventory)
        .filter(|(id, _)| after(id))
        .peekable();
    let mut list = ListInventoryConfigurations {
        continuation_token: token.map(str::to_owned),
        ..ListInventoryConfigurations::default()
    };
    while list.configurations.len() < PAGE_MAX
        && let Some((_, document)) = documents.next()
    {
        list.configurations.push(stored(document)?);
    }
    if documents.peek().is_some() {
        let last = list.configurations.last();
        list.next_continuation_token = last.map(|configuration| configuration.id.clone());
    }
    Ok(xml(list.to_xml()))
}

/// Sets a configuration. It is made for the first time within minutes. The destination has to be there;
/// whether one of another account takes inventories shows when they are made, as with S3.
pub async fn put_inventory(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    let id = asked_id(request)?.to_owned();
    let document = read_document(request, MAX_INVENTORY_BODY_BYTES as u64).await?;
    let configuration = InventoryConfiguration::parse(&document)?;
    if configuration.id != id {
        return Err(S3ErrorCode::IdMismatch.into());
    }
    refuse_what_is_not_made(&configuration)?;
    authorize_destination(service, request, bucket, &configuration).await?;
    let text = Some(configuration.to_xml());
    set_document(service, bucket, DocumentKind::Inventory, &id, text).await?;
    Ok(empty(StatusCode::OK))
}

pub async fn delete_inventory(service: &S3Service, request: &S3Request, bucket: &Bucket) -> Answer {
    let id = asked_id(request)?;
    if bucket
        .documents
        .named(DocumentKind::Inventory, id)
        .is_none()
    {
        return Err(S3ErrorCode::NoSuchConfiguration.into());
    }
    set_document(service, bucket, DocumentKind::Inventory, id, None).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// At S3 the policy of the destination has to let the service in (S3 User Guide, "Granting permissions for
/// S3 Inventory and S3 analytics"), and so it is here in another account. A bucket of the same account
/// takes inventories as it is. So that nobody writes by way of the service where they must not, the
/// sender has to be allowed to put such objects there, unless the bucket's policy allows them.
async fn authorize_destination(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
    configuration: &InventoryConfiguration,
) -> Result<(), S3Error> {
    let folder = inventories::folder(bucket, configuration);
    let key = format!("{folder}manifest.json");
    let write = inventories::delivery(&service.store, bucket, configuration);
    let target = match write.target().await {
        Ok(target) => target,
        Err(WriteRefused::NoTarget) => {
            let name = &configuration.destination.bucket;
            return Err(refusal_of_absent(service, request, bucket, name, &key));
        }
        Err(error) => {
            tracing::error!(%error, "the destination of an inventory cannot be looked at");
            return Err(S3ErrorCode::ServiceUnavailable.into());
        }
    };
    let is_own = target.record.owner == bucket.record.owner;
    if !is_own || matches!(write.check(&target, &key), Ok(AllowedBy::Policy)) {
        return Ok(());
    }
    let new = ActionTarget::NewObject { key: &key };
    let judged = service.authorize_action(request, &target, "s3:PutObject", new);
    judged.await
}

/// Why a destination that is not there is refused. It is told to those who could write there if it were
/// a bucket of the account.
fn refusal_of_absent(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
    name: &str,
    key: &str,
) -> S3Error {
    let context = ConditionKeys {
        request,
        service,
        version: None,
        prefix: None,
        existing_tags: &[],
        given: &[],
    };
    let question = Question {
        action: "s3:PutObject",
        bucket: Some(name),
        key: Some(key),
        context: &context,
    };
    let decision = authorize(&request.principal, &question, ResourceSide::default());
    let is_own = request.principal.account() == Some(&bucket.record.owner);
    if !is_own || !decision.is_allowed() {
        return S3ErrorCode::AccessDenied.into();
    }
    let message = "The destination bucket does not exist";
    S3Error::with_message(S3ErrorCode::InvalidS3DestinationBucket, message)
}

fn asked_id(request: &S3Request) -> Result<&str, S3Error> {
    let id = request.query.get("id").unwrap_or_default();
    check_id(id)?;
    Ok(id)
}

fn stored(document: &Document) -> Result<InventoryConfiguration, S3Error> {
    InventoryConfiguration::parse(document.text()).map_err(|error| {
        tracing::error!(%error, "a stored inventory configuration is unreadable");
        S3ErrorCode::InternalError.into()
    })
}

fn refuse_what_is_not_made(configuration: &InventoryConfiguration) -> Result<(), S3Error> {
    let refused = |what: &str| {
        let message = format!("{what} in inventories is not implemented. Nothing was changed.");
        Err(S3Error::with_message(S3ErrorCode::NotImplemented, message))
    };
    let destination = &configuration.destination;
    if destination.format != InventoryFormat::Csv {
        return refused(&format!("The format {}", destination.format.as_str()));
    }
    if destination.encryption.is_some() {
        return refused("Encryption");
    }
    let mut fields = configuration.fields.iter();
    match fields.find(|field| FIELDS_NOT_IMPLEMENTED.contains(field)) {
        Some(field) => refused(&format!("The field {}", field.name())),
        None => Ok(()),
    }
}
