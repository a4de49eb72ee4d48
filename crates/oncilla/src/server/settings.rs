//! What the settings mean: text into values, with a refusal that names the setting.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use oncilla_keys::MasterKeySource;
use oncilla_server::bucket_logs;
use oncilla_server::connection::ConnectionTimeouts;
use oncilla_server::front::{IN_FLIGHT_MAX_DEFAULT, MEMORY_BYTES_DEFAULT};
use oncilla_server::notifications::Targets;
use oncilla_server::s3::CustomerKeysOverHttp;
use oncilla_server::server::{CONNECTIONS_MAX_DEFAULT, SHUTDOWN_GRACE_DEFAULT};
use oncilla_server::tls::CertificateFiles;
use oncilla_store::lifecycle::{Calendar, LifecycleOptions};
use oncilla_wire::storage_class::StorageClass;
use oncilla_wire::website::LOCALHOST_WEBSITES;
use tracing_subscriber::EnvFilter;

use super::config_file;
use super::options::ServerArgs;
use super::targets::targets;
use super::units::{BYTES_ALLOWED, DURATION_ALLOWED, parse_bytes, parse_duration};

/// Base domains that always are: browsers and most resolvers send what lies below to this machine.
const DOMAINS_ALWAYS: [&str; 2] = ["localhost", "s3.localhost"];

const DAY: Duration = Duration::from_secs(86_400);

/// S3's own limit for presigned URLs, and the default.
const PRESIGN_EXPIRY_DEFAULT: Duration = Duration::from_secs(7 * 86_400);

/// The longest that may be set.
const PRESIGN_EXPIRY_LIMIT: Duration = Duration::from_secs(90 * 86_400);

/// Largest inline threshold: rows beyond it make the metadata engine's files heavy.
const INLINE_THRESHOLD_LIMIT_BYTES: u64 = 1 << 20;

/// The smallest memory limit with which an upload can run.
const MEMORY_LIMIT_MIN_BYTES: u64 = 16 << 20;

/// The smallest log object of a bucket: a few lines.
const BUCKET_LOG_MIN_BYTES: u64 = 1 << 10;

/// The largest one: it is in memory until it is delivered.
const BUCKET_LOG_LIMIT_BYTES: u64 = 16 << 20;

/// A setting that is not allowed: one line.
#[derive(Debug, PartialEq, Eq)]
pub struct SettingError(String);

impl SettingError {
    /// A value that is not among what is allowed.
    pub fn new(setting: &str, value: &str, allowed: impl fmt::Display) -> Self {
        Self::from_line(format!("{setting}: {value:?} is not allowed: {allowed}"))
    }

    /// A line of its own.
    pub fn from_line(line: String) -> Self {
        Self(line.replace('\n', " "))
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When the device has it.
    Sync,
    /// When the operating system has it.
    Os,
}

/// Where certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Made by the server, for development.
    SelfSigned,
    /// Given.
    Files(CertificateFiles),
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object per line.
    Json,
}

/// Credentials that the operator chose.
#[derive(Clone, PartialEq, Eq)]
pub struct RootCredentials {
    /// The access key id.
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: String,
}

impl fmt::Debug for RootCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootCredentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// All settings of the server.
#[derive(Debug)]
#[allow(
    missing_docs,
    reason = "each is the flag of the same name; see `options.rs`"
)]
pub struct Settings {
    pub data: PathBuf,
    pub durability: Durability,
    pub inline_threshold_bytes: u64,
    pub listen: Vec<SocketAddr>,
    pub listen_tls: Vec<SocketAddr>,
    pub domains: Vec<String>,
    pub website_domains: Vec<String>,
    pub endpoint_url: Option<String>,
    pub tls: Option<Tls>,
    pub root_credentials: Option<RootCredentials>,
    pub presign_expiry_max: Duration,
    pub sigv2: bool,
    pub region: String,
    pub metrics_public: bool,
    pub notification_targets: Targets,
    pub master_key: MasterKeySource,
    pub encrypt_at_rest: bool,
    pub sse_c_over_http: CustomerKeysOverHttp,
    pub default_kms_key: bool,
    pub max_connections: usize,
    pub max_in_flight: usize,
    pub memory_limit_bytes: usize,
    pub idle_timeout: Duration,
    pub shutdown_grace: Duration,
    pub threads: Option<usize>,
    pub bucket_log_interval: Duration,
    pub bucket_log_bytes: usize,
    pub lifecycle: LifecycleOptions,
    pub restore_time: Duration,
    pub storage_classes: Vec<(StorageClass, PathBuf)>,
    pub log_format: LogFormat,
    pub log_level: String,
}

