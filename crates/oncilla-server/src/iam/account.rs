//! The account as a whole.

use oncilla_iam::{
    ATTACHED_POLICIES_MAX, EntityKind, GROUPS_PER_USER_MAX, KEYS_PER_USER_MAX,
    MANAGED_POLICY_CHARS_MAX, POLICIES_PER_ACCOUNT_MAX, POLICY_VERSIONS_MAX,
    entities_per_account_max, inline_policy_chars_max,
};
use oncilla_wire::query_api::QueryError;
use oncilla_wire::xml::XmlWriter;

use super::call::Call;
use super::errors::of_iam;

/// GetAccountSummary: what there is, and how much of it there may be.
pub async fn summary(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    call.authorize("*")?;
    let account = call.account();
    let mut entries: Vec<(String, u64)> = Vec::new();
    for kind in EntityKind::ALL {
        let word = super::entities::word(kind);
        let count = call
            .iam
            .count_entities(account, kind)
            .await
            .map_err(of_iam)?;
        let policy_chars = inline_policy_chars_max(kind) as u64;
        entries.push((format!("{word}s"), count));
        entries.push((
            format!("{word}sQuota"),
            entities_per_account_max(kind) as u64,
        ));
        entries.push((format!("{word}PolicySizeQuota"), policy_chars));
        let attached = ATTACHED_POLICIES_MAX as u64;
        entries.push((format!("AttachedPoliciesPer{word}Quota"), attached));
    }
    let policies = call.iam.count_policies(account).await.map_err(of_iam)?;
    let providers = call.iam.providers(account).await.map_err(of_iam)?;
    entries.extend([
        (
            "AccessKeysPerUserQuota".to_owned(),
            KEYS_PER_USER_MAX as u64,
        ),
        ("GroupsPerUserQuota".to_owned(), GROUPS_PER_USER_MAX as u64),
        ("Policies".to_owned(), policies),
        ("PoliciesQuota".to_owned(), POLICIES_PER_ACCOUNT_MAX as u64),
        (
            "PolicySizeQuota".to_owned(),
            MANAGED_POLICY_CHARS_MAX as u64,
        ),
        (
            "VersionsPerPolicyQuota".to_owned(),
            POLICY_VERSIONS_MAX as u64,
        ),
        ("Providers".to_owned(), providers.len() as u64),
    ]);
    xml.open("SummaryMap");
    for (key, value) in entries {
        xml.open("entry");
        xml.text("key", &key);
        xml.number("value", value);
        xml.close("entry");
    }
    xml.close("SummaryMap");
    Ok(())
}
