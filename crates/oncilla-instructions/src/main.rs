//! The hot paths of the server, one at a time, for counting their instructions.
//!
//! `scripts/instruction-counts` runs each of them under callgrind and compares what it counts with
//! `expected.txt` beside this source. Instructions, unlike time, come out the same on a busy
//! machine, so that a change which costs two in a hundred is seen where it is made.
//!
//! ```text
//! oncilla-instructions            the names of all paths, each with how often it is repeated
//! oncilla-instructions NAME       runs one
//! ```

#![allow(
    clippy::unwrap_used,
    reason = "nothing here comes from outside: a path that cannot be set up should stop the count"
)]

mod digests;
mod protocol;
mod request;
mod store;

use std::hint::black_box;
use std::process::ExitCode;

/// A path of the server, and how to run it.
struct HotPath {
    /// Its name in `expected.txt`.
    name: &'static str,
    /// How often it is repeated: enough that what does not happen every time (a map that grows, a
    /// cache that tidies up) shows by its mean.
    repetitions: usize,
    /// Prepares what it needs and passes its work to [`count`].
    run: fn(repetitions: usize),
}

const fn path(name: &'static str, repetitions: usize, run: fn(usize)) -> HotPath {
    HotPath {
        name,
        repetitions,
        run,
    }
}

const HOT_PATHS: [HotPath; 13] = [
    path("sigv4_verify_get", 100, protocol::sigv4_verify_get),
    path("resolve_get", 100, protocol::resolve_get),
    path("list_xml_1000", 2, protocol::list_xml_1000),
    path("chunked_decode_1_mib", 2, protocol::chunked_decode_1_mib),
    path("crc64nvme_64_kib", 10, digests::crc64nvme_64_kib),
    path("md5_64_kib", 2, digests::md5_64_kib),
    path("sha256_64_kib", 2, digests::sha256_64_kib),
    path("object_record_encode", 100, store::object_record_encode),
    path("object_record_decode", 100, store::object_record_decode),
    path("list_delimiter_page", 5, store::list_delimiter_page),
    path("put_object_4_kib", 50, store::put_object_4_kib),
    path("request_get_4_kib", 50, request::get_4_kib),
    path("request_put_4_kib", 50, request::put_4_kib),
];

/// Callgrind counts from here to the return of this function, and nothing else: its name is what
/// the script gives to `--toggle-collect`.
#[inline(never)]
fn counted_section(work: &mut dyn FnMut()) {
    work();
    // A tail call would end the section before the work.
    black_box(());
}

/// Does the work once so that what happens the first time only is not counted, then `repetitions`
/// times for the count.
fn count(repetitions: usize, mut work: impl FnMut()) {
    work();
    counted_section(&mut || {
        for _ in 0..repetitions {
            work();
        }
    });
}

fn main() -> ExitCode {
    let Some(wanted) = std::env::args().nth(1) else {
        for path in HOT_PATHS {
            println!("{} {}", path.name, path.repetitions);
        }
        return ExitCode::SUCCESS;
    };
    let Some(path) = HOT_PATHS.iter().find(|path| path.name == wanted) else {
        eprintln!("there is no path named {wanted}");
        return ExitCode::FAILURE;
    };
    (path.run)(path.repetitions);
    ExitCode::SUCCESS
}
