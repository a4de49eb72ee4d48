//! What all listings have in common: parameters, markers, and keys as text.

use std::borrow::Cow;
use std::str;

use bytes::Bytes;
use oncilla_store::list::{After, Entry, ListQuery, Page};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::query::Query;
use oncilla_wire::xml::KeyEncoding;

use crate::MemoryPermit;
use crate::s3::errors;
use crate::s3::request::S3Request;

/// Most lines on a page, and how many there are if the client does not say.
/// Source: S3 API reference, `max-keys` and `max-uploads`.
pub const PAGE_LINES_MAX: u64 = 1_000;

/// What is reserved for a line before a page is made: for a key of 1 KiB, as it is and in the answer, and
/// what stands with it. Pages on which many keys grow by their encoding (up to six bytes for one) need
/// more, which is seen when they are made.
const LINE_MEMORY_BYTES: usize = 3 << 10;

/// The parameters of a listing of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListParameters<'q> {
    /// Only keys that start so.
    pub prefix: &'q str,
    /// Group keys by what is between the prefix and this; empty for no groups.
    pub delimiter: &'q str,
    /// Most lines on the page, at most [`PAGE_LINES_MAX`]. None at all are allowed.
    pub limit: u64,
    /// How keys stand in the answer.
    pub encoding: KeyEncoding,
}

impl<'q> ListParameters<'q> {
    /// Reads them from a query; `limit_name` is `max-keys` or `max-uploads`.
    ///
    /// # Errors
    /// `InvalidArgument` for a limit that is negative or not a number, and for an encoding other
    /// than `url`. A limit beyond the largest counts as the largest.
    pub fn parse(query: &'q Query, limit_name: &str) -> Result<Self, S3Error> {
        let limit = query.get_number(limit_name)?.unwrap_or(PAGE_LINES_MAX);
        Ok(Self {
            prefix: query.get("prefix").unwrap_or_default(),
            delimiter: query.get("delimiter").unwrap_or_default(),
            limit: limit.min(PAGE_LINES_MAX),
            encoding: key_encoding(query)?,
        })
    }

    /// What to ask the store for a page that begins `after`.
    pub fn query(&self, after: After) -> ListQuery {
        ListQuery {
            prefix: Bytes::copy_from_slice(self.prefix.as_bytes()),
            delimiter: Bytes::copy_from_slice(self.delimiter.as_bytes()),
            after,
            limit: usize::try_from(self.limit).unwrap_or(usize::MAX),
        }
    }

    /// Where a page begins that is to continue at `marker`, which clients take from the page
    /// before: its last key, or its last group. A marker that is a group under these parameters
    /// therefore means behind everything in the group, or the page would show the group again (and
    /// a client that lists one line at a time would never come past it). Any other marker means
    /// behind that key, even inside a group: what is left of the group is then shown, as in S3.
    pub fn after_marker(&self, marker: &str) -> After {
        if marker.is_empty() {
            return After::Nothing;
        }
        let position = Bytes::copy_from_slice(marker.as_bytes());
        if self.is_group(marker) {
            After::Group(position)
        } else {
            After::Key(position)
        }
    }

    /// Whether the first delimiter behind the prefix is the end of `text`.
    fn is_group(&self, text: &str) -> bool {
        let Some(behind_prefix) = text.strip_prefix(self.prefix) else {
            return false;
        };
        if self.delimiter.is_empty() {
            return false;
        }
        let first = behind_prefix.find(self.delimiter);
        first.is_some_and(|at| at + self.delimiter.len() == behind_prefix.len())
    }

    /// The delimiter as the answer repeats it: not at all if it is empty
    /// (ceph/s3-tests: test_bucket_list_delimiter_empty).
    pub fn delimiter_in_answer(&self) -> Option<Cow<'q, str>> {
        Some(self.delimiter)
            .filter(|delimiter| !delimiter.is_empty())
            .map(Cow::Borrowed)
    }
}

/// Reserves the memory of a page from what all requests share. It goes out with the answer, which may
/// be slow (see [`crate::s3::answer::held`]).
///
/// # Errors
/// `SlowDown` if there is no room.
pub async fn reserve_page(request: &S3Request, limit: u64) -> Result<MemoryPermit, S3Error> {
    let lines = usize::try_from(limit.min(PAGE_LINES_MAX)).unwrap_or(usize::MAX);
    let memory = lines * LINE_MEMORY_BYTES;
    let reserved = request.context.reserve_for_transfer(memory);
    reserved.await.map_err(errors::overloaded)
}

/// Reads `encoding-type`.
pub fn key_encoding(query: &Query) -> Result<KeyEncoding, S3Error> {
    match query.get("encoding-type") {
        None => Ok(KeyEncoding::Plain),
        Some("url") => Ok(KeyEncoding::Url),
        Some(other) => {
            let message = "Invalid Encoding Method specified in Request";
            Err(S3Error::invalid_argument("encoding-type", other, message))
        }
    }
}

/// A page's last line as a marker: the key or the group; none if the listing ends with the page.
pub fn next_marker<T>(page: &Page<T>) -> Result<Option<&str>, S3Error> {
    match page.entries.last() {
        Some(Entry::Item(key, _) | Entry::Group(key)) if page.truncated => key_text(key).map(Some),
        _ => Ok(None),
    }
}

/// The groups of a page.
pub fn common_prefixes<T>(page: &Page<T>) -> Result<Vec<Cow<'_, str>>, S3Error> {
    let groups = page.entries.iter().filter_map(|entry| match entry {
        Entry::Group(prefix) => Some(key_text(prefix).map(Cow::Borrowed)),
        Entry::Item(..) => None,
    });
    groups.collect()
}

