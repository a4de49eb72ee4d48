//! What is compared: the same operation at 10,000 and at many.

use bytes::Bytes;
use oncilla_hash::ChecksumAlgorithm;
use oncilla_meta::{Engine, Mutation, Space};
use oncilla_store::history::{ListVersionsQuery, VersionMarker};
use oncilla_store::list::{After, ListQuery};
use oncilla_store::multipart::{CompleteUpload, CompletedPart, UploadChecksum};
use oncilla_store::rows::part::part_key;
use oncilla_store::rows::upload::part_writes_key;
use oncilla_store::{Bucket, ByteRange, ETag, LockOverride, ObjectRecord, VersionId};
use oncilla_wire::conditions::Conditions;
use oncilla_wire::xml::versioning::VersioningStatus;

use crate::load::{BODY_BYTES, load, scattered, small_body};
use crate::measure::{Line, Sample, compare, sample};
use crate::site::{Outcome, Random, Site, new_object};

/// What everything is compared with.
pub const SMALL: u64 = 10_000;

/// Keys in a page of a listing: S3's own limit.
const PAGE_KEYS: usize = 1_000;

/// Objects in a directory of the loaded buckets.
const DIRECTORY_OBJECTS: u64 = 1_000;

/// Neighbours deleted before listings are measured next to where they were.
pub const NEIGHBOURS: u64 = 100_000;

/// Bytes of each part of the large object: 10,000 of them make a terabyte.
pub const PART_BYTES: usize = 100_000_000;

/// Alternations, and operations of each kind in one.
#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    pub reads: usize,
    pub writes: usize,
    pub pages: usize,
}

/// A bucket and where it is.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub site: &'a Site,
    pub bucket: &'a Bucket,
    pub count: u64,
}

/// Key of a loaded object.
pub fn object_name(number: u64) -> String {
    format!("photos/{:05}/{number:09}.jpg", number / DIRECTORY_OBJECTS)
}

fn directory_name(number: u64) -> String {
    format!("d{number:08}/x")
}

impl Place<'_> {
    fn any_name(&self, random: &mut Random) -> String {
        object_name(random.below(self.count))
    }

    async fn get(&self, random: &mut Random) -> Outcome<()> {
        let name = self.any_name(random);
        let bytes = self.site.get(self.bucket, name.as_bytes()).await?;
        expect(bytes == BODY_BYTES as u64, "a body has another length")
    }

    async fn head(&self, random: &mut Random) -> Outcome<()> {
        let name = self.any_name(random);
        let found = self.site.store.object(self.bucket, name.as_bytes());
        expect(found.await?.size == BODY_BYTES as u64, "another size")
    }

    async fn head_of_none(&self, random: &mut Random) -> Outcome<()> {
        let name = format!("{}x", self.any_name(random));
        let found = self.site.store.object(self.bucket, name.as_bytes()).await;
        expect(found.is_err(), "an object where none was put")
    }

    /// Lists a page and says how many entries it had.
    async fn page(&self, prefix: &str, delimiter: &str, after: After) -> Outcome<usize> {
        let query = ListQuery {
            prefix: Bytes::copy_from_slice(prefix.as_bytes()),
            delimiter: Bytes::copy_from_slice(delimiter.as_bytes()),
            after,
            limit: PAGE_KEYS,
        };
        let page = self.site.store.list_objects(self.bucket, &query).await?;
        Ok(page.entries.len())
    }

    async fn full_page(&self, prefix: &str, delimiter: &str, after: After) -> Outcome<()> {
        let found = self.page(prefix, delimiter, after).await?;
        expect(found == PAGE_KEYS, "a page is not full")
    }

    async fn random_page(&self, random: &mut Random) -> Outcome<()> {
        let name = object_name(random.below(self.count - PAGE_KEYS as u64));
        self.full_page("", "", After::Key(name.into())).await
    }

    async fn random_directory(&self, random: &mut Random) -> Outcome<()> {
        let directory = random.below(self.count / DIRECTORY_OBJECTS);
        let prefix = format!("photos/{directory:05}/");
        self.full_page(&prefix, "/", After::Nothing).await
    }

    async fn random_groups(&self, random: &mut Random) -> Outcome<()> {
        let name = directory_name(random.below(self.count - 2 * PAGE_KEYS as u64));
        let group = Bytes::from(name[..name.len() - 1].to_owned());
        self.full_page("", "/", After::Group(group)).await
    }

    async fn put(&self, random: &mut Random, new: &mut Vec<String>) -> Outcome<()> {
        let directory = random.below(self.count / DIRECTORY_OBJECTS);
        let name = format!("photos/{directory:05}/new-{}.jpg", random.below(u64::MAX));
        self.site
            .put(self.bucket, name.as_bytes(), &small_body())
            .await?;
        new.push(name);
        Ok(())
    }

    async fn overwrite(&self, random: &mut Random) -> Outcome<()> {
        let name = self.any_name(random);
        self.site
            .put(self.bucket, name.as_bytes(), &small_body())
            .await?;
        Ok(())
    }

    async fn delete(&self, new: &mut Vec<String>) -> Outcome<()> {
        let name = new.pop().ok_or("nothing left to delete")?;
        self.site.delete(self.bucket, name.as_bytes()).await
    }
}

