//! Policies that one user, group or role has for itself.

use oncilla_iam::{EntityKind, no_such_inline_policy};
use oncilla_wire::query_api::QueryError;
use oncilla_wire::uri::encode_component;
use oncilla_wire::xml::XmlWriter;

use super::call::{Call, cut, end_page, name_parameter};
use super::errors::of_iam;

/// PutUserPolicy, PutGroupPolicy, PutRolePolicy.
pub async fn put(call: &Call<'_>, kind: EntityKind) -> Result<(), QueryError> {
    let entity = call.entity(kind).await?;
    let name = call.form.required("PolicyName")?;
    let document = call.form.required("PolicyDocument")?;
    let put = call
        .iam
        .put_inline_policy(call.account(), kind, &entity.name, name, document)
        .await;
    put.map_err(of_iam)
}

/// GetUserPolicy, GetGroupPolicy, GetRolePolicy.
pub async fn get(call: &Call<'_>, xml: &mut XmlWriter, kind: EntityKind) -> Result<(), QueryError> {
    let entity = call.entity(kind).await?;
    let name = call.form.required("PolicyName")?;
    let Some(document) = entity.inline_policies.get(name) else {
        return Err(of_iam(no_such_inline_policy(&entity, name)));
    };
    xml.text(name_parameter(kind), &entity.name);
    xml.text("PolicyName", name);
    xml.text("PolicyDocument", &encode_component(document));
    Ok(())
}

/// ListUserPolicies, ListGroupPolicies, ListRolePolicies.
pub async fn list(
    call: &Call<'_>,
    xml: &mut XmlWriter,
    kind: EntityKind,
) -> Result<(), QueryError> {
    let entity = call.entity(kind).await?;
    let page = call.page()?;
    let names: Vec<&String> = entity.inline_policies.keys().collect();
    let (names, next) = cut(names, &page, |name| name.as_str());
    xml.open("PolicyNames");
    for name in names {
        xml.text("member", name);
    }
    xml.close("PolicyNames");
    end_page(xml, next.as_deref());
    Ok(())
}

/// DeleteUserPolicy, DeleteGroupPolicy, DeleteRolePolicy.
pub async fn delete(call: &Call<'_>, kind: EntityKind) -> Result<(), QueryError> {
    let entity = call.entity(kind).await?;
    let name = call.form.required("PolicyName")?;
    let deleted = call
        .iam
        .delete_inline_policy(call.account(), kind, &entity.name, name)
        .await;
    deleted.map_err(of_iam)
}
