//! MD5 of concurrent uploads, several at a time.
//!
//! One stream of MD5 runs at less than 1 GB/s, and several streams side by side in the lanes of
//! vector registers run at many times that in sum ([`oncilla_hash::md5_lanes`]). So uploads hand
//! their bytes, in chunks, to few threads that hash whatever is there at the same time. An upload
//! goes on receiving and writing meanwhile.
//!
//! Nothing waits for lanes to fill: a chunk that is alone is hashed alone. What comes meanwhile is
//! taken when half of the lanes that were filled are through, or when as many chunks wait as run, and
//! not one by one, because a step costs about the same however many lanes are used: a thread
//! that let each chunk join at once would run all the time with few of them. So chunks come together by themselves under load, as commits
//! do that share a sync.
//!
//! What is held is bounded by the uploads, each of which has at most one chunk here
//! ([`UploadMd5::add`] waits for the one before), so the queue needs no bound of its own.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use oncilla_hash::Md5;
use oncilla_hash::md5_lanes::{Md5Kernel, Md5Lanes};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::fault::Fault;

/// Chunks and bodies up to this length are hashed where they are: the way to another thread and
/// back costs as much as hashing some 10 KiB. Measured (docs/decisions/0003-md5-lanes.md): bodies of
/// 48 KiB are not slower by that way when they come alone, and faster when several come. Not less
/// than what is kept in rows by default, so that such bodies never take it.
pub(crate) const HASH_IN_PLACE_BYTES_MAX: u64 = 32 << 10;

/// What a thread takes of each chunk before it looks for new ones: some 20 µs of work for a single
/// chunk and 40 µs with all lanes full, against a fraction of one for looking.
const STEP_BYTES: usize = 16 << 10;

/// The number of threads for a kernel on a machine of `cores` cores, and at least one.
///
/// One thread hashes about 12 GB/s with AVX-512 (32 lanes), 5 GB/s with AVX2 (16), 1.6 GB/s with
/// the portable kernel (4), and a core by itself 0.9 GB/s; so these threads hash about as much as
/// all cores together would, and are a part of them. One that is not needed sleeps: a
/// second one is only woken when the lanes of those before it are full.
pub(crate) fn hash_threads_default(kernel: Md5Kernel, cores: usize) -> usize {
    (2 * cores).div_ceil(kernel.lanes())
}

/// The threads that hash.
pub(crate) struct HashThreads {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    kernel: Md5Kernel,
    threads: usize,
    state: Mutex<State>,
    /// A thread that sleeps is wanted.
    wanted: Condvar,
}

struct State {
    queue: VecDeque<(Md5, Chunk)>,
    /// Threads that do not sleep. Counted by whoever wakes one, so that two chunks that come at the
    /// same time do not wake two.
    awake: usize,
    closing: bool,
}

/// A piece of an upload on its way through the lanes. Holds the bytes until they are hashed, also
/// if the upload has gone away meanwhile.
struct Chunk {
    bytes: Bytes,
    done: oneshot::Sender<Md5>,
    /// Makes hashing it panic.
    #[cfg(test)]
    poisoned: bool,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        #[cfg(test)]
        assert!(!self.poisoned, "a chunk made to fail");
        &self.bytes
    }
}

impl HashThreads {
    /// Starts `threads` threads. With none, every chunk is hashed by the caller.
    pub fn start(threads: usize) -> Result<Arc<Self>, Fault> {
        let shared = Arc::new(Shared {
            kernel: Md5Kernel::detect(),
            threads,
            state: Mutex::new(State {
                queue: VecDeque::new(),
                awake: threads,
                closing: false,
            }),
            wanted: Condvar::new(),
        });
        let started = Arc::new(Self {
            shared: Arc::clone(&shared),
            threads: Mutex::new(Vec::new()),
        });
        for index in 0..threads {
            let shared = Arc::clone(&shared);
            // Those that were started before end when `started` is dropped.
            let thread = std::thread::Builder::new()
                .name(format!("hash-{index}"))
                .spawn(move || run(&shared))
                .map_err(|error| Fault::Failed(format!("cannot start a thread: {error}")))?;
            started.threads.lock().push(thread);
        }
        Ok(started)
    }

    /// Ends the threads once they have hashed what they were given. What comes later fails.
    pub async fn close(&self) {
        self.shared.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        let join = move || threads.into_iter().try_for_each(JoinHandle::join);
        let joined = tokio::task::spawn_blocking(join).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("a hash thread did not end as it should");
        }
    }

    fn submit(&self, md5: Md5, bytes: Bytes) -> Result<oneshot::Receiver<Md5>, Fault> {
        let (done, hashed) = oneshot::channel();
        let chunk = Chunk {
            bytes,
            done,
            #[cfg(test)]
            poisoned: false,
        };
        self.shared.push(md5, chunk)?;
        Ok(hashed)
    }
}

