//! Exercises an S3 endpoint through the AWS SDK for Rust, as its users do.
//!
//! Reads `AWS_ENDPOINT_URL_S3`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
//! `AWS_SECRET_ACCESS_KEY`, `AWS_CA_BUNDLE` (optional), `BUCKET_NAME` and
//! `PATH_STYLE` (`true` or `false`). Prints one line per check and ends with a
//! non-zero code at the first that fails.

use std::env;
use std::error::Error;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart, Delete,
    ObjectIdentifier,
};
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};

type Outcome = Result<(), Box<dyn Error>>;

const MIB: usize = 1024 * 1024;

#[tokio::main]
async fn main() -> Outcome {
    let client = client()?;
    let bucket = env::var("BUCKET_NAME")?;
    upload_and_download(&client, &bucket).await?;
    println!("ok upload, head, get, metadata");
    ranges(&client, &bucket).await?;
    println!("ok ranges");
    multipart(&client, &bucket).await?;
    println!("ok multipart upload, list parts, abort");
    list(&client, &bucket).await?;
    println!("ok paginated listing with delimiter");
    copy(&client, &bucket).await?;
    println!("ok copy");
    conditions(&client, &bucket).await?;
    println!("ok conditional put and get");
    presign(&client, &bucket).await?;
    println!("ok presigned get and put");
    delete(&client, &bucket).await?;
    println!("ok delete one and many");
    Ok(())
}

fn client() -> Result<Client, Box<dyn Error>> {
    let credentials = Credentials::new(
        env::var("AWS_ACCESS_KEY_ID")?,
        env::var("AWS_SECRET_ACCESS_KEY")?,
        None,
        None,
        "environment",
    );
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(env::var("AWS_REGION")?))
        .endpoint_url(env::var("AWS_ENDPOINT_URL_S3")?)
        .force_path_style(env::var("PATH_STYLE")? == "true")
        .credentials_provider(credentials);
    if let Ok(path) = env::var("AWS_CA_BUNDLE") {
        let trust = TrustStore::empty().with_pem_certificate(std::fs::read(path)?);
        let context = TlsContext::builder().with_trust_store(trust).build()?;
        config = config.http_client(
            aws_smithy_http_client::Builder::new()
                .tls_provider(tls::Provider::Rustls(
                    tls::rustls_provider::CryptoMode::AwsLc,
                ))
                .tls_context(context)
                .build_https(),
        );
    }
    Ok(Client::from_conf(config.build()))
}

