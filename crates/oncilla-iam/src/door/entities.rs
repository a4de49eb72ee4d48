//! Users, groups and roles.

use bytes::Bytes;
use oncilla_meta::{Mutation, Precondition, Reader, Space};

use super::{CONFLICT_RETRIES_MAX, Iam, Page, is_committed, page_scan, read_account};
use crate::error::IamError;
use crate::policy::{Policy, PolicyError, PolicyKind, count_without_spaces};
use crate::rows::account::{account_key, decode_key_count};
use crate::rows::entity::{
    Entity, EntityKind, RoleSettings, Tag, entities_of_account, entity_by_id_key, entity_count_key,
    entity_key,
};
use crate::rows::relation::{keys_of_user, member_of_row, members_of_group, membership_key};
use crate::rows::{RowError, UnknownFields};
use crate::validate::{
    self, GROUPS_PER_USER_MAX, PAGE_ITEMS_MAX, entities_per_account_max, inline_policy_chars_max,
};
use crate::{random, validate::max_session_s};

/// Random characters of an id after its prefix, as AWS has them: 82 bits.
const ENTITY_ID_RANDOM_CHARS: usize = 17;

/// A user, group or role to create.
#[derive(Clone, Debug)]
pub struct NewEntity {
    /// What it is.
    pub kind: EntityKind,
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// What a role, and only that, has.
    pub role: Option<RoleSettings>,
}

/// What to change of a user, group or role; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct EntityUpdate {
    /// The new name. Roles keep theirs.
    pub name: Option<String>,
    /// The new path. Roles keep theirs.
    pub path: Option<String>,
    /// The new trust policy of a role.
    pub trust_policy: Option<String>,
    /// The new description of a role.
    pub description: Option<String>,
    /// The new longest session of a role, in seconds.
    pub max_session_s: Option<u64>,
}

fn missing(kind: EntityKind, name: &str) -> IamError {
    IamError::NoSuchEntity {
        what: kind.word(),
        name: name.to_owned(),
    }
}

fn exists(kind: EntityKind, name: &str) -> IamError {
    IamError::EntityExists {
        what: match kind {
            EntityKind::User => "User",
            EntityKind::Group => "Group",
            EntityKind::Role => "Role",
        },
        name: name.to_owned(),
    }
}

impl Iam {
    /// Creates a user, group or role.
    ///
    /// # Errors
    /// [`IamError::NoSuchAccount`], [`IamError::InvalidName`], [`IamError::Policy`] (the trust
    /// policy), [`IamError::EntityExists`], [`IamError::LimitExceeded`].
    pub async fn create_entity(
        &self,
        account_id: &str,
        new: NewEntity,
    ) -> Result<Entity, IamError> {
        let kind = new.kind;
        validate::entity_name(kind, &new.name)?;
        validate::path(&new.path)?;
        validate::tags(&new.tags)?;
        if let Some(role) = &new.role {
            check_role(role)?;
            check_trust_policy(&role.trust_policy)?;
        }
        let limit = entities_per_account_max(kind);
        for _ in 0..CONFLICT_RETRIES_MAX {
            if read_account(self.engine(), account_id).await?.is_none() {
                return Err(IamError::NoSuchAccount);
            }
            let key = entity_key(account_id, kind, &new.name);
            if self.get(&key).await?.is_some() {
                return Err(exists(kind, &new.name));
            }
            let entity = Entity {
                kind,
                id: random_entity_id(kind.id_prefix())?,
                name: new.name.clone(),
                path: new.path.clone(),
                created_ms: self.now_ms(),
                inline_policies: Default::default(),
                attached_policies: Vec::new(),
                tags: new.tags.clone(),
                groups: Vec::new(),
                role: new.role.clone(),
                unknown: UnknownFields::new(),
            };
            let mut mutation = Mutation::new();
            mutation.require(Precondition::Present(account_key(account_id)));
            let count_key = entity_count_key(account_id, kind);
            self.require_below(&mut mutation, &count_key, what_many(kind), limit)
                .await?;
            mutation
                .require(Precondition::Absent(key.clone()))
                .put(Space::Records, key, entity.encode()?)
                .put(
                    Space::Records,
                    entity_by_id_key(account_id, &entity.id),
                    name_pointer(&entity),
                )
                .add(count_key, 1);
            if is_committed(self.commit(mutation).await?) {
                return Ok(entity);
            }
        }
        Err(IamError::Contended)
    }

