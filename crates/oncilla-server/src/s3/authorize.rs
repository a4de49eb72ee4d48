//! Whether the sender may do it. Every operation passes here before its handler; what else a request
//! reaches (the source of a copy, each key of a multi-delete) passes here too, by
//! [`S3Service::authorize_action`]. What the answer is, the evaluator of `oncilla-iam` decides alone:
//! this file gathers what it decides on.

use std::sync::Arc;

use oncilla_iam::policy::{
    AclGrant, Decision, Effect, KnownKey, ObjectOwner, Policy, RequestFacts, ResourceSide, Target,
    acl_grant, bucket_permission, is_object_owners, object_permission, requirements,
};
use oncilla_iam::{Principal, Question, authorize, resource_arn};
use oncilla_store::multipart::UploadError;
use oncilla_store::object::GetObjectError;
use oncilla_store::{Bucket, ObjectRecord, UniqueId, VersionId};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::event::EventKind;
use oncilla_wire::header::{
    X_AMZ_IF_MATCH_LAST_MODIFIED_TIME, X_AMZ_IF_MATCH_SIZE, X_AMZ_OBJECT_LOCK_LEGAL_HOLD,
    X_AMZ_OBJECT_LOCK_MODE, X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE, X_AMZ_TAGGING,
};
use oncilla_wire::object_lock::bypasses_governance;
use oncilla_wire::operation::{Level, Operation};
use oncilla_wire::xml::acl::Permission;

use crate::s3::access::{BucketAccess, acl_of_bucket};
use crate::s3::acl::{acl_headers, opens_to_nobody_else};
use crate::s3::condition_keys::ConditionKeys;
use crate::s3::judged::{JudgedObject, Looked};
use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};

/// What an action is done to.
#[derive(Clone, Copy, Debug)]
pub enum ActionTarget<'a> {
    /// The bucket itself.
    Bucket,
    /// An object in it.
    Object {
        /// Its key.
        key: &'a str,
        /// Which version of it; `None` for the newest.
        version: Option<VersionId>,
    },
    /// An object in it as the request makes it.
    NewObject {
        /// Its key.
        key: &'a str,
    },
}

impl<'a> ActionTarget<'a> {
    fn key(self) -> Option<&'a str> {
        match self {
            Self::Bucket => None,
            Self::Object { key, .. } | Self::NewObject { key } => Some(key),
        }
    }

    fn version(self) -> Option<VersionId> {
        match self {
            Self::Object { version, .. } => version,
            Self::Bucket | Self::NewObject { .. } => None,
        }
    }
}

/// An action to judge.
#[derive(Clone, Copy)]
struct Action<'a> {
    name: &'static str,
    target: ActionTarget<'a>,
    /// Values of condition keys that are not in the head of the request.
    given: &'a [(KnownKey, &'a str)],
    /// What takes the place of the parameter `prefix`.
    prefix: Option<&'a str>,
    /// Whether nothing is read but what a condition of a write depends on.
    is_condition: bool,
}

impl Action<'_> {
    fn reads_object(&self) -> bool {
        matches!(self.name, "s3:GetObject" | "s3:GetObjectVersion")
    }

    /// Whether it is done to an object that is there, and to none that comes about.
    fn needs_object(&self) -> bool {
        is_object_owners(self.name)
            || matches!(
                self.name,
                "s3:GetObjectLegalHold"
                    | "s3:GetObjectRetention"
                    | "s3:PutObjectLegalHold"
                    | "s3:PutObjectRetention"
                    | "s3:RestoreObject"
            )
    }
}

/// How often a change is judged anew because the object was replaced meanwhile.
const JUDGEMENTS_MAX: usize = 8;

