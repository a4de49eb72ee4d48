//! Which action is answered where.

use oncilla_iam::EntityKind::{Group, Role, User};
use oncilla_wire::query_api::{QueryError, QueryErrorCode, QueryService};
use oncilla_wire::xml::XmlWriter;

use super::call::Call;
use super::{
    access_keys, account, attached_policies, entities, inline_policies, policies, providers, roles,
    sts,
};

/// The actions of IAM that are answered, sorted.
pub const IAM_ACTIONS: &[&str] = &[
    "AddClientIDToOpenIDConnectProvider",
    "AddUserToGroup",
    "AttachGroupPolicy",
    "AttachRolePolicy",
    "AttachUserPolicy",
    "CreateAccessKey",
    "CreateGroup",
    "CreateOpenIDConnectProvider",
    "CreatePolicy",
    "CreatePolicyVersion",
    "CreateRole",
    "CreateUser",
    "DeleteAccessKey",
    "DeleteGroup",
    "DeleteGroupPolicy",
    "DeleteOpenIDConnectProvider",
    "DeletePolicy",
    "DeletePolicyVersion",
    "DeleteRole",
    "DeleteRolePolicy",
    "DeleteUser",
    "DeleteUserPolicy",
    "DetachGroupPolicy",
    "DetachRolePolicy",
    "DetachUserPolicy",
    "GetAccountSummary",
    "GetGroup",
    "GetGroupPolicy",
    "GetOpenIDConnectProvider",
    "GetPolicy",
    "GetPolicyVersion",
    "GetRole",
    "GetRolePolicy",
    "GetUser",
    "GetUserPolicy",
    "ListAccessKeys",
    "ListAttachedGroupPolicies",
    "ListAttachedRolePolicies",
    "ListAttachedUserPolicies",
    "ListEntitiesForPolicy",
    "ListGroupPolicies",
    "ListGroups",
    "ListGroupsForUser",
    "ListInstanceProfilesForRole",
    "ListOpenIDConnectProviders",
    "ListPolicies",
    "ListPolicyTags",
    "ListPolicyVersions",
    "ListRolePolicies",
    "ListRoleTags",
    "ListRoles",
    "ListUserPolicies",
    "ListUserTags",
    "ListUsers",
    "PutGroupPolicy",
    "PutRolePolicy",
    "PutUserPolicy",
    "RemoveClientIDFromOpenIDConnectProvider",
    "RemoveUserFromGroup",
    "SetDefaultPolicyVersion",
    "TagPolicy",
    "TagRole",
    "TagUser",
    "UntagPolicy",
    "UntagRole",
    "UntagUser",
    "UpdateAccessKey",
    "UpdateAssumeRolePolicy",
    "UpdateGroup",
    "UpdateOpenIDConnectProviderThumbprint",
    "UpdateRole",
    "UpdateRoleDescription",
    "UpdateUser",
];

/// The actions of STS that are answered, sorted.
pub const STS_ACTIONS: &[&str] = &["AssumeRole", "GetCallerIdentity", "GetSessionToken"];

