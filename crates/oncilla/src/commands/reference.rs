//! `oncilla reference` (hidden): docs/commands.md, made from the command line's own definition.

use std::fmt::Write;

use clap::{Arg, Command, CommandFactory};

use crate::failure::Failure;
use crate::output;

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
    for command in root
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        section(&mut page, command, "oncilla", 2);
    }
    page
}

fn section(page: &mut String, command: &Command, parent: &str, level: usize) {
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
        arguments(page, command);
    }
    for subcommand in command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        section(page, subcommand, &path, level + 1);
    }
}

fn arguments(page: &mut String, command: &Command) {
    let mut shown: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && argument.get_id() != "help")
        .collect();
    // As in the help, those without a name first.
    shown.sort_by_key(|argument| !argument.is_positional());
    if shown.is_empty() {
        return;
    }
    page.push_str("\n| Argument | Meaning |\n|---|---|\n");
    for argument in shown {
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
        let _ = writeln!(page, "| `{name}` | {help}{default} |");
    }
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
            let place = |text: &str| section.find(&format!("| `{text}")).expect(command);
            assert!(place("S3_URL") < place(own), "{command}");
            assert!(place(own) < place("--endpoint-url"), "{command}");
        }
    }
}