impl Settings {
    /// Reads the file that `args` may name, and takes all settings from there, from the
    /// environment (which `args` contain already) and from the defaults.
    ///
    /// # Errors
    /// The first setting that is not allowed.
    pub fn resolve(mut args: ServerArgs) -> Result<Self, SettingError> {
        if let Some(path) = args.config.clone().filter(|path| !path.is_empty()) {
            config_file::overlay(&mut args, Path::new(&path))?;
        }
        let threads = optional(&args.threads)
            .map(|text| whole_number("threads", text, 1, 1024))
            .transpose()?;
        let listen_tls = addresses("listen-tls", &args.listen_tls, &[])?;
        let tls = tls(&args)?;
        if !listen_tls.is_empty() && tls.is_none() {
            return Err(SettingError::from_line(
                "listen-tls: needs tls-cert and tls-key, or tls = self-signed".to_owned(),
            ));
        }
        if listen_tls.is_empty() && tls.is_some() {
            return Err(SettingError::from_line(
                "tls: needs listen-tls, the address for HTTPS, such as 127.0.0.1:9443".to_owned(),
            ));
        }
        let listen = addresses(
            "listen",
            &args.listen,
            &[SocketAddr::from(([127, 0, 0, 1], 9000))],
        )?;
        if listen.is_empty() && listen_tls.is_empty() {
            return Err(SettingError::from_line(
                "listen: none is only allowed together with listen-tls".to_owned(),
            ));
        }
        let memory_limit = number_in(
            "memory-limit",
            optional(&args.memory_limit),
            parse_bytes,
            MEMORY_LIMIT_MIN_BYTES..=1 << 44,
            MEMORY_BYTES_DEFAULT as u64,
            &format!("{BYTES_ALLOWED}, at least 16MiB"),
        )?;
        let domains = domains("domain", &args.domain, &DOMAINS_ALWAYS)?;
        let websites = [LOCALHOST_WEBSITES];
        let website_domains = self::domains("website-domain", &args.website_domain, &websites)?;
        if let Some(both) = website_domains.iter().find(|name| domains.contains(name)) {
            let allowed = "another domain than those of --domain, whose buckets would be hidden";
            return Err(SettingError::new("website-domain", both, allowed));
        }
        let bucket_log_bytes = number_in(
            "bucket-log-size",
            optional(&args.bucket_log_size),
            parse_bytes,
            BUCKET_LOG_MIN_BYTES..=BUCKET_LOG_LIMIT_BYTES,
            bucket_logs::OBJECT_BYTES_DEFAULT as u64,
            &format!("{BYTES_ALLOWED}, from 1KiB to 16MiB"),
        )?;
        let data = PathBuf::from(optional(&args.data).unwrap_or("./oncilla-data"));
        let master_key = args.master.source(&data).map_err(SettingError::from_line)?;
        Ok(Self {
            data,
            durability: choice(
                "durability",
                optional(&args.durability),
                &[("sync", Durability::Sync), ("os", Durability::Os)],
            )?,
            inline_threshold_bytes: number_in(
                "inline-threshold",
                optional(&args.inline_threshold),
                parse_bytes,
                0..=INLINE_THRESHOLD_LIMIT_BYTES,
                16 << 10,
                &format!("{BYTES_ALLOWED}, at most 1MiB"),
            )?,
            listen,
            listen_tls,
            domains,
            website_domains,
            endpoint_url: endpoint_url(optional(&args.endpoint_url))?,
            tls,
            root_credentials: root_credentials(&args)?,
            presign_expiry_max: duration_in(
                "presign-expiry-max",
                optional(&args.presign_expiry_max),
                Duration::from_secs(1)..=PRESIGN_EXPIRY_LIMIT,
                PRESIGN_EXPIRY_DEFAULT,
                "from 1s to 90d",
            )?,
            sigv2: choice(
                "sigv2",
                optional(&args.sigv2),
                &[("false", false), ("true", true)],
            )?,
            region: region(optional(&args.region).unwrap_or("auto"))?,
            metrics_public: choice(
                "metrics-public",
                optional(&args.metrics_public),
                &[("false", false), ("true", true)],
            )?,
            notification_targets: targets(
                &args.notification_targets,
                choice(
                    "notification-urls",
                    optional(&args.notification_urls),
                    &[("false", false), ("true", true)],
                )?,
            )?,
            master_key,
            encrypt_at_rest: choice(
                "encrypt-at-rest",
                optional(&args.encrypt_at_rest),
                &[("false", false), ("true", true)],
            )?,
            sse_c_over_http: choice(
                "sse-c-over-http",
                optional(&args.sse_c_over_http),
                &[
                    ("loopback", CustomerKeysOverHttp::Loopback),
                    ("never", CustomerKeysOverHttp::Never),
                    ("always", CustomerKeysOverHttp::Always),
                ],
            )?,
            default_kms_key: choice(
                "default-kms-key",
                optional(&args.default_kms_key),
                &[("true", true), ("false", false)],
            )?,
            max_connections: optional(&args.max_connections)
                .map_or(Ok(CONNECTIONS_MAX_DEFAULT), |text| {
                    whole_number("max-connections", text, 1, 1_000_000)
                })?,
            max_in_flight: optional(&args.max_in_flight)
                .map_or(Ok(IN_FLIGHT_MAX_DEFAULT), |text| {
                    whole_number("max-in-flight", text, 1, 1_000_000)
                })?,
            memory_limit_bytes: usize::try_from(memory_limit).unwrap_or(usize::MAX),
            idle_timeout: duration_in(
                "idle-timeout",
                optional(&args.idle_timeout),
                Duration::from_secs(1)..=Duration::from_secs(86_400),
                ConnectionTimeouts::default().write_stall,
                "from 1s to 1d",
            )?,
            shutdown_grace: duration_in(
                "shutdown-grace",
                optional(&args.shutdown_grace),
                Duration::ZERO..=Duration::from_secs(86_400),
                SHUTDOWN_GRACE_DEFAULT,
                "up to 1d",
            )?,
            threads,
            bucket_log_interval: duration_in(
                "bucket-log-interval",
                optional(&args.bucket_log_interval),
                Duration::from_secs(1)..=Duration::from_secs(86_400),
                bucket_logs::INTERVAL_DEFAULT,
                "from 1s to 1d",
            )?,
            bucket_log_bytes: usize::try_from(bucket_log_bytes).unwrap_or(usize::MAX),
            lifecycle: lifecycle(&args)?,
            restore_time: duration_in(
                "restore-time",
                optional(&args.restore_time),
                Duration::ZERO..=Duration::from_secs(7 * 86_400),
                Duration::ZERO,
                "up to 7d",
            )?,
            storage_classes: storage_classes(&args.storage_class)?,
            log_format: choice(
                "log-format",
                optional(&args.log_format),
                &[("text", LogFormat::Text), ("json", LogFormat::Json)],
            )?,
            log_level: log_level(optional(&args.log_level).unwrap_or("info"))?,
        })
    }
}

