//! Managed policies and their versions.

use oncilla_iam::{ManagedPolicy, NewPolicy, PolicyScope, PolicyVersion};
use oncilla_wire::digits::parse_digits;
use oncilla_wire::query_api::{
    PolicyShape, PolicyVersionShape, QueryError, QueryErrorCode, write_tags,
};
use oncilla_wire::xml::XmlWriter;

use super::call::{Call, cut, end_page, tag_shapes};
use super::errors::of_iam;

/// Writes a policy within an element. Listings show no description.
async fn write(
    call: &Call<'_>,
    xml: &mut XmlWriter,
    element: &str,
    arn: &str,
    policy: &ManagedPolicy,
) -> Result<(), QueryError> {
    let is_listed = element == "member";
    let attachments = call.iam.attachment_count(call.account(), arn).await;
    let default_version = format!("v{}", policy.default_version);
    xml.open(element);
    PolicyShape {
        name: &policy.name,
        id: &policy.id,
        arn,
        path: &policy.path,
        default_version: &default_version,
        attachments: attachments.map_err(of_iam)? as u64,
        description: if is_listed { "" } else { &policy.description },
        created_ms: policy.created_ms as i64,
        updated_ms: policy.updated_ms as i64,
    }
    .write(xml);
    if !is_listed {
        write_tags(xml, tag_shapes(&policy.tags));
    }
    xml.close(element);
    Ok(())
}

fn write_version(
    xml: &mut XmlWriter,
    element: &str,
    version: &PolicyVersion,
    is_default: bool,
    with_document: bool,
) {
    let id = version.id();
    xml.open(element);
    PolicyVersionShape {
        document: with_document.then_some(version.document.as_str()),
        id: &id,
        is_default,
        created_ms: version.created_ms as i64,
    }
    .write(xml);
    xml.close(element);
}

/// The policy that a request names, once the action on it is allowed, by its tags too: whoever may not,
/// does not learn whether it exists.
pub async fn named<'f>(call: &'f Call<'_>) -> Result<(&'f str, ManagedPolicy), QueryError> {
    let arn = call.form.required("PolicyArn")?;
    let policy = call.iam.policy(call.account(), arn).await;
    let tags = policy.as_ref().map_or(&[][..], |policy| &policy.tags);
    call.authorize_tagged(arn, tags)?;
    Ok((arn, policy.map_err(of_iam)?))
}

/// `VersionId`, such as `v3`.
fn version_number(call: &Call<'_>) -> Result<u32, QueryError> {
    let text = call.form.required("VersionId")?;
    let digits = text.strip_prefix('v').unwrap_or_default();
    let number = parse_digits(digits).filter(|_| !digits.starts_with('0'));
    let number = number.and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| {
        QueryError::invalid("VersionId", text, "Member must be a version id such as v1")
    })
}

/// CreatePolicy.
pub async fn create(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    let name = call.form.required("PolicyName")?;
    let arn = oncilla_iam::arn::policy_arn(call.account(), call.path(), name);
    call.authorize(&arn)?;
    let new = NewPolicy {
        name: name.to_owned(),
        path: call.path().to_owned(),
        description: call.form.get("Description").unwrap_or_default().to_owned(),
        document: call.form.required("PolicyDocument")?.to_owned(),
        tags: call.tags()?,
    };
    let created = call.iam.create_policy(call.account(), new).await;
    write(call, xml, "Policy", &arn, &created.map_err(of_iam)?).await
}

/// GetPolicy.
pub async fn get(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    let (arn, policy) = named(call).await?;
    write(call, xml, "Policy", arn, &policy).await
}

