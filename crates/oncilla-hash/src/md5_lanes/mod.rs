//! MD5 of several streams at once.
//!
//! Every step of MD5 needs the result of the step before it, so one stream leaves most of a core
//! idle: it runs at 0.6 to 0.9 GB/s whatever library computes it. Vector registers advance one
//! stream in each 32-bit lane, all in little more than the time of one: [`Md5Kernel`] is an
//! implementation of that, chosen by what the processor has, and [`Md5Lanes`] gives it pieces of any
//! length that come and go.
//!
//! `unsafe` is in `avx2` and `avx512` (loads and stores of vectors) and where `kernel` enters them.
//!
//! ```
//! use oncilla_hash::Md5;
//! use oncilla_hash::md5_lanes::{Md5Kernel, Md5Lanes};
//!
//! let mut lanes = Md5Lanes::new(Md5Kernel::detect());
//! lanes.push(Md5::new(), "first stream");
//! lanes.push(Md5::new(), "second stream");
//! let mut finished = Vec::new();
//! while !lanes.is_empty() {
//!     lanes.advance(4096, &mut finished);
//! }
//! for (md5, piece) in finished {
//!     assert_eq!(md5.finish(), Md5::digest(piece.as_bytes()));
//! }
//! ```

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod kernel;
mod portable;
mod schedule;
mod scheduler;

pub(crate) use portable::compress_one;

pub use kernel::{LANES_MAX, Md5Kernel};
pub use scheduler::Md5Lanes;
