//! docs/s3-compatibility.md is made of the operation table and of the table of outcomes of
//! ceph/s3-tests, so that it cannot say what neither of them says. `make compatibility` writes it.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should fail there"
)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use oncilla_wire::operation::{Level, Operation};

/// Operations of the API reference that have no row in the operation table: those of annotations,
/// whose sub-resources it refuses as a whole, and the one that is told by its path.
const NO_ROW: [(&str, &str); 6] = [
    ("DeleteObjectAnnotation", "501"),
    ("GetObjectAnnotation", "501"),
    ("ListObjectAnnotations", "501"),
    ("PutObjectAnnotation", "501"),
    ("UpdateBucketMetadataAnnotationTableConfiguration", "501"),
    ("WriteGetObjectResponse", "501"),
];

/// What somebody who knows AWS would not expect, and no row tells.
const DEPARTURES: &str = "
## Where it differs from AWS on purpose

- New buckets are as S3's were before 2023: ACLs are on, there is no public access block, and objects are encrypted if the
  bucket or the server says so (`--encrypt-at-rest true`). GetBucketEncryption of a bucket without a setting answers
  `ServerSideEncryptionConfigurationNotFoundError`.
- CreateBucket of a bucket that one has already changes nothing and depends on what is asked for, not on the region. Asked for
  with the ACL that it has and nothing else, it is 200, as in AWS's `us-east-1` (which sets the ACL anew). With a
  LocationConstraint, tags, Object Lock or an ownership it is `BucketAlreadyOwnedByYou`, as in AWS's other regions. With
  another ACL than it has it is `BucketAlreadyExists`, as ceph/s3-tests want it.
- An account is named by its canonical user id where AWS has twelve digits, in ARNs too.
- A KMS key is told as it was named in the request (`photos`, `alias/photos`, or its ARN), and an ARN's region and account are not looked at.
- `x-amz-rename-source` takes `key`, `/key`, `bucket/key` and `/bucket/key`. What begins with the bucket's name and a slash is
  taken for the latter two: write such a key with its bucket.
- RenameObject and appending (`x-amz-write-offset-bytes`), which S3 has in directory buckets alone, are there in every bucket.
- A conditional deletion where there is no object answers 204 and changes nothing, as ceph/s3-tests want it, where S3 answers
  `If-Match: *` with 412. If there is a delete marker, it is judged as an object of no bytes without an ETag: `If-Match` with an
  ETag is 412 then.
- Log objects are delivered into buckets of the same account alone. Notifications go to web hooks, which stand for topics,
  queues and functions.
- GetBucketPolicyStatus answers without a policy too. Configurations that are not here (GetBucketReplication) are 501
  instead of a 404 that says there is none.
";

/// How many tests may rightly differ.
const DIFFERS_MAX: usize = 10;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A line of tests/s3-tests/results.txt.
struct Outcome<'a> {
    outcome: &'a str,
    fails_on_aws: bool,
    test: &'a str,
    operations: Vec<&'a str>,
}

fn outcomes(results: &str) -> Vec<Outcome<'_>> {
    let lines = results.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [outcome, mark, test, operations] = words[..] else {
                panic!("not a line of the table: {line}");
            };
            assert!(["passed", "failed", "skipped"].contains(&outcome), "{line}");
            Outcome {
                outcome,
                fails_on_aws: mark == "fails_on_aws",
                test,
                operations: operations.split(',').filter(|name| *name != "-").collect(),
            }
        })
        .collect()
}

/// Whether a test is one that an entry of `differs.txt` names, in which `*` stands for anything.
fn is_named(names: &str, test: &str) -> bool {
    names.split(", ").any(|name| {
        let mut pieces = name.split('*');
        let first = pieces.next().unwrap();
        let Some(mut rest) = test.strip_prefix(first) else {
            return false;
        };
        let mut is_open = false;
        for piece in pieces {
            let Some(at) = rest.find(piece) else {
                return false;
            };
            rest = &rest[at + piece.len()..];
            is_open = piece.is_empty();
        }
        rest.is_empty() || is_open
    })
}

/// Tests that rightly differ, and why.
fn differs(list: &str) -> Vec<(&str, &str)> {
    let lines = list
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(": ").unwrap()).collect()
}

fn state(operation: Operation) -> String {
    match (operation.implemented(), operation.partly()) {
        (true, None) => "works".to_owned(),
        (true, Some(lacks)) => format!("partly: {lacks}"),
        (false, lacks) => {
            assert!(
                lacks.is_none(),
                "{operation} is not implemented, and lacks everything"
            );
            "501".to_owned()
        }
    }
}

