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
    AccessControlListNotSupported, 400, "The bucket does not allow ACLs";
    AccessDenied, 403, "Access Denied";
    AccessForbidden, 403, "AccessForbidden";
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
    IdempotencyParameterMismatch, 400, "Parameters on this idempotent request are inconsistent with parameters used in previous request(s).";
    IdMismatch, 400, "Document ID does not match the specified configuration ID.";
    IllegalVersioningConfigurationException, 400, "The versioning configuration specified in the request is invalid.";
    IllegalLocationConstraintException, 400, "The specified location constraint is incompatible for the region specific endpoint this request was sent to.";
    IncompleteBody, 400, "You did not provide the number of bytes specified by the Content-Length HTTP header.";
    InsufficientStorage, 507, "There is not enough space left on the server. Nothing was changed.";
    InternalError, 500, "An internal error occurred. Try again.";
    InvalidAccessKeyId, 403, "The AWS access key ID that you provided does not exist in our records.";
    InvalidArgument, 400, "Invalid Argument";
    InvalidBucketAclWithObjectOwnership, 400, "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";
    InvalidBucketName, 400, "The specified bucket is not valid.";
    InvalidBucketState, 409, "The request is not valid for the current state of the bucket.";
    InvalidConfigurationId, 400, "The specified configuration id is invalid.";
    InvalidDigest, 400, "The Content-MD5 or checksum value that you specified is not valid.";
    InvalidEncryptionAlgorithmError, 400, "The encryption request that you specified is not valid. The valid value is AES256.";
    InvalidLocationConstraint, 400, "The specified location constraint is not valid.";
    InvalidObjectState, 403, "The operation is not valid for the current state of the object.";
    InvalidPart, 400, "One or more of the specified parts could not be found. The part might not have been uploaded, or the specified entity tag might not have matched the part's entity tag.";
    InvalidPartNumber, 416, "The requested partnumber is not satisfiable.";
    InvalidPartOrder, 400, "The list of parts was not in ascending order. The parts list must be specified in order by part number.";
    InvalidPolicyDocument, 400, "The content of the form does not meet the conditions specified in the policy document.";
    InvalidRange, 416, "The requested range is not satisfiable.";
    InvalidRedirectLocation, 400, "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.";
    InvalidRequest, 400, "Invalid Request";
    InvalidRetentionPeriod, 400, "The retention period that you specified is not valid.";
    InvalidS3DestinationBucket, 400, "The S3 destination bucket is not valid.";
    InvalidStorageClass, 400, "The storage class that you specified is not valid.";
    InvalidTargetBucketForLogging, 400, "The target bucket for logging does not exist, is not owned by you, or does not have the appropriate grants for the log-delivery group.";
    InvalidTag, 400, "The tag provided was not a valid tag.";
    InvalidToken, 400, "The provided token is malformed or otherwise not valid.";
    InvalidURI, 400, "The specified URI could not be parsed.";
    InvalidWriteOffset, 400, "The write offset value that you specified does not match the current object size.";
    KmsDisabled = "KMS.DisabledException", 400, "The request was rejected because the specified KMS key is not enabled.";
    KmsNotFound = "KMS.NotFoundException", 400, "The request was rejected because the specified KMS key could not be found.";
    KeyTooLongError, 400, "Your key is too long.";
    MalformedACLError, 400, "The ACL that you provided was not well formed or did not validate against our published schema.";
    MalformedPolicy, 400, "This policy contains invalid Json";
    MalformedPOSTRequest, 400, "The body of your POST request is not well-formed multipart/form-data.";
    MalformedXML, 400, "The XML that you provided was not well formed or did not validate against our published schema.";
    MaxPostPreDataLengthExceeded, 400, "Your POST request fields preceding the upload file were too large.";
    MaxMessageLengthExceeded, 400, "Your request was too large.";
    MetadataTooLarge, 400, "Your metadata headers exceed the maximum allowed metadata size.";
    MethodNotAllowed, 405, "The specified method is not allowed against this resource.";
    MissingContentLength, 411, "You must provide the Content-Length HTTP header.";
    MissingSecurityHeader, 400, "Your request is missing a required header.";
    NoSuchBucket, 404, "The specified bucket does not exist.";
    NoSuchBucketPolicy, 404, "The bucket policy does not exist";
    NoSuchConfiguration, 404, "The specified configuration does not exist.";
    NoSuchCORSConfiguration, 404, "The CORS configuration does not exist";
    NoSuchKey, 404, "The specified key does not exist.";
    NoSuchLifecycleConfiguration, 404, "The lifecycle configuration does not exist.";
    NoSuchObjectLockConfiguration, 404, "The specified object does not have a ObjectLock configuration";
    NoSuchPublicAccessBlockConfiguration, 404, "The public access block configuration was not found";
    NoSuchTagSet, 404, "The TagSet does not exist.";
    NoSuchUpload, 404, "The specified multipart upload does not exist. The upload ID might be invalid, or the multipart upload might have been aborted or completed.";
    NoSuchVersion, 404, "The specified version does not exist.";
    NoSuchWebsiteConfiguration, 404, "The specified bucket does not have a website configuration";
    NotImplemented, 501, "A header or operation that you provided implies functionality that is not implemented.";
    NotModified, 304, "Not Modified";
    ObjectLockConfigurationNotFoundError, 404, "Object Lock configuration does not exist for this bucket";
    ObjectNotInActiveTierError, 403, "The source object of the COPY operation is not in the active tier.";
    OperationAborted, 409, "A conflicting conditional operation is currently in progress against this resource. Try again.";
    OwnershipControlsNotFoundError, 404, "The bucket ownership controls were not found";
    PreconditionFailed, 412, "At least one of the preconditions that you specified did not hold.";
    RequestHeaderSectionTooLarge, 400, "Your request header section exceeds the maximum allowed request header section size.";
    RequestTimeTooSkewed, 403, "The difference between the request time and the server's time is too large.";
    RequestTimeout, 400, "Your socket connection to the server was not read from or written to within the timeout period.";
    RestoreAlreadyInProgress, 409, "Object restore is already in progress.";
    ServerSideEncryptionConfigurationNotFoundError, 404, "The server side encryption configuration was not found";
    ServiceUnavailable, 503, "Service is unable to handle request.";
    SignatureDoesNotMatch, 403, "The request signature that the server calculated does not match the signature that you provided. Check your secret access key and signing method.";
    SlowDown, 503, "Please reduce your request rate.";
    TooManyConfigurations, 400, "You are attempting to create a new configuration but have already reached the 1,000-configuration limit.";
    TooManyBuckets, 400, "You have attempted to create more buckets than are allowed for this account.";
    TooManyParts, 400, "You have attempted to add more parts than the maximum of 10000 that are allowed for this object.";
    UnexpectedContent, 400, "This request contains unsupported content.";
    UnresolvableGrantByEmailAddress, 400, "The e-mail address that you provided does not match any account on record.";
    XAmzContentChecksumMismatch, 400, "The checksum value that you specified did not match what the server received.";
    XAmzContentSHA256Mismatch, 400, "The provided 'x-amz-content-sha256' header does not match what was computed.";

    // SelectObjectContent. Source: S3 API reference, "List of SELECT Object Content Error Codes".
    AmbiguousFieldName, 400, "The field name matches to multiple fields in the file. Check the SQL expression and the file, and try again.";
    CastFailed, 400, "An attempt to convert from one data type to another using CAST failed in the SQL expression.";
    CSVParsingError, 400, "An error occurred while parsing the CSV file. Check the file and try again.";
    CSVUnescapedQuote, 400, "An unescaped quote was found while parsing the CSV file. To allow quoted record delimiters, set AllowQuotedRecordDelimiter to 'TRUE'.";
    DataSourcePathUnsupported, 400, "The data source path is not supported.";
    EmptyRequestBody, 400, "The request body cannot be empty.";
    EvaluatorBindingDoesNotExist, 400, "A column name or a path provided does not exist in the SQL expression.";
    EvaluatorInvalidArguments, 400, "There is an incorrect number of arguments in the function call in the SQL expression.";
    EvaluatorInvalidTimestampFormatPattern, 400, "The timestamp format string in the SQL expression is not valid.";
    EvaluatorInvalidTimestampFormatPatternSymbol, 400, "The timestamp format pattern contains a symbol in the SQL expression that is not valid.";
    EvaluatorLikePatternInvalidEscapeSequence, 400, "The escape sequence in the LIKE pattern of the SQL expression is not valid.";
    EvaluatorNegativeLimit, 400, "LIMIT must not be negative.";
    EvaluatorUnterminatedTimestampFormatPatternToken, 400, "The timestamp format pattern contains an unterminated token in the SQL expression.";
    ExpressionTooLong, 400, "The SQL expression is too long. The maximum byte-length for an SQL expression is 256 KB.";
    ExternalEvalException, 400, "The query cannot be evaluated. Check the file and try again.";
    IncorrectSqlFunctionArgumentType, 400, "An incorrect argument type was specified in a function call in the SQL expression.";
    IntegerOverflow, 400, "An integer overflow or underflow occurred in the SQL expression.";
    InvalidColumnIndex, 400, "The column index in the SQL expression is not valid.";
    InvalidCompressionFormat, 400, "The file is not in a supported compression format. Only GZIP and BZIP2 are supported.";
    InvalidDataSource, 400, "The data source type is not valid. Only CSV, JSON, and Parquet are supported.";
    InvalidDataType, 400, "The SQL expression contains a data type that is not valid.";
    InvalidExpressionType, 400, "The ExpressionType value is not valid. Only SQL expressions are supported.";
    InvalidFileHeaderInfo, 400, "The FileHeaderInfo value is not valid. Only NONE, USE, and IGNORE are supported.";
    InvalidJsonType, 400, "The JsonType value is not valid. Only DOCUMENT and LINES are supported.";
    InvalidQuoteFields, 400, "The QuoteFields value is not valid. Only ALWAYS and ASNEEDED are supported.";
    InvalidRequestParameter, 400, "The value of a parameter in the SelectRequest element is not valid. Check the service API documentation and try again.";
    InvalidScanRange, 400, "The provided scan range is not valid.";
    InvalidTableAlias, 400, "The SQL expression contains a table alias that is not valid.";
    InvalidTextEncoding, 400, "The encoding type is not valid. Only UTF-8 encoding is supported.";
    JSONParsingError, 400, "An error occurred while parsing the JSON file. Check the file and try again.";
    LexerInvalidChar, 400, "The SQL expression contains a character that is not valid.";
    LexerInvalidIONLiteral, 400, "The SQL expression contains an operator that is not valid.";
    LexerInvalidLiteral, 400, "The SQL expression contains a literal that is not valid.";
    LikeInvalidInputs, 400, "An argument given to the LIKE expression was not valid.";
    MissingHeaders, 400, "Some headers in the query are missing from the file. Check the file and try again.";
    MissingRequiredParameter, 400, "The SelectRequest entity is missing a required parameter. Check the service documentation and try again.";
    MultipleDataSourcesUnsupported, 400, "Multiple data sources are not supported.";
    NumberFormatError, 400, "An error occurred while parsing a number. This error can be caused by underflow or overflow of integers.";
    ObjectSerializationConflict, 400, "InputSerialization specifies more than one format (CSV, JSON, or Parquet), or OutputSerialization specifies more than one format (CSV or JSON).";
    OverMaxColumn, 400, "The number of columns in the result is greater than the maximum allowable number of columns.";
    OverMaxRecordSize, 400, "The length of a record in the input or result is greater than the maxCharsPerRecord limit of 1 MB.";
    ParseAsteriskIsNotAloneInSelectList, 400, "Other expressions are not allowed in the SELECT list when * is used without dot notation in the SQL expression.";
    ParseCastArity, 400, "The SQL expression CAST has incorrect arity.";
    ParseEmptySelect, 400, "The SQL expression contains an empty SELECT clause.";
    ParseExpectedArgumentDelimiter, 400, "Did not find the expected argument delimiter in the SQL expression.";
    ParseExpectedDatePart, 400, "Did not find the expected date part in the SQL expression.";
    ParseExpectedExpression, 400, "Did not find the expected SQL expression.";
    ParseExpectedIdentForAlias, 400, "Did not find the expected identifier for the alias in the SQL expression.";
    ParseExpectedKeyword, 400, "Did not find the expected keyword in the SQL expression.";
    ParseExpectedLeftParenAfterCast, 400, "Did not find the expected left parenthesis after CAST in the SQL expression.";
    ParseExpectedLeftParenBuiltinFunctionCall, 400, "Did not find the expected left parenthesis in the SQL expression.";
    ParseExpectedMember, 400, "The SQL expression contains an unsupported use of MEMBER.";
    ParseExpectedNumber, 400, "Did not find the expected number in the SQL expression.";
    ParseExpectedRightParenBuiltinFunctionCall, 400, "Did not find the expected right parenthesis character in the SQL expression.";
    ParseExpectedTokenType, 400, "Did not find the expected token in the SQL expression.";
    ParseExpectedTypeName, 400, "Did not find the expected type name in the SQL expression.";
    ParseExpectedWhenClause, 400, "Did not find the expected WHEN clause in the SQL expression. CASE is not supported.";
    ParseInvalidTypeParam, 400, "The SQL expression contains a parameter value that is not valid.";
    ParseNonUnaryAgregateFunctionCall, 400, "Only one argument is supported for aggregate functions in the SQL expression.";
    ParseSelectMissingFrom, 400, "The SQL expression contains a missing FROM after the SELECT list.";
    ParseUnexpectedKeyword, 400, "The SQL expression contains an unexpected keyword.";
    ParseUnexpectedOperator, 400, "The SQL expression contains an unexpected operator.";
    ParseUnexpectedTerm, 400, "The SQL expression contains an unexpected term.";
    ParseUnexpectedToken, 400, "The SQL expression contains an unexpected token.";
    ParseUnsupportedCallWithStar, 400, "COUNT(*) is the only function call with * that is supported.";
    ParseUnsupportedSelect, 400, "The SQL expression contains an unsupported use of SELECT.";
    ParseUnsupportedSyntax, 400, "The SQL expression contains unsupported syntax.";
    TruncatedInput, 400, "Object decompression failed. Check that the object is properly compressed using the format specified in the request.";
    UnsupportedFunction, 400, "We encountered an unsupported SQL function.";
    UnsupportedScanRangeInput, 400, "Scan range queries are not supported on this type of object.";
    UnsupportedSqlOperation, 400, "We encountered an unsupported SQL operation.";
    UnsupportedSqlStructure, 400, "We encountered an unsupported SQL structure. Check the SQL Reference.";
    UnsupportedSyntax, 400, "We encountered syntax that is not valid.";
    ValueParseFailure, 400, "A timestamp parse failure occurred in the SQL expression.";
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