impl S3Service {
    /// Judges a request for a bucket or an object in it: every action that it needs by its head.
    ///
    /// The source of a copy is judged where it is found, and the keys of DeleteObjects one by one.
    ///
    /// # Errors
    /// `AccessDenied`; or that there is no object to read, if the sender may know that.
    pub(super) async fn authorize_request(
        &self,
        request: &S3Request,
        bucket: &Bucket,
    ) -> Result<(), S3Error> {
        request.judged.forget_all();
        let access = BucketAccess::of(bucket)?;
        let version = match request.operation.level() {
            Level::Object => request.version_id()?,
            Level::Bucket | Level::Service => None,
        };
        if request.operation == Operation::DeleteObjects {
            return refuse_hopeless(request, &access, bucket);
        }
        let facts = facts_of(request, &access, version.is_some());
        let key = request.key.as_str();
        let writes = matches!(
            request.operation,
            Operation::PutObject
                | Operation::PostObject
                | Operation::CopyObject
                | Operation::CreateMultipartUpload
                | Operation::CompleteMultipartUpload
                | Operation::DeleteObject
        );
        for requirement in requirements(request.operation, &facts).iter() {
            let target = match requirement.target {
                Target::Service | Target::Bucket => ActionTarget::Bucket,
                Target::Object => ActionTarget::Object { key, version },
                Target::NewObject => ActionTarget::NewObject { key },
                Target::Source => continue,
            };
            let action = Action {
                name: requirement.action,
                target,
                given: &[],
                prefix: None,
                is_condition: writes,
            };
            self.require(request, bucket, &access, action).await?;
        }
        Ok(())
    }

    /// Judges a further action of a request: on the same bucket or another one, on the bucket itself
    /// or an object. The action's name is that of the service authorization reference; where
    /// a version is named, it is the one with `Version` in it.
    ///
    /// # Errors
    /// As [`S3Service::authorize_request`].
    pub(super) async fn authorize_action(
        &self,
        request: &S3Request,
        bucket: &Bucket,
        action: &'static str,
        target: ActionTarget<'_>,
    ) -> Result<(), S3Error> {
        let access = BucketAccess::of(bucket)?;
        let action = Action {
            name: action,
            target,
            given: &[],
            prefix: None,
            // Others read what they ask for.
            is_condition: request.operation == Operation::DeleteObjects,
        };
        self.require(request, bucket, &access, action).await
    }

    /// Changes the object that the request names, which was judged: whose it is and which tags it has
    /// decide who may change it. If another one has taken its place since then, that is judged anew,
    /// and changed if it may be. `change_of` gives the change of an object.
    ///
    /// # Errors
    /// As [`S3Service::authorize_request`] and `change_of`; that there is no object;
    /// `ServiceUnavailable` if it is replaced again and again.
    pub(super) async fn change_judged<C: Fn(&mut ObjectRecord)>(
        &self,
        request: &S3Request,
        bucket: &Bucket,
        event: EventKind,
        change_of: impl Fn(&JudgedObject) -> Result<C, S3Error>,
    ) -> Result<ObjectRecord, S3Error> {
        let (key, version) = (request.key.as_str(), request.version_id()?);
        let target = ActionTarget::Object { key, version };
        for judgement in 0..JUDGEMENTS_MAX {
            if judgement > 0 {
                self.authorize_request(request, bucket).await?;
            }
            let judged = match self.look_at(request, bucket, target).await? {
                Looked::Found(judged) => judged,
                Looked::Absent(error) => {
                    return Err(self.not_found(request, bucket, key, error).await);
                }
            };
            let change = change_of(&judged)?;
            let is_judged = |record: &ObjectRecord| judged.is(record);
            let changed = self
                .store
                .update_object_if(
                    bucket,
                    key.as_bytes(),
                    version,
                    is_judged,
                    change,
                    Some(event),
                )
                .await;
            if let Some(record) = self.found(request, bucket, changed).await? {
                return Ok(record);
            }
        }
        Err(errors::changed_too_often())
    }

