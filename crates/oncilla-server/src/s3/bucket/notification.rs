//! GetBucketNotificationConfiguration and PutBucketNotificationConfiguration.

use http::StatusCode;
use oncilla_hash::hex;
use oncilla_store::{Bucket, DocumentKind};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::X_AMZ_SKIP_DESTINATION_VALIDATION;
use oncilla_wire::xml::notification::{MAX_NOTIFICATION_BODY_BYTES, NotificationConfiguration};

use crate::notifications::can_mean_target;
use crate::s3::answer::{Answer, empty, xml};
use crate::s3::body::read_document;
use crate::s3::bucket::set_document;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};

/// Random bytes of an id that is made for a configuration without one.
const ID_BYTES: usize = 18;

pub fn get_notification(bucket: &Bucket) -> Answer {
    let document = bucket.documents.get(DocumentKind::Notification);
    Ok(xml(match document {
        Some(document) => document.text().to_vec(),
        None => NotificationConfiguration::default().to_xml(),
    }))
}

/// Sets where events go, or nowhere with an empty document. Every destination has to be a target of
/// this server, unless the client asks not to look; of what is sent to one that is none a part waits for
/// it as for one that is down. As with S3, each is told by a test event, which no configuration that was
/// not looked at gets.
pub async fn put_notification(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Answer {
    let document = read_document(request, MAX_NOTIFICATION_BODY_BYTES as u64).await?;
    let mut configuration = NotificationConfiguration::parse(&document)?;
    if configuration.event_bridge {
        let message = "Events to EventBridge are not implemented. Nothing was changed.";
        return Err(S3Error::with_message(S3ErrorCode::NotImplemented, message));
    }
    let skips = request.header(&X_AMZ_SKIP_DESTINATION_VALIDATION);
    let is_validated = !skips.is_some_and(|value| value.eq_ignore_ascii_case("true"));
    for destination in &mut configuration.destinations {
        if is_validated && service.targets.resolve(&destination.arn).is_none() {
            let arn = destination.arn.clone();
            let reason = "This server has no such target";
            let message = format!(
                "Unable to validate the following destination configurations: {arn}. {reason}; its \
                 operator can name it in [notification.targets] of the configuration, or allow URLs \
                 by --notification-urls true."
            );
            return Err(S3Error::with_message(S3ErrorCode::InvalidArgument, message)
                .detail("ArgumentName", arn)
                .detail("ArgumentValue", reason));
        }
        // Nobody could ever take what waits for such a one.
        if !is_validated && !can_mean_target(&destination.arn) {
            let message = "The ARN is not well formed";
            return Err(S3Error::invalid_argument("ARN", &destination.arn, message));
        }
        if destination.id.is_empty() {
            destination.id = new_id()?;
        }
    }
    let text = (!configuration.is_empty()).then(|| configuration.to_xml());
    set_document(service, bucket, DocumentKind::Notification, "", text).await?;
    if is_validated {
        let acting = service.acting_for(request);
        let told = acting.store.announce_test(bucket, &configuration);
        told.await.map_err(errors::fault)?;
    }
    Ok(empty(StatusCode::OK))
}

fn new_id() -> Result<String, S3Error> {
    let mut random = [0; ID_BYTES];
    getrandom::fill(&mut random).map_err(|_| S3Error::new(S3ErrorCode::InternalError))?;
    Ok(hex::encode(&random))
}
