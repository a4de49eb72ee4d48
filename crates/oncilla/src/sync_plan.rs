//! What `sync` has to do, from two listings. No file is opened and no request sent here.

use std::collections::BTreeMap;

/// What a listing knows of a file or object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Size in bytes.
    pub size: u64,
    /// Modification time in Unix milliseconds.
    pub modified_ms: i64,
}

/// Files or objects by their path relative to the synchronised folder, with `/` between names.
pub type Listing = BTreeMap<String, Entry>;

/// When two entries of one path count as equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// Same size, and the source is not newer. Whole seconds: HTTP dates have no more.
    SizeAndTime,
    /// Same size.
    SizeOnly,
    /// Same content: needs a look at both.
    Checksum,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Copy from source to destination.
    Transfer {
        /// The path.
        path: String,
        /// Bytes to copy.
        size: u64,
    },
    /// Compare contents, and copy if they differ.
    Check {
        /// The path.
        path: String,
        /// Bytes on both sides.
        size: u64,
    },
    /// Remove from the destination.
    Delete {
        /// The path.
        path: String,
    },
}

/// Everything that makes `destination` equal to `source`, in the order of paths with deletions
/// last. Deletions only if `delete` says so.
pub fn plan(
    source: &Listing,
    destination: &Listing,
    compare: Compare,
    delete: bool,
) -> Vec<Action> {
    let mut actions: Vec<Action> = source
        .iter()
        .filter_map(|(path, entry)| {
            let (path, size) = (path.clone(), entry.size);
            let Some(present) = destination.get(&path) else {
                return Some(Action::Transfer { path, size });
            };
            if present.size != size {
                return Some(Action::Transfer { path, size });
            }
            match compare {
                Compare::SizeOnly => None,
                Compare::Checksum => Some(Action::Check { path, size }),
                Compare::SizeAndTime => {
                    let seconds = |ms: i64| ms.div_euclid(1000);
                    let newer = seconds(entry.modified_ms) > seconds(present.modified_ms);
                    newer.then_some(Action::Transfer { path, size })
                }
            }
        })
        .collect();
    if delete {
        let gone = destination
            .keys()
            .filter(|path| !source.contains_key(*path));
        actions.extend(gone.map(|path| Action::Delete { path: path.clone() }));
    }
    actions
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn listing(entries: &[(&str, u64, i64)]) -> Listing {
        entries
            .iter()
            .map(|(path, size, modified_ms)| {
                (
                    (*path).to_owned(),
                    Entry {
                        size: *size,
                        modified_ms: *modified_ms,
                    },
                )
            })
            .collect()
    }

    fn transfer(path: &str, size: u64) -> Action {
        Action::Transfer {
            path: path.into(),
            size,
        }
    }

    #[test]
    fn size_and_time() {
        let source = listing(&[
            ("longer", 2, 0),
            ("new", 1, 0),
            ("newer", 1, 2000),
            ("older", 1, 1000),
            ("same-second", 1, 1999),
        ]);
        let destination = listing(&[
            ("extra", 1, 0),
            ("longer", 1, 9000),
            ("newer", 1, 1999),
            ("older", 1, 5000),
            ("same-second", 1, 1000),
        ]);
        let expected = [
            transfer("longer", 2),
            transfer("new", 1),
            transfer("newer", 1),
        ];
        assert_eq!(
            plan(&source, &destination, Compare::SizeAndTime, false),
            expected
        );
        let with_delete = plan(&source, &destination, Compare::SizeAndTime, true);
        assert_eq!(with_delete[..3], expected);
        assert_eq!(
            with_delete[3..],
            [Action::Delete {
                path: "extra".into()
            }]
        );
    }

    #[test]
    fn other_comparisons() {
        let source = listing(&[("a", 1, 9000), ("b", 2, 0)]);
        let destination = listing(&[("a", 1, 0), ("b", 1, 0)]);
        assert_eq!(
            plan(&source, &destination, Compare::SizeOnly, true),
            [transfer("b", 2)]
        );
        let checked = [
            Action::Check {
                path: "a".into(),
                size: 1,
            },
            transfer("b", 2),
        ];
        assert_eq!(
            plan(&source, &destination, Compare::Checksum, true),
            checked
        );
    }

    fn any_listing() -> impl Strategy<Value = Listing> {
        let entry =
            (0_u64..3, 0_i64..5000).prop_map(|(size, modified_ms)| Entry { size, modified_ms });
        proptest::collection::btree_map("[a-c/]{1,3}", entry, 0..12)
    }

    proptest! {
        #[test]
        fn doing_the_plan_makes_both_sides_equal(source in any_listing(), destination in any_listing()) {
            let mut result = destination.clone();
            for action in plan(&source, &destination, Compare::SizeAndTime, true) {
                match action {
                    Action::Transfer { path, .. } | Action::Check { path, .. } => {
                        result.insert(path.clone(), source[&path]);
                    }
                    Action::Delete { path } => {
                        prop_assert!(result.remove(&path).is_some());
                    }
                }
            }
            let paths = |listing: &Listing| {
                listing.iter().map(|(path, entry)| (path.clone(), entry.size)).collect::<Vec<_>>()
            };
            prop_assert_eq!(paths(&result), paths(&source));
            prop_assert!(plan(&source, &result, Compare::SizeAndTime, true).is_empty());
        }
    }
}
