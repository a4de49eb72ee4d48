//! `CORSConfiguration`: the request of PutBucketCors and the answer of GetBucketCors.
//! What the rules mean for a request is in [`crate::cors`].

use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::error::{S3Error, S3ErrorCode};

/// The largest document. Source: S3 User Guide, "Elements of a CORS configuration": 64 KB.
pub const MAX_CORS_BODY_BYTES: usize = 64 * 1024;

/// The most rules of a bucket. Source: S3 API reference, PutBucketCors.
pub const MAX_CORS_RULES: usize = 100;

/// The longest name of a rule in characters. Source: S3 API reference, CORSRule.
pub const MAX_CORS_RULE_ID_CHARS: usize = 255;

/// The methods that a rule can allow. Source: S3 API reference, CORSRule.
pub const CORS_METHODS: [&str; 5] = ["GET", "HEAD", "PUT", "POST", "DELETE"];

/// Which origins may do what with a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsConfiguration {
    /// In the order in which they are tried.
    pub rules: Vec<CorsRule>,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorsRule {
    /// Its name, for people.
    pub id: Option<String>,
    /// Headers a preflight may ask for; each may contain one `*`.
    pub allowed_headers: Vec<String>,
    /// Methods of [`CORS_METHODS`].
    pub allowed_methods: Vec<String>,
    /// Origins; each may contain one `*`.
    pub allowed_origins: Vec<String>,
    /// Headers of the answer that scripts may read.
    pub expose_headers: Vec<String>,
    /// How long the browser may keep the answer to a preflight, in seconds.
    pub max_age_s: Option<u32>,
}

impl CorsConfiguration {
    /// Reads the document.
    ///
    /// # Errors
    /// `MalformedXML` for rules without an origin or method and for no rules at all;
    /// `InvalidRequest` for what S3 does not allow in them.
    pub fn parse(xml: &[u8]) -> Result<Self, S3Error> {
        let mut reader = XmlReader::open(xml, &["CORSConfiguration"])?;
        let mut rules = Vec::new();
        while let Some(name) = reader.child()? {
            match name {
                "CORSRule" if rules.len() == MAX_CORS_RULES => {
                    return Err(refused(format!(
                        "The number of CORS rules should not exceed allowed limit of \
                         {MAX_CORS_RULES} rules."
                    )));
                }
                "CORSRule" => rules.push(CorsRule::read(&mut reader)?),
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        if rules.is_empty() {
            return Err(malformed("CORSConfiguration needs a CORSRule."));
        }
        Ok(Self { rules })
    }

    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(256 + self.rules.len() * 512);
        xml.open_root("CORSConfiguration");
        for rule in &self.rules {
            xml.open("CORSRule");
            xml.optional_text("ID", rule.id.as_deref());
            for (name, values) in [
                ("AllowedMethod", &rule.allowed_methods),
                ("AllowedOrigin", &rule.allowed_origins),
                ("AllowedHeader", &rule.allowed_headers),
                ("ExposeHeader", &rule.expose_headers),
            ] {
                for value in values {
                    xml.text(name, value);
                }
            }
            if let Some(max_age_s) = rule.max_age_s {
                xml.number("MaxAgeSeconds", u64::from(max_age_s));
            }
            xml.close("CORSRule");
        }
        xml.close("CORSConfiguration");
        xml.finish()
    }
}

impl CorsRule {
    fn read(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        let mut rule = Self::default();
        while let Some(name) = xml.child()? {
            match name {
                "ID" => xml.once(&mut rule.id, XmlReader::value)?,
                "AllowedHeader" => rule.allowed_headers.push(xml.value()?),
                "AllowedMethod" => rule.allowed_methods.push(xml.value()?),
                "AllowedOrigin" => rule.allowed_origins.push(xml.value()?),
                "ExposeHeader" => rule.expose_headers.push(xml.value()?),
                "MaxAgeSeconds" => xml.once(&mut rule.max_age_s, XmlReader::small_number)?,
                _ => xml.skip()?,
            }
        }
        rule.check()?;
        Ok(rule)
    }

