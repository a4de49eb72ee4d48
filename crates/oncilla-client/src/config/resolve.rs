//! Flags over environment over profile files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::credential_process;
use super::profile::{Profile, ProfileFile, parse_profiles};
use crate::endpoint::{Addressing, Endpoint};
use crate::error::Error;
use oncilla_wire::sigv4::Credentials;

/// Region used when nothing names one: the endpoint decides where data lives.
pub const DEFAULT_REGION: &str = "auto";

/// What command-line flags say; they win over everything else.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--endpoint-url`
    pub endpoint_url: Option<String>,
    /// `--region`
    pub region: Option<String>,
    /// `--profile`
    pub profile: Option<String>,
    /// `--access-key-id`
    pub access_key_id: Option<String>,
    /// `--secret-access-key`
    pub secret_access_key: Option<String>,
    /// `--no-sign-request`: send requests without a signature.
    pub no_sign_request: bool,
    /// `--ca-bundle`
    pub ca_bundle: Option<PathBuf>,
    /// `--insecure`: accept any certificate.
    pub insecure: bool,
    /// `--path-style`
    pub path_style: bool,
    /// `--request-payer`: say that whoever sends the requests pays for them.
    pub request_payer: bool,
}

/// The process environment and the shared files, as values so that tests need neither.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    variables: BTreeMap<String, String>,
    credentials_file: Option<String>,
    config_file: Option<String>,
}

impl Surroundings {
    /// Surroundings made of given variables and file contents.
    pub fn new(
        variables: impl IntoIterator<Item = (String, String)>,
        credentials_file: Option<String>,
        config_file: Option<String>,
    ) -> Self {
        Self {
            variables: variables.into_iter().collect(),
            credentials_file,
            config_file,
        }
    }

