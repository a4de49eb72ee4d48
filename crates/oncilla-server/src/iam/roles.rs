//! Roles.

use oncilla_iam::policy::{Policy, PolicyKind};
use oncilla_iam::{Entity, EntityKind, EntityUpdate, MAX_SESSION_S_MIN, NewEntity, RoleSettings};
use oncilla_wire::query_api::QueryError;
use oncilla_wire::xml::XmlWriter;

use super::call::{Call, end_page};
use super::entities::{Detail, write};
use super::errors::{of_iam, of_policy};

/// `MaxSessionDuration`, whose bounds the door knows.
fn max_session_s(call: &Call<'_>) -> Result<Option<u64>, QueryError> {
    call.form.number("MaxSessionDuration", 0, u64::MAX)
}

/// Checks a trust policy.
fn check_trust(document: &str) -> Result<(), QueryError> {
    let kind = PolicyKind::Trust;
    match Policy::parse_new(document.as_bytes(), kind) {
        Ok(_) => Ok(()),
        Err(error) => Err(of_policy(&error, kind)),
    }
}

/// CreateRole.
pub async fn create(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    call.refuse(&["PermissionsBoundary"])?;
    let kind = EntityKind::Role;
    let name = call.form.required("RoleName")?;
    let arn = oncilla_iam::arn::entity_arn(call.account(), kind, call.path(), name);
    call.authorize(&arn)?;
    let trust_policy = call.form.required("AssumeRolePolicyDocument")?;
    check_trust(trust_policy)?;
    let new = NewEntity {
        kind,
        name: name.to_owned(),
        path: call.path().to_owned(),
        tags: call.tags()?,
        role: Some(RoleSettings {
            trust_policy: trust_policy.to_owned(),
            description: call.form.get("Description").unwrap_or_default().to_owned(),
            max_session_s: max_session_s(call)?.unwrap_or(MAX_SESSION_S_MIN),
        }),
    };
    let created = call.iam.create_entity(call.account(), new).await;
    write(call, xml, "Role", &created.map_err(of_iam)?, Detail::Full);
    Ok(())
}

/// GetRole.
pub async fn get(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    let role = call.entity(EntityKind::Role).await?;
    write(call, xml, "Role", &role, Detail::Full);
    Ok(())
}

/// ListInstanceProfilesForRole, which programs ask before they delete a role. There are no instances
/// here, hence no profiles.
pub async fn list_instance_profiles(
    call: &Call<'_>,
    xml: &mut XmlWriter,
) -> Result<(), QueryError> {
    call.entity(EntityKind::Role).await?;
    xml.open("InstanceProfiles");
    xml.close("InstanceProfiles");
    end_page(xml, None);
    Ok(())
}

/// UpdateRole and UpdateRoleDescription, which answers the role.
pub async fn update(call: &Call<'_>) -> Result<Entity, QueryError> {
    let role = call.entity(EntityKind::Role).await?;
    let update = EntityUpdate {
        description: call.form.get("Description").map(str::to_owned),
        max_session_s: max_session_s(call)?,
        ..EntityUpdate::default()
    };
    apply(call, &role, update).await
}

/// UpdateAssumeRolePolicy.
pub async fn update_trust_policy(call: &Call<'_>) -> Result<(), QueryError> {
    let role = call.entity(EntityKind::Role).await?;
    let document = call.form.required("PolicyDocument")?;
    check_trust(document)?;
    let update = EntityUpdate {
        trust_policy: Some(document.to_owned()),
        ..EntityUpdate::default()
    };
    apply(call, &role, update).await?;
    Ok(())
}

async fn apply(call: &Call<'_>, role: &Entity, update: EntityUpdate) -> Result<Entity, QueryError> {
    let updated = call
        .iam
        .update_entity(call.account(), EntityKind::Role, &role.name, update)
        .await;
    updated.map_err(of_iam)
}
