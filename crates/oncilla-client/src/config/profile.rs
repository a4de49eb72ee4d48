//! The INI dialect of `~/.aws/credentials` and `~/.aws/config`.
//!
//! Sections are profile names (`[profile name]` in the config file), values run to the end of the
//! line, `#` and `;` begin comments at the start of a line, and an indented block below a key with
//! an empty value holds that key's own settings (`s3 =` with `addressing_style = path` beneath).
//! Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files".

use std::collections::BTreeMap;

/// Settings of one profile; nested ones are named `outer.inner`.
pub type Profile = BTreeMap<String, String>;

/// Which of the two shared files is being read: they name their sections differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileFile {
    /// `~/.aws/credentials`: `[name]`.
    Credentials,
    /// `~/.aws/config`: `[profile name]`, and `[default]`.
    Config,
}

/// Reads every profile of a shared file. Lines that make no sense are passed over, as the AWS tools
/// do, because other tools keep their own sections in these files.
pub fn parse_profiles(text: &str, file: ProfileFile) -> BTreeMap<String, Profile> {
    let mut profiles: BTreeMap<String, Profile> = BTreeMap::new();
    let mut section: Option<String> = None;
    let mut outer_key: Option<String> = None;

    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') || trimmed.starts_with(';') {
            continue;
        }
        if let Some(rest) = trimmed.strip_prefix('[') {
            let name = rest.split(']').next().unwrap_or_default().trim();
            section = profile_name(name, file);
            outer_key = None;
            if let Some(section) = &section {
                profiles.entry(section.clone()).or_default();
            }
            continue;
        }
        let (Some(section), Some((key, value))) = (&section, trimmed.split_once('=')) else {
            continue;
        };
        let key = key.trim().to_ascii_lowercase();
        let value = strip_comment(value.trim());
        let indented = line.starts_with([' ', '\t']);
        let profile = profiles.entry(section.clone()).or_default();
        match (&outer_key, indented) {
            (Some(outer), true) => {
                profile.insert(format!("{outer}.{key}"), value.to_owned());
            }
            _ => {
                outer_key = value.is_empty().then(|| key.clone());
                profile.insert(key, value.to_owned());
            }
        }
    }
    profiles
}

fn profile_name(section: &str, file: ProfileFile) -> Option<String> {
    match file {
        ProfileFile::Credentials => Some(section.to_owned()),
        ProfileFile::Config if section == "default" => Some(section.to_owned()),
        ProfileFile::Config => {
            let name = section.strip_prefix("profile")?;
            let trimmed = name.trim_start();
            (trimmed.len() < name.len()).then(|| trimmed.to_owned())
        }
    }
}

/// A comment after a value needs white space before it, so that secrets may contain `#`.
fn strip_comment(value: &str) -> &str {
    [" #", " ;", "\t#", "\t;"]
        .iter()
        .filter_map(|mark| value.find(mark))
        .min()
        .map_or(value, |at| value[..at].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_credentials() {
        let text = "# mine\n[default]\naws_access_key_id = tid_a\naws_secret_access_key=a#b=c\n\n[ work ]\nAWS_ACCESS_KEY_ID=tid_w ; old\n";
        let profiles = parse_profiles(text, ProfileFile::Credentials);
        assert_eq!(profiles["default"]["aws_access_key_id"], "tid_a");
        assert_eq!(profiles["default"]["aws_secret_access_key"], "a#b=c");
        assert_eq!(profiles["work"]["aws_access_key_id"], "tid_w");
    }

    #[test]
    fn reads_config_with_nested_settings() {
        let text = "[default]\nregion = auto\n[profile work]\ns3 =\n  addressing_style = path\n  max_concurrent_requests = 4\nendpoint_url = https://example.com\n[profilework]\nregion=x\n[sso-session y]\nregion = z\n";
        let profiles = parse_profiles(text, ProfileFile::Config);
        assert_eq!(profiles.len(), 2);
        assert_eq!(profiles["default"]["region"], "auto");
        assert_eq!(profiles["work"]["s3.addressing_style"], "path");
        assert_eq!(profiles["work"]["s3.max_concurrent_requests"], "4");
        assert_eq!(profiles["work"]["endpoint_url"], "https://example.com");
    }

    proptest! {
        #[test]
        fn never_panics(text in "[\\[\\]=#; \\ta-z\\n\u{e9}]{0,200}") {
            parse_profiles(&text, ProfileFile::Config);
            parse_profiles(&text, ProfileFile::Credentials);
        }
    }
}