    /// Judges an operation that concerns no existing bucket. `given` are values of condition keys
    /// that stand in the body.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub(super) fn authorize_on_service(
        &self,
        request: &S3Request,
        facts: &RequestFacts,
        given: &[(KnownKey, &str)],
    ) -> Result<(), S3Error> {
        let context = self.condition_keys(request, None, None, given, &[]);
        for requirement in requirements(request.operation, facts).iter() {
            let question = Question {
                action: requirement.action,
                bucket: Some(request.bucket.as_str()).filter(|name| !name.is_empty()),
                key: None,
                context: &context,
            };
            let decision = authorize(&request.principal, &question, ResourceSide::default());
            if !decision.is_allowed() {
                log_denial(requirement.action, &request.bucket, &decision);
                let resource = resource_arn(question.bucket, None);
                let (sender, action) = (&request.principal, requirement.action);
                return Err(refusal(sender, action, &resource, &decision));
            }
        }
        Ok(())
    }

    /// What was found of the object that the request names.
    ///
    /// # Errors
    /// As [`S3Service::not_found`].
    pub(super) async fn found<T>(
        &self,
        request: &S3Request,
        bucket: &Bucket,
        found: Result<T, GetObjectError>,
    ) -> Result<T, S3Error> {
        match found {
            Ok(found) => Ok(found),
            Err(error) => Err(self.not_found(request, bucket, &request.key, error).await),
        }
    }

    /// The error for an object that is not there. That there is none is told to those who may list
    /// the bucket; others cannot tell it from an object they may not read. It is the same for
    /// whatever needs the object, or one operation would tell what another one hides.
    /// Source: S3 API reference, GetObject, "Permissions".
    pub(super) async fn not_found(
        &self,
        request: &S3Request,
        bucket: &Bucket,
        key: &str,
        error: GetObjectError,
    ) -> S3Error {
        if !is_absence(&error) {
            return absence(request.operation, key, error);
        }
        match self.refusal_to_list(request, bucket, key).await {
            Ok(None) => absence(request.operation, key, error),
            Ok(Some(refusal)) => refusal,
            Err(error) => error,
        }
    }

    /// Why the sender may not know that there is no object; `None` if they may.
    async fn refusal_to_list(
        &self,
        request: &S3Request,
        bucket: &Bucket,
        key: &str,
    ) -> Result<Option<S3Error>, S3Error> {
        let access = BucketAccess::of(bucket)?;
        // Whoever publishes a whole bucket has nothing to hide of what is not in it.
        if bucket.record.public_objects && !access.block.restrict_public_buckets {
            return Ok(None);
        }
        let list = Action {
            name: "s3:ListBucket",
            target: ActionTarget::Bucket,
            given: &[],
            prefix: Some(key),
            is_condition: false,
        };
        let acl = self.bucket_acl_grant(request, bucket, &access, list, None);
        let acl = acl.await?;
        let side = ResourceSide {
            acl,
            ..access.resource_side(ObjectOwner::Bucket)
        };
        let decision = self.decide(request, bucket, list, side, None);
        if decision.is_allowed() {
            return Ok(None);
        }
        // Where what may be done depends on the object, one that is there is refused in as many words
        // as one that is not.
        if access.has_others_objects() || asks_existing_tags(request, &access) {
            return Ok(Some(S3ErrorCode::AccessDenied.into()));
        }
        Ok(Some(self.refuse(request, bucket, list, &decision)))
    }

    /// Judges one action.
    async fn require(
        &self,
        request: &S3Request,
        bucket: &Bucket,
        access: &BucketAccess<'_>,
        action: Action<'_>,
    ) -> Result<(), S3Error> {
        let may_be_others = access.has_others_objects() && is_object_owners(action.name);
        let is_object = matches!(action.target, ActionTarget::Object { .. });
        let depends_on_it = is_object && (may_be_others || asks_existing_tags(request, access));
        let mut looked = match depends_on_it {
            true => Some(self.look_at(request, bucket, action.target).await?),
            false => None,
        };
        let is_others =
            |object: &JudgedObject| may_be_others && object.owner != bucket.record.owner;
        let found = looked.as_ref().and_then(Looked::object);
        let object_owner = match (action.target, found) {
            (ActionTarget::NewObject { .. }, _) => new_object_owner(request, bucket, action.name),
            (_, Some(object)) if is_others(object) => ObjectOwner::Account(&object.owner),
            _ => ObjectOwner::Bucket,
        };
        let side = access.resource_side(object_owner);
        let decision = self.decide(request, bucket, action, side, found);
        if decision.is_allowed() {
            let key = action.target.key().unwrap_or_default();
            // A rename that was carried out before has no source any more, and is known by its token to
            // the store alone.
            let needs_it = action.needs_object() && !action.is_condition && !request.renames();
            return match looked {
                // What appears after this has an owner and tags that were not judged.
                Some(Looked::Absent(error)) if needs_it => {
                    Err(self.not_found(request, bucket, key, error).await)
                }
                _ => Ok(()),
            };
        }
        log_denial(action.name, &bucket.name, &decision);
        // What is told of it says nothing of the object: what it would be without one.
        let refusal = match depends_on_it {
            false => self.refuse(request, bucket, action, &decision),
            true => {
                let side = access.resource_side(ObjectOwner::Bucket);
                let decision = self.decide(request, bucket, action, side, None);
                self.refuse(request, bucket, action, &decision)
            }
        };
        if decision.effect == Effect::ExplicitDeny {
            return Err(refusal);
        }
        // What follows costs a look at the object, and is for those who have no policy on their side.
        let by_bucket = self.bucket_acl_grant(request, bucket, access, action, found);
        let mut grant = by_bucket.await?;
        if let ActionTarget::Object { .. } = action.target
            && grant == AclGrant::None
            && let Some(permission) = object_permission(action.name)
        {
            let seen = match looked {
                Some(looked) => looked,
                None => self.look_at(request, bucket, action.target).await?,
            };
            let judged = match seen {
                Looked::Found(judged) => judged,
                Looked::Absent(error) => {
                    let judged = self.judge_absent(request, bucket, action, error, refusal);
                    return judged.await;
                }
            };
            if !access.is_owner_enforced() {
                grant = acl_grant(
                    &judged.acl,
                    &judged.owner,
                    &bucket.record.owner,
                    &request.principal.caller(),
                    permission,
                    !access.block.ignore_public_acls,
                );
            }
            looked = Some(Looked::Found(judged));
        }
        if grant != AclGrant::None {
            let found = looked.as_ref().and_then(Looked::object);
            let object_owner = match found {
                Some(object) if is_others(object) => ObjectOwner::Account(&object.owner),
                _ => ObjectOwner::Bucket,
            };
            let side = ResourceSide {
                acl: grant,
                ..access.resource_side(object_owner)
            };
            if self
                .decide(request, bucket, action, side, found)
                .is_allowed()
            {
                return Ok(());
            }
        }
        Err(refusal)
    }

    /// Judges an action on an object that is not there, of a sender who would need its ACL. Whoever
    /// may list the bucket is told at once that there is none: what appears after that was not judged.
    /// Conditions of writes are another matter, because a listing tells what they depend on.
    async fn judge_absent(
        &self,
        request: &S3Request,
        bucket: &Bucket,
        action: Action<'_>,
        error: GetObjectError,
        refusal: S3Error,
    ) -> Result<(), S3Error> {
        let key = action.target.key().unwrap_or_default();
        if !action.reads_object() || self.refusal_to_list(request, bucket, key).await?.is_some() {
            return Err(refusal);
        }
        match action.is_condition {
            true => Ok(()),
            false => Err(absence(request.operation, key, error)),
        }
    }

    /// What the bucket's ACL gives of an action. Writing into a bucket does not extend to the
    /// objects and uploads of others that are there: they may be replaced, but only their owner
    /// may delete them, go on with them or abandon them. What is written may come with an ACL and tags.
    /// Source: S3 user guide, "Mapping of ACL permissions and access policy permissions".
    async fn bucket_acl_grant(
        &self,
        request: &S3Request,
        bucket: &Bucket,
        access: &BucketAccess<'_>,
        action: Action<'_>,
        found: Option<&JudgedObject>,
    ) -> Result<AclGrant, S3Error> {
        let permission = match action.target {
            ActionTarget::NewObject { .. } => Some(Permission::Write),
            ActionTarget::Bucket | ActionTarget::Object { .. } => bucket_permission(action.name),
        };
        let Some(permission) = permission else {
            return Ok(AclGrant::None);
        };
        let sender = request.principal.account();
        let key = action.target.key().unwrap_or_default();
        match action.name {
            "s3:AbortMultipartUpload" | "s3:ListMultipartUploadParts" => {
                // Whoever began an upload needs nobody's permission for these.
                return match self.is_own_upload(request, bucket, key).await? {
                    true => Ok(AclGrant::Account),
                    false => Ok(AclGrant::None),
                };
            }
            "s3:PutObject" => {
                // An upload belongs to somebody, and is theirs to go on with.
                let may_write = match request.operation {
                    Operation::CreateMultipartUpload => sender.is_some(),
                    _ if request.query.has("uploadId") => {
                        self.is_own_upload(request, bucket, key).await?
                    }
                    _ => true,
                };
                if !may_write {
                    return Ok(AclGrant::None);
                }
            }
            "s3:DeleteObject" => {
                let owner = match found {
                    Some(object) => Some(object.owner.clone()),
                    None => {
                        let looked = self.look_at(request, bucket, action.target).await?;
                        looked.object().map(|object| object.owner.clone())
                    }
                };
                if owner.is_none() || owner.as_deref() != sender {
                    return Ok(AclGrant::None);
                }
            }
            _ => {}
        }
        if access.is_owner_enforced() {
            return Ok(AclGrant::None);
        }
        Ok(acl_grant(
            &*acl_of_bucket(bucket)?,
            &bucket.record.owner,
            &bucket.record.owner,
            &request.principal.caller(),
            permission,
            !access.block.ignore_public_acls,
        ))
    }

    /// Whether the sender began the upload that the request names.
    async fn is_own_upload(
        &self,
        request: &S3Request,
        bucket: &Bucket,
        key: &str,
    ) -> Result<bool, S3Error> {
        let Some(sender) = request.principal.account() else {
            return Ok(false);
        };
        let text = request.query.get("uploadId").unwrap_or_default();
        let Some(id) = UniqueId::from_hex(text) else {
            return Ok(false);
        };
        match self.store.upload(bucket, key.as_bytes(), id).await {
            Ok(upload) => Ok(upload.record.owner == sender),
            Err(UploadError::NoSuchUpload) => Ok(false),
            Err(UploadError::Fault(fault)) => Err(errors::fault(fault)),
        }
    }

    /// What is under a key: what was found there when it was looked at for the request first.
    async fn look_at(
        &self,
        request: &S3Request,
        bucket: &Bucket,
        target: ActionTarget<'_>,
    ) -> Result<Looked, S3Error> {
        let (key, version) = (target.key().unwrap_or_default(), target.version());
        if let Some(looked) = request.judged.at(bucket, key, version) {
            return Ok(looked);
        }
        let found = self
            .store
            .object_version(bucket, key.as_bytes(), version)
            .await;
        let looked = match found {
            Ok(record) => {
                let with_tags = asks_existing_tags(request, &BucketAccess::of(bucket)?);
                Looked::Found(Arc::new(JudgedObject::new(record, with_tags)))
            }
            Err(GetObjectError::Fault(fault)) => return Err(errors::fault(fault)),
            Err(error) => Looked::Absent(error),
        };
        request.judged.note(bucket, key, version, looked.clone());
        Ok(looked)
    }

    fn decide<'p>(
        &self,
        request: &'p S3Request,
        bucket: &Bucket,
        action: Action<'_>,
        side: ResourceSide<'p>,
        found: Option<&JudgedObject>,
    ) -> Decision<'p> {
        let version = action.target.version().map(|version| version.to_string());
        let tags = found.map_or(&[][..], JudgedObject::tags);
        let context = self.condition_keys(request, version, action.prefix, action.given, tags);
        let question = Question {
            action: action.name,
            bucket: Some(&bucket.name),
            key: action.target.key(),
            context: &context,
        };
        authorize(&request.principal, &question, side)
    }

    /// The refusal of an action, which tells those of the bucket's own account what they would need.
    /// Others are told no more than that: what the bucket's policy says is not theirs to know. Nor is
    /// whoever deletes many objects at once: a thousand reasons, each with sender, action and key, would
    /// make an answer several times as long as the request.
    /// Source: S3 user guide, "Troubleshoot access denied (403 Forbidden) errors in Amazon S3".
    fn refuse(
        &self,
        request: &S3Request,
        bucket: &Bucket,
        action: Action<'_>,
        decision: &Decision<'_>,
    ) -> S3Error {
        let is_owners = request.principal.account() == Some(&bucket.record.owner);
        let is_of_many = request.operation == Operation::DeleteObjects;
        if decision.is_allowed() || !is_owners || is_of_many {
            return S3ErrorCode::AccessDenied.into();
        }
        let resource = resource_arn(Some(&bucket.name), action.target.key());
        refusal(&request.principal, action.name, &resource, decision)
    }

    fn condition_keys<'r>(
        &'r self,
        request: &'r S3Request,
        version: Option<String>,
        prefix: Option<&'r str>,
        given: &'r [(KnownKey, &'r str)],
        existing_tags: &'r [(String, String)],
    ) -> ConditionKeys<'r> {
        ConditionKeys {
            request,
            service: self,
            version,
            prefix,
            existing_tags,
            given,
        }
    }
}

