//! What a run does.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::keys::KeyPattern;
use crate::sizes::SizeDistribution;

/// One kind of operation, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// GetObject of a whole object.
    Get,
    /// PutObject.
    Put,
    /// HeadObject.
    Stat,
    /// ListObjectsV2, one page.
    List,
    /// DeleteObject.
    Delete,
    /// GetObject with a `Range`.
    Range,
    /// A whole multipart upload: create, parts, complete.
    Multipart,
}

impl Kind {
    /// All of them, in the order of reports.
    pub const ALL: [Kind; 7] = [
        Kind::Get,
        Kind::Put,
        Kind::Stat,
        Kind::List,
        Kind::Delete,
        Kind::Range,
        Kind::Multipart,
    ];

    /// How many kinds there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Place in arrays of [`Kind::COUNT`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Get => "get",
            Kind::Put => "put",
            Kind::Stat => "stat",
            Kind::List => "list",
            Kind::Delete => "delete",
            Kind::Range => "range",
            Kind::Multipart => "multipart",
        }
    }
}

/// What a run measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Always the same.
    Only(Kind),
    /// Several kinds, by weight.
    Mixed(Mix),
}

impl Operation {
    /// The name on the command line and in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Only(kind) => kind.name(),
            Self::Mixed(_) => "mixed",
        }
    }

    /// Whether operations of this kind occur.
    pub fn includes(&self, kind: Kind) -> bool {
        match self {
            Self::Only(only) => *only == kind,
            Self::Mixed(mix) => mix.weight(kind) > 0,
        }
    }

    /// Whether it changes what the bucket holds.
    pub fn writes(&self) -> bool {
        [Kind::Put, Kind::Delete, Kind::Multipart]
            .iter()
            .any(|kind| self.includes(*kind))
    }
}

/// Weights of the kinds in a mixed run: `get=45,stat=30,put=15,delete=10`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    weights: [u32; Kind::COUNT],
}

/// A mixed run deletes only what it has put itself, so that reads never miss.
const MIXABLE: [Kind; 5] = [Kind::Get, Kind::Stat, Kind::Put, Kind::Delete, Kind::List];

impl Mix {
    /// The weight of a kind.
    pub fn weight(&self, kind: Kind) -> u32 {
        self.weights[kind.index()]
    }

    /// The kind that the random number `number` selects.
    pub fn pick(&self, number: u64) -> Kind {
        let total: u64 = self.weights.iter().map(|weight| u64::from(*weight)).sum();
        let mut place = ((u128::from(number) * u128::from(total)) >> 64) as u64;
        for kind in Kind::ALL {
            let weight = u64::from(self.weight(kind));
            if place < weight {
                return kind;
            }
            place -= weight;
        }
        Kind::Get
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut weights = [0; Kind::COUNT];
        for item in text.split(',') {
            let (name, weight) = item
                .split_once('=')
                .ok_or_else(|| format!("{item:?} has no weight, as in get=45,put=15"))?;
            let kind = MIXABLE
                .into_iter()
                .find(|kind| kind.name() == name.trim())
                .ok_or_else(|| format!("{name:?} is none of get, stat, put, delete, list"))?;
            weights[kind.index()] = weight
                .trim()
                .parse()
                .map_err(|_| format!("{weight:?} is no weight (a whole number)"))?;
        }
        let mix = Self { weights };
        if weights.iter().all(|weight| *weight == 0) {
            return Err(format!("{text:?}: some weight has to be more than 0"));
        }
        if mix.weight(Kind::Delete) > mix.weight(Kind::Put) {
            return Err(format!(
                "{text:?} deletes more than it puts; what is deleted has to be put before"
            ));
        }
        Ok(mix)
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for kind in MIXABLE {
            if self.weight(kind) > 0 {
                write!(f, "{comma}{}={}", kind.name(), self.weight(kind))?;
                comma = ",";
            }
        }
        Ok(())
    }
}

