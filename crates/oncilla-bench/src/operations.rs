//! How each operation is done: requests, and what their answers have to be.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::future::try_join_all;
use oncilla_wire::uri;
use oncilla_wire::xml::list_objects::ListObjectsV2;
use oncilla_wire::xml::multipart::{
    CompleteMultipartUpload, CompleteMultipartUploadResult, CompletedPart, InitiateMultipartUpload,
};

use crate::http::DataRange;
use crate::keys::ObjectName;
use crate::lane::{Call, CallBody, Lane, Sink};
use crate::stats::{BODY_MISMATCH, OperationError};
use crate::workload::{Kind, Objects, Workload};

/// One operation, decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// GET an object.
    Get(ObjectName),
    /// GET a range of a prepared object.
    Range {
        /// Which.
        object: u64,
        /// Where it begins.
        offset: u64,
        /// Its length.
        length: u64,
    },
    /// HEAD a prepared object.
    Stat(u64),
    /// List a page that begins with this prepared object.
    List(u64),
    /// PUT an object.
    Put(ObjectName),
    /// Upload an object in parts.
    Multipart(ObjectName),
    /// DELETE an object.
    Delete(ObjectName),
}

impl Job {
    /// What it is counted as.
    pub fn kind(self) -> Kind {
        match self {
            Self::Get(_) => Kind::Get,
            Self::Range { .. } => Kind::Range,
            Self::Stat(_) => Kind::Stat,
            Self::List(_) => Kind::List,
            Self::Put(_) => Kind::Put,
            Self::Multipart(_) => Kind::Multipart,
            Self::Delete(_) => Kind::Delete,
        }
    }
}

/// An upload that was begun and neither completed nor aborted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenUpload {
    /// The object it would become.
    pub object: ObjectName,
    /// Its id.
    pub upload_id: String,
}

/// Does operations, one at a time.
pub struct Operator<'a> {
    /// What the run does.
    pub workload: &'a Workload,
    /// Which objects the target has.
    pub objects: &'a Objects,
    /// The same keys, encoded for paths.
    pub encoded_keys: &'a crate::keys::KeyPattern,
    /// Connections; parts use all of them, everything else the first.
    pub lanes: &'a mut [Lane],
    /// Buffers that are used again.
    pub buffers: &'a mut Buffers,
    /// The upload in progress.
    pub open_upload: &'a mut Option<OpenUpload>,
}

/// Buffers that are used again.
#[derive(Default)]
pub struct Buffers {
    path: String,
    query: String,
    document: Vec<u8>,
}

/// When the first byte of the answer came, for operations that are one request.
pub type FirstByte = Option<Instant>;

