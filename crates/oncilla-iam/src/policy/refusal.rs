//! What is told to whoever is refused.
//! Source: IAM user guide, "Troubleshoot access denied error messages"; S3 user guide, "Troubleshoot
//! access denied (403 Forbidden) errors in Amazon S3".

use super::evaluate::{Decision, Effect, PolicySource, Reason};

impl Decision<'_> {
    /// The refusal in AWS's words: who (an ARN) may not do what with what, and what is missing or in
    /// the way.
    pub fn refusal(&self, caller: &str, action: &str, resource: &str) -> String {
        let why = self.why_refused(action);
        format!(
            "User: {caller} is not authorized to perform: {action} on resource: {resource} {why}"
        )
    }

    fn why_refused(&self, action: &str) -> String {
        if self.effect == Effect::ExplicitDeny {
            let policy = match self.statement.map(|statement| statement.source) {
                Some(PolicySource::Identity) => " in an identity-based policy",
                Some(PolicySource::Session) => " in a session policy",
                Some(PolicySource::Bucket) => " in a resource-based policy",
                None => "",
            };
            return format!("with an explicit deny{policy}");
        }
        let policy = match self.reason {
            Reason::SessionPolicy => "session",
            Reason::NotSharedByOwner | Reason::RestrictPublicBuckets => "resource-based",
            _ => "identity-based",
        };
        format!("because no {policy} policy allows the {action} action")
    }
}