fn lifecycle(args: &ServerArgs) -> Result<LifecycleOptions, SettingError> {
    let day = duration_in(
        "lifecycle-day",
        optional(&args.lifecycle_day),
        Duration::from_millis(10)..=DAY,
        DAY,
        "from 10ms to 24h",
    )?;
    let interval = duration_in(
        "lifecycle-interval",
        optional(&args.lifecycle_interval),
        Duration::from_millis(10)..=DAY,
        LifecycleOptions::default().interval,
        "from 10ms to 1d",
    )?;
    Ok(LifecycleOptions {
        calendar: Calendar::with_day(day),
        interval,
    })
}

fn storage_classes(texts: &[String]) -> Result<Vec<(StorageClass, PathBuf)>, SettingError> {
    let mut classes: Vec<(StorageClass, PathBuf)> = Vec::new();
    let texts = texts
        .iter()
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|text| !text.is_empty());
    for text in texts {
        let refuse = || {
            let names: Vec<_> = StorageClass::ALL
                .iter()
                .map(|class| class.as_str())
                .collect();
            let allowed = format!(
                "CLASS=DIR, each class and directory once, where CLASS is one of {}",
                names.join(", ")
            );
            SettingError::new("storage-class", text, allowed)
        };
        let (name, dir) = text.split_once('=').ok_or_else(refuse)?;
        let class = StorageClass::from_name(name.trim()).ok_or_else(refuse)?;
        // Volumes are found by the place they were put in, wherever the server is started from.
        let dir = std::path::absolute(dir.trim()).map_err(|_| refuse())?;
        if classes
            .iter()
            .any(|(other, other_dir)| *other == class || *other_dir == dir)
        {
            return Err(refuse());
        }
        classes.push((class, dir));
    }
    Ok(classes)
}