/// How the body of an upload is covered by the signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PayloadSigning {
    /// `UNSIGNED-PAYLOAD`: neither side spends time on SHA-256, so the store is measured and not
    /// the hash.
    #[default]
    Unsigned,
    /// The SHA-256 of the body, computed for every upload.
    Sha256,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD` in chunks of 64 KiB.
    Streaming,
}

impl PayloadSigning {
    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Sha256 => "signed",
            Self::Streaming => "streaming",
        }
    }
}

/// Objects larger than this are prepared in parts, as any client would upload them.
pub const PREPARE_WHOLE_BYTES_MAX: u64 = 64 << 20;

/// Everything about the load, the same for all targets of a run.
#[derive(Clone, Debug)]
pub struct Workload {
    /// What is measured.
    pub operation: Operation,
    /// Sizes of objects.
    pub sizes: SizeDistribution,
    /// Objects that are there before.
    pub objects: u64,
    /// Workers, each with one operation at a time.
    pub concurrency: usize,
    /// Threads that the workers are spread over.
    pub threads: usize,
    /// Measured time of a round; `None`: until `operations` are done.
    pub duration: Option<Duration>,
    /// Operations of a round; `None`: until `duration` is over.
    pub operations: Option<u64>,
    /// Time before that which is not measured.
    pub warmup: Duration,
    /// Operations per second over all workers; latencies then count from the intended start.
    pub rate_per_s: Option<f64>,
    /// Keys per page of a listing.
    pub page_keys: u64,
    /// Length of ranges.
    pub range_bytes: u64,
    /// Whether ranges begin at multiples of their length.
    pub range_aligned: bool,
    /// Length of parts.
    pub part_bytes: u64,
    /// Parts of one upload at once.
    pub part_concurrency: usize,
    /// How bodies of uploads are signed.
    pub payload: PayloadSigning,
    /// Whether PUTs go over the prepared objects instead of to new keys.
    pub overwrite: bool,
    /// Whether bodies and listings are compared with what they have to be.
    pub verify: bool,
    /// The longest silence of a request.
    pub timeout: Duration,
    /// Sizes, contents and order of keys.
    pub seed: u64,
}

/// Tells the numbers that choose sizes from the others of a seed.
const SIZE_STREAM: u64 = 0x5349_5a45;

impl Workload {
    /// The size of the object with this number.
    pub fn size_of(&self, object: u64) -> u64 {
        self.sizes
            .pick(crate::random::at(self.seed ^ SIZE_STREAM, object))
    }

    /// Connections that each worker may have.
    pub fn lanes(&self) -> usize {
        let in_parts =
            self.operation.includes(Kind::Multipart) || self.sizes.max() > PREPARE_WHOLE_BYTES_MAX;
        if in_parts { self.part_concurrency } else { 1 }
    }
}

/// Which objects a target has.
#[derive(Clone, Debug)]
pub struct Objects {
    /// Keys of the prepared ones; the part before the number is the prefix of everything.
    pub keys: KeyPattern,
    /// Whether sizes are as the workload says, so that lengths can be checked.
    pub sizes_known: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    #[test]
    fn mixes() {
        let mix: Mix = "get=45,stat=30,put=15,delete=10".parse().unwrap();
        let mut counts = [0u32; Kind::COUNT];
        for n in 0..100_000 {
            counts[mix.pick(random::at(1, n)).index()] += 1;
        }
        for kind in Kind::ALL {
            let expected = f64::from(mix.weight(kind)) * 1000.0;
            assert!(
                (f64::from(counts[kind.index()]) - expected).abs() < 1000.0,
                "{counts:?}"
            );
        }
        assert_eq!(mix.to_string(), "get=45,stat=30,put=15,delete=10");
        for bad in [
            "",
            "get",
            "get=x",
            "copy=1",
            "get=0",
            "put=1,delete=2",
            "range=1",
        ] {
            assert!(bad.parse::<Mix>().is_err(), "{bad}");
        }
    }

    #[test]
    fn kinds_have_their_places() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), index);
        }
    }
}