fn expect(holds: bool, otherwise: &str) -> Outcome<()> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

/// Every common operation, on a bucket of many objects.
pub async fn objects(
    scene: &str,
    small: Place<'_>,
    large: Place<'_>,
    effort: Effort,
) -> Outcome<Vec<Line>> {
    let Effort {
        rounds,
        reads,
        writes,
        pages,
    } = effort;
    let (a, b) = (&mut Random(1), &mut Random(2));
    let mut lines = Vec::new();
    macro_rules! measure {
        ($name:literal, $count:expr, $method:ident) => {
            lines.push(
                compare(
                    scene,
                    $name,
                    rounds,
                    $count,
                    async || small.$method(a).await,
                    async || large.$method(b).await,
                )
                .await?,
            )
        };
    }
    measure!("GET", reads, get);
    measure!("HEAD", reads, head);
    measure!("HEAD of no object", reads, head_of_none);
    measure!("LIST 1,000 anywhere", pages, random_page);
    measure!(
        "LIST 1,000 of a directory, delimiter",
        pages,
        random_directory
    );
    measure!("PUT over an object", writes, overwrite);
    let (mut new_small, mut new_large) = (Vec::new(), Vec::new());
    lines.push(
        compare(
            scene,
            "PUT",
            rounds,
            writes,
            async || small.put(a, &mut new_small).await,
            async || large.put(b, &mut new_large).await,
        )
        .await?,
    );
    lines.push(
        compare(
            scene,
            "DELETE",
            rounds - 1,
            writes,
            async || small.delete(&mut new_small).await,
            async || large.delete(&mut new_large).await,
        )
        .await?,
    );
    Ok(lines)
}

/// Puts so many objects and a page's worth behind them, and deletes all but those behind.
async fn delete_neighbours(place: Place<'_>, neighbours: u64) -> Outcome<()> {
    let gone = |number: u64| format!("photoz/gone/{number:07}");
    let behind = |number: u64| format!("photoz/kept/{number:07}");
    load(place.site, place.bucket, PAGE_KEYS as u64 + 1, behind).await?;
    load(place.site, place.bucket, neighbours, gone).await?;
    let mut next = 0;
    while next < neighbours {
        let deletions = (next..next + 500).map(|number| {
            let name = gone(number);
            async move { place.site.delete(place.bucket, name.as_bytes()).await }
        });
        for deleted in futures_util::future::join_all(deletions).await {
            deleted?;
        }
        next += 500;
    }
    Ok(())
}

