//! Which implementation runs, and the one place where it is entered.

use std::fmt;

use super::portable;
use crate::md5::{Block, Registers};

/// The most lanes that any kernel has: those of AVX-512.
pub const LANES_MAX: usize = 32;

/// With fewer streams the portable code is faster. Measured on a Zen 5 core, AVX2 against portable:
/// 0.93 : 1.57 GB/s with three streams, 1.25 : 1.56 with four, 1.89 : 1.6 with six.
#[cfg(target_arch = "x86_64")]
const AVX2_STREAMS_MIN: usize = 5;

/// As [`AVX2_STREAMS_MIN`]: AVX-512 against portable is 1.03 : 1.32 with two streams, 1.56 : 1.57
/// with three, 2.05 : 1.56 with four.
#[cfg(target_arch = "x86_64")]
const AVX512_STREAMS_MIN: usize = 4;

/// An implementation of MD5 in lanes that this processor can run. There is no other way to one than
/// [`Md5Kernel::detect`] and [`Md5Kernel::available`], which look at the processor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Md5Kernel(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Md5Kernel {
    /// The fastest kernel of this processor. Cheap: the processor is asked once.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx512f") {
                return Self(Kind::Avx512);
            }
            if std::arch::is_x86_feature_detected!("avx2") {
                return Self(Kind::Avx2);
            }
        }
        Self(Kind::Portable)
    }

    /// Every kernel of this processor, the slowest first: for tests and measurements.
    pub fn available() -> Vec<Self> {
        let mut kernels = vec![Self(Kind::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx2") {
                kernels.push(Self(Kind::Avx2));
            }
            if std::arch::is_x86_feature_detected!("avx512f") {
                kernels.push(Self(Kind::Avx512));
            }
        }
        kernels
    }

    /// What it is called in logs.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
        }
    }

    /// Streams that it advances at once. For AVX2 and AVX-512 this is two registers' worth: the
    /// steps of one fill the waiting times of the other (with AVX-512, 32 streams are 1.5 times
    /// as fast in sum as 16; a third register's worth would have to go through memory).
    pub fn lanes(self) -> usize {
        match self.0 {
            Kind::Portable => portable::LANES,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => 16,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => 32,
        }
    }

    /// Takes the blocks of up to [`Self::lanes`] streams, all of the same number.
    #[allow(unsafe_code)]
    pub(super) fn compress(self, streams: &mut [Registers], blocks: &[&[Block]]) {
        match (self.0, streams.len()) {
            (Kind::Portable, _) => portable::compress(streams, blocks),
            // SAFETY (of all four): a kernel of this kind exists only if the processor was found to
            // have the feature, and that is all that the functions ask for.
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx2, AVX2_STREAMS_MIN..=8) => unsafe {
                super::avx2::compress::<1>(streams, blocks)
            },
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx2, 9..) => unsafe { super::avx2::compress::<2>(streams, blocks) },
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx512, AVX512_STREAMS_MIN..=16) => unsafe {
                super::avx512::compress::<1>(streams, blocks)
            },
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx512, 17..) => unsafe { super::avx512::compress::<2>(streams, blocks) },
            #[cfg(target_arch = "x86_64")]
            (Kind::Avx2 | Kind::Avx512, _) => portable::compress(streams, blocks),
        }
    }
}

impl fmt::Debug for Md5Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Md5Kernel({})", self.name())
    }
}
