//! The ordered key-value engine beneath everything that must be consistent.
//!
//! An [`Engine`] is small on purpose: point read, ordered scan, snapshot, and one *declarative*
//! [`Mutation`] (preconditions, puts, deletes, counter additions and a change-log entry, applied
//! all or nothing). Declarative, because such a mutation maps to one embedded batch, one SQL
//! statement or one distributed transaction without interactive round trips.
//!
//! [`embedded::EmbeddedEngine`] is the default and keeps its data in a directory.
//! [`memory::MemoryEngine`] is the model that every other engine is compared with.
//! [`conformance`] is the suite that each of them passes.

mod check;
pub mod conformance;
pub mod embedded;
mod engine;
mod lookup_cache;
pub mod memory;
mod mutation;
mod to_its_end;

pub use check::{DEFAULT_LIMITS, InvalidMutation};
pub use engine::{
    Change, Engine, EngineError, EngineFuture, EngineStats, Limits, Reader, Row, Scan, ScanPage,
    Space, next_key,
};
pub use lookup_cache::{ForgetWhenDropped, LookupCache, ReadTicket};
pub use mutation::{CommitOutcome, Mutation, Precondition};
pub use to_its_end::{Interrupted, to_its_end};