/// The keys of a page with what is under them.
pub fn items<T>(page: &Page<T>) -> impl Iterator<Item = (&Bytes, &T)> {
    page.entries.iter().filter_map(|entry| match entry {
        Entry::Item(key, item) => Some((key, item)),
        Entry::Group(_) => None,
    })
}

/// A key as text. Only text is accepted as a key, so other bytes are damage.
pub fn key_text(key: &[u8]) -> Result<&str, S3Error> {
    str::from_utf8(key).map_err(|_| {
        tracing::error!(key = %key.escape_ascii(), "a stored key is not text");
        S3ErrorCode::InternalError.into()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(raw: &str) -> Result<(String, String, u64, KeyEncoding), S3Error> {
        let query = Query::parse(Some(raw)).unwrap();
        let ListParameters {
            prefix,
            delimiter,
            limit,
            encoding,
        } = ListParameters::parse(&query, "max-keys")?;
        Ok((prefix.to_owned(), delimiter.to_owned(), limit, encoding))
    }

    fn parameters<'q>(prefix: &'q str, delimiter: &'q str) -> ListParameters<'q> {
        ListParameters {
            prefix,
            delimiter,
            limit: 1,
            encoding: KeyEncoding::Plain,
        }
    }

    fn key(text: &'static str) -> After {
        After::Key(Bytes::from_static(text.as_bytes()))
    }

    fn group(text: &'static str) -> After {
        After::Group(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn parameters_are_read() {
        let none = (String::new(), String::new(), 1000, KeyEncoding::Plain);
        assert_eq!(parse("list-type=2").unwrap(), none);
        let all = ("a b".to_owned(), "/".to_owned(), 7, KeyEncoding::Url);
        assert_eq!(
            parse("prefix=a%20b&delimiter=/&max-keys=7&encoding-type=url").unwrap(),
            all
        );
        assert_eq!(parse("max-keys=0").unwrap().2, 0);
        assert_eq!(parse("max-keys=1001").unwrap().2, 1000);
        let refused = [
            "max-keys=-1",
            "max-keys=",
            "max-keys=blah",
            "encoding-type=xml",
        ];
        for raw in refused
            .into_iter()
            .chain(["encoding-type=", "encoding-type=URL"])
        {
            assert_eq!(
                parse(raw).unwrap_err().code,
                S3ErrorCode::InvalidArgument,
                "{raw}"
            );
        }
    }

    #[test]
    fn a_marker_that_is_a_group_means_behind_it() {
        let top = parameters("", "/");
        assert_eq!(top.after_marker(""), After::Nothing);
        assert_eq!(top.after_marker("asdf"), key("asdf"));
        assert_eq!(top.after_marker("boo/"), group("boo/"));
        assert_eq!(top.after_marker("/"), group("/"));
        assert_eq!(top.after_marker("boo/bar"), key("boo/bar"));
        assert_eq!(top.after_marker("boo/baz/"), key("boo/baz/"));
        assert_eq!(top.after_marker("boo//"), key("boo//"));

        let inside = parameters("boo/", "/");
        assert_eq!(inside.after_marker("boo/"), key("boo/"));
        assert_eq!(inside.after_marker("boo/baz/"), group("boo/baz/"));
        assert_eq!(inside.after_marker("coo/"), key("coo/"));

        let long = parameters("", "--");
        assert_eq!(long.after_marker("a---"), key("a---"));
        assert_eq!(long.after_marker("a--"), group("a--"));
        assert_eq!(parameters("", "").after_marker("boo/"), key("boo/"));
    }

    #[test]
    fn a_last_page_has_no_marker_and_damaged_keys_are_not_shown() {
        let mut page = Page {
            entries: vec![
                Entry::Item(Bytes::from_static(b"a"), 1),
                Entry::Group("b/".into()),
            ],
            truncated: true,
        };
        assert_eq!(next_marker(&page).unwrap(), Some("b/"));
        assert_eq!(common_prefixes(&page).unwrap(), ["b/"]);
        assert_eq!(
            items(&page).collect::<Vec<_>>(),
            [(&Bytes::from_static(b"a"), &1)]
        );
        page.truncated = false;
        assert_eq!(next_marker(&page).unwrap(), None);
        page.entries = vec![Entry::Group(Bytes::from_static(b"\xff"))];
        assert_eq!(
            common_prefixes(&page).unwrap_err().code,
            S3ErrorCode::InternalError
        );
    }

    /// The line that a key makes in a listing, in other words than the store's.
    fn line(key: &str, prefix: &str, delimiter: &str) -> Entry<()> {
        let behind = &key[prefix.len()..];
        match behind
            .split_once(delimiter)
            .filter(|_| !delimiter.is_empty())
        {
            Some((name, _)) => Entry::Group(format!("{prefix}{name}{delimiter}").into()),
            None => Entry::Item(key.to_owned().into(), ()),
        }
    }

    proptest! {
        #[test]
        fn the_marker_of_any_line_continues_right_behind_it(
            prefix in "[a/-]{0,3}",
            rest in "[a/-]{0,6}",
            delimiter in "[a/-]{0,2}",
        ) {
            let key = format!("{prefix}{rest}");
            prop_assume!(!key.is_empty());
            let line = line(&key, &prefix, &delimiter);
            let position = line.position();
            let page = Page { entries: vec![line], truncated: true };
            let marker = next_marker(&page).unwrap().unwrap();
            prop_assert_eq!(parameters(&prefix, &delimiter).after_marker(marker), position);
        }
    }
}