impl Drop for HashThreads {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    fn push(&self, md5: Md5, chunk: Chunk) -> Result<(), Fault> {
        let mut state = self.state.lock();
        if state.closing {
            return Err(Fault::Unavailable("the store is closing".to_owned()));
        }
        state.queue.push_back((md5, chunk));
        // As long as a queue fits into the lanes of a thread, the one that is awake will take it.
        let more_than_fits = state.queue.len() > self.kernel.lanes();
        if state.awake == 0 || (more_than_fits && state.awake < self.threads) {
            state.awake += 1;
            drop(state);
            self.wanted.notify_one();
        }
        Ok(())
    }

    /// Fills free lanes, if that is worth it yet: most of the `filled` lanes are through, or as many
    /// chunks wait as run. Sleeps while there is nothing to do; says whether there is.
    fn take(&self, lanes: &mut Md5Lanes<Chunk>, filled: &mut usize) -> bool {
        let mut state = self.state.lock();
        if lanes.len() * 2 > *filled && state.queue.len() < lanes.len() {
            return true;
        }
        loop {
            while lanes.free() > 0
                && let Some((md5, chunk)) = state.queue.pop_front()
            {
                // Of an upload that has gone away nothing needs to be hashed.
                if !chunk.done.is_closed() {
                    lanes.push(md5, chunk);
                }
            }
            if !lanes.is_empty() {
                *filled = lanes.len();
                return true;
            }
            if state.closing {
                return false;
            }
            state.awake -= 1;
            // Returns only when woken, and whoever wakes has counted this thread as awake.
            self.wanted.wait(&mut state);
        }
    }

    fn close(&self) {
        let mut state = self.state.lock();
        state.closing = true;
        state.awake = self.threads;
        drop(state);
        self.wanted.notify_all();
    }
}

fn run(shared: &Shared) {
    // A panic takes the chunks in the lanes along, whose uploads fail because nobody answers them.
    // Everything shared is consistent then: the lock is only held to move chunks.
    while catch_unwind(AssertUnwindSafe(|| serve(shared))).is_err() {
        tracing::error!("hashing failed; the uploads being hashed have failed with it");
    }
}

fn serve(shared: &Shared) {
    let mut lanes = Md5Lanes::new(shared.kernel);
    let mut finished = Vec::new();
    let mut filled = 0;
    while shared.take(&mut lanes, &mut filled) {
        lanes.advance(STEP_BYTES, &mut finished);
        for (md5, chunk) in finished.drain(..) {
            let Chunk { bytes, done, .. } = chunk;
            // The memory is given back before the upload goes on to take more.
            drop(bytes);
            // Nobody receives it if the upload has gone away.
            let _ = done.send(md5);
        }
    }
}

/// The MD5 of one upload, whose chunks are hashed one after the other, here or by the threads.
pub(crate) struct UploadMd5 {
    threads: Arc<HashThreads>,
    state: UploadState,
}

enum UploadState {
    Here(Md5),
    WithThreads(oneshot::Receiver<Md5>),
    /// A chunk was not hashed.
    Lost,
}

impl UploadMd5 {
    pub fn new(threads: &Arc<HashThreads>) -> Self {
        Self {
            threads: Arc::clone(threads),
            state: UploadState::Here(Md5::new()),
        }
    }

    /// Adds a chunk, once the one before is hashed. Returns before the chunk is hashed, unless it is
    /// short.
    ///
    /// If a call is dropped, its chunk is missing from the digest; the digest of what came before
    /// stays.
    pub async fn add(&mut self, chunk: Bytes) -> Result<(), Fault> {
        let mut md5 = self.settle().await?;
        let here =
            chunk.len() as u64 <= HASH_IN_PLACE_BYTES_MAX || self.threads.shared.threads == 0;
        self.state = if here {
            md5.update(&chunk);
            UploadState::Here(md5)
        } else {
            UploadState::WithThreads(self.threads.submit(md5, chunk)?)
        };
        Ok(())
    }

    /// The digest of all chunks.
    pub async fn finish(mut self) -> Result<[u8; 16], Fault> {
        Ok(self.settle().await?.finish())
    }

