//! The flags of `oncilla server` and their environment variables, as text: what they mean is
//! decided in `settings.rs`, so that a bad value reads the same wherever it came from.

use clap::Args;

use super::master_key::MasterKeyArgs;
use super::targets::TargetTable;

/// Serve S3 on this machine.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP)]
pub struct ServerArgs {
    /// TOML file with settings named as the flags, with `_` for `-` (data = "/srv/oncilla").
    /// Flags win over the environment, which wins over the file [default: none]
    #[arg(
        long,
        value_name = "FILE",
        env = "ONCILLA_CONFIG",
        help_heading = "Place"
    )]
    pub config: Option<String>,

    /// Directory for everything that is stored; made on the first start [default: ./oncilla-data]
    #[arg(long, value_name = "DIR", env = "ONCILLA_DATA", help_heading = "Place")]
    pub data: Option<String>,

    /// When a write is acknowledged: `sync` when the device has it, `os` when the operating system
    /// has it (faster; a power cut can lose the last writes) [default: sync]
    #[arg(
        long,
        value_name = "sync|os",
        env = "ONCILLA_DURABILITY",
        help_heading = "Place"
    )]
    pub durability: Option<String>,

    /// Largest body kept beside its record instead of in a volume [default: 16KiB]
    #[arg(
        long,
        value_name = "SIZE",
        env = "ONCILLA_INLINE_THRESHOLD",
        help_heading = "Place"
    )]
    pub inline_threshold: Option<String>,

    /// Address for plain HTTP; repeat it or separate several by commas; port 0 takes a free one;
    /// `none` for no plain HTTP [default: 127.0.0.1:9000]
    #[arg(
        long,
        value_name = "ADDR",
        env = "ONCILLA_LISTEN",
        value_delimiter = ',',
        help_heading = "Network"
    )]
    pub listen: Vec<String>,

    /// Address for HTTPS, such as 0.0.0.0:9443; needs --tls or --tls-cert and --tls-key [default: none]
    #[arg(
        long,
        value_name = "ADDR",
        env = "ONCILLA_LISTEN_TLS",
        value_delimiter = ',',
        help_heading = "Network"
    )]
    pub listen_tls: Vec<String>,

    /// Base domain for virtual-hosted addressing (s3.example.com: then bucket.s3.example.com is a
    /// bucket); repeatable; localhost and s3.localhost always are [default: none]
    #[arg(
        long,
        value_name = "DOMAIN",
        env = "ONCILLA_DOMAIN",
        value_delimiter = ',',
        help_heading = "Network"
    )]
    pub domain: Vec<String>,

    /// Domain below which buckets are served as websites (s3-website.example.com: then
    /// bucket.s3-website.example.com is a website); repeatable; s3-website.localhost always is
    /// [default: none]
    #[arg(
        long,
        value_name = "DOMAIN",
        env = "ONCILLA_WEBSITE_DOMAIN",
        value_delimiter = ',',
        help_heading = "Network"
    )]
    pub website_domain: Vec<String>,

    /// URL under which clients reach this server, for printed configurations
    /// [default: from --listen-tls or --listen]
    #[arg(
        long,
        value_name = "URL",
        env = "ONCILLA_ENDPOINT_URL",
        help_heading = "Network"
    )]
    pub endpoint_url: Option<String>,

    /// `self-signed` makes a certificate for development and keeps it in DATA/tls (give
    /// DATA/tls/ca.pem to clients) [default: none]
    #[arg(
        long,
        value_name = "self-signed",
        env = "ONCILLA_TLS",
        help_heading = "TLS"
    )]
    pub tls: Option<String>,

    /// PEM file with the certificate and its chain; read again when it changes [default: none]
    #[arg(
        long,
        value_name = "FILE",
        env = "ONCILLA_TLS_CERT",
        help_heading = "TLS"
    )]
    pub tls_cert: Option<String>,

    /// PEM file with the private key [default: none]
    #[arg(
        long,
        value_name = "FILE",
        env = "ONCILLA_TLS_KEY",
        help_heading = "TLS"
    )]
    pub tls_key: Option<String>,

    /// Preset access key id of the root account; without it the first start makes one and prints it
    #[arg(
        long,
        value_name = "ID",
        env = "ONCILLA_ROOT_ACCESS_KEY_ID",
        help_heading = "Access"
    )]
    pub root_access_key_id: Option<String>,

    /// Preset secret of the root account. Other users of the machine can see flags: prefer the
    /// environment or the file
    #[arg(
        long,
        value_name = "SECRET",
        env = "ONCILLA_ROOT_SECRET_ACCESS_KEY",
        hide_env_values = true,
        help_heading = "Access"
    )]
    pub root_secret_access_key: Option<String>,

    /// Longest validity of presigned URLs, up to 90d [default: 7d]
    #[arg(
        long,
        value_name = "TIME",
        env = "ONCILLA_PRESIGN_EXPIRY_MAX",
        help_heading = "Access"
    )]
    pub presign_expiry_max: Option<String>,

    /// Whether Signature Version 2 is taken, for clients that know no other (true|false)
    /// [default: false]
    #[arg(
        long,
        value_name = "true|false",
        env = "ONCILLA_SIGV2",
        help_heading = "Access"
    )]
    pub sigv2: Option<String>,

    /// Region that GetBucketLocation reports of buckets made without a LocationConstraint; any is
    /// accepted in signatures [default: auto]
    #[arg(
        long,
        value_name = "NAME",
        env = "ONCILLA_REGION",
        help_heading = "Access"
    )]
    pub region: Option<String>,

    /// Whether /-/metrics answers every client (true) or only those on this machine (false)
    /// [default: false]
    #[arg(
        long,
        value_name = "true|false",
        env = "ONCILLA_METRICS_PUBLIC",
        help_heading = "Access"
    )]
    pub metrics_public: Option<String>,

    /// Whether bucket notifications may name any http or https URL instead of a target of the file.
    /// Then whoever may configure a bucket can make this server send requests to any address that it
    /// reaches [default: false]
    #[arg(
        long,
        value_name = "true|false",
        env = "ONCILLA_NOTIFICATION_URLS",
        help_heading = "Access"
    )]
    pub notification_urls: Option<String>,

    /// Targets of event notifications, in the file only.
    #[arg(skip)]
    pub notification_targets: Vec<TargetTable>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub master: MasterKeyArgs,

    /// Encrypt every new object (SSE-S3), also where nobody asks for it [default: false]
    #[arg(
        long,
        value_name = "true|false",
        env = "ONCILLA_ENCRYPT_AT_REST",
        help_heading = "Encryption"
    )]
    pub encrypt_at_rest: Option<String>,

    /// Which plain HTTP connections may carry clients' encryption keys (SSE-C); HTTPS always may
    /// [default: loopback]
    #[arg(
        long,
        value_name = "never|loopback|always",
        env = "ONCILLA_SSE_C_OVER_HTTP",
        help_heading = "Encryption"
    )]
    pub sse_c_over_http: Option<String>,

    /// Whether aws:kms without a key id takes the key alias/aws/s3, which is made when it is first
    /// needed; otherwise requests have to name a key [default: true]
    #[arg(
        long,
        value_name = "true|false",
        env = "ONCILLA_DEFAULT_KMS_KEY",
        help_heading = "Encryption"
    )]
    pub default_kms_key: Option<String>,

    /// Open client connections at most; more get 503 SlowDown [default: 10000]
    #[arg(
        long,
        value_name = "N",
        env = "ONCILLA_MAX_CONNECTIONS",
        help_heading = "Limits"
    )]
    pub max_connections: Option<String>,

    /// Requests in flight at most; more get 503 SlowDown [default: 4096]
    #[arg(
        long,
        value_name = "N",
        env = "ONCILLA_MAX_IN_FLIGHT",
        help_heading = "Limits"
    )]
    pub max_in_flight: Option<String>,

    /// Memory for the buffers of all requests together [default: 256MiB]
    #[arg(
        long,
        value_name = "SIZE",
        env = "ONCILLA_MEMORY_LIMIT",
        help_heading = "Limits"
    )]
    pub memory_limit: Option<String>,

    /// A transfer in which no byte moves for so long is cut; slow ones are not [default: 60s]
    #[arg(
        long,
        value_name = "TIME",
        env = "ONCILLA_IDLE_TIMEOUT",
        help_heading = "Limits"
    )]
    pub idle_timeout: Option<String>,

    /// How long SIGTERM waits for requests in flight; a second signal ends at once [default: 30s]
    #[arg(
        long,
        value_name = "TIME",
        env = "ONCILLA_SHUTDOWN_GRACE",
        help_heading = "Limits"
    )]
    pub shutdown_grace: Option<String>,

    /// Threads that serve connections [default: one per core]
    #[arg(
        long,
        value_name = "N",
        env = "ONCILLA_THREADS",
        help_heading = "Limits"
    )]
    pub threads: Option<String>,

    /// Access logs of buckets (PutBucketLogging) are delivered after so long [default: 5m]
    #[arg(
        long,
        value_name = "TIME",
        env = "ONCILLA_BUCKET_LOG_INTERVAL",
        help_heading = "Log"
    )]
    pub bucket_log_interval: Option<String>,

    /// Access logs of a bucket that are as long as this are delivered at once [default: 1MiB]
    #[arg(
        long,
        value_name = "SIZE",
        env = "ONCILLA_BUCKET_LOG_SIZE",
        help_heading = "Log"
    )]
    pub bucket_log_size: Option<String>,
    /// How often lifecycle rules are looked at; with days of 24 hours they have something to do once
    /// after each midnight UTC and each change [default: 10m]
    #[arg(
        long,
        value_name = "TIME",
        env = "ONCILLA_LIFECYCLE_INTERVAL",
        help_heading = "Lifecycle"
    )]
    pub lifecycle_interval: Option<String>,

    /// What the lifecycle worker takes for a day, for tests: shorter than 24h, objects expire
    /// early. Answers go on telling real dates [default: 24h]
    #[arg(
        long,
        value_name = "TIME",
        env = "ONCILLA_LIFECYCLE_DAY",
        help_heading = "Lifecycle"
    )]
    pub lifecycle_day: Option<String>,

    /// Directory for the volumes of a storage class, such as GLACIER=/srv/cold; repeat it or separate several
    /// by commas. Small bodies stay in the data directory [default: none]
    #[arg(
        long,
        value_name = "CLASS=DIR",
        env = "ONCILLA_STORAGE_CLASS",
        value_delimiter = ',',
        help_heading = "Lifecycle"
    )]
    pub storage_class: Vec<String>,

    /// How long it takes to restore an object of class GLACIER or DEEP_ARCHIVE [default: 0s]
    #[arg(
        long,
        value_name = "TIME",
        env = "ONCILLA_RESTORE_TIME",
        help_heading = "Lifecycle"
    )]
    pub restore_time: Option<String>,

    /// Form of the log on standard error [default: text]
    #[arg(
        long,
        value_name = "text|json",
        env = "ONCILLA_LOG_FORMAT",
        help_heading = "Log"
    )]
    pub log_format: Option<String>,

    /// error, warn, info, debug or trace, also by target: info,access=off [default: info]
    #[arg(
        long,
        value_name = "LEVEL",
        env = "ONCILLA_LOG_LEVEL",
        help_heading = "Log"
    )]
    pub log_level: Option<String>,
}

