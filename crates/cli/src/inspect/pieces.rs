//! Lines that a container runtime cut into pieces, put together again.
//!
//! CRI marks a piece with `P` and the last one with `F`; Docker's JSON has a line end in `log` only behind the
//! last one, and cuts at 16 KiB. Either stream of a container may be in the middle of a line while the other
//! goes on. Sources: `core/v1/api.proto` and the log format of CRI (`kubelet/.../kubelet-cri-logging.md`),
//! `daemon/logger/copier.go` of Docker.

use memchr::memmem;

use crate::read::LINE_BYTES;

/// Docker's pieces are that long, in bytes before they are escaped; a shorter one is the last.
const DOCKERS: usize = 16 << 10;

const DOCKER_LOG: &[u8] = b"{\"log\":\"";
const DOCKER_STREAM: &[u8] = b"\",\"stream\":\"";

/// The lines under way, one for each stream of a container.
#[derive(Debug, Default)]
pub struct Pieces {
    stdout: Option<Whole>,
    stderr: Option<Whole>,
    /// The line that was completed last.
    done: Vec<u8>,
}

/// A line under way.
#[derive(Debug)]
struct Whole {
    /// The number of its first piece.
    number: u64,
    text: Vec<u8>,
}

/// A line as a runtime writes it.
struct Piece<'a> {
    is_stderr: bool,
    is_last: bool,
    /// What stands before the text in a whole line.
    head: [&'a [u8]; 2],
    text: &'a [u8],
    /// What stands behind it.
    tail: &'a [u8],
}

impl Pieces {
    /// Takes a line, and gives it back unless it is a piece; or the whole line, with its first piece's number,
    /// when it is the last piece. What is longer than a line may be is cut, and still too long.
    pub fn add<'a>(&'a mut self, number: u64, line: &'a [u8]) -> Option<(u64, &'a [u8])> {
        let Some(piece) = Piece::of(line) else { return Some((number, line)) };
        let under_way = if piece.is_stderr { &mut self.stderr } else { &mut self.stdout };
        if piece.is_last && under_way.is_none() {
            return Some((number, line));
        }
        let whole = under_way.get_or_insert_with(|| Whole { number, text: piece.head.concat() });
        whole.push(piece.text);
        if !piece.is_last {
            return None;
        }
        let mut whole = under_way.take()?;
        whole.push(piece.tail);
        self.done = whole.text;
        Some((whole.number, &self.done))
    }

    /// A line whose end never came, oldest first.
    pub fn unfinished(&mut self) -> Option<(u64, Vec<u8>)> {
        let number = |whole: &Option<Whole>| whole.as_ref().map_or(u64::MAX, |whole| whole.number);
        let first = if number(&self.stderr) < number(&self.stdout) {
            &mut self.stderr
        } else {
            &mut self.stdout
        };
        first.take().map(|whole| (whole.number, whole.text))
    }
}

impl Whole {
    fn push(&mut self, text: &[u8]) {
        let room = (LINE_BYTES + 1).saturating_sub(self.text.len());
        self.text.extend_from_slice(text.get(..room).unwrap_or(text));
    }
}

impl<'a> Piece<'a> {
    fn of(line: &'a [u8]) -> Option<Self> {
        match line.first()? {
            b'0'..=b'9' => Self::of_cri(line),
            b'{' => Self::of_docker(line),
            _ => None,
        }
    }

    /// `2026-01-31T23:59:59.999999999Z stdout P text`; the tag may have others behind it, after a colon.
    fn of_cri(line: &'a [u8]) -> Option<Self> {
        const LONGEST_TIME: usize = 36;
        let space = |text: &[u8]| text.iter().position(|byte| *byte == b' ');
        let time = space(line.get(..LONGEST_TIME).unwrap_or(line))?;
        let rest = line.get(time + 1..)?;
        let is_stderr = rest.starts_with(b"stderr ");
        if !(is_stderr || rest.starts_with(b"stdout ")) || line.get(10) != Some(&b'T') {
            return None;
        }
        let rest = rest.get(b"stdout ".len()..)?;
        let tag = space(rest).unwrap_or(rest.len());
        let is_last = match rest.get(..tag)? {
            [b'F'] | [b'F', b':', ..] => true,
            [b'P'] | [b'P', b':', ..] => false,
            _ => return None,
        };
        let head = [line.get(..time + b" stdout ".len())?, b"F "];
        Some(Self { is_stderr, is_last, head, text: rest.get(tag + 1..).unwrap_or(b""), tail: b"" })
    }

