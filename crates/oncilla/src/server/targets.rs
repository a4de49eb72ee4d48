//! The targets of event notifications: tables of the configuration file, since they hold secrets.

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderValue;
use oncilla_server::notifications::{MessageFormat, Target, Targets, is_target_name};

use super::settings::SettingError;
use super::units::{DURATION_ALLOWED, parse_duration};

/// The table of the file that targets are in.
pub const TABLE: &str = "notification";

/// The longest that a target may be given to answer.
const TIMEOUT_LIMIT: Duration = Duration::from_secs(120);

/// One target, as the file has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetTable {
    /// Its name in ARNs.
    pub name: String,
    /// Its settings.
    pub settings: Vec<(String, String)>,
}

/// Reads the table `[notification.targets]`.
///
/// # Errors
/// One line that says what is not allowed.
pub fn tables(value: &toml::Value) -> Result<Vec<TargetTable>, String> {
    let of = |value: &toml::Value, name: &str| {
        let table = value.as_table().cloned();
        table.ok_or_else(|| format!("{name}: a {} is not allowed here", value.type_str()))
    };
    let mut found = Vec::new();
    for (key, value) in of(value, TABLE)? {
        if key != "targets" {
            return Err(format!(
                "{:?} is not a setting (allowed: targets)",
                format!("{TABLE}.{key}")
            ));
        }
        for (name, value) in of(&value, "notification.targets")? {
            let place = format!("notification.targets.{name}");
            let mut settings = Vec::new();
            for (key, value) in of(&value, &place)? {
                let text = value.as_str().ok_or_else(|| {
                    format!("{place}.{key}: a {} is not allowed here", value.type_str())
                })?;
                settings.push((key, text.to_owned()));
            }
            found.push(TargetTable { name, settings });
        }
    }
    Ok(found)
}

/// What the tables mean.
///
/// # Errors
/// The first setting that is not allowed. A secret is never in its text.
pub fn targets(tables: &[TargetTable], urls_allowed: bool) -> Result<Targets, SettingError> {
    let mut targets = Targets {
        urls_allowed,
        ..Targets::default()
    };
    for table in tables {
        let name = &table.name;
        if !is_target_name(name) {
            let allowed = "up to 64 letters, digits, - or _";
            return Err(SettingError::new("notification.targets", name, allowed));
        }
        targets.by_name.insert(name.clone(), target(table)?);
    }
    Ok(targets)
}

fn target(table: &TargetTable) -> Result<Target, SettingError> {
    let place = |key: &str| format!("notification.targets.{}.{key}", table.name);
    let url = table.settings.iter().find(|(key, _)| key == "url");
    let Some((_, url)) = url else {
        return Err(SettingError::from_line(format!("{}: needed", place("url"))));
    };
    let mut target = Target::new(url).map_err(|_| {
        SettingError::new(
            &place("url"),
            url,
            "an http or https URL such as https://example.com/hook",
        )
    })?;
    for (key, text) in &table.settings {
        match key.as_str() {
            "url" => {}
            "authorization" => {
                let value = HeaderValue::from_str(text).map_err(|_| {
                    let line = format!("{}: only visible ASCII is allowed", place(key));
                    SettingError::from_line(line)
                })?;
                target.authorization = Some(secret(value));
            }
            "timeout" => {
                let time =
                    parse_duration(text).filter(|time| !time.is_zero() && *time <= TIMEOUT_LIMIT);
                target.timeout = time.ok_or_else(|| {
                    let allowed = format!("{DURATION_ALLOWED}, up to 2m");
                    SettingError::new(&place(key), text, allowed)
                })?;
            }
            "format" => {
                target.format = match text.as_str() {
                    "s3" => MessageFormat::S3,
                    "tigris" => MessageFormat::Tigris,
                    _ => {
                        return Err(SettingError::new(&place(key), text, "one of s3, tigris"));
                    }
                }
            }
            "ca_bundle" => target.ca_bundle = Some(PathBuf::from(text)),
            _ => {
                return Err(SettingError::from_line(format!(
                    "{:?} is not a setting (allowed: url, authorization, timeout, format, ca_bundle)",
                    place(key)
                )));
            }
        }
    }
    Ok(target)
}

/// Keeps a value out of logs.
fn secret(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Targets, String> {
        let table: toml::Table = text.parse().unwrap();
        let tables = tables(&table[TABLE])?;
        targets(&tables, false).map_err(|error| error.to_string())
    }

    #[test]
    fn targets_are_tables_of_the_file() {
        let found = read(
            "[notification.targets.a]\nurl = \"https://example.com/hook\"\n\
             authorization = \"Bearer s3cret\"\ntimeout = \"3s\"\nformat = \"tigris\"\n\
             ca_bundle = \"/ca.pem\"\n[notification.targets.b-1]\nurl = \"http://127.0.0.1:1\"",
        );
        let found = found.unwrap();
        let a = &found.by_name["a"];
        assert_eq!(
            (a.timeout, a.format),
            (Duration::from_secs(3), MessageFormat::Tigris)
        );
        assert!(!format!("{a:?}").contains("s3cret"));
        assert_eq!(found.by_name["b-1"].timeout, Duration::from_secs(10));
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for (text, expected) in [
            (
                "notification = 1",
                "notification: a integer is not allowed here",
            ),
            (
                "[notification.queues]",
                "\"notification.queues\" is not a setting",
            ),
            (
                "[notification.targets.a]",
                "notification.targets.a.url: needed",
            ),
            (
                "[notification.targets.a]\nurl = \"ftp://a\"",
                "notification.targets.a.url: \"ftp://a\" is not allowed",
            ),
            (
                "[notification.targets.\"a b\"]\nurl = \"http://a\"",
                "notification.targets: \"a b\" is not allowed",
            ),
            (
                "[notification.targets.a]\nurl = \"http://a\"\ncolour = \"red\"",
                "\"notification.targets.a.colour\" is not a setting",
            ),
            (
                "[notification.targets.a]\nurl = \"http://a\"\ntimeout = \"1h\"",
                "notification.targets.a.timeout: \"1h\" is not allowed",
            ),
            (
                "[notification.targets.a]\nurl = \"http://a\"\nformat = \"xml\"",
                "notification.targets.a.format: \"xml\" is not allowed",
            ),
            (
                "[notification.targets.a]\nurl = \"http://a\"\nauthorization = \"s3cret\\n\"",
                "notification.targets.a.authorization: only visible ASCII is allowed",
            ),
        ] {
            let problem = read(text).unwrap_err();
            assert!(problem.starts_with(expected), "{problem}");
            assert!(
                problem.lines().count() == 1 && !problem.contains("s3cret"),
                "{problem}"
            );
        }
    }
}
