//! `oncilla bucket website`.

use clap::Args;
use oncilla_client::BucketDocument;
use oncilla_wire::xml::website::WebsiteConfiguration;

use super::configuration::{self, ConfigurationArgs, Kind};
use crate::failure::Failure;

/// How the bucket is served as a website
#[derive(Args, Clone, Debug)]
pub struct WebsiteArgs {
    /// What is served for a folder, such as index.html
    #[arg(long, value_name = "NAME", help_heading = "Rule")]
    pub index: Option<String>,

    /// Key of the page that is served with an error, such as 404.html
    #[arg(long, value_name = "KEY", requires = "index", help_heading = "Rule")]
    pub error: Option<String>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub configuration: ConfigurationArgs,
}

const WEBSITE: Kind = Kind {
    name: "website",
    document: BucketDocument::Website,
    how_to_set: "--index index.html sets it; --set FILE puts a WebsiteConfiguration",
};

/// Runs the command.
pub async fn run(args: WebsiteArgs) -> Result<(), Failure> {
    let made = args.index.clone().map(|index_suffix| {
        let site = WebsiteConfiguration::Serve {
            index_suffix,
            error_key: args.error.clone(),
            rules: Vec::new(),
        };
        site.to_xml().into()
    });
    configuration::run(WEBSITE, args.configuration, made).await
}
