//! The data directory of a server that does not run, under its lock.

use std::path::Path;
use std::sync::Arc;

use oncilla_iam::{
    AccessKey, AccessKeyInfo, BucketPattern, Grant, Iam, IamError, ImportKey, KeyUpdate, Role,
    Secret, generate_bucket_name,
};
use oncilla_keys::{KeysError, KmsKeyInfo, MasterKeySource};
use oncilla_meta::Precondition;
use oncilla_store::bucket::{BucketError, CreateBucketError, DeleteBucketError, ListBuckets};
use oncilla_store::rows::bucket::BucketRecord;

use super::{
    Account, Bucket, Key, KmsKey, NewAccount, NewKey, NewKmsKey, NewStorage, Page, Storage,
    exit_code_of,
};
use crate::failure::Failure;
use crate::server::Foundation;

/// Region in printed configurations: what a server says unless it is told otherwise.
const REGION: &str = "auto";

/// Made-up names are tried again when they are taken: with so many of them twice is rare.
const NAME_ATTEMPTS_MAX: usize = 8;

/// An opened data directory.
pub struct DirectDoor {
    foundation: Foundation,
    iam: Iam,
}

impl DirectDoor {
    /// Opens a data directory that no server uses.
    pub async fn open(path: &Path, master_key: MasterKeySource) -> Result<Self, Failure> {
        let foundation = Foundation::open_existing(path, master_key)
            .await
            .map_err(Failure::general)?;
        let clock = foundation.store.clock().clone();
        let iam = Iam::new(
            Arc::clone(&foundation.engine),
            Arc::new(move || clock.now_ms()),
        );
        Ok(Self { foundation, iam })
    }

    /// Ends in good order.
    pub async fn close(self) {
        self.foundation.store.close().await;
    }

    pub async fn create_account(&self, new: NewAccount) -> Result<Account, Failure> {
        let NewAccount { name, email } = new;
        let new = oncilla_iam::NewAccount { name, email };
        self.iam
            .create_account(new)
            .await
            .map(Account::from)
            .map_err(refusal)
    }

    pub async fn account(&self, id_or_name: &str) -> Result<Account, Failure> {
        match self.iam.account(id_or_name).await {
            Err(IamError::NoSuchAccount) => self
                .iam
                .account_by_name(id_or_name)
                .await
                .map(Account::from)
                .map_err(refusal),
            other => other.map(Account::from).map_err(refusal),
        }
    }

