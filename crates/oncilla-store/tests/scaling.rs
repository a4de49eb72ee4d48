//! Cost does not grow with what a bucket holds: the scenes of `examples/scaling`, at sizes that
//! take seconds. A cost in proportion to the size would be 20 times as high in the large place; the
//! least ratio of the alternations counts, which a busy machine can hardly raise.
#![allow(clippy::unwrap_used)]

#[path = "../examples/scaling/load.rs"]
mod load;
#[allow(dead_code)]
#[path = "../examples/scaling/measure.rs"]
mod measure;
#[allow(dead_code)]
#[path = "../examples/scaling/scenes.rs"]
mod scenes;
#[allow(dead_code)]
#[path = "../examples/scaling/site.rs"]
mod site;

use measure::Line;
use scenes::{Effort, Place};
use site::Site;

/// Objects in the small place: the least that fills every page that is asked for.
const SMALL: u64 = 3_000;

/// Objects in the large place.
const LARGE: u64 = 20 * SMALL;

/// Objects deleted beside a listing: walking over them takes 0.5 µs each, so a listing of one row
/// would take a thousand times as long, and one of a page twenty times.
const NEIGHBOURS: u64 = 20_000;

/// What deleted rows may add to a listing, in microseconds, on any machine: the metadata engine
/// remembers a range of them only where walking over it, with opening an iterator, took longer than
/// 200 µs (`oncilla-meta`, `embedded/gaps.rs`), and such a range may lie on either side of a row.
const DELETED_US_MAX: f64 = 400.0;

/// Versions of one key, beside 10.
const VERSIONS: u64 = 1_000;

/// Bytes in each of 10,000 parts: the least that S3 allows.
const PART_BYTES: usize = 5 << 20;

/// Reads from blocks on disk cost two to three times those from memory, which the small place is
/// served from; whatever grows with the size is far above this.
const RATIO_MAX: f64 = 8.0;

/// A listing of the versions of a key that was just overwritten a thousand times steps over the
/// values its present had before, as long as they are in the write buffer: 0.1 µs each. A walk over
/// the versions themselves would take a hundred times as long as beside ten.
const VERSIONS_RATIO_MAX: f64 = 30.0;

const EFFORT: Effort = Effort {
    rounds: 4,
    reads: 200,
    writes: 20,
    pages: 8,
};

/// Asserts that no operation costs more in the large place than `ratio_max` times as much and
/// `extra_us` microseconds besides.
fn assert_flat(lines: &[Line], ratio_max: f64, extra_us: f64) {
    for line in lines {
        let least = line.spread.0;
        let allowed = ratio_max + extra_us / line.small_us;
        assert!(
            least < allowed,
            "{}: {} costs {least:.1} times as much, whenever it was tried; {allowed:.1} is allowed",
            line.scene,
            line.operation
        );
    }
}

#[tokio::test]
async fn operations_cost_no_more_in_large_buckets() {
    let directory = tempfile::tempdir().unwrap();
    let small = Site::open(&directory.path().join("small")).await.unwrap();
    let large = Site::open(&directory.path().join("large")).await.unwrap();
    let small_bucket = scenes::load_objects(&small, SMALL).await.unwrap();
    let large_bucket = scenes::load_objects(&large, LARGE).await.unwrap();
    let small_place = Place {
        site: &small,
        bucket: &small_bucket,
        count: SMALL,
    };
    let large_place = Place {
        site: &large,
        bucket: &large_bucket,
        count: LARGE,
    };
    let objects = scenes::objects("objects", small_place, large_place, EFFORT);
    assert_flat(&objects.await.unwrap(), RATIO_MAX, 0.0);
    let deleted = scenes::deleted_neighbours(small_place, large_place, NEIGHBOURS, EFFORT);
    assert_flat(&deleted.await.unwrap(), RATIO_MAX, DELETED_US_MAX);
    let prefixes = scenes::prefixes(&small, &large, (SMALL, LARGE), EFFORT);
    assert_flat(&prefixes.await.unwrap(), RATIO_MAX, 0.0);

    // The loaded rows are what PUTs would have written.
    let mut findings = Vec::new();
    let mut report = |finding| findings.push(finding);
    large.store.fsck(&mut report).await.unwrap();
    assert_eq!(findings, []);
    let usage = large.store.usage(large_bucket.id()).await.unwrap();
    assert!(usage.objects >= LARGE);
    small.close().await;
    large.close().await;
}

#[tokio::test]
async fn parts_and_versions_cost_no_more_when_there_are_many() {
    let directory = tempfile::tempdir().unwrap();
    let site = Site::open(directory.path()).await.unwrap();
    let parts = scenes::parts(&site, PART_BYTES, EFFORT).await.unwrap();
    assert_flat(&parts, RATIO_MAX, 0.0);
    let versions = scenes::versions(&site, VERSIONS, EFFORT).await.unwrap();
    assert_flat(&versions, VERSIONS_RATIO_MAX, 0.0);
    site.close().await;
}
