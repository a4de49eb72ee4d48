//! `oncilla key`: access keys and what they may do.

use std::io::BufRead;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use oncilla_iam::{BucketPattern, Grant};

use super::presign::parse_duration;
use crate::admin_client::{AdminArgs, Door, ImportedSecret, Key, NewKey, parse_role};
use crate::configurations::{env_file_lines, export_lines, text_lines};
use crate::failure::Failure;
use crate::output::{self, short_time};

/// Manage access keys. With --json, list prints one line of JSON per key and the others print one
/// document. A secret is shown once, by the command that made it.
#[derive(Args, Clone, Debug)]
pub struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Subcommand, Clone, Debug)]
enum KeyCommand {
    /// Make a key and print it with its secret
    Create {
        /// What to print; --json is the whole key
        #[arg(long, value_enum, default_value_t)]
        format: SecretFormat,
        #[command(flatten)]
        new: NewKeyArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// List the keys of an account
    List {
        /// Account, by name or id [default: the root account]
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show a key without its secret
    Show(OneKey),
    /// Give a key a new secret and print it; the old one stops working at once
    Rotate {
        /// What to print; --json is the whole key
        #[arg(long, value_enum, default_value_t)]
        format: SecretFormat,
        #[command(flatten)]
        one: OneKey,
    },
    /// Make a key stop working
    Disable(OneKey),
    /// Undo disable
    Enable(OneKey),
    /// Remove a key
    Delete(OneKey),
    /// Take a key over from elsewhere, with its id and secret. The secret is read from
    /// ONCILLA_IMPORT_SECRET or, without it, as one line of standard input
    Import {
        /// Access key id
        id: String,
        /// The secret; other users of this machine can see it in the process list
        #[arg(
            long,
            value_name = "SECRET",
            env = "ONCILLA_IMPORT_SECRET",
            hide_env_values = true
        )]
        secret: Option<String>,
        #[command(flatten)]
        new: NewKeyArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Change what a key may do: roles given replace those on the same bucket, others stay
    Grant {
        /// Access key id
        id: String,
        /// A role on a bucket, or on all with *: BUCKET=Admin, BUCKET=Editor or BUCKET=ReadOnly
        #[arg(value_name = "BUCKET=ROLE")]
        grants: Vec<GrantArg>,
        /// Take the role on a bucket away; repeatable
        #[arg(long, value_name = "BUCKET")]
        revoke: Vec<String>,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// How a key is printed with its secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum SecretFormat {
    /// NAME: value lines
    #[default]
    Text,
    /// export NAME=value lines, for a shell
    Env,
    /// NAME=value lines, for an environment file (docker run --env-file, systemd's EnvironmentFile)
    EnvNoExport,
}

#[derive(Args, Clone, Debug)]
struct OneKey {
    /// Access key id
    id: String,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Args, Clone, Debug)]
struct NewKeyArgs {
    /// Account that the key acts for, by name or id [default: the root account]
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,

    /// A role on a bucket, or on all with *: BUCKET=Admin, BUCKET=Editor or BUCKET=ReadOnly;
    /// repeatable
    #[arg(long = "grant", value_name = "BUCKET=ROLE", required = true)]
    grants: Vec<GrantArg>,

    /// What the key is for
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,

    /// How long it works: seconds, or 30m, 12h, 7d [default: for ever]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires: Option<std::time::Duration>,
}

/// `BUCKET=ROLE`
#[derive(Clone, Debug, PartialEq)]
struct GrantArg(Grant);

impl FromStr for GrantArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (bucket, role) = text
            .rsplit_once('=')
            .ok_or("a grant is BUCKET=ROLE, such as photos=Editor")?;
        if bucket.is_empty() {
            return Err("a grant needs a bucket, or * for all".to_owned());
        }
        Ok(Self(Grant::new(bucket, parse_role(role)?)))
    }
}

impl KeyArgs {
    /// The flags that all subcommands have.
    pub fn admin(&self) -> &AdminArgs {
        match &self.command {
            KeyCommand::Create { admin, .. }
            | KeyCommand::List { admin, .. }
            | KeyCommand::Import { admin, .. }
            | KeyCommand::Grant { admin, .. } => admin,
            KeyCommand::Show(one)
            | KeyCommand::Rotate { one, .. }
            | KeyCommand::Disable(one)
            | KeyCommand::Enable(one)
            | KeyCommand::Delete(one) => &one.admin,
        }
    }
}

