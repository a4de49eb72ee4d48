//! The configuration file: TOML whose keys are the settings' names.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::options::{ServerArgs, Slot};
use super::settings::SettingError;
use super::targets;

/// A configuration is a page of text; what is larger was named by mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Fills what neither flags nor environment have set from the file at `path`.
///
/// # Errors
/// When the file cannot be read, is not TOML, or has a key that is not a setting.
pub fn overlay(args: &mut ServerArgs, path: &Path) -> Result<(), SettingError> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| {
            let path = path.display();
            SettingError::from_line(format!(
                "cannot read the configuration file {path}: {error}"
            ))
        })?;
    overlay_text(args, &text)
        .map_err(|problem| SettingError::from_line(format!("{} in {}", problem, path.display())))
}

fn overlay_text(args: &mut ServerArgs, text: &str) -> Result<(), String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error
            .span()
            .map_or(1, |span| text[..span.start].lines().count().max(1));
        format!(
            "config: not TOML: {} (line {line})",
            error.message().replace('\n', " ")
        )
    })?;
    for (key, value) in table {
        if key == targets::TABLE {
            args.notification_targets = targets::tables(&value)?;
            continue;
        }
        let mut slots = args.slots();
        let Some((name, slot)) = slots.iter_mut().find(|(name, _)| *name == key) else {
            let known: Vec<_> = slots.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "{key:?} is not a setting (allowed: {})",
                known.join(", ")
            ));
        };
        let values = texts(&value)
            .ok_or_else(|| format!("{name}: a {} is not allowed here", value.type_str()))?;
        match slot {
            Slot::One(place) if place.as_deref().unwrap_or_default().is_empty() => {
                let [value] = <[String; 1]>::try_from(values).map_err(|values| {
                    format!("{name}: one value is allowed, not {}", values.len())
                })?;
                **place = Some(value);
            }
            Slot::Many(place) if place.iter().all(String::is_empty) => **place = values,
            Slot::One(_) | Slot::Many(_) => {}
        }
    }
    Ok(())
}

/// A value as the flags would have it; `None` for tables and dates.
fn texts(value: &toml::Value) -> Option<Vec<String>> {
    Some(match value {
        toml::Value::String(text) => vec![text.clone()],
        toml::Value::Integer(number) => vec![number.to_string()],
        toml::Value::Boolean(flag) => vec![flag.to_string()],
        toml::Value::Array(values) => {
            let values: Option<Vec<Vec<String>>> = values.iter().map(texts).collect();
            values?.concat()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_fills_what_is_not_set() {
        let mut args = ServerArgs {
            region: Some("flag".to_owned()),
            ..ServerArgs::default()
        };
        let text = "region = \"file\"\ndata = \"/srv\"\nmax_connections = 7\ndomain = [\"a.b\", \"c.d\"]\nlisten = \"[::]:1\"\nmetrics_public = true";
        overlay_text(&mut args, text).unwrap();
        assert_eq!(args.region.as_deref(), Some("flag"));
        assert_eq!(args.data.as_deref(), Some("/srv"));
        assert_eq!(args.max_connections.as_deref(), Some("7"));
        assert_eq!(args.metrics_public.as_deref(), Some("true"));
        assert_eq!(args.domain, ["a.b", "c.d"]);
        assert_eq!(args.listen, ["[::]:1"]);
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for (text, expected) in [
            ("colour = 1", "\"colour\" is not a setting (allowed: data, "),
            ("[data]\na = 1", "data: a table is not allowed"),
            ("data = [\"a\", \"b\"]", "data: one value is allowed, not 2"),
            ("a =", "config: not TOML: "),
        ] {
            let problem = overlay_text(&mut ServerArgs::default(), text).unwrap_err();
            assert!(problem.starts_with(expected), "{problem}");
            assert_eq!(problem.lines().count(), 1, "{problem}");
        }
    }
}
