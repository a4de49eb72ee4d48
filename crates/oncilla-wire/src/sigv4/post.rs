//! The signature of the policy of a POST Object form.
//! Source: S3 API reference, "Authenticating Requests in Browser-Based Uploads Using POST".

use std::borrow::Cow;

use oncilla_hash::hex;
use subtle::ConstantTimeEq as _;

use super::scope::parse_credential;
use super::verify::check_is_past;
use super::{ALGORITHM, AmzDate, SERVICE_S3, Scope, SignatureLocation, SigningKey, VerifyLimits};
use crate::error::S3Error;
use crate::post_policy::signature_does_not_match;

/// What a form says of its signature.
#[derive(Clone, Debug)]
pub struct SignedPolicy<'r> {
    /// Who claims to have signed.
    pub access_key_id: Cow<'r, str>,
    /// The scope of the key it was signed with.
    pub scope: Scope<'r>,
    /// When it was signed.
    pub timestamp: AmzDate,
    signature: &'r str,
}

impl<'r> SignedPolicy<'r> {
    /// Takes the fields `x-amz-algorithm`, `x-amz-credential`, `x-amz-date` and `x-amz-signature`.
    ///
    /// # Errors
    /// `InvalidArgument` for an algorithm or a date that is none of S3's,
    /// `AuthorizationQueryParametersError` for a credential that is not one.
    pub fn new(
        algorithm: &str,
        credential: &'r str,
        date: &str,
        signature: &'r str,
    ) -> Result<Self, S3Error> {
        if algorithm != ALGORITHM {
            let message = "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"";
            return Err(S3Error::invalid_argument(
                "x-amz-algorithm",
                algorithm,
                message,
            ));
        }
        let (access_key_id, scope) =
            parse_credential(Cow::Borrowed(credential), SignatureLocation::Query)?;
        let date = AmzDate::parse(date.as_bytes()).filter(|date| date.day() == scope.day);
        let Some(timestamp) = date.filter(|_| scope.service == SERVICE_S3) else {
            let message = "X-Amz-Date must be in the ISO8601 Long Format \
                           \"yyyyMMdd'T'HHmmss'Z'\", and the credential be of the same day, for \
                           the service s3";
            return Err(S3Error::invalid_argument(
                "x-amz-credential",
                credential,
                message,
            ));
        };
        Ok(Self {
            access_key_id,
            scope,
            timestamp,
            signature,
        })
    }

    /// Checks that it was signed before now (Unix seconds). For how long it holds, the policy says.
    ///
    /// # Errors
    /// `AccessDenied`, as of a presigned URL.
    pub fn check_time(&self, now_s: i64, limits: &VerifyLimits) -> Result<(), S3Error> {
        check_is_past(&self.timestamp, now_s, limits)
    }

    /// Decides whether `policy`, the field as it was sent, was signed with `key`.
    ///
    /// # Errors
    /// `SignatureDoesNotMatch` with what was signed, never with the secret.
    pub fn verify(&self, policy: &str, key: &SigningKey) -> Result<(), S3Error> {
        let expected = hex::encode_32(&key.sign(policy.as_bytes()));
        if expected.ct_eq(self.signature.as_bytes()).into() {
            return Ok(());
        }
        Err(signature_does_not_match(
            &self.access_key_id,
            policy,
            self.signature,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::S3ErrorCode;

    /// Source: S3 API reference, "Example: Browser-Based Upload using HTTP POST (Using AWS Signature
    /// Version 4)": its credential and secret. The signature is of a policy of our own, computed
    /// with Python's hmac.
    #[test]
    fn the_right_key_verifies_and_no_other() {
        let credential = "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request";
        let policy = "eyJjb25kaXRpb25zIjogW119";
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let signature = "501fdd89bb2111884523c5f8de09ad824c926216d91174be7aeeda0562b30111";
        let date = "20151229T000000Z";
        let signed = SignedPolicy::new(ALGORITHM, credential, date, signature).unwrap();
        assert_eq!(signed.access_key_id, "AKIAIOSFODNN7EXAMPLE");
        let key = SigningKey::derive(secret, &signed.scope);
        signed.verify(policy, &key).unwrap();
        let error = signed
            .verify("eyJjb25kaXRpb25zIjogW119Cg==", &key)
            .unwrap_err();
        assert_eq!(error.code, S3ErrorCode::SignatureDoesNotMatch);
        let other = SigningKey::derive("another", &signed.scope);
        assert!(signed.verify(policy, &other).is_err());
    }

    #[test]
    fn a_policy_of_the_future_is_refused() {
        let credential = "AK/20151229/us-east-1/s3/aws4_request";
        let signed = SignedPolicy::new(ALGORITHM, credential, "20151229T000000Z", "").unwrap();
        let signed_s = signed.timestamp.unix_s();
        let limits = VerifyLimits::default();
        let skew_s = i64::try_from(limits.clock_skew_s).unwrap();
        for now_s in [signed_s - skew_s, signed_s, signed_s + 100 * skew_s] {
            signed.check_time(now_s, &limits).unwrap();
        }
        let refused = signed.check_time(signed_s - skew_s - 1, &limits);
        assert_eq!(refused.unwrap_err().code, S3ErrorCode::AccessDenied);
    }

    #[test]
    fn what_is_refused() {
        let good = "AK/20151229/us-east-1/s3/aws4_request";
        let date = "20151229T000000Z";
        for (algorithm, credential, date) in [
            ("AWS4-HMAC-SHA512", good, date),
            (ALGORITHM, "AK/20151229/us-east-1/s3", date),
            (ALGORITHM, "AK/20151229/us-east-1/sts/aws4_request", date),
            (ALGORITHM, good, "20151230T000000Z"),
            (ALGORITHM, good, "2015-12-29"),
        ] {
            let refused = SignedPolicy::new(algorithm, credential, date, "");
            assert!(refused.is_err(), "{algorithm} {credential} {date}");
        }
    }
}
