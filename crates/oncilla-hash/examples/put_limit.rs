//! What a PUT of large objects could reach at most on this machine: MD5 in lanes and a durable
//! write of the same bytes, without network, protocol and store. The benchmark measures it beside
//! the server (`bench/`).
//!
//! ```text
//! cargo run --release -p oncilla-hash --example put_limit -- DIR STREAMS OBJECT_BYTES OBJECTS
//! ```
//!
//! The streams share the objects out. Each writes one after the other, to new space in a file of its
//! own below DIR. A thread hashes the pieces of all streams in lanes while they are written. The
//! time ends when the last object is hashed and synced. Prints one line of JSON.

use std::env;
use std::fs::File;
use std::io::{self, Error, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

use oncilla_hash::Md5;
use oncilla_hash::md5_lanes::{Md5Kernel, Md5Lanes};

/// What a stream hashes and writes at a time, as large as the pieces of the server's uploads or
/// larger, so that the limit is not that of small writes.
const PIECE_BYTES: usize = 1 << 20;

/// How far the lanes advance before the thread looks for new pieces.
const ADVANCE_BYTES: usize = 64 << 10;

struct Arguments {
    directory: PathBuf,
    streams: usize,
    object_bytes: usize,
    objects: u64,
}

/// A piece with the stream it belongs to.
struct Piece {
    bytes: Arc<[u8]>,
    stream: usize,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn main() -> io::Result<()> {
    let arguments = arguments()?;
    let (to_hasher, from_streams) = channel::<(Md5, Piece)>();
    let (to_streams, from_hasher): (Vec<_>, Vec<_>) =
        (0..arguments.streams).map(|_| channel::<Md5>()).unzip();
    let sources: Vec<Arc<[u8]>> = (0..arguments.streams).map(source).collect();

    let began = Instant::now();
    let object_bytes = arguments.object_bytes;
    let claimed = &AtomicU64::new(0);
    let written = thread::scope(|scope| {
        scope.spawn(move || hash(&from_streams, &to_streams));
        let streams: Vec<_> = from_hasher
            .into_iter()
            .zip(sources)
            .enumerate()
            .map(|(stream, (hashed, source))| {
                let path = arguments.directory.join(format!("stream-{stream}"));
                let to_hasher = to_hasher.clone();
                scope.spawn(move || {
                    let writer = Stream {
                        stream,
                        source,
                        to_hasher,
                        hashed,
                    };
                    writer.run(&path, object_bytes, claimed, arguments.objects)
                })
            })
            .collect();
        // The hashing thread ends when the last sender is gone.
        drop(to_hasher);
        streams
            .into_iter()
            .map(|stream| {
                stream
                    .join()
                    .map_err(|_| Error::other("a stream panicked"))?
            })
            .sum::<io::Result<u64>>()
    })?;

    let elapsed_s = began.elapsed().as_secs_f64();
    let bytes_per_s = written as f64 / elapsed_s;
    let kernel = Md5Kernel::detect().name();
    println!(
        "{{\"bytes_per_s\": {bytes_per_s:.0}, \"bytes\": {written}, \"elapsed_s\": {elapsed_s:.3}, \"md5\": \"{kernel}\"}}"
    );
    Ok(())
}

fn arguments() -> io::Result<Arguments> {
    let usage = || Error::new(ErrorKind::InvalidInput, "DIR STREAMS OBJECT_BYTES OBJECTS");
    let given: Vec<String> = env::args().skip(1).collect();
    let [directory, streams, object_bytes, objects] = given.as_slice() else {
        return Err(usage());
    };
    Ok(Arguments {
        directory: directory.into(),
        streams: streams.parse().map_err(|_| usage())?,
        object_bytes: object_bytes.parse().map_err(|_| usage())?,
        objects: objects.parse().map_err(|_| usage())?,
    })
}

/// Bytes that differ between streams and do not compress.
fn source(stream: usize) -> Arc<[u8]> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(stream as u64 + 1);
    let words = (0..PIECE_BYTES / size_of::<u64>()).map(|_| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    });
    words.flat_map(u64::to_le_bytes).collect()
}

/// Hashes pieces until nobody sends any, and returns each stream its digest.
fn hash(pieces: &Receiver<(Md5, Piece)>, streams: &[Sender<Md5>]) {
    let mut lanes = Md5Lanes::new(Md5Kernel::detect());
    let mut finished = Vec::new();
    loop {
        if lanes.is_empty() {
            match pieces.recv() {
                Ok((md5, piece)) => lanes.push(md5, piece),
                Err(_) => return,
            }
        }
        for (md5, piece) in pieces.try_iter() {
            lanes.push(md5, piece);
        }
        lanes.advance(ADVANCE_BYTES, &mut finished);
        for (md5, piece) in finished.drain(..) {
            // A stream that failed no longer listens; its error is reported where it is joined.
            let _ = streams[piece.stream].send(md5);
        }
    }
}

struct Stream {
    stream: usize,
    source: Arc<[u8]>,
    to_hasher: Sender<(Md5, Piece)>,
    hashed: Receiver<Md5>,
}

impl Stream {
    /// Writes objects while there are unclaimed ones, and returns their bytes.
    fn run(
        &self,
        path: &Path,
        object_bytes: usize,
        claimed: &AtomicU64,
        objects: u64,
    ) -> io::Result<u64> {
        let file = File::create(path)?;
        let mut end = 0;
        while claimed.fetch_add(1, Ordering::Relaxed) < objects {
            self.object(&file, end, object_bytes)?;
            end += object_bytes as u64;
        }
        Ok(end)
    }

    fn object(&self, file: &File, start: u64, object_bytes: usize) -> io::Result<()> {
        let gone = || Error::other("the hashing thread ended");
        let mut position = start;
        let mut remaining = object_bytes;
        let mut md5 = Some(Md5::new());
        while remaining > 0 {
            let length = remaining.min(PIECE_BYTES);
            let bytes = if length == PIECE_BYTES {
                self.source.clone()
            } else {
                self.source[..length].into()
            };
            let state = match md5.take() {
                Some(state) => state,
                None => self.hashed.recv().map_err(|_| gone())?,
            };
            let piece = Piece {
                bytes,
                stream: self.stream,
            };
            self.to_hasher.send((state, piece)).map_err(|_| gone())?;
            file.write_all_at(&self.source[..length], position)?;
            position += length as u64;
            remaining -= length;
        }
        file.sync_data()?;
        if md5.is_none() {
            let digest = self.hashed.recv().map_err(|_| gone())?.finish();
            std::hint::black_box(digest);
        }
        Ok(())
    }
}
