//! What answers tell of lifecycle rules and restorations. Nothing is looked up for a bucket without
//! rules and an object that was never restored.

use http::Response;
use oncilla_store::lifecycle::{ArchiveState, Calendar, Due, Item, LifecycleRules};
use oncilla_store::{Bucket, ObjectRecord, ObjectSummary};
use oncilla_wire::error::S3Error;
use oncilla_wire::header::{
    X_AMZ_ABORT_DATE, X_AMZ_ABORT_RULE_ID, X_AMZ_EXPIRATION, X_AMZ_OPTIONAL_OBJECT_ATTRIBUTES,
    X_AMZ_RESTORE,
};
use oncilla_wire::time::{http_date, http_date_header};
use oncilla_wire::uri::encode_component;
use oncilla_wire::xml::list_objects::{RESTORE_STATUS, RestoreStatus};

use crate::ResponseBody;
use crate::s3::answer::set;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};

/// Sets `x-amz-expiration`: when the current version of a key expires, and by which rule. Dates are
/// always those of real days. Source: S3 API reference, PutObject and its like.
pub fn set_expiration(
    response: &mut Response<ResponseBody>,
    bucket: &Bucket,
    key: &str,
    record: &ObjectRecord,
) -> Result<(), S3Error> {
    let Some(rules) = LifecycleRules::of_bucket(bucket).map_err(errors::fault)? else {
        return Ok(());
    };
    let item = Item::of_object(key.as_bytes(), record);
    let Some(due) = rules.expiration(item, record.last_modified_ms, Calendar::REAL) else {
        return Ok(());
    };
    let value = format!(
        "expiry-date=\"{}\", rule-id=\"{}\"",
        http_date_text(due.at_ms),
        encode_component(due.rule_id)
    );
    set(response, X_AMZ_EXPIRATION, value)
}

/// Sets `x-amz-abort-date` and `x-amz-abort-rule-id`: when an upload that was started then is aborted.
/// Source: S3 API reference, CreateMultipartUpload, ListParts.
pub fn set_abort(
    response: &mut Response<ResponseBody>,
    bucket: &Bucket,
    key: &str,
    started_ms: u64,
) -> Result<(), S3Error> {
    let Some(rules) = LifecycleRules::of_bucket(bucket).map_err(errors::fault)? else {
        return Ok(());
    };
    let due = rules.abort(key.as_bytes(), started_ms, Calendar::REAL);
    let Some(Due { at_ms, rule_id }) = due else {
        return Ok(());
    };
    let date = http_date_header(signed(at_ms));
    response.headers_mut().insert(X_AMZ_ABORT_DATE, date);
    set(
        response,
        X_AMZ_ABORT_RULE_ID,
        encode_component(rule_id).into_owned(),
    )
}

/// Sets `x-amz-restore` of an archived object that is being restored or was.
/// Source: S3 API reference, HeadObject.
pub fn set_restore(
    response: &mut Response<ResponseBody>,
    service: &S3Service,
    record: &ObjectRecord,
) -> Result<(), S3Error> {
    if record.restoration.is_none() {
        return Ok(());
    }
    let value = match record.archive_state(service.store.clock().now_ms()) {
        ArchiveState::Active | ArchiveState::Archived => return Ok(()),
        ArchiveState::Restoring => "ongoing-request=\"true\"".to_owned(),
        ArchiveState::Restored { expires_ms } => format!(
            "ongoing-request=\"false\", expiry-date=\"{}\"",
            http_date_text(expires_ms)
        ),
    };
    set(response, X_AMZ_RESTORE, value)
}

/// What a listing tells of restorations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Restorations {
    /// The moment that counts; `None` if the client did not ask.
    at_ms: Option<u64>,
}

impl Restorations {
    /// Whether the request asks for them: `x-amz-optional-object-attributes`.
    pub fn asked(service: &S3Service, request: &S3Request) -> Result<Self, S3Error> {
        let mut asked = Self::default();
        for value in request.headers.get_all(X_AMZ_OPTIONAL_OBJECT_ATTRIBUTES) {
            let text = String::from_utf8_lossy(value.as_bytes());
            if text != RESTORE_STATUS {
                let message = "Invalid attribute name specified.";
                let name = X_AMZ_OPTIONAL_OBJECT_ATTRIBUTES;
                return Err(S3Error::invalid_argument(name.as_str(), &text, message));
            }
            asked.at_ms = Some(service.store.clock().now_ms());
        }
        Ok(asked)
    }

    /// What is told of an object.
    pub fn status(self, summary: &ObjectSummary) -> Option<RestoreStatus> {
        let restoration = summary.restoration?;
        match ArchiveState::of(&summary.storage_class, Some(restoration), self.at_ms?) {
            ArchiveState::Active | ArchiveState::Archived => None,
            ArchiveState::Restoring => Some(RestoreStatus {
                in_progress: true,
                expires_ms: None,
            }),
            ArchiveState::Restored { expires_ms } => Some(RestoreStatus {
                in_progress: false,
                expires_ms: Some(signed(expires_ms)),
            }),
        }
    }
}

fn http_date_text(unix_ms: u64) -> String {
    String::from_utf8_lossy(&http_date(signed(unix_ms))).into_owned()
}

fn signed(unix_ms: u64) -> i64 {
    i64::try_from(unix_ms).unwrap_or(i64::MAX)
}
