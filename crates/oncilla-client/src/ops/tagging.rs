//! GetObjectTagging, PutObjectTagging, GetBucketTagging, PutBucketTagging and their deletion. The two
//! differ in their target alone: without a key it is the bucket.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderName, Method, header};
use oncilla_hash::Md5;
use oncilla_wire::tagging::{Tag, TagSet, TagTarget};
use oncilla_wire::xml::tagging;

use crate::body::Body;
use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::types::TagsOf;

impl TagsOf {
    fn call(&self, method: Method) -> Call<'_> {
        Call::new(method, Some(&self.bucket), self.key.as_deref())
            .query("tagging", "")
            .optional_query("versionId", self.version_id.as_deref())
    }

    fn target(&self) -> TagTarget {
        match self.key {
            Some(_) => TagTarget::Object,
            None => TagTarget::Bucket,
        }
    }
}

/// The tags as S3 allows them.
///
/// # Errors
/// [`Error::Config`] for those that it does not.
pub(crate) fn tag_set(pairs: &[(String, String)], target: TagTarget) -> Result<TagSet, Error> {
    let tags = pairs.iter().map(|(key, value)| Tag {
        key: key.clone(),
        value: value.clone(),
    });
    TagSet::new(tags.collect(), target).map_err(|error| Error::Config(error.message.into_owned()))
}

impl Client {
    /// The tags of an object or a bucket, by key.
    pub async fn tags(&self, of: &TagsOf) -> Result<Vec<(String, String)>, Error> {
        let document = match self
            .send_for_document(of.call(Method::GET), Body::Empty)
            .await
        {
            Ok(document) => document,
            // That is how S3 says that a bucket has no tags; an object's set is empty then.
            Err(error) if error.has_code("NoSuchTagSet") => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let tags = document.parse(|xml| tagging::parse(xml, of.target()))?;
        let pairs = tags.iter().map(|tag| (tag.key.clone(), tag.value.clone()));
        Ok(pairs.collect())
    }

    /// Puts tags in place of all present ones.
    ///
    /// # Errors
    /// [`Error::Config`] for tags that S3 does not allow.
    pub async fn put_tags(&self, of: &TagsOf, tags: &[(String, String)]) -> Result<(), Error> {
        let tags = tag_set(tags, of.target())?;
        let xml = tagging::to_xml(&tags);
        let md5 = BASE64.encode(Md5::digest(&xml));
        let call = of
            .call(Method::PUT)
            .header(HeaderName::from_static("content-md5"), &md5)?
            .header(header::CONTENT_TYPE, oncilla_wire::xml::CONTENT_TYPE)?;
        self.send_for_document(call, Body::Bytes(xml.into()))
            .await
            .map(|_| ())
    }

    /// Takes all tags away.
    pub async fn delete_tags(&self, of: &TagsOf) -> Result<(), Error> {
        self.send_for_document(of.call(Method::DELETE), Body::Empty)
            .await
            .map(|_| ())
    }
}