/// Runs the command.
pub async fn run(args: KeyArgs) -> Result<(), Failure> {
    let json = args.admin().common.json;
    let door = Door::open(args.admin()).await?;
    let outcome = run_command(&door, args.command, json).await;
    door.close().await;
    outcome
}

async fn run_command(door: &Door, command: KeyCommand, json: bool) -> Result<(), Failure> {
    let format = match &command {
        KeyCommand::Create { format, .. } | KeyCommand::Rotate { format, .. } => *format,
        _ => SecretFormat::default(),
    };
    let is_shown = matches!(command, KeyCommand::Show(_));
    let key = match command {
        KeyCommand::List { account, .. } => {
            for key in door.keys(account.as_deref()).await? {
                if json {
                    output::json_line(&key)?;
                } else {
                    output::line(&row(&key))?;
                }
            }
            return Ok(());
        }
        KeyCommand::Delete(one) => {
            door.delete_key(&one.id).await?;
            if json {
                let removed = serde_json::json!({ "key": one.id, "removed": true });
                return output::json_document(&removed);
            }
            return output::line(&format!("Removed {}", one.id));
        }
        KeyCommand::Create { new, .. } => door.create_key(new_key(new, None)?).await?,
        KeyCommand::Import {
            id, secret, new, ..
        } => {
            let secret = match secret {
                Some(secret) => secret,
                None => read_secret()?,
            };
            let mut key = door
                .create_key(new_key(new, Some(ImportedSecret { id, secret }))?)
                .await?;
            // Whoever imports a secret has it already.
            key.secret = None;
            key
        }
        KeyCommand::Show(one) => door.key(&one.id).await?,
        KeyCommand::Rotate { one, .. } => door.rotate_key(&one.id).await?,
        KeyCommand::Disable(one) => door.set_key_disabled(&one.id, true).await?,
        KeyCommand::Enable(one) => door.set_key_disabled(&one.id, false).await?,
        KeyCommand::Grant {
            id, grants, revoke, ..
        } => {
            if grants.is_empty() && revoke.is_empty() {
                return Err(Failure::usage(
                    "nothing to change: give BUCKET=ROLE or --revoke",
                ));
            }
            let present = door.key(&id).await?.grants;
            door.set_grants(&id, changed_grants(present, grants, &revoke))
                .await?
        }
    };
    if json {
        return output::json_document(&key);
    }
    if let Some(secret) = &key.secret {
        let pairs = [
            ("AWS_ACCESS_KEY_ID", key.id.as_str()),
            ("AWS_SECRET_ACCESS_KEY", secret.as_str()),
        ];
        let text = match format {
            SecretFormat::Text => text_lines(&pairs),
            SecretFormat::Env => export_lines(&pairs),
            SecretFormat::EnvNoExport => env_file_lines(&pairs),
        };
        return output::bytes(text.as_bytes());
    }
    output::line(&row(&key))?;
    if !is_shown {
        return Ok(());
    }
    for line in permissions(&key) {
        output::line(&line)?;
    }
    Ok(())
}

/// What the key may do beside its grants, a line for each source.
fn permissions(key: &Key) -> Vec<String> {
    let mut lines: Vec<String> = key
        .policies
        .iter()
        .map(|arn| format!("  policy {arn}"))
        .collect();
    if let Some(user) = &key.user {
        lines.push(format!("  user {}", user.arn));
        let policies = user.policies.iter().map(|arn| format!("    policy {arn}"));
        lines.extend(policies);
        let inline = user.inline_policies.iter();
        lines.extend(inline.map(|name| format!("    inline policy {name}")));
        lines.extend(user.groups.iter().map(|name| format!("    group {name}")));
    }
    lines
}

fn new_key(args: NewKeyArgs, import: Option<ImportedSecret>) -> Result<NewKey, Failure> {
    let expires_ms = match args.expires {
        None => None,
        Some(duration) => {
            let now_ms = u64::try_from(oncilla_wire::time::now_ms()).unwrap_or_default();
            let lasts_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            let end = now_ms.checked_add(lasts_ms);
            Some(end.ok_or_else(|| Failure::usage("--expires is too far away"))?)
        }
    };
    Ok(NewKey {
        account: args.account,
        description: args.description,
        grants: changed_grants(Vec::new(), args.grants, &[]),
        expires_ms,
        import,
    })
}

