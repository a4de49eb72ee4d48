//! Accounts, keys, roles and decisions.
//!
//! [`Iam`] is the door: it keeps [`Account`]s and their [`AccessKey`]s in an
//! [`Engine`](oncilla_meta::Engine) and answers "whose key is this?" from a small cache.
//! [`authorize`] is the one place that decides whether a [`Principal`] may do something; it reads
//! nothing and keeps nothing, so that every decision can be tested as a table.
//!
//! ```
//! use std::sync::Arc;
//! use oncilla_iam::{authorize, Iam, Request};
//! use oncilla_meta::memory::MemoryEngine;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let iam = Iam::new(Arc::new(MemoryEngine::new()), Arc::new(|| 1_700_000_000_000));
//! let root = iam.ensure_root(None).await?;
//! let key = root.key.ok_or("the first start always makes a key")?;
//!
//! let found = iam.lookup(key.id()).await?.ok_or("just created")?;
//! iam.check_usable(&found)?;
//! let owner = root.account.id.as_str();
//! let request = Request {
//!     action: "s3:PutObject",
//!     bucket: Some("photos"),
//!     bucket_owner: Some(owner),
//!     public_read: false,
//!     key: Some("otter.jpg"),
//! };
//! authorize(found.principal(), &request)?;
//! # Ok(())
//! # }
//! ```
//!
//! [`policy`] reads policies in the language of IAM and decides by them. It stands beside
//! [`authorize`], which takes it in: what a key was granted becomes a policy
//! ([`policy::policy_of_grants`] has the plan). Temporary credentials and sessions belong here later,
//! as another way to make a [`Principal`].

mod authorize;
mod door;
mod error;
mod grant;
mod names;
pub mod policy;
mod random;
mod role;
mod rows;
mod secret;
mod validate;

pub use authorize::{DenialReason, Denied, KeyPrincipal, Principal, Request, authorize};
pub use door::{
    AccountUpdate, Iam, ImportKey, KeyRefusal, KeyUpdate, KeyWithAccount, NewAccount, NewKey, Page,
    Root, account_present,
};
pub use error::IamError;
pub use grant::{BucketPattern, Grant};
pub use names::generate_bucket_name;
pub use role::{ActionClass, Role, allows};
pub use rows::RowError;
pub use rows::access_key::{AccessKey, AccessKeyInfo};
pub use rows::account::Account;
pub use secret::Secret;
pub use validate::{
    ACCOUNT_NAME_CHARS_MAX, DESCRIPTION_CHARS_MAX, EMAIL_CHARS_MAX, GRANTS_PER_KEY_MAX,
    KEY_ID_CHARS_MAX, KEY_ID_CHARS_MIN, KEYS_PER_ACCOUNT_MAX, PAGE_ITEMS_MAX, SECRET_CHARS_MAX,
    SECRET_CHARS_MIN,
};
