//! Where to connect and as whom, gathered as the AWS tools do: flags, then environment, then the
//! shared profile files.

mod credential_process;
mod profile;
mod resolve;

pub use profile::{ProfileFile, parse_profiles};
pub use resolve::{Overrides, Settings, Surroundings};