/// An empty variable is as good as none: container tools cannot leave one out.
fn optional(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|text| !text.is_empty())
}

/// The first choice is the default.
fn choice<T: Copy>(
    setting: &str,
    text: Option<&str>,
    choices: &[(&str, T)],
) -> Result<T, SettingError> {
    let text = text.unwrap_or(choices[0].0);
    let found = choices
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, value)| *value);
    found.ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        SettingError::new(setting, text, format!("one of {}", names.join(", ")))
    })
}

fn whole_number(setting: &str, text: &str, min: usize, max: usize) -> Result<usize, SettingError> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (min..=max).contains(number));
    let allowed = format!("a whole number from {min} to {max}");
    number.ok_or_else(|| SettingError::new(setting, text, allowed))
}

fn number_in(
    setting: &str,
    text: Option<&str>,
    parse: impl Fn(&str) -> Option<u64>,
    range: std::ops::RangeInclusive<u64>,
    default: u64,
    allowed: &str,
) -> Result<u64, SettingError> {
    let Some(text) = text else { return Ok(default) };
    let number = parse(text).filter(|number| range.contains(number));
    number.ok_or_else(|| SettingError::new(setting, text, allowed))
}

fn duration_in(
    setting: &str,
    text: Option<&str>,
    range: std::ops::RangeInclusive<Duration>,
    default: Duration,
    bounds: &str,
) -> Result<Duration, SettingError> {
    let Some(text) = text else { return Ok(default) };
    let time = parse_duration(text).filter(|time| range.contains(time));
    time.ok_or_else(|| SettingError::new(setting, text, format!("{DURATION_ALLOWED}, {bounds}")))
}

fn addresses(
    setting: &str,
    texts: &[String],
    default: &[SocketAddr],
) -> Result<Vec<SocketAddr>, SettingError> {
    // A file may have several in one text, as the flags do.
    let texts: Vec<&str> = texts
        .iter()
        .flat_map(|t| t.split(','))
        .map(str::trim)
        .filter(|t| !t.is_empty())
        .collect();
    if texts.is_empty() {
        return Ok(default.to_vec());
    }
    if texts == ["none"] {
        return Ok(Vec::new());
    }
    let parse = |text: &&str| {
        let allowed = "an IP address with a port, such as 127.0.0.1:9000 or [::]:9000, or none";
        SocketAddr::from_str(text).map_err(|_| SettingError::new(setting, text, allowed))
    };
    texts.iter().map(parse).collect()
}

