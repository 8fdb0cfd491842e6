//! Entries of `fields` that look like secrets: whoever writes one expects a record to hold it.

use serde_json::Value;

/// Parts of the names of secrets, without `-` and `_`.
const SECRETS: [&str; 17] = [
    "apikey",
    "authorization",
    "bearer",
    "clientcert",
    "cookie",
    "credential",
    "jwt",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "session",
    "signature",
    "token",
    "xauth",
    "xfcc",
];

/// What to say of such an entry.
pub const REASON: &str =
    "looks like a secret; the value of a header is never recorded, whatever its name";

/// The places of those that look so.
pub fn named(settings: &Value) -> Vec<String> {
    let looks_so = |entry: &Value| entry.as_str().is_some_and(is_secret);
    match settings.get("fields") {
        Some(Value::Array(list)) => {
            let named = list.iter().enumerate().filter(|(_, entry)| looks_so(entry));
            named.map(|(index, _)| format!("fields[{index}]")).collect()
        }
        Some(entry) if looks_so(entry) => vec!["fields".to_owned()],
        Some(_) | None => Vec::new(),
    }
}

fn is_secret(name: &str) -> bool {
    let folded: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let folded = folded.to_ascii_lowercase();
    SECRETS.iter().any(|secret| folded.contains(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use failgate_verdict::record::EXTRA_FIELDS;

    #[test]
    fn secrets_are_known_in_every_spelling_and_what_may_be_named_is_none() {
        for name in [
            "authorization",
            "Proxy-Authorization",
            "cookie",
            "set-cookie",
            "header:Cookie",
            "x-api-key",
            "apiKey",
            "API_KEY",
            "access_token",
            "id-token",
            "request.headers.x-auth-request",
            "password",
            "client_secret",
            "session-id",
            "x-jwt-assertion",
            "x-forwarded-client-cert",
            "XFCC",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in EXTRA_FIELDS.iter().chain(&["x-forwarded-for", "referer", "host", ""]) {
            assert!(!is_secret(name), "{name}");
        }
    }
}
