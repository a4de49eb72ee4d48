//! S3's documents for people and programs: XML with indentation, and as JSON.

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::{Map, Value};

/// Elements that can stand more than once beside each other in the configurations of a bucket. They
/// are lists in JSON also where there is one, so that a program needs one case. Source: S3 API
/// reference, the requests that put these configurations.
const REPEATED: [&str; 17] = [
    "AllowedHeader",
    "AllowedMethod",
    "AllowedOrigin",
    "CORSRule",
    "CloudFunctionConfiguration",
    "EncryptionType",
    "Event",
    "ExposeHeader",
    "FilterRule",
    "Grant",
    "NoncurrentVersionTransition",
    "QueueConfiguration",
    "RoutingRule",
    "Rule",
    "Tag",
    "TopicConfiguration",
    "Transition",
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

    fn into_json(self) -> Value {
        if self.children.is_empty() {
            return Value::String(self.text);
        }
        let mut object = Map::new();
        for child in self.children {
            let name = child.name().to_owned();
            let is_list = REPEATED.contains(&name.as_str());
            let value = child.into_json();
            match object.get_mut(&name) {
                Some(Value::Array(list)) => list.push(value),
                // An element that is not known to repeat and does.
                Some(first) => *first = Value::Array(vec![first.take(), value]),
                None if is_list => drop(object.insert(name, Value::Array(vec![value]))),
                None => drop(object.insert(name, value)),
            }
        }
        Value::Object(object)
    }
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

/// The document as JSON: the root's name with its content. Values are text, as they are in XML.
pub fn to_json(xml: &[u8]) -> Option<Value> {
    let root = read(xml)?;
    let name = root.name().to_owned();
    let content = match root.into_json() {
        Value::String(text) if text.is_empty() => Value::Object(Map::new()),
        content => content,
    };
    Some(Value::Object(Map::from_iter([(name, content)])))
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
        let expected = json!({"LifecycleConfiguration": {"Rule": [
            {"ID": "a&b <1>", "Filter": "", "Expiration": {"Days": "30"}},
        ]}});
        assert_eq!(to_json(RULES.as_bytes()), Some(expected));
        let twice = to_json(b"<a><b>1</b><b>2</b></a>").unwrap();
        assert_eq!(twice, json!({"a": {"b": ["1", "2"]}}));
        assert_eq!(to_json(b"<a/>"), Some(json!({"a": {}})));
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
