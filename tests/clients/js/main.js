// Exercises an S3 endpoint through the AWS SDK for JavaScript v3, as its users do.
//
// Reads AWS_ENDPOINT_URL_S3, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
// (the SDK does), NODE_EXTRA_CA_CERTS (Node does), BUCKET_NAME and PATH_STYLE.
// Prints one line per check and ends with a non-zero code at the first that fails.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";

import {
  AbortMultipartUploadCommand,
  ChecksumAlgorithm,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  paginateListObjectsV2,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const MIB = 1024 * 1024;
const Bucket = process.env.BUCKET_NAME;
const s3 = new S3Client({
  forcePathStyle: process.env.PATH_STYLE === "true",
  maxAttempts: 1,
});

async function read(Key, extra = {}) {
  const answer = await s3.send(new GetObjectCommand({ Bucket, Key, ...extra }));
  return Buffer.from(await answer.Body.transformToByteArray());
}

async function uploadAndDownload() {
  const content = randomBytes(300_000);
  for (const algorithm of Object.values(ChecksumAlgorithm)) {
    // The enumeration also names algorithms that S3 added later.
    if (!["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"].includes(algorithm)) continue;
    const Key = `checksums/${algorithm}`;
    await s3.send(
      new PutObjectCommand({
        Bucket,
        Key,
        Body: content,
        ChecksumAlgorithm: algorithm,
        ContentType: "application/x-test",
        Metadata: { author: "js" },
      }),
    );
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: "ENABLED" }));
    assert.equal(head.ContentLength, content.length);
    assert.equal(head.ContentType, "application/x-test");
    assert.deepEqual(head.Metadata, { author: "js" });
    assert.equal(head.ETag, `"${createHash("md5").update(content).digest("hex")}"`);
    assert.ok(head[`Checksum${algorithm}`], `a ${algorithm} checksum in head`);
    assert.ok((await read(Key, { ChecksumMode: "ENABLED" })).equals(content));
  }
  await s3.send(new PutObjectCommand({ Bucket, Key: "a b/ü+&.txt", Body: "odd" }));
  assert.equal((await read("a b/ü+&.txt")).toString(), "odd");
}

async function ranges() {
  const content = randomBytes(MIB);
  await s3.send(new PutObjectCommand({ Bucket, Key: "range", Body: content }));
  for (const [Range, begin, end] of [
    ["bytes=0-9", 0, 10],
    ["bytes=65535-65536", 65535, 65537],
    ["bytes=-7", MIB - 7, MIB],
  ]) {
    assert.ok((await read("range", { Range })).equals(content.subarray(begin, end)), Range);
  }
  await assert.rejects(read("range", { Range: `bytes=${MIB}-` }), { name: "InvalidRange" });
}

async function multipart() {
  const content = randomBytes(17 * MIB);
  // A stream of unknown length, as an upload from a request is.
  const pieces = [];
  for (let at = 0; at < content.length; at += MIB) pieces.push(content.subarray(at, at + MIB));
  const progress = [];
  const upload = new Upload({
    client: s3,
    params: { Bucket, Key: "multi", Body: Readable.from(pieces), ContentType: "x/stream" },
    partSize: 5 * MIB,
    queueSize: 3,
  });
  upload.on("httpUploadProgress", (event) => progress.push(event.loaded));
  await upload.done();
  assert.ok(progress.length >= 4);
  const head = await s3.send(new HeadObjectCommand({ Bucket, Key: "multi" }));
  assert.match(head.ETag, /-4"$/);
  assert.equal(head.ContentType, "x/stream");
  assert.ok((await read("multi")).equals(content));

  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: "no" }));
  await s3.send(new AbortMultipartUploadCommand({ Bucket, Key: "no", UploadId }));
  const left = await s3.send(new ListMultipartUploadsCommand({ Bucket }));
  assert.equal((left.Uploads ?? []).length, 0);
}

async function list() {
  const keys = Array.from({ length: 25 }, (_, n) => `list/${n % 3}/${String(n).padStart(2, "0")}`);
  await Promise.all(keys.map((Key) => s3.send(new PutObjectCommand({ Bucket, Key, Body: "x" }))));
  const found = [];
  for await (const page of paginateListObjectsV2(
    { client: s3, pageSize: 4 },
    { Bucket, Prefix: "list/" },
  )) {
    found.push(...(page.Contents ?? []).map((entry) => entry.Key));
  }
  assert.deepEqual(found, keys.toSorted());
  const groups = await s3.send(
    new ListObjectsV2Command({ Bucket, Prefix: "list/", Delimiter: "/" }),
  );
  assert.deepEqual(
    groups.CommonPrefixes.map((group) => group.Prefix),
    ["list/0/", "list/1/", "list/2/"],
  );
}

async function copy() {
  await s3.send(new CopyObjectCommand({ Bucket, Key: "copied", CopySource: `${Bucket}/multi` }));
  assert.ok((await read("copied")).equals(await read("multi")));
}

async function conditions() {
  const put = () =>
    s3.send(new PutObjectCommand({ Bucket, Key: "once", Body: "first", IfNoneMatch: "*" }));
  const { ETag } = await put();
  await assert.rejects(put(), { name: "PreconditionFailed" });
  await assert.rejects(
    read("once", { IfNoneMatch: ETag }),
    (error) => error.$metadata.httpStatusCode === 304,
  );
}

async function presign() {
  const Key = "presigned key";
  const putUrl = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key }), { expiresIn: 60 });
  const put = await fetch(putUrl, { method: "PUT", body: Buffer.from("presigned") });
  assert.equal(put.status, 200, await put.text());
  const getUrl = await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key }), { expiresIn: 60 });
  const got = await fetch(getUrl);
  assert.equal(await got.text(), "presigned");
  const changed = await fetch(getUrl.replace(/Expires=60/, "Expires=61"));
  assert.equal(changed.status, 403);
}

async function remove() {
  await s3.send(new DeleteObjectCommand({ Bucket, Key: "once" }));
  await assert.rejects(read("once"), { name: "NoSuchKey" });
  const { Contents } = await s3.send(new ListObjectsV2Command({ Bucket }));
  const answer = await s3.send(
    new DeleteObjectsCommand({
      Bucket,
      Delete: { Objects: Contents.map(({ Key }) => ({ Key })) },
    }),
  );
  assert.equal(answer.Deleted.length, Contents.length);
  assert.equal((await s3.send(new ListObjectsV2Command({ Bucket }))).KeyCount, 0);
  await s3.send(new DeleteBucketCommand({ Bucket }));
}

for (const [name, check] of [
  ["upload, head, get, checksums, metadata", uploadAndDownload],
  ["ranges", ranges],
  ["streamed multipart upload, abort", multipart],
  ["paginated listing with delimiter", list],
  ["copy", copy],
  ["conditional put and get", conditions],
  ["presigned get and put", presign],
  ["delete one and many", remove],
]) {
  await check();
  console.log(`ok ${name}`);
}
