//! S3's documents for people and programs: XML with indentation, as JSON, and from JSON.

use oncilla_wire::xml::NAMESPACE;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value};

/// How a member of the AWS CLI's JSON stands in XML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As one element.
    One,
    /// As one element if it is an object; text under this name is an element of the same name.
    Object,
    /// A list: the element, once for each item.
    Each,
    /// A list: the element once, and in it one of this name for each item.
    Around(&'static str),
}

/// Members of the AWS CLI's JSON that are lists, or whose element has another name in XML: the member, the
/// element, and how it stands there. Both directions use it. A list is one in JSON also where it has one
/// item, so that a program needs one case. Source: the model of S3 that the AWS SDKs share, `locationName`
/// of members, and lists that are `flattened` or not.
const MEMBERS: [(&str, &str, Form); 24] = [
    ("AllowedHeaders", "AllowedHeader", Form::Each),
    ("AllowedMethods", "AllowedMethod", Form::Each),
    ("AllowedOrigins", "AllowedOrigin", Form::Each),
    ("CORSRules", "CORSRule", Form::Each),
    ("EncryptionType", "EncryptionType", Form::Each),
    ("Events", "Event", Form::Each),
    ("ExposeHeaders", "ExposeHeader", Form::Each),
    ("FilterRules", "FilterRule", Form::Each),
    ("Grants", "AccessControlList", Form::Around("Grant")),
    // The filter of a notification is the one member of this name that is no text.
    ("Key", "S3Key", Form::Object),
    ("LambdaFunctionArn", "CloudFunction", Form::One),
    (
        "LambdaFunctionConfigurations",
        "CloudFunctionConfiguration",
        Form::Each,
    ),
    ("MFADelete", "MfaDelete", Form::One),
    (
        "NoncurrentVersionTransitions",
        "NoncurrentVersionTransition",
        Form::Each,
    ),
    ("QueueArn", "Queue", Form::One),
    ("QueueConfigurations", "QueueConfiguration", Form::Each),
    ("RoutingRules", "RoutingRules", Form::Around("RoutingRule")),
    ("Rules", "Rule", Form::Each),
    ("TagSet", "TagSet", Form::Around("Tag")),
    ("Tags", "Tag", Form::Each),
    ("TargetGrants", "TargetGrants", Form::Around("Grant")),
    ("TopicArn", "Topic", Form::One),
    ("TopicConfigurations", "TopicConfiguration", Form::Each),
    ("Transitions", "Transition", Form::Each),
];

/// Where an element of [`MEMBERS`] is no list, and keeps its name: what it stands in, and the element.
/// Source: as above.
const SINGLE: [(&str, &str); 2] = [("Filter", "Tag"), ("ObjectLockConfiguration", "Rule")];

/// Documents that the AWS CLI prints within a member of their root's name. Source: as above, outputs that
/// have a `payload`.
const WITHIN_ROOT: [&str; 4] = [
    "ObjectLockConfiguration",
    "OwnershipControls",
    "PublicAccessBlockConfiguration",
    "ServerSideEncryptionConfiguration",
];

/// Elements that are booleans in JSON. Source: S3 API reference, the types of what these configurations
/// are made of.
const BOOLEANS: [&str; 6] = [
    "BlockPublicAcls",
    "BlockPublicPolicy",
    "BucketKeyEnabled",
    "ExpiredObjectDeleteMarker",
    "IgnorePublicAcls",
    "RestrictPublicBuckets",
];

/// Elements that are numbers in JSON. Source: as above; the codes of a website's rules are text there.
const NUMBERS: [&str; 8] = [
    "Days",
    "DaysAfterInitiation",
    "MaxAgeSeconds",
    "NewerNoncurrentVersions",
    "NoncurrentDays",
    "ObjectSizeGreaterThan",
    "ObjectSizeLessThan",
    "Years",
];

/// Elements that have no text, also where they are empty. Source: as above.
const NO_TEXT: [&str; 5] = [
    "EventBridgeConfiguration",
    "Filter",
    "PartitionedPrefix",
    "Redirect",
    "SimplePrefix",
];

