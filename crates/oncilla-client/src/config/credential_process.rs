//! Credentials that a command prints: `credential_process` of a profile.
//!
//! As with the AWS CLI the command is split into words as by a shell, and then run without one.
//! Source: AWS SDKs and Tools Reference Guide, "Process credential provider".

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use oncilla_wire::sigv4::Credentials;
use serde_json::Value;

/// Long enough for a person to confirm a login on another device.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Real documents have at most a few KiB, with a long session token.
const OUTPUT_BYTES_MAX: u64 = 64 * 1024;

/// How often a command that has said everything is asked whether it has ended.
const END_POLL: Duration = Duration::from_millis(5);

/// What the command prints, or what is wrong with the command. They are asked for once: a transfer
/// that outlives them is refused with `ExpiredToken`.
pub fn credentials(command: &str) -> Result<Credentials, String> {
    let output = output_of(&split_words(command)?, TIME_MAX)?;
    parse(&output)
}

/// The words of a command: white space separates, quotes and backslashes keep characters as they are.
fn split_words(command: &str) -> Result<Vec<String>, String> {
    const UNFINISHED: &str = "ends within quotes or with a backslash";
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                // Quotes with nothing between them are a word too.
                word.get_or_insert_default();
            }
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            (None | Some('"'), '\\') => {
                let escaped = characters.next().ok_or(UNFINISHED)?;
                let word = word.get_or_insert_default();
                // Between quotes most backslashes mean themselves.
                if quote.is_some() && !matches!(escaped, '"' | '\\') {
                    word.push('\\');
                }
                word.push(escaped);
            }
            _ => word.get_or_insert_default().push(character),
        }
    }
    if quote.is_some() {
        return Err(UNFINISHED.to_owned());
    }
    words.extend(word);
    Ok(words)
}

/// What the command prints before it ends well. What it says on stderr the user sees.
fn output_of(words: &[String], time_max: Duration) -> Result<Vec<u8>, String> {
    let (program, arguments) = words.split_first().ok_or("is empty")?;
    let mut child = Command::new(program)
        .args(arguments)
        // Ours may be what is to be uploaded.
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| format!("cannot be run: {program}: {error}"))?;
    let outcome = read_until_end(&mut child, time_max);
    if outcome.is_err() {
        // It may still run. If it does not, there is nothing to end.
        let _ = child.kill();
        let _ = child.wait();
    }
    outcome
}

fn read_until_end(child: &mut Child, time_max: Duration) -> Result<Vec<u8>, String> {
    let deadline = Instant::now() + time_max;
    let too_slow = || format!("did not end within {} s", time_max.as_secs());
    let stdout = child.stdout.take().ok_or("has no output")?;
    let (sender, receiver) = mpsc::channel();
    // A read of a pipe cannot be given up, so it waits in a thread of its own.
    std::thread::spawn(move || {
        let mut output = Vec::new();
        let read = stdout.take(OUTPUT_BYTES_MAX + 1).read_to_end(&mut output);
        // Whoever lost patience does not listen any more.
        let _ = sender.send(read.map(|_| output));
    });
    let output = receiver
        .recv_timeout(time_max)
        .map_err(|_| too_slow())?
        .map_err(|error| format!("cannot be read: {error}"))?;
    if output.len() as u64 > OUTPUT_BYTES_MAX {
        return Err(format!("printed more than {OUTPUT_BYTES_MAX} bytes"));
    }
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(output),
            Ok(Some(status)) => return Err(format!("failed ({status})")),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(END_POLL),
            Ok(None) => return Err(too_slow()),
            Err(error) => return Err(format!("cannot be waited for: {error}")),
        }
    }
}

/// Makes sense of what was printed. It is secret, so no message repeats any of it.
fn parse(output: &[u8]) -> Result<Credentials, String> {
    let document: Value =
        serde_json::from_slice(output).map_err(|_| "did not print one JSON document")?;
    if document["Version"] != 1 {
        return Err("did not print Version 1, the only one there is".to_owned());
    }
    let text = |name: &str| {
        let text = document[name].as_str().filter(|text| !text.is_empty());
        text.map(str::to_owned)
    };
    Ok(Credentials {
        access_key_id: text("AccessKeyId").ok_or("did not print an AccessKeyId")?,
        secret_access_key: text("SecretAccessKey").ok_or("did not print a SecretAccessKey")?,
        session_token: text("SessionToken"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn output_of_shell(script: &str, time_max: Duration) -> Result<Vec<u8>, String> {
        output_of(&["sh", "-c", script].map(str::to_owned), time_max)
    }

    #[test]
    fn a_command_is_split_as_by_a_shell() {
        let cases: [(&str, &[&str]); 6] = [
            (
                "aws  export --profile a",
                &["aws", "export", "--profile", "a"],
            ),
            (" '/opt/my tool' \"a b\"c ", &["/opt/my tool", "a bc"]),
            ("a\\ b '' \"\"", &["a b", "", ""]),
            (r#"'a\b' "a\"\\\b""#, &[r"a\b", r#"a"\\b"#]),
            ("sh -c $HOME;`x`|#", &["sh", "-c", "$HOME;`x`|#"]),
            ("", &[]),
        ];
        for (command, words) in cases {
            assert_eq!(split_words(command).unwrap(), words, "{command}");
        }
        for unfinished in ["a 'b", "a \"b\\\"", "a\\"] {
            assert!(split_words(unfinished).is_err(), "{unfinished}");
        }
    }

    #[test]
    fn a_document_holds_credentials() {
        let read = parse(
            br#"{"Version":1,"AccessKeyId":"id","SecretAccessKey":"se","SessionToken":"to","Expiration":"2030-01-01T00:00:00Z"}"#,
        )
        .unwrap();
        assert_eq!(read.access_key_id, "id");
        assert_eq!(read.secret_access_key, "se");
        assert_eq!(read.session_token.as_deref(), Some("to"));
        for (output, problem) in [
            ("", "JSON"),
            ("[1]", "Version"),
            (r#"{"Version":2,"AccessKeyId":"id"}"#, "Version"),
            (r#"{"Version":1,"SecretAccessKey":"se"}"#, "AccessKeyId"),
            (r#"{"Version":1,"AccessKeyId":"id"}"#, "SecretAccessKey"),
        ] {
            let told = parse(output.as_bytes()).unwrap_err();
            assert!(told.contains(problem), "{output}: {told}");
        }
    }

    #[test]
    fn a_command_has_limits() {
        let soon = Duration::from_secs(60);
        assert_eq!(output_of_shell("printf x", soon).unwrap(), b"x");
        let begun = Instant::now();
        for (script, time_max, problem) in [
            ("printf x; exit 3", soon, "failed"),
            ("head -c 70000 /dev/zero", soon, "more than"),
            ("exec sleep 60", Duration::from_millis(50), "did not end"),
            (
                "exec sleep 60 >&-",
                Duration::from_millis(50),
                "did not end",
            ),
        ] {
            let told = output_of_shell(script, time_max).unwrap_err();
            assert!(told.contains(problem), "{script}: {told}");
        }
        assert!(begun.elapsed() < soon);
        let absent = ["/no/such/program".to_owned()];
        assert!(output_of(&absent, soon).unwrap_err().contains("/no/such"));
        assert!(output_of(&[], soon).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(command in "[a\\\\'\" \u{e9}]{0,40}", output in "[{}:,\"1a]{0,40}") {
            let _ = split_words(&command);
            let _ = parse(output.as_bytes());
        }
    }
}
