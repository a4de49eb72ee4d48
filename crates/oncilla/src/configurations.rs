//! A bucket with its key as configuration for the programs that will use it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use clap::ValueEnum;
use serde_json::json;

/// What `storage create` can print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ConfigurationFormat {
    /// NAME: value lines
    #[default]
    Text,
    /// export NAME=value lines, for a shell
    Env,
    /// NAME=value lines, for an environment file (docker run --env-file, systemd's EnvironmentFile)
    EnvNoExport,
    /// The same names as one JSON document
    Json,
    /// A Windmill S3 resource (JSON)
    Windmill,
    /// Sections for ~/.aws/config and ~/.aws/credentials
    AwsProfile,
    /// ~/.s3cfg
    S3cmd,
    /// A remote for rclone.conf
    Rclone,
}

/// Everything a client needs to use a bucket.
#[derive(Clone)]
pub struct BucketAccess {
    /// The bucket.
    pub bucket: String,
    /// Where it is.
    pub endpoint_url: String,
    /// Region for signatures.
    pub region: String,
    /// The key.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
}

impl BucketAccess {
    /// The configuration as text, ready to be put where it belongs; with a line end at its end.
    pub fn render(&self, format: ConfigurationFormat) -> String {
        let Self {
            bucket,
            endpoint_url: url,
            region,
            access_key_id: id,
            secret_access_key: secret,
        } = self;
        let (host, is_tls) = host_of(url);
        let path_style = needs_path_style(host);
        let variables = [
            ("AWS_ACCESS_KEY_ID", id.as_str()),
            ("AWS_ENDPOINT_URL_S3", url),
            ("AWS_REGION", region),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("BUCKET_NAME", bucket),
        ];
        // boto3 and version 1 of the AWS CLI read a region of another name.
        let mut environment = variables.to_vec();
        environment.insert(1, ("AWS_DEFAULT_REGION", region));
        match format {
            ConfigurationFormat::Text => text_lines(&variables),
            ConfigurationFormat::Env => export_lines(&environment),
            ConfigurationFormat::EnvNoExport => env_file_lines(&environment),
            ConfigurationFormat::Json => document(&json!(BTreeMap::from(variables))),
            ConfigurationFormat::Windmill => document(&json!({
                "bucket": bucket,
                "region": region,
                "useSSL": is_tls,
                "endPoint": host,
                "accessKey": id,
                "secretKey": secret,
                "pathStyle": path_style,
            })),
            ConfigurationFormat::AwsProfile => {
                let addressing = if path_style { "path" } else { "auto" };
                format!(
                    "# ~/.aws/config\n[profile {bucket}]\nregion = {region}\nendpoint_url = {url}\ns3 =\n    addressing_style = {addressing}\n\n# ~/.aws/credentials\n[{bucket}]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"
                )
            }
            ConfigurationFormat::S3cmd => {
                let host_bucket = if path_style {
                    host.to_owned()
                } else {
                    format!("%(bucket)s.{host}")
                };
                let https = if is_tls { "True" } else { "False" };
                format!(
                    "[default]\naccess_key = {id}\nsecret_key = {secret}\nhost_base = {host}\nhost_bucket = {host_bucket}\nbucket_location = {region}\nuse_https = {https}\nsignature_v2 = False\n"
                )
            }
            ConfigurationFormat::Rclone => format!(
                "[{bucket}]\ntype = s3\nprovider = Other\naccess_key_id = {id}\nsecret_access_key = {secret}\nendpoint = {url}\nregion = {region}\nforce_path_style = {path_style}\nno_check_bucket = true\n"
            ),
        }
    }
}

/// Lines for people: `NAME: value`.
pub fn text_lines(variables: &[(&str, &str)]) -> String {
    let lines = variables
        .iter()
        .map(|(name, value)| format!("{name}: {value}\n"));
    lines.collect()
}

/// Lines for `source` and `eval`: `export NAME=value`. Without `export` a shell keeps what it reads to
/// itself.
pub fn export_lines(variables: &[(&str, &str)]) -> String {
    let lines = variables
        .iter()
        .map(|variable| format!("export {}", assignment(variable)));
    lines.collect()
}

/// Lines for environment files: `NAME=value`.
pub fn env_file_lines(variables: &[(&str, &str)]) -> String {
    variables.iter().map(assignment).collect()
}

/// A value stands in quotes only if it has to, because not everything that reads environment files
/// takes quotes off.
fn assignment((name, value): &(&str, &str)) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.,:/+=@%".contains(&byte);
    match value.bytes().all(is_plain) {
        true => format!("{name}={value}\n"),
        // Within single quotes a shell leaves everything as it is but the quote itself.
        false => format!("{name}='{}'\n", value.replace('\'', r"'\''")),
    }
}

