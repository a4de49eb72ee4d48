//! What happens to objects, by the names that event notifications give it.
//! Source: S3 User Guide, "Event notification types and destinations".

macro_rules! events {
    ($($(#[$comment:meta])* $kind:ident = $number:literal $name:literal,)*) => {
        /// Something that happened to an object.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum EventKind {
            $($(#[$comment])* $kind = $number,)*
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The name in messages, such as `ObjectCreated:Put`. In configurations `s3:` stands
            /// before it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            /// The number in records.
            pub fn number(self) -> u8 {
                self as u8
            }

            /// The kind with this number, if this binary knows it.
            pub fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$kind),)*
                    _ => None,
                }
            }
        }
    };
}

// The numbers are in records and never change their meaning.
events! {
    /// PutObject.
    CreatedPut = 1 "ObjectCreated:Put",
    /// A form was posted.
    CreatedPost = 2 "ObjectCreated:Post",
    /// CopyObject.
    CreatedCopy = 3 "ObjectCreated:Copy",
    /// CompleteMultipartUpload.
    CreatedMultipart = 4 "ObjectCreated:CompleteMultipartUpload",
    /// A version was deleted for good.
    RemovedDelete = 5 "ObjectRemoved:Delete",
    /// A deletion left a delete marker.
    RemovedMarker = 6 "ObjectRemoved:DeleteMarkerCreated",
    /// Tags were set.
    TaggingPut = 7 "ObjectTagging:Put",
    /// Tags were removed.
    TaggingDelete = 8 "ObjectTagging:Delete",
    /// An ACL was set.
    AclPut = 9 "ObjectAcl:Put",
    /// A lifecycle rule deleted a version for good.
    ExpiredDelete = 10 "LifecycleExpiration:Delete",
    /// A lifecycle rule made a delete marker.
    ExpiredMarker = 11 "LifecycleExpiration:DeleteMarkerCreated",
    /// A lifecycle rule moved an object to another storage class.
    Transitioned = 12 "LifecycleTransition",
    /// The restoration of an archived object was asked for.
    RestorePost = 13 "ObjectRestore:Post",
    /// An archived object can be read.
    RestoreCompleted = 14 "ObjectRestore:Completed",
    /// The readable copy of an archived object went away.
    RestoreDelete = 15 "ObjectRestore:Delete",
}

/// Names that S3 allows in configurations and that never happen here: there is one copy of an object
/// or none, no replication yet, and no tiering by access.
const NEVER: [&str; 6] = [
    "ReducedRedundancyLostObject",
    "Replication:OperationFailedReplication",
    "Replication:OperationNotTracked",
    "Replication:OperationMissedThreshold",
    "Replication:OperationReplicatedAfterThreshold",
    "IntelligentTiering",
];

/// What `*` may stand behind.
const GROUPS: [&str; 6] = [
    "ObjectCreated:",
    "ObjectRemoved:",
    "ObjectRestore:",
    "ObjectTagging:",
    "LifecycleExpiration:",
    "Replication:",
];

/// Which events a configuration is about: one, or all of a group (`s3:ObjectCreated:*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventPattern {
    /// This one, without `s3:`.
    Only(&'static str),
    /// All whose names begin so.
    All(&'static str),
}

impl EventPattern {
    /// Reads a pattern as configurations have it; `None` if S3 knows no such event.
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_prefix("s3:")?;
        if let Some(group) = name.strip_suffix('*') {
            let group = GROUPS.into_iter().find(|known| *known == group)?;
            return Some(Self::All(group));
        }
        let names = EventKind::ALL.iter().map(|kind| kind.name());
        let only = names.chain(NEVER).find(|known| *known == name)?;
        Some(Self::Only(only))
    }

    /// Whether an event is among these.
    pub fn covers(self, event: EventKind) -> bool {
        match self {
            Self::Only(name) => event.name() == name,
            Self::All(group) => event.name().starts_with(group),
        }
    }

    /// Whether some event is among both.
    pub fn overlaps(self, other: Self) -> bool {
        match (self, other) {
            (Self::Only(a), Self::Only(b)) | (Self::All(a), Self::All(b)) => a == b,
            (Self::Only(name), Self::All(group)) | (Self::All(group), Self::Only(name)) => {
                name.starts_with(group)
            }
        }
    }
}

impl std::fmt::Display for EventPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Only(name) => write!(f, "s3:{name}"),
            Self::All(group) => write!(f, "s3:{group}*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_those_of_one_kind() {
        for (index, kind) in EventKind::ALL.iter().enumerate() {
            assert_eq!(EventKind::from_number(kind.number()), Some(*kind));
            assert!(
                EventKind::ALL[..index]
                    .iter()
                    .all(|other| other.name() != kind.name())
            );
        }
        assert_eq!(EventKind::from_number(0), None);
    }

    #[test]
    fn every_event_of_the_service_model_is_known() {
        for name in [
            "s3:ReducedRedundancyLostObject",
            "s3:ObjectCreated:*",
            "s3:ObjectCreated:Put",
            "s3:ObjectCreated:Post",
            "s3:ObjectCreated:Copy",
            "s3:ObjectCreated:CompleteMultipartUpload",
            "s3:ObjectRemoved:*",
            "s3:ObjectRemoved:Delete",
            "s3:ObjectRemoved:DeleteMarkerCreated",
            "s3:ObjectRestore:*",
            "s3:ObjectRestore:Post",
            "s3:ObjectRestore:Completed",
            "s3:ObjectRestore:Delete",
            "s3:Replication:*",
            "s3:Replication:OperationFailedReplication",
            "s3:Replication:OperationNotTracked",
            "s3:Replication:OperationMissedThreshold",
            "s3:Replication:OperationReplicatedAfterThreshold",
            "s3:LifecycleTransition",
            "s3:IntelligentTiering",
            "s3:ObjectAcl:Put",
            "s3:LifecycleExpiration:*",
            "s3:LifecycleExpiration:Delete",
            "s3:LifecycleExpiration:DeleteMarkerCreated",
            "s3:ObjectTagging:*",
            "s3:ObjectTagging:Put",
            "s3:ObjectTagging:Delete",
        ] {
            assert_eq!(EventPattern::parse(name).unwrap().to_string(), name);
        }
        for name in [
            "s3:ObjectAcl:*",
            "ObjectCreated:Put",
            "s3:*",
            "s3:",
            "",
            "s3:objectcreated:*",
        ] {
            assert_eq!(EventPattern::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_group_covers_its_events_alone() {
        let created = EventPattern::parse("s3:ObjectCreated:*").unwrap();
        let put = EventPattern::parse("s3:ObjectCreated:Put").unwrap();
        let removed = EventPattern::parse("s3:ObjectRemoved:*").unwrap();
        for kind in EventKind::ALL {
            assert_eq!(
                created.covers(*kind),
                kind.name().starts_with("ObjectCreated:")
            );
            assert_eq!(put.covers(*kind), *kind == EventKind::CreatedPut);
        }
        assert!(created.overlaps(put) && put.overlaps(created) && put.overlaps(put));
        assert!(!created.overlaps(removed) && !removed.overlaps(put));
    }
}
