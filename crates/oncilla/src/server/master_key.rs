//! The settings of the master key: which one it is, and how it is read.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use oncilla_keys::{MasterKey, MasterKeySource};

/// A key is a line; a command that says more is not one that prints a key.
const COMMAND_OUTPUT_BYTES_MAX: u64 = 4096;

/// The file in the data directory that is made where nothing else is set.
pub const FILE_NAME: &str = "master.key";

/// Where the master key comes from.
#[derive(Args, Clone, Default)]
pub struct MasterKeyArgs {
    /// Master key of the encryption keys: 64 hexadecimal digits or 32 bytes in base64. Other users of
    /// the machine can see flags: prefer the environment
    #[arg(
        long,
        value_name = "KEY",
        env = "ONCILLA_MASTER_KEY",
        hide_env_values = true,
        help_heading = "Encryption"
    )]
    pub master_key: Option<String>,

    /// File with the master key [default: DATA/master.key, made when it is first needed]
    #[arg(
        long,
        value_name = "FILE",
        env = "ONCILLA_MASTER_KEY_FILE",
        help_heading = "Encryption"
    )]
    pub master_key_file: Option<String>,

    /// Command that prints the master key, run by the shell at the start [default: none]
    #[arg(
        long,
        value_name = "COMMAND",
        env = "ONCILLA_MASTER_KEY_COMMAND",
        help_heading = "Encryption"
    )]
    pub master_key_command: Option<String>,
}

impl std::fmt::Debug for MasterKeyArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MasterKeyArgs").finish_non_exhaustive()
    }
}

impl MasterKeyArgs {
    /// As [`MasterKeyArgs::source`], for tools: they never make a key, because the server's may be
    /// in a setting that they do not know.
    ///
    /// # Errors
    /// As [`MasterKeyArgs::source`].
    pub fn source_of_tool(&self, data: &Path) -> Result<MasterKeySource, String> {
        Ok(match self.source(data)? {
            MasterKeySource::File(path) => MasterKeySource::ExistingFile(path),
            given => given,
        })
    }

    /// Whether a key was named, in whatever way.
    pub fn is_given(&self) -> bool {
        let all = [
            &self.master_key,
            &self.master_key_file,
            &self.master_key_command,
        ];
        all.into_iter()
            .any(|value| value.as_ref().is_some_and(|text| !text.is_empty()))
    }

    /// Reads the key, or says where it will be.
    ///
    /// # Errors
    /// One line that names the setting and no part of the key.
    pub fn source(&self, data: &Path) -> Result<MasterKeySource, String> {
        let given = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
        let (key, file) = (given(&self.master_key), given(&self.master_key_file));
        match (key, file, given(&self.master_key_command)) {
            (None, None, None) => Ok(MasterKeySource::File(data.join(FILE_NAME))),
            (Some(key), None, None) => parse("master-key", key),
            (None, Some(file), None) => read_file(&PathBuf::from(file)).map(MasterKeySource::Given),
            (None, None, Some(command)) => parse("master-key-command", output_of(&command)?),
            _ => Err(
                "master-key: only one of master-key, master-key-file and master-key-command is \
                 allowed"
                    .to_owned(),
            ),
        }
    }
}

/// The key file of a data directory, for tools that have nothing to do with keys.
pub fn kept_in(data: &Path) -> MasterKeySource {
    MasterKeySource::ExistingFile(data.join(FILE_NAME))
}

/// Reads the key in a file.
///
/// # Errors
/// One line.
pub fn read_file(path: &Path) -> Result<MasterKey, String> {
    let keys = MasterKey::read_file(path).map_err(|error| error.to_string())?;
    let first = keys.into_iter().next();
    first.ok_or_else(|| format!("{}: no key", path.display()))
}

fn parse(setting: &str, text: String) -> Result<MasterKeySource, String> {
    match MasterKey::try_from(text) {
        Ok(key) => Ok(MasterKeySource::Given(key)),
        Err(error) => Err(format!("{setting}: {error}")),
    }
}

fn output_of(command: &str) -> Result<String, String> {
    let failed = |error: &dyn std::fmt::Display| format!("master-key-command: {error}");
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error))?;
    let mut text = String::new();
    if let Some(output) = child.stdout.take() {
        let read = output
            .take(COMMAND_OUTPUT_BYTES_MAX)
            .read_to_string(&mut text);
        read.map_err(|error| failed(&error))?;
    }
    let status = child.wait().map_err(|error| failed(&error))?;
    match status.success() {
        true => Ok(text),
        false => Err(failed(&format!("it ended with {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(key: &str, file: &str, command: &str) -> MasterKeyArgs {
        MasterKeyArgs {
            master_key: Some(key.to_owned()),
            master_key_file: Some(file.to_owned()),
            master_key_command: Some(command.to_owned()),
        }
    }

    #[test]
    fn a_key_comes_from_one_place() {
        let directory = tempfile::tempdir().unwrap();
        let key = "5a".repeat(32);
        let file = directory.path().join("key");
        std::fs::write(&file, &key).unwrap();
        let file = file.display().to_string();
        let source = |args: MasterKeyArgs| args.source(directory.path());
        for args in [
            args(&key, "", ""),
            args("", &file, ""),
            args("", "", &format!("echo {key}")),
        ] {
            assert!(matches!(source(args), Ok(MasterKeySource::Given(_))));
        }
        let made = source(args("", "", ""));
        assert!(matches!(made, Ok(MasterKeySource::File(path)) if path.ends_with(FILE_NAME)));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_key() {
        let wrong = "5a".repeat(31);
        for (args, setting) in [
            (args(&wrong, "", ""), "master-key: "),
            (args(&wrong, "/does/not/exist", ""), "master-key: only one"),
            (
                args("", "/does/not/exist", ""),
                "master key file /does/not/exist",
            ),
            (args("", "", "false"), "master-key-command: it ended with"),
            (
                args("", "", &format!("echo {wrong}")),
                "master-key-command: ",
            ),
        ] {
            let line = args.source(Path::new("/d")).unwrap_err();
            assert!(line.starts_with(setting), "{line}");
            assert!(
                !line.contains("5a5a") && line.lines().count() == 1,
                "{line}"
            );
        }
    }
}
