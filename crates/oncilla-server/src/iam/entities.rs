//! What users, groups and roles have in common, and users and groups themselves.

use oncilla_iam::policy::CallerKind;
use oncilla_iam::{Entity, EntityKind, EntityUpdate, IamError, NewEntity};
use oncilla_wire::query_api::{EntityShape, QueryError, QueryErrorCode, RoleShape, write_tags};
use oncilla_wire::xml::XmlWriter;

use super::call::{Call, end_page, name_parameter, tag_shapes};
use super::errors::of_iam;

/// As elements and parameters have it.
pub fn word(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::User => "User",
        EntityKind::Group => "Group",
        EntityKind::Role => "Role",
    }
}

/// How much of an entity a document shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// As listings do.
    Listed,
    /// With its tags.
    Full,
}

/// Writes an entity within an element.
pub fn write(call: &Call<'_>, xml: &mut XmlWriter, element: &str, entity: &Entity, detail: Detail) {
    xml.open(element);
    let arn = entity.arn(call.account());
    EntityShape {
        word: word(entity.kind),
        path: &entity.path,
        name: Some(&entity.name),
        id: &entity.id,
        arn: &arn,
        created_ms: entity.created_ms as i64,
    }
    .write(xml);
    if let Some(role) = &entity.role {
        RoleShape {
            trust_policy: &role.trust_policy,
            description: &role.description,
            max_session_s: role.max_session_s,
        }
        .write(xml);
    }
    if detail == Detail::Full {
        write_tags(xml, tag_shapes(&entity.tags));
    }
    xml.close(element);
}

/// CreateUser and CreateGroup.
pub async fn create(
    call: &Call<'_>,
    xml: &mut XmlWriter,
    kind: EntityKind,
) -> Result<(), QueryError> {
    call.refuse(&["PermissionsBoundary"])?;
    let name = call.form.required(name_parameter(kind))?;
    let arn = oncilla_iam::arn::entity_arn(call.account(), kind, call.path(), name);
    call.authorize(&arn)?;
    let new = NewEntity {
        kind,
        name: name.to_owned(),
        path: call.path().to_owned(),
        tags: call.tags()?,
        role: None,
    };
    let created = call.iam.create_entity(call.account(), new).await;
    let created = created.map_err(of_iam)?;
    write(call, xml, word(kind), &created, Detail::Full);
    Ok(())
}

/// GetUser: of the name, or else the caller. A key that is no user's is seen as a user of its id.
pub async fn get_user(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    let caller = &call.caller;
    let own_name = match call.form.get("UserName") {
        Some(name) => {
            let user = call.entity_named(EntityKind::User, name, &[]).await?;
            write(call, xml, "User", &user, Detail::Full);
            return Ok(());
        }
        None => caller.user_name.as_deref(),
    };
    if caller.kind == CallerKind::AssumedRole {
        let message = "Must specify userName when calling with non-User credentials";
        return Err(QueryError::new(QueryErrorCode::ValidationError, message));
    }
    call.authorize_tagged(&caller.arn, &caller.tags)?;
    if let Some(name) = own_name {
        match call
            .iam
            .entity(call.account(), EntityKind::User, name)
            .await
        {
            Ok(user) => {
                write(call, xml, "User", &user, Detail::Full);
                return Ok(());
            }
            Err(IamError::NoSuchEntity { .. }) => {}
            Err(error) => return Err(of_iam(error)),
        }
    }
    xml.open("User");
    EntityShape {
        word: "User",
        path: "/",
        name: own_name,
        id: &caller.user_id,
        arn: &caller.arn,
        created_ms: call.credential.account.created_ms as i64,
    }
    .write(xml);
    xml.close("User");
    Ok(())
}

/// GetGroup, with its users.
pub async fn get_group(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    let group = call.entity(EntityKind::Group).await?;
    let page = call.page()?;
    let members = call
        .iam
        .group_members(call.account(), &group, page.marker, page.limit)
        .await
        .map_err(of_iam)?;
    write(call, xml, "Group", &group, Detail::Listed);
    xml.open("Users");
    for user in &members.items {
        write(call, xml, "member", user, Detail::Listed);
    }
    xml.close("Users");
    end_page(xml, members.next.as_deref());
    Ok(())
}

