//! `oncilla reference` (hidden): docs/commands.md, made from the command line's own definition.

use std::fmt::Write;

use clap::{Arg, Args, Command, CommandFactory};

use crate::admin_client::AdminArgs;
use crate::common_args::CommonArgs;
use crate::failure::Failure;
use crate::output;

const OF_S3: &str = "Flags of all S3 commands";
const OF_ADMINISTRATION: &str = "Flags of all administrative commands";

/// Flags that all commands of a kind have, as rows of a table: they are told once.
struct SharedFlags {
    of_s3: Vec<String>,
    /// Those of S3 among them.
    of_administration: Vec<String>,
}

/// Runs the command.
pub fn run() -> Result<(), Failure> {
    output::bytes(markdown(crate::Cli::command()).as_bytes())
}

/// Every command with its arguments as one Markdown page.
fn markdown(mut root: Command) -> String {
    root.build();
    let mut page = String::from(
        "# Commands\n\nMade by `oncilla reference` from the program itself; do not edit by hand.\n",
    );
    let _ = write!(
        page,
        "\nExit status: 0 done, 1 failed, 2 credentials or usage, 3 not found, 4 slow down, 5 network, 130 interrupted.\n"
    );
    page.push_str(
        "\nEvery command has `-h` (`--help` tells more) and `-V` or `--version` besides what is told of it.\n",
    );
    let shared = SharedFlags::new();
    shared.sections(&mut page);
    for command in root
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        section(&mut page, command, "oncilla", 2, &shared);
    }
    page
}

impl SharedFlags {
    fn new() -> Self {
        let mut s3 = CommonArgs::augment_args(Command::new("s3"));
        let mut administration = AdminArgs::augment_args(Command::new("administration"));
        s3.build();
        administration.build();
        Self {
            of_s3: rows(&s3),
            of_administration: rows(&administration),
        }
    }

    fn sections(&self, page: &mut String) {
        let _ = write!(page, "\n## {OF_S3}\n");
        table(page, &self.of_s3);
        let more = self.of_administration.iter();
        let more = more.filter(|row| !self.of_s3.contains(row));
        let more: Vec<String> = more.cloned().collect();
        let _ = write!(page, "\n## {OF_ADMINISTRATION}\n");
        table(page, &more);
        let _ = write!(page, "\nAlso the {}.\n", link(OF_S3));
    }

    /// The kind of a command with these rows, by the heading of its flags, and the flags.
    fn of(&self, rows: &[String]) -> Option<(&'static str, &[String])> {
        let kinds = [
            (OF_ADMINISTRATION, &self.of_administration),
            (OF_S3, &self.of_s3),
        ];
        let has_all = |flags: &[String]| flags.iter().all(|flag| rows.contains(flag));
        let mut kinds = kinds.into_iter();
        let kind = kinds.find(|(_, flags)| has_all(flags))?;
        Some((kind.0, kind.1.as_slice()))
    }
}

/// A link to a section, as GitHub makes its name.
fn link(heading: &str) -> String {
    let anchor = heading.to_lowercase().replace(' ', "-");
    format!("[{}](#{anchor})", heading.replacen("Flags", "flags", 1))
}

fn section(page: &mut String, command: &Command, parent: &str, level: usize, shared: &SharedFlags) {
    if command.get_name() == "help" {
        return;
    }
    let path = format!("{parent} {}", command.get_name());
    let about = command
        .get_long_about()
        .or(command.get_about())
        .map(ToString::to_string)
        .unwrap_or_default();
    let _ = write!(
        page,
        "\n{} `{path}`\n\n{}\n",
        "#".repeat(level),
        about.trim()
    );
    let has_subcommands = command.get_subcommands().next().is_some();
    if !has_subcommands {
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage:").trim();
        let _ = write!(page, "\n```text\n{usage}\n```\n");
        arguments(page, command, shared);
    }
    for subcommand in command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        section(page, subcommand, &path, level + 1, shared);
    }
}

/// What a command has of its own, and where the rest is told.
fn arguments(page: &mut String, command: &Command, shared: &SharedFlags) {
    let mut own = rows(command);
    let kind = shared.of(&own);
    if let Some((_, flags)) = kind {
        own.retain(|row| !flags.contains(row));
    }
    table(page, &own);
    if let Some((heading, _)) = kind {
        let _ = write!(page, "\nAlso the {}.\n", link(heading));
    }
}

fn table(page: &mut String, rows: &[String]) {
    if !rows.is_empty() {
        page.push_str("\n| Argument | Meaning |\n|---|---|\n");
        page.push_str(&rows.concat());
    }
}

/// The arguments of a command but those that every command has.
fn rows(command: &Command) -> Vec<String> {
    let is_shown = |argument: &&Arg| {
        let id = argument.get_id();
        !argument.is_hide_set() && id != "help" && id != "version"
    };
    let mut shown: Vec<&Arg> = command.get_arguments().filter(is_shown).collect();
    // As in the help, those without a name first.
    shown.sort_by_key(|argument| !argument.is_positional());
    shown.into_iter().map(row).collect()
}