/// Actions of IAM that are known and not answered, sorted. Source: IAM API reference, "Actions".
const IAM_MISSING: &[&str] = &[
    "AcceptDelegationRequest",
    "AcquireRole",
    "AddRoleToInstanceProfile",
    "AssociateDelegationRequest",
    "ChangePassword",
    "CreateAccountAlias",
    "CreateDelegationRequest",
    "CreateInstanceProfile",
    "CreateLoginProfile",
    "CreateSAMLProvider",
    "CreateServiceLinkedRole",
    "CreateServiceSpecificCredential",
    "CreateVirtualMFADevice",
    "DeactivateMFADevice",
    "DeleteAccountAlias",
    "DeleteAccountPasswordPolicy",
    "DeleteInstanceProfile",
    "DeleteLoginProfile",
    "DeleteRolePermissionsBoundary",
    "DeleteSAMLProvider",
    "DeleteSSHPublicKey",
    "DeleteServerCertificate",
    "DeleteServiceLinkedRole",
    "DeleteServiceSpecificCredential",
    "DeleteSigningCertificate",
    "DeleteUserPermissionsBoundary",
    "DeleteVirtualMFADevice",
    "DisableOrganizationsRootCredentialsManagement",
    "DisableOrganizationsRootSessions",
    "DisableOutboundWebIdentityFederation",
    "EnableMFADevice",
    "EnableOrganizationsRootCredentialsManagement",
    "EnableOrganizationsRootSessions",
    "EnableOutboundWebIdentityFederation",
    "GenerateCredentialReport",
    "GenerateOrganizationsAccessReport",
    "GenerateServiceLastAccessedDetails",
    "GetAccessKeyLastUsed",
    "GetAccountAuthorizationDetails",
    "GetAccountPasswordPolicy",
    "GetAccountProperties",
    "GetContextKeysForCustomPolicy",
    "GetContextKeysForPrincipalPolicy",
    "GetCredentialReport",
    "GetDelegationRequest",
    "GetHumanReadableSummary",
    "GetInstanceProfile",
    "GetLoginProfile",
    "GetMFADevice",
    "GetOrganizationsAccessReport",
    "GetOutboundWebIdentityFederationInfo",
    "GetRoleTemplateVersion",
    "GetSAMLProvider",
    "GetSSHPublicKey",
    "GetServerCertificate",
    "GetServiceLastAccessedDetails",
    "GetServiceLastAccessedDetailsWithEntities",
    "GetServiceLinkedRoleDeletionStatus",
    "ListAccountAliases",
    "ListDelegationRequests",
    "ListInstanceProfileTags",
    "ListInstanceProfiles",
    "ListMFADeviceTags",
    "ListMFADevices",
    "ListOpenIDConnectProviderTags",
    "ListOrganizationsFeatures",
    "ListPoliciesGrantingServiceAccess",
    "ListSAMLProviderTags",
    "ListSAMLProviders",
    "ListSSHPublicKeys",
    "ListServerCertificateTags",
    "ListServerCertificates",
    "ListServiceSpecificCredentials",
    "ListSigningCertificates",
    "ListVirtualMFADevices",
    "PutAccountProperties",
    "PutRolePermissionsBoundary",
    "PutUserPermissionsBoundary",
    "RejectDelegationRequest",
    "RemoveRoleFromInstanceProfile",
    "ResetServiceSpecificCredential",
    "ResyncMFADevice",
    "SendDelegationToken",
    "SetSecurityTokenServicePreferences",
    "SimulateCustomPolicy",
    "SimulatePrincipalPolicy",
    "TagInstanceProfile",
    "TagMFADevice",
    "TagOpenIDConnectProvider",
    "TagSAMLProvider",
    "TagServerCertificate",
    "UntagInstanceProfile",
    "UntagMFADevice",
    "UntagOpenIDConnectProvider",
    "UntagSAMLProvider",
    "UntagServerCertificate",
    "UpdateAccountPasswordPolicy",
    "UpdateDelegationRequest",
    "UpdateLoginProfile",
    "UpdateSAMLProvider",
    "UpdateSSHPublicKey",
    "UpdateServerCertificate",
    "UpdateServiceSpecificCredential",
    "UpdateSigningCertificate",
    "UploadSSHPublicKey",
    "UploadServerCertificate",
    "UploadSigningCertificate",
];

/// Actions of STS that are known and not answered, sorted.
const STS_MISSING: &[&str] = &[
    "AssumeRoleWithSAML",
    "AssumeRoleWithWebIdentity",
    "AssumeRoot",
    "DecodeAuthorizationMessage",
    "GetAccessKeyInfo",
    "GetFederationToken",
];

/// Whether IAM or STS has an action that is not answered here.
pub fn is_missing(action: &str) -> bool {
    [IAM_MISSING, STS_MISSING]
        .into_iter()
        .any(|table| table.binary_search(&action).is_ok())
}

/// The service and the name of an action.
pub fn find(action: &str) -> Option<(QueryService, &'static str)> {
    let tables = [
        (QueryService::Iam, IAM_ACTIONS),
        (QueryService::Sts, STS_ACTIONS),
    ];
    tables.into_iter().find_map(|(service, table)| {
        let place = table.binary_search(&action).ok()?;
        Some((service, table[place]))
    })
}