/// The element that says who is granted something.
const GRANTEE: &str = "Grantee";

/// What of a grantee is an attribute in XML, and the member of JSON that it is. Source: S3 API reference,
/// `Grantee`.
const GRANTEE_TYPE: (&str, &str) = ("xsi:type", "Type");

/// Members beside the document in what the AWS CLI takes as `--cli-input-json`. Source: S3 API reference,
/// the requests that put configurations.
const BESIDE_DOCUMENT: [&str; 4] = [
    "Bucket",
    "ChecksumAlgorithm",
    "ContentMD5",
    "ExpectedBucketOwner",
];

/// Deeper than any document of S3; what is read comes from the network.
const DEPTH_MAX: usize = 32;

/// An element.
struct Element {
    /// The start tag without the angle brackets: the name and the attributes.
    tag: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    fn name(&self) -> &str {
        let name = self.tag.split_ascii_whitespace().next().unwrap_or_default();
        name.rsplit_once(':').map_or(name, |(_, local)| local)
    }

    fn qualified_name(&self) -> &str {
        self.tag.split_ascii_whitespace().next().unwrap_or_default()
    }

    fn write(&self, out: &mut String, depth: usize) {
        let indent = "  ".repeat(depth);
        let (tag, name) = (&self.tag, self.qualified_name());
        if self.children.is_empty() {
            let text = quick_xml::escape::partial_escape(self.text.as_str());
            out.push_str(&match text.is_empty() {
                true => format!("{indent}<{tag}/>\n"),
                false => format!("{indent}<{tag}>{text}</{name}>\n"),
            });
            return;
        }
        out.push_str(&format!("{indent}<{tag}>\n"));
        for child in &self.children {
            child.write(out, depth + 1);
        }
        out.push_str(&format!("{indent}</{name}>\n"));
    }

    fn attribute(&self, name: &str) -> Option<String> {
        let tag = BytesStart::from_content(self.tag.as_str(), self.qualified_name().len());
        let attribute = tag.try_get_attribute(name).ok()??;
        let value = quick_xml::escape::unescape(&attribute.value).ok()?;
        Some(value.into_owned())
    }

    fn into_json(self) -> Value {
        let name = self.name().to_owned();
        if let (_, Form::Around(_)) = member_of(&name, "") {
            return self.children.into_iter().map(Element::into_json).collect();
        }
        if self.children.is_empty() {
            return leaf(&name, &self.text);
        }
        let mut object = Map::new();
        let (attribute, kind) = GRANTEE_TYPE;
        if name == GRANTEE
            && let Some(value) = self.attribute(attribute)
        {
            object.insert(kind.to_owned(), Value::String(value));
        }
        for child in self.children {
            let (member, form) = member_of(child.name(), &name);
            let member = member.to_owned();
            let value = child.into_json();
            match object.get_mut(&member) {
                Some(Value::Array(list)) => list.push(value),
                // An element that is not known to repeat and does.
                Some(first) => *first = Value::Array(vec![first.take(), value]),
                None if form == Form::Each => {
                    object.insert(member, Value::Array(vec![value]));
                }
                None => drop(object.insert(member, value)),
            }
        }
        Value::Object(object)
    }
}

/// The member of JSON that an element is, and its form.
fn member_of<'a>(element: &'a str, parent: &str) -> (&'a str, Form) {
    if SINGLE.contains(&(parent, element)) {
        return (element, Form::One);
    }
    let known = MEMBERS.iter().find(|(_, name, _)| *name == element);
    known.map_or((element, Form::One), |(member, _, form)| (*member, *form))
}

/// The element that a member of JSON is, and its form.
fn element_of<'a>(member: &'a str, value: &Value) -> (&'a str, Form) {
    let known = MEMBERS.iter().find(|(name, _, form)| {
        let is_it = *form != Form::Object || value.is_object();
        *name == member && is_it
    });
    known.map_or((member, Form::One), |(_, element, form)| (*element, *form))
}

