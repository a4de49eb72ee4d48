//! The query protocol of IAM and STS: an action and its parameters in a form, an answer in XML.
//!
//! Source: IAM user guide, "Making query requests"; the API references of IAM (2010-05-08) and STS
//! (2011-06-15).

mod answer;
mod error;
mod form;
mod shapes;

pub use answer::{QueryAnswer, QueryService};
pub use error::{QueryError, QueryErrorCode};
pub use form::{FORM_BYTES_MAX, FORM_CONTENT_TYPE, Form, LIST_MEMBERS_MAX};
pub use shapes::{
    AccessKeyShape, CredentialsShape, EntityShape, PolicyShape, PolicyVersionShape, RoleShape,
    TagShape, write_tags,
};
