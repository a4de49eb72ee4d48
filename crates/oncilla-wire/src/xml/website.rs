//! `WebsiteConfiguration`: the request of PutBucketWebsite and the answer of GetBucketWebsite.
//! What it means for a request is in [`crate::website`].

use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::error::{S3Error, S3ErrorCode};

/// The largest document. Source: S3 API reference, PutBucketWebsite: 128 KB.
pub const MAX_WEBSITE_BODY_BYTES: usize = 128 * 1024;

/// The most routing rules. Source: S3 API reference, PutBucketWebsite.
pub const MAX_ROUTING_RULES: usize = 50;

/// How a bucket is served as a website.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebsiteConfiguration {
    /// Every request is sent elsewhere.
    RedirectAll {
        /// The host.
        host: String,
        /// The scheme; that of the request without one.
        protocol: Option<Protocol>,
    },
    /// Objects are served.
    Serve {
        /// What is appended to a key that ends with a slash.
        index_suffix: String,
        /// The key of the page for errors.
        error_key: Option<String>,
        /// In the order in which they are tried.
        rules: Vec<RoutingRule>,
    },
}

/// A scheme of URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Plain.
    Http,
    /// Over TLS.
    Https,
}

impl Protocol {
    /// As it stands in documents and URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn read(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        match xml.value()?.as_str() {
            "http" => Ok(Self::Http),
            "https" => Ok(Self::Https),
            _ => Err(invalid_request(
                "Invalid protocol, protocol can be http or https. If not defined the protocol will \
                 be selected automatically.",
            )),
        }
    }
}

/// Sends some requests elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutingRule {
    /// Which; all without one.
    pub condition: Option<RoutingCondition>,
    /// Where to.
    pub redirect: Redirect,
}

/// Requests with all of these properties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutingCondition {
    /// The status that the answer would have.
    pub error_code: Option<u16>,
    /// What the key begins with.
    pub key_prefix: Option<String>,
}

/// Where a request is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirect {
    /// The host; that of the request without one.
    pub host: Option<String>,
    /// The status of the answer; 301 without one.
    pub code: Option<u16>,
    /// The scheme; that of the request without one.
    pub protocol: Option<Protocol>,
    /// What becomes of the key; it stays without one.
    pub key: Option<KeyReplacement>,
}

/// What becomes of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyReplacement {
    /// The prefix of the rule's condition becomes this.
    Prefix(String),
    /// The key becomes this.
    Whole(String),
}

/// What a document says, before it is judged as a whole.
#[derive(Default)]
struct Parts {
    redirect_all: Option<(Option<String>, Option<Protocol>)>,
    index: Option<Option<String>>,
    error: Option<Option<String>>,
    rules: Option<Vec<RoutingRule>>,
}

impl WebsiteConfiguration {
    /// Reads the document.
    ///
    /// # Errors
    /// `MalformedXML`, `InvalidArgument` and `InvalidRequest`, as S3 tells them apart.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        let mut reader = XmlReader::open(xml, &["WebsiteConfiguration"])?;
        let mut parts = Parts::default();
        while let Some(name) = reader.child()? {
            match name {
                "RedirectAllRequestsTo" => reader.once(&mut parts.redirect_all, read_target)?,
                "IndexDocument" => {
                    reader.once(&mut parts.index, |xml| read_only(xml, "Suffix"))?;
                }
                "ErrorDocument" => reader.once(&mut parts.error, |xml| read_only(xml, "Key"))?,
                "RoutingRules" => reader.once(&mut parts.rules, read_rules)?,
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        match parts.redirect_all.take() {
            Some((host, protocol)) => parts.redirect_all(host, protocol),
            None => parts.serve(),
        }
    }

    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(1024);
        xml.open_root("WebsiteConfiguration");
        match self {
            Self::RedirectAll { host, protocol } => {
                xml.open("RedirectAllRequestsTo");
                xml.text("HostName", host);
                xml.optional_text("Protocol", protocol.map(Protocol::as_str));
                xml.close("RedirectAllRequestsTo");
            }
            Self::Serve {
                index_suffix,
                error_key,
                rules,
            } => {
                xml.open("IndexDocument");
                xml.text("Suffix", index_suffix);
                xml.close("IndexDocument");
                if let Some(key) = error_key {
                    xml.open("ErrorDocument");
                    xml.text("Key", key);
                    xml.close("ErrorDocument");
                }
                if !rules.is_empty() {
                    xml.open("RoutingRules");
                    rules.iter().for_each(|rule| rule.write(&mut xml));
                    xml.close("RoutingRules");
                }
            }
        }
        xml.close("WebsiteConfiguration");
        xml.finish()
    }
}

