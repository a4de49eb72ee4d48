//! What IAM and STS read from outside: forms, and session tokens.

use oncilla_iam::fuzz_open_token;
use oncilla_wire::query_api::{FORM_BYTES_MAX, Form, LIST_MEMBERS_MAX};
use oncilla_wire::uri::encode_component;

use crate::input;

/// The first line is the query, the rest the body. What is read can be written and read again, and
/// is the same then; lists are bounded, numbers within their bounds.
pub fn query_form(data: &[u8]) {
    let (query, body) = input::first_line(data);
    let Ok(query) = std::str::from_utf8(query) else {
        return;
    };
    if body.len() > FORM_BYTES_MAX {
        return;
    }
    let Ok(form) = Form::parse(query, body) else {
        return;
    };
    let written: Vec<String> = form
        .iter()
        .map(|(name, value)| format!("{}={}", encode_component(name), encode_component(value)))
        .collect();
    let read = Form::parse("", written.join("&").as_bytes());
    assert_eq!(read.as_ref(), Ok(&form));
    for (name, value) in form.iter() {
        assert_eq!(form.required(name), Ok(value));
        let list = name.split(".member.").next().unwrap_or_default();
        if let Ok(members) = form.list(list) {
            assert!(members.len() <= LIST_MEMBERS_MAX);
        }
        if let Ok(Some(number)) = form.number(name, 1, 1_000) {
            assert!((1..=1_000).contains(&number));
        }
    }
}

/// The first line is an access key id, the rest a token that was sealed with no key of this server:
/// it never opens.
pub fn session_token(data: &[u8]) {
    let (id, token) = input::first_line(data);
    let id = String::from_utf8_lossy(id);
    let token = String::from_utf8_lossy(token);
    assert!(!fuzz_open_token(&id, &token));
}
