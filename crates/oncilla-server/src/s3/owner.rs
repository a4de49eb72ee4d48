//! How accounts and regions are shown to clients.

use std::borrow::Cow;
use std::collections::HashMap;

use oncilla_iam::IamError;
use oncilla_store::Bucket;
use oncilla_wire::error::S3Error;
use oncilla_wire::xml;

use crate::s3::S3Service;
use crate::s3::access::BucketAccess;
use crate::s3::authenticate::iam_failure;

/// An account as owner of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Canonical user id.
    pub id: String,
    /// Name for people; empty if the account is gone and only what it owned is left.
    pub display_name: String,
}

impl Owner {
    /// The owner as documents have it.
    pub fn as_xml(&self) -> xml::Owner<'_> {
        xml::Owner {
            id: Cow::Borrowed(&self.id),
            display_name: Cow::Borrowed(&self.display_name),
        }
    }
}

/// The owners of everything on a page, each looked up once: nearly always there is one.
#[derive(Debug, Default)]
pub struct Owners {
    by_id: HashMap<String, Owner>,
    /// Who owns everything, whatever the records say.
    of_everything: Option<Owner>,
}

impl Owners {
    /// The owner with this canonical id as documents have it.
    pub fn as_xml<'a>(&'a self, account_id: &'a str) -> xml::Owner<'a> {
        let owner = self.of_everything.as_ref();
        match owner.or_else(|| self.by_id.get(account_id)) {
            Some(owner) => owner.as_xml(),
            None => xml::Owner {
                id: Cow::Borrowed(account_id),
                display_name: Cow::Borrowed(""),
            },
        }
    }
}

impl S3Service {
    /// The owner with this canonical id.
    ///
    /// # Errors
    /// `ServiceUnavailable` if the accounts cannot be read.
    pub(super) async fn owner(&self, account_id: &str) -> Result<Owner, S3Error> {
        let display_name = match self.iam.account(account_id).await {
            Ok(account) => account.name,
            Err(IamError::NoSuchAccount) => String::new(),
            Err(error) => return Err(iam_failure(error)),
        };
        Ok(Owner {
            id: account_id.to_owned(),
            display_name,
        })
    }

    /// The owners with these canonical ids, which may repeat.
    ///
    /// # Errors
    /// As [`S3Service::owner`].
    pub(super) async fn owners(&self, account_ids: Vec<&str>) -> Result<Owners, S3Error> {
        let mut owners = Owners::default();
        for account_id in account_ids {
            if !owners.by_id.contains_key(account_id) {
                owners
                    .by_id
                    .insert(account_id.to_owned(), self.owner(account_id).await?);
            }
        }
        Ok(owners)
    }

    /// The owners of objects in a bucket, of which the records say these ids.
    ///
    /// # Errors
    /// As [`S3Service::owner`]; `InternalError` if the bucket's ownership controls cannot be read.
    pub(super) async fn owners_of_objects(
        &self,
        bucket: &Bucket,
        account_ids: Vec<&str>,
    ) -> Result<Owners, S3Error> {
        if !BucketAccess::of(bucket)?.is_owner_enforced() {
            return self.owners(account_ids).await;
        }
        Ok(Owners {
            of_everything: Some(self.owner(&bucket.record.owner).await?),
            ..Owners::default()
        })
    }

    /// The region of a bucket with this location constraint: the constraint itself, or the
    /// server's region if it was created without one.
    pub(super) fn region_of(&self, location: &str) -> String {
        let region = if location.is_empty() {
            &self.options.region
        } else {
            location
        };
        region.to_owned()
    }
}