/// Whether any policy that takes part asks for something.
pub fn needs(
    principal: &Principal,
    access: &BucketAccess<'_>,
    asks: impl Fn(&Policy) -> bool,
) -> bool {
    access.policy().is_some_and(&asks) || principal.policies().any(asks)
}

/// Whether what may be done to an object depends on its tags.
fn asks_existing_tags(request: &S3Request, access: &BucketAccess<'_>) -> bool {
    needs(&request.principal, access, Policy::needs_existing_tags)
}

/// Who allows what a request sets on the object that it makes, its ACL and its tags: the bucket's owner,
/// as the writing itself, whosever the object is going to be. One thing is a part of the writing for
/// writers of other accounts: an ACL that opens the object to nobody but them and the bucket's owner.
/// Owners of buckets ask for such an ACL in policies that allow no more than `s3:PutObject`.
/// Source: S3 API reference, PutObject, "Permissions"; S3 user guide, "Policy examples for ACLs".
fn new_object_owner(request: &S3Request, bucket: &Bucket, action: &str) -> ObjectOwner<'static> {
    let bucket_owner = bucket.record.owner.as_str();
    let writer = request.principal.account();
    let is_part_of_writing = action == "s3:PutObjectAcl"
        && writer != Some(bucket_owner)
        && opens_to_nobody_else(&request.headers, writer, bucket_owner);
    match is_part_of_writing {
        true => ObjectOwner::Sender,
        false => ObjectOwner::Bucket,
    }
}