    /// Waits for the last chunk.
    async fn settle(&mut self) -> Result<Md5, Fault> {
        // The receiver stays where it is until it has answered: the call may be dropped.
        if let UploadState::WithThreads(hashed) = &mut self.state {
            self.state = match hashed.await {
                Ok(md5) => UploadState::Here(md5),
                Err(_) => UploadState::Lost,
            };
        }
        match std::mem::replace(&mut self.state, UploadState::Lost) {
            UploadState::Here(md5) => Ok(md5),
            UploadState::WithThreads(_) | UploadState::Lost => {
                Err(Fault::Failed("the bytes could not be hashed".to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;

    /// Longer than what is hashed in place.
    const LONG: usize = HASH_IN_PLACE_BYTES_MAX as usize + 1;

    fn body(length: usize, seed: usize) -> Bytes {
        let byte = |at: usize| ((at + 977 * seed).wrapping_mul(0x9e37_79b9) >> 13) as u8;
        (0..length).map(byte).collect()
    }

    #[test]
    fn threads_hash_about_what_the_cores_would() {
        for kernel in Md5Kernel::available() {
            assert_eq!(hash_threads_default(kernel, 1), 1, "{kernel:?}");
            let threads = hash_threads_default(kernel, 64);
            assert_eq!(threads * kernel.lanes(), 128, "{kernel:?}");
        }
    }

    /// More uploads than there are lanes, of different lengths, in chunks of different lengths.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn concurrent_uploads_have_their_own_digests() {
        for threads in [0, 1, 3] {
            let threads = HashThreads::start(threads).unwrap();
            let uploads = (0..100).map(|upload| {
                let threads = Arc::clone(&threads);
                tokio::spawn(async move {
                    let body = body(upload * 9_973, upload);
                    let mut md5 = UploadMd5::new(&threads);
                    for chunk in body.chunks(20_000 + 3_001 * (upload % 20)) {
                        md5.add(body.slice_ref(chunk)).await.unwrap();
                    }
                    assert_eq!(md5.finish().await.unwrap(), Md5::digest(&body), "{upload}");
                })
            });
            for upload in uploads.collect::<Vec<_>>() {
                upload.await.unwrap();
            }
            threads.close().await;
        }
    }

    #[tokio::test]
    async fn a_panic_fails_an_upload_and_not_the_next_one() {
        let threads = HashThreads::start(1).unwrap();
        for round in 0..3 {
            let (done, hashed) = oneshot::channel();
            let poisoned = Chunk {
                bytes: body(LONG, round),
                done,
                poisoned: true,
            };
            threads.shared.push(Md5::new(), poisoned).unwrap();
            let mut failing = UploadMd5::new(&threads);
            failing.state = UploadState::WithThreads(hashed);
            let failed = failing.add(body(LONG, 1)).await.unwrap_err();
            assert!(matches!(failed, Fault::Failed(_)), "{failed:?}");
            assert!(failing.add(body(LONG, 1)).await.is_err());
            assert!(failing.finish().await.is_err());

            let mut next = UploadMd5::new(&threads);
            next.add(body(LONG, 2)).await.unwrap();
            assert_eq!(next.finish().await.unwrap(), Md5::digest(&body(LONG, 2)));
        }
        threads.close().await;
    }

    #[tokio::test]
    async fn closing_ends_what_was_given_and_refuses_more() {
        let threads = HashThreads::start(2).unwrap();
        let mut uploads = Vec::new();
        for upload in 0..50 {
            let mut md5 = UploadMd5::new(&threads);
            md5.add(body(LONG, upload)).await.unwrap();
            uploads.push(md5);
        }
        threads.close().await;
        for (upload, md5) in uploads.into_iter().enumerate() {
            let digest = md5.finish().await.unwrap();
            assert_eq!(digest, Md5::digest(&body(LONG, upload)));
        }
        let refused = UploadMd5::new(&threads).add(body(LONG, 0)).await;
        assert!(matches!(refused, Err(Fault::Unavailable(_))), "{refused:?}");
        // Short ones need no thread, and closing again does nothing.
        UploadMd5::new(&threads).add(body(10, 0)).await.unwrap();
        threads.close().await;
    }

    /// A buffer that says when it is gone.
    struct Watched(Bytes, Arc<AtomicBool>);

    impl AsRef<[u8]> for Watched {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Drop for Watched {
        fn drop(&mut self) {
            self.1.store(true, Ordering::Release);
        }
    }

    #[tokio::test]
    async fn an_upload_that_goes_away_leaves_nothing() {
        let threads = HashThreads::start(1).unwrap();
        let mut gone = Vec::new();
        for upload in 0..100 {
            let flag = Arc::new(AtomicBool::new(false));
            let watched = Watched(body(LONG, upload), Arc::clone(&flag));
            let mut md5 = UploadMd5::new(&threads);
            md5.add(Bytes::from_owner(watched)).await.unwrap();
            gone.push(flag);
        }
        threads.close().await;
        assert!(gone.iter().all(|flag| flag.load(Ordering::Acquire)));
        assert_eq!(threads.shared.state.lock().queue.len(), 0);
    }

    #[tokio::test]
    async fn a_dropped_call_keeps_what_came_before() {
        let threads = HashThreads::start(1).unwrap();
        let mut md5 = UploadMd5::new(&threads);
        // Nobody answers as yet, so the next call cannot end.
        let (done, hashed) = oneshot::channel();
        md5.state = UploadState::WithThreads(hashed);
        let wait = tokio::time::timeout(Duration::from_millis(1), md5.add(body(LONG, 1)));
        assert!(wait.await.is_err());
        let mut before = Md5::new();
        before.update(b"before");
        done.send(before).unwrap();
        assert_eq!(md5.finish().await.unwrap(), Md5::digest(b"before"));
    }

    /// The threads live as long as an upload does, and no longer.
    #[tokio::test]
    async fn the_last_upload_ends_the_threads() {
        let threads = HashThreads::start(2).unwrap();
        let shared = Arc::downgrade(&threads.shared);
        let mut md5 = UploadMd5::new(&threads);
        drop(threads);
        md5.add(body(LONG, 0)).await.unwrap();
        assert_eq!(md5.finish().await.unwrap(), Md5::digest(&body(LONG, 0)));
        let ended = async {
            while shared.strong_count() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let wait = tokio::time::timeout(Duration::from_secs(20), ended);
        wait.await.unwrap();
    }
}
