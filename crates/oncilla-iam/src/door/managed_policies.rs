//! Managed policies: their documents, and what they are attached to.

use bytes::Bytes;
use oncilla_meta::{CommitOutcome, Mutation, Precondition, Reader, Space};

use super::entities::{change_tags, random_entity_id, read_entity_by_id};
use super::{CONFLICT_RETRIES_MAX, Iam, Page, is_committed, page_scan, read_account};
use crate::arn::{AWS_ACCOUNT, IamArn, policy_arn};
use crate::aws_managed;
use crate::error::IamError;
use crate::policy::{Policy, PolicyError, PolicyKind, count_without_spaces};
use crate::rows::UnknownFields;
use crate::rows::access_key::access_key_key;
use crate::rows::account::account_key;
use crate::rows::entity::{EntityKind, Tag, entity_key};
use crate::rows::managed_policy::{
    ManagedPolicy, PolicyVersion, managed_policy_key, policies_of_account, policy_count_key,
};
use crate::rows::relation::{HolderKind, attachment_key, attachments_of_policy, holder_of_row};
use crate::validate::{
    self, ATTACHED_POLICIES_MAX, MANAGED_POLICY_CHARS_MAX, PAGE_ITEMS_MAX,
    POLICIES_PER_ACCOUNT_MAX, POLICY_VERSIONS_MAX,
};

/// What ids of managed policies begin with.
const POLICY_ID_PREFIX: &str = "ANPA";

/// A managed policy to create.
#[derive(Clone, Debug)]
pub struct NewPolicy {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// What it is for.
    pub description: String,
    /// Its first version.
    pub document: String,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// Whose policies a listing shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyScope {
    /// All.
    All,
    /// Those that every account has.
    Aws,
    /// Those of the account.
    Local,
}

/// What a policy is attached to, or shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyHolder {
    /// A user, group or role, by name.
    Entity(EntityKind, String),
    /// An access key of the account that is no user's, by id.
    Key(String),
}

fn no_such_policy(arn: &str) -> IamError {
    IamError::NoSuchEntity {
        what: "policy",
        name: arn.to_owned(),
    }
}

fn check_document(document: &str) -> Result<(), IamError> {
    let limit = MANAGED_POLICY_CHARS_MAX;
    if count_without_spaces(document.as_bytes()) > limit {
        return Err(PolicyError::TooLarge { limit }.into());
    }
    Policy::parse_new(document.as_bytes(), PolicyKind::Identity)?;
    Ok(())
}

impl Iam {
    /// Creates a managed policy.
    ///
    /// # Errors
    /// [`IamError::NoSuchAccount`], [`IamError::InvalidName`], [`IamError::Policy`],
    /// [`IamError::EntityExists`], [`IamError::LimitExceeded`].
    pub async fn create_policy(
        &self,
        account_id: &str,
        new: NewPolicy,
    ) -> Result<ManagedPolicy, IamError> {
        validate::policy_name(&new.name)?;
        validate::path(&new.path)?;
        validate::entity_description(&new.description)?;
        validate::tags(&new.tags)?;
        check_document(&new.document)?;
        for _ in 0..CONFLICT_RETRIES_MAX {
            if read_account(self.engine(), account_id).await?.is_none() {
                return Err(IamError::NoSuchAccount);
            }
            let key = managed_policy_key(account_id, &new.name);
            if self.get(&key).await?.is_some() {
                return Err(IamError::EntityExists {
                    what: "Policy",
                    name: new.name,
                });
            }
            let now_ms = self.now_ms();
            let policy = ManagedPolicy {
                id: random_entity_id(POLICY_ID_PREFIX)?,
                name: new.name.clone(),
                path: new.path.clone(),
                description: new.description.clone(),
                created_ms: now_ms,
                updated_ms: now_ms,
                default_version: 1,
                next_version: 2,
                versions: vec![PolicyVersion {
                    number: 1,
                    document: new.document.clone(),
                    created_ms: now_ms,
                }],
                tags: new.tags.clone(),
                unknown: UnknownFields::new(),
            };
            let mut mutation = Mutation::new();
            mutation.require(Precondition::Present(account_key(account_id)));
            let count_key = policy_count_key(account_id);
            let what = "managed policies per account";
            self.require_below(&mut mutation, &count_key, what, POLICIES_PER_ACCOUNT_MAX)
                .await?;
            mutation
                .require(Precondition::Absent(key.clone()))
                .put(Space::Records, key, policy.encode()?)
                .add(count_key, 1);
            if is_committed(self.commit(mutation).await?) {
                return Ok(policy);
            }
        }
        Err(IamError::Contended)
    }

