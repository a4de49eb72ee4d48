//! Errors of IAM and STS.
//! Source: IAM and STS API references, "Common errors" and the errors of each action.

use http::StatusCode;

use super::answer::QueryService;
use crate::xml::XmlWriter;

macro_rules! query_error_codes {
    ($($code:ident, $name:literal, $status:literal;)*) => {
        /// An error code of IAM or STS.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum QueryErrorCode { $($code,)* }

        impl QueryErrorCode {
            /// The code as it stands in the `Code` element.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$code => $name,)* }
            }

            /// The HTTP status that goes with it.
            pub fn status(self) -> StatusCode {
                let status = match self { $(Self::$code => $status,)* };
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    };
}

query_error_codes! {
    AccessDenied, "AccessDenied", 403;
    ConcurrentModification, "ConcurrentModification", 409;
    DeleteConflict, "DeleteConflict", 409;
    EntityAlreadyExists, "EntityAlreadyExists", 409;
    ExpiredToken, "ExpiredToken", 400;
    IncompleteSignature, "IncompleteSignature", 400;
    InternalFailure, "InternalFailure", 500;
    InvalidAction, "InvalidAction", 400;
    InvalidClientTokenId, "InvalidClientTokenId", 403;
    InvalidInput, "InvalidInput", 400;
    LimitExceeded, "LimitExceeded", 409;
    MalformedInput, "MalformedInput", 400;
    MalformedPolicyDocument, "MalformedPolicyDocument", 400;
    MissingAction, "MissingAction", 400;
    MissingAuthenticationToken, "MissingAuthenticationToken", 403;
    NoSuchEntity, "NoSuchEntity", 404;
    NotImplemented, "NotImplemented", 501;
    PackedPolicyTooLarge, "PackedPolicyTooLarge", 400;
    RequestEntityTooLarge, "RequestEntityTooLarge", 413;
    RequestExpired, "RequestExpired", 400;
    ServiceUnavailable, "ServiceUnavailable", 503;
    SignatureDoesNotMatch, "SignatureDoesNotMatch", 403;
    UnmodifiableEntity, "UnmodifiableEntity", 400;
    ValidationError, "ValidationError", 400;
}

/// Longest value that an error repeats, so that an answer stays small.
const QUOTED_CHARS_MAX: usize = 128;

/// An error on its way to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    /// The code, which decides the status.
    pub code: QueryErrorCode,
    /// What went wrong.
    pub message: String,
}

impl QueryError {
    /// An error.
    pub fn new(code: QueryErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A `ValidationError` about a parameter, in AWS's words.
    pub fn invalid(parameter: &str, value: &str, rule: &str) -> Self {
        let mut name = parameter.to_owned();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        let value: String = value.chars().take(QUOTED_CHARS_MAX).collect();
        let quoted = if value == "null" {
            value
        } else {
            format!("'{value}'")
        };
        Self::new(
            QueryErrorCode::ValidationError,
            format!(
                "1 validation error detected: Value {quoted} at '{name}' failed to satisfy \
                 constraint: {rule}"
            ),
        )
    }

    /// Writes the document.
    pub fn to_xml(&self, service: QueryService, request_id: &str) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(384 + self.message.len());
        xml.open_root_in("ErrorResponse", service.namespace());
        xml.open("Error");
        let is_ours = self.code.status().is_server_error();
        xml.text("Type", if is_ours { "Receiver" } else { "Sender" });
        xml.text("Code", self.code.as_str());
        xml.message(&self.message);
        xml.close("Error");
        xml.text("RequestId", request_id);
        xml.close("ErrorResponse");
        xml.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_the_shape_of_aws() {
        let error = QueryError::invalid("UserName", "a<b", "Member must be short");
        let document = String::from_utf8(error.to_xml(QueryService::Iam, "id-1")).unwrap();
        assert_eq!(
            document,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error>\
             <Type>Sender</Type><Code>ValidationError</Code><Message>1 validation error detected: \
             Value &apos;a&lt;b&apos; at &apos;userName&apos; failed to satisfy constraint: Member \
             must be short</Message></Error><RequestId>id-1</RequestId></ErrorResponse>"
        );
    }
}
