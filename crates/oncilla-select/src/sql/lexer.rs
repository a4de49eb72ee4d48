//! Text to tokens.

use oncilla_wire::error::{S3Error, S3ErrorCode};

use crate::error;
use crate::number::Number;

/// What the text consists of.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenKind {
    /// A word: a keyword or a name.
    Word(String),
    /// A name in double quotes.
    QuotedName(String),
    Text(String),
    /// What stands between backticks: a literal of Ion.
    Ion(String),
    Number(Number),
    /// An operator or punctuation.
    Symbol(&'static str),
    End,
}

#[derive(Clone, Debug)]
pub struct Token {
    pub kind: TokenKind,
    /// Where it begins, in bytes.
    pub at: usize,
}

/// Longer ones first.
const SYMBOLS: [&str; 23] = [
    "<>", "!=", "<=", ">=", "||", "(", ")", "[", "]", ",", ".", "*", "/", "%", "+", "-", "=", "<",
    ">", ";", "{", "}", ":",
];

/// All tokens of the text, the last of which is the end.
pub fn tokens(text: &str) -> Result<Vec<Token>, S3Error> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (kind, length) = match first {
            '\'' => {
                let (value, length) = enclosed(text, at, first)?;
                (TokenKind::Text(value), length)
            }
            '"' => {
                let (value, length) = enclosed(text, at, first)?;
                (TokenKind::QuotedName(value), length)
            }
            '`' => {
                let (value, length) = enclosed(text, at, first)?;
                (TokenKind::Ion(value), length)
            }
            '0'..='9' => number(text, at)?,
            '.' if text[at + 1..].starts_with(|next: char| next.is_ascii_digit()) => {
                number(text, at)?
            }
            _ if is_word_start(first) => {
                let end = text[at..].find(|c: char| !is_word_part(c));
                let length = end.unwrap_or(text.len() - at);
                (TokenKind::Word(text[at..at + length].to_owned()), length)
            }
            _ => {
                let symbol = SYMBOLS
                    .iter()
                    .find(|symbol| text[at..].starts_with(**symbol));
                let symbol = symbol.ok_or_else(|| {
                    let message = format!(
                        "The SQL expression contains the invalid character {first:?} at {}.",
                        place(text, at)
                    );
                    error(S3ErrorCode::LexerInvalidChar, message)
                })?;
                (TokenKind::Symbol(symbol), symbol.len())
            }
        };
        tokens.push(Token { kind, at });
        at += length;
    }
    tokens.push(Token {
        kind: TokenKind::End,
        at,
    });
    Ok(tokens)
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '$'
}

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// A text between two marks, of which a double one stands for itself, and its length with them.
fn enclosed(text: &str, at: usize, mark: char) -> Result<(String, usize), S3Error> {
    let mut value = String::new();
    let mut rest = text[at + 1..].char_indices().peekable();
    while let Some((index, c)) = rest.next() {
        if c != mark {
            value.push(c);
            continue;
        }
        if rest.peek().is_some_and(|(_, next)| *next == mark) {
            rest.next();
            value.push(mark);
            continue;
        }
        return Ok((value, index + 2));
    }
    let message = format!(
        "The literal that begins at {} does not end.",
        place(text, at)
    );
    Err(error(S3ErrorCode::LexerInvalidLiteral, message))
}

fn number(text: &str, at: usize) -> Result<(TokenKind, usize), S3Error> {
    let bytes = &text.as_bytes()[at..];
    let digits = |from: usize| {
        let count = bytes[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit());
        from + count.count()
    };
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    let literal = &text[at..at + end];
    let is_word = text[at + end..].starts_with(is_word_part);
    match Number::parse(literal).filter(|_| !is_word) {
        Some(number) => Ok((TokenKind::Number(number), end)),
        None => {
            let message = format!("The number at {} is not valid.", place(text, at));
            Err(error(S3ErrorCode::LexerInvalidLiteral, message))
        }
    }
}

/// A place in the text, as people count.
pub fn place(text: &str, at: usize) -> String {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before[line_start..].chars().count() + 1;
    format!("line {line}, column {column}")
}
