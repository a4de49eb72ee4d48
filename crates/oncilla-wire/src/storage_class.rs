//! The storage classes of S3: which there are, which have to be restored before they can be read,
//! and between which lifecycle rules move objects.
//! Source: S3 User Guide, "Understanding and managing Amazon S3 storage classes".

/// A storage class that objects can have here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StorageClass {
    /// `STANDARD`, the class of objects that name none.
    Standard,
    /// `REDUCED_REDUNDANCY`
    ReducedRedundancy,
    /// `STANDARD_IA`
    StandardIa,
    /// `INTELLIGENT_TIERING`
    IntelligentTiering,
    /// `ONEZONE_IA`
    OneZoneIa,
    /// `GLACIER_IR`
    GlacierIr,
    /// `GLACIER`
    Glacier,
    /// `DEEP_ARCHIVE`
    DeepArchive,
}

impl StorageClass {
    /// Every class, in the order in which lifecycle rules may move objects down.
    pub const ALL: [Self; 8] = [
        Self::Standard,
        Self::ReducedRedundancy,
        Self::StandardIa,
        Self::IntelligentTiering,
        Self::OneZoneIa,
        Self::GlacierIr,
        Self::Glacier,
        Self::DeepArchive,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::ReducedRedundancy => "REDUCED_REDUNDANCY",
            Self::StandardIa => "STANDARD_IA",
            Self::IntelligentTiering => "INTELLIGENT_TIERING",
            Self::OneZoneIa => "ONEZONE_IA",
            Self::GlacierIr => "GLACIER_IR",
            Self::Glacier => "GLACIER",
            Self::DeepArchive => "DEEP_ARCHIVE",
        }
    }

    /// The class of this name; `None` for those that belong to other kinds of buckets
    /// (`EXPRESS_ONEZONE`, `OUTPOSTS`, `SNOW`) and for anything else.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// Whether objects of the class cannot be read before they are restored.
    /// Source: S3 User Guide, "Working with archived objects".
    pub fn is_archive(self) -> bool {
        matches!(self, Self::Glacier | Self::DeepArchive)
    }

    /// Whether a lifecycle rule may name the class as the target of a transition.
    /// Source: S3 API reference, `TransitionStorageClass`.
    pub fn is_transition_target(self) -> bool {
        !matches!(self, Self::Standard | Self::ReducedRedundancy)
    }

    /// Whether a lifecycle rule moves objects of this class to `target`: down the waterfall, and
    /// from ONEZONE_IA only to the archives.
    /// Source: S3 User Guide, "Transitioning objects using Amazon S3 Lifecycle".
    pub fn can_transition_to(self, target: Self) -> bool {
        let passes_one_zone = self == Self::OneZoneIa && target == Self::GlacierIr;
        target.is_transition_target() && self < target && !passes_one_zone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_s3s() {
        for class in StorageClass::ALL {
            assert_eq!(StorageClass::from_name(class.as_str()), Some(class));
        }
        for other in ["", "standard", "EXPRESS_ONEZONE", "OUTPOSTS", "SNOW"] {
            assert_eq!(StorageClass::from_name(other), None, "{other}");
        }
    }

    /// The rows of the table in the User Guide.
    #[test]
    fn the_waterfall_runs_down() {
        use StorageClass::*;
        for (from, to) in [
            (
                Standard,
                &[
                    StandardIa,
                    IntelligentTiering,
                    OneZoneIa,
                    GlacierIr,
                    Glacier,
                    DeepArchive,
                ][..],
            ),
            (
                StandardIa,
                &[
                    IntelligentTiering,
                    OneZoneIa,
                    GlacierIr,
                    Glacier,
                    DeepArchive,
                ],
            ),
            (
                IntelligentTiering,
                &[OneZoneIa, GlacierIr, Glacier, DeepArchive],
            ),
            (OneZoneIa, &[Glacier, DeepArchive]),
            (GlacierIr, &[Glacier, DeepArchive]),
            (Glacier, &[DeepArchive]),
            (DeepArchive, &[]),
        ] {
            let possible: Vec<_> = StorageClass::ALL
                .into_iter()
                .filter(|target| from.can_transition_to(*target))
                .collect();
            assert_eq!(possible, to, "{from:?}");
        }
    }
}