/// Pages of 1,000 anywhere, next to where many objects were deleted a moment ago, and of the groups
/// that hold all of them. The first sample after the deletions is the very first listing.
pub async fn listings(
    place: Place<'_>,
    neighbours: u64,
    count: usize,
) -> Outcome<Vec<(&'static str, Sample)>> {
    let random = &mut Random(7);
    let anywhere = sample(count, async || place.random_page(random).await).await?;
    let all = "photos/";
    let one_group = async || {
        let found = place.page("", "/", After::Nothing).await?;
        expect(found > 0, "no group")
    };
    let whole = sample(count, one_group).await?;
    let directories = async || {
        let found = place.page(all, "/", After::Nothing).await?;
        expect(found > 0, "no directory")
    };
    let inner = sample(count, directories).await?;
    delete_neighbours(place, neighbours).await?;
    let first = After::Key(Bytes::from_static(b"photoz/"));
    let beside = sample(count, async || place.full_page("", "", first.clone()).await).await?;
    let groups = sample(count, async || {
        let found = place.page("", "/", After::Nothing).await?;
        expect(found == 2, "not the two groups that there are")
    });
    let groups = groups.await?;
    Ok(vec![
        ("1,000 keys anywhere", anywhere),
        ("delimiter, one prefix holds all", whole),
        ("delimiter, 1,000 prefixes of 1,000 keys", inner),
        ("1,000 keys behind 100,000 just deleted", beside),
        ("delimiter, one of two prefixes mostly just deleted", groups),
    ])
}

/// Listings next to where many objects were deleted a moment ago, and over a group of them.
pub async fn deleted_neighbours(
    small: Place<'_>,
    large: Place<'_>,
    neighbours: u64,
    effort: Effort,
) -> Outcome<Vec<Line>> {
    // A small place of its own: the same keys around, and nothing deleted.
    let behind = |number: u64| format!("photoz/kept/{number:07}");
    load(small.site, small.bucket, PAGE_KEYS as u64 + 1, behind).await?;
    delete_neighbours(large, neighbours).await?;
    let scene = &format!("{neighbours} neighbours deleted");
    let began = std::time::Instant::now();
    let first = After::Key(Bytes::from_static(b"photoz/"));
    large.full_page("", "", first.clone()).await?;
    eprintln!("  {scene}: the first listing took {:?}", began.elapsed());
    let mut lines = Vec::new();
    let Effort { rounds, pages, .. } = effort;
    lines.push(
        compare(
            scene,
            "LIST 1,000 from before them",
            rounds,
            pages,
            async || small.full_page("", "", first.clone()).await,
            async || large.full_page("", "", first.clone()).await,
        )
        .await?,
    );
    let groups = async |place: &Place<'_>| {
        let found = place.page("", "/", After::Nothing).await?;
        expect(found == 2, "not the two groups that there are")
    };
    lines.push(
        compare(
            scene,
            "LIST, delimiter, all in one group",
            rounds,
            pages,
            async || groups(&small).await,
            async || groups(&large).await,
        )
        .await?,
    );
    let inner = async |place: &Place<'_>| {
        let found = place.page("photoz/", "/", After::Nothing).await?;
        expect(found == 1, "not the group that is left")
    };
    lines.push(
        compare(
            scene,
            "LIST, delimiter, their prefix",
            rounds,
            pages,
            async || inner(&small).await,
            async || inner(&large).await,
        )
        .await?,
    );
    Ok(lines)
}

/// A page of common prefixes, each with one object.
pub async fn prefixes(
    small: &Site,
    large: &Site,
    (small_count, count): (u64, u64),
    effort: Effort,
) -> Outcome<Vec<Line>> {
    let scene = format!("{count} prefixes");
    let small_bucket = small.create_bucket("prefixes").await?;
    let large_bucket = large.create_bucket("prefixes").await?;
    load(small, &small_bucket, small_count, directory_name).await?;
    load(large, &large_bucket, count, directory_name).await?;
    let small = Place {
        site: small,
        bucket: &small_bucket,
        count: small_count,
    };
    let large = Place {
        site: large,
        bucket: &large_bucket,
        count,
    };
    let (a, b) = (&mut Random(3), &mut Random(4));
    let line = compare(
        &scene,
        "LIST 1,000 prefixes anywhere",
        effort.rounds,
        effort.pages,
        async || small.random_groups(a).await,
        async || large.random_groups(b).await,
    );
    Ok(vec![line.await?])
}

