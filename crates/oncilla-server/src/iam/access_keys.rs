//! Access keys of users, and of the account itself.

use oncilla_iam::policy::CallerKind;
use oncilla_iam::{AccessKeyInfo, Entity, EntityKind, Grant, IamError, NewKey, Role};
use oncilla_wire::query_api::{AccessKeyShape, QueryError, QueryErrorCode};
use oncilla_wire::xml::XmlWriter;

use super::call::{Call, cut, end_page};
use super::errors::of_iam;

/// Keys of an account that are looked at for one listing: as many as it may have.
const KEYS_LISTED_MAX: usize = oncilla_iam::KEYS_PER_ACCOUNT_MAX;

/// Whose keys a request is about.
enum Owner {
    User(Box<Entity>),
    /// The account itself.
    Account,
}

impl Owner {
    fn user_name(&self) -> Option<&str> {
        match self {
            Self::User(user) => Some(&user.name),
            Self::Account => None,
        }
    }

    fn owns(&self, call: &Call<'_>, info: &AccessKeyInfo) -> bool {
        let user_id = match self {
            Self::User(user) => Some(user.id.as_str()),
            Self::Account => None,
        };
        info.account_id == call.account() && info.user_id.as_deref() == user_id
    }
}

/// The user that a request names, or else the caller. Keys of the account itself are its root's to
/// manage.
async fn owner(call: &Call<'_>) -> Result<Owner, QueryError> {
    if let Some(name) = call.form.get("UserName") {
        let user = call.entity_named(EntityKind::User, name, &[]).await?;
        return Ok(Owner::User(Box::new(user)));
    }
    match (call.caller.kind, call.caller.user_name.as_deref()) {
        (CallerKind::AccountRoot, _) => {
            call.authorize(&call.caller.arn)?;
            Ok(Owner::Account)
        }
        (CallerKind::User, Some(name)) => {
            let user = call.entity_named(EntityKind::User, name, &[]).await?;
            Ok(Owner::User(Box::new(user)))
        }
        _ => {
            let message = "Must specify userName when calling with non-User credentials";
            Err(QueryError::new(QueryErrorCode::ValidationError, message))
        }
    }
}

/// The key that a request names, if the owner has it.
async fn owned_key(call: &Call<'_>, owner: &Owner) -> Result<String, QueryError> {
    let id = call.form.required("AccessKeyId")?;
    let missing = || {
        let message = format!("The Access Key with id {id} cannot be found.");
        QueryError::new(QueryErrorCode::NoSuchEntity, message)
    };
    match call.iam.key(id).await {
        Ok(key) if owner.owns(call, &key.info) => Ok(id.to_owned()),
        Ok(_) | Err(IamError::NoSuchKey) => Err(missing()),
        Err(error) => Err(of_iam(error)),
    }
}

/// CreateAccessKey.
pub async fn create(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    let owner = owner(call).await?;
    let created = match &owner {
        Owner::User(user) => call.iam.create_user_key(call.account(), user).await,
        Owner::Account => {
            let new = NewKey {
                account_id: call.account().to_owned(),
                description: String::new(),
                grants: vec![Grant::new("*", Role::Admin)],
                expires_ms: None,
            };
            call.iam.create_key(new).await
        }
    };
    let created = created.map_err(of_iam)?;
    xml.open("AccessKey");
    AccessKeyShape {
        user_name: owner.user_name(),
        id: created.id(),
        is_active: true,
        secret: Some(created.secret.expose()),
        created_ms: created.info.created_ms as i64,
    }
    .write(xml);
    xml.close("AccessKey");
    Ok(())
}

/// ListAccessKeys.
pub async fn list(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    let owner = owner(call).await?;
    let page = call.page()?;
    let (keys, next) = match &owner {
        Owner::User(user) => {
            let found = call
                .iam
                .list_user_keys(call.account(), user, page.marker, page.limit)
                .await
                .map_err(of_iam)?;
            (found.items, found.next)
        }
        Owner::Account => cut(account_keys(call).await?, &page, |info| &info.id),
    };
    xml.open("AccessKeyMetadata");
    for info in &keys {
        xml.open("member");
        AccessKeyShape {
            user_name: owner.user_name(),
            id: &info.id,
            is_active: !info.disabled,
            secret: None,
            created_ms: info.created_ms as i64,
        }
        .write(xml);
        xml.close("member");
    }
    xml.close("AccessKeyMetadata");
    end_page(xml, next.as_deref());
    Ok(())
}

/// The keys of the account that are no user's, by id.
async fn account_keys(call: &Call<'_>) -> Result<Vec<AccessKeyInfo>, QueryError> {
    let mut own = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = call
            .iam
            .list_keys(call.account(), after.as_deref(), KEYS_LISTED_MAX)
            .await
            .map_err(of_iam)?;
        own.extend(page.items.into_iter().filter(|info| info.user_id.is_none()));
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(own),
        }
    }
}

/// UpdateAccessKey.
pub async fn update(call: &Call<'_>) -> Result<(), QueryError> {
    let owner = owner(call).await?;
    let id = owned_key(call, &owner).await?;
    let disabled = match call.form.required("Status")? {
        "Active" => false,
        "Inactive" => true,
        other => {
            let rule = "Member must satisfy enum value set: [Active, Inactive]";
            return Err(QueryError::invalid("Status", other, rule));
        }
    };
    let updated = call.iam.set_key_disabled(&id, disabled).await;
    updated.map_err(of_iam)?;
    Ok(())
}

/// DeleteAccessKey.
pub async fn delete(call: &Call<'_>) -> Result<(), QueryError> {
    let owner = owner(call).await?;
    let id = owned_key(call, &owner).await?;
    call.iam.delete_key(&id).await.map_err(of_iam)
}
