//! `oncilla server`: settings, wiring, signals.

mod banner;
mod config_file;
mod foundation;
mod logging;
mod master_key;
mod options;
mod serve;
mod settings;
mod start;
mod targets;
mod units;

pub use foundation::Foundation;
pub use master_key::{
    MasterKeyArgs, kept_in as master_key_kept_in, read_file as read_master_key_file,
};
pub use options::ServerArgs;
pub use serve::run;