fn document(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

/// Host with port, and whether it is spoken to over TLS.
fn host_of(url: &str) -> (&str, bool) {
    let (rest, is_tls) = match url.strip_prefix("https://") {
        Some(rest) => (rest, true),
        None => (url.strip_prefix("http://").unwrap_or(url), false),
    };
    (rest.split('/').next().unwrap_or(rest), is_tls)
}

/// A bucket's name cannot stand before an address, and names below `localhost` neither resolve
/// everywhere nor match a certificate for `*.localhost`.
fn needs_path_style(host: &str) -> bool {
    if host.starts_with('[') {
        return true;
    }
    let bare = host.rsplit_once(':').map_or(host, |(name, _)| name);
    bare == "localhost" || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(url: &str) -> BucketAccess {
        BucketAccess {
            bucket: "polished-thunder-5646".into(),
            endpoint_url: url.into(),
            region: "auto".into(),
            access_key_id: "tid_a".into(),
            secret_access_key: "tsec_b".into(),
        }
    }

    #[test]
    fn the_text_block_is_that_of_seed_001() {
        let text = access("https://fly.storage.tigris.dev").render(ConfigurationFormat::Text);
        let expected = "AWS_ACCESS_KEY_ID: tid_a\n\
            AWS_ENDPOINT_URL_S3: https://fly.storage.tigris.dev\n\
            AWS_REGION: auto\n\
            AWS_SECRET_ACCESS_KEY: tsec_b\n\
            BUCKET_NAME: polished-thunder-5646\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_environment_is_one_that_a_shell_takes() {
        let url = "http://a.example.com/x?a=b&c=$(id) 'q'";
        let text = access(url).render(ConfigurationFormat::Env);
        assert!(text.starts_with("export AWS_ACCESS_KEY_ID=tid_a\n"));
        let file = access(url).render(ConfigurationFormat::EnvNoExport);
        assert_eq!(file, text.replace("export ", ""));
        // A program that the shell runs has what the shell exports.
        let script = format!("{text}env\n");
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .output();
        let environment = String::from_utf8(output.unwrap().stdout).unwrap();
        for (name, value) in [
            ("AWS_ENDPOINT_URL_S3", url),
            ("AWS_SECRET_ACCESS_KEY", "tsec_b"),
            ("AWS_REGION", "auto"),
            ("AWS_DEFAULT_REGION", "auto"),
            ("BUCKET_NAME", "polished-thunder-5646"),
        ] {
            assert!(
                environment
                    .lines()
                    .any(|line| line == format!("{name}={value}")),
                "{name}"
            );
        }
    }

    #[test]
    fn the_windmill_resource_is_that_of_seed_002() {
        let render = |url| -> serde_json::Value {
            serde_json::from_str(&access(url).render(ConfigurationFormat::Windmill)).unwrap()
        };
        let expected = json!({
            "bucket": "polished-thunder-5646", "region": "auto", "useSSL": true,
            "endPoint": "t3.storage.dev", "accessKey": "tid_a", "secretKey": "tsec_b",
            "pathStyle": false,
        });
        assert_eq!(render("https://t3.storage.dev"), expected);
        let local = render("http://127.0.0.1:9000");
        assert_eq!(local["endPoint"], "127.0.0.1:9000");
        assert_eq!(
            (&local["useSSL"], &local["pathStyle"]),
            (&json!(false), &json!(true))
        );
    }

    #[test]
    fn the_profile_can_be_read_back() {
        use oncilla_client::{ProfileFile, parse_profiles};
        let text = access("http://[::1]:9000").render(ConfigurationFormat::AwsProfile);
        let (config, credentials) = text.split_once("# ~/.aws/credentials").unwrap();
        let config = parse_profiles(config, ProfileFile::Config);
        let profile = &config["polished-thunder-5646"];
        assert_eq!(profile["endpoint_url"], "http://[::1]:9000");
        assert_eq!(profile["s3.addressing_style"], "path");
        let credentials = parse_profiles(credentials, ProfileFile::Credentials);
        assert_eq!(
            credentials["polished-thunder-5646"]["aws_secret_access_key"],
            "tsec_b"
        );
    }

    #[test]
    fn addressing_follows_the_host() {
        for (host, path_style) in [
            ("127.0.0.1:9000", true),
            ("[::1]:9000", true),
            ("10.0.0.1", true),
            ("localhost:9000", true),
            ("s3.localhost:9443", false),
            ("s3.example.com", false),
        ] {
            assert_eq!(needs_path_style(host), path_style, "{host}");
        }
        let s3cmd = access("http://s3.localhost:9000").render(ConfigurationFormat::S3cmd);
        assert!(s3cmd.contains("host_bucket = %(bucket)s.s3.localhost:9000\n"));
        assert!(s3cmd.contains("use_https = False\n"));
        let rclone = access("http://127.0.0.1:9000").render(ConfigurationFormat::Rclone);
        assert!(rclone.contains("force_path_style = true\n"));
    }
}