fn is_absence(error: &GetObjectError) -> bool {
    matches!(
        error,
        GetObjectError::NoSuchKey | GetObjectError::Deleted(_)
    )
}

/// Why an object cannot be read, as an operation tells it.
fn absence(operation: Operation, key: &str, error: GetObjectError) -> S3Error {
    match operation {
        Operation::CopyObject | Operation::UploadPartCopy => errors::copy_source(key, error),
        _ => errors::get_object(key, error),
    }
}

fn log_denial(action: &str, bucket: &str, decision: &Decision<'_>) {
    let sid = decision.statement.and_then(|statement| statement.sid);
    tracing::debug!(bucket, action, reason = %decision.reason, sid, "not allowed by policies");
}

/// The refusal of an action in full, to whoever signed for it.
fn refusal(
    principal: &Principal,
    action: &str,
    resource: &str,
    decision: &Decision<'_>,
) -> S3Error {
    match principal.arn() {
        Some(arn) => {
            let message = decision.refusal(arn, action, &format!("\"{resource}\""));
            S3Error::with_message(S3ErrorCode::AccessDenied, message)
        }
        None => S3ErrorCode::AccessDenied.into(),
    }
}

/// Refuses DeleteObjects of a stranger to whom nothing can be open, before the list is read.
fn refuse_hopeless(
    request: &S3Request,
    access: &BucketAccess<'_>,
    bucket: &Bucket,
) -> Result<(), S3Error> {
    let is_anonymous = matches!(request.principal, Principal::Anonymous);
    if is_anonymous && access.policy().is_none() && !acl_of_bucket(bucket)?.is_public() {
        return Err(S3ErrorCode::AccessDenied.into());
    }
    Ok(())
}

