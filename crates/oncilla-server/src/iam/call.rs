//! A call: who calls, with what, and whether they may.

use std::sync::Arc;

use http::header::{REFERER, USER_AGENT};
use http::request::Parts;
use oncilla_iam::policy::{
    CallerKind, ContextTable, Decision, Policies, Request, ResourceSide, evaluate,
};
use oncilla_iam::{
    Entity, EntityKind, Iam, IamError, KeyPrincipal, KeyWithAccount, Principal, Tag,
};
use oncilla_wire::query_api::{Form, QueryError, QueryErrorCode, QueryService, TagShape};
use oncilla_wire::time::iso8601;
use oncilla_wire::xml::XmlWriter;

use super::errors::of_iam;
use crate::{Peer, RequestContext};

/// Items of a page unless `MaxItems` says otherwise, and at most.
/// Source: IAM API reference, ListUsers.
const PAGE_ITEMS_DEFAULT: u64 = 100;
const PAGE_ITEMS_MAX: u64 = 1_000;

/// Actions that take tags: of no others do tags in the form say anything.
const GIVES_TAGS: [&str; 8] = [
    "CreateGroup",
    "CreateOpenIDConnectProvider",
    "CreatePolicy",
    "CreateRole",
    "CreateUser",
    "TagPolicy",
    "TagRole",
    "TagUser",
];
/// Actions that take tags away.
const TAKES_TAGS: [&str; 3] = ["UntagPolicy", "UntagRole", "UntagUser"];

/// A verified call.
pub struct Call<'s> {
    /// The door to accounts.
    pub iam: &'s Iam,
    /// The parameters.
    pub form: Form,
    /// The credential it was signed with.
    pub credential: Arc<KeyWithAccount>,
    /// Who calls.
    pub caller: Arc<KeyPrincipal>,
    service: QueryService,
    action: &'static str,
    facts: ContextTable,
}

/// Where a page begins and how long it is.
pub struct PageRequest<'f> {
    /// What the last page ended with.
    pub marker: Option<&'f str>,
    /// Items at most.
    pub limit: usize,
}

impl<'s> Call<'s> {
    pub fn new(
        iam: &'s Iam,
        form: Form,
        service: QueryService,
        action: &'static str,
        credential: Arc<KeyWithAccount>,
    ) -> Result<Self, QueryError> {
        let Principal::Key(caller) = credential.principal().clone() else {
            let message = "Request is missing Authentication Token";
            return Err(QueryError::new(
                QueryErrorCode::MissingAuthenticationToken,
                message,
            ));
        };
        Ok(Self {
            iam,
            form,
            credential,
            caller,
            service,
            action,
            facts: ContextTable::new(),
        })
    }

    /// Adds what conditions may ask for.
    pub fn with_facts(
        mut self,
        head: &Parts,
        context: &RequestContext,
        region: &str,
    ) -> Result<Self, QueryError> {
        let now_ms = self.iam.clock_ms();
        let mut facts = ContextTable::new()
            .with(
                "aws:SecureTransport",
                if context.tls { "true" } else { "false" },
            )
            .with("aws:RequestedRegion", region)
            .with("aws:EpochTime", &(now_ms / 1_000).to_string());
        let time = iso8601(i64::try_from(now_ms).unwrap_or(i64::MAX));
        if let Ok(time) = std::str::from_utf8(&time) {
            facts = facts.with("aws:CurrentTime", time);
        }
        if let Peer::Tcp(address) = context.peer {
            facts = facts.with("aws:SourceIp", &address.ip().to_canonical().to_string());
        }
        for (name, key) in [(USER_AGENT, "aws:UserAgent"), (REFERER, "aws:Referer")] {
            let value = head.headers.get(name).and_then(|value| value.to_str().ok());
            if let Some(value) = value {
                facts = facts.with(key, value);
            }
        }
        if self.credential.is_session() {
            let issued_ms = self.credential.key.info.created_ms;
            let issued = iso8601(i64::try_from(issued_ms).unwrap_or(i64::MAX));
            if let Ok(issued) = std::str::from_utf8(&issued) {
                facts = facts.with("aws:TokenIssueTime", issued);
            }
            // Only temporary credentials have it, and there are no devices to have been there.
            // Source: IAM user guide, "AWS global condition context keys".
            facts = facts.with("aws:MultiFactorAuthPresent", "false");
        }
        self.facts = self.with_tags_of_request(facts)?;
        Ok(self)
    }

