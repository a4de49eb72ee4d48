//! What becomes of objects as time goes by: expiration, transitions to other storage classes, the
//! end of uploads that nobody completes, and archived objects.
//!
//! [`rules`] says what is due, [`worker`] does it, and [`archive`] keeps what is archived from being read
//! until it is restored. Whatever the worker found in its walk is judged again when it is
//! committed, on the very rows that the commit then requires to be unchanged (`expiry`): an object that was
//! overwritten meanwhile, or a version that became the current one, stays.

pub mod archive;
pub mod calendar;
pub(crate) mod expiry;
pub mod rules;
pub(crate) mod transition;
pub mod worker;

pub use archive::{ArchiveState, RestoreError, Restored};
pub use calendar::Calendar;
pub use rules::{Due, Item, LifecycleRules};
pub use worker::{LifecycleOptions, LifecycleStats};
