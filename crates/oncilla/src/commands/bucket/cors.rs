//! `oncilla bucket cors`.

use clap::Args;
use oncilla_client::BucketDocument;
use oncilla_wire::xml::XmlWriter;

use super::configuration::{self, ConfigurationArgs, Kind};
use crate::failure::Failure;

/// Which web pages of other hosts may use the bucket. --allow-origin and the other flags under Rule put
/// one rule in place of all
#[derive(Args, Clone, Debug)]
pub struct CorsArgs {
    /// Where pages come from, such as `https://example.com`, or `*` for everywhere; repeatable
    #[arg(long, value_name = "ORIGIN", help_heading = "Rule")]
    pub allow_origin: Vec<String>,

    /// What they may do: GET, HEAD, PUT, POST or DELETE; repeatable [default: GET and HEAD]
    #[arg(
        long,
        value_name = "METHOD",
        requires = "allow_origin",
        help_heading = "Rule"
    )]
    pub allow_method: Vec<String>,

    /// Header that they may send, or * for all; repeatable
    #[arg(
        long,
        value_name = "NAME",
        requires = "allow_origin",
        help_heading = "Rule"
    )]
    pub allow_header: Vec<String>,

    /// Header of answers that they may read, such as ETag; repeatable
    #[arg(
        long,
        value_name = "NAME",
        requires = "allow_origin",
        help_heading = "Rule"
    )]
    pub expose_header: Vec<String>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub configuration: ConfigurationArgs,
}

const CORS: Kind = Kind {
    name: "cors",
    document: BucketDocument::Cors,
    how_to_set: "--allow-origin https://example.com sets a rule; --set FILE puts a CORSConfiguration",
};

/// Runs the command.
pub async fn run(args: CorsArgs) -> Result<(), Failure> {
    let made = (!args.allow_origin.is_empty()).then(|| to_xml(&args).into());
    configuration::run(CORS, args.configuration, made).await
}

fn to_xml(args: &CorsArgs) -> Vec<u8> {
    let mut methods: Vec<String> = args
        .allow_method
        .iter()
        .map(|method| method.to_ascii_uppercase())
        .collect();
    if methods.is_empty() {
        methods = vec!["GET".to_owned(), "HEAD".to_owned()];
    }
    let mut xml = XmlWriter::with_capacity(512);
    xml.open_root("CORSConfiguration");
    xml.open("CORSRule");
    for (element, values) in [
        ("AllowedOrigin", &args.allow_origin),
        ("AllowedMethod", &methods),
        ("AllowedHeader", &args.allow_header),
        ("ExposeHeader", &args.expose_header),
    ] {
        for value in values {
            xml.text(element, value);
        }
    }
    xml.close("CORSRule");
    xml.close("CORSConfiguration");
    xml.finish()
}