const AFTER_HELP: &str = "\
Sizes: 16KiB, 64MiB, 2GB. Times: 500ms, 30s, 12h, 7d.

Examples:
  oncilla server
      Development: http://127.0.0.1:9000, data in ./oncilla-data; the first start prints credentials.
  oncilla server --data /srv/oncilla --listen 0.0.0.0:9000 --domain s3.example.com
      Behind a proxy that speaks TLS.
  oncilla server --listen none --listen-tls 0.0.0.0:443 --tls-cert chain.pem --tls-key key.pem
      HTTPS alone.
  oncilla server --listen-tls 127.0.0.1:9443 --tls self-signed
      HTTPS for development: https://s3.localhost:9443, trust ./oncilla-data/tls/ca.pem.

Exit codes: 0 after an orderly end, 1 when serving failed, 2 for a setting that is not allowed.";

/// Where a setting's text goes.
pub enum Slot<'a> {
    /// A setting with one value.
    One(&'a mut Option<String>),
    /// A setting with a list of values.
    Many(&'a mut Vec<String>),
}

impl ServerArgs {
    /// Every setting that may stand in the configuration file, by its name there.
    pub fn slots(&mut self) -> Vec<(&'static str, Slot<'_>)> {
        use Slot::{Many, One};
        vec![
            ("data", One(&mut self.data)),
            ("durability", One(&mut self.durability)),
            ("inline_threshold", One(&mut self.inline_threshold)),
            ("listen", Many(&mut self.listen)),
            ("listen_tls", Many(&mut self.listen_tls)),
            ("domain", Many(&mut self.domain)),
            ("website_domain", Many(&mut self.website_domain)),
            ("endpoint_url", One(&mut self.endpoint_url)),
            ("tls", One(&mut self.tls)),
            ("tls_cert", One(&mut self.tls_cert)),
            ("tls_key", One(&mut self.tls_key)),
            ("root_access_key_id", One(&mut self.root_access_key_id)),
            (
                "root_secret_access_key",
                One(&mut self.root_secret_access_key),
            ),
            ("presign_expiry_max", One(&mut self.presign_expiry_max)),
            ("sigv2", One(&mut self.sigv2)),
            ("region", One(&mut self.region)),
            ("metrics_public", One(&mut self.metrics_public)),
            ("notification_urls", One(&mut self.notification_urls)),
            ("master_key", One(&mut self.master.master_key)),
            ("master_key_file", One(&mut self.master.master_key_file)),
            (
                "master_key_command",
                One(&mut self.master.master_key_command),
            ),
            ("encrypt_at_rest", One(&mut self.encrypt_at_rest)),
            ("sse_c_over_http", One(&mut self.sse_c_over_http)),
            ("default_kms_key", One(&mut self.default_kms_key)),
            ("max_connections", One(&mut self.max_connections)),
            ("max_in_flight", One(&mut self.max_in_flight)),
            ("memory_limit", One(&mut self.memory_limit)),
            ("idle_timeout", One(&mut self.idle_timeout)),
            ("shutdown_grace", One(&mut self.shutdown_grace)),
            ("threads", One(&mut self.threads)),
            ("bucket_log_interval", One(&mut self.bucket_log_interval)),
            ("bucket_log_size", One(&mut self.bucket_log_size)),
            ("lifecycle_interval", One(&mut self.lifecycle_interval)),
            ("lifecycle_day", One(&mut self.lifecycle_day)),
            ("restore_time", One(&mut self.restore_time)),
            ("storage_class", Many(&mut self.storage_class)),
            ("log_format", One(&mut self.log_format)),
            ("log_level", One(&mut self.log_level)),
        ]
    }
}