    /// Adds the tags that the request gives, or takes away, if its action is one that does.
    /// Source: IAM user guide, "Controlling access to AWS resources using tags", "Controlling access
    /// during AWS requests".
    fn with_tags_of_request(&self, mut facts: ContextTable) -> Result<ContextTable, QueryError> {
        if GIVES_TAGS.contains(&self.action) {
            for tag in self.tags()? {
                facts = facts
                    .with(&format!("aws:RequestTag/{}", tag.key), &tag.value)
                    .with("aws:TagKeys", &tag.key);
            }
        }
        if TAKES_TAGS.contains(&self.action) {
            for key in self.form.list("TagKeys")? {
                facts = facts.with("aws:TagKeys", key);
            }
        }
        Ok(facts)
    }

    /// Id of the caller's account.
    pub fn account(&self) -> &str {
        &self.caller.account
    }

    /// What is known of the request, and what else `more` tells.
    pub fn facts(&self, more: &[(&str, &str)]) -> ContextTable {
        let add = |facts: ContextTable, (key, value): &(&str, &str)| facts.with(key, value);
        more.iter().fold(self.facts.clone(), add)
    }

    /// Judges the action on something of the caller's account that has no tags.
    pub fn authorize(&self, resource: &str) -> Result<(), QueryError> {
        self.authorize_tagged(resource, &[])
    }

    /// Judges the action on something that has these tags.
    pub fn authorize_tagged(&self, resource: &str, tags: &[Tag]) -> Result<(), QueryError> {
        self.authorize_as(resource, resource, tags, &[])
    }

    /// As [`Call::authorize_tagged`], with further values for conditions; a refusal calls the resource
    /// `asked`.
    fn authorize_as(
        &self,
        resource: &str,
        asked: &str,
        tags: &[Tag],
        more: &[(&str, &str)],
    ) -> Result<(), QueryError> {
        let principal = Principal::Key(Arc::clone(&self.caller));
        let facts = with_tags_of_resource(self.facts(more), tags);
        let request = Request {
            caller: &principal.caller(),
            action: &self.action_name(),
            resource,
            context: &facts,
        };
        let policies = Policies {
            identity: &self.caller.policies,
            session: self.caller.session.as_deref(),
            resource: ResourceSide {
                owner: Some(self.account()),
                ..ResourceSide::default()
            },
        };
        let decision = evaluate(&request, &policies);
        match decision.is_allowed() {
            true => Ok(()),
            false => Err(self.denied(asked, &decision)),
        }
    }

