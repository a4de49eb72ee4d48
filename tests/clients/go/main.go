// Command clients exercises an S3 endpoint through the AWS SDK for Go v2, as
// its users do.
//
// It reads AWS_ENDPOINT_URL_S3, AWS_REGION, AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY, AWS_CA_BUNDLE (optional), BUCKET_NAME and PATH_STYLE,
// prints one line per check and ends with a non-zero code at the first that fails.
package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"slices"
	"sort"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const mib = 1024 * 1024

type tester struct {
	s3     *s3.Client
	http   *http.Client
	bucket *string
}

func main() {
	client, err := newTester()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	checks := []struct {
		name string
		run  func(*tester, context.Context) error
	}{
		{"upload, head, get, checksums, metadata", uploadAndDownload},
		{"ranges", ranges},
		{"managed multipart upload and download, abort", multipart},
		{"paginated listing with delimiter", list},
		{"copy", copyObject},
		{"conditional put and get", conditions},
		{"presigned get and put", presign},
		{"delete one and many", remove},
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, check := range checks {
		if err := check.run(client, ctx); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", check.name, err)
			os.Exit(1)
		}
		fmt.Println("ok", check.name)
	}
}

func newTester() (*tester, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if path := os.Getenv("AWS_CA_BUNDLE"); path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, errors.New("no certificate in AWS_CA_BUNDLE")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	httpClient := &http.Client{Transport: transport}
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(os.Getenv("AWS_ENDPOINT_URL_S3")),
		Region:       os.Getenv("AWS_REGION"),
		UsePathStyle: os.Getenv("PATH_STYLE") == "true",
		HTTPClient:   httpClient,
		Credentials: credentials.NewStaticCredentialsProvider(
			os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
		RetryMaxAttempts: 1,
	})
	return &tester{client, httpClient, aws.String(os.Getenv("BUCKET_NAME"))}, nil
}

func randomBytes(size int, seed int64) []byte {
	content := make([]byte, size)
	rand.New(rand.NewSource(seed)).Read(content)
	return content
}

func require(condition bool, format string, arguments ...any) error {
	if condition {
		return nil
	}
	return fmt.Errorf(format, arguments...)
}

func hasCode(err error, code string) bool {
	var apiError smithy.APIError
	return errors.As(err, &apiError) && apiError.ErrorCode() == code
}

func (t *tester) put(ctx context.Context, key string, content []byte) error {
	_, err := t.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: t.bucket, Key: &key, Body: bytes.NewReader(content)})
	return err
}

func (t *tester) get(ctx context.Context, input *s3.GetObjectInput) ([]byte, error) {
	input.Bucket = t.bucket
	object, err := t.s3.GetObject(ctx, input)
	if err != nil {
		return nil, err
	}
	defer object.Body.Close()
	return io.ReadAll(object.Body)
}

func uploadAndDownload(t *tester, ctx context.Context) error {
	content := randomBytes(300_000, 1)
	digest := md5.Sum(content)
	for _, algorithm := range []types.ChecksumAlgorithm{
		types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c,
		types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha1,
		types.ChecksumAlgorithmSha256,
	} {
		key := "checksums/" + string(algorithm)
		put, err := t.s3.PutObject(ctx, &s3.PutObjectInput{
			Bucket: t.bucket, Key: &key, Body: bytes.NewReader(content),
			ChecksumAlgorithm: algorithm, ContentType: aws.String("application/x-test"),
			Metadata: map[string]string{"author": "go"},
		})
		if err != nil {
			return fmt.Errorf("%s: %w", algorithm, err)
		}
		etag := `"` + hex.EncodeToString(digest[:]) + `"`
		head, err := t.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: t.bucket, Key: &key})
		if err != nil {
			return err
		}
		if aws.ToString(put.ETag) != etag || aws.ToInt64(head.ContentLength) != int64(len(content)) ||
			aws.ToString(head.ContentType) != "application/x-test" || head.Metadata["author"] != "go" {
			return fmt.Errorf("unexpected head: %+v", head)
		}
		// The SDK compares the body with the checksum while it is read.
		got, err := t.get(ctx, &s3.GetObjectInput{Key: &key, ChecksumMode: types.ChecksumModeEnabled})
		if err != nil {
			return err
		}
		if err := require(bytes.Equal(got, content), "wrong body for %s", algorithm); err != nil {
			return err
		}
	}
	odd := "a b/ü+&.txt"
	if err := t.put(ctx, odd, []byte("odd")); err != nil {
		return err
	}
	got, err := t.get(ctx, &s3.GetObjectInput{Key: &odd})
	if err != nil {
		return err
	}
	return require(string(got) == "odd", "wrong body for an odd key")
}

func ranges(t *tester, ctx context.Context) error {
	content := randomBytes(mib, 2)
	key := "range"
	if err := t.put(ctx, key, content); err != nil {
		return err
	}
	for _, one := range []struct {
		header     string
		begin, end int
	}{{"bytes=0-9", 0, 10}, {"bytes=65535-65536", 65535, 65537}, {"bytes=-7", mib - 7, mib}} {
		got, err := t.get(ctx, &s3.GetObjectInput{Key: &key, Range: &one.header})
		if err != nil {
			return err
		}
		if err := require(bytes.Equal(got, content[one.begin:one.end]), "%s", one.header); err != nil {
			return err
		}
	}
	_, err := t.get(ctx, &s3.GetObjectInput{Key: &key, Range: aws.String("bytes=1048576-")})
	return require(hasCode(err, "InvalidRange"), "a range behind the end gave %v", err)
}