/// What the head of a request says that needs further actions.
fn facts_of(request: &S3Request, access: &BucketAccess<'_>, version: bool) -> RequestFacts {
    let headers = &request.headers;
    let has = |name: &http::HeaderName| headers.contains_key(name);
    let mut facts = RequestFacts {
        version,
        ..RequestFacts::default()
    };
    match request.operation {
        Operation::PutObject
        | Operation::PostObject
        | Operation::CopyObject
        | Operation::CreateMultipartUpload => {
            let sets_acl = acl_headers().any(|name| has(&name));
            facts.acl = sets_acl && !access.is_owner_enforced();
            facts.tags = headers
                .get(X_AMZ_TAGGING)
                .is_some_and(|tags| !tags.is_empty());
            facts.retention =
                has(&X_AMZ_OBJECT_LOCK_MODE) || has(&X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE);
            facts.legal_hold = has(&X_AMZ_OBJECT_LOCK_LEGAL_HOLD);
            facts.if_match = has(&http::header::IF_MATCH) || request.extends_object();
        }
        Operation::CompleteMultipartUpload => facts.if_match = has(&http::header::IF_MATCH),
        Operation::DeleteObject | Operation::PutObjectRetention => {
            facts.bypass_governance = bypasses_governance(headers);
            facts.if_match = request.operation == Operation::DeleteObject
                && [
                    http::header::IF_MATCH,
                    X_AMZ_IF_MATCH_LAST_MODIFIED_TIME,
                    X_AMZ_IF_MATCH_SIZE,
                ]
                .iter()
                .any(has);
        }
        _ => {}
    }
    facts
}
