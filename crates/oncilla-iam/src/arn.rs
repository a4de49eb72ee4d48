//! The ARNs of what an account has: users, groups, roles, policies, sessions, identity providers.
//! Source: IAM user guide, "IAM identifiers". Where AWS has the twelve digits of an account, there
//! is its canonical user id here.

use crate::rows::entity::EntityKind;
use crate::validate;

/// The account in the ARNs of the policies that everybody has.
pub(crate) const AWS_ACCOUNT: &str = "aws";

/// The ARN of an account itself, as which its own keys act.
pub fn root_arn(account_id: &str) -> String {
    format!("arn:aws:iam::{account_id}:root")
}

/// The ARN of a user, group or role. `path` begins and ends with a slash.
pub fn entity_arn(account_id: &str, kind: EntityKind, path: &str, name: &str) -> String {
    let word = kind.word();
    format!("arn:aws:iam::{account_id}:{word}{path}{name}")
}

/// The ARN of a managed policy.
pub fn policy_arn(account_id: &str, path: &str, name: &str) -> String {
    format!("arn:aws:iam::{account_id}:policy{path}{name}")
}

/// The ARN of an identity provider, whose address is given without its scheme.
pub fn provider_arn(account_id: &str, address: &str) -> String {
    format!("arn:aws:iam::{account_id}:oidc-provider/{address}")
}

/// The ARN of a session of a role.
pub fn session_arn(account_id: &str, role_name: &str, session_name: &str) -> String {
    format!("arn:aws:sts::{account_id}:assumed-role/{role_name}/{session_name}")
}

/// An ARN of IAM, cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IamArn<'a> {
    /// Whose it is: a canonical user id, or `aws`.
    pub account: &'a str,
    /// What it is: `role`, `policy`, `oidc-provider` …
    pub kind: &'a str,
    /// The path, with the slashes at both ends.
    pub path: &'a str,
    /// The name.
    pub name: &'a str,
}

impl<'a> IamArn<'a> {
    /// Cuts an ARN up. `None` for anything else; whether account and name exist is another matter.
    pub fn parse(arn: &'a str) -> Option<Self> {
        let (account, resource) = arn.strip_prefix("arn:aws:iam::")?.split_once(':')?;
        let kind_end = resource.find('/')?;
        let (kind, rest) = resource.split_at(kind_end);
        let name_start = rest.rfind('/')? + 1;
        let (path, name) = rest.split_at(name_start);
        let is_account = account == AWS_ACCOUNT || validate::is_canonical_id(account);
        (is_account && !kind.is_empty() && !name.is_empty()).then_some(Self {
            account,
            kind,
            path,
            name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_together_is_cut_up_again() {
        let account = "0123456789abcdef".repeat(4);
        let arn = entity_arn(&account, EntityKind::Role, "/a/b/", "reader");
        let parsed = IamArn::parse(&arn).unwrap();
        let expected = IamArn {
            account: &account,
            kind: "role",
            path: "/a/b/",
            name: "reader",
        };
        assert_eq!(parsed, expected);
        let arn = policy_arn(AWS_ACCOUNT, "/", "AmazonS3FullAccess");
        assert_eq!(arn, "arn:aws:iam::aws:policy/AmazonS3FullAccess");
        assert_eq!(IamArn::parse(&arn).unwrap().path, "/");
    }

    #[test]
    fn what_is_no_arn_is_refused() {
        let account = "0123456789abcdef".repeat(4);
        for arn in [
            "",
            "reader",
            "arn:aws:iam::",
            "arn:aws:iam::123456789012:role/reader",
            &format!("arn:aws:iam::{account}:root"),
            &format!("arn:aws:iam::{account}:role/"),
            &format!("arn:aws:iam::{account}:/reader"),
            &format!("arn:aws:sts::{account}:role/reader"),
        ] {
            assert_eq!(IamArn::parse(arn), None, "{arn}");
        }
    }
}
