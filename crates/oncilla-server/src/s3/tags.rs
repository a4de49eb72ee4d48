//! Tag sets between documents and the store.

use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::tagging::{Tag, TagSet, TagTarget};

/// A tag set as the store keeps it.
pub fn pairs_of(tags: TagSet) -> Vec<(String, String)> {
    tags.into_vec()
        .into_iter()
        .map(|tag| (tag.key, tag.value))
        .collect()
}

/// A tag set out of what the store keeps.
///
/// # Errors
/// `InternalError` if it breaks the rules: it was checked when it was set, so it is not the
/// client's request that is wrong.
pub fn stored_tag_set(pairs: &[(String, String)], target: TagTarget) -> Result<TagSet, S3Error> {
    let tags = pairs
        .iter()
        .map(|(key, value)| Tag {
            key: key.clone(),
            value: value.clone(),
        })
        .collect();
    TagSet::new(tags, target).map_err(|error| {
        tracing::error!(%error, "stored tags break the rules");
        S3ErrorCode::InternalError.into()
    })
}