    /// The name of the action.
    pub fn action(&self) -> &'static str {
        self.action
    }

    /// The action as policies have it, such as `iam:CreateUser`.
    pub fn action_name(&self) -> String {
        format!("{}:{}", self.service.name(), self.action)
    }

    /// The refusal of the action on something.
    pub fn denied(&self, resource: &str, decision: &Decision<'_>) -> QueryError {
        let action = self.action_name();
        let reason = decision.reason;
        tracing::debug!(caller = self.caller.arn, action, resource, %reason, "denied");
        let message = decision.refusal(&self.caller.arn, &action, resource);
        QueryError::new(QueryErrorCode::AccessDenied, message)
    }

    /// The entity that a parameter names, once the action on it is allowed: whoever may not, does
    /// not learn whether it exists.
    pub async fn entity(&self, kind: EntityKind) -> Result<Entity, QueryError> {
        let name = self.form.required(name_parameter(kind))?;
        self.entity_named(kind, name, &[]).await
    }

    /// As [`Call::entity`], for a name. A refusal repeats no more than the name: the path of an
    /// entity would tell that there is one.
    pub async fn entity_named(
        &self,
        kind: EntityKind,
        name: &str,
        more: &[(&str, &str)],
    ) -> Result<Entity, QueryError> {
        let asked = oncilla_iam::arn::entity_arn(self.account(), kind, "/", name);
        match self.iam.entity(self.account(), kind, name).await {
            Ok(entity) => {
                let arn = entity.arn(self.account());
                self.authorize_as(&arn, &asked, &entity.tags, more)?;
                Ok(entity)
            }
            Err(error @ IamError::NoSuchEntity { .. }) => {
                self.authorize_as(&asked, &asked, &[], more)?;
                Err(of_iam(error))
            }
            Err(error) => Err(of_iam(error)),
        }
    }

    /// Whether the account itself calls, with all its power.
    pub fn is_root(&self) -> bool {
        self.caller.kind == CallerKind::AccountRoot
    }

    /// `Path`, or else the root of paths.
    pub fn path(&self) -> &str {
        self.form.get("Path").unwrap_or("/")
    }

    /// `PathPrefix`, or else that of all paths.
    pub fn path_prefix(&self) -> &str {
        self.form.get("PathPrefix").unwrap_or("/")
    }

    /// `Marker` and `MaxItems`.
    pub fn page(&self) -> Result<PageRequest<'_>, QueryError> {
        let limit = self.form.number("MaxItems", 1, PAGE_ITEMS_MAX)?;
        Ok(PageRequest {
            marker: self.form.get("Marker"),
            limit: limit.unwrap_or(PAGE_ITEMS_DEFAULT) as usize,
        })
    }

    /// The members of `Tags`.
    pub fn tags(&self) -> Result<Vec<Tag>, QueryError> {
        let keys = self.form.fields("Tags", "Key")?;
        let values = self.form.fields("Tags", "Value")?;
        if keys.len() != values.len() {
            let rule = "every tag has a key and a value";
            return Err(QueryError::invalid("Tags", "", rule));
        }
        let tag = |(key, value): (&str, &str)| Tag {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        Ok(keys.into_iter().zip(values).map(tag).collect())
    }

    /// Refuses parameters that ask for what is not there.
    pub fn refuse(&self, parameters: &[&str]) -> Result<(), QueryError> {
        let given = parameters.iter().find(|name| self.form.get(name).is_some());
        let Some(name) = given else {
            return Ok(());
        };
        let message = format!("The parameter {name} is not implemented. Nothing was changed.");
        Err(QueryError::new(QueryErrorCode::NotImplemented, message))
    }
}

/// Adds the tags of what an action is done to.
/// Source: service authorization reference, "Condition keys for AWS Identity and Access Management".
pub fn with_tags_of_resource(facts: ContextTable, tags: &[Tag]) -> ContextTable {
    tags.iter().fold(facts, |facts, tag| {
        facts
            .with(&format!("aws:ResourceTag/{}", tag.key), &tag.value)
            .with(&format!("iam:ResourceTag/{}", tag.key), &tag.value)
    })
}

/// The parameter that names an entity of a kind.
pub fn name_parameter(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::User => "UserName",
        EntityKind::Group => "GroupName",
        EntityKind::Role => "RoleName",
    }
}

/// Cuts a page out of a sorted list that is whole in memory.
pub fn cut<T>(
    items: Vec<T>,
    page: &PageRequest<'_>,
    key: impl Fn(&T) -> &str,
) -> (Vec<T>, Option<String>) {
    let is_after = |item: &T| page.marker.is_none_or(|marker| key(item) > marker);
    let mut rest: Vec<T> = items.into_iter().filter(is_after).collect();
    let is_cut = rest.len() > page.limit;
    rest.truncate(page.limit);
    let next = rest.last().map(|item| key(item).to_owned());
    (rest, next.filter(|_| is_cut))
}

/// Writes what a listing ends with.
pub fn end_page(xml: &mut XmlWriter, next: Option<&str>) {
    xml.boolean("IsTruncated", next.is_some());
    xml.optional_text("Marker", next);
}

/// Tags as documents have them.
pub fn tag_shapes(tags: &[Tag]) -> impl Iterator<Item = TagShape<'_>> {
    tags.iter().map(|tag| TagShape {
        key: &tag.key,
        value: &tag.value,
    })
}
