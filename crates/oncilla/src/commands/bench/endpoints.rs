//! `--endpoint`: several endpoints, each with a name and settings of its own.

use std::path::PathBuf;
use std::str::FromStr;

use oncilla_bench::keys::KeyPattern;
use oncilla_client::{Overrides, Settings};

use crate::failure::Failure;

/// `[NAME=]URL[,OPTION]...`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSpec {
    /// The name, if one is given.
    pub name: Option<String>,
    /// The URL.
    pub url: String,
    /// `profile=P`
    pub profile: Option<String>,
    /// `unsigned`
    pub unsigned: bool,
    /// `region=R`
    pub region: Option<String>,
    /// `path-style`
    pub path_style: bool,
    /// `insecure`
    pub insecure: bool,
    /// `ca-bundle=FILE`
    pub ca_bundle: Option<PathBuf>,
    /// `bucket=B`; may be empty
    pub bucket: Option<String>,
    /// `keys=PATTERN`
    pub keys: Option<KeyPattern>,
    /// `no-prepare`
    pub no_prepare: bool,
}

impl EndpointSpec {
    /// The settings of a client for this endpoint. What the specification does not say comes from
    /// the general flags.
    pub fn settings(&self, general: &Overrides) -> Result<Settings, Failure> {
        let mut overrides = general.clone();
        if !self.url.is_empty() {
            overrides.endpoint_url = Some(self.url.clone());
        }
        if let Some(profile) = &self.profile {
            overrides.profile = Some(profile.clone());
            // A key on the command line would win over the profile that was asked for.
            overrides.access_key_id = None;
            overrides.secret_access_key = None;
        }
        if let Some(region) = &self.region {
            overrides.region = Some(region.clone());
        }
        if let Some(path) = &self.ca_bundle {
            overrides.ca_bundle = Some(path.clone());
        }
        overrides.no_sign_request |= self.unsigned;
        overrides.path_style |= self.path_style;
        overrides.insecure |= self.insecure;
        Ok(Settings::from_environment(&overrides)?)
    }
}

impl FromStr for EndpointSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut items = text.split(',');
        let first = items.next().unwrap_or_default();
        let (name, url) = match first.split_once('=') {
            Some((name, url)) if !name.contains("://") => (Some(name.to_owned()), url),
            _ => (None, first),
        };
        if name.as_deref() == Some("") {
            return Err(format!("{text:?}: the name before = is empty"));
        }
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(format!(
                "{text:?} needs a URL, as in garage=http://127.0.0.1:3900,profile=garage"
            ));
        }
        let mut spec = Self {
            name,
            url: url.to_owned(),
            ..Self::default()
        };
        for item in items {
            let (option, value) = match item.split_once('=') {
                Some((option, value)) => (option, Some(value)),
                None => (item, None),
            };
            match (option, value) {
                ("unsigned", None) => spec.unsigned = true,
                ("path-style", None) => spec.path_style = true,
                ("insecure", None) => spec.insecure = true,
                ("no-prepare", None) => spec.no_prepare = true,
                ("profile", Some(value)) => spec.profile = Some(value.to_owned()),
                ("region", Some(value)) => spec.region = Some(value.to_owned()),
                ("ca-bundle", Some(value)) => spec.ca_bundle = Some(value.into()),
                ("bucket", Some(value)) => spec.bucket = Some(value.to_owned()),
                ("keys", Some(value)) => spec.keys = Some(value.parse()?),
                _ => {
                    return Err(format!(
                        "{item:?} is no option of an endpoint: profile=P, unsigned, region=R, path-style, insecure, ca-bundle=FILE, bucket=B, keys=PATTERN, no-prepare"
                    ));
                }
            }
        }
        if spec.unsigned && spec.profile.is_some() {
            return Err(format!("{text:?}: unsigned and a profile contradict"));
        }
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_specifications() {
        let spec: EndpointSpec =
            "nginx=http://127.0.0.1:8090,unsigned,no-prepare,bucket=,keys=4k/{n:03}"
                .parse()
                .unwrap();
        assert_eq!(spec.name.as_deref(), Some("nginx"));
        assert_eq!(spec.url, "http://127.0.0.1:8090");
        assert!(spec.unsigned && spec.no_prepare && !spec.insecure);
        assert_eq!(spec.bucket.as_deref(), Some(""));
        assert_eq!(spec.keys.unwrap().key(7), "4k/007");
        let plain: EndpointSpec = "https://s3.example".parse().unwrap();
        assert_eq!(
            (plain.name, plain.url.as_str()),
            (None, "https://s3.example")
        );
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for bad in [
            "",
            "name=",
            "=http://h",
            "h:9000",
            "http://h,unknown",
            "http://h,unsigned=yes",
            "http://h,profile",
            "http://h,keys=x",
            "http://h,unsigned,profile=p",
        ] {
            assert!(bad.parse::<EndpointSpec>().is_err(), "{bad}");
        }
    }
}