    /// The user, group or role of this name, whatever its case.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`].
    pub async fn entity(
        &self,
        account_id: &str,
        kind: EntityKind,
        name: &str,
    ) -> Result<Entity, IamError> {
        Ok(self.entity_with_value(account_id, kind, name).await?.0)
    }

    /// The user, group or role of this id.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`].
    pub async fn entity_by_id(
        &self,
        account_id: &str,
        kind: EntityKind,
        id: &str,
    ) -> Result<Entity, IamError> {
        let snapshot = self.engine().snapshot();
        let found = read_entity_by_id(&*snapshot, account_id, kind, id).await?;
        found.ok_or_else(|| missing(kind, id))
    }

    /// A page of users, groups or roles whose path begins with `path_prefix`, by name in lower
    /// case, beginning after the name `after`, with at most `limit` of them, 1 to
    /// [`PAGE_ITEMS_MAX`].
    ///
    /// # Errors
    /// [`IamError::Engine`] and [`IamError::Row`].
    pub async fn list_entities(
        &self,
        account_id: &str,
        kind: EntityKind,
        path_prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Entity>, IamError> {
        let limit = limit.clamp(1, PAGE_ITEMS_MAX);
        let snapshot = self.engine().snapshot();
        let (start, end) = entities_of_account(account_id, kind);
        let mut after = after.map(|name| entity_key(account_id, kind, name));
        let mut items: Vec<Entity> = Vec::new();
        loop {
            let scan = page_scan(start.clone(), end.clone(), after, PAGE_ITEMS_MAX);
            let page = snapshot.scan(scan).await?;
            for row in &page.rows {
                let entity = Entity::decode(&row.value)?;
                if !entity.path.starts_with(path_prefix) {
                    continue;
                }
                if items.len() == limit {
                    let next = items.last().map(|last| last.name.to_ascii_lowercase());
                    return Ok(Page { items, next });
                }
                items.push(entity);
            }
            after = page.rows.last().map(|row| row.key.clone());
            if !page.more {
                return Ok(Page { items, next: None });
            }
        }
    }

    /// Changes a user, group or role, and answers it as it is then.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::InvalidName`], [`IamError::Policy`];
    /// [`IamError::EntityExists`] if the new name is taken.
    pub async fn update_entity(
        &self,
        account_id: &str,
        kind: EntityKind,
        name: &str,
        update: EntityUpdate,
    ) -> Result<Entity, IamError> {
        if let Some(name) = &update.name {
            validate::entity_name(kind, name)?;
        }
        if let Some(path) = &update.path {
            validate::path(path)?;
        }
        self.change_entity(account_id, kind, name, |entity| {
            if let Some(name) = &update.name {
                entity.name.clone_from(name);
            }
            if let Some(path) = &update.path {
                entity.path.clone_from(path);
            }
            if let Some(role) = &mut entity.role {
                if let Some(trust_policy) = &update.trust_policy {
                    check_trust_policy(trust_policy)?;
                    role.trust_policy.clone_from(trust_policy);
                }
                if let Some(description) = &update.description {
                    role.description.clone_from(description);
                }
                role.max_session_s = update.max_session_s.unwrap_or(role.max_session_s);
                check_role(role)?;
            }
            Ok(())
        })
        .await
    }

    /// Deletes a user, group or role on which nothing hangs any more.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::DeleteConflict`].
    pub async fn delete_entity(
        &self,
        account_id: &str,
        kind: EntityKind,
        name: &str,
    ) -> Result<(), IamError> {
        let _forget_when_dropped = self.forget_when_dropped();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let (entity, value) = self.entity_with_value(account_id, kind, name).await?;
            if !entity.attached_policies.is_empty() {
                let message = "Cannot delete entity, must detach all policies first.";
                return Err(IamError::DeleteConflict(message));
            }
            if !entity.inline_policies.is_empty() {
                let message = "Cannot delete entity, must delete policies first.";
                return Err(IamError::DeleteConflict(message));
            }
            if !entity.groups.is_empty() {
                let message = "Cannot delete entity, must remove users from group first.";
                return Err(IamError::DeleteConflict(message));
            }
            let key = entity_key(account_id, kind, &entity.name);
            let (keys_start, keys_end) = keys_of_user(account_id, &entity.id);
            let (members_start, members_end) = members_of_group(account_id, &entity.id);
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::RangeEmpty(keys_start, keys_end))
                .require(Precondition::RangeEmpty(members_start, members_end))
                .require(Precondition::Equals(key.clone(), value))
                .delete(Space::Records, key)
                .delete(Space::Records, entity_by_id_key(account_id, &entity.id))
                .add(entity_count_key(account_id, kind), -1);
            match self.commit(mutation).await? {
                oncilla_meta::CommitOutcome::Committed { .. } => return Ok(()),
                oncilla_meta::CommitOutcome::Conflict { precondition: 0 } => {
                    let message = "Cannot delete entity, must delete access keys first.";
                    return Err(IamError::DeleteConflict(message));
                }
                oncilla_meta::CommitOutcome::Conflict { precondition: 1 } => {
                    let message = "Cannot delete entity, must remove users from group first.";
                    return Err(IamError::DeleteConflict(message));
                }
                oncilla_meta::CommitOutcome::Conflict { .. } => {}
            }
        }
        Err(IamError::Contended)
    }

    /// Gives a user, group or role a policy of its own, in place of one of the same name.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::InvalidName`], [`IamError::Policy`] (also if its
    /// policies would be too long in all).
    pub async fn put_inline_policy(
        &self,
        account_id: &str,
        kind: EntityKind,
        name: &str,
        policy_name: &str,
        document: &str,
    ) -> Result<(), IamError> {
        validate::policy_name(policy_name)?;
        // The entity first: that there is none is said before what is wrong with the policy.
        self.entity(account_id, kind, name).await?;
        Policy::parse_new(document.as_bytes(), PolicyKind::Identity)?;
        let limit = inline_policy_chars_max(kind);
        self.change_entity(account_id, kind, name, |entity| {
            let policies = &mut entity.inline_policies;
            policies.insert(policy_name.to_owned(), document.to_owned());
            let lengths = policies
                .values()
                .map(|text| count_without_spaces(text.as_bytes()));
            if lengths.sum::<usize>() > limit {
                return Err(PolicyError::TooLarge { limit }.into());
            }
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// Takes a policy of its own from a user, group or role.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], also if there is no such policy.
    pub async fn delete_inline_policy(
        &self,
        account_id: &str,
        kind: EntityKind,
        name: &str,
        policy_name: &str,
    ) -> Result<(), IamError> {
        self.change_entity(account_id, kind, name, |entity| {
            match entity.inline_policies.remove(policy_name) {
                Some(_) => Ok(()),
                None => Err(no_such_inline_policy(entity, policy_name)),
            }
        })
        .await?;
        Ok(())
    }

    /// Sets tags, in place of those of the same keys, and takes others away.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::InvalidName`], [`IamError::LimitExceeded`].
    pub async fn tag_entity(
        &self,
        account_id: &str,
        kind: EntityKind,
        name: &str,
        set: &[Tag],
        unset: &[String],
    ) -> Result<(), IamError> {
        validate::tags(set)?;
        self.change_entity(account_id, kind, name, |entity| {
            change_tags(&mut entity.tags, set, unset)
        })
        .await?;
        Ok(())
    }

    /// Puts a user into a group. It is no error if it is in it.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::LimitExceeded`].
    pub async fn add_to_group(
        &self,
        account_id: &str,
        group_name: &str,
        user_name: &str,
    ) -> Result<(), IamError> {
        self.change_membership(account_id, group_name, user_name, true)
            .await
    }

    /// Takes a user out of a group.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], also if it is not in it.
    pub async fn remove_from_group(
        &self,
        account_id: &str,
        group_name: &str,
        user_name: &str,
    ) -> Result<(), IamError> {
        self.change_membership(account_id, group_name, user_name, false)
            .await
    }

    async fn change_membership(
        &self,
        account_id: &str,
        group_name: &str,
        user_name: &str,
        joins: bool,
    ) -> Result<(), IamError> {
        let _forget_when_dropped = self.forget_when_dropped();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let group = self
                .entity(account_id, EntityKind::Group, group_name)
                .await?;
            let (mut user, value) = self
                .entity_with_value(account_id, EntityKind::User, user_name)
                .await?;
            let is_member = user.groups.contains(&group.id);
            if joins && is_member {
                return Ok(());
            }
            if !joins && !is_member {
                return Err(missing(EntityKind::User, user_name));
            }
            if joins && user.groups.len() >= GROUPS_PER_USER_MAX {
                return Err(IamError::LimitExceeded {
                    what: "groups per user",
                    limit: GROUPS_PER_USER_MAX,
                });
            }
            let user_key = entity_key(account_id, EntityKind::User, user_name);
            let relation = membership_key(account_id, &group.id, &user.id);
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Equals(user_key.clone(), value))
                .require(Precondition::Present(entity_by_id_key(
                    account_id, &group.id,
                )));
            if joins {
                user.groups.push(group.id);
                mutation.put(Space::Records, relation, Bytes::new());
            } else {
                user.groups.retain(|id| *id != group.id);
                mutation.delete(Space::Records, relation);
            }
            mutation.put(Space::Records, user_key, user.encode()?);
            if is_committed(self.commit(mutation).await?) {
                return Ok(());
            }
        }
        Err(IamError::Contended)
    }

    /// A page of the users in a group by id, beginning after the id `after`.
    ///
    /// # Errors
    /// [`IamError::Engine`] and [`IamError::Row`].
    pub async fn group_members(
        &self,
        account_id: &str,
        group: &Entity,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Entity>, IamError> {
        let snapshot = self.engine().snapshot();
        let (start, end) = members_of_group(account_id, &group.id);
        let after = after.map(|id| membership_key(account_id, &group.id, id));
        let page = snapshot.scan(page_scan(start, end, after, limit)).await?;
        let mut items = Vec::with_capacity(page.rows.len());
        for row in &page.rows {
            let id = member_of_row(&row.key, account_id, &group.id)?;
            let found = read_entity_by_id(&*snapshot, account_id, EntityKind::User, &id).await?;
            let user = found.ok_or_else(|| RowError::damaged("membership", "of nobody"))?;
            items.push(user);
        }
        let last = items.last().map(|user| user.id.clone());
        Ok(Page {
            items,
            next: last.filter(|_| page.more),
        })
    }

    /// The groups that a user is in, by name.
    ///
    /// # Errors
    /// [`IamError::Engine`] and [`IamError::Row`].
    pub async fn groups_of(
        &self,
        account_id: &str,
        user: &Entity,
    ) -> Result<Vec<Entity>, IamError> {
        let snapshot = self.engine().snapshot();
        let mut groups = read_groups(&*snapshot, account_id, user).await?;
        groups.sort_by_cached_key(|group| group.name.to_ascii_lowercase());
        Ok(groups)
    }

    /// How many users, groups or roles the account has.
    ///
    /// # Errors
    /// [`IamError::Engine`] and [`IamError::Row`].
    pub async fn count_entities(
        &self,
        account_id: &str,
        kind: EntityKind,
    ) -> Result<u64, IamError> {
        self.count(&entity_count_key(account_id, kind)).await
    }

    /// The value of a counter.
    pub(super) async fn count(&self, key: &[u8]) -> Result<u64, IamError> {
        let value = self.get(key).await?;
        let count = value.as_deref().map_or(Ok(0), decode_key_count)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Makes a mutation require that a counter still is what it is now, which must be less than
    /// `limit`.
    pub(super) async fn require_below(
        &self,
        mutation: &mut Mutation,
        count_key: &Bytes,
        what: &'static str,
        limit: usize,
    ) -> Result<(), IamError> {
        let value = self.get(count_key).await?;
        let count = value.as_deref().map_or(Ok(0), decode_key_count)?;
        if usize::try_from(count).unwrap_or(0) >= limit {
            return Err(IamError::LimitExceeded { what, limit });
        }
        mutation.require(match value {
            Some(value) => Precondition::Equals(count_key.clone(), value),
            None => Precondition::Absent(count_key.clone()),
        });
        Ok(())
    }

    /// The entity and its stored form, to be required unchanged.
    pub(super) async fn entity_with_value(
        &self,
        account_id: &str,
        kind: EntityKind,
        name: &str,
    ) -> Result<(Entity, Bytes), IamError> {
        if validate::entity_name(kind, name).is_err() || !validate::is_canonical_id(account_id) {
            return Err(missing(kind, name));
        }
        match self.get(&entity_key(account_id, kind, name)).await? {
            Some(value) => Ok((Entity::decode(&value)?, value)),
            None => Err(missing(kind, name)),
        }
    }

    /// Applies `change` to an entity, and moves its row if that renames it.
    pub(super) async fn change_entity(
        &self,
        account_id: &str,
        kind: EntityKind,
        name: &str,
        change: impl Fn(&mut Entity) -> Result<(), IamError> + Send,
    ) -> Result<Entity, IamError> {
        let _forget_when_dropped = self.forget_when_dropped();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let (before, value) = self.entity_with_value(account_id, kind, name).await?;
            let mut after = before.clone();
            change(&mut after)?;
            if after == before {
                return Ok(after);
            }
            let old_key = entity_key(account_id, kind, &before.name);
            let new_key = entity_key(account_id, kind, &after.name);
            let mut mutation = Mutation::new();
            mutation.require(Precondition::Equals(old_key.clone(), value));
            if old_key != new_key {
                if self.get(&new_key).await?.is_some() {
                    return Err(exists(kind, &after.name));
                }
                mutation
                    .require(Precondition::Absent(new_key.clone()))
                    .delete(Space::Records, old_key)
                    .put(
                        Space::Records,
                        entity_by_id_key(account_id, &after.id),
                        name_pointer(&after),
                    );
            }
            mutation.put(Space::Records, new_key, after.encode()?);
            if is_committed(self.commit(mutation).await?) {
                return Ok(after);
            }
        }
        Err(IamError::Contended)
    }
}

/// The error for a policy of its own that an entity does not have.
pub fn no_such_inline_policy(entity: &Entity, policy_name: &str) -> IamError {
    let what = match entity.kind {
        EntityKind::User => "user policy",
        EntityKind::Group => "group policy",
        EntityKind::Role => "role policy",
    };
    IamError::NoSuchEntity {
        what,
        name: policy_name.to_owned(),
    }
}

/// A random id that begins with `prefix`.
pub(super) fn random_entity_id(prefix: &str) -> Result<String, IamError> {
    let random = random::upper_alphanumeric(ENTITY_ID_RANDOM_CHARS)?;
    Ok(format!("{prefix}{random}"))
}

/// Sets and takes away tags.
pub(super) fn change_tags(
    tags: &mut Vec<Tag>,
    set: &[Tag],
    unset: &[String],
) -> Result<(), IamError> {
    let is_set = |tag: &Tag| set.iter().any(|other| other.key == tag.key);
    tags.retain(|tag| !is_set(tag) && !unset.contains(&tag.key));
    tags.extend_from_slice(set);
    tags.sort_by(|left, right| left.key.cmp(&right.key));
    validate::tags(tags)
}

fn check_role(role: &RoleSettings) -> Result<(), IamError> {
    validate::entity_description(&role.description)?;
    max_session_s(role.max_session_s)
}

fn check_trust_policy(document: &str) -> Result<(), IamError> {
    Policy::parse_new(document.as_bytes(), PolicyKind::Trust)?;
    Ok(())
}

fn what_many(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::User => "users per account",
        EntityKind::Group => "groups per account",
        EntityKind::Role => "roles per account",
    }
}

