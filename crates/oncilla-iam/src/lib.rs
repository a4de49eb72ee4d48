//! Accounts, keys, roles and decisions.
//!
//! [`Iam`] is the door: it keeps [`Account`]s and their [`AccessKey`]s in an
//! [`Engine`](oncilla_meta::Engine) and answers "whose key is this?" from a small cache.
//! [`authorize`](fn@authorize) is the one door to decisions about what a [`Principal`] may do. They are made by the
//! evaluator of [`policy`], which reads nothing and keeps nothing, so that every decision can be tested
//! as a table.
//!
//! ```
//! use std::sync::Arc;
//! use oncilla_iam::policy::{ContextTable, ResourceSide};
//! use oncilla_iam::{authorize, Iam, Question};
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
//! let question = Question {
//!     action: "s3:PutObject",
//!     bucket: Some("photos"),
//!     key: Some("otter.jpg"),
//!     context: &ContextTable::new(),
//! };
//! let bucket = ResourceSide {
//!     owner: Some(&root.account.id),
//!     ..ResourceSide::default()
//! };
//! assert!(authorize(found.principal(), &question, bucket).is_allowed());
//! # Ok(())
//! # }
//! ```
//!
//! What a key was granted becomes a policy ([`policy::policy_of_grants`]), so that roles, policies and
//! ACLs are judged together. Temporary credentials and sessions belong here later, as another way to make
//! a [`KeyPrincipal`].

pub mod arn;
mod authorize;
mod aws_managed;
mod door;
mod error;
mod grant;
mod names;
pub mod policy;
mod random;
mod role;
mod rows;
mod secret;
mod session;
mod validate;

pub use authorize::{
    KeyPrincipal, Principal, Question, authorize, authorize_service, resource_arn,
};
pub use door::{
    AccountUpdate, EntityUpdate, Iam, ImportKey, KeyRefusal, KeyUpdate, KeyUser, KeyWithAccount,
    NewAccount, NewEntity, NewKey, NewPolicy, NewProvider, NewSession, Page, PolicyHolder,
    PolicyScope, Root, SessionRefusal, account_present, no_such_inline_policy,
};
pub use error::IamError;
pub use grant::{BucketPattern, Grant};
pub use names::generate_bucket_name;
pub use role::{ActionClass, Role, allows};
pub use rows::RowError;
pub use rows::access_key::{AccessKey, AccessKeyInfo};
pub use rows::account::Account;
pub use rows::entity::{Entity, EntityKind, RoleSettings, Tag};
pub use rows::managed_policy::{ManagedPolicy, PolicyVersion};
pub use rows::provider::Provider;
pub use secret::Secret;
pub use session::{SessionCredentials, TOKEN_CHARS_MAX, fuzz_open_token};
pub use validate::{
    ACCOUNT_NAME_CHARS_MAX, ATTACHED_POLICIES_MAX, DESCRIPTION_CHARS_MAX, EMAIL_CHARS_MAX,
    GRANTS_PER_KEY_MAX, GROUPS_PER_USER_MAX, KEY_ID_CHARS_MAX, KEY_ID_CHARS_MIN,
    KEYS_PER_ACCOUNT_MAX, KEYS_PER_USER_MAX, MANAGED_POLICY_CHARS_MAX, MAX_SESSION_S_MIN,
    PAGE_ITEMS_MAX, POLICIES_PER_ACCOUNT_MAX, POLICY_VERSIONS_MAX, PROVIDERS_PER_ACCOUNT_MAX,
    SECRET_CHARS_MAX, SECRET_CHARS_MIN, entities_per_account_max, inline_policy_chars_max,
};