impl Parts {
    fn redirect_all(
        self,
        host: Option<String>,
        protocol: Option<Protocol>,
    ) -> Result<WebsiteConfiguration, S3Error> {
        if self.index.is_some() || self.error.is_some() || self.rules.is_some() {
            let message = "RedirectAllRequestsTo cannot be provided in conjunction with other \
                           Routing Rules.";
            return Err(S3Error::invalid_argument(
                "RedirectAllRequestsTo",
                "not null",
                message,
            ));
        }
        let host = host.ok_or_else(|| malformed("RedirectAllRequestsTo needs a HostName."))?;
        check_host(&host)?;
        Ok(WebsiteConfiguration::RedirectAll { host, protocol })
    }

    fn serve(self) -> Result<WebsiteConfiguration, S3Error> {
        let Some(suffix) = self.index else {
            let message = "A value for IndexDocument Suffix must be provided if \
                           RedirectAllRequestsTo is empty";
            return Err(S3Error::invalid_argument("IndexDocument", "null", message));
        };
        let suffix = suffix.unwrap_or_default();
        if suffix.is_empty() || suffix.contains('/') {
            let message = "The IndexDocument Suffix is not well formed";
            return Err(S3Error::invalid_argument("IndexDocument", &suffix, message));
        }
        let error_key = match self.error {
            Some(Some(key)) if !key.is_empty() => Some(key),
            Some(_) => return Err(malformed("ErrorDocument needs a Key.")),
            None => None,
        };
        let rules = self.rules.unwrap_or_default();
        Ok(WebsiteConfiguration::Serve {
            index_suffix: suffix,
            error_key,
            rules,
        })
    }
}

impl RoutingRule {
    fn read(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        let (mut condition, mut redirect) = (None, None);
        while let Some(name) = xml.child()? {
            match name {
                "Condition" => xml.once(&mut condition, RoutingCondition::read)?,
                "Redirect" => xml.once(&mut redirect, Redirect::read)?,
                _ => xml.skip()?,
            }
        }
        let redirect = redirect.ok_or_else(|| malformed("A RoutingRule needs a Redirect."))?;
        Ok(Self {
            condition,
            redirect,
        })
    }

    fn write(&self, xml: &mut XmlWriter) {
        xml.open("RoutingRule");
        if let Some(condition) = &self.condition {
            xml.open("Condition");
            if let Some(code) = condition.error_code {
                xml.number("HttpErrorCodeReturnedEquals", u64::from(code));
            }
            xml.optional_text("KeyPrefixEquals", condition.key_prefix.as_deref());
            xml.close("Condition");
        }
        let redirect = &self.redirect;
        xml.open("Redirect");
        xml.optional_text("Protocol", redirect.protocol.map(Protocol::as_str));
        xml.optional_text("HostName", redirect.host.as_deref());
        match &redirect.key {
            Some(KeyReplacement::Prefix(prefix)) => xml.text("ReplaceKeyPrefixWith", prefix),
            Some(KeyReplacement::Whole(key)) => xml.text("ReplaceKeyWith", key),
            None => {}
        }
        if let Some(code) = redirect.code {
            xml.number("HttpRedirectCode", u64::from(code));
        }
        xml.close("Redirect");
        xml.close("RoutingRule");
    }
}

impl RoutingCondition {
    fn read(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        let mut condition = Self::default();
        while let Some(name) = xml.child()? {
            match name {
                "HttpErrorCodeReturnedEquals" => {
                    xml.once(&mut condition.error_code, read_error_code)?;
                }
                "KeyPrefixEquals" => xml.once(&mut condition.key_prefix, XmlReader::value)?,
                _ => xml.skip()?,
            }
        }
        if condition == Self::default() {
            return Err(invalid_request(
                "Condition cannot be empty. To redirect all requests without a condition, the \
                 condition element shouldn't be present.",
            ));
        }
        Ok(condition)
    }
}