/// Repeatable bytes of which no two blocks are alike (xorshift64).
fn random_bytes(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

fn require(condition: bool, message: &str) -> Outcome {
    if condition {
        Ok(())
    } else {
        Err(message.into())
    }
}

async fn read(client: &Client, bucket: &str, key: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let object = client.get_object().bucket(bucket).key(key).send().await?;
    Ok(object.body.collect().await?.to_vec())
}

async fn upload_and_download(client: &Client, bucket: &str) -> Outcome {
    let content = random_bytes(3 * MIB + 5, 1);
    for algorithm in [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ] {
        let key = format!("checksums/{algorithm}");
        client
            .put_object()
            .bucket(bucket)
            .key(&key)
            .checksum_algorithm(algorithm)
            .content_type("application/x-test")
            .metadata("author", "rust")
            .body(ByteStream::from(content.clone()))
            .send()
            .await?;
        let head = client.head_object().bucket(bucket).key(&key).send().await?;
        require(
            head.content_length() == Some(content.len() as i64),
            "length in head",
        )?;
        require(
            head.content_type() == Some("application/x-test"),
            "content type in head",
        )?;
        let metadata = head.metadata().ok_or("no metadata")?;
        require(
            metadata.get("author").map(String::as_str) == Some("rust"),
            "metadata in head",
        )?;
        let object = client
            .get_object()
            .bucket(bucket)
            .key(&key)
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await?;
        // The SDK compares the body with the checksum header while collecting.
        require(object.body.collect().await?.to_vec() == content, "body")?;
    }

    // From a file, as streaming uploads are made.
    let path = env::temp_dir().join(format!("oncilla-rust-{}", std::process::id()));
    std::fs::write(&path, &content)?;
    let put = client
        .put_object()
        .bucket(bucket)
        .key("from a file/ü+ä")
        .body(ByteStream::from_path(&path).await?)
        .send()
        .await;
    std::fs::remove_file(&path)?;
    put?;
    require(
        read(client, bucket, "from a file/ü+ä").await? == content,
        "file body",
    )
}

async fn ranges(client: &Client, bucket: &str) -> Outcome {
    let content = random_bytes(MIB, 2);
    let body = ByteStream::from(content.clone());
    client
        .put_object()
        .bucket(bucket)
        .key("range")
        .body(body)
        .send()
        .await?;
    for (header, begin, end) in [
        ("bytes=0-9", 0, 10),
        ("bytes=65535-65536", 65535, 65537),
        ("bytes=-7", MIB - 7, MIB),
    ] {
        let part = client
            .get_object()
            .bucket(bucket)
            .key("range")
            .range(header)
            .send()
            .await?;
        require(
            part.body.collect().await?.to_vec() == content[begin..end],
            header,
        )?;
    }
    let outside = client
        .get_object()
        .bucket(bucket)
        .key("range")
        .range("bytes=1048576-")
        .send()
        .await;
    require(
        outside.err().and_then(|e| e.code().map(str::to_owned)) == Some("InvalidRange".to_owned()),
        "a range behind the end is refused",
    )
}

async fn multipart(client: &Client, bucket: &str) -> Outcome {
    let contents = [
        random_bytes(5 * MIB, 3),
        random_bytes(6 * MIB, 4),
        random_bytes(10, 5),
    ];
    let upload = client
        .create_multipart_upload()
        .bucket(bucket)
        .key("multi")
        .send()
        .await?;
    let upload_id = upload.upload_id().ok_or("no upload id")?;
    let mut completed = CompletedMultipartUpload::builder();
    for (number, content) in (1..).zip(&contents) {
        let part = client
            .upload_part()
            .bucket(bucket)
            .key("multi")
            .upload_id(upload_id)
            .part_number(number)
            .body(ByteStream::from(content.clone()))
            .send()
            .await?;
        completed = completed.parts(
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(part.e_tag().map(str::to_owned))
                .set_checksum_crc32(part.checksum_crc32().map(str::to_owned))
                .build(),
        );
    }
    let parts = client
        .list_parts()
        .bucket(bucket)
        .key("multi")
        .upload_id(upload_id)
        .send()
        .await?;
    require(parts.parts().len() == contents.len(), "three parts listed")?;
    client
        .complete_multipart_upload()
        .bucket(bucket)
        .key("multi")
        .upload_id(upload_id)
        .multipart_upload(completed.build())
        .send()
        .await?;
    require(
        read(client, bucket, "multi").await? == contents.concat(),
        "multipart body",
    )?;

    let unwanted = client
        .create_multipart_upload()
        .bucket(bucket)
        .key("unwanted")
        .send()
        .await?;
    client
        .abort_multipart_upload()
        .bucket(bucket)
        .key("unwanted")
        .set_upload_id(unwanted.upload_id().map(str::to_owned))
        .send()
        .await?;
    let left = client
        .list_multipart_uploads()
        .bucket(bucket)
        .send()
        .await?;
    require(left.uploads().is_empty(), "no upload is left")
}

async fn list(client: &Client, bucket: &str) -> Outcome {
    let names: Vec<String> = (0..25).map(|n| format!("list/{}/{n:02}", n % 3)).collect();
    for name in &names {
        let body = ByteStream::from_static(b"x");
        client
            .put_object()
            .bucket(bucket)
            .key(name)
            .body(body)
            .send()
            .await?;
    }
    let mut pages = client
        .list_objects_v2()
        .bucket(bucket)
        .prefix("list/")
        .into_paginator()
        .page_size(4)
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        found.extend(
            page?
                .contents()
                .iter()
                .filter_map(|o| o.key().map(str::to_owned)),
        );
    }
    let mut expected = names;
    expected.sort();
    require(found == expected, "all pages together")?;
    let groups = client
        .list_objects_v2()
        .bucket(bucket)
        .prefix("list/")
        .delimiter("/")
        .send()
        .await?;
    let prefixes: Vec<_> = groups
        .common_prefixes()
        .iter()
        .filter_map(|p| p.prefix())
        .collect();
    require(
        prefixes == ["list/0/", "list/1/", "list/2/"],
        "common prefixes",
    )
}