    /// `{"log":"text\n","stream":"stdout","time":"..."}`. Quotes within the text are escaped.
    fn of_docker(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_prefix(DOCKER_LOG)?;
        let end = memmem::rfind(rest, DOCKER_STREAM)?;
        let (text, tail) = rest.split_at_checked(end)?;
        let is_stderr = tail.get(DOCKER_STREAM.len()..)?.starts_with(b"stderr");
        let is_last = text.len() < DOCKERS || ends_a_line(text);
        Some(Self { is_stderr, is_last, head: [DOCKER_LOG, b""], text, tail })
    }
}

/// Does the text end with an escaped line end? A backslash before an `n` may itself be escaped.
fn ends_a_line(text: &[u8]) -> bool {
    let Some(before) = text.strip_suffix(b"n") else { return false };
    let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
    backslashes % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(lines: &[&str]) -> Vec<(u64, String)> {
        let mut pieces = Pieces::default();
        let mut whole = Vec::new();
        for (number, line) in (1..).zip(lines) {
            let read = pieces.add(number, line.as_bytes());
            whole.extend(read.map(|(number, text)| (number, str::from_utf8(text).unwrap().into())));
        }
        while let Some((number, text)) = pieces.unfinished() {
            whole.push((number, String::from_utf8(text).unwrap()));
        }
        whole
    }

    #[test]
    fn the_pieces_of_a_line_are_one_line_with_the_number_of_the_first() {
        let lines = [
            "2026-01-31T23:59:59.1Z stdout F one",
            "2026-01-31T23:59:59.2Z stdout P two ",
            "2026-01-31T23:59:59.3Z stdout P three ",
            "2026-01-31T23:59:59.4Z stdout F four",
            "2026-01-31T23:59:59.5Z stdout F five",
        ];
        let expected = [
            (1, lines[0].to_owned()),
            (2, "2026-01-31T23:59:59.2Z stdout F two three four".to_owned()),
            (5, lines[4].to_owned()),
        ];
        assert_eq!(whole(&lines), expected);
    }

    #[test]
    fn either_stream_goes_on_by_itself() {
        let lines = [
            "2026-01-31T23:59:59+01:00 stdout P a",
            "2026-01-31T23:59:59+01:00 stderr P:x 1",
            "2026-01-31T23:59:59+01:00 stderr F:x 2",
            "2026-01-31T23:59:59+01:00 stdout F b",
        ];
        let expected = [
            (2, "2026-01-31T23:59:59+01:00 stderr F 12".to_owned()),
            (1, "2026-01-31T23:59:59+01:00 stdout F ab".to_owned()),
        ];
        assert_eq!(whole(&lines), expected);
    }

    #[test]
    fn an_end_may_be_empty_or_missing() {
        let lines = ["2026-01-31T23:59:59Z stdout P a", "2026-01-31T23:59:59Z stdout F"];
        assert_eq!(whole(&lines), [(1, "2026-01-31T23:59:59Z stdout F a".to_owned())]);
        assert_eq!(whole(&lines[..1]), [(1, "2026-01-31T23:59:59Z stdout F a".to_owned())]);
    }

    #[test]
    fn what_no_runtime_wrote_is_left_alone() {
        let lines = [
            "",
            "2026",
            "1 stdout P x",
            "{\"log\":1}",
            "a stdout P x",
            "2026-01-31T23:59:59Z x P y",
        ];
        let expected: Vec<_> = (1..).zip(lines.map(str::to_owned)).collect();
        assert_eq!(whole(&lines), expected);
    }

    #[test]
    fn dockers_pieces_are_put_together_between_their_quotes() {
        let docker =
            |text: &str| format!("{{\"log\":\"{text}\",\"stream\":\"stdout\",\"time\":\"x\"}}");
        let long = "\\\"".repeat(DOCKERS / 2);
        // The second ends with a backslash and an `n`, which is no line end.
        let tricky = format!("{}\\\\n", "y".repeat(DOCKERS));
        let lines = [docker(&long), docker(&tricky), docker("end\\n"), docker("short")];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let expected = [(1, docker(&format!("{long}{tricky}end\\n"))), (4, docker("short"))];
        assert_eq!(whole(&lines), expected);
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_than_its_bound() {
        let mut pieces = Pieces::default();
        let piece = format!("2026-01-31T23:59:59Z stdout P {}", "x".repeat(100_000));
        for number in 1..100 {
            assert_eq!(pieces.add(number, piece.as_bytes()), None);
        }
        let last = "2026-01-31T23:59:59Z stdout F x";
        let (number, text) = pieces.add(100, last.as_bytes()).unwrap();
        assert_eq!((number, text.len()), (1, LINE_BYTES + 1));
        assert!(pieces.stdout.is_none());
    }
}
