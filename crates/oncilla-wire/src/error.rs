//! S3's error codes with their status and default message, and the error that handlers return.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, StatusCode};

/// The name on the wire, where it cannot be an identifier.
macro_rules! code_name {
    ($code:ident) => {
        stringify!($code)
    };
    ($code:ident $name:literal) => {
        $name
    };
}

macro_rules! error_codes {
    ($($code:ident $(= $name:literal)?, $status:literal, $message:literal;)*) => {
        /// An error code of the S3 API. `as_str` is the name on the wire.
        /// Source: S3 API reference, "Error responses", and observed answers where it is silent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum S3ErrorCode { $($code,)* }

        impl S3ErrorCode {
            /// Every code, in the order of the table.
            pub const ALL: &'static [S3ErrorCode] = &[$(S3ErrorCode::$code,)*];

            /// The code as it stands in the `<Code>` element.
            pub fn as_str(self) -> &'static str {
                match self { $(S3ErrorCode::$code => code_name!($code $($name)?),)* }
            }

            /// The HTTP status that goes with the code.
            pub fn status(self) -> StatusCode {
                let status = match self { $(S3ErrorCode::$code => $status,)* };
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }

            /// The message used when nothing more precise is known.
            pub fn default_message(self) -> &'static str {
                match self { $(S3ErrorCode::$code => $message,)* }
            }
        }
    };
}

error_codes! {
    AccessDenied, 403, "Access Denied";
    AuthorizationHeaderMalformed, 400, "The authorization header that you provided is not valid.";
    AuthorizationQueryParametersError, 400, "The authorization query parameters that you provided are not valid.";
    BadDigest, 400, "The Content-MD5 or checksum value that you specified did not match what the server received.";
    BadRequest, 400, "Bad Request";
    BucketAlreadyExists, 409, "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Specify a different name and try again.";
    BucketAlreadyOwnedByYou, 409, "The bucket that you tried to create already exists, and you own it.";
    BucketNotEmpty, 409, "The bucket that you tried to delete is not empty.";
    ConditionalRequestConflict, 409, "A conflicting conditional operation is currently in progress against this resource. Please try again.";
    EntityTooLarge, 400, "Your proposed upload exceeds the maximum allowed object size.";
    EntityTooSmall, 400, "Your proposed upload is smaller than the minimum allowed object size.";
    ExpiredToken, 400, "The provided token has expired.";
    IllegalVersioningConfigurationException, 400, "The versioning configuration specified in the request is invalid.";
    IllegalLocationConstraintException, 400, "The specified location constraint is incompatible for the region specific endpoint this request was sent to.";
    IncompleteBody, 400, "You did not provide the number of bytes specified by the Content-Length HTTP header.";
    InsufficientStorage, 507, "There is not enough space left on the server to store the object. Nothing was changed.";
    InternalError, 500, "An internal error occurred. Try again.";
    InvalidAccessKeyId, 403, "The AWS access key ID that you provided does not exist in our records.";
    InvalidArgument, 400, "Invalid Argument";
    InvalidBucketName, 400, "The specified bucket is not valid.";
    InvalidDigest, 400, "The Content-MD5 or checksum value that you specified is not valid.";
    InvalidEncryptionAlgorithmError, 400, "The encryption request that you specified is not valid. The valid value is AES256.";
    InvalidLocationConstraint, 400, "The specified location constraint is not valid.";
    InvalidObjectState, 403, "The operation is not valid for the current state of the object.";
    InvalidPart, 400, "One or more of the specified parts could not be found. The part might not have been uploaded, or the specified entity tag might not have matched the part's entity tag.";
    InvalidPartNumber, 416, "The requested partnumber is not satisfiable.";
    InvalidPartOrder, 400, "The list of parts was not in ascending order. The parts list must be specified in order by part number.";
    InvalidRange, 416, "The requested range is not satisfiable.";
    InvalidRequest, 400, "Invalid Request";
    InvalidStorageClass, 400, "The storage class that you specified is not valid.";
    InvalidTag, 400, "The tag provided was not a valid tag.";
    InvalidToken, 400, "The provided token is malformed or otherwise not valid.";
    InvalidURI, 400, "The specified URI could not be parsed.";
    KmsDisabled = "KMS.DisabledException", 400, "The request was rejected because the specified KMS key is not enabled.";
    KmsNotFound = "KMS.NotFoundException", 400, "The request was rejected because the specified KMS key could not be found.";
    KeyTooLongError, 400, "Your key is too long.";
    MalformedXML, 400, "The XML that you provided was not well formed or did not validate against our published schema.";
    MaxMessageLengthExceeded, 400, "Your request was too large.";
    MetadataTooLarge, 400, "Your metadata headers exceed the maximum allowed metadata size.";
    MethodNotAllowed, 405, "The specified method is not allowed against this resource.";
    MissingContentLength, 411, "You must provide the Content-Length HTTP header.";
    MissingSecurityHeader, 400, "Your request is missing a required header.";
    NoSuchBucket, 404, "The specified bucket does not exist.";
    NoSuchKey, 404, "The specified key does not exist.";
    NoSuchTagSet, 404, "The TagSet does not exist.";
    NoSuchUpload, 404, "The specified multipart upload does not exist. The upload ID might be invalid, or the multipart upload might have been aborted or completed.";
    NoSuchVersion, 404, "The specified version does not exist.";
    NotImplemented, 501, "A header or operation that you provided implies functionality that is not implemented.";
    NotModified, 304, "Not Modified";
    OperationAborted, 409, "A conflicting conditional operation is currently in progress against this resource. Try again.";
    PreconditionFailed, 412, "At least one of the preconditions that you specified did not hold.";
    RequestHeaderSectionTooLarge, 400, "Your request header section exceeds the maximum allowed request header section size.";
    RequestTimeTooSkewed, 403, "The difference between the request time and the server's time is too large.";
    RequestTimeout, 400, "Your socket connection to the server was not read from or written to within the timeout period.";
    ServerSideEncryptionConfigurationNotFoundError, 404, "The server side encryption configuration was not found";
    ServiceUnavailable, 503, "Service is unable to handle request.";
    SignatureDoesNotMatch, 403, "The request signature that the server calculated does not match the signature that you provided. Check your secret access key and signing method.";
    SlowDown, 503, "Please reduce your request rate.";
    TooManyBuckets, 400, "You have attempted to create more buckets than are allowed for this account.";
    UnexpectedContent, 400, "This request contains unsupported content.";
    XAmzContentChecksumMismatch, 400, "The checksum value that you specified did not match what the server received.";
    XAmzContentSHA256Mismatch, 400, "The provided 'x-amz-content-sha256' header does not match what was computed.";
}