    /// The real ones. A shared file that does not exist is no error; one that cannot be read is.
    pub fn from_process() -> Result<Self, Error> {
        let variables: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let file = |variable: &str, name: &str| -> Result<Option<String>, Error> {
            let path = match variables.get(variable).filter(|path| !path.is_empty()) {
                Some(path) => PathBuf::from(path),
                None => match variables.get("HOME").filter(|home| !home.is_empty()) {
                    Some(home) => Path::new(home).join(".aws").join(name),
                    None => return Ok(None),
                },
            };
            match std::fs::read_to_string(&path) {
                Ok(text) => Ok(Some(text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(Error::io(path, error)),
            }
        };
        let credentials_file = file("AWS_SHARED_CREDENTIALS_FILE", "credentials")?;
        let config_file = file("AWS_CONFIG_FILE", "config")?;
        Ok(Self {
            variables,
            credentials_file,
            config_file,
        })
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

/// Everything that a [`crate::Client`] needs to know before its first request.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to connect.
    pub endpoint: Endpoint,
    /// As whom; `None` sends requests unsigned.
    pub credentials: Option<Credentials>,
    /// A PEM file of certificates to trust instead of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// Accept any certificate. Only for tests against self-signed servers.
    pub insecure: bool,
    /// Attempts per request, the first one included.
    pub max_attempts: u32,
    /// Whether uploads carry a checksum when the operation does not demand one.
    pub checksum_uploads: bool,
    /// Whether requests say that their sender pays for them, as buckets with Requester Pays demand.
    pub request_payer: bool,
}

impl Settings {
    /// Settings for an endpoint and credentials, with the defaults for everything else.
    pub fn new(endpoint: Endpoint, credentials: Option<Credentials>) -> Self {
        Self {
            endpoint,
            credentials,
            ca_bundle: None,
            insecure: false,
            max_attempts: crate::retry::DEFAULT_MAX_ATTEMPTS,
            checksum_uploads: true,
            request_payer: false,
        }
    }

    /// Settings from the process environment and the user's profile files, under `overrides`.
    pub fn from_environment(overrides: &Overrides) -> Result<Self, Error> {
        Self::resolve(overrides, &Surroundings::from_process()?)
    }

    /// Decides every setting. Flags win over the environment, that over the profile.
    ///
    /// As in the AWS tools, credentials are taken whole from one place: a key id from the
    /// environment never meets a secret from a file. `--profile` on the command line makes the
    /// profile's credentials win over those in the environment.
    pub fn resolve(overrides: &Overrides, surroundings: &Surroundings) -> Result<Self, Error> {
        let profile_named = overrides
            .profile
            .as_deref()
            .or(surroundings.variable("AWS_PROFILE"));
        let profile_name = profile_named.unwrap_or("default");
        let profile = load_profile(profile_name, profile_named.is_some(), surroundings)?;
        let setting = |key: &str| {
            profile
                .get(key)
                .map(String::as_str)
                .filter(|v| !v.is_empty())
        };

        let url = overrides
            .endpoint_url
            .as_deref()
            .or(surroundings.variable("AWS_ENDPOINT_URL_S3"))
            .or(surroundings.variable("AWS_ENDPOINT_URL"))
            .or(setting("s3.endpoint_url"))
            .or(setting("endpoint_url"));
        let region = overrides
            .region
            .as_deref()
            .or(surroundings.variable("AWS_REGION"))
            .or(surroundings.variable("AWS_DEFAULT_REGION"))
            .or(setting("region"))
            .unwrap_or(DEFAULT_REGION);
        let addressing = match (overrides.path_style, setting("s3.addressing_style")) {
            (true, _) | (false, Some("path")) => Addressing::Path,
            (false, Some("virtual")) => Addressing::VirtualHosted,
            (false, _) => Addressing::Auto,
        };
        let endpoint = match url {
            Some(url) => Endpoint::parse(url, addressing, region)?,
            None if region == DEFAULT_REGION => {
                return Err(Error::Config(
                    "no endpoint: give --endpoint-url or set AWS_ENDPOINT_URL_S3 (for a local server: http://127.0.0.1:9000)"
                        .to_owned(),
                ));
            }
            // As with the AWS tools, a real region without an endpoint means AWS itself.
            None => {
                let url = format!("https://s3.{region}.amazonaws.com");
                Endpoint::parse(&url, addressing, region)?
            }
        };

        let max_attempts = surroundings
            .variable("AWS_MAX_ATTEMPTS")
            .or(setting("max_attempts"))
            .map(|text| {
                text.parse::<u32>()
                    .ok()
                    .filter(|attempts| *attempts >= 1)
                    .ok_or_else(|| {
                        Error::Config(format!(
                            "max attempts must be a number from 1, not {text:?}"
                        ))
                    })
            })
            .transpose()?
            .unwrap_or(crate::retry::DEFAULT_MAX_ATTEMPTS);
        let checksum_mode = surroundings
            .variable("AWS_REQUEST_CHECKSUM_CALCULATION")
            .or(setting("request_checksum_calculation"))
            .unwrap_or("when_supported");

        Ok(Self {
            endpoint,
            credentials: resolve_credentials(
                overrides,
                surroundings,
                &profile,
                profile_name,
                profile_named.is_some(),
            )?,
            ca_bundle: overrides
                .ca_bundle
                .clone()
                .or(surroundings.variable("AWS_CA_BUNDLE").map(PathBuf::from))
                .or(setting("ca_bundle").map(PathBuf::from)),
            insecure: overrides.insecure,
            max_attempts,
            checksum_uploads: !checksum_mode.eq_ignore_ascii_case("when_required"),
            request_payer: overrides.request_payer,
        })
    }
}

fn load_profile(name: &str, asked_for: bool, around: &Surroundings) -> Result<Profile, Error> {
    let section = |text: &Option<String>, file| {
        text.as_deref()
            .and_then(|text| parse_profiles(text, file).remove(name))
    };
    let config = section(&around.config_file, ProfileFile::Config);
    let credentials = section(&around.credentials_file, ProfileFile::Credentials);
    if asked_for && config.is_none() && credentials.is_none() {
        return Err(Error::Config(format!(
            "there is no profile {name:?} in the shared config or credentials file"
        )));
    }
    let mut profile = config.unwrap_or_default();
    profile.extend(credentials.unwrap_or_default());
    Ok(profile)
}

fn resolve_credentials(
    overrides: &Overrides,
    around: &Surroundings,
    profile: &Profile,
    profile_name: &str,
    is_profile_named: bool,
) -> Result<Option<Credentials>, Error> {
    if overrides.no_sign_request {
        return Ok(None);
    }
    let pair = |place: &str, id: Option<&str>, secret: Option<&str>, token: Option<&str>| match (
        id, secret,
    ) {
        (Some(id), Some(secret)) => Ok(Some(Credentials {
            access_key_id: id.to_owned(),
            secret_access_key: secret.to_owned(),
            session_token: token.map(str::to_owned),
        })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Error::Credentials(format!(
            "{place}: key id without its secret"
        ))),
        (None, Some(_)) => Err(Error::Credentials(format!(
            "{place}: secret without its key id"
        ))),
    };
    // The secret alone may come from the environment, so that it need not stand in the arguments.
    if overrides.access_key_id.is_some() || overrides.secret_access_key.is_some() {
        let secret = overrides
            .secret_access_key
            .as_deref()
            .or(around.variable("AWS_SECRET_ACCESS_KEY"));
        return pair(
            "command line",
            overrides.access_key_id.as_deref(),
            secret,
            None,
        );
    }
    let setting = |key: &str| {
        profile
            .get(key)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    };
    let from_profile = || -> Result<Option<Credentials>, Error> {
        // To the AWS CLI a key beside a role is at most what the role is assumed with.
        if setting("role_arn").is_some() {
            refuse_unknown_source(profile_name, profile)?;
        }
        let key = pair(
            &format!("profile {profile_name}"),
            setting("aws_access_key_id"),
            setting("aws_secret_access_key"),
            setting("aws_session_token"),
        )?;
        match (key, setting("credential_process")) {
            (Some(key), _) => Ok(Some(key)),
            (None, Some(command)) => from_process(profile_name, command).map(Some),
            (None, None) => refuse_unknown_source(profile_name, profile).map(|()| None),
        }
    };
    if overrides.profile.is_some()
        && let Some(credentials) = from_profile()?
    {
        return Ok(Some(credentials));
    }
    let from_environment = pair(
        "environment",
        around.variable("AWS_ACCESS_KEY_ID"),
        around.variable("AWS_SECRET_ACCESS_KEY"),
        around.variable("AWS_SESSION_TOKEN"),
    )?;
    match from_environment {
        Some(credentials) => Ok(Some(credentials)),
        None => match from_profile()? {
            Some(credentials) => Ok(Some(credentials)),
            None if is_profile_named => Err(Error::Profile {
                profile: profile_name.to_owned(),
                why: "has no credentials".to_owned(),
                advice: "give it aws_access_key_id and aws_secret_access_key, or a credential_process; or use --no-sign-request for public data".to_owned(),
            }),
            None => Err(Error::Credentials("no credentials found".to_owned())),
        },
    }
}

fn from_process(profile_name: &str, command: &str) -> Result<Credentials, Error> {
    credential_process::credentials(command).map_err(|problem| Error::Profile {
        profile: profile_name.to_owned(),
        why: format!("has a credential_process that {problem}"),
        advice: "run that command by hand: it has to print a JSON document with Version 1, AccessKeyId and SecretAccessKey".to_owned(),
    })
}

/// What AWS's tools make credentials of with services of AWS. Source: AWS SDKs and Tools Reference Guide,
/// "Settings reference".
const UNKNOWN_SOURCES: [&str; 7] = [
    "web_identity_token_file",
    "role_arn",
    "sso_session",
    "sso_start_url",
    "sso_account_id",
    "login_session",
    "credential_source",
];

/// Refuses a profile that is to have credentials from where only other tools get them.
fn refuse_unknown_source(profile_name: &str, profile: &Profile) -> Result<(), Error> {
    let mut sources = UNKNOWN_SOURCES.into_iter();
    let is_set = |source: &&str| profile.get(*source).is_some_and(|value| !value.is_empty());
    match sources.find(is_set) {
        None => Ok(()),
        Some(source) => Err(Error::Profile {
            profile: profile_name.to_owned(),
            why: format!("takes its credentials from {source}, which oncilla does not know"),
            advice: format!(
                "let the AWS CLI do it: `credential_process = aws configure export-credentials --profile {profile_name}` in a profile of its own"
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: (&str, &str) = ("AWS_ENDPOINT_URL_S3", "http://env-s3:9000");
    const KEY: [(&str, &str); 2] = [
        ("AWS_ACCESS_KEY_ID", "tid_env"),
        ("AWS_SECRET_ACCESS_KEY", "tsec_env"),
    ];
    const CREDENTIALS: &str = "[default]\naws_access_key_id=tid_file\naws_secret_access_key=tsec_file\n[work]\naws_access_key_id=tid_work\naws_secret_access_key=tsec_work\n";
    const CONFIG: &str = "[default]\nregion=file-1\n[profile work]\nendpoint_url=https://work.example\ns3 =\n  addressing_style = virtual\n";

    fn around(variables: &[(&str, &str)]) -> Surroundings {
        Surroundings::new(
            variables
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
            Some(CREDENTIALS.to_owned()),
            Some(CONFIG.to_owned()),
        )
    }

    fn key_id(settings: &Settings) -> &str {
        &settings.credentials.as_ref().unwrap().access_key_id
    }

    #[test]
    fn environment_wins_over_the_default_profile() {
        let settings =
            Settings::resolve(&Overrides::default(), &around(&[ENDPOINT, KEY[0], KEY[1]])).unwrap();
        assert_eq!(key_id(&settings), "tid_env");
        assert_eq!(settings.endpoint.host(), "env-s3:9000");
        assert_eq!(settings.endpoint.region, "file-1");
    }

    #[test]
    fn the_specific_endpoint_variable_wins_over_the_general_one() {
        let variables = [("AWS_ENDPOINT_URL", "http://general"), ENDPOINT];
        let settings = Settings::resolve(&Overrides::default(), &around(&variables)).unwrap();
        assert_eq!(settings.endpoint.host(), "env-s3:9000");
        let settings = Settings::resolve(&Overrides::default(), &around(&variables[..1])).unwrap();
        assert_eq!(settings.endpoint.host(), "general");
    }

    #[test]
    fn a_profile_flag_wins_over_environment_credentials_and_aws_profile_does_not() {
        let overrides = Overrides {
            profile: Some("work".into()),
            ..Overrides::default()
        };
        let settings = Settings::resolve(&overrides, &around(&KEY)).unwrap();
        assert_eq!(key_id(&settings), "tid_work");
        assert_eq!(settings.endpoint.addressing, Addressing::VirtualHosted);

        let variables = [KEY[0], KEY[1], ("AWS_PROFILE", "work")];
        let settings = Settings::resolve(&Overrides::default(), &around(&variables)).unwrap();
        assert_eq!(key_id(&settings), "tid_env");
        assert_eq!(settings.endpoint.host(), "work.example");
    }

    #[test]
    fn flags_win_over_everything() {
        let overrides = Overrides {
            endpoint_url: Some("https://flag.example".into()),
            region: Some("eu".into()),
            access_key_id: Some("tid_flag".into()),
            secret_access_key: Some("tsec_flag".into()),
            path_style: true,
            ..Overrides::default()
        };
        let variables = [ENDPOINT, KEY[0], KEY[1], ("AWS_REGION", "env-1")];
        let settings = Settings::resolve(&overrides, &around(&variables)).unwrap();
        assert_eq!(key_id(&settings), "tid_flag");
        assert_eq!(settings.endpoint.host(), "flag.example");
        assert_eq!(settings.endpoint.region, "eu");
        assert_eq!(settings.endpoint.addressing, Addressing::Path);
    }

    #[test]
    fn half_a_key_is_an_error_and_none_is_an_error_unless_unsigned() {
        let half = [ENDPOINT, KEY[0]];
        let error = Settings::resolve(&Overrides::default(), &around(&half)).unwrap_err();
        assert_eq!(error.exit_code(), crate::exit_code::AUTH);

        let bare = Surroundings::new([(ENDPOINT.0.to_owned(), ENDPOINT.1.to_owned())], None, None);
        let error = Settings::resolve(&Overrides::default(), &bare).unwrap_err();
        assert!(matches!(error, Error::Credentials(_)));
        let overrides = Overrides {
            no_sign_request: true,
            ..Overrides::default()
        };
        assert!(
            Settings::resolve(&overrides, &bare)
                .unwrap()
                .credentials
                .is_none()
        );
    }

    #[test]
    fn without_an_endpoint_only_a_real_region_means_aws() {
        let overrides = Overrides {
            region: Some("eu-west-1".into()),
            ..Overrides::default()
        };
        let settings = Settings::resolve(&overrides, &around(&KEY)).unwrap();
        assert_eq!(settings.endpoint.host(), "s3.eu-west-1.amazonaws.com");
        let overrides = Overrides {
            region: Some("auto".into()),
            ..Overrides::default()
        };
        assert!(Settings::resolve(&overrides, &around(&KEY)).is_err());
    }

    /// The credentials of a profile with these lines, where the environment has no key.
    fn of_profile(lines: &str) -> Result<Option<Credentials>, Error> {
        let config = format!("[profile p]\n{lines}\n");
        let variables = [(ENDPOINT.0.to_owned(), ENDPOINT.1.to_owned())];
        let around = Surroundings::new(variables, None, Some(config));
        let overrides = Overrides {
            profile: Some("p".into()),
            ..Overrides::default()
        };
        Settings::resolve(&overrides, &around).map(|settings| settings.credentials)
    }

    #[test]
    fn a_command_of_the_profile_gives_credentials() {
        let printed =
            r#"{"Version":1,"AccessKeyId":"tid_c","SecretAccessKey":"s","SessionToken":"t"}"#;
        let lines = format!("sso_session = s\ncredential_process = printf %s '{printed}'");
        let credentials = of_profile(&lines).unwrap().unwrap();
        assert_eq!(credentials.access_key_id, "tid_c");
        assert_eq!(credentials.session_token.as_deref(), Some("t"));

        let own = format!("aws_access_key_id=tid_o\naws_secret_access_key=s\n{lines}");
        assert_eq!(of_profile(&own).unwrap().unwrap().access_key_id, "tid_o");

        let error = of_profile("credential_process = printf secret").unwrap_err();
        let told = format!("{error} {:?}", error.advice());
        assert!(told.contains("profile \"p\" has a credential_process that did not print"));
        assert!(!told.contains("secret"), "{told}");
        assert_eq!(error.exit_code(), crate::exit_code::AUTH);
    }

    #[test]
    fn a_profile_without_credentials_is_told_by_name() {
        for (lines, why) in [
            ("role_arn = arn:r\nsource_profile = q", "role_arn"),
            (
                "role_arn = arn:r\nweb_identity_token_file = f",
                "web_identity_token_file",
            ),
            ("sso_start_url = u\nsso_region = r", "sso_start_url"),
            ("region = r", "has no credentials"),
        ] {
            let error = of_profile(lines).unwrap_err();
            assert_eq!(error.exit_code(), crate::exit_code::AUTH);
            let told = error.to_string();
            assert!(told.starts_with("profile \"p\" "), "{told}");
            assert!(told.contains(why), "{told}");
            let has_source = !why.starts_with("has no");
            let advice = error.advice().unwrap();
            assert_eq!(
                advice.contains("export-credentials --profile p`"),
                has_source,
                "{advice}"
            );
        }
    }

    #[test]
    fn an_unknown_profile_is_an_error() {
        let overrides = Overrides {
            profile: Some("nobody".into()),
            ..Overrides::default()
        };
        let error = Settings::resolve(&overrides, &around(&[ENDPOINT])).unwrap_err();
        assert!(
            error.to_string().contains("no profile \"nobody\""),
            "{error}"
        );
    }
}
