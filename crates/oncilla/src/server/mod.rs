//! `oncilla server`: settings, wiring, signals.

mod banner;
mod config_file;
mod foundation;
mod logging;
mod options;
mod serve;
mod settings;
mod start;
mod targets;
mod units;

pub use foundation::Foundation;
pub use options::ServerArgs;
pub use serve::run;