/// The domains of a setting, and before them those that always are.
fn domains(setting: &str, texts: &[String], always: &[&str]) -> Result<Vec<String>, SettingError> {
    let mut domains: Vec<String> = always.iter().map(|&domain| domain.to_owned()).collect();
    let texts = texts
        .iter()
        .flat_map(|t| t.split(','))
        .map(str::trim)
        .filter(|t| !t.is_empty());
    for text in texts {
        let domain = text.trim_end_matches('.').to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let is_address = domain.parse::<std::net::IpAddr>().is_ok();
        if domain.len() > 190 || is_address || !domain.split('.').all(is_label) {
            let allowed = "a domain name such as s3.example.com, without wildcard or port";
            return Err(SettingError::new(setting, text, allowed));
        }
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    Ok(domains)
}

fn tls(args: &ServerArgs) -> Result<Option<Tls>, SettingError> {
    let files = (optional(&args.tls_cert), optional(&args.tls_key));
    match (optional(&args.tls), files) {
        (None, (None, None)) => Ok(None),
        (None, (Some(certificate), Some(key))) => Ok(Some(Tls::Files(CertificateFiles {
            certificate: PathBuf::from(certificate),
            key: PathBuf::from(key),
        }))),
        (Some("self-signed"), (None, None)) => Ok(Some(Tls::SelfSigned)),
        (Some("self-signed"), _) => Err(SettingError::from_line(
            "tls: self-signed is not allowed together with tls-cert or tls-key".to_owned(),
        )),
        (Some(other), _) => Err(SettingError::new("tls", other, "self-signed")),
        (None, (None, Some(_))) => Err(SettingError::from_line(
            "tls-cert: needed together with tls-key".to_owned(),
        )),
        (None, (Some(_), None)) => Err(SettingError::from_line(
            "tls-key: needed together with tls-cert".to_owned(),
        )),
    }
}

fn root_credentials(args: &ServerArgs) -> Result<Option<RootCredentials>, SettingError> {
    let missing = |setting: &str, other: &str| {
        SettingError::from_line(format!(
            "{setting}: needed together with {other} (both or neither)"
        ))
    };
    match (
        optional(&args.root_access_key_id),
        optional(&args.root_secret_access_key),
    ) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(missing("root-secret-access-key", "root-access-key-id")),
        (None, Some(_)) => Err(missing("root-access-key-id", "root-secret-access-key")),
        (Some(id), Some(secret)) => {
            let is_plain =
                |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !(3..=128).contains(&id.len()) || !is_plain(id) {
                let allowed = "3 to 128 letters, digits or _";
                return Err(SettingError::new("root-access-key-id", id, allowed));
            }
            if !(8..=256).contains(&secret.len()) || !secret.bytes().all(|b| b.is_ascii_graphic()) {
                // The value stays out of the message: it is a secret.
                return Err(SettingError::from_line(
                    "root-secret-access-key: allowed are 8 to 256 visible ASCII characters"
                        .to_owned(),
                ));
            }
            Ok(Some(RootCredentials {
                access_key_id: id.to_owned(),
                secret_access_key: secret.to_owned(),
            }))
        }
    }
}

fn endpoint_url(text: Option<&str>) -> Result<Option<String>, SettingError> {
    let Some(text) = text else { return Ok(None) };
    let url = text.trim_end_matches('/');
    let is_allowed = url.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none()
    });
    let allowed = "a URL such as https://s3.example.com, without a path";
    if is_allowed {
        Ok(Some(url.to_owned()))
    } else {
        Err(SettingError::new("endpoint-url", text, allowed))
    }
}

fn region(text: &str) -> Result<String, SettingError> {
    let is_allowed = text.len() <= 63
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let allowed = "up to 63 lower-case letters, digits and hyphens, such as auto or eu-west-1";
    if is_allowed {
        Ok(text.to_owned())
    } else {
        Err(SettingError::new("region", text, allowed))
    }
}