fn row(argument: &Arg) -> String {
    let help = argument
        .get_long_help()
        .or(argument.get_help())
        .map(ToString::to_string)
        .unwrap_or_default();
    let help = help
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|");
    let default = default_text(argument);
    let name = name(argument).replace('|', "\\|");
    format!("| `{name}` | {help}{default} |\n")
}

fn name(argument: &Arg) -> String {
    let value = argument
        .get_value_names()
        .map(|names| {
            names
                .iter()
                .map(|name| name.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        })
        .unwrap_or_default();
    let takes_value = argument.get_action().takes_values();
    match (argument.get_short(), argument.get_long()) {
        (_, None) => value,
        (short, Some(long)) => {
            let short = short
                .map(|letter| format!("-{letter}, "))
                .unwrap_or_default();
            let value = if takes_value {
                format!(" {value}")
            } else {
                String::new()
            };
            format!("{short}--{long}{value}")
        }
    }
}

fn default_text(argument: &Arg) -> String {
    let defaults = argument.get_default_values();
    if defaults.is_empty() || !argument.get_action().takes_values() {
        return String::new();
    }
    let values: Vec<_> = defaults
        .iter()
        .map(|value| value.to_string_lossy())
        .collect();
    format!(" (default: `{}`)", values.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_every_command_once() {
        let page = markdown(crate::Cli::command());
        for command in ["cp", "mv", "ls", "sync", "presign", "completions"] {
            assert_eq!(
                page.matches(&format!("## `oncilla {command}`\n")).count(),
                1,
                "{command}"
            );
        }
        assert!(!page.contains("`oncilla reference`\n"));
    }

    #[test]
    fn what_a_command_has_of_its_own_comes_first() {
        let page = markdown(crate::Cli::command());
        for (command, own) in [
            ("lifecycle", "--expire-days"),
            ("cors", "--allow-origin"),
            ("encryption", "--sse"),
            ("website", "--index"),
            ("logging", "--target"),
            ("acl", "--canned"),
            ("ownership", "--object-ownership"),
            ("public-access", "--all"),
            ("object-lock", "--mode"),
        ] {
            let (_, section) = page
                .split_once(&format!("### `oncilla bucket {command}`\n"))
                .expect(command);
            let section = section.split("\n## ").next().unwrap();
            let section = section.split("\n### ").next().unwrap();
            let place = |text: &str| section.find(text).expect(command);
            assert!(
                place("| `S3_URL") < place(&format!("| `{own}")),
                "{command}"
            );
            let link = "\nAlso the [flags of all S3 commands](#flags-of-all-s3-commands).\n";
            assert!(section.ends_with(link), "{section}");
        }
    }

    #[test]
    fn what_all_commands_of_a_kind_have_is_told_once() {
        let page = markdown(crate::Cli::command());
        for (row, heading) in [
            ("| `--endpoint-url URL` | S3 endpoint", OF_S3),
            ("| `--concurrency N` | Requests at once", OF_S3),
            ("| `--no-sign-request` |", OF_S3),
        ] {
            assert_eq!(page.matches(row).count(), 1, "{row}");
            let (before, _) = page.split_once(row).unwrap();
            let last = before.rsplit_once("\n## ").unwrap().1;
            assert_eq!(last.lines().next(), Some(heading), "{row}");
        }
        let (_, of_administration) = page
            .split_once(&format!("\n## {OF_ADMINISTRATION}\n"))
            .unwrap();
        let (of_administration, _) = of_administration.split_once("\n## ").unwrap();
        assert!(of_administration.contains("| `--data DIR` |"));
        assert!(!of_administration.contains("--endpoint-url"));
        let (_, list) = page.split_once("### `oncilla key list`\n").unwrap();
        let (list, _) = list.split_once("\n### ").unwrap();
        assert!(!list.contains("--data"), "{list}");
        assert!(list.ends_with(&format!("\nAlso the {}.\n", link(OF_ADMINISTRATION))));
    }

    /// clap takes `{n}` for a line break.
    #[test]
    fn no_help_is_broken_where_it_is_not_meant_to() {
        fn check(command: &Command) {
            let helps = command.get_arguments().flat_map(|argument| {
                let helps = [argument.get_help(), argument.get_long_help()];
                helps.into_iter().flatten()
            });
            let abouts = [command.get_about(), command.get_long_about()];
            for text in helps.chain(abouts.into_iter().flatten()) {
                assert!(!text.to_string().contains("{n}"), "{text}");
            }
            command.get_subcommands().for_each(check);
        }
        let mut root = crate::Cli::command();
        check(&root);
        root.build();
        let bench = root.find_subcommand_mut("bench").unwrap();
        for help in [bench.render_help(), bench.render_long_help()] {
            assert!(help.to_string().contains("load/{n:08}"), "{help}");
        }
    }
}