func multipart(t *tester, ctx context.Context) error {
	content := randomBytes(17*mib, 3)
	key := "multi"
	uploader := manager.NewUploader(t.s3, func(u *manager.Uploader) { u.PartSize = 5 * mib })
	// Hidden behind a plain reader, so that the length is not known beforehand.
	body := io.MultiReader(bytes.NewReader(content))
	if _, err := uploader.Upload(ctx, &s3.PutObjectInput{Bucket: t.bucket, Key: &key, Body: body}); err != nil {
		return err
	}
	buffer := manager.NewWriteAtBuffer(nil)
	downloader := manager.NewDownloader(t.s3, func(d *manager.Downloader) { d.PartSize = 5 * mib })
	if _, err := downloader.Download(ctx, buffer, &s3.GetObjectInput{Bucket: t.bucket, Key: &key}); err != nil {
		return err
	}
	if !bytes.Equal(buffer.Bytes(), content) {
		return errors.New("wrong body after multipart")
	}
	upload, err := t.s3.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: t.bucket, Key: aws.String("unwanted")})
	if err != nil {
		return err
	}
	if _, err := t.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: t.bucket, Key: aws.String("unwanted"), UploadId: upload.UploadId}); err != nil {
		return err
	}
	left, err := t.s3.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: t.bucket})
	if err != nil {
		return err
	}
	return require(len(left.Uploads) == 0, "%d uploads are left", len(left.Uploads))
}

func list(t *tester, ctx context.Context) error {
	var expected []string
	for number := range 25 {
		key := fmt.Sprintf("list/%d/%02d", number%3, number)
		if err := t.put(ctx, key, []byte("x")); err != nil {
			return err
		}
		expected = append(expected, key)
	}
	sort.Strings(expected)
	prefix := aws.String("list/")
	pages := s3.NewListObjectsV2Paginator(t.s3, &s3.ListObjectsV2Input{
		Bucket: t.bucket, Prefix: prefix, MaxKeys: aws.Int32(4)})
	var found []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, object := range page.Contents {
			found = append(found, *object.Key)
		}
	}
	if !slices.Equal(found, expected) {
		return fmt.Errorf("listed %v", found)
	}
	groups, err := t.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: t.bucket, Prefix: prefix, Delimiter: aws.String("/")})
	if err != nil {
		return err
	}
	var prefixes []string
	for _, group := range groups.CommonPrefixes {
		prefixes = append(prefixes, *group.Prefix)
	}
	return require(slices.Equal(prefixes, []string{"list/0/", "list/1/", "list/2/"}),
		"common prefixes %v", prefixes)
}

func copyObject(t *tester, ctx context.Context) error {
	if _, err := t.s3.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: t.bucket, Key: aws.String("copied"), CopySource: aws.String(*t.bucket + "/multi")}); err != nil {
		return err
	}
	source, err := t.get(ctx, &s3.GetObjectInput{Key: aws.String("multi")})
	if err != nil {
		return err
	}
	copied, err := t.get(ctx, &s3.GetObjectInput{Key: aws.String("copied")})
	if err != nil {
		return err
	}
	return require(bytes.Equal(source, copied), "the copy differs")
}

func conditions(t *tester, ctx context.Context) error {
	key := "once"
	put := func() (*s3.PutObjectOutput, error) {
		return t.s3.PutObject(ctx, &s3.PutObjectInput{
			Bucket: t.bucket, Key: &key, Body: bytes.NewReader([]byte("first")),
			IfNoneMatch: aws.String("*")})
	}
	first, err := put()
	if err != nil {
		return err
	}
	if _, err := put(); !hasCode(err, "PreconditionFailed") {
		return fmt.Errorf("the second write gave %v", err)
	}
	_, err = t.get(ctx, &s3.GetObjectInput{Key: &key, IfNoneMatch: first.ETag})
	var response *smithyhttp.ResponseError
	return require(errors.As(err, &response) && response.HTTPStatusCode() == 304,
		"an unchanged object gave %v", err)
}

func presign(t *tester, ctx context.Context) error {
	signer := s3.NewPresignClient(t.s3, s3.WithPresignExpires(time.Minute))
	key := "presigned key"
	put, err := signer.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: t.bucket, Key: &key})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, put.Method, put.URL, bytes.NewReader([]byte("presigned")))
	if err != nil {
		return err
	}
	for name, values := range put.SignedHeader {
		if name != "Host" && name != "Content-Length" {
			request.Header[name] = values
		}
	}
	answer, err := t.http.Do(request)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != 200 {
		return fmt.Errorf("presigned put: %s", answer.Status)
	}
	get, err := signer.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: t.bucket, Key: &key})
	if err != nil {
		return err
	}
	got, err := t.http.Get(get.URL)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		return err
	}
	return require(string(body) == "presigned", "presigned get: %s %s", got.Status, body)
}

func remove(t *tester, ctx context.Context) error {
	key := "once"
	if _, err := t.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: t.bucket, Key: &key}); err != nil {
		return err
	}
	if _, err := t.get(ctx, &s3.GetObjectInput{Key: &key}); !hasCode(err, "NoSuchKey") {
		return fmt.Errorf("a deleted object gave %v", err)
	}
	objects, err := t.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: t.bucket})
	if err != nil {
		return err
	}
	var all []types.ObjectIdentifier
	for _, object := range objects.Contents {
		all = append(all, types.ObjectIdentifier{Key: object.Key})
	}
	deleted, err := t.s3.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: t.bucket, Delete: &types.Delete{Objects: all}})
	if err != nil {
		return err
	}
	if len(deleted.Deleted) != len(all) || len(deleted.Errors) != 0 {
		return fmt.Errorf("deleted %d of %d, %d errors", len(deleted.Deleted), len(all), len(deleted.Errors))
	}
	_, err = t.s3.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: t.bucket})
	return err
}