async fn copy(client: &Client, bucket: &str) -> Outcome {
    client
        .copy_object()
        .bucket(bucket)
        .key("copied")
        .copy_source(format!("{bucket}/multi"))
        .send()
        .await?;
    require(
        read(client, bucket, "copied").await? == read(client, bucket, "multi").await?,
        "copied body",
    )
}

async fn conditions(client: &Client, bucket: &str) -> Outcome {
    let put = || {
        client
            .put_object()
            .bucket(bucket)
            .key("once")
            .if_none_match("*")
            .body(ByteStream::from_static(b"first"))
            .send()
    };
    let etag = put().await?.e_tag().ok_or("no etag")?.to_owned();
    let second = put().await.err().ok_or("the second write went through")?;
    require(second.code() == Some("PreconditionFailed"), "error code")?;
    let unchanged = client
        .get_object()
        .bucket(bucket)
        .key("once")
        .if_none_match(etag)
        .send()
        .await
        .err()
        .ok_or("304 expected")?;
    let status = unchanged.raw_response().map(|r| r.status().as_u16());
    require(status == Some(304), "304 for an unchanged object")
}

async fn presign(client: &Client, bucket: &str) -> Outcome {
    let validity = PresigningConfig::expires_in(Duration::from_secs(60))?;
    let put = client
        .put_object()
        .bucket(bucket)
        .key("presigned key")
        .presigned(validity.clone())
        .await?;
    let get = client
        .get_object()
        .bucket(bucket)
        .key("presigned key")
        .presigned(validity)
        .await?;
    let body = curl(&["--request", "PUT", "--data-binary", "presigned", put.uri()])?;
    require(body.is_empty(), "answer to the presigned put")?;
    require(curl(&[get.uri()])? == b"presigned", "presigned body")
}

/// curl reads the CA file from `CURL_CA_BUNDLE`.
fn curl(arguments: &[&str]) -> Result<Vec<u8>, Box<dyn Error>> {
    let output = std::process::Command::new("curl")
        .args(["--silent", "--show-error", "--fail-with-body"])
        // A body without a declared type would be sent, and not signed, as a form.
        .args(["--header", "Content-Type:"])
        .args(arguments)
        .output()?;
    if !output.status.success() {
        return Err(format!(
            "curl: {}{}",
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout)
        )
        .into());
    }
    Ok(output.stdout)
}

async fn delete(client: &Client, bucket: &str) -> Outcome {
    client
        .delete_object()
        .bucket(bucket)
        .key("once")
        .send()
        .await?;
    let gone = client.get_object().bucket(bucket).key("once").send().await;
    let error = gone.err().ok_or("a deleted object was served")?;
    require(error.code() == Some("NoSuchKey"), "NoSuchKey")?;
    let objects = client.list_objects_v2().bucket(bucket).send().await?;
    let keys = objects
        .contents()
        .iter()
        .filter_map(|object| object.key())
        .map(|key| ObjectIdentifier::builder().key(key).build())
        .collect::<Result<Vec<_>, _>>()?;
    let delete = Delete::builder().set_objects(Some(keys)).build()?;
    client
        .delete_objects()
        .bucket(bucket)
        .delete(delete)
        .send()
        .await?;
    let left = client.list_objects_v2().bucket(bucket).send().await?;
    require(left.key_count() == Some(0), "an empty bucket")?;
    client.delete_bucket().bucket(bucket).send().await?;
    Ok(())
}
