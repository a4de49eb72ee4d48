//! Digests. Valgrind shows programs a processor with AVX2, whatever the real one has, so the code
//! for wider vectors is not counted here.

use std::hint::black_box;

use oncilla_hash::{Checksum, ChecksumAlgorithm, Md5, Sha256};

use crate::count;

const LENGTH_BYTES: usize = 64 << 10;

fn body() -> Vec<u8> {
    (0..LENGTH_BYTES).map(|at| (at * 31 % 251) as u8).collect()
}

pub fn crc64nvme_64_kib(repetitions: usize) {
    let body = body();
    count(repetitions, || {
        let body = black_box(&body);
        black_box(Checksum::of(ChecksumAlgorithm::Crc64Nvme, body));
    });
}

pub fn md5_64_kib(repetitions: usize) {
    let body = body();
    count(repetitions, || {
        black_box(Md5::digest(black_box(&body)));
    });
}

pub fn sha256_64_kib(repetitions: usize) {
    let body = body();
    count(repetitions, || {
        black_box(Sha256::digest(black_box(&body)));
    });
}