/// Makes an object of so many parts, all of which are the same bytes.
///
/// The first part is uploaded. The rows of the others are that part's row under their own numbers:
/// they refer to the same extent by the upload's one reference to it, so every byte of the
/// object can be read and is verified, while it takes the space of one part.
async fn object_of_parts(
    site: &Site,
    bucket: &Bucket,
    key: &[u8],
    count: u16,
    part_bytes: usize,
) -> Outcome<ObjectRecord> {
    let store = &site.store;
    let checksum = UploadChecksum {
        algorithm: ChecksumAlgorithm::Crc64Nvme,
        composite: false,
        declared: false,
    };
    let id = store
        .create_upload(bucket, key, new_object(), checksum)
        .await?;
    let upload = store.upload(bucket, key, id).await?;
    let content = site.content(&Bytes::from(vec![0; part_bytes])).await?;
    let part = store.put_part(&upload, 1, content).await?;
    let mut mutation = Mutation::new();
    for number in 2..=count {
        mutation.put(Space::Records, part_key(id, number), part.encode());
    }
    mutation.add(part_writes_key(id), i64::from(count) - 1);
    site.engine.commit(mutation).await?;
    let parts: Vec<CompletedPart> = (1..=count)
        .map(|number| CompletedPart {
            number,
            etag: Some(ETag::of_md5(part.md5)),
            checksum: None,
        })
        .collect();
    let began = std::time::Instant::now();
    let complete = CompleteUpload {
        bucket,
        key,
        upload: id,
        parts: &parts,
        checksum: None,
        size: Some(u64::from(count) * part_bytes as u64),
        conditions: &Conditions::default(),
    };
    let record = store.complete_upload(complete).await?;
    eprintln!("  completing {count} parts took {:?}", began.elapsed());
    Ok(record)
}

/// An object of 10,000 parts, the most there can be, beside one of ten.
pub async fn parts(site: &Site, part_bytes: usize, effort: Effort) -> Outcome<Vec<Line>> {
    let scene = &format!("10000 parts of {part_bytes} bytes (beside 10)");
    let bucket = site.create_bucket("parts").await?;
    let small = object_of_parts(site, &bucket, b"ten", 10, part_bytes).await?;
    let large = object_of_parts(site, &bucket, b"many", 10_000, part_bytes).await?;
    let store = &site.store;
    let (a, b) = (&mut Random(5), &mut Random(6));
    let head = async |key: &'static [u8]| {
        let record = store.object(&bucket, key).await?;
        store.layout(&record).await?.ok_or("no layout")?;
        Ok(())
    };
    let range = async |key: &'static [u8], random: &mut Random| {
        let body = store.open_object(&bucket, key).await?;
        let start = random.below(body.record.size - 65_536);
        let mut reader = body.read(ByteRange {
            start,
            end: start + 65_536,
        });
        while reader.next().await?.is_some() {}
        expect(reader.remaining() == 0, "a range ended early")
    };
    let list = async |record: &ObjectRecord, random: &mut Random| {
        let after = random.below(u64::from(record.etag.parts) - 9);
        let page = store.list_object_parts(record, after as u16, 10).await?;
        expect(!page.parts.is_empty(), "no part listed")
    };
    let Effort { rounds, reads, .. } = effort;
    Ok(vec![
        compare(
            scene,
            "HEAD with its layout",
            rounds,
            reads,
            async || head(b"ten").await,
            async || head(b"many").await,
        )
        .await?,
        compare(
            scene,
            "GET 64 KiB anywhere",
            rounds,
            reads,
            async || range(b"ten", a).await,
            async || range(b"many", b).await,
        )
        .await?,
        compare(
            scene,
            "ListParts, 10 anywhere",
            rounds,
            reads,
            async || list(&small, a).await,
            async || list(&large, b).await,
        )
        .await?,
    ])
}

