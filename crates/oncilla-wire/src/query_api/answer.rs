//! Answers of IAM and STS.

use crate::xml::XmlWriter;

/// The two services that speak the query protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryService {
    /// Users, groups, roles, policies and keys.
    Iam,
    /// Temporary credentials.
    Sts,
}

impl QueryService {
    /// The service that `Version` names.
    pub fn of_version(version: &str) -> Option<Self> {
        [Self::Iam, Self::Sts]
            .into_iter()
            .find(|service| service.version() == version)
    }

    /// The version of its API.
    pub fn version(self) -> &'static str {
        match self {
            Self::Iam => "2010-05-08",
            Self::Sts => "2011-06-15",
        }
    }

    /// Its name in the scope of a signature, and before the colon of its actions.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::Sts => "sts",
        }
    }

    /// The namespace of its documents.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        }
    }
}

/// The document that answers an action: `<ActionResponse><ActionResult>…`.
#[derive(Debug)]
pub struct QueryAnswer {
    /// What the result holds is written here.
    pub xml: XmlWriter,
    action: &'static str,
}

impl QueryAnswer {
    /// Begins the answer to an action.
    pub fn new(service: QueryService, action: &'static str) -> Self {
        let mut xml = XmlWriter::with_capacity(1024);
        xml.open_root_in(&format!("{action}Response"), service.namespace());
        xml.open(&format!("{action}Result"));
        Self { xml, action }
    }

    /// The finished document.
    pub fn finish(mut self, request_id: &str) -> Vec<u8> {
        self.xml.close(&format!("{}Result", self.action));
        self.xml.open("ResponseMetadata");
        self.xml.text("RequestId", request_id);
        self.xml.close("ResponseMetadata");
        self.xml.close(&format!("{}Response", self.action));
        self.xml.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_shape_of_aws() {
        let mut answer = QueryAnswer::new(QueryService::Sts, "GetCallerIdentity");
        answer.xml.text("Account", "1");
        let document = String::from_utf8(answer.finish("id-1")).unwrap();
        assert_eq!(
            document,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <GetCallerIdentityResult><Account>1</Account></GetCallerIdentityResult>\
             <ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata>\
             </GetCallerIdentityResponse>"
        );
        assert_eq!(
            QueryService::of_version("2010-05-08"),
            Some(QueryService::Iam)
        );
        assert_eq!(QueryService::of_version("2006-03-01"), None);
    }
}
