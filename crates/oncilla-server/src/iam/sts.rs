//! Temporary credentials, and who one is.
//! Source: STS API reference.

use std::sync::Arc;

use oncilla_iam::arn::{IamArn, session_arn};
use oncilla_iam::policy::{
    CallerKind, Policies, Policy, PolicyKind, Request, ResourceSide, SESSION_POLICY_CHARS_MAX,
    evaluate_trust,
};
use oncilla_iam::{Entity, EntityKind, IamError, NewSession, Principal, SessionCredentials};
use oncilla_wire::query_api::{CredentialsShape, QueryError, QueryErrorCode};
use oncilla_wire::xml::XmlWriter;

use super::call::{Call, with_tags_of_resource};
use super::errors::{of_iam, of_policy};

/// Shortest session, in seconds.
const DURATION_S_MIN: u64 = 900;
/// How long the session of a role lasts unless it is said, and at most if a session assumes it.
const ROLE_DURATION_S_DEFAULT: u64 = 3_600;
/// Longest session of a role, which the role's own setting limits further.
const ROLE_DURATION_S_MAX: u64 = 43_200;
/// How long GetSessionToken's credentials last unless it is said: 12 hours.
const SESSION_DURATION_S_DEFAULT: u64 = 43_200;
/// Their longest life: 36 hours.
const SESSION_DURATION_S_MAX: u64 = 129_600;
/// Their longest life, and usual one, for the root of an account.
const ROOT_DURATION_S_MAX: u64 = 3_600;
/// Most managed policies that limit a session.
const POLICY_ARNS_MAX: usize = 10;
/// Bounds of `ExternalId`.
const EXTERNAL_ID_CHARS: std::ops::RangeInclusive<usize> = 2..=1_224;

fn refused(message: &str) -> QueryError {
    QueryError::new(QueryErrorCode::AccessDenied, message)
}

/// GetCallerIdentity: anybody may know who they are.
pub fn caller_identity(call: &Call<'_>, xml: &mut XmlWriter) {
    xml.text("Arn", &call.caller.arn);
    xml.text("UserId", &call.caller.user_id);
    xml.text("Account", call.account());
}

/// GetSessionToken: the caller's own power for a while.
pub async fn session_token(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    call.refuse(&["SerialNumber", "TokenCode"])?;
    if call.credential.is_session() {
        return Err(refused(
            "Cannot call GetSessionToken with session credentials",
        ));
    }
    let asked = call
        .form
        .number("DurationSeconds", DURATION_S_MIN, SESSION_DURATION_S_MAX)?;
    let duration_s = match call.is_root() {
        true => asked
            .unwrap_or(ROOT_DURATION_S_MAX)
            .min(ROOT_DURATION_S_MAX),
        false => asked.unwrap_or(SESSION_DURATION_S_DEFAULT),
    };
    let new = NewSession {
        duration_s,
        ..NewSession::default()
    };
    let begun = call.iam.begin_session(&call.credential, new).await;
    write_credentials(xml, &begun.map_err(of_iam)?);
    Ok(())
}

/// AssumeRole: the power of a role that trusts the caller.
pub async fn assume_role(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    call.refuse(&[
        "SerialNumber",
        "TokenCode",
        "SourceIdentity",
        "Tags.member.1.Key",
        "TransitiveTagKeys.member.1",
        "ProvidedContexts.member.1.ProviderArn",
    ])?;
    let arn = call.form.required("RoleArn")?;
    let session_name = session_name(call)?;
    let external_id = call.form.get("ExternalId");
    if let Some(text) = external_id
        && !EXTERNAL_ID_CHARS.contains(&text.len())
    {
        let rule = "Member must have a length from 2 to 1224";
        return Err(QueryError::invalid("ExternalId", text, rule));
    }
    let asked = call
        .form
        .number("DurationSeconds", DURATION_S_MIN, ROLE_DURATION_S_MAX)?;
    let (policy, policy_arns) = session_policies(call)?;

    let (account, role) = trusting_role(call, arn, session_name, external_id).await?;
    let settings_s = role.role.as_ref().map_or(0, |role| role.max_session_s);
    let duration_s = asked.unwrap_or(ROLE_DURATION_S_DEFAULT);
    if duration_s > settings_s {
        let message =
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(QueryError::new(QueryErrorCode::ValidationError, message));
    }
    if call.credential.is_session() && duration_s > ROLE_DURATION_S_DEFAULT {
        let message = "The requested DurationSeconds exceeds the 1 hour session limit for roles \
                       assumed by role chaining";
        return Err(QueryError::new(QueryErrorCode::ValidationError, message));
    }
    for policy_arn in &policy_arns {
        call.iam
            .policy(&account, policy_arn)
            .await
            .map_err(of_iam)?;
    }
    let packed_chars =
        policy.as_ref().map_or(0, String::len) + policy_arns.iter().map(String::len).sum::<usize>();
    let new = NewSession {
        duration_s,
        policy,
        policy_arns,
    };
    let begun = call
        .iam
        .begin_role_session(&call.credential, &account, &role, session_name, new)
        .await
        .map_err(of_iam)?;
    write_credentials(xml, &begun);
    xml.open("AssumedRoleUser");
    xml.text("AssumedRoleId", &format!("{}:{session_name}", role.id));
    xml.text("Arn", &session_arn(&account, &role.name, session_name));
    xml.close("AssumedRoleUser");
    if packed_chars > 0 {
        let percent = (packed_chars * 100)
            .div_ceil(SESSION_POLICY_CHARS_MAX)
            .min(100);
        xml.number("PackedPolicySize", percent as u64);
    }
    Ok(())
}

