//! One file per command.

pub mod abort;
pub mod account;
pub mod attribute_args;
pub mod bench;
pub mod bucket;
pub mod cat;
pub mod check;
pub mod completions;
pub mod cp;
pub mod customer_key_args;
pub mod key;
pub mod kms;
pub mod ls;
pub mod mb;
pub mod presign;
pub mod rb;
pub mod reference;
pub mod rm;
pub mod stat;
pub mod storage;
pub mod sync;
pub mod tag;
