//! Which policies are taken, with which words the others are refused, and which are public.

use oncilla_iam::policy::{
    BUCKET_POLICY_BYTES_MAX, IDENTITY_POLICY_CHARS_MAX, Policy, PolicyError, PolicyKind,
    PrincipalPattern, SESSION_POLICY_CHARS_MAX,
};

const BUCKET: PolicyKind<'static> = PolicyKind::Bucket { bucket: "photos" };

fn error(text: &str, kind: PolicyKind<'_>) -> Option<(String, &'static str)> {
    let error = Policy::parse(text.as_bytes(), kind).err()?;
    Some((error.message(kind), error.code(kind)))
}

/// A bucket policy of one statement with these fields in place of, or beside, the usual ones;
/// `null` leaves one out.
fn with(fields: &[(&str, &str)]) -> String {
    let mut all = vec![
        ("Effect", r#""Allow""#),
        ("Principal", r#""*""#),
        ("Action", r#""s3:GetObject""#),
        ("Resource", r#""arn:aws:s3:::photos/*""#),
    ];
    for (name, value) in fields {
        all.retain(|(known, _)| known != name);
        all.push((name, value));
    }
    all.retain(|(_, value)| *value != "null");
    let fields: Vec<String> = all
        .iter()
        .map(|(name, value)| format!(r#""{name}": {value}"#))
        .collect();
    format!(
        r#"{{"Version": "2012-10-17", "Statement": [{{{}}}]}}"#,
        fields.join(", ")
    )
}

const NOT_JSON: &str = "Policies must be valid JSON and the first byte must be '{'";
const SYNTAX: &str = "Invalid policy syntax.";
const PRINCIPAL: &str = "Invalid principal in policy";
const ACTION: &str = "Policy has invalid action";
const RESOURCE: &str = "Policy has invalid resource";
const NO_RESOURCE: &str = "Action does not apply to any resource(s) in statement";
const KEY: &str = "Policy has an invalid condition key";
const NO_ACTION: &str =
    "Conditions do not apply to combination of actions and resources in statement";

#[test]
fn documents_that_are_none() {
    let statement = r#"{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}"#;
    for (text, expected) in [
        ("", NOT_JSON),
        (" {}", NOT_JSON),
        ("[]", NOT_JSON),
        (r#"{"Statement": "#, NOT_JSON),
        ("{}", "Missing required field Statement"),
        (
            r#"{"Statement": []}"#,
            "Could not parse the policy: Statement is empty!",
        ),
        (r#"{"Statement": "x"}"#, SYNTAX),
        (r#"{"Statement": [[]]}"#, SYNTAX),
        (r#"{"statement": []}"#, "Unknown field statement"),
        (
            &format!(r#"{{"Version": "2012-10-18", "Statement": {statement}}}"#),
            "The policy must contain a valid version string",
        ),
        (
            &format!(r#"{{"Version": 2012, "Statement": {statement}}}"#),
            "The policy must contain a valid version string",
        ),
        (&format!(r#"{{"Id": 1, "Statement": {statement}}}"#), SYNTAX),
        (
            &format!(r#"{{"Statement": {statement}, "Statement": {statement}}}"#),
            "Duplicate field Statement",
        ),
    ] {
        assert_eq!(
            error(text, BUCKET),
            Some((expected.to_owned(), "MalformedPolicy")),
            "{text}"
        );
    }
    for text in [
        format!(r#"{{"Statement": {statement}}}"#),
        format!(
            r#"{{"Version": "2008-10-17", "Id": "x", "Statement": [{statement}, {statement}]}}"#
        ),
    ] {
        let policy = Policy::parse(text.as_bytes(), BUCKET).unwrap();
        assert_eq!(policy.text(), text);
    }
}

/// Fields in place of the usual ones, and the message.
type FieldCase<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>);

/// One field of a statement, and how S3 refuses it (`None`: it does not).
#[test]
#[rustfmt::skip]
fn fields_of_a_statement() {
    let hex = format!(r#"{{"CanonicalUser": "{}"}}"#, "0a".repeat(32));
    let table: &[FieldCase<'_>] = &[
        (&[], None),
        (&[("Sid", r#""Any text, even with spaces""#)], None),
        (&[("Sid", "1")], Some(SYNTAX)),
        (&[("sid", r#""a""#)], Some("Unknown field sid")),
        (&[("Effect", "null")], Some("Missing required field Effect")),
        (&[("Effect", r#""allow""#)], Some("Invalid effect: allow")),
        (&[("Effect", "true")], Some(SYNTAX)),
        (&[("Principal", "null")], Some("Missing required field Principal")),
        (&[("Principal", r#""ada""#)], Some(PRINCIPAL)),
        (&[("Principal", "{}")], Some(PRINCIPAL)),
        (&[("Principal", r#"["*"]"#)], Some(PRINCIPAL)),
        (&[("Principal", r#"{"AWS": "*"}"#)], None),
        (&[("Principal", r#"{"AWS": ["*", "111122223333"]}"#)], None),
        (&[("Principal", r#"{"AWS": []}"#)], Some(PRINCIPAL)),
        (&[("Principal", r#"{"AWS": "11112222333"}"#)], Some(PRINCIPAL)),
        (&[("Principal", r#"{"AWS": "ada"}"#)], Some(PRINCIPAL)),
        (&[("Principal", r#"{"AWS": "arn:aws:iam::111122223333:root"}"#)], None),
        (&[("Principal", r#"{"AWS": "arn:aws:iam::111122223333:user/path/ada"}"#)], None),
        (&[("Principal", r#"{"AWS": "arn:aws:iam::111122223333:role/reader"}"#)], None),
        (&[("Principal", r#"{"AWS": "arn:aws:sts::111122223333:assumed-role/reader/x"}"#)], None),
        (&[("Principal", r#"{"AWS": "arn:aws:sts::111122223333:assumed-role/reader"}"#)], Some(PRINCIPAL)),
        (&[("Principal", r#"{"AWS": "arn:aws:iam::111122223333:user/*"}"#)], Some(PRINCIPAL)),
        (&[("Principal", r#"{"AWS": "arn:aws:iam::111122223333:group/x"}"#)], Some(PRINCIPAL)),
        (&[("Principal", r#"{"AWS": "arn:aws:s3:::photos"}"#)], Some(PRINCIPAL)),
        (&[("Principal", r#"{"AWS": "arn:aws:iam:::user/ada"}"#)], Some(PRINCIPAL)),
        (&[("Principal", &hex)], None),
        (&[("Principal", r#"{"CanonicalUser": "*"}"#)], Some(PRINCIPAL)),
        (&[("Principal", r#"{"Service": ["logging.s3.amazonaws.com"]}"#)], None),
        (&[("Principal", r#"{"Service": "*"}"#)], Some(PRINCIPAL)),
        (&[("Principal", r#"{"Federated": "accounts.example.com"}"#)], None),
        (&[("Principal", r#"{"aws": "*"}"#)], Some(PRINCIPAL)),
        (&[("NotPrincipal", r#"{"AWS": "111122223333"}"#)], Some("Statement contains both Principal and NotPrincipal")),
        (&[("Principal", "null"), ("NotPrincipal", r#"{"AWS": "111122223333"}"#)], Some("Allow with NotPrincipal is not allowed.")),
        (&[("Principal", "null"), ("NotPrincipal", r#"{"AWS": "111122223333"}"#), ("Effect", r#""Deny""#)], None),
        (&[("Action", "null")], Some("Missing required field Action")),
        (&[("Action", "[]")], Some(SYNTAX)),
        (&[("Action", "[1]")], Some(SYNTAX)),
        (&[("Action", r#""*""#)], None),
        (&[("Action", r#""S3:GETOBJECT""#)], None),
        (&[("Action", r#""s3:*Object*""#)], None),
        (&[("Action", r#""s3:GetObjekt""#)], Some(ACTION)),
        (&[("Action", r#""s3:Gett*""#)], Some(ACTION)),
        (&[("Action", r#""GetObject""#)], Some(ACTION)),
        (&[("Action", r#""iam:CreateUser""#)], Some(ACTION)),
        (&[("Action", r#""*:*""#)], Some(ACTION)),
        (&[("NotAction", r#""s3:PutObject""#)], Some("Statement contains both Action and NotAction")),
        (&[("Action", "null"), ("NotAction", r#""s3:PutObject""#)], None),
        (&[("Resource", "null")], Some("Missing required field Resource")),
        (&[("Resource", r#""arn:aws:s3:::music/*""#)], Some(RESOURCE)),
        (&[("Resource", r#""arn:aws:s3:::photos2/*""#)], Some(RESOURCE)),
        (&[("Resource", r#""photos/*""#)], Some(RESOURCE)),
        (&[("Resource", r#""arn:aws:s3::111122223333:photos/*""#)], Some(RESOURCE)),
        (&[("Resource", r#""arn:aws:sqs:::photos/*""#)], Some(RESOURCE)),
        (&[("Resource", r#""arn:aws:s3:::photos/${aws:username""#)], Some(RESOURCE)),
        (&[("Resource", r#""arn:aws:s3:::${aws:username}/*""#)], Some(RESOURCE)),
        (&[("Resource", r#"["arn:aws:s3:::*", "arn:aws:s3:::ph?tos/*"]"#)], None),
        (&[("Resource", r#""arn:aws:s3:::photos/${aws:username}/*""#)], None),
        (&[("Resource", "null"), ("NotResource", r#""arn:aws:s3:::photos/secret/*""#)], None),
        (&[("Resource", r#""arn:aws:s3:::photos""#)], Some(NO_RESOURCE)),
        (&[("Resource", r#""arn:aws:s3:::photos*""#)], None),
        (&[("Action", r#""s3:ListBucket""#)], Some(NO_RESOURCE)),
        (&[("Action", r#"["s3:GetObject", "s3:ListBucket"]"#)], Some(NO_RESOURCE)),
        (&[("Action", r#"["s3:GetObject", "s3:ListBucket"]"#), ("Resource", r#"["arn:aws:s3:::photos", "arn:aws:s3:::photos/*"]"#)], None),
        (&[("Action", r#""s3:ListAllMyBuckets""#), ("Resource", r#""arn:aws:s3:::photos*""#)], Some(NO_RESOURCE)),
        (&[("Action", r#""s3:*""#)], None),
        (&[("Condition", "[]")], Some(SYNTAX)),
        (&[("Condition", "{}")], None),
        (&[("Condition", r#"{"StringEquals": "x"}"#)], Some(SYNTAX)),
        (&[("Condition", r#"{"stringEquals": {"aws:Referer": "x"}}"#)], Some("Invalid Condition type : stringEquals")),
        (&[("Condition", r#"{"ForEach:StringEquals": {"aws:Referer": "x"}}"#)], Some("Invalid Condition type : ForEach:StringEquals")),
        (&[("Condition", r#"{"NullIfExists": {"aws:Referer": "true"}}"#)], Some("Invalid Condition type : NullIfExists")),
        (&[("Condition", r#"{"BoolNotEquals": {"aws:SecureTransport": "true"}}"#)], Some("Invalid Condition type : BoolNotEquals")),
        (&[("Condition", r#"{"Foo": {"aws:Refer": "x"}}"#)], Some("Invalid Condition type : Foo")),
        (&[("Condition", r#"{"StringEquals": {"aws:Refer": "x"}}"#)], Some(KEY)),
        (&[("Condition", r#"{"StringEquals": {"s3:x-amz-storage": "x"}}"#)], Some(KEY)),
        (&[("Condition", r#"{"StringEquals": {"referer": "x"}}"#)], Some(KEY)),
        (&[("Condition", r#"{"StringEquals": {"AWS:REFERER": "x", "aws:PrincipalTag/team": "y"}}"#)], None),
        (&[("Condition", r#"{"StringEquals": {"aws:Referer": null}}"#)], Some(SYNTAX)),
        (&[("Condition", r#"{"StringEquals": {"aws:Referer": []}}"#)], Some(SYNTAX)),
        (&[("Condition", r#"{"StringEquals": {"aws:Referer": [["x"]]}}"#)], Some(SYNTAX)),
        (&[("Condition", r#"{"StringEquals": {"aws:Referer": "x", "aws:Referer": "y"}}"#)], Some("Duplicate field aws:Referer")),
        (&[("Condition", r#"{"IpAddress": {"aws:SourceIp": "1.2.3"}}"#)], Some("Invalid value 1.2.3 for condition IpAddress")),
        (&[("Condition", r#"{"NumericEquals": {"s3:TlsVersion": "x"}}"#)], Some("Invalid value x for condition NumericEquals")),
        (&[("Condition", r#"{"DateLessThan": {"aws:CurrentTime": "soon"}}"#)], Some("Invalid value soon for condition DateLessThan")),
        (&[("Condition", r#"{"Bool": {"aws:SecureTransport": "yes"}}"#)], Some("Invalid value yes for condition Bool")),
        (&[("Condition", r#"{"ArnLike": {"aws:SourceArn": "photos"}}"#)], Some("Invalid value photos for condition ArnLike")),
        (&[("Condition", r#"{"StringLike": {"aws:Referer": "${"}}"#)], Some("Invalid value ${ for condition StringLike")),
        (&[("Condition", r#"{"StringEquals": {"s3:prefix": "x"}}"#)], Some(NO_ACTION)),
        (&[("Action", r#""s3:ListBucket""#), ("Resource", r#""arn:aws:s3:::photos""#), ("Condition", r#"{"StringEquals": {"s3:prefix": "x"}}"#)], None),
        (&[("Action", r#""s3:ListBucket""#), ("Resource", r#""arn:aws:s3:::photos""#), ("Condition", r#"{"StringEquals": {"s3:ExistingObjectTag/a": "x"}}"#)], Some(NO_ACTION)),
    ];
    for (fields, expected) in table {
        let text = with(fields);
        let found = error(&text, BUCKET);
        let expected = expected.map(|message| (message.to_owned(), "MalformedPolicy"));
        assert_eq!(found, expected, "{text}");
    }
}

/// What S3 says beside the message.
#[test]
fn what_is_refused_is_named() {
    let long = format!("s3:{}", "x".repeat(1_000));
    let long_action = format!(r#""{long}""#);
    let here = "(the id of an account is 64 hexadecimal digits here)";
    let of_aws = format!(r#""AWS" : "arn:aws:iam::111122223333:group/x" {here}"#);
    for (field, value, expected) in [
        (
            "Action",
            r#"["s3:GetObject", "s3:GetObjekt"]"#,
            Some("s3:GetObjekt"),
        ),
        ("Action", long_action.as_str(), Some(&long[..128])),
        (
            "Resource",
            r#""arn:aws:s3:::music/*""#,
            Some("arn:aws:s3:::music/*"),
        ),
        ("Resource", r#""photos""#, Some("photos")),
        ("Principal", r#""ada""#, Some("ada")),
        (
            "Principal",
            r#"{"AWS": ["*", "ada"]}"#,
            Some(r#""AWS" : "ada""#),
        ),
        ("Principal", r#"{"aws": "*"}"#, Some(r#""aws" : "*""#)),
        (
            "Principal",
            r#"{"AWS": "arn:aws:iam::111122223333:group/x"}"#,
            Some(of_aws.as_str()),
        ),
        ("Principal", "{}", None),
        (
            "Condition",
            r#"{"StringEquals": {"s3:Nope": "x"}}"#,
            Some("s3:Nope"),
        ),
        ("Condition", r#"{"Foo": {"aws:Referer": "x"}}"#, Some("Foo")),
        ("Effect", r#""allow""#, None),
    ] {
        let text = with(&[(field, value)]);
        let error = Policy::parse(text.as_bytes(), BUCKET).unwrap_err();
        assert_eq!(error.detail(), expected, "{text}");
    }
    let nobody = PrincipalPattern::Account("111122223333".to_owned());
    let error = PolicyError::no_such_principal(&nobody);
    let expected = format!(r#""AWS" : "arn:aws:iam::111122223333:root" {here}"#);
    assert_eq!(error.detail(), Some(expected.as_str()));
    let user = PrincipalPattern::Arn("arn:aws:iam::111122223333:user/ada".to_owned());
    let message = PolicyError::no_such_principal(&user).message(PolicyKind::Trust);
    assert_eq!(
        message,
        format!(
            r#"Invalid principal in policy: "AWS" : "arn:aws:iam::111122223333:user/ada" {here}"#
        )
    );
}

#[test]
fn statements_of_identities_have_different_ids() {
    let text = |first: &str, second: &str, principal: &str| {
        let statement = |sid: &str| {
            format!(
                r#"{{"Sid": "{sid}", "Effect": "Deny", {principal} "Action": "*", "Resource": "*"}}"#
            )
        };
        format!(
            r#"{{"Statement": [{}, {}]}}"#,
            statement(first),
            statement(second)
        )
    };
    let parse = |text: String, kind| Policy::parse(text.as_bytes(), kind).map(|_| ());
    for (first, second, expected) in [
        ("a", "a", Err(PolicyError::DuplicateSid)),
        ("a", "A", Ok(())),
        ("", "", Ok(())),
    ] {
        let found = parse(text(first, second, ""), PolicyKind::Identity);
        assert_eq!(found, expected, "{first:?} {second:?}");
        let of_bucket = text(first, second, r#""Principal": "*","#);
        assert_eq!(parse(of_bucket, BUCKET), Ok(()), "{first:?} {second:?}");
    }
}

#[test]
fn identity_policies() {
    let identity = PolicyKind::Identity;
    let text = |inner: &str| {
        format!(r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", {inner}}}]}}"#)
    };
    for (inner, expected) in [
        (r#""Action": "*", "Resource": "*""#, None),
        (
            r#""Action": ["iam:*", "*:*", "s3:Unheard"], "Resource": "arn:aws:iam:::user/*""#,
            None,
        ),
        (
            r#""Action": "s3:*", "Resource": "*", "Condition": {"StringEquals": {"any:Key": "x"}}"#,
            None,
        ),
        (
            r#""Action": "GetObject", "Resource": "*""#,
            Some("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
        ),
        (
            r#""Action": "s3:*", "Resource": "photos""#,
            Some("Resource must be in ARN format or \"*\"."),
        ),
        (
            r#""Action": "s3:*""#,
            Some("Policy statement must contain resources."),
        ),
        (
            r#""Resource": "*""#,
            Some("Policy statement must contain actions."),
        ),
        (
            r#""Action": "*", "Resource": "*", "Principal": "*""#,
            Some("Policy document should not specify a principal."),
        ),
        (
            r#""Sid": "a b", "Action": "*", "Resource": "*""#,
            Some(
                "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
            ),
        ),
    ] {
        let expected = expected.map(|message| (message.to_owned(), "MalformedPolicyDocument"));
        assert_eq!(error(&text(inner), identity), expected, "{inner}");
        assert_eq!(
            error(&text(inner), PolicyKind::Session),
            expected,
            "{inner}"
        );
    }
}

#[test]
fn sizes() {
    let padded = |length: usize, pad: &str| {
        let start = r#"{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}, "Id": ""#;
        let start = start.replace(' ', "");
        format!("{start}{}\"}}", pad.repeat(length - start.len() - 2))
    };
    for (kind, limit) in [
        (PolicyKind::Identity, IDENTITY_POLICY_CHARS_MAX),
        (PolicyKind::Session, SESSION_POLICY_CHARS_MAX),
    ] {
        assert_eq!(error(&padded(limit, "x"), kind), None);
        let refused = error(&padded(limit + 1, "x"), kind).unwrap();
        assert_eq!(refused.1, "LimitExceeded");
        // Spaces do not count, up to a point.
        assert_eq!(error(&padded(10 * limit, " "), kind), None);
        assert!(error(&padded(200_000, " "), kind).is_some());
    }
    let fill = "x".repeat(BUCKET_POLICY_BYTES_MAX - with(&[("Sid", r#""""#)]).len());
    let fits = with(&[("Sid", &format!(r#""{fill}""#))]);
    assert_eq!(fits.len(), BUCKET_POLICY_BYTES_MAX);
    assert_eq!(error(&fits, BUCKET), None);
    let refused = error(&format!("{fits} "), BUCKET).unwrap();
    assert_eq!(
        refused.0,
        "Normalized policy document exceeds the maximum allowed size of 20480 bytes."
    );
}

#[test]
fn named_principals() {
    let text = with(&[(
        "Principal",
        r#"{"AWS": ["111122223333", "arn:aws:iam::111122223333:user/ada"]}"#,
    )]);
    let policy = Policy::parse(text.as_bytes(), BUCKET).unwrap();
    let named: Vec<_> = policy.principals().cloned().collect();
    let user = "arn:aws:iam::111122223333:user/ada".to_owned();
    assert_eq!(
        named,
        [
            PrincipalPattern::Account("111122223333".to_owned()),
            PrincipalPattern::Arn(user)
        ]
    );
}

/// S3 user guide, "The meaning of public".
#[test]
#[rustfmt::skip]
fn public_policies() {
    let everybody = |condition: &str| with(&[("Condition", condition)]);
    for (text, public) in [
        (with(&[]), true),
        (with(&[("Effect", r#""Deny""#)]), false),
        (with(&[("Principal", r#"{"AWS": "*"}"#)]), true),
        (with(&[("Principal", r#"{"AWS": ["111122223333", "*"]}"#)]), true),
        (with(&[("Principal", r#"{"AWS": "111122223333"}"#)]), false),
        (with(&[("Principal", r#"{"Service": "logging.s3.amazonaws.com"}"#)]), false),
        (everybody(r#"{"IpAddress": {"aws:SourceIp": "10.0.0.0/32"}}"#), false),
        (everybody(r#"{"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "2001:db8::/32"]}}"#), false),
        (everybody(r#"{"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "0.0.0.0/1"]}}"#), true),
        (everybody(r#"{"IpAddress": {"aws:SourceIp": "2001::/16"}}"#), true),
        (everybody(r#"{"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}}"#), true),
        (everybody(r#"{"IpAddressIfExists": {"aws:SourceIp": "192.0.2.0/24"}}"#), true),
        (everybody(r#"{"StringEquals": {"aws:SourceVpc": "vpc-1"}}"#), false),
        (everybody(r#"{"StringLike": {"aws:SourceVpc": "vpc-1"}}"#), false),
        (everybody(r#"{"StringLike": {"aws:SourceVpc": "vpc-*"}}"#), true),
        (everybody(r#"{"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}"#), true),
        (everybody(r#"{"StringEquals": {"aws:SourceVpc": "${aws:username}"}}"#), true),
        (everybody(r#"{"ForAllValues:StringEquals": {"aws:SourceVpc": "vpc-1"}}"#), true),
        (everybody(r#"{"ForAnyValue:StringEquals": {"aws:SourceVpc": "vpc-1"}}"#), false),
        (everybody(r#"{"StringLike": {"aws:userid": "AROAEXAMPLE:*"}}"#), true),
        (everybody(r#"{"StringEquals": {"aws:userid": "AIDAEXAMPLE"}}"#), false),
        (everybody(r#"{"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::source"}}"#), false),
        (everybody(r#"{"ArnLike": {"aws:SourceArn": "arn:aws:s3:::*"}}"#), true),
        (everybody(r#"{"StringEquals": {"aws:PrincipalOrgID": "o-1"}}"#), false),
        (everybody(r#"{"StringEquals": {"aws:Referer": "http://example.com/"}}"#), true),
        (everybody(r#"{"Bool": {"aws:SecureTransport": "true"}}"#), true),
        (everybody(r#"{"Bool": {"aws:SecureTransport": "true"}, "StringEquals": {"aws:SourceAccount": "111122223333"}}"#), false),
    ] {
        let policy = Policy::parse(text.as_bytes(), BUCKET).unwrap();
        assert_eq!(policy.is_public(), public, "{text}");
    }
    // One public statement is enough.
    let text = with(&[("Principal", r#"{"AWS": "111122223333"}"#)]);
    let both = text.replace("}]}", r#"}, {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*"}]}"#);
    assert!(Policy::parse(both.as_bytes(), BUCKET).unwrap().is_public());
}

/// A policy that is stored anew must not name a condition key that no request has which it is about;
/// one that was stored before stays.
#[test]
fn keys_that_are_never_set_are_refused_anew() {
    let identity = PolicyKind::Identity;
    for (kind, action, key, is_taken) in [
        (BUCKET, "s3:*", "aws:ResourceTag/a", false),
        (BUCKET, "s3:*", "aws:RequestTag/a", false),
        (BUCKET, "s3:*", "aws:TagKeys", false),
        (BUCKET, "s3:*", "s3:BucketTag/a", false),
        (BUCKET, "s3:*", "s3:locationconstraint", false),
        (BUCKET, "s3:*", "aws:PrincipalTag/a", true),
        (BUCKET, "s3:*", "aws:PrincipalOrgID", true),
        (BUCKET, "s3:*", "s3:AccessPointTag/a", true),
        (BUCKET, "s3:*", "s3:ObjectCreationOperation", true),
        (identity, "s3:*", "aws:ResourceTag/a", false),
        (identity, "s3:Get*", "aws:TagKeys", false),
        (identity, "s3:*", "s3:Unheard", false),
        (identity, "*", "s3:BucketTag/a", false),
        (identity, "*", "aws:ResourceTag/a", true),
        (identity, "iam:TagUser", "aws:RequestTag/a", true),
        (identity, "s3:*", "s3:locationconstraint", true),
        (identity, "s3:*", "any:Key", true),
    ] {
        let principal = match kind {
            BUCKET => r#""Principal": "*","#,
            _ => "",
        };
        let text = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Deny", {principal} "Action": "{action}",
                "Resource": "*", "Condition": {{"StringEquals": {{"{key}": "x"}}}}}}}}"#
        );
        assert!(Policy::parse(text.as_bytes(), kind).is_ok(), "{text}");
        match Policy::parse_new(text.as_bytes(), kind) {
            Ok(_) => assert!(is_taken, "{text}"),
            Err(PolicyError::KeyNeverSet(named)) => {
                assert!(!is_taken && named == key, "{text}: {named}");
            }
            Err(error) => panic!("{text}: {error}"),
        }
    }
}
