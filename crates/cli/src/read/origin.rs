//! What others put before a line: kubectl, stern, Docker Compose, CRI; and lines that are the proxy's own.

/// The pod that a prefix names: `[pod/NAME/CONTAINER] ` of `kubectl logs --prefix`, `NAME CONTAINER ` of
/// stern. A time or a stream's name in front of that, as container runtimes write it, is skipped.
pub(super) fn pod(prefix: &str) -> Option<&str> {
    let mut words = prefix.split_ascii_whitespace().filter(|word| !is_runtimes(word));
    let first = words.next()?;
    if let Some(path) = first.strip_prefix("[pod/") {
        return path.trim_end_matches(']').split('/').next();
    }
    // stern writes the namespace too when it follows all of them.
    match (words.next(), words.next()) {
        (Some(container), None) => Some(first).filter(|name| is_name(name) && is_name(container)),
        (Some(pod), Some(_)) => Some(pod).filter(|name| is_name(name)),
        (None, _) => None,
    }
}

/// The words of container runtimes: a time, `stdout`, and the tag of a full or a partial line.
fn is_runtimes(word: &str) -> bool {
    matches!(word, "stdout" | "stderr" | "F" | "P") || super::nanoseconds(word).is_some()
}

/// Could it be the name of a resource in Kubernetes?
fn is_name(name: &str) -> bool {
    let valid =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    name.len() <= 253 && name.bytes().all(valid)
}

/// Is it a line of the proxy's own log, or of its agent's? Both write the level as a word of its own:
/// `[2026-01-31 23:59:59.999][7][warning][main] ...`, `2026-01-31T23:59:59.999999Z` and `info` after a tab.
pub(super) fn is_proxys_own(text: &str) -> bool {
    const LEVELS: [&str; 7] = ["trace", "debug", "info", "warning", "warn", "error", "critical"];
    let mut words = text.split(|it: char| it.is_ascii_whitespace() || it == '[' || it == ']');
    words.by_ref().take(16).any(|word| LEVELS.contains(&word))
}

/// The text without the escape sequences that colour it on a terminal.
pub(super) fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        let after = after.strip_prefix('[').unwrap_or(after);
        rest = after.trim_start_matches(|it: char| it.is_ascii_digit() || it == ';');
        rest = rest.strip_prefix(|it: char| it.is_ascii_alphabetic()).unwrap_or(rest);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_is_found_in_every_prefix() {
        assert_eq!(pod("[pod/reviews-v1-7d9/istio-proxy] "), Some("reviews-v1-7d9"));
        assert_eq!(pod("reviews-v1-7d9 istio-proxy "), Some("reviews-v1-7d9"));
        assert_eq!(pod("default reviews-v1-7d9 istio-proxy "), Some("reviews-v1-7d9"));
        assert_eq!(pod("2026-01-31T23:59:59.999999999Z stdout F "), None);
        assert_eq!(
            pod("[pod/reviews-v1-7d9/istio-proxy] 2026-01-31T23:59:59Z "),
            Some("reviews-v1-7d9")
        );
        assert_eq!(pod("envoy-1  | "), None);
        assert_eq!(pod(""), None);
    }

    #[test]
    fn the_proxys_own_lines_are_told_by_their_level() {
        assert!(is_proxys_own("[2026-01-31 23:59:59.999][7][warning][main] [a.cc:1] something"));
        assert!(is_proxys_own("2026-01-31T23:59:59.999999Z\tinfo\txdsproxy\tconnected"));
        assert!(!is_proxys_own("NOT A LOG AT ALL"));
    }

    #[test]
    fn colours_are_no_part_of_the_text() {
        assert_eq!(without_colours("\u{1b}[1;32mpod\u{1b}[0m x"), "pod x");
        assert_eq!(without_colours("\u{1b}"), "");
    }
}