/// The role of an ARN, in whichever account, and that account, if it trusts the caller. Whether there
/// is no such role or it does not is not told.
async fn trusting_role(
    call: &Call<'_>,
    arn: &str,
    session_name: &str,
    external_id: Option<&str>,
) -> Result<(String, Entity), QueryError> {
    let unauthorized = || {
        let message = format!(
            "User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}",
            call.caller.arn
        );
        QueryError::new(QueryErrorCode::AccessDenied, message)
    };
    let parsed = IamArn::parse(arn).filter(|parsed| parsed.kind == "role");
    let Some(parsed) = parsed else {
        let shown: String = arn.chars().take(128).collect();
        let message = format!(
            "{shown} is invalid: the ARN of a role is arn:aws:iam::ACCOUNT:role/NAME, and ACCOUNT is \
             64 hexadecimal digits here"
        );
        return Err(QueryError::new(QueryErrorCode::ValidationError, message));
    };
    let role = call
        .iam
        .entity(parsed.account, EntityKind::Role, parsed.name)
        .await;
    let role = match role {
        Ok(role) if role.arn(parsed.account) == arn => role,
        Ok(_) | Err(IamError::NoSuchEntity { .. }) => return Err(unauthorized()),
        Err(error) => return Err(of_iam(error)),
    };
    let Some(settings) = &role.role else {
        return Err(unauthorized());
    };
    let trust = Policy::parse(settings.trust_policy.as_bytes(), PolicyKind::Trust);
    let trust = trust.map_err(|error| of_policy(&error, PolicyKind::Trust))?;
    let mut facts = vec![("sts:RoleSessionName", session_name)];
    facts.extend(external_id.map(|id| ("sts:ExternalId", id)));
    let facts = with_tags_of_resource(call.facts(&facts), &role.tags);
    let principal = Principal::Key(Arc::clone(&call.caller));
    let request = Request {
        caller: &principal.caller(),
        action: &call.action_name(),
        resource: arn,
        context: &facts,
    };
    let policies = Policies {
        identity: &call.caller.policies,
        session: call.caller.session.as_deref(),
        resource: ResourceSide {
            owner: Some(parsed.account),
            bucket_policy: Some(&trust),
            ..ResourceSide::default()
        },
    };
    let decision = evaluate_trust(&request, &policies);
    if !decision.is_allowed() {
        let reason = decision.reason;
        tracing::debug!(caller = call.caller.arn, role = arn, %reason, "denied");
        return Err(unauthorized());
    }
    Ok((parsed.account.to_owned(), role))
}

/// `RoleSessionName`: 2 to 64 letters, digits and `_+=,.@-`.
fn session_name<'f>(call: &'f Call<'_>) -> Result<&'f str, QueryError> {
    let name = call.form.required("RoleSessionName")?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if (2..=64).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(name);
    }
    let rule = r"Member must satisfy regular expression pattern: [\w+=,.@-]{2,64}";
    Err(QueryError::invalid("RoleSessionName", name, rule))
}

/// `Policy` and `PolicyArns`.
fn session_policies(call: &Call<'_>) -> Result<(Option<String>, Vec<String>), QueryError> {
    let policy = call.form.get("Policy").filter(|policy| !policy.is_empty());
    if let Some(policy) = policy {
        if policy.chars().count() > SESSION_POLICY_CHARS_MAX {
            let rule = "Member must have length less than or equal to 2048";
            return Err(QueryError::invalid("Policy", "…", rule));
        }
        let kind = PolicyKind::Session;
        Policy::parse_new(policy.as_bytes(), kind).map_err(|error| of_policy(&error, kind))?;
    }
    let arns = call.form.fields("PolicyArns", "arn")?;
    if arns.len() > POLICY_ARNS_MAX {
        let rule = "Member must have length less than or equal to 10";
        return Err(QueryError::invalid("PolicyArns", "", rule));
    }
    Ok((
        policy.map(str::to_owned),
        arns.into_iter().map(str::to_owned).collect(),
    ))
}

fn write_credentials(xml: &mut XmlWriter, credentials: &SessionCredentials) {
    CredentialsShape {
        access_key_id: &credentials.access_key_id,
        secret: credentials.secret.expose(),
        token: credentials.token.expose(),
        expires_ms: credentials.expires_ms as i64,
    }
    .write(xml);
}

/// Refuses actions that a session of a user may not call. Sessions of GetSessionToken administer
/// nothing: AWS lets them only with a second factor, which there is none of here.
/// Source: STS API reference, GetSessionToken.
pub fn check_session_may_administer(call: &Call<'_>) -> Result<(), QueryError> {
    let is_role = call.caller.kind == CallerKind::AssumedRole;
    if call.credential.is_session() && !is_role {
        return Err(QueryError::new(
            QueryErrorCode::InvalidClientTokenId,
            "The credentials of GetSessionToken cannot call IAM.",
        ));
    }
    Ok(())
}