fn request(operation: Operation) -> String {
    let (method, selectors) = operation.request_line();
    let path = match operation.level() {
        Level::Service => "/",
        Level::Bucket => "/bucket",
        Level::Object => "/bucket/key",
    };
    match selectors.is_empty() {
        true => format!("`{method} {path}`"),
        false => format!("`{method} {path}?{}`", selectors.join("&")),
    }
}

fn page(results: &str, list: &str) -> String {
    let outcomes = outcomes(results);
    let mut passed_with: BTreeMap<&str, usize> = BTreeMap::new();
    for outcome in outcomes
        .iter()
        .filter(|outcome| outcome.outcome == "passed")
    {
        for operation in &outcome.operations {
            *passed_with.entry(operation).or_default() += 1;
        }
    }
    let mut page = String::from(
        "# Compatibility with S3\n\n\
         <!-- Made by `make compatibility`; a test compares it with what it is made of. -->\n\n\
         Every operation of the S3 API reference, and what it does here. *Works*: as documented, with its errors. \
         *Partly*: what is\nmissing is named, and asking for it is an error. *501*: the answer is `NotImplemented`, and \
         nothing is changed. The last column says\nin how many passing tests of \
         [ceph/s3-tests](s3-tests.md) the operation was answered with success; the project's own tests come\non top.\n\n\
         | Operation | Request | State | Tests |\n|---|---|---|--:|\n",
    );
    for operation in Operation::ALL {
        let name = operation.name();
        let tests = passed_with
            .get(name)
            .map_or(String::new(), usize::to_string);
        writeln!(
            page,
            "| {name} | {} | {} | {tests} |",
            request(*operation),
            state(*operation)
        )
        .unwrap();
    }
    for (name, state) in NO_ROW {
        writeln!(page, "| {name} | | {state} | |").unwrap();
    }
    page.push_str(DEPARTURES);
    page.push_str("\n## ceph/s3-tests\n\n");
    if outcomes.is_empty() {
        page.push_str("No whole run has been kept yet.\n");
        return page;
    }
    page.push_str("| | wanted | marked `fails_on_aws` |\n|---|--:|--:|\n");
    for name in ["passed", "failed", "skipped"] {
        let count = |marked: bool| {
            let alike = outcomes
                .iter()
                .filter(|each| each.outcome == name && each.fails_on_aws == marked);
            alike.count()
        };
        writeln!(page, "| {name} | {} | {} |", count(false), count(true)).unwrap();
    }
    page.push_str("\nOf the wanted ones, these rightly differ:\n\n");
    for (test, reason) in differs(list) {
        writeln!(page, "- `{}`: {reason}", test.replace(", ", "`, `")).unwrap();
    }
    page.push_str(
        "\nAnd these fail. All are of `test_iam.py` and `test_sts.py`: \
         [why](s3-tests.md#identity-and-temporary-credentials), and [what IAM and STS do here](iam.md).\n\n",
    );
    let differing: Vec<&str> = differs(list).iter().map(|(test, _)| *test).collect();
    for outcome in &outcomes {
        let name = outcome.test.rsplit_once("::").unwrap().1;
        let is_known = outcome.fails_on_aws || differing.iter().any(|names| is_named(names, name));
        if outcome.outcome == "failed" && !is_known {
            let name = outcome.test.rsplit_once('/').unwrap().1;
            writeln!(page, "- `{name}`").unwrap();
        }
    }
    page
}

#[test]
fn the_page_is_what_it_is_made_of() {
    let read = |path: &str| fs::read_to_string(repository().join(path)).unwrap();
    let list = read("tests/s3-tests/differs.txt");
    assert!(differs(&list).len() <= DIFFERS_MAX);
    let made = page(&read("tests/s3-tests/results.txt"), &list);
    let path = repository().join("docs/s3-compatibility.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == made,
        "docs/s3-compatibility.md is stale: run `make compatibility`"
    );
}

#[test]
fn every_operation_in_the_results_has_a_row() {
    let results = fs::read_to_string(repository().join("tests/s3-tests/results.txt")).unwrap();
    for outcome in outcomes(&results) {
        for name in outcome.operations {
            let operation = Operation::ALL
                .iter()
                .find(|operation| operation.name() == name);
            let operation = operation.unwrap_or_else(|| panic!("{name} in {}", outcome.test));
            assert!(
                operation.implemented(),
                "{name} was answered with success in {}, and is not implemented",
                outcome.test
            );
        }
    }
}
