//! `oncilla tag`: the tags of an object or a bucket.

use std::collections::BTreeMap;

use clap::Args;
use oncilla_client::TagsOf;
use serde_json::json;

use crate::common_args::CommonArgs;
use crate::failure::Failure;
use crate::location::S3Url;
use crate::output;

/// Show and change the tags of an object or a bucket. Tags given are added or changed, others stay; the
/// tags are printed as they are then. With --json prints one document
#[derive(Args, Clone, Debug)]
pub struct TagArgs {
    /// s3://BUCKET/KEY or s3://BUCKET
    #[arg(value_name = "S3_URL")]
    pub url: S3Url,

    /// Tags to add or change
    #[arg(value_name = "KEY=VALUE", value_parser = parse_tag)]
    pub tags: Vec<(String, String)>,

    /// Take a tag away; repeatable
    #[arg(long, value_name = "KEY")]
    pub remove: Vec<String>,

    /// Take all tags away
    #[arg(long, conflicts_with_all = ["tags", "remove"])]
    pub delete: bool,

    /// Version, when not the newest
    #[arg(long, value_name = "ID")]
    pub version_id: Option<String>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: CommonArgs,
}

/// Runs the command.
pub async fn run(args: TagArgs) -> Result<(), Failure> {
    let of = TagsOf {
        bucket: args.url.bucket.clone(),
        key: Some(args.url.key.clone()).filter(|key| !key.is_empty()),
        version_id: args.version_id.clone(),
    };
    if of.key.is_none() && of.version_id.is_some() {
        return Err(Failure::usage(
            "--version-id is for objects, not for buckets",
        ));
    }
    let client = args.common.client()?;
    if args.delete {
        client.delete_tags(&of).await?;
        return show(&args, &BTreeMap::new());
    }
    let present: BTreeMap<String, String> = client.tags(&of).await?.into_iter().collect();
    let changed = changed(present.clone(), &args.tags, &args.remove);
    if changed.is_empty() && !present.is_empty() {
        client.delete_tags(&of).await?;
    } else if changed != present {
        let pairs: Vec<(String, String)> = changed.clone().into_iter().collect();
        client.put_tags(&of, &pairs).await?;
    }
    show(&args, &changed)
}

fn changed(
    mut tags: BTreeMap<String, String>,
    given: &[(String, String)],
    removed: &[String],
) -> BTreeMap<String, String> {
    tags.retain(|key, _| !removed.contains(key));
    tags.extend(given.iter().cloned());
    tags
}

fn show(args: &TagArgs, tags: &BTreeMap<String, String>) -> Result<(), Failure> {
    if args.common.json {
        return output::json_document(&json!({
            "bucket": args.url.bucket,
            "key": Some(&args.url.key).filter(|key| !key.is_empty()),
            "version_id": args.version_id,
            "tags": tags,
        }));
    }
    let changes = args.delete || !args.tags.is_empty() || !args.remove.is_empty();
    if args.common.quiet && changes {
        return Ok(());
    }
    for (key, value) in tags {
        output::line(&format!("{key}={value}"))?;
    }
    Ok(())
}

/// Reads `KEY=VALUE`.
pub fn parse_tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a tag is KEY=VALUE, such as team=otters".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_added_changed_and_removed() {
        let tag = |text| parse_tag(text).unwrap();
        let present = [tag("a=1"), tag("b=2"), tag("c=3")].into_iter().collect();
        let changed = changed(present, &[tag("b=x=y"), tag("d=")], &["c".to_owned()]);
        let expected = [tag("a=1"), tag("b=x=y"), tag("d=")].into_iter().collect();
        assert_eq!(changed, expected);
        assert!(parse_tag("a").is_err() && parse_tag("=1").is_err());
    }
}