/// What the index by id holds: the letter of the kind and the name in lower case.
fn name_pointer(entity: &Entity) -> Bytes {
    let mut pointer = vec![entity.kind.letter()];
    pointer.extend_from_slice(entity.name.to_ascii_lowercase().as_bytes());
    Bytes::from(pointer)
}

/// The entity of this id and kind.
pub(super) async fn read_entity_by_id(
    reader: &dyn Reader,
    account_id: &str,
    kind: EntityKind,
    id: &str,
) -> Result<Option<Entity>, IamError> {
    let pointer_key = entity_by_id_key(account_id, id);
    let Some(pointer) = reader.get(Space::Records, &pointer_key).await? else {
        return Ok(None);
    };
    let Some((letter, name)) = pointer.split_first() else {
        return Err(RowError::damaged("entity index", "empty").into());
    };
    if *letter != kind.letter() {
        return Ok(None);
    }
    let name = std::str::from_utf8(name);
    let name = name.map_err(|_| RowError::damaged("entity index", "not a name"))?;
    let Some(value) = reader
        .get(Space::Records, &entity_key(account_id, kind, name))
        .await?
    else {
        return Err(RowError::damaged("entity index", "names a missing entity").into());
    };
    let entity = Entity::decode(&value)?;
    if entity.id != id {
        return Err(RowError::damaged("entity index", "names another entity").into());
    }
    Ok(Some(entity))
}

/// The groups that a user is in.
pub(super) async fn read_groups(
    reader: &dyn Reader,
    account_id: &str,
    user: &Entity,
) -> Result<Vec<Entity>, IamError> {
    let mut groups = Vec::with_capacity(user.groups.len());
    for id in &user.groups {
        let found = read_entity_by_id(reader, account_id, EntityKind::Group, id).await?;
        groups.push(found.ok_or_else(|| RowError::damaged("user", "is in a missing group"))?);
    }
    Ok(groups)
}
