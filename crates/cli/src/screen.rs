//! What a terminal gets: colours when it wants them, and nothing that a log could hide in its text.

use std::borrow::Cow;
use std::io::IsTerminal as _;

use failgate_verdict::terms::Side;

use crate::args::Color;

/// How to write for the place that output goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    colours: bool,
}

impl Style {
    /// For standard output.
    #[must_use]
    pub fn new(color: Color) -> Self {
        let colours = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                !no_color && std::io::stdout().is_terminal()
            }
        };
        Self { colours }
    }

    fn sgr(self, code: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// A heading.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.sgr("1", text)
    }

    /// What may be overlooked.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.sgr("2", text)
    }

    /// The word of a verdict, by whose side it is on.
    #[must_use]
    pub fn side(self, side: Side, text: &str) -> String {
        let code = match side {
            Side::Downstream => "36",
            Side::Local => "33",
            Side::Upstream => "31",
        };
        self.sgr(code, text)
    }
}

/// The text without control characters: what a log says must not move a cursor or hide a line. The marks
/// that turn the direction of writing are as bad.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    let hidden = |it: char| {
        let turns = matches!(it, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        it.is_control() || turns || matches!(it, '\u{2028}' | '\u{2029}')
    };
    if text.contains(hidden) {
        text.chars().map(|it| if hidden(it) { char::REPLACEMENT_CHARACTER } else { it }).collect()
    } else {
        Cow::Borrowed(text)
    }
}

/// The width that texts are wrapped at.
const WIDTH: usize = 100;

/// A paragraph, its first line behind `head` and all others as far in as `indent`; ends with a line end.
#[must_use]
pub fn wrapped(text: &str, indent: usize, head: &str) -> String {
    let (mut lines, mut width) = (head.to_owned(), indent);
    for word in text.split_ascii_whitespace() {
        let length = word.chars().count();
        if width > indent && width + 1 + length > WIDTH {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            width = indent;
        } else if width > indent {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += length;
    }
    lines.push('\n');
    lines
}

/// A number with its thousands set off.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_log_reaches_the_terminal_as_a_command() {
        assert_eq!(plain("a\u{1b}[31m\u{202e}b\n"), "a\u{fffd}[31m\u{fffd}b\u{fffd}");
        assert_eq!(plain("réviews → x"), "réviews → x");
    }

    #[test]
    fn a_long_text_is_wrapped_below_its_head() {
        let text = wrapped(&"word ".repeat(40), 8, "head    ");
        assert!(text.starts_with("head    word word"));
        assert!(text.lines().skip(1).all(|line| line.starts_with("        word")), "{text}");
        assert!(text.lines().all(|line| line.len() <= WIDTH));
        assert_eq!(text.split_ascii_whitespace().count(), 41);
        assert_eq!(wrapped("", 2, "a "), "a \n");
    }

    #[test]
    fn thousands_are_set_off() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
    }
}