/// An error on its way to the client.
#[derive(Clone, Debug)]
pub struct S3Error {
    /// The code, which decides the status.
    pub code: S3ErrorCode,
    /// What went wrong, in a sentence the user can act on.
    pub message: Cow<'static, str>,
    /// Further elements of the `<Error>` document, such as `ArgumentName` or `CanonicalRequest`.
    pub details: Vec<(&'static str, String)>,
    /// Headers of the answer, such as `x-amz-delete-marker`. Unlike the document, they are in the
    /// answer to a HEAD too.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl S3Error {
    /// An error with the code's default message.
    pub fn new(code: S3ErrorCode) -> Self {
        Self {
            code,
            message: Cow::Borrowed(code.default_message()),
            details: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// An error with its own message.
    pub fn with_message(code: S3ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// An `InvalidArgument` that names the argument, as S3 does.
    pub fn invalid_argument(
        name: &str,
        value: &str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::with_message(S3ErrorCode::InvalidArgument, message)
            .detail("ArgumentName", name)
            .detail("ArgumentValue", value)
    }

    /// Adds an element to the document.
    #[must_use]
    pub fn detail(mut self, element: &'static str, value: impl Into<String>) -> Self {
        self.details.push((element, value.into()));
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl From<S3ErrorCode> for S3Error {
    fn from(code: S3ErrorCode) -> Self {
        Self::new(code)
    }
}

impl std::fmt::Display for S3Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for S3Error {}