/// Answers a call.
pub async fn answer(call: &Call<'_>, xml: &mut XmlWriter) -> Result<(), QueryError> {
    let action = call.action();
    match action {
        "AssumeRole" => return sts::assume_role(call, xml).await,
        "GetCallerIdentity" => {
            sts::caller_identity(call, xml);
            return Ok(());
        }
        "GetSessionToken" => return sts::session_token(call, xml).await,
        _ => sts::check_session_may_administer(call)?,
    }
    match action {
        "CreateUser" => entities::create(call, xml, User).await,
        "GetUser" => entities::get_user(call, xml).await,
        "ListUsers" => entities::list(call, xml, User).await,
        "UpdateUser" => entities::update(call, User).await,
        "DeleteUser" => entities::delete(call, User).await,
        "TagUser" => entities::tag(call, User).await,
        "UntagUser" => entities::untag(call, User).await,
        "ListUserTags" => entities::list_tags(call, xml, User).await,

        "CreateGroup" => entities::create(call, xml, Group).await,
        "GetGroup" => entities::get_group(call, xml).await,
        "ListGroups" => entities::list(call, xml, Group).await,
        "UpdateGroup" => entities::update(call, Group).await,
        "DeleteGroup" => entities::delete(call, Group).await,
        "AddUserToGroup" => entities::change_membership(call, true).await,
        "RemoveUserFromGroup" => entities::change_membership(call, false).await,
        "ListGroupsForUser" => entities::list_groups_for_user(call, xml).await,

        "CreateRole" => roles::create(call, xml).await,
        "GetRole" => roles::get(call, xml).await,
        "ListRoles" => entities::list(call, xml, Role).await,
        "UpdateRole" => roles::update(call).await.map(drop),
        "UpdateRoleDescription" => {
            let role = roles::update(call).await?;
            entities::write(call, xml, "Role", &role, entities::Detail::Full);
            Ok(())
        }
        "UpdateAssumeRolePolicy" => roles::update_trust_policy(call).await,
        "DeleteRole" => entities::delete(call, Role).await,
        "TagRole" => entities::tag(call, Role).await,
        "UntagRole" => entities::untag(call, Role).await,
        "ListInstanceProfilesForRole" => roles::list_instance_profiles(call, xml).await,
        "ListRoleTags" => entities::list_tags(call, xml, Role).await,

        "PutUserPolicy" => inline_policies::put(call, User).await,
        "GetUserPolicy" => inline_policies::get(call, xml, User).await,
        "ListUserPolicies" => inline_policies::list(call, xml, User).await,
        "DeleteUserPolicy" => inline_policies::delete(call, User).await,
        "PutGroupPolicy" => inline_policies::put(call, Group).await,
        "GetGroupPolicy" => inline_policies::get(call, xml, Group).await,
        "ListGroupPolicies" => inline_policies::list(call, xml, Group).await,
        "DeleteGroupPolicy" => inline_policies::delete(call, Group).await,
        "PutRolePolicy" => inline_policies::put(call, Role).await,
        "GetRolePolicy" => inline_policies::get(call, xml, Role).await,
        "ListRolePolicies" => inline_policies::list(call, xml, Role).await,
        "DeleteRolePolicy" => inline_policies::delete(call, Role).await,

        "AttachUserPolicy" => attached_policies::attach(call, User).await,
        "DetachUserPolicy" => attached_policies::detach(call, User).await,
        "ListAttachedUserPolicies" => attached_policies::list(call, xml, User).await,
        "AttachGroupPolicy" => attached_policies::attach(call, Group).await,
        "DetachGroupPolicy" => attached_policies::detach(call, Group).await,
        "ListAttachedGroupPolicies" => attached_policies::list(call, xml, Group).await,
        "AttachRolePolicy" => attached_policies::attach(call, Role).await,
        "DetachRolePolicy" => attached_policies::detach(call, Role).await,
        "ListAttachedRolePolicies" => attached_policies::list(call, xml, Role).await,
        "ListEntitiesForPolicy" => attached_policies::list_entities(call, xml).await,

        "CreatePolicy" => policies::create(call, xml).await,
        "GetPolicy" => policies::get(call, xml).await,
        "ListPolicies" => policies::list(call, xml).await,
        "DeletePolicy" => policies::delete(call).await,
        "CreatePolicyVersion" => policies::create_version(call, xml).await,
        "GetPolicyVersion" => policies::get_version(call, xml).await,
        "ListPolicyVersions" => policies::list_versions(call, xml).await,
        "SetDefaultPolicyVersion" => policies::set_default_version(call).await,
        "DeletePolicyVersion" => policies::delete_version(call).await,
        "TagPolicy" => policies::tag(call).await,
        "UntagPolicy" => policies::untag(call).await,
        "ListPolicyTags" => policies::list_tags(call, xml).await,

        "CreateAccessKey" => access_keys::create(call, xml).await,
        "ListAccessKeys" => access_keys::list(call, xml).await,
        "UpdateAccessKey" => access_keys::update(call).await,
        "DeleteAccessKey" => access_keys::delete(call).await,

        "CreateOpenIDConnectProvider" => providers::create(call, xml).await,
        "GetOpenIDConnectProvider" => providers::get(call, xml).await,
        "ListOpenIDConnectProviders" => providers::list(call, xml).await,
        "AddClientIDToOpenIDConnectProvider" => providers::add_client_id(call).await,
        "RemoveClientIDFromOpenIDConnectProvider" => providers::remove_client_id(call).await,
        "UpdateOpenIDConnectProviderThumbprint" => providers::update_thumbprints(call).await,
        "DeleteOpenIDConnectProvider" => providers::delete(call).await,

        "GetAccountSummary" => account::summary(call, xml).await,
        _ => Err(QueryError::new(
            QueryErrorCode::InvalidAction,
            format!("Could not find operation {action}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_and_found_again() {
        for table in [IAM_ACTIONS, STS_ACTIONS, IAM_MISSING, STS_MISSING] {
            assert!(table.is_sorted_by(|left, right| left < right));
        }
        assert_eq!(find("CreateUser"), Some((QueryService::Iam, "CreateUser")));
        assert_eq!(find("AssumeRole"), Some((QueryService::Sts, "AssumeRole")));
        assert_eq!(find("createuser"), None);
    }
}