    pub async fn accounts(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Account>, Failure> {
        let page = self
            .iam
            .list_accounts(after, limit)
            .await
            .map_err(refusal)?;
        let items = page.items.into_iter().map(Account::from).collect();
        Ok(Page {
            items,
            next: page.next,
        })
    }

    pub async fn set_account_disabled(
        &self,
        id_or_name: &str,
        disabled: bool,
    ) -> Result<Account, Failure> {
        let id = self.account(id_or_name).await?.id;
        self.iam
            .set_account_disabled(&id, disabled)
            .await
            .map(Account::from)
            .map_err(refusal)
    }

    pub async fn delete_account(&self, id_or_name: &str) -> Result<(), Failure> {
        let id = self.account(id_or_name).await?.id;
        if !self.buckets(Some(&id), None, 1).await?.items.is_empty() {
            return Err(Failure::general(
                "the account still has buckets; remove them first",
            ));
        }
        // The directory is locked: nobody makes a bucket between the look and the removal.
        self.iam
            .delete_account(&id, Vec::<Precondition>::new())
            .await
            .map_err(refusal)
    }

    pub async fn create_key(&self, new: NewKey) -> Result<Key, Failure> {
        let account_id = self.account_or_root(new.account.as_deref()).await?;
        let key = oncilla_iam::NewKey {
            account_id,
            description: new.description,
            grants: new.grants,
            expires_ms: new.expires_ms,
        };
        let made = match new.import {
            None => self.iam.create_key(key).await,
            Some(imported) => {
                let secret = Secret::new(imported.secret);
                self.iam
                    .import_key(ImportKey {
                        id: imported.id,
                        secret,
                        key,
                    })
                    .await
            }
        };
        made.map(with_secret).map_err(refusal)
    }

    pub async fn key(&self, id: &str) -> Result<Key, Failure> {
        let key = self.iam.key(id).await.map_err(refusal)?;
        self.with_user(key.info).await
    }

    /// A key with what its answer says of its user.
    async fn with_user(&self, info: AccessKeyInfo) -> Result<Key, Failure> {
        let user = self.iam.user_of_key(&info).await.map_err(refusal)?;
        Ok(Key {
            user,
            ..Key::from(info)
        })
    }

    pub async fn keys(
        &self,
        account: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Key>, Failure> {
        let account_id = self.account_or_root(account).await?;
        let page = self
            .iam
            .list_keys(&account_id, after, limit)
            .await
            .map_err(refusal)?;
        let mut items = Vec::with_capacity(page.items.len());
        for info in page.items {
            items.push(self.with_user(info).await?);
        }
        Ok(Page {
            items,
            next: page.next,
        })
    }

    pub async fn rotate_key(&self, id: &str) -> Result<Key, Failure> {
        self.iam
            .rotate_key(id)
            .await
            .map(with_secret)
            .map_err(refusal)
    }

    pub async fn set_key_disabled(&self, id: &str, disabled: bool) -> Result<Key, Failure> {
        self.iam
            .set_key_disabled(id, disabled)
            .await
            .map(Key::from)
            .map_err(refusal)
    }

    pub async fn set_grants(&self, id: &str, grants: Vec<Grant>) -> Result<Key, Failure> {
        let update = KeyUpdate {
            grants: Some(grants),
            ..KeyUpdate::default()
        };
        self.iam
            .update_key(id, update)
            .await
            .map(Key::from)
            .map_err(refusal)
    }

    pub async fn delete_key(&self, id: &str) -> Result<(), Failure> {
        self.iam.delete_key(id).await.map_err(refusal)
    }

    pub async fn kms_keys(&self) -> Result<Vec<KmsKey>, Failure> {
        let keys = self.foundation.store.keys().map_err(keys_refusal)?;
        let listed = keys.list().await.map_err(keys_refusal)?;
        let root = self.root_account().await?;
        Ok(listed
            .into_iter()
            .map(|info| kms_key_of(info, &root))
            .collect())
    }

    async fn kms_key(&self, made: Result<KmsKeyInfo, KeysError>) -> Result<KmsKey, Failure> {
        let info = made.map_err(keys_refusal)?;
        Ok(kms_key_of(info, &self.root_account().await?))
    }

    pub async fn create_kms_key(&self, new: NewKmsKey) -> Result<KmsKey, Failure> {
        let keys = self.foundation.store.keys().map_err(keys_refusal)?;
        let NewKmsKey { id, aliases } = new;
        let made = keys.create(oncilla_keys::NewKmsKey { id, aliases }).await;
        self.kms_key(made).await
    }

    pub async fn rotate_kms_key(&self, name: &str) -> Result<KmsKey, Failure> {
        let keys = self.foundation.store.keys().map_err(keys_refusal)?;
        let rotated = keys.rotate(name).await;
        self.kms_key(rotated).await
    }

    pub async fn set_kms_key_disabled(
        &self,
        name: &str,
        disabled: bool,
    ) -> Result<KmsKey, Failure> {
        let keys = self.foundation.store.keys().map_err(keys_refusal)?;
        let set = keys.set_disabled(name, disabled).await;
        self.kms_key(set).await
    }

    pub async fn create_storage(&self, new: NewStorage) -> Result<Storage, Failure> {
        let name = match &new.name {
            Some(name) => name.clone(),
            None => self.free_name().await?,
        };
        let owner = self.account_or_root(new.account.as_deref()).await?;
        // The key comes second and the directory is ours alone: an interruption between the two
        // leaves a bucket that the next attempt is told of.
        let bucket = self.create_bucket(name, owner, new.public).await?;
        let key = oncilla_iam::NewKey {
            account_id: bucket.account_id.clone(),
            description: new.description,
            grants: vec![Grant::new(bucket.name.as_str(), Role::Editor)],
            expires_ms: None,
        };
        let key = match self.iam.create_key(key).await {
            Ok(key) => with_secret(key),
            Err(error) => {
                self.delete_bucket(&bucket.name).await?;
                return Err(refusal(error));
            }
        };
        Ok(Storage {
            bucket,
            key,
            endpoint_url: None,
            region: REGION.to_owned(),
        })
    }

    /// With `force` too only an empty bucket is removed: objects are the server's business.
    pub async fn destroy_storage(&self, name: &str, force: bool) -> Result<(), Failure> {
        let owner = self.found_bucket(name).await?.record.owner.clone();
        self.delete_bucket(name).await.map_err(|failure| {
            if !force {
                return failure;
            }
            failure.advise("start the server; only it removes objects")
        })?;
        // Keys that had a role on nothing else are of no use any more, and must not gain one
        // should the name be taken again.
        let own = BucketPattern::Exact(name.to_owned());
        let mut after: Option<String> = None;
        loop {
            let page = self
                .iam
                .list_keys(&owner, after.as_deref(), super::PAGE_ITEMS)
                .await;
            let page = page.map_err(refusal)?;
            for key in &page.items {
                if !key.grants.is_empty() && key.grants.iter().all(|grant| grant.bucket == own) {
                    self.delete_key(&key.id).await?;
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// A made-up name that no bucket has.
    async fn free_name(&self) -> Result<String, Failure> {
        for _ in 0..NAME_ATTEMPTS_MAX {
            let name =
                generate_bucket_name().map_err(|error| Failure::general(error.to_string()))?;
            match self.foundation.store.bucket(&name).await {
                Err(BucketError::NoSuchBucket) => return Ok(name),
                Err(BucketError::Fault(fault)) => return Err(Failure::general(fault.to_string())),
                Ok(_) => {}
            }
        }
        Err(Failure::general("every name made up was taken").advise("choose a name"))
    }

    async fn create_bucket(
        &self,
        name: String,
        owner: String,
        public: bool,
    ) -> Result<Bucket, Failure> {
        oncilla_wire::names::check_bucket_name(&name)
            .map_err(|error| Failure::usage(format!("{name:?}: {}", error.message)))?;
        let bucket = oncilla_store::bucket::NewBucket {
            name: name.clone(),
            public_objects: public,
            require: vec![oncilla_iam::account_present(&owner)],
            owner,
            ..Default::default()
        };
        match self.foundation.store.create_bucket(bucket).await {
            Ok(bucket) => Ok(bucket_of(&bucket.name, &bucket.record)),
            Err(CreateBucketError::AlreadyOwnedByYou(_) | CreateBucketError::AlreadyExists) => Err(
                Failure::general(format!("the bucket {name} exists already")),
            ),
            Err(CreateBucketError::RequirementFailed) => Err(refusal(IamError::NoSuchAccount)),
            Err(CreateBucketError::Fault(fault)) => Err(Failure::general(fault.to_string())),
        }
    }

    pub async fn bucket(&self, name: &str) -> Result<Bucket, Failure> {
        let found = self.found_bucket(name).await?;
        let usage = self
            .foundation
            .store
            .usage(found.id())
            .await
            .map_err(|fault| Failure::general(fault.to_string()))?;
        let (objects, bytes) = (Some(usage.objects), Some(usage.bytes));
        Ok(Bucket {
            objects,
            bytes,
            ..bucket_of(&found.name, &found.record)
        })
    }

    pub async fn buckets(
        &self,
        account: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Bucket>, Failure> {
        let owner = match account {
            Some(account) => Some(self.account(account).await?.id),
            None => None,
        };
        let list = ListBuckets {
            owner: owner.as_deref(),
            prefix: "",
            after,
            limit,
        };
        let page = self
            .foundation
            .store
            .list_buckets(list)
            .await
            .map_err(|fault| Failure::general(fault.to_string()))?;
        let next = page
            .buckets
            .last()
            .map(|last| last.name.clone())
            .filter(|_| page.truncated);
        Ok(Page {
            items: page
                .buckets
                .iter()
                .map(|bucket| bucket_of(&bucket.name, &bucket.record))
                .collect(),
            next,
        })
    }

    async fn delete_bucket(&self, name: &str) -> Result<(), Failure> {
        let bucket = self.found_bucket(name).await?;
        self.foundation
            .store
            .delete_bucket(&bucket)
            .await
            .map_err(|error| match error {
                DeleteBucketError::NoSuchBucket => no_such_bucket(name),
                DeleteBucketError::NotEmpty => {
                    Failure::general(format!("the bucket {name} is not empty"))
                }
                DeleteBucketError::Fault(fault) => Failure::general(fault.to_string()),
            })
    }

    async fn found_bucket(
        &self,
        name: &str,
    ) -> Result<std::sync::Arc<oncilla_store::Bucket>, Failure> {
        self.foundation
            .store
            .bucket(name)
            .await
            .map_err(|error| match error {
                BucketError::NoSuchBucket => no_such_bucket(name),
                BucketError::Fault(fault) => Failure::general(fault.to_string()),
            })
    }

    async fn account_or_root(&self, account: Option<&str>) -> Result<String, Failure> {
        match account {
            Some(account) => Ok(self.account(account).await?.id),
            None => self.root_account().await,
        }
    }

    async fn root_account(&self) -> Result<String, Failure> {
        let mut after: Option<String> = None;
        loop {
            let page = self
                .iam
                .list_accounts(after.as_deref(), super::PAGE_ITEMS)
                .await
                .map_err(refusal)?;
            for account in &page.items {
                if self.iam.is_root(&account.id).await.map_err(refusal)? {
                    return Ok(account.id.clone());
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => {
                    return Err(Failure::general("there is no root account yet")
                        .advise("start `oncilla server` once; its first start makes one"));
                }
            }
        }
    }
}

fn refusal(error: IamError) -> Failure {
    let code = match &error {
        IamError::NoSuchAccount => "NoSuchAccount",
        IamError::NoSuchKey => "NoSuchKey",
        _ => "",
    };
    Failure {
        exit_code: exit_code_of(code),
        ..Failure::general(error.to_string())
    }
}

fn keys_refusal(error: KeysError) -> Failure {
    let code = match &error {
        KeysError::NotFound(_) => "NoSuchKmsKey",
        _ => "",
    };
    Failure {
        exit_code: exit_code_of(code),
        ..Failure::general(error.to_string())
    }
}

fn no_such_bucket(name: &str) -> Failure {
    let message = format!("there is no bucket {name}");
    Failure {
        exit_code: exit_code_of("NoSuchBucket"),
        ..Failure::general(message)
    }
}

fn with_secret(key: AccessKey) -> Key {
    let secret = Some(key.secret.expose().to_owned());
    Key {
        secret,
        ..Key::from(key.info)
    }
}

fn bucket_of(name: &str, record: &BucketRecord) -> Bucket {
    Bucket {
        public: record.public_objects,
        name: name.to_owned(),
        account_id: record.owner.clone(),
        created_ms: record.created_ms,
        objects: None,
        bytes: None,
    }
}

/// All KMS keys are the root account's.
fn kms_key_of(info: KmsKeyInfo, root_account_id: &str) -> KmsKey {
    KmsKey {
        arn: info.arn(REGION, root_account_id),
        id: info.id,
        aliases: info.aliases,
        created_ms: info.created_ms,
        version: info.version,
        rotated_ms: info.rotated_ms,
        disabled: info.disabled,
        managed: info.managed,
    }
}

impl From<oncilla_iam::Account> for Account {
    fn from(account: oncilla_iam::Account) -> Self {
        Self {
            id: account.id,
            name: account.name,
            email: account.email,
            created_ms: account.created_ms,
            disabled: account.disabled,
        }
    }
}

impl From<AccessKeyInfo> for Key {
    fn from(info: AccessKeyInfo) -> Self {
        Self {
            id: info.id,
            secret: None,
            account_id: info.account_id,
            description: info.description,
            grants: info.grants,
            user_id: info.user_id,
            user: None,
            policies: info.policies,
            created_ms: info.created_ms,
            disabled: info.disabled,
            expires_ms: info.expires_ms,
            generation: info.generation,
        }
    }
}
