//! Questions to a person at the terminal. Scripts are not asked.

use std::io::{BufRead, IsTerminal, Write, stderr, stdin};

use crate::failure::Failure;
use crate::output;

/// What the person answers; `None` where there is none.
pub fn answer_to(question: &str) -> Result<Option<String>, Failure> {
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return Ok(None);
    }
    let failed = |error: std::io::Error| Failure::general(format!("cannot ask: {error}"));
    let mut stderr = stderr().lock();
    write!(stderr, "{} ", output::one_line(question)).map_err(failed)?;
    stderr.flush().map_err(failed)?;
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).map_err(failed)?;
    Ok(Some(answer.trim().to_owned()))
}

/// Whether the person says yes, or there is none to ask.
pub fn confirmed(question: &str) -> Result<bool, Failure> {
    let answer = answer_to(&format!("{question} [y/N]"))?;
    let is_yes = |answer: String| matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes");
    Ok(answer.is_none_or(is_yes))
}