fn log_level(text: &str) -> Result<String, SettingError> {
    let allowed = "error, warn, info, debug, trace or off, also by target as in info,access=off";
    // A bare unknown word would be taken for a target, and silence everything else.
    let is_level = |word: &str| {
        word.contains('=')
            || ["error", "warn", "info", "debug", "trace", "off"]
                .contains(&word.to_ascii_lowercase().as_str())
    };
    if text.split(',').all(|word| is_level(word.trim())) && EnvFilter::try_new(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err(SettingError::new("log-level", text, allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(args: ServerArgs) -> String {
        let line = Settings::resolve(args).unwrap_err().to_string();
        assert_eq!(line.lines().count(), 1, "{line}");
        line
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn the_defaults_are_those_of_the_help() {
        let settings = Settings::resolve(ServerArgs::default()).unwrap();
        assert_eq!(settings.data, Path::new("./oncilla-data"));
        assert_eq!(settings.listen, ["127.0.0.1:9000".parse().unwrap()]);
        assert!(settings.listen_tls.is_empty() && settings.tls.is_none());
        assert_eq!(settings.domains, ["localhost", "s3.localhost"]);
        assert_eq!(settings.inline_threshold_bytes, 16 << 10);
        assert_eq!(settings.memory_limit_bytes, 256 << 20);
        assert_eq!(
            (settings.max_connections, settings.max_in_flight),
            (10_000, 4096)
        );
        assert_eq!(settings.presign_expiry_max, Duration::from_secs(604_800));
        assert_eq!(settings.idle_timeout, Duration::from_secs(60));
        assert_eq!(settings.shutdown_grace, Duration::from_secs(30));
        assert!(settings.lifecycle.calendar.is_real() && settings.restore_time.is_zero());
        assert_eq!(settings.lifecycle.interval, Duration::from_secs(600));
        assert_eq!(
            (settings.region.as_str(), settings.log_level.as_str()),
            ("auto", "info")
        );
        assert!(!settings.metrics_public && settings.root_credentials.is_none());
        assert!(!settings.encrypt_at_rest && settings.default_kms_key);
        assert_eq!(settings.sse_c_over_http, CustomerKeysOverHttp::Loopback);
    }

    #[test]
    fn a_bad_value_is_refused_by_the_name_of_its_setting() {
        let base = ServerArgs::default;
        for (args, setting) in [
            (
                ServerArgs {
                    listen: vec!["localhost".to_owned()],
                    ..base()
                },
                "listen: ",
            ),
            (
                ServerArgs {
                    listen: vec!["none".to_owned()],
                    ..base()
                },
                "listen: ",
            ),
            (
                ServerArgs {
                    listen_tls: vec!["127.0.0.1:1".to_owned()],
                    ..base()
                },
                "listen-tls: ",
            ),
            (
                ServerArgs {
                    durability: some("maybe"),
                    ..base()
                },
                "durability: ",
            ),
            (
                ServerArgs {
                    memory_limit: some("1MiB"),
                    ..base()
                },
                "memory-limit: ",
            ),
            (
                ServerArgs {
                    inline_threshold: some("2MiB"),
                    ..base()
                },
                "inline-threshold: ",
            ),
            (
                ServerArgs {
                    presign_expiry_max: some("91d"),
                    ..base()
                },
                "presign-expiry-max: ",
            ),
            (
                ServerArgs {
                    presign_expiry_max: some("7"),
                    ..base()
                },
                "presign-expiry-max: ",
            ),
            (
                ServerArgs {
                    max_connections: some("0"),
                    ..base()
                },
                "max-connections: ",
            ),
            (
                ServerArgs {
                    max_in_flight: some("-1"),
                    ..base()
                },
                "max-in-flight: ",
            ),
            (
                ServerArgs {
                    threads: some("many"),
                    ..base()
                },
                "threads: ",
            ),
            (
                ServerArgs {
                    lifecycle_day: some("25h"),
                    ..base()
                },
                "lifecycle-day: ",
            ),
            (
                ServerArgs {
                    lifecycle_interval: some("0s"),
                    ..base()
                },
                "lifecycle-interval: ",
            ),
            (
                ServerArgs {
                    storage_class: vec!["COLD=/srv/cold".to_owned()],
                    ..base()
                },
                "storage-class: ",
            ),
            (
                ServerArgs {
                    storage_class: vec!["GLACIER=/srv/a,DEEP_ARCHIVE=/srv/a".to_owned()],
                    ..base()
                },
                "storage-class: ",
            ),
            (
                ServerArgs {
                    restore_time: some("8d"),
                    ..base()
                },
                "restore-time: ",
            ),
            (
                ServerArgs {
                    domain: vec!["*.a".to_owned()],
                    ..base()
                },
                "domain: ",
            ),
            (
                ServerArgs {
                    domain: vec!["127.0.0.1".to_owned()],
                    ..base()
                },
                "domain: ",
            ),
            (
                ServerArgs {
                    tls: some("yes"),
                    ..base()
                },
                "tls: ",
            ),
            (
                ServerArgs {
                    tls_cert: some("a"),
                    ..base()
                },
                "tls-key: ",
            ),
            (
                ServerArgs {
                    tls_key: some("a"),
                    ..base()
                },
                "tls-cert: ",
            ),
            (
                ServerArgs {
                    region: some("Mars 1"),
                    ..base()
                },
                "region: ",
            ),
            (
                ServerArgs {
                    domain: vec!["s3.example.com".to_owned()],
                    website_domain: vec!["S3.example.com".to_owned()],
                    ..base()
                },
                "website-domain: ",
            ),
            (
                ServerArgs {
                    sigv2: some("yes"),
                    ..base()
                },
                "sigv2: ",
            ),
            (
                ServerArgs {
                    log_level: some("loud"),
                    ..base()
                },
                "log-level: ",
            ),
            (
                ServerArgs {
                    log_format: some("xml"),
                    ..base()
                },
                "log-format: ",
            ),
            (
                ServerArgs {
                    metrics_public: some("1"),
                    ..base()
                },
                "metrics-public: ",
            ),
            (
                ServerArgs {
                    sse_c_over_http: some("yes"),
                    ..base()
                },
                "sse-c-over-http: ",
            ),
            (
                ServerArgs {
                    encrypt_at_rest: some("1"),
                    ..base()
                },
                "encrypt-at-rest: ",
            ),
            (
                ServerArgs {
                    endpoint_url: some("s3.example.com"),
                    ..base()
                },
                "endpoint-url: ",
            ),
            (
                ServerArgs {
                    config: some("/does/not/exist"),
                    ..base()
                },
                "cannot read the configuration file /does/not/exist: No such file",
            ),
            (
                ServerArgs {
                    root_access_key_id: some("tid_a"),
                    ..base()
                },
                "root-secret-access-key: ",
            ),
            (
                ServerArgs {
                    root_secret_access_key: some("x"),
                    ..base()
                },
                "root-access-key-id: ",
            ),
        ] {
            let line = refusal(args);
            assert!(line.starts_with(setting), "{line}");
        }
    }

    #[test]
    fn a_bad_secret_is_not_repeated() {
        let line = refusal(ServerArgs {
            root_access_key_id: some("tid_a"),
            root_secret_access_key: some("s3cr t!"),
            ..ServerArgs::default()
        });
        assert!(!line.contains("s3cr"), "{line}");
    }

    #[test]
    fn empty_variables_are_none() {
        let settings = Settings::resolve(ServerArgs {
            config: some(""),
            tls: some(""),
            listen: vec![String::new()],
            root_access_key_id: some(""),
            root_secret_access_key: some(""),
            ..ServerArgs::default()
        });
        assert!(settings.unwrap().tls.is_none());
    }
}
