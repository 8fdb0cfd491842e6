//! Where lines come from: a file or standard input, gzip or plain, which may grow and be rotated.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek as _};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::input::Lines;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// One input.
pub struct Source {
    /// What it is called: its path, or `-`.
    pub name: String,
    /// Its lines.
    pub lines: Lines<Box<dyn Read>>,
    /// A file that is followed, with a handle to look at it by.
    followed: Option<(PathBuf, File)>,
}

impl Source {
    /// Opens it; `-` is standard input. A file that is followed is read as it grows.
    pub fn open(path: &Path, follow: bool) -> io::Result<Self> {
        let name = path.display().to_string();
        if name == "-" {
            let lines = Lines::new(plain(io::stdin())?, false);
            return Ok(Self { name, lines, followed: None });
        }
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory"));
        }
        if follow {
            let lines = Lines::new(Box::new(file.try_clone()?) as Box<dyn Read>, true);
            return Ok(Self { name, lines, followed: Some((path.to_owned(), file)) });
        }
        Ok(Self { name, lines: Lines::new(plain(file)?, false), followed: None })
    }

    /// Goes on with the file that has the name now when the old one was replaced or cut.
    pub fn refresh(&mut self) -> io::Result<()> {
        let Some((path, file)) = &mut self.followed else { return Ok(()) };
        let now = match std::fs::metadata(&*path) {
            // Between two files of a rotation there is none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            metadata => metadata?,
        };
        if !is_same(&now, &file.metadata()?) {
            *file = File::open(&*path)?;
        } else if now.len() < file.stream_position()? {
            file.rewind()?;
        } else {
            return Ok(());
        }
        self.lines.continue_with(Box::new(file.try_clone()?));
        Ok(())
    }
}

#[cfg(unix)]
fn is_same(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(_: &std::fs::Metadata, _: &std::fs::Metadata) -> bool {
    true
}

/// The bytes behind gzip, or as they are.
fn plain(mut reader: impl Read + 'static) -> io::Result<Box<dyn Read>> {
    let mut start = Vec::new();
    reader.by_ref().take(GZIP.len() as u64).read_to_end(&mut start)?;
    let is_gzip = start == GZIP;
    let whole = Cursor::new(start).chain(reader);
    Ok(if is_gzip { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) })
}
