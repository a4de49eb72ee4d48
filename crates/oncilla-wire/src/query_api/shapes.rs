//! What answers are made of. Source: IAM API reference, "Data types".

use crate::uri::encode_component;
use crate::xml::XmlWriter;

/// A tag.
#[derive(Clone, Copy, Debug)]
pub struct TagShape<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its value.
    pub value: &'a str,
}

/// Writes `Tags`, which is left out where there are none.
pub fn write_tags<'a>(xml: &mut XmlWriter, tags: impl Iterator<Item = TagShape<'a>>) {
    let mut tags = tags.peekable();
    if tags.peek().is_none() {
        return;
    }
    xml.open("Tags");
    for tag in tags {
        xml.open("member");
        xml.text("Key", tag.key);
        xml.text("Value", tag.value);
        xml.close("member");
    }
    xml.close("Tags");
}

/// What users, groups and roles have in common: the inside of `User`, `Group` and `Role`.
#[derive(Clone, Copy, Debug)]
pub struct EntityShape<'a> {
    /// `User`, `Group` or `Role`, which the names of its elements begin with.
    pub word: &'a str,
    /// Its path.
    pub path: &'a str,
    /// Its name; the root of an account has none.
    pub name: Option<&'a str>,
    /// Its id.
    pub id: &'a str,
    /// Its ARN.
    pub arn: &'a str,
    /// When it was created, in Unix milliseconds.
    pub created_ms: i64,
}

impl EntityShape<'_> {
    /// Writes the elements.
    pub fn write(&self, xml: &mut XmlWriter) {
        xml.text("Path", self.path);
        xml.optional_text(&format!("{}Name", self.word), self.name);
        xml.text(&format!("{}Id", self.word), self.id);
        xml.text("Arn", self.arn);
        xml.time("CreateDate", self.created_ms);
    }
}

/// What roles have beside that.
#[derive(Clone, Copy, Debug)]
pub struct RoleShape<'a> {
    /// The trust policy.
    pub trust_policy: &'a str,
    /// The description; empty for none.
    pub description: &'a str,
    /// Longest session in seconds.
    pub max_session_s: u64,
}

impl RoleShape<'_> {
    /// Writes the elements. Documents are percent-encoded in answers.
    pub fn write(&self, xml: &mut XmlWriter) {
        xml.text(
            "AssumeRolePolicyDocument",
            &encode_component(self.trust_policy),
        );
        let description = Some(self.description).filter(|text| !text.is_empty());
        xml.optional_text("Description", description);
        xml.number("MaxSessionDuration", self.max_session_s);
    }
}

/// A managed policy: the inside of `Policy`.
#[derive(Clone, Copy, Debug)]
pub struct PolicyShape<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its id.
    pub id: &'a str,
    /// Its ARN.
    pub arn: &'a str,
    /// Its path.
    pub path: &'a str,
    /// The id of the version that counts, such as `v1`.
    pub default_version: &'a str,
    /// To how many it is attached.
    pub attachments: u64,
    /// The description, where it is shown; empty for none.
    pub description: &'a str,
    /// When it was created, in Unix milliseconds.
    pub created_ms: i64,
    /// When its versions changed last, in Unix milliseconds.
    pub updated_ms: i64,
}

impl PolicyShape<'_> {
    /// Writes the elements.
    pub fn write(&self, xml: &mut XmlWriter) {
        xml.text("PolicyName", self.name);
        xml.text("PolicyId", self.id);
        xml.text("Arn", self.arn);
        xml.text("Path", self.path);
        xml.text("DefaultVersionId", self.default_version);
        xml.number("AttachmentCount", self.attachments);
        xml.number("PermissionsBoundaryUsageCount", 0);
        xml.boolean("IsAttachable", true);
        let description = Some(self.description).filter(|text| !text.is_empty());
        xml.optional_text("Description", description);
        xml.time("CreateDate", self.created_ms);
        xml.time("UpdateDate", self.updated_ms);
    }
}

/// A version of a managed policy: the inside of `PolicyVersion`.
#[derive(Clone, Copy, Debug)]
pub struct PolicyVersionShape<'a> {
    /// Its document, where it is shown.
    pub document: Option<&'a str>,
    /// Its id, such as `v1`.
    pub id: &'a str,
    /// Whether it is the one that counts.
    pub is_default: bool,
    /// When it was created, in Unix milliseconds.
    pub created_ms: i64,
}

impl PolicyVersionShape<'_> {
    /// Writes the elements.
    pub fn write(&self, xml: &mut XmlWriter) {
        let document = self.document.map(encode_component);
        xml.optional_text("Document", document.as_deref());
        xml.text("VersionId", self.id);
        xml.boolean("IsDefaultVersion", self.is_default);
        xml.time("CreateDate", self.created_ms);
    }
}

/// An access key: the inside of `AccessKey`, or of a member of `AccessKeyMetadata`.
#[derive(Clone, Copy)]
pub struct AccessKeyShape<'a> {
    /// Name of its user; the account's own keys have none.
    pub user_name: Option<&'a str>,
    /// Its id.
    pub id: &'a str,
    /// Whether it works.
    pub is_active: bool,
    /// The secret, in the one answer that tells it.
    pub secret: Option<&'a str>,
    /// When it was created, in Unix milliseconds.
    pub created_ms: i64,
}

impl AccessKeyShape<'_> {
    /// Writes the elements.
    pub fn write(&self, xml: &mut XmlWriter) {
        xml.optional_text("UserName", self.user_name);
        xml.text("AccessKeyId", self.id);
        xml.text("Status", if self.is_active { "Active" } else { "Inactive" });
        xml.optional_text("SecretAccessKey", self.secret);
        xml.time("CreateDate", self.created_ms);
    }
}

/// A temporary credential: `Credentials`.
#[derive(Clone, Copy)]
pub struct CredentialsShape<'a> {
    /// Its access key id.
    pub access_key_id: &'a str,
    /// Its secret.
    pub secret: &'a str,
    /// Its token.
    pub token: &'a str,
    /// When it ceases to work, in Unix milliseconds.
    pub expires_ms: i64,
}

impl CredentialsShape<'_> {
    /// Writes the element.
    pub fn write(&self, xml: &mut XmlWriter) {
        xml.open("Credentials");
        xml.text("AccessKeyId", self.access_key_id);
        xml.text("SecretAccessKey", self.secret);
        xml.text("SessionToken", self.token);
        xml.time("Expiration", self.expires_ms);
        xml.close("Credentials");
    }
}