    /// The policy of this ARN: one of the account, or one that every account has.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`].
    pub async fn policy(&self, account_id: &str, arn: &str) -> Result<ManagedPolicy, IamError> {
        let found = read_policy(self.engine(), account_id, arn).await?;
        found.ok_or_else(|| no_such_policy(arn))
    }

    /// A page of policies with their ARNs, those of the account by name in lower case and then
    /// those of everybody, beginning after the ARN `after`.
    ///
    /// # Errors
    /// [`IamError::Engine`] and [`IamError::Row`].
    pub async fn list_policies(
        &self,
        account_id: &str,
        scope: PolicyScope,
        path_prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<(String, ManagedPolicy)>, IamError> {
        let limit = limit.clamp(1, PAGE_ITEMS_MAX);
        let mut items: Vec<(String, ManagedPolicy)> = Vec::new();
        let page = |items: Vec<(String, ManagedPolicy)>| {
            let next = items.last().map(|(arn, _)| arn.clone());
            Ok(Page { items, next })
        };
        let after = after.and_then(IamArn::parse);
        let past_own = after.is_some_and(|after| after.account == AWS_ACCOUNT);
        if scope != PolicyScope::Aws && !past_own {
            let snapshot = self.engine().snapshot();
            let (start, end) = policies_of_account(account_id);
            let mut after = after.map(|after| managed_policy_key(account_id, after.name));
            loop {
                let scan = page_scan(start.clone(), end.clone(), after, PAGE_ITEMS_MAX);
                let rows = snapshot.scan(scan).await?;
                for row in &rows.rows {
                    let policy = ManagedPolicy::decode(&row.value)?;
                    if !policy.path.starts_with(path_prefix) {
                        continue;
                    }
                    if items.len() == limit {
                        return page(items);
                    }
                    items.push((policy_arn(account_id, &policy.path, &policy.name), policy));
                }
                after = rows.rows.last().map(|row| row.key.clone());
                if !rows.more {
                    break;
                }
            }
        }
        if scope != PolicyScope::Local {
            let after = after.filter(|_| past_own).map(|after| after.name);
            for policy in aws_managed::policies() {
                let is_shown = policy.path.starts_with(path_prefix)
                    && after.is_none_or(|after| policy.name.as_str() > after);
                if !is_shown {
                    continue;
                }
                if items.len() == limit {
                    return page(items);
                }
                items.push((aws_managed::policy_arn(&policy), policy));
            }
        }
        Ok(Page { items, next: None })
    }

    /// Deletes a policy that is attached to nothing and has one version only.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::DeleteConflict`], [`IamError::AwsManaged`].
    pub async fn delete_policy(&self, account_id: &str, arn: &str) -> Result<(), IamError> {
        let _forget_when_dropped = self.forget_when_dropped();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let (policy, key, value) = self.policy_with_value(account_id, arn).await?;
            if policy.versions.len() > 1 {
                let message = "This policy has more than one version. Before you delete a policy, \
                               you must delete the policy's versions. The default version is \
                               deleted with the policy.";
                return Err(IamError::DeleteConflict(message));
            }
            let (start, end) = attachments_of_policy(account_id, arn);
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::RangeEmpty(start, end))
                .require(Precondition::Equals(key.clone(), value))
                .delete(Space::Records, key)
                .add(policy_count_key(account_id), -1);
            match self.commit(mutation).await? {
                CommitOutcome::Committed { .. } => return Ok(()),
                CommitOutcome::Conflict { precondition: 0 } => {
                    let message = "Cannot delete a policy attached to entities.";
                    return Err(IamError::DeleteConflict(message));
                }
                CommitOutcome::Conflict { .. } => {}
            }
        }
        Err(IamError::Contended)
    }

    /// Adds a version to a policy, and answers it.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::Policy`], [`IamError::LimitExceeded`],
    /// [`IamError::AwsManaged`].
    pub async fn create_policy_version(
        &self,
        account_id: &str,
        arn: &str,
        document: &str,
        is_default: bool,
    ) -> Result<PolicyVersion, IamError> {
        self.policy(account_id, arn).await?;
        check_document(document)?;
        let now_ms = self.now_ms();
        let changed = self.change_policy(account_id, arn, |policy| {
            if policy.versions.len() >= POLICY_VERSIONS_MAX {
                return Err(IamError::LimitExceeded {
                    what: "versions per policy",
                    limit: POLICY_VERSIONS_MAX,
                });
            }
            let number = policy.next_version;
            policy.next_version = number.saturating_add(1);
            policy.versions.push(PolicyVersion {
                number,
                document: document.to_owned(),
                created_ms: now_ms,
            });
            if is_default {
                policy.default_version = number;
            }
            policy.updated_ms = now_ms;
            Ok(())
        });
        let newest = changed.await?.versions.pop();
        newest.ok_or_else(|| no_such_policy(arn))
    }

    /// Makes another version of a policy the one that counts.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::AwsManaged`].
    pub async fn set_default_policy_version(
        &self,
        account_id: &str,
        arn: &str,
        number: u32,
    ) -> Result<(), IamError> {
        let now_ms = self.now_ms();
        self.change_policy(account_id, arn, |policy| {
            require_version(policy, number)?;
            policy.default_version = number;
            policy.updated_ms = now_ms;
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// Deletes a version that does not count.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::DeleteConflict`], [`IamError::AwsManaged`].
    pub async fn delete_policy_version(
        &self,
        account_id: &str,
        arn: &str,
        number: u32,
    ) -> Result<(), IamError> {
        let now_ms = self.now_ms();
        self.change_policy(account_id, arn, |policy| {
            require_version(policy, number)?;
            if policy.default_version == number {
                let message = "Cannot delete the default version of a policy.";
                return Err(IamError::DeleteConflict(message));
            }
            policy.versions.retain(|version| version.number != number);
            policy.updated_ms = now_ms;
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// Sets tags of a policy, in place of those of the same keys, and takes others away.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::InvalidName`], [`IamError::LimitExceeded`],
    /// [`IamError::AwsManaged`].
    pub async fn tag_policy(
        &self,
        account_id: &str,
        arn: &str,
        set: &[Tag],
        unset: &[String],
    ) -> Result<(), IamError> {
        validate::tags(set)?;
        self.change_policy(account_id, arn, |policy| {
            change_tags(&mut policy.tags, set, unset)
        })
        .await?;
        Ok(())
    }

    /// Attaches a policy. It is no error if it is attached.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`] (policy or holder), [`IamError::NoSuchKey`],
    /// [`IamError::LimitExceeded`].
    pub async fn attach_policy(
        &self,
        account_id: &str,
        arn: &str,
        holder: &PolicyHolder,
    ) -> Result<(), IamError> {
        self.change_attachment(account_id, arn, holder, true).await
    }

    /// Detaches a policy.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], also if it is not attached; [`IamError::NoSuchKey`].
    pub async fn detach_policy(
        &self,
        account_id: &str,
        arn: &str,
        holder: &PolicyHolder,
    ) -> Result<(), IamError> {
        self.change_attachment(account_id, arn, holder, false).await
    }

    async fn change_attachment(
        &self,
        account_id: &str,
        arn: &str,
        holder: &PolicyHolder,
        attach: bool,
    ) -> Result<(), IamError> {
        let _forget_when_dropped = self.forget_when_dropped();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let mut mutation = Mutation::new();
            // The holder first: whether it exists is said before anything of the policy.
            let (kind, id) = match holder {
                PolicyHolder::Entity(kind, name) => {
                    let (mut entity, value) =
                        self.entity_with_value(account_id, *kind, name).await?;
                    if !change_list(&mut entity.attached_policies, arn, attach)? {
                        return Ok(());
                    }
                    let key = entity_key(account_id, *kind, &entity.name);
                    mutation
                        .require(Precondition::Equals(key.clone(), value))
                        .put(Space::Records, key, entity.encode()?);
                    (HolderKind::Entity(*kind), entity.id)
                }
                PolicyHolder::Key(id) => {
                    let (mut key, value) = self.key_with_value(id).await?;
                    if key.info.account_id != account_id || key.info.user_id.is_some() {
                        return Err(IamError::NoSuchKey);
                    }
                    if !change_list(&mut key.info.policies, arn, attach)? {
                        return Ok(());
                    }
                    let row = access_key_key(id);
                    mutation
                        .require(Precondition::Equals(row.clone(), value))
                        .put(Space::Records, row, key.encode()?);
                    (HolderKind::Key, id.clone())
                }
            };
            let row = attachment_key(account_id, arn, kind, &id);
            if attach {
                self.policy(account_id, arn).await?;
                if let Some(policy) = own_policy(account_id, arn) {
                    let key = managed_policy_key(account_id, policy.name);
                    mutation.require(Precondition::Present(key));
                }
                mutation.put(Space::Records, row, Bytes::new());
            } else {
                mutation.delete(Space::Records, row);
            }
            if is_committed(self.commit(mutation).await?) {
                return Ok(());
            }
        }
        Err(IamError::Contended)
    }

    /// A page of what a policy is attached to, with ids, in the order of their kinds and ids,
    /// beginning after the holder whose id is `after`.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`].
    pub async fn policy_holders(
        &self,
        account_id: &str,
        arn: &str,
    ) -> Result<Vec<(PolicyHolder, String)>, IamError> {
        let snapshot = self.engine().snapshot();
        if read_policy(&*snapshot, account_id, arn).await?.is_none() {
            return Err(no_such_policy(arn));
        }
        let (start, end) = attachments_of_policy(account_id, arn);
        let mut after = None;
        let mut holders = Vec::new();
        loop {
            let scan = page_scan(start.clone(), end.clone(), after, PAGE_ITEMS_MAX);
            let page = snapshot.scan(scan).await?;
            for row in &page.rows {
                let (kind, id) = holder_of_row(&row.key, account_id, arn)?;
                let HolderKind::Entity(kind) = kind else {
                    holders.push((PolicyHolder::Key(id.clone()), id));
                    continue;
                };
                // A row outlives its entity for no moment; a snapshot sees both or neither.
                if let Some(entity) = read_entity_by_id(&*snapshot, account_id, kind, &id).await? {
                    holders.push((PolicyHolder::Entity(kind, entity.name), id));
                }
            }
            after = page.rows.last().map(|row| row.key.clone());
            if !page.more {
                return Ok(holders);
            }
        }
    }

    /// To how many users, groups, roles and keys a policy is attached; counts to
    /// [`PAGE_ITEMS_MAX`].
    ///
    /// # Errors
    /// [`IamError::Engine`].
    pub async fn attachment_count(&self, account_id: &str, arn: &str) -> Result<usize, IamError> {
        let (start, end) = attachments_of_policy(account_id, arn);
        let scan = page_scan(start, end, None, PAGE_ITEMS_MAX);
        Ok(self.engine().scan(scan).await?.rows.len())
    }

    /// How many managed policies the account has.
    ///
    /// # Errors
    /// [`IamError::Engine`] and [`IamError::Row`].
    pub async fn count_policies(&self, account_id: &str) -> Result<u64, IamError> {
        self.count(&policy_count_key(account_id)).await
    }

    /// A policy of the account, where it is kept and its stored form, to be required unchanged.
    async fn policy_with_value(
        &self,
        account_id: &str,
        arn: &str,
    ) -> Result<(ManagedPolicy, Bytes, Bytes), IamError> {
        if self.policy(account_id, arn).await.is_ok() && own_policy(account_id, arn).is_none() {
            return Err(IamError::AwsManaged);
        }
        let parsed = own_policy(account_id, arn).ok_or_else(|| no_such_policy(arn))?;
        let key = managed_policy_key(account_id, parsed.name);
        let value = self.get(&key).await?.ok_or_else(|| no_such_policy(arn))?;
        let policy = ManagedPolicy::decode(&value)?;
        if policy.path != parsed.path {
            return Err(no_such_policy(arn));
        }
        Ok((policy, key, value))
    }

    async fn change_policy(
        &self,
        account_id: &str,
        arn: &str,
        change: impl Fn(&mut ManagedPolicy) -> Result<(), IamError> + Send,
    ) -> Result<ManagedPolicy, IamError> {
        let _forget_when_dropped = self.forget_when_dropped();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let (mut policy, key, value) = self.policy_with_value(account_id, arn).await?;
            change(&mut policy)?;
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Equals(key.clone(), value))
                .put(Space::Records, key, policy.encode()?);
            if is_committed(self.commit(mutation).await?) {
                return Ok(policy);
            }
        }
        Err(IamError::Contended)
    }
}

fn require_version(policy: &ManagedPolicy, number: u32) -> Result<(), IamError> {
    match policy.version(number) {
        Some(_) => Ok(()),
        None => Err(IamError::NoSuchEntity {
            what: "policy version",
            name: format!("v{number}"),
        }),
    }
}

/// Adds an ARN to what is attached, or takes it away. `false` if it is attached already.
fn change_list(attached: &mut Vec<String>, arn: &str, attach: bool) -> Result<bool, IamError> {
    let is_attached = attached.iter().any(|this| this == arn);
    match (attach, is_attached) {
        (true, true) => return Ok(false),
        (false, false) => return Err(no_such_policy(arn)),
        (false, true) => attached.retain(|this| this != arn),
        (true, false) if attached.len() >= ATTACHED_POLICIES_MAX => {
            return Err(IamError::LimitExceeded {
                what: "attached policies",
                limit: ATTACHED_POLICIES_MAX,
            });
        }
        (true, false) => attached.push(arn.to_owned()),
    }
    Ok(true)
}

/// The parts of an ARN that can be of a policy of the account.
fn own_policy<'a>(account_id: &str, arn: &'a str) -> Option<IamArn<'a>> {
    let parsed = IamArn::parse(arn)?;
    (parsed.account == account_id && parsed.kind == "policy").then_some(parsed)
}

/// The policy of this ARN, if the account has it.
pub(super) async fn read_policy(
    reader: &dyn Reader,
    account_id: &str,
    arn: &str,
) -> Result<Option<ManagedPolicy>, IamError> {
    let Some(parsed) = IamArn::parse(arn).filter(|parsed| parsed.kind == "policy") else {
        return Ok(None);
    };
    if parsed.account == AWS_ACCOUNT {
        let found = aws_managed::policy(parsed.name);
        return Ok(found.filter(|policy| policy.path == parsed.path));
    }
    if parsed.account != account_id || validate::policy_name(parsed.name).is_err() {
        return Ok(None);
    }
    let key = managed_policy_key(account_id, parsed.name);
    let Some(value) = reader.get(Space::Records, &key).await? else {
        return Ok(None);
    };
    let policy = ManagedPolicy::decode(&value)?;
    // Names differ in nothing but case for the row; the ARN is to be exact.
    Ok(Some(policy).filter(|policy| policy.path == parsed.path && policy.name == parsed.name))
}