/// ListUsers, ListGroups, ListRoles.
pub async fn list(
    call: &Call<'_>,
    xml: &mut XmlWriter,
    kind: EntityKind,
) -> Result<(), QueryError> {
    call.authorize("*")?;
    let page = call.page()?;
    let found = call
        .iam
        .list_entities(
            call.account(),
            kind,
            call.path_prefix(),
            page.marker,
            page.limit,
        )
        .await
        .map_err(of_iam)?;
    let element = format!("{}s", word(kind));
    xml.open(&element);
    for entity in &found.items {
        write(call, xml, "member", entity, Detail::Listed);
    }
    xml.close(&element);
    end_page(xml, found.next.as_deref());
    Ok(())
}

/// UpdateUser and UpdateGroup: name and path.
pub async fn update(call: &Call<'_>, kind: EntityKind) -> Result<(), QueryError> {
    let entity = call.entity(kind).await?;
    let new_name = call.form.get(match kind {
        EntityKind::Group => "NewGroupName",
        EntityKind::User | EntityKind::Role => "NewUserName",
    });
    let new_path = call.form.get("NewPath");
    // Both names have to be within what the caller may change.
    let arn = oncilla_iam::arn::entity_arn(
        call.account(),
        kind,
        new_path.unwrap_or(&entity.path),
        new_name.unwrap_or(&entity.name),
    );
    call.authorize_tagged(&arn, &entity.tags)?;
    let update = EntityUpdate {
        name: new_name.map(str::to_owned),
        path: new_path.map(str::to_owned),
        ..EntityUpdate::default()
    };
    let updated = call
        .iam
        .update_entity(call.account(), kind, &entity.name, update)
        .await;
    updated.map_err(of_iam)?;
    Ok(())
}

/// DeleteUser, DeleteGroup, DeleteRole.
pub async fn delete(call: &Call<'_>, kind: EntityKind) -> Result<(), QueryError> {
    let entity = call.entity(kind).await?;
    let deleted = call
        .iam
        .delete_entity(call.account(), kind, &entity.name)
        .await;
    deleted.map_err(of_iam)
}

/// AddUserToGroup and RemoveUserFromGroup.
pub async fn change_membership(call: &Call<'_>, joins: bool) -> Result<(), QueryError> {
    let group = call.entity(EntityKind::Group).await?;
    let user = call.form.required("UserName")?;
    let account = call.account();
    let changed = match joins {
        true => call.iam.add_to_group(account, &group.name, user).await,
        false => call.iam.remove_from_group(account, &group.name, user).await,
    };
    changed.map_err(of_iam)
}

/// ListGroupsForUser.
pub async fn list_groups_for_user(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    let user = call.entity(EntityKind::User).await?;
    // A user is in ten at most, which every page has room for.
    call.page()?;
    let groups = call
        .iam
        .groups_of(call.account(), &user)
        .await
        .map_err(of_iam)?;
    xml.open("Groups");
    for group in &groups {
        write(call, xml, "member", group, Detail::Listed);
    }
    xml.close("Groups");
    end_page(xml, None);
    Ok(())
}

/// TagUser and TagRole.
pub async fn tag(call: &Call<'_>, kind: EntityKind) -> Result<(), QueryError> {
    let entity = call.entity(kind).await?;
    let tags = call.tags()?;
    let tagged = call
        .iam
        .tag_entity(call.account(), kind, &entity.name, &tags, &[])
        .await;
    tagged.map_err(of_iam)
}

/// UntagUser and UntagRole.
pub async fn untag(call: &Call<'_>, kind: EntityKind) -> Result<(), QueryError> {
    let entity = call.entity(kind).await?;
    let keys = call.form.list("TagKeys")?;
    let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
    let untagged = call
        .iam
        .tag_entity(call.account(), kind, &entity.name, &[], &keys)
        .await;
    untagged.map_err(of_iam)
}

/// ListUserTags and ListRoleTags.
pub async fn list_tags(
    call: &Call<'_>,
    xml: &mut XmlWriter,
    kind: EntityKind,
) -> Result<(), QueryError> {
    let entity = call.entity(kind).await?;
    let page = call.page()?;
    let (tags, next) = super::call::cut(entity.tags, &page, |tag| &tag.key);
    xml.open("Tags");
    for tag in tag_shapes(&tags) {
        xml.open("member");
        xml.text("Key", tag.key);
        xml.text("Value", tag.value);
        xml.close("member");
    }
    xml.close("Tags");
    end_page(xml, next.as_deref());
    Ok(())
}
