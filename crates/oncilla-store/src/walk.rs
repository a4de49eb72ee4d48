//! Walking a range of records, however long it is.

use bytes::Bytes;
use oncilla_meta::{Reader, Row, next_key};

use crate::fault::Fault;
use crate::store::scan;

/// Rows fetched at a time: some hundred KiB.
const PAGE_ROWS: usize = 256;

/// Reads a range row by row, a page at a time. All rows belong to one moment if the reader is a
/// snapshot.
pub(crate) struct Rows<'a> {
    reader: &'a dyn Reader,
    start: Bytes,
    end: Bytes,
    fetched: std::vec::IntoIter<Row>,
    more: bool,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(reader: &'a dyn Reader, (start, end): (Bytes, Bytes)) -> Self {
        Self {
            reader,
            start,
            end,
            fetched: Vec::new().into_iter(),
            more: true,
        }
    }

    /// The next row, or `None` behind the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Row>, Fault> {
        loop {
            if let Some(row) = self.fetched.next() {
                return Ok(Some(row));
            }
            if !self.more {
                return Ok(None);
            }
            let page = self
                .reader
                .scan(scan(self.start.clone(), self.end.clone(), PAGE_ROWS))
                .await?;
            if let Some(last) = page.rows.last() {
                self.start = next_key(&last.key);
            }
            self.more = page.more;
            self.fetched = page.rows.into_iter();
            if self.more {
                // An engine in memory is ready at once, and whoever else runs in this task waits.
                tokio::task::yield_now().await;
            }
        }
    }
}