/// The document with one element a line. What is no XML stays as it is.
pub fn indented(xml: &[u8]) -> String {
    match read(xml) {
        Some(root) => {
            let mut out = String::new();
            root.write(&mut out, 0);
            out
        }
        None => String::from_utf8_lossy(xml).into_owned(),
    }
}

/// The value of an element without others in it. What is not as S3 writes it stays text.
fn leaf(name: &str, text: &str) -> Value {
    if NO_TEXT.contains(&name) && text.is_empty() {
        return Value::Object(Map::new());
    }
    let typed = match text {
        "true" | "false" if BOOLEANS.contains(&name) => Some(Value::Bool(text == "true")),
        _ if NUMBERS.contains(&name) => text
            .parse::<u64>()
            .ok()
            .filter(|number| number.to_string() == text)
            .map(Value::from),
        _ => None,
    };
    typed.unwrap_or_else(|| Value::String(text.to_owned()))
}

/// The document as JSON, as the AWS CLI prints it. Values are text, as they are in XML, but for those that
/// S3 knows to be booleans and numbers.
pub fn to_json(xml: &[u8]) -> Option<Value> {
    let root = read(xml)?;
    let name = root.name().to_owned();
    let content = match root.into_json() {
        Value::String(text) if text.is_empty() => Value::Object(Map::new()),
        content => content,
    };
    if !WITHIN_ROOT.contains(&name.as_str()) {
        return Some(content);
    }
    Some(Value::Object(Map::from_iter([(name, content)])))
}

/// The document, whose root element is `root`, of JSON in the shape that the AWS CLI takes, or prints, or
/// with the elements' own names. Those are not checked: that is the endpoint's business.
///
/// # Errors
/// What cannot be an element, in words.
pub fn from_json(root: &str, json: Value) -> Result<String, String> {
    let Value::Object(mut members) = json else {
        return Err("an object is needed: {…}".to_owned());
    };
    let inner = member_alone(&mut members, root);
    let mut document = element(root, inner.unwrap_or(Value::Object(members)))?;
    document.tag = format!("{root} xmlns=\"{NAMESPACE}\"");
    let mut out = String::new();
    document.write(&mut out, 0);
    Ok(out)
}

/// Takes a member out of an object that has no other, or none but those of [`BESIDE_DOCUMENT`]: both print
/// some documents with their root.
pub fn member_alone(members: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let is_alone = members
        .keys()
        .all(|member| member == name || BESIDE_DOCUMENT.contains(&member.as_str()));
    if !is_alone {
        return None;
    }
    members.remove(name)
}

fn element(name: &str, json: Value) -> Result<Element, String> {
    let mut bytes = name.bytes();
    let is_name = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric());
    if !is_name {
        return Err(format!("{name:?} cannot be the name of an element"));
    }
    let mut made = Element {
        tag: name.to_owned(),
        text: String::new(),
        children: Vec::new(),
    };
    match json {
        Value::Object(mut members) => {
            if name == GRANTEE {
                made.tag = grantee_tag(&mut members);
            }
            made.children = children(members)?;
        }
        Value::String(text) => made.text = text,
        Value::Bool(_) | Value::Number(_) => made.text = json.to_string(),
        Value::Null | Value::Array(_) => {
            return Err(format!("{name}: a value is needed, not {json}"));
        }
    }
    Ok(made)
}

fn children(members: Map<String, Value>) -> Result<Vec<Element>, String> {
    let mut made = Vec::new();
    for (name, value) in members {
        let (name, form) = element_of(&name, &value);
        match (value, form) {
            (Value::Null, _) => {}
            (Value::Array(list), Form::Around(item)) => made.push(Element {
                tag: name.to_owned(),
                text: String::new(),
                children: repeated(item, list)?,
            }),
            (Value::Array(list), _) => made.extend(repeated(name, list)?),
            (value, _) => made.push(element(name, value)?),
        }
    }
    Ok(made)
}

