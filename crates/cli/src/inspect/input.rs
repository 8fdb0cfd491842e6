//! Lines from a stream of bytes, numbered from 1, without a copy and within a bound.

use std::io::{self, Read};

use memchr::memchr;

use crate::read::LINE_BYTES;

/// How much is read at a time.
const CHUNK: usize = 1 << 18;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub enum Text<'a> {
    /// Without its line end.
    Line(&'a [u8]),
    /// Longer than [`LINE_BYTES`]; what it said is gone.
    TooLong,
}

/// Reads lines. At the end of the stream there may be more later: what has no line end yet is kept for then,
/// unless the last line is wanted as it is.
pub struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    number: u64,
    /// The line under way is longer than the bound.
    too_long: bool,
    /// May the stream grow after its end?
    grows: bool,
}

impl<R: Read> Lines<R> {
    /// Reads from the beginning.
    pub fn new(reader: R, grows: bool) -> Self {
        Self { reader, buffer: vec![0; CHUNK], start: 0, end: 0, number: 0, too_long: false, grows }
    }

    /// Reads on from another stream, as when a log was rotated; its first line is line 1.
    pub fn continue_with(&mut self, reader: R) {
        (self.reader, self.start, self.end) = (reader, 0, 0);
        (self.number, self.too_long) = (0, false);
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Is there no whole line left, so that the next one may have to be waited for?
    pub fn must_wait(&self) -> bool {
        self.start == self.end || memchr(b'\n', self.unread()).is_none()
    }

    /// The next line and its number; `None` at the end.
    ///
    /// # Errors
    /// When reading fails.
    pub fn next(&mut self) -> io::Result<Option<(u64, Text<'_>)>> {
        let mut searched = 0;
        loop {
            let unsearched = self.unread().get(searched..).unwrap_or_default();
            if let Some(at) = memchr(b'\n', unsearched) {
                let line = self.start..self.start + searched + at;
                self.start = line.end + 1;
                return Ok(Some(self.take(line)));
            }
            searched = self.end - self.start;
            if searched > LINE_BYTES {
                (self.too_long, self.start, self.end, searched) = (true, 0, 0, 0);
            }
            if self.fill()? == 0 {
                let line = self.start..self.end;
                if self.grows || (line.is_empty() && !self.too_long) {
                    return Ok(None);
                }
                self.start = self.end;
                return Ok(Some(self.take(line)));
            }
        }
    }

    fn take(&mut self, line: std::ops::Range<usize>) -> (u64, Text<'_>) {
        self.number += 1;
        if std::mem::take(&mut self.too_long) {
            return (self.number, Text::TooLong);
        }
        (self.number, Text::Line(self.buffer.get(line).unwrap_or_default()))
    }

    /// Reads more behind what is unread; 0 at the end.
    fn fill(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.buffer.len() - self.end < CHUNK / 2 {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        loop {
            match self.reader.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(length) => {
                    self.end += length;
                    return Ok(length);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::new(bytes, false);
        let mut read = Vec::new();
        while let Some((number, text)) = lines.next().unwrap() {
            assert_eq!(number, read.len() as u64 + 1);
            read.push(match text {
                Text::Line(line) => Some(line.to_vec()),
                Text::TooLong => None,
            });
        }
        read
    }

    #[test]
    fn the_last_line_needs_no_line_end() {
        assert_eq!(all(b""), []);
        assert_eq!(all(b"a\n\nb"), [Some(b"a".to_vec()), Some(Vec::new()), Some(b"b".to_vec())]);
        assert_eq!(all(b"a\n"), [Some(b"a".to_vec())]);
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_takes_no_memory() {
        let mut bytes = vec![b'x'; 20 * LINE_BYTES];
        bytes.extend(b"\nshort\n");
        bytes.extend(vec![b'y'; 3 * LINE_BYTES]);
        assert_eq!(all(&bytes), [None, Some(b"short".to_vec()), None]);
        let mut lines = Lines::new(bytes.as_slice(), false);
        while lines.next().unwrap().is_some() {}
        assert!(lines.buffer.len() <= 4 * LINE_BYTES, "{}", lines.buffer.len());
    }

    #[test]
    fn lines_longer_than_a_chunk_are_whole() {
        let long = vec![b'x'; CHUNK * 3];
        let mut bytes = long.clone();
        bytes.extend(b"\n");
        bytes.extend(&long);
        assert_eq!(all(&bytes), [Some(long.clone()), Some(long)]);
    }

    #[test]
    fn what_grows_is_kept_until_its_line_ends() {
        let mut lines = Lines::new(&b"a\nb"[..], true);
        assert!(matches!(lines.next(), Ok(Some((1, Text::Line(b"a"))))));
        assert!(lines.must_wait());
        assert!(matches!(lines.next(), Ok(None)));
        lines.reader = &b"c\n"[..];
        assert!(matches!(lines.next(), Ok(Some((2, Text::Line(b"bc"))))));
    }
}