impl Operator<'_> {
    /// Does an operation.
    ///
    /// # Errors
    /// Whatever its requests answer.
    pub async fn run(&mut self, job: Job) -> Result<FirstByte, OperationError> {
        match job {
            Job::Get(object) => {
                let length = self.workload.size_of(object.id());
                let known = self.objects.sizes_known.then_some(length);
                self.get(Kind::Get, object, None, 0, known).await
            }
            Job::Range {
                object,
                offset,
                length,
            } => {
                let range = Some((offset, offset + length - 1));
                let object = ObjectName::Prepared(object);
                self.get(Kind::Range, object, range, offset, Some(length))
                    .await
            }
            Job::Stat(object) => self.stat(ObjectName::Prepared(object)).await,
            Job::List(first) => self.list(first).await,
            Job::Put(object) => self.put(object).await,
            Job::Multipart(object) => self.multipart(object).await.map(|()| None),
            Job::Delete(object) => self.delete(object).await,
        }
    }

    async fn request(
        &mut self,
        object: ObjectName,
        call: Call<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<FirstByte, OperationError> {
        let lane = self.lanes.first_mut().ok_or_else(no_lane)?;
        let path = &mut self.buffers.path;
        object_path(path, lane, object, self.encoded_keys);
        lane.send(&Call { path, ..call }, sink).await.map(Some)
    }

    async fn get(
        &mut self,
        kind: Kind,
        object: ObjectName,
        range: Option<(u64, u64)>,
        offset: u64,
        length: Option<u64>,
    ) -> Result<FirstByte, OperationError> {
        let mut sink = if self.workload.verify {
            Sink::Compare(DataRange {
                object: object.id(),
                offset,
                length: 0,
            })
        } else {
            Sink::Discard
        };
        let call = Call {
            range,
            status: if range.is_some() { 206 } else { 200 },
            length,
            ..call(kind, "GET")
        };
        self.request(object, call, &mut sink).await
    }

    async fn stat(&mut self, object: ObjectName) -> Result<FirstByte, OperationError> {
        let size = self.workload.size_of(object.id());
        let call = Call {
            length: self.objects.sizes_known.then_some(size),
            ..call(Kind::Stat, "HEAD")
        };
        self.request(object, call, &mut Sink::Discard).await
    }

    async fn put(&mut self, object: ObjectName) -> Result<FirstByte, OperationError> {
        let call = Call {
            body: CallBody::Data(DataRange {
                object: object.id(),
                offset: 0,
                length: self.workload.size_of(object.id()),
            }),
            ..call(Kind::Put, "PUT")
        };
        self.request(object, call, &mut Sink::Discard).await
    }

    async fn delete(&mut self, object: ObjectName) -> Result<FirstByte, OperationError> {
        let call = Call {
            status: 204,
            ..call(Kind::Delete, "DELETE")
        };
        self.request(object, call, &mut Sink::Discard).await
    }

    async fn list(&mut self, first: u64) -> Result<FirstByte, OperationError> {
        let keys = &self.objects.keys;
        let Buffers {
            path,
            query,
            document,
        } = &mut *self.buffers;
        query.clear();
        query.push_str("list-type=2&max-keys=");
        query.push_str(itoa::Buffer::new().format(self.workload.page_keys));
        query.push_str("&prefix=");
        query.push_str(&uri::encode_component(keys.prefix()));
        if let Some(before) = first.checked_sub(1) {
            query.push_str("&start-after=");
            query.push_str(&uri::encode_component(&keys.key(before)));
        }
        document.clear();
        let lane = self.lanes.first_mut().ok_or_else(no_lane)?;
        path.clear();
        path.push_str(lane.endpoint().bucket_path());
        let call = Call {
            path,
            query,
            ..call(Kind::List, "GET")
        };
        if !self.workload.verify {
            return lane.send(&call, &mut Sink::Discard).await.map(Some);
        }
        let first_byte = lane.send(&call, &mut Sink::Collect(document)).await?;
        let page = ListObjectsV2::parse(document).map_err(|error| malformed(&error))?;
        let expected = self.workload.page_keys.min(self.workload.objects - first);
        let mut listed = page.contents.iter();
        for number in first..first + expected {
            let key = keys.key(number);
            if listed.next().is_none_or(|entry| entry.key != key) {
                let message = format!("{key} is not where it belongs in the listing");
                return Err(OperationError::new(BODY_MISMATCH, message));
            }
        }
        // In a mixed run, keys that PUTs added follow those that were prepared.
        let alone = !self.workload.operation.includes(Kind::Put);
        if alone && let Some(entry) = listed.next() {
            let message = format!("{} does not belong in the listing", entry.key);
            return Err(OperationError::new(BODY_MISMATCH, message));
        }
        Ok(Some(first_byte))
    }

    async fn multipart(&mut self, object: ObjectName) -> Result<(), OperationError> {
        let upload_id = self.create_upload(object).await?;
        *self.open_upload = Some(OpenUpload { object, upload_id });
        let outcome = self.upload_and_complete(object).await;
        if outcome.is_ok() {
            *self.open_upload = None;
        }
        outcome
    }

    async fn create_upload(&mut self, object: ObjectName) -> Result<String, OperationError> {
        let mut document = std::mem::take(&mut self.buffers.document);
        document.clear();
        let call = Call {
            query: "uploads=",
            ..call(Kind::Multipart, "POST")
        };
        let outcome = self
            .request(object, call, &mut Sink::Collect(&mut document))
            .await;
        let parsed = outcome.and_then(|_| {
            InitiateMultipartUpload::parse(&document).map_err(|error| malformed(&error))
        });
        self.buffers.document = document;
        let upload_id = parsed?.upload_id.into_owned();
        if upload_id.is_empty() {
            return Err(OperationError::new("MalformedXML", "the upload has no id"));
        }
        Ok(upload_id)
    }

    async fn upload_and_complete(&mut self, object: ObjectName) -> Result<(), OperationError> {
        let Some(upload) = self.open_upload.as_ref() else {
            return Err(no_lane());
        };
        let upload_id = uri::encode_component(&upload.upload_id).into_owned();
        let size = self.workload.size_of(object.id());
        let part_bytes = self.workload.part_bytes.max(1);
        // An empty object has one empty part.
        let part_count = size.div_ceil(part_bytes).max(1);
        let next = AtomicU64::new(0);
        let etags = Mutex::new(vec![
            String::new();
            usize::try_from(part_count).unwrap_or(0)
        ]);
        let keys = self.encoded_keys;
        let uploads = self.lanes.iter_mut().map(|lane| {
            let (next, etags, upload_id) = (&next, &etags, &upload_id);
            async move {
                let mut path = String::new();
                object_path(&mut path, lane, object, keys);
                loop {
                    let part = next.fetch_add(1, Ordering::Relaxed);
                    if part >= part_count {
                        return Ok::<(), OperationError>(());
                    }
                    let offset = part * part_bytes;
                    let query = format!("partNumber={}&uploadId={upload_id}", part + 1);
                    let call = Call {
                        path: &path,
                        query: &query,
                        body: CallBody::Data(DataRange {
                            object: object.id(),
                            offset,
                            length: part_bytes.min(size - offset),
                        }),
                        ..call(Kind::Multipart, "PUT")
                    };
                    lane.send(&call, &mut Sink::Discard).await?;
                    let etag = lane.etag().trim_matches('"').to_owned();
                    let mut etags = etags.lock().unwrap_or_else(|broken| broken.into_inner());
                    if let Some(slot) = usize::try_from(part).ok().and_then(|at| etags.get_mut(at))
                    {
                        *slot = etag;
                    }
                }
            }
        });
        try_join_all(uploads).await?;
        let etags = etags
            .into_inner()
            .unwrap_or_else(|broken| broken.into_inner());
        let parts = etags
            .into_iter()
            .zip(1..)
            .map(|(etag, part_number)| CompletedPart {
                part_number,
                etag: etag.into(),
                ..CompletedPart::default()
            });
        let body = CompleteMultipartUpload {
            parts: parts.collect(),
        }
        .to_xml();
        let mut document = Vec::new();
        let query = format!("uploadId={upload_id}");
        let call = Call {
            query: &query,
            body: CallBody::Document(&body),
            ..call(Kind::Multipart, "POST")
        };
        self.request(object, call, &mut Sink::Collect(&mut document))
            .await?;
        match CompleteMultipartUploadResult::parse(&document) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(OperationError::new(error.code, error.message)),
            Err(error) => Err(malformed(&error)),
        }
    }

    /// Aborts the upload that an operation left behind.
    ///
    /// # Errors
    /// Whatever the request answers.
    pub async fn abort_upload(&mut self) -> Result<(), OperationError> {
        let Some(upload) = self.open_upload.clone() else {
            return Ok(());
        };
        let query = format!("uploadId={}", uri::encode_component(&upload.upload_id));
        let call = Call {
            query: &query,
            status: 204,
            ..call(Kind::Multipart, "DELETE")
        };
        self.request(upload.object, call, &mut Sink::Discard)
            .await?;
        *self.open_upload = None;
        Ok(())
    }
}

fn call(kind: Kind, method: &'static str) -> Call<'static> {
    Call {
        kind,
        method,
        path: "",
        query: "",
        range: None,
        body: CallBody::Empty,
        status: 200,
        length: None,
    }
}

fn object_path(
    out: &mut String,
    lane: &Lane,
    object: ObjectName,
    encoded_keys: &crate::keys::KeyPattern,
) {
    out.clear();
    out.push_str(lane.endpoint().object_base());
    out.push('/');
    object.append_key(out, encoded_keys);
}

fn malformed(error: &dyn std::fmt::Display) -> OperationError {
    OperationError::new("MalformedXML", error.to_string())
}

fn no_lane() -> OperationError {
    OperationError::new("Internal", "a worker without a connection")
}