    fn check(&self) -> Result<(), S3Error> {
        if self.allowed_methods.is_empty() || self.allowed_origins.is_empty() {
            return Err(malformed(
                "A CORSRule needs an AllowedMethod and an AllowedOrigin.",
            ));
        }
        let id_chars = self.id.as_ref().map_or(0, |id| id.chars().count());
        if id_chars > MAX_CORS_RULE_ID_CHARS {
            return Err(refused(format!(
                "The ID of a CORS rule should not exceed allowed limit of \
                 {MAX_CORS_RULE_ID_CHARS} characters."
            )));
        }
        for method in &self.allowed_methods {
            if !CORS_METHODS.contains(&method.as_str()) {
                return Err(refused(format!(
                    "Found unsupported HTTP method in CORS config. Unsupported method is {method}"
                )));
            }
        }
        for (element, values) in [
            ("AllowedOrigin", &self.allowed_origins),
            ("AllowedHeader", &self.allowed_headers),
        ] {
            for value in values {
                check_text(element, value)?;
                if value.matches('*').count() > 1 {
                    return Err(refused(format!(
                        "{element} \"{value}\" can not have more than one wildcard."
                    )));
                }
            }
        }
        for value in &self.expose_headers {
            check_text("ExposeHeader", value)?;
            if value.contains('*') {
                return Err(refused(format!(
                    "ExposeHeader \"{value}\" contains wildcard. We currently do not support \
                     wildcard for ExposeHeader."
                )));
            }
        }
        Ok(())
    }
}

/// What cannot stand in a header would be of no use in a rule, and it is written into answers.
fn check_text(element: &str, value: &str) -> Result<(), S3Error> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(refused(format!("{element} \"{value}\" is not valid.")))
}

fn refused(message: String) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "<AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>";

    fn parse(rules: &str) -> Result<CorsConfiguration, S3Error> {
        let document = format!("<CORSConfiguration>{rules}</CORSConfiguration>");
        CorsConfiguration::parse(document.as_bytes())
    }

    fn refusal(rule: &str) -> (S3ErrorCode, String) {
        let error = parse(&format!("<CORSRule>{rule}</CORSRule>")).unwrap_err();
        (error.code, error.message.into_owned())
    }

    #[test]
    fn a_full_rule_round_trips() {
        let rules = format!(
            "<CORSRule><ID>mine</ID>{MINIMAL}<AllowedMethod>PUT</AllowedMethod>\
             <AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>\
             <MaxAgeSeconds>3000</MaxAgeSeconds></CORSRule><CORSRule>{MINIMAL}</CORSRule>"
        );
        let configuration = parse(&rules).unwrap();
        assert_eq!(configuration.rules.len(), 2);
        assert_eq!(configuration.rules[0].max_age_s, Some(3000));
        assert_eq!(configuration.rules[0].allowed_methods, ["GET", "PUT"]);
        let again = CorsConfiguration::parse(&configuration.to_xml()).unwrap();
        assert_eq!(again, configuration);
    }

    #[test]
    fn what_s3_refuses() {
        use S3ErrorCode::{InvalidRequest, MalformedXML};
        let long_id = format!("<ID>{}</ID>{MINIMAL}", "i".repeat(256));
        let cases = [
            ("", MalformedXML, ""),
            ("<AllowedMethod>GET</AllowedMethod>", MalformedXML, ""),
            ("<AllowedOrigin>*</AllowedOrigin>", MalformedXML, ""),
            (
                "<AllowedMethod>PATCH</AllowedMethod><AllowedOrigin>*</AllowedOrigin>",
                InvalidRequest,
                "Unsupported method is PATCH",
            ),
            (
                "<AllowedMethod>GET</AllowedMethod><AllowedOrigin>*.*</AllowedOrigin>",
                InvalidRequest,
                "\"*.*\" can not have more than one wildcard",
            ),
            (
                &format!("{MINIMAL}<AllowedHeader>**</AllowedHeader>"),
                InvalidRequest,
                "AllowedHeader \"**\" can not have",
            ),
            (
                &format!("{MINIMAL}<ExposeHeader>x-*</ExposeHeader>"),
                InvalidRequest,
                "do not support wildcard for ExposeHeader",
            ),
            (
                &format!("{MINIMAL}<ExposeHeader>a\nb</ExposeHeader>"),
                InvalidRequest,
                "is not valid",
            ),
            (&long_id, InvalidRequest, "255"),
            (
                &format!("{MINIMAL}<MaxAgeSeconds>-1</MaxAgeSeconds>"),
                MalformedXML,
                "",
            ),
        ];
        for (rule, code, message) in cases {
            let (found, text) = refusal(rule);
            assert_eq!(found, code, "{rule}");
            assert!(text.contains(message), "{text}");
        }
        assert_eq!(parse("").unwrap_err().code, MalformedXML);
        let rule = format!("<CORSRule>{MINIMAL}</CORSRule>");
        assert!(parse(&rule.repeat(MAX_CORS_RULES)).is_ok());
        let error = parse(&rule.repeat(MAX_CORS_RULES + 1)).unwrap_err();
        assert_eq!(error.code, InvalidRequest);
    }
}