fn repeated(name: &str, list: Vec<Value>) -> Result<Vec<Element>, String> {
    list.into_iter().map(|item| element(name, item)).collect()
}

/// What kind a grantee is of is said by an attribute, which JSON has as a member, or not at all.
fn grantee_tag(members: &mut Map<String, Value>) -> String {
    let (attribute, member) = GRANTEE_TYPE;
    members.remove(member);
    let kind = if members.contains_key("URI") {
        "Group"
    } else if members.contains_key("EmailAddress") {
        "AmazonCustomerByEmail"
    } else {
        "CanonicalUser"
    };
    format!(
        "{GRANTEE} xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" {attribute}=\"{kind}\""
    )
}

/// The root element of a document. `None` for what is not well formed, or has a document type.
fn read(xml: &[u8]) -> Option<Element> {
    let text = std::str::from_utf8(xml).ok()?;
    let mut events = Reader::from_str(text);
    events.config_mut().expand_empty_elements = true;
    let mut open: Vec<Element> = Vec::new();
    loop {
        match events.read_event().ok()? {
            Event::Start(start) => {
                if open.len() == DEPTH_MAX {
                    return None;
                }
                let tag: &str = start.as_ref();
                open.push(Element {
                    tag: tag.trim_end().to_owned(),
                    text: String::new(),
                    children: Vec::new(),
                });
            }
            Event::End(_) => {
                let ended = open.pop()?;
                match open.last_mut() {
                    Some(parent) => parent.children.push(ended),
                    None => return Some(ended),
                }
            }
            Event::Text(text) => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&text.xml10_content());
                }
            }
            Event::CData(text) => open.last_mut()?.text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let name: &str = reference.as_ref();
                let escaped = format!("&{name};");
                let character = quick_xml::escape::unescape(&escaped).ok()?;
                open.last_mut()?.text.push_str(&character);
            }
            Event::Eof | Event::DocType(_) => return None,
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use oncilla_wire::xml::notification::NotificationConfiguration;
    use serde_json::json;

    use super::*;

    const RULES: &str = "<?xml version=\"1.0\"?>\n<LifecycleConfiguration xmlns=\"x\"><Rule>\
        <ID>a&amp;b &lt;1&gt;</ID><Filter/><Expiration><Days>30</Days></Expiration></Rule>\
        </LifecycleConfiguration>";

    #[test]
    fn documents_are_indented_and_stay_the_same() {
        let expected = "<LifecycleConfiguration xmlns=\"x\">\n  <Rule>\n    \
            <ID>a&amp;b &lt;1&gt;</ID>\n    <Filter/>\n    <Expiration>\n      <Days>30</Days>\n    \
            </Expiration>\n  </Rule>\n</LifecycleConfiguration>\n";
        assert_eq!(indented(RULES.as_bytes()), expected);
        assert_eq!(indented(expected.as_bytes()), expected);
        assert_eq!(to_json(expected.as_bytes()), to_json(RULES.as_bytes()));
    }

    #[test]
    fn what_may_repeat_is_always_a_list() {
        let expected = json!({"Rules": [
            {"ID": "a&b <1>", "Filter": {}, "Expiration": {"Days": 30}},
        ]});
        assert_eq!(to_json(RULES.as_bytes()), Some(expected));
        let twice = to_json(b"<a><b>1</b><b>2</b></a>").unwrap();
        assert_eq!(twice, json!({"b": ["1", "2"]}));
        assert_eq!(to_json(b"<a/>"), Some(json!({})));
    }

    #[test]
    fn booleans_and_numbers_are_such_in_json() {
        let xml = "<r><BlockPublicAcls>false</BlockPublicAcls><BucketKeyEnabled>TRUE</BucketKeyEnabled>\
            <Days>030</Days><Years>7</Years><Date>2026</Date><MaxAgeSeconds>-1</MaxAgeSeconds>\
            <NoncurrentDays>true</NoncurrentDays><Value>true</Value></r>";
        let expected = json!({
            "BlockPublicAcls": false, "BucketKeyEnabled": "TRUE", "Days": "030", "Years": 7,
            "Date": "2026", "MaxAgeSeconds": "-1", "NoncurrentDays": "true", "Value": "true",
        });
        let printed = to_json(xml.as_bytes()).unwrap();
        assert_eq!(printed, expected);
        let again = from_json("r", printed.clone()).unwrap();
        assert_eq!(to_json(again.as_bytes()), Some(printed));
        // As they were printed before they had types.
        let old = json!({"Rule": [{"Filter": "", "Expiration": {"Days": "30"}}]});
        let new = json!({"Rule": [{"Filter": {}, "Expiration": {"Days": 30}}]});
        assert_eq!(from_json("r", old), from_json("r", new));
    }

    /// A document from JSON without what makes it legible.
    fn made(root: &str, json: Value) -> String {
        let document = from_json(root, json).unwrap();
        let (start, rest) = document.split_once('>').unwrap();
        assert_eq!(start, format!("<{root} xmlns=\"{NAMESPACE}\""));
        let rest: String = rest.lines().map(str::trim).collect();
        rest.strip_suffix(&format!("</{root}>")).unwrap().to_owned()
    }

    #[test]
    fn the_json_of_the_aws_cli_becomes_a_document() {
        let rules = json!({"Rules": [
            {"ID": "a&b", "Filter": {"And": {"Prefix": "p/", "Tags": [
                {"Key": "k", "Value": "v"}, {"Key": "l", "Value": "w"},
            ]}}, "Expiration": {"Days": 30}, "Transitions": [{"Days": 1}], "Prefix": null},
            {"ID": "c"},
        ]});
        let expected = "<Rule><Expiration><Days>30</Days></Expiration>\
            <Filter><And><Prefix>p/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag>\
            <Tag><Key>l</Key><Value>w</Value></Tag></And></Filter><ID>a&amp;b</ID>\
            <Transition><Days>1</Days></Transition></Rule><Rule><ID>c</ID></Rule>";
        assert_eq!(made("LifecycleConfiguration", rules), expected);

        let events = json!({"LambdaFunctionConfigurations": [{
            "LambdaFunctionArn": "arn", "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
            "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "p"}]}},
        }]});
        let document = from_json("NotificationConfiguration", events.clone()).unwrap();
        let read = NotificationConfiguration::parse(document.as_bytes()).unwrap();
        assert_eq!(read.destinations[0].prefix.as_deref(), Some("p"));
        let expected = "<CloudFunctionConfiguration><Event>s3:ObjectCreated:*</Event>\
            <Event>s3:ObjectRemoved:*</Event><Filter><S3Key><FilterRule><Name>prefix</Name>\
            <Value>p</Value></FilterRule></S3Key></Filter>\
            <CloudFunction>arn</CloudFunction></CloudFunctionConfiguration>";
        assert_eq!(made("NotificationConfiguration", events), expected);

        let site =
            json!({"ErrorDocument": {"Key": "404.html"}, "RoutingRules": [{"Redirect": {}}]});
        let expected = "<ErrorDocument><Key>404.html</Key></ErrorDocument>\
            <RoutingRules><RoutingRule><Redirect/></RoutingRule></RoutingRules>";
        assert_eq!(made("WebsiteConfiguration", site), expected);

        let root = "PublicAccessBlockConfiguration";
        let printed = json!({root: {"BlockPublicAcls": true}});
        let mut input = printed.clone();
        input["Bucket"] = json!("b");
        input["ExpectedBucketOwner"] = json!("111122223333");
        for form in [printed, input] {
            assert_eq!(made(root, form), "<BlockPublicAcls>true</BlockPublicAcls>");
        }
    }

    #[test]
    fn grantees_of_json_say_their_kind() {
        for (grantee, kind) in [
            (json!({"Type": "Group", "URI": "u"}), "Group"),
            (json!({"ID": "u"}), "CanonicalUser"),
            (json!({"EmailAddress": "u"}), "AmazonCustomerByEmail"),
        ] {
            let grants = json!({"Grants": [{"Grantee": grantee, "Permission": "READ"}]});
            let document = made("AccessControlPolicy", grants);
            let start = "<AccessControlList><Grant><Grantee xmlns:xsi=";
            assert!(document.starts_with(start), "{document}");
            assert!(document.contains(&format!("xsi:type=\"{kind}\"><")));
            let end = "</Grantee><Permission>READ</Permission></Grant></AccessControlList>";
            assert!(document.ends_with(end) && !document.contains("<Type>"));
        }
    }

    /// What the endpoint answers for a configuration, what the AWS CLI prints of it, and the same with the
    /// elements' own names, as this program printed it once and still takes it.
    fn configurations() -> Vec<(&'static str, &'static str, Value, Value)> {
        vec![
            (
                "LifecycleConfiguration",
                "<Rule><Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>\
                    <Transition><Days>1</Days></Transition>\
                    <NoncurrentVersionTransition><NoncurrentDays>2</NoncurrentDays>\
                    </NoncurrentVersionTransition></Rule>\
                    <Rule><Filter><And><Prefix></Prefix><Tag><Key>k</Key></Tag></And></Filter>\
                    <Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration></Rule>",
                json!({"Rules": [
                    {
                        "Filter": {"Tag": {"Key": "k", "Value": "v"}},
                        "Transitions": [{"Days": 1}],
                        "NoncurrentVersionTransitions": [{"NoncurrentDays": 2}],
                    },
                    {
                        "Filter": {"And": {"Prefix": "", "Tags": [{"Key": "k"}]}},
                        "Expiration": {"Date": "2030-01-01T00:00:00Z"},
                    },
                ]}),
                json!({"LifecycleConfiguration": {"Rule": [
                    {
                        "Filter": {"Tag": [{"Key": "k", "Value": "v"}]},
                        "Transition": [{"Days": "1"}],
                        "NoncurrentVersionTransition": [{"NoncurrentDays": 2}],
                    },
                    {
                        "Filter": {"And": {"Prefix": "", "Tag": [{"Key": "k"}]}},
                        "Expiration": {"Date": "2030-01-01T00:00:00Z"},
                    },
                ]}}),
            ),
            (
                "CORSConfiguration",
                "<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
                    <AllowedMethod>PUT</AllowedMethod><AllowedHeader>a</AllowedHeader>\
                    <ExposeHeader>b</ExposeHeader><MaxAgeSeconds>9</MaxAgeSeconds></CORSRule>",
                json!({"CORSRules": [{
                    "AllowedOrigins": ["*"], "AllowedMethods": ["GET", "PUT"],
                    "AllowedHeaders": ["a"], "ExposeHeaders": ["b"], "MaxAgeSeconds": 9,
                }]}),
                json!({"CORSConfiguration": {"CORSRule": [{
                    "AllowedOrigin": ["*"], "AllowedMethod": ["GET", "PUT"],
                    "AllowedHeader": ["a"], "ExposeHeader": ["b"], "MaxAgeSeconds": 9,
                }]}}),
            ),
            (
                "ServerSideEncryptionConfiguration",
                "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>\
                    </ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled>\
                    <BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType>\
                    </BlockedEncryptionTypes></Rule>",
                json!({"ServerSideEncryptionConfiguration": {"Rules": [{
                    "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
                    "BucketKeyEnabled": true,
                    "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]},
                }]}}),
                json!({"Rule": [{
                    "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
                    "BucketKeyEnabled": true,
                    "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]},
                }]}),
            ),
            (
                "NotificationConfiguration",
                "<QueueConfiguration><Id>q</Id><Queue>arn</Queue><Event>e</Event><Filter><S3Key>\
                    <FilterRule><Name>prefix</Name><Value>p</Value></FilterRule></S3Key></Filter>\
                    </QueueConfiguration><TopicConfiguration><Topic>arn</Topic><Event>e</Event>\
                    </TopicConfiguration><CloudFunctionConfiguration>\
                    <CloudFunction>arn</CloudFunction><Event>e</Event></CloudFunctionConfiguration>\
                    <EventBridgeConfiguration></EventBridgeConfiguration>",
                json!({
                    "QueueConfigurations": [{
                        "Id": "q", "QueueArn": "arn", "Events": ["e"],
                        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "p"}]}},
                    }],
                    "TopicConfigurations": [{"TopicArn": "arn", "Events": ["e"]}],
                    "LambdaFunctionConfigurations": [{"LambdaFunctionArn": "arn", "Events": ["e"]}],
                    "EventBridgeConfiguration": {},
                }),
                json!({"NotificationConfiguration": {
                    "QueueConfiguration": [{
                        "Id": "q", "Queue": "arn", "Event": ["e"],
                        "Filter": {"S3Key": {"FilterRule": [{"Name": "prefix", "Value": "p"}]}},
                    }],
                    "TopicConfiguration": [{"Topic": "arn", "Event": ["e"]}],
                    "CloudFunctionConfiguration": [{"CloudFunction": "arn", "Event": ["e"]}],
                    "EventBridgeConfiguration": "",
                }}),
            ),
            (
                "Tagging",
                "<TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet>",
                json!({"TagSet": [{"Key": "k", "Value": "v"}]}),
                json!({"Tagging": {"TagSet": {"Tag": [{"Key": "k", "Value": "v"}]}}}),
            ),
            (
                "WebsiteConfiguration",
                "<IndexDocument><Suffix>i</Suffix></IndexDocument><ErrorDocument><Key>e</Key>\
                    </ErrorDocument><RoutingRules><RoutingRule><Condition>\
                    <HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition>\
                    <Redirect></Redirect></RoutingRule></RoutingRules>",
                json!({
                    "IndexDocument": {"Suffix": "i"},
                    "ErrorDocument": {"Key": "e"},
                    "RoutingRules": [
                        {"Condition": {"HttpErrorCodeReturnedEquals": "404"}, "Redirect": {}},
                    ],
                }),
                json!({"WebsiteConfiguration": {
                    "IndexDocument": {"Suffix": "i"},
                    "ErrorDocument": {"Key": "e"},
                    "RoutingRules": {"RoutingRule": [
                        {"Condition": {"HttpErrorCodeReturnedEquals": "404"}, "Redirect": ""},
                    ]},
                }}),
            ),
            (
                "BucketLoggingStatus",
                LOGGING,
                json!({"LoggingEnabled": {
                    "TargetBucket": "b",
                    "TargetGrants": [
                        {"Grantee": {"Type": "Group", "URI": "u"}, "Permission": "READ"},
                    ],
                    "TargetObjectKeyFormat": {"SimplePrefix": {}},
                }}),
                json!({"BucketLoggingStatus": {"LoggingEnabled": {
                    "TargetBucket": "b",
                    "TargetGrants": {"Grant": [{"Grantee": {"URI": "u"}, "Permission": "READ"}]},
                    "TargetObjectKeyFormat": {"SimplePrefix": ""},
                }}}),
            ),
            (
                "AccessControlPolicy",
                ACL,
                json!({
                    "Owner": {"ID": "o"},
                    "Grants": [
                        {"Grantee": {"Type": "Group", "URI": "u"}, "Permission": "READ"},
                        {"Grantee": {"Type": "CanonicalUser", "ID": "o"}, "Permission": "WRITE"},
                    ],
                }),
                json!({"AccessControlPolicy": {
                    "Owner": {"ID": "o"},
                    "AccessControlList": {"Grant": [
                        {"Grantee": {"URI": "u"}, "Permission": "READ"},
                        {"Grantee": {"ID": "o"}, "Permission": "WRITE"},
                    ]},
                }}),
            ),
            (
                "ObjectLockConfiguration",
                "<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
                    <Mode>GOVERNANCE</Mode><Days>2</Days></DefaultRetention></Rule>",
                json!({"ObjectLockConfiguration": {
                    "ObjectLockEnabled": "Enabled",
                    "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 2}},
                }}),
                json!({
                    "ObjectLockEnabled": "Enabled",
                    "Rule": [{"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 2}}],
                }),
            ),
            (
                "PublicAccessBlockConfiguration",
                "<BlockPublicAcls>true</BlockPublicAcls>",
                json!({"PublicAccessBlockConfiguration": {"BlockPublicAcls": true}}),
                json!({"BlockPublicAcls": "true"}),
            ),
            (
                "OwnershipControls",
                "<Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>",
                json!({"OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}}),
                json!({"Rule": [{"ObjectOwnership": "ObjectWriter"}]}),
            ),
            (
                "VersioningConfiguration",
                "<Status>Enabled</Status><MfaDelete>Disabled</MfaDelete>",
                json!({"Status": "Enabled", "MFADelete": "Disabled"}),
                json!({"VersioningConfiguration": {"Status": "Enabled", "MfaDelete": "Disabled"}}),
            ),
        ]
    }

    const ACL: &str = "<Owner><ID>o</ID></Owner><AccessControlList><Grant>\
        <Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\">\
        <URI>u</URI></Grantee><Permission>READ</Permission></Grant><Grant>\
        <Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type='CanonicalUser'>\
        <ID>o</ID></Grantee><Permission>WRITE</Permission></Grant></AccessControlList>";

    const LOGGING: &str = "<LoggingEnabled><TargetBucket>b</TargetBucket><TargetGrants><Grant>\
        <Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\">\
        <URI>u</URI></Grantee><Permission>READ</Permission></Grant></TargetGrants>\
        <TargetObjectKeyFormat><SimplePrefix/></TargetObjectKeyFormat></LoggingEnabled>";

    #[test]
    fn documents_are_printed_as_the_aws_cli_prints_them_and_taken_back() {
        for (root, content, printed, with_element_names) in configurations() {
            let xml = format!("<{root} xmlns=\"{NAMESPACE}\">{content}</{root}>");
            assert_eq!(to_json(xml.as_bytes()).as_ref(), Some(&printed), "{root}");
            // The AWS CLI takes without the root what it prints with it.
            let bare = printed.get(root).unwrap_or(&printed).clone();
            for taken in [printed.clone(), bare, with_element_names] {
                let again = from_json(root, taken).unwrap();
                assert_eq!(to_json(again.as_bytes()).as_ref(), Some(&printed), "{root}");
            }
        }
    }

    #[test]
    fn an_empty_list_is_a_list() {
        let policy = json!({"Grants": []});
        let document = made("AccessControlPolicy", policy.clone());
        assert_eq!(document, "<AccessControlList/>");
        let xml = format!("<AccessControlPolicy>{document}</AccessControlPolicy>");
        assert_eq!(to_json(xml.as_bytes()), Some(policy));
    }

    #[test]
    fn json_that_is_no_document_is_refused() {
        for json in [
            json!([]),
            json!("text"),
            json!({"a b": 1}),
            json!({"": 1}),
            json!({"<a>": 1}),
            json!({"Rules": [null]}),
            json!({"Rules": [[1]]}),
        ] {
            assert!(
                from_json("CORSConfiguration", json.clone()).is_err(),
                "{json}"
            );
        }
    }

    #[test]
    fn attributes_are_kept() {
        let grantee = "<Grantee xmlns:xsi=\"y\" xsi:type=\"Group\"><URI>u</URI></Grantee>";
        assert!(
            indented(grantee.as_bytes())
                .starts_with("<Grantee xmlns:xsi=\"y\" xsi:type=\"Group\">\n")
        );
    }

    #[test]
    fn what_is_no_document_is_left_alone() {
        for text in [
            "",
            "{}",
            "<a>",
            "<a></b>",
            "<!DOCTYPE a><a/>",
            &"<a>".repeat(1000),
        ] {
            assert_eq!(indented(text.as_bytes()), *text);
            assert_eq!(to_json(text.as_bytes()), None, "{text}");
        }
    }
}
