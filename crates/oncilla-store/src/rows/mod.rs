//! Every row the store keeps, one file per record type with its encoder, decoder and tests.
//!
//! The whole key space of [`oncilla_meta::Space::Records`] that belongs to the store (all numbers
//! big-endian; `a` and `k` belong to accounts and keys):
//!
//! | Prefix | Key after it | Value | File |
//! |---|---|---|---|
//! | `b` | bucket name | bucket record | `bucket.rs` |
//! | `B` | bucket id (8) | bucket name, and whether it keeps versions | `bucket.rs` |
//! | `w` | owner, 0, bucket name | empty: the buckets of an account | `bucket.rs` |
//! | `d` | bucket id (8), kind (1), name | configuration document | `document.rs` |
//! | `o` | bucket id (8), object key | object record: the present | `object.rs` |
//! | `h` | bucket id (8), ordered key, inverted time (8) | object record or delete marker: the history | `history.rs` |
//! | `v` | bucket id (8), ordered key | time (8) of the null version in the history | `history.rs`, `version_id.rs` |
//! | `n` | bucket id (8), counter (1) | counter: objects, bytes, and those of the history | `usage.rs` |
//! | `u` | bucket id (8), ordered key, upload id (16) | upload record | `upload.rs` |
//! | `p` | upload id (16), part number (2) | part record | `part.rs` |
//! | `c` | upload id (16) | counter of part writes | `upload.rs` |
//! | `l` | upload id (16) | layout of a completed upload | `layout.rs` |
//! | `r` | upload id (16), object id (16) | empty: an object uses this upload's parts | `reference.rs` |
//! | `e` | volume (8), offset (8), referrer (16) | length: who uses this extent | `reference.rs` |
//! | `g` | time (8), random (8) | what may have become garbage | `garbage.rs` |
//! | `q` | target, ordered, time (8), random (8) | event that waits for its delivery | `event.rs` |
//! | `s` | volume (8) | empty: searched for orphans, nothing released since | `reference.rs` |
//! | `y` | bucket id (8), token | what a token of a rename came with | `rename_token.rs` |
//! | `f` | bucket id (8) | how far the lifecycle worker is | `lifecycle.rs` |
//! | `t` | | highest hybrid-logical time ever given | `clock.rs` |
//!
//! [`oncilla_meta::Space::Bodies`] holds the bodies of small objects and parts under their
//! [unique id](key::UniqueId) (`body.rs`).

pub mod acl;
pub mod body;
pub mod bucket;
pub mod codec;
pub mod document;
pub mod encryption;
pub mod event;
pub mod garbage;
pub mod history;
pub mod key;
pub mod layout;
pub mod lifecycle;
pub mod lock;
pub mod object;
pub mod part;
pub mod placement;
pub mod reference;
pub mod rename_token;
pub mod upload;
pub mod usage;
pub mod version_id;

pub use codec::DecodeError;
