//! Matching of Envoy's free text.
//!
//! One fact comes in two spellings: attributes keep spaces (`Connection refused`), access logs and
//! response code details replace them (`Connection_refused`). Here, and only here, the two are equal.

use alloc::string::String;

/// What a row of a table looks for in a text. A space equals an underscore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// The whole text.
    Is(&'static str),
    /// The beginning of the text.
    Starts(&'static str),
    /// The end of the text.
    Ends(&'static str),
    /// Anywhere in the text.
    Has(&'static str),
}

impl Pattern {
    /// Does the text match?
    #[must_use]
    pub fn matches(self, text: &str) -> bool {
        match self {
            Self::Is(pattern) => same(text.as_bytes(), pattern.as_bytes()),
            Self::Starts(pattern) => starts(text, pattern),
            Self::Ends(pattern) => {
                let from = text.len().checked_sub(pattern.len());
                from.and_then(|from| text.as_bytes().get(from..))
                    .is_some_and(|end| same(end, pattern.as_bytes()))
            }
            Self::Has(pattern) => has(text, pattern),
        }
    }

    /// The text that is looked for.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Is(text) | Self::Starts(text) | Self::Ends(text) | Self::Has(text) => text,
        }
    }
}

fn folded(byte: u8) -> u8 {
    if byte == b' ' { b'_' } else { byte }
}

fn same(text: &[u8], pattern: &[u8]) -> bool {
    text.len() == pattern.len()
        && text.iter().zip(pattern).all(|(text, pattern)| folded(*text) == folded(*pattern))
}

/// Does `text` begin with `pattern`, spaces and underscores being equal?
pub(crate) fn starts(text: &str, pattern: &str) -> bool {
    text.as_bytes().get(..pattern.len()).is_some_and(|start| same(start, pattern.as_bytes()))
}

/// Does `text` hold `pattern`, spaces and underscores being equal?
pub(crate) fn has(text: &str, pattern: &str) -> bool {
    text.as_bytes().windows(pattern.len().max(1)).any(|window| same(window, pattern.as_bytes()))
}

/// What stands before and behind the first `separator`. The standard library's searches are made for long
/// texts, and cost the module more than everything that is searched here.
pub(crate) fn split_once<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let mut windows = text.as_bytes().windows(separator.len().max(1));
    let at = windows.position(|window| window == separator.as_bytes())?;
    Some((text.get(..at)?, text.get(at + separator.len()..)?))
}

/// A whole number that is not negative, and nothing else.
#[must_use]
pub fn whole(text: &str) -> Option<u64> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits(text))
}

/// The longest start of `text` that has at most `bytes` bytes and ends at a character boundary.
#[must_use]
pub fn bounded(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The text with what could end a quoted string or a line replaced by `_`: an access log in text format
/// splices filter state in as it is.
#[must_use]
pub fn spliceable(text: &str) -> String {
    let harmful = |it: char| it.is_control() || matches!(it, '"' | '\\');
    text.chars().map(|it| if harmful(it) { '_' } else { it }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_and_underscores_are_equal() {
        let pattern = Pattern::Has("Connection_refused");
        assert!(pattern.matches("delayed connect error: Connection refused"));
        assert!(pattern.matches("delayed_connect_error:_Connection_refused"));
        assert!(!pattern.matches("delayed connect error: Connection reset by peer"));
        assert!(Pattern::Has("a b").matches("a_b"));
    }

    #[test]
    fn each_kind_of_pattern_holds_its_place() {
        assert!(Pattern::Is("overload").matches("overload"));
        assert!(!Pattern::Is("overload").matches("overload_error:x"));
        assert!(Pattern::Starts("overload_error").matches("overload_error:x"));
        assert!(Pattern::Ends("too_large").matches("http1.headers too large"));
        assert!(!Pattern::Ends("too_large").matches("large"));
        assert!(!Pattern::Starts("abc").matches("ab"));
        assert!(!Pattern::Has("abc").matches(""));
    }

    #[test]
    fn the_first_separator_splits() {
        for (text, separator) in
            [("a|b|c", "|"), ("|", "|"), ("é]-policy[ß", "]-policy["), ("a", "ab")]
        {
            assert_eq!(split_once(text, separator), text.split_once(separator), "{text}");
        }
    }

    #[test]
    fn nothing_that_is_spliced_in_can_end_its_string_or_its_line() {
        assert_eq!(spliceable("a\"b\\c\nd\u{1b}é"), "a_b_c_d_é");
    }

    #[test]
    fn a_text_is_cut_at_a_character_boundary() {
        assert_eq!(bounded("añb", 2), "a");
        assert_eq!(bounded("añb", 3), "añ");
        assert_eq!(bounded("añb", 30), "añb");
        assert_eq!(bounded("", 0), "");
    }
}