impl Redirect {
    fn read(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        let mut redirect = Self::default();
        let (mut prefix, mut whole) = (None, None);
        while let Some(name) = xml.child()? {
            match name {
                "HostName" => xml.once(&mut redirect.host, read_host)?,
                "Protocol" => xml.once(&mut redirect.protocol, Protocol::read)?,
                "HttpRedirectCode" => xml.once(&mut redirect.code, read_redirect_code)?,
                "ReplaceKeyPrefixWith" => xml.once(&mut prefix, XmlReader::value)?,
                "ReplaceKeyWith" => xml.once(&mut whole, XmlReader::value)?,
                _ => xml.skip()?,
            }
        }
        redirect.key = match (prefix, whole) {
            (None, None) => None,
            (Some(prefix), None) => Some(KeyReplacement::Prefix(prefix)),
            (None, Some(key)) => Some(KeyReplacement::Whole(key)),
            (Some(_), Some(_)) => {
                return Err(invalid_request(
                    "You can only define ReplaceKeyPrefix or ReplaceKey but not both.",
                ));
            }
        };
        Ok(redirect)
    }
}

fn read_error_code(xml: &mut XmlReader<'_>) -> Result<u16, S3Error> {
    let text = xml.value()?;
    let code = text.parse().ok().filter(|code| (400..=599).contains(code));
    code.ok_or_else(|| {
        invalid_request(format!(
            "The provided HTTP error code ({text}) is not valid. Valid codes are 4XX or 5XX."
        ))
    })
}

fn read_redirect_code(xml: &mut XmlReader<'_>) -> Result<u16, S3Error> {
    let text = xml.value()?;
    let code = text.parse().ok().filter(|code| (301..=399).contains(code));
    code.ok_or_else(|| {
        invalid_request(format!(
            "The provided HTTP redirect code ({text}) is not valid. Valid codes are 3XX except 300."
        ))
    })
}

fn read_host(xml: &mut XmlReader<'_>) -> Result<String, S3Error> {
    let host = xml.value()?;
    check_host(&host)?;
    Ok(host)
}

/// Reads `RedirectAllRequestsTo`.
fn read_target(xml: &mut XmlReader<'_>) -> Result<(Option<String>, Option<Protocol>), S3Error> {
    let (mut host, mut protocol) = (None, None);
    while let Some(name) = xml.child()? {
        match name {
            "HostName" => xml.once(&mut host, XmlReader::value)?,
            "Protocol" => xml.once(&mut protocol, Protocol::read)?,
            _ => xml.skip()?,
        }
    }
    Ok((host, protocol))
}

/// Reads an element that holds one of this name.
fn read_only(xml: &mut XmlReader<'_>, wanted: &str) -> Result<Option<String>, S3Error> {
    let mut found = None;
    while let Some(name) = xml.child()? {
        match name == wanted {
            true => xml.once(&mut found, XmlReader::value)?,
            false => xml.skip()?,
        }
    }
    Ok(found)
}

fn read_rules(xml: &mut XmlReader<'_>) -> Result<Vec<RoutingRule>, S3Error> {
    let mut rules = Vec::new();
    while let Some(name) = xml.child()? {
        match name {
            "RoutingRule" if rules.len() == MAX_ROUTING_RULES => {
                return Err(invalid_request(format!(
                    "There are too many routing rules. The number of routing rules is limited to \
                     {MAX_ROUTING_RULES}."
                )));
            }
            "RoutingRule" => rules.push(RoutingRule::read(xml)?),
            _ => xml.skip()?,
        }
    }
    if rules.is_empty() {
        return Err(malformed("RoutingRules needs a RoutingRule."));
    }
    Ok(rules)
}

/// A host goes into the `Location` of answers, between a scheme and a path.
fn check_host(host: &str) -> Result<(), S3Error> {
    let is_allowed = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
    };
    if !host.is_empty() && host.bytes().all(is_allowed) {
        return Ok(());
    }
    let message = "The HostName is not well formed";
    Err(S3Error::invalid_argument("HostName", host, message))
}

