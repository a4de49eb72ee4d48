//! Managed policies attached to users, groups, roles and, as Tigris has it, to access keys.

use oncilla_iam::arn::IamArn;
use oncilla_iam::{EntityKind, IamError, PolicyHolder};
use oncilla_wire::query_api::{QueryError, QueryErrorCode};
use oncilla_wire::xml::XmlWriter;

use super::call::{Call, cut, end_page, name_parameter};
use super::errors::of_iam;

/// What policies are attached to, and which they are.
struct Holder {
    holder: PolicyHolder,
    attached: Vec<String>,
}

/// The holder that a request names. `UserName` can also be the id of an access key of the account
/// that is no user's: so policies are attached to keys.
async fn holder(
    call: &Call<'_>,
    kind: EntityKind,
    more: &[(&str, &str)],
) -> Result<Holder, QueryError> {
    let name = call.form.required(name_parameter(kind))?;
    let refused = match call.entity_named(kind, name, more).await {
        Ok(entity) => {
            return Ok(Holder {
                holder: PolicyHolder::Entity(kind, entity.name),
                attached: entity.attached_policies,
            });
        }
        Err(refused) => refused,
    };
    if kind != EntityKind::User || refused.code != QueryErrorCode::NoSuchEntity {
        return Err(refused);
    }
    match call.iam.key(name).await {
        Ok(key) if key.info.account_id == call.account() && key.info.user_id.is_none() => {
            Ok(Holder {
                holder: PolicyHolder::Key(name.to_owned()),
                attached: key.info.policies,
            })
        }
        Ok(_) | Err(IamError::NoSuchKey) => Err(refused),
        Err(error) => Err(of_iam(error)),
    }
}

/// AttachUserPolicy, AttachGroupPolicy, AttachRolePolicy.
pub async fn attach(call: &Call<'_>, kind: EntityKind) -> Result<(), QueryError> {
    let arn = call.form.required("PolicyArn")?;
    let found = holder(call, kind, &[("iam:PolicyARN", arn)]).await?;
    let attached = call
        .iam
        .attach_policy(call.account(), arn, &found.holder)
        .await;
    attached.map_err(of_iam)
}

/// DetachUserPolicy, DetachGroupPolicy, DetachRolePolicy.
pub async fn detach(call: &Call<'_>, kind: EntityKind) -> Result<(), QueryError> {
    let arn = call.form.required("PolicyArn")?;
    let found = holder(call, kind, &[("iam:PolicyARN", arn)]).await?;
    let detached = call
        .iam
        .detach_policy(call.account(), arn, &found.holder)
        .await;
    detached.map_err(of_iam)
}

/// ListAttachedUserPolicies, ListAttachedGroupPolicies, ListAttachedRolePolicies.
pub async fn list(
    call: &Call<'_>,
    xml: &mut XmlWriter,
    kind: EntityKind,
) -> Result<(), QueryError> {
    let mut found = holder(call, kind, &[]).await?;
    let page = call.page()?;
    found.attached.sort_unstable();
    let prefix = call.path_prefix();
    let in_path =
        |arn: &String| IamArn::parse(arn).is_some_and(|parsed| parsed.path.starts_with(prefix));
    found.attached.retain(in_path);
    let (arns, next) = cut(found.attached, &page, |arn| arn);
    xml.open("AttachedPolicies");
    for arn in &arns {
        let name = arn.rsplit('/').next().unwrap_or_default();
        xml.open("member");
        xml.text("PolicyName", name);
        xml.text("PolicyArn", arn);
        xml.close("member");
    }
    xml.close("AttachedPolicies");
    end_page(xml, next.as_deref());
    Ok(())
}

/// ListEntitiesForPolicy. Access keys count as users of their ids.
pub async fn list_entities(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    let (arn, _) = super::policies::named(call).await?;
    let page = call.page()?;
    let wanted = call.form.get("EntityFilter");
    let holders = call.iam.policy_holders(call.account(), arn).await;
    let mut holders = holders.map_err(of_iam)?;
    let kind_of = |holder: &PolicyHolder| match holder {
        PolicyHolder::Entity(kind, _) => *kind,
        PolicyHolder::Key(_) => EntityKind::User,
    };
    holders.retain(|(holder, _)| match wanted {
        None => true,
        Some("User") => kind_of(holder) == EntityKind::User,
        Some("Group") => kind_of(holder) == EntityKind::Group,
        Some("Role") => kind_of(holder) == EntityKind::Role,
        Some(_) => false,
    });
    holders.sort_by(|left, right| left.1.cmp(&right.1));
    let (holders, next) = cut(holders, &page, |(_, id)| id);
    for kind in EntityKind::ALL {
        let word = super::entities::word(kind);
        let list = format!("Policy{word}s");
        xml.open(&list);
        for (holder, id) in holders.iter().filter(|(holder, _)| kind_of(holder) == kind) {
            let name = match holder {
                PolicyHolder::Entity(_, name) | PolicyHolder::Key(name) => name,
            };
            xml.open("member");
            xml.text(&format!("{word}Name"), name);
            xml.text(&format!("{word}Id"), id);
            xml.close("member");
        }
        xml.close(&list);
    }
    end_page(xml, next.as_deref());
    Ok(())
}