/// ListPolicies.
pub async fn list(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    call.authorize("*")?;
    let page = call.page()?;
    let scope = match call.form.get("Scope") {
        None | Some("All") => PolicyScope::All,
        Some("AWS") => PolicyScope::Aws,
        Some("Local") => PolicyScope::Local,
        Some(other) => {
            let rule = "Member must satisfy enum value set: [All, AWS, Local]";
            return Err(QueryError::invalid("Scope", other, rule));
        }
    };
    let only_attached = call.form.boolean("OnlyAttached")?;
    let mut shown = 0;
    let mut after = page.marker.map(str::to_owned);
    let mut next;
    xml.open("Policies");
    loop {
        let found = call
            .iam
            .list_policies(
                call.account(),
                scope,
                call.path_prefix(),
                after.as_deref(),
                page.limit - shown,
            )
            .await
            .map_err(of_iam)?;
        for (arn, policy) in &found.items {
            if only_attached {
                let count = call.iam.attachment_count(call.account(), arn).await;
                if count.map_err(of_iam)? == 0 {
                    continue;
                }
            }
            write(call, xml, "member", arn, policy).await?;
            shown += 1;
        }
        next = found.next;
        if next.is_none() || shown == page.limit {
            break;
        }
        after.clone_from(&next);
    }
    xml.close("Policies");
    end_page(xml, next.as_deref());
    Ok(())
}

/// DeletePolicy.
pub async fn delete(call: &Call<'_>) -> Result<(), QueryError> {
    let (arn, _) = named(call).await?;
    let deleted = call.iam.delete_policy(call.account(), arn).await;
    deleted.map_err(of_iam)
}

/// CreatePolicyVersion.
pub async fn create_version(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    let (arn, _) = named(call).await?;
    let document = call.form.required("PolicyDocument")?;
    let is_default = call.form.boolean("SetAsDefault")?;
    let version = call
        .iam
        .create_policy_version(call.account(), arn, document, is_default)
        .await
        .map_err(of_iam)?;
    write_version(xml, "PolicyVersion", &version, is_default, false);
    Ok(())
}

/// GetPolicyVersion.
pub async fn get_version(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    let (arn, policy) = named(call).await?;
    let number = version_number(call)?;
    let Some(version) = policy.version(number) else {
        let message =
            format!("Policy {arn} version v{number} does not exist or is not attachable.");
        return Err(QueryError::new(QueryErrorCode::NoSuchEntity, message));
    };
    let is_default = policy.default_version == number;
    write_version(xml, "PolicyVersion", version, is_default, true);
    Ok(())
}

/// ListPolicyVersions, newest first.
pub async fn list_versions(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    let (_, policy) = named(call).await?;
    // There are five at most, which every page has room for.
    call.page()?;
    xml.open("Versions");
    for version in policy.versions.iter().rev() {
        let is_default = policy.default_version == version.number;
        write_version(xml, "member", version, is_default, false);
    }
    xml.close("Versions");
    end_page(xml, None);
    Ok(())
}

/// SetDefaultPolicyVersion.
pub async fn set_default_version(call: &Call<'_>) -> Result<(), QueryError> {
    let (arn, _) = named(call).await?;
    let number = version_number(call)?;
    let set = call
        .iam
        .set_default_policy_version(call.account(), arn, number)
        .await;
    set.map_err(of_iam)
}

/// DeletePolicyVersion.
pub async fn delete_version(call: &Call<'_>) -> Result<(), QueryError> {
    let (arn, _) = named(call).await?;
    let number = version_number(call)?;
    let deleted = call
        .iam
        .delete_policy_version(call.account(), arn, number)
        .await;
    deleted.map_err(of_iam)
}

/// TagPolicy.
pub async fn tag(call: &Call<'_>) -> Result<(), QueryError> {
    let (arn, _) = named(call).await?;
    let set = call.tags()?;
    let tagged = call.iam.tag_policy(call.account(), arn, &set, &[]).await;
    tagged.map_err(of_iam)
}

/// UntagPolicy.
pub async fn untag(call: &Call<'_>) -> Result<(), QueryError> {
    let (arn, _) = named(call).await?;
    let unset = call.form.list("TagKeys")?;
    let unset: Vec<String> = unset.into_iter().map(str::to_owned).collect();
    let untagged = call.iam.tag_policy(call.account(), arn, &[], &unset).await;
    untagged.map_err(of_iam)
}

/// ListPolicyTags.
pub async fn list_tags(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    let (_, policy) = named(call).await?;
    let page = call.page()?;
    let (tags, next) = cut(policy.tags, &page, |tag| &tag.key);
    xml.open("Tags");
    for tag in &tags {
        xml.open("member");
        xml.text("Key", &tag.key);
        xml.text("Value", &tag.value);
        xml.close("member");
    }
    xml.close("Tags");
    end_page(xml, next.as_deref());
    Ok(())
}