fn invalid_request(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>";

    fn parse(content: &str) -> Result<WebsiteConfiguration, S3Error> {
        let document = format!("<WebsiteConfiguration>{content}</WebsiteConfiguration>");
        let configuration = WebsiteConfiguration::parse(document.as_bytes())?;
        let again = WebsiteConfiguration::parse(&configuration.to_xml()).unwrap();
        assert_eq!(again, configuration);
        Ok(configuration)
    }

    #[test]
    fn what_s3_takes() {
        let redirect = "<RedirectAllRequestsTo><HostName>example.com</HostName>\
                        <Protocol>https</Protocol></RedirectAllRequestsTo>";
        assert_eq!(
            parse(redirect).unwrap(),
            WebsiteConfiguration::RedirectAll {
                host: "example.com".to_owned(),
                protocol: Some(Protocol::Https),
            }
        );
        let full = format!(
            "{INDEX}<ErrorDocument><Key>error.html</Key></ErrorDocument><RoutingRules>\
             <RoutingRule><Condition><KeyPrefixEquals>docs/</KeyPrefixEquals></Condition>\
             <Redirect><ReplaceKeyPrefixWith>documents/</ReplaceKeyPrefixWith></Redirect>\
             </RoutingRule><RoutingRule><Condition><HttpErrorCodeReturnedEquals>404\
             </HttpErrorCodeReturnedEquals></Condition><Redirect><HostName>e.com</HostName>\
             <HttpRedirectCode>302</HttpRedirectCode><ReplaceKeyWith>x</ReplaceKeyWith></Redirect>\
             </RoutingRule></RoutingRules>"
        );
        let WebsiteConfiguration::Serve {
            index_suffix,
            error_key,
            rules,
        } = parse(&full).unwrap()
        else {
            panic!("it serves");
        };
        assert_eq!(index_suffix, "index.html");
        assert_eq!(error_key.as_deref(), Some("error.html"));
        assert_eq!(rules.len(), 2);
        assert_eq!(rules[1].redirect.code, Some(302));
    }

    #[test]
    fn what_s3_refuses() {
        use S3ErrorCode::{InvalidArgument, InvalidRequest, MalformedXML};
        let rule = |content: &str| {
            format!("{INDEX}<RoutingRules><RoutingRule>{content}</RoutingRule></RoutingRules>")
        };
        let too_many = format!(
            "{INDEX}<RoutingRules>{}</RoutingRules>",
            "<RoutingRule><Redirect/></RoutingRule>".repeat(MAX_ROUTING_RULES + 1)
        );
        let cases = [
            (String::new(), InvalidArgument),
            ("<IndexDocument/>".to_owned(), InvalidArgument),
            (INDEX.replace("index.html", ""), InvalidArgument),
            (INDEX.replace("index.html", "a/b"), InvalidArgument),
            (format!("{INDEX}<ErrorDocument/>"), MalformedXML),
            (format!("{INDEX}<RoutingRules/>"), MalformedXML),
            (
                format!(
                    "{INDEX}<RedirectAllRequestsTo><HostName>a</HostName></RedirectAllRequestsTo>"
                ),
                InvalidArgument,
            ),
            ("<RedirectAllRequestsTo/>".to_owned(), MalformedXML),
            (
                "<RedirectAllRequestsTo><HostName>a/b</HostName></RedirectAllRequestsTo>"
                    .to_owned(),
                InvalidArgument,
            ),
            (
                "<RedirectAllRequestsTo><HostName>a</HostName><Protocol>ftp</Protocol>\
                 </RedirectAllRequestsTo>"
                    .to_owned(),
                InvalidRequest,
            ),
            (rule(""), MalformedXML),
            (rule("<Condition/><Redirect/>"), InvalidRequest),
            (
                rule(
                    "<Redirect><ReplaceKeyWith>a</ReplaceKeyWith>\
                     <ReplaceKeyPrefixWith>a</ReplaceKeyPrefixWith></Redirect>",
                ),
                InvalidRequest,
            ),
            (
                rule("<Redirect><HttpRedirectCode>300</HttpRedirectCode></Redirect>"),
                InvalidRequest,
            ),
            (
                rule(
                    "<Condition><HttpErrorCodeReturnedEquals>200</HttpErrorCodeReturnedEquals>\
                     </Condition><Redirect/>",
                ),
                InvalidRequest,
            ),
            (too_many, InvalidRequest),
        ];
        for (content, code) in cases {
            assert_eq!(parse(&content).unwrap_err().code, code, "{content}");
        }
    }
}
