//! All inputs, one after the other, line by line, to whoever takes lines.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::input::Text;
use super::source::Source;
use crate::args::Inspect;

/// Where lines come from.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The file, when there are several.
    pub file: Option<Arc<str>>,
    /// Lines of the inputs before.
    pub before: u64,
    /// Do lines come as they are written, rather than as fast as they can be read?
    pub is_live: bool,
}

/// What takes lines. Errors are those of the output, and end the reading.
pub trait Sink {
    /// Takes what comes from there next.
    fn begin(&mut self, place: Place) -> io::Result<()>;
    /// Takes a line; `None` is one that is too long.
    fn line(&mut self, number: u64, bytes: Option<&[u8]>) -> io::Result<()>;
    /// So many lines were read of this input.
    fn read(&mut self, lines: u64) -> io::Result<()>;
    /// The next line may have to be waited for.
    fn wait(&mut self) -> io::Result<()>;
    /// An input, or the rest of it, cannot be read.
    fn unreadable(&mut self, message: String) -> io::Result<()>;
}

/// The inputs that were asked for; none is standard input.
pub fn inputs(options: &Inspect) -> Vec<PathBuf> {
    if options.files.is_empty() { vec![PathBuf::from("-")] } else { options.files.clone() }
}

/// Reads every input to its end. Returns those that may grow, when they are to be followed.
pub fn read_all(options: &Inspect, sink: &mut impl Sink) -> io::Result<Vec<(Source, Place)>> {
    let mut growing = Vec::new();
    let mut before = 0;
    for path in inputs(options) {
        let follow = options.follow && path.as_os_str() != "-";
        match Source::open(&path, follow) {
            Ok(mut source) => {
                let file = (options.files.len() > 1).then(|| source.name.as_str().into());
                let place = Place { file, before, is_live: source.is_live };
                sink.begin(place.clone())?;
                before += read(&mut source, sink)?;
                if follow {
                    growing.push((source, place));
                }
            }
            Err(error) => sink.unreadable(format!("failgate: {}: {error}", path.display()))?,
        }
    }
    Ok(growing)
}

/// Reads what there is. Returns the number of lines.
pub fn read(source: &mut Source, sink: &mut impl Sink) -> io::Result<u64> {
    let (mut last, is_followed) = (0, source.is_followed());
    loop {
        if source.lines.must_wait() {
            sink.wait()?;
        }
        match source.lines.next() {
            Ok(Some((number, text))) => {
                last = number;
                match text {
                    Text::TooLong => sink.line(number, None)?,
                    Text::Line(bytes) => {
                        if let Some((first, bytes)) = source.pieces.add(number, bytes) {
                            sink.line(first, Some(bytes))?;
                        }
                    }
                }
                sink.read(number)?;
            }
            // A line may be completed later.
            Ok(None) if is_followed => break,
            Ok(None) => {
                while let Some((number, bytes)) = source.pieces.unfinished() {
                    sink.line(number, Some(&bytes))?;
                }
                break;
            }
            Err(error) => {
                sink.unreadable(format!("failgate: {}: {error}", source.name))?;
                break;
            }
        }
    }
    Ok(last)
}