/// The grants after a change: one per bucket.
fn changed_grants(present: Vec<Grant>, given: Vec<GrantArg>, revoked: &[String]) -> Vec<Grant> {
    let mut grants = present;
    let gone: Vec<BucketPattern> = revoked
        .iter()
        .map(|bucket| BucketPattern::from(bucket.as_str()))
        .collect();
    grants.retain(|grant| !gone.contains(&grant.bucket));
    for GrantArg(grant) in given {
        grants.retain(|other| other.bucket != grant.bucket);
        grants.push(grant);
    }
    grants
}

fn read_secret() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| Failure::general(format!("cannot read the secret: {error}")))?;
    let secret = line.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(Failure::usage(
            "the secret is missing: set ONCILLA_IMPORT_SECRET or pipe it in",
        ));
    }
    Ok(secret.to_owned())
}

fn row(key: &Key) -> String {
    let created = short_time(i64::try_from(key.created_ms).unwrap_or(i64::MAX));
    let state = if key.disabled { "disabled" } else { "enabled" };
    let mut words = vec![format!("{created} {state:<8} {}", key.id)];
    if !key.grants.is_empty() {
        let grant = |grant: &Grant| format!("{}={:?}", grant.bucket.as_str(), grant.role);
        let grants: Vec<String> = key.grants.iter().map(grant).collect();
        words.push(grants.join(","));
    }
    match (&key.user, &key.user_id) {
        (Some(user), _) => words.push(format!("user {}", user.name)),
        (None, Some(id)) => words.push(format!("user {id}")),
        (None, None) => {}
    }
    if !key.policies.is_empty() {
        let name = |arn: &String| arn.rsplit('/').next().unwrap_or_default().to_owned();
        let names: Vec<String> = key.policies.iter().map(name).collect();
        words.push(format!("policies {}", names.join(",")));
    }
    if let Some(expires_ms) = key.expires_ms.and_then(|ms| i64::try_from(ms).ok()) {
        words.push(format!("until {}", short_time(expires_ms)));
    }
    if !key.description.is_empty() {
        words.push(key.description.clone());
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use oncilla_iam::Role;

    fn grant(text: &str) -> GrantArg {
        text.parse().unwrap()
    }

    #[test]
    fn a_row_names_the_user_and_the_policies() {
        let key: Key = serde_json::from_value(serde_json::json!({
            "id": "tid_a", "account_id": "x", "description": "", "grants": [], "created_ms": 0,
            "disabled": false, "user_id": "AIDA1", "policies": ["arn:aws:iam::x:policy/team/read"],
            "user": {
                "name": "ada", "arn": "arn:aws:iam::x:user/ada", "groups": ["readers"],
                "policies": ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"],
                "inline_policies": ["own"],
            },
        }))
        .unwrap();
        let text = row(&key);
        assert!(text.ends_with("tid_a user ada policies read"), "{text}");
        let expected = [
            "  policy arn:aws:iam::x:policy/team/read",
            "  user arn:aws:iam::x:user/ada",
            "    policy arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
            "    inline policy own",
            "    group readers",
        ];
        assert_eq!(permissions(&key), expected);
    }

    #[test]
    fn grants_are_read() {
        assert_eq!(grant("photos=Editor").0, Grant::new("photos", Role::Editor));
        assert_eq!(grant("*=read-only").0, Grant::new("*", Role::ReadOnly));
        assert_eq!(grant("b=NamespaceAdmin").0, Grant::new("b", Role::Admin));
        for bad in ["", "photos", "=Editor", "photos=", "photos=owner"] {
            assert!(bad.parse::<GrantArg>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_grant_replaces_that_on_the_same_bucket() {
        let present = vec![
            grant("a=Editor").0,
            grant("b=Editor").0,
            grant("*=ReadOnly").0,
        ];
        let changed = changed_grants(
            present,
            vec![grant("a=Admin"), grant("c=Editor")],
            &["b".to_owned()],
        );
        let expected = ["*=ReadOnly", "a=Admin", "c=Editor"].map(|text| grant(text).0);
        assert_eq!(changed, expected);
    }
}