/// One key of many versions beside keys of one.
pub async fn versions(site: &Site, count: u64, effort: Effort) -> Outcome<Vec<Line>> {
    let scene = format!("{count} versions of one key (beside 10)");
    let store = &site.store;
    let mut places = Vec::new();
    for (name, versions) in [("versions-10", 10), ("versions-many", count)] {
        let bucket = site.create_bucket(name).await?;
        let enabled = VersioningStatus::Enabled;
        let bucket = store.set_versioning(&bucket, enabled).await?;
        load(site, &bucket, SMALL, object_name).await?;
        let body = small_body();
        let mut written = 0;
        while written < versions {
            // One after the other, as they are versions of one key; each waits for its sync.
            site.put(&bucket, b"photos/00005/hot", &body).await?;
            written += 1;
        }
        places.push(bucket);
    }
    let [small, large] = &places[..] else {
        return Err("two buckets".into());
    };
    const KEY: &[u8] = b"photos/00005/hot";
    let body = small_body();
    let put = async |bucket: &Bucket| site.put(bucket, KEY, &body).await.map(|_| ());
    let get = async |bucket: &Bucket| site.get(bucket, KEY).await.map(|_| ());
    let list = async |bucket: &Bucket| {
        let query = ListQuery {
            prefix: Bytes::from_static(b"photos/"),
            after: After::Key(Bytes::from_static(b"photos/00005/")),
            limit: PAGE_KEYS,
            ..ListQuery::default()
        };
        let page = store.list_objects(bucket, &query).await?;
        expect(page.entries.len() == PAGE_KEYS, "a page is not full")
    };
    let versions_of = async |bucket: &Bucket, limit: usize| {
        let query = ListVersionsQuery {
            keys: ListQuery {
                prefix: Bytes::from_static(KEY),
                limit,
                ..ListQuery::default()
            },
            marker: None,
        };
        Ok::<_, Box<dyn std::error::Error>>(store.list_versions(bucket, &query).await?)
    };
    let delete_newest = async |bucket: &Bucket| {
        let newest: VersionId = store.object(bucket, KEY).await?.version_id();
        store
            .delete_version(
                bucket,
                KEY,
                newest,
                &Conditions::default(),
                LockOverride::Nothing,
            )
            .await?;
        Ok(())
    };
    // A version in the middle of the history.
    let oldest = |page: &oncilla_store::list::Page<oncilla_store::history::ListedVersion>| {
        page.entries.last().and_then(VersionMarker::behind)
    };
    let small_old = oldest(&versions_of(small, 5).await?).ok_or("no version")?;
    let large_old = oldest(&versions_of(large, 900).await?).ok_or("no version")?;
    let get_old = async |bucket: &Bucket, marker: &VersionMarker| {
        let found = store
            .object_version(bucket, KEY, Some(marker.version))
            .await;
        expect(found.is_ok(), "an old version is missing")
    };
    let Effort {
        rounds,
        reads,
        writes,
        pages,
    } = effort;
    Ok(vec![
        compare(
            &scene,
            "GET",
            rounds,
            reads,
            async || get(small).await,
            async || get(large).await,
        )
        .await?,
        compare(
            &scene,
            "HEAD of an old version",
            rounds,
            reads,
            async || get_old(small, &small_old).await,
            async || get_old(large, &large_old).await,
        )
        .await?,
        compare(
            &scene,
            "LIST 1,000 around it",
            rounds,
            pages,
            async || list(small).await,
            async || list(large).await,
        )
        .await?,
        compare(
            &scene,
            "ListObjectVersions, 10 of it",
            rounds,
            reads,
            async || versions_of(small, 10).await.map(|_| ()),
            async || versions_of(large, 10).await.map(|_| ()),
        )
        .await?,
        compare(
            &scene,
            "PUT another",
            rounds,
            writes,
            async || put(small).await,
            async || put(large).await,
        )
        .await?,
        compare(
            &scene,
            "DELETE the newest",
            rounds,
            writes / 2,
            async || delete_newest(small).await,
            async || delete_newest(large).await,
        )
        .await?,
    ])
}

/// Loads the bucket that [`objects`] measures.
pub async fn load_objects(site: &Site, count: u64) -> Outcome<Bucket> {
    let bucket = site.create_bucket("objects").await?;
    load(site, &bucket, count, object_name).await?;
    Ok(bucket)
}

/// A loaded object, for what wants to read any.
pub fn any_object(index: u64, count: u64) -> String {
    object_name(scattered(index, count))
}
