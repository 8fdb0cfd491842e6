//! The pipeline, drawn: which gates were passed, which one stopped the request.

use failgate_verdict::terms::{GATES, Gate};

/// No line is longer, unless the gates themselves are.
const WIDTH: usize = 104;

/// The characters to draw with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyphs {
    passed: char,
    stopped: char,
    unknown: char,
    here: char,
}

impl Glyphs {
    /// For every terminal.
    pub const ASCII: Self = Self { passed: '+', stopped: 'X', unknown: '.', here: '^' };
    /// For terminals that know more.
    pub const UNICODE: Self = Self { passed: '✓', stopped: '✗', unknown: '·', here: '▲' };

    /// What the locale can show.
    #[must_use]
    pub fn of_locale() -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        let unicode = locale.is_none_or(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        if unicode { Self::UNICODE } else { Self::ASCII }
    }
}

/// The gates in their order with a mark each, and below the one that stopped the request its question.
#[must_use]
pub fn drawn(at: Gate, glyphs: Glyphs) -> String {
    // A request is not at a gate when it has passed them all, or when nobody knows.
    let drawn = GATES.iter().filter(|gate| gate.value < Gate::Application || gate.value == at);
    let (mut line, mut below) = (String::new(), String::new());
    for gate in drawn {
        if !line.is_empty() {
            line.push(' ');
        }
        let mark = if gate.value == at {
            below = " ".repeat(line.chars().count());
            below.push(glyphs.here);
            glyphs.stopped
        } else if gate.value < at && !matches!(at, Gate::Downstream | Gate::Unknown) {
            glyphs.passed
        } else {
            glyphs.unknown
        };
        line.push(mark);
        line.push(' ');
        line.push_str(gate.name);
    }
    let says = GATES.iter().find(|gate| gate.value == at).map_or("", |gate| gate.says);
    // The question goes to the right of its mark where there is room, or to the left, or below.
    let (column, width) = (below.chars().count() - 1, says.chars().count());
    if column + 2 + width <= line.chars().count().max(WIDTH) {
        format!("{line}\n{below} {says}")
    } else if width < column {
        format!("{line}\n{}{says} {}", " ".repeat(column - width - 1), glyphs.here)
    } else {
        format!("{line}\n{below}\n{says}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_before_was_passed_and_what_comes_after_was_not_reached() {
        let gates = "+ listener + request + filter X route . cluster . endpoint . pool . connect . response . downstream";
        let expected = format!("{gates}\n{:30}^ did a route match?", "");
        assert_eq!(drawn(Gate::Route, Glyphs::ASCII), expected);
    }

    #[test]
    fn the_mark_stands_below_its_gate_and_no_line_is_too_long() {
        for gate in GATES {
            let text = drawn(gate.value, Glyphs::UNICODE);
            let (line, below) = text.split_once('\n').unwrap();
            let below = below.lines().next().unwrap();
            let column = |text: &str, mark| text.chars().position(|it| it == mark);
            assert_eq!(column(line, '✗'), column(below, '▲'), "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= 115), "{text}");
        }
    }

    #[test]
    fn a_client_that_left_may_have_left_at_any_gate() {
        assert!(!drawn(Gate::Downstream, Glyphs::ASCII).contains('+'));
        assert!(!drawn(Gate::Unknown, Glyphs::ASCII).contains('+'));
        assert!(drawn(Gate::Application, Glyphs::ASCII).contains("+ downstream X application"));
    }
}
