//! Where lines come from: a file or standard input, gzip or plain, which may grow and be rotated.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek as _};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::input::Lines;
use super::pieces::Pieces;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// One input.
pub struct Source {
    /// What it is called: its path, or `-`.
    pub name: String,
    /// Its lines.
    pub lines: Lines<Box<dyn Read>>,
    /// Those of its lines that came in pieces.
    pub pieces: Pieces,
    /// Do lines come as they are written, rather than as fast as they can be read?
    pub is_live: bool,
    /// A file that is followed, with a handle to look at it by.
    followed: Option<(PathBuf, File)>,
}

impl Source {
    /// Opens it; `-` is standard input. A file that is followed is read as it grows.
    pub fn open(path: &Path, follow: bool) -> io::Result<Self> {
        let (name, pieces) = (path.display().to_string(), Pieces::default());
        if name == "-" {
            let lines = Lines::new(plain(io::stdin())?, false);
            return Ok(Self { name, lines, pieces, is_live: is_live(path), followed: None });
        }
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory"));
        }
        if follow {
            let lines = Lines::new(Box::new(file.try_clone()?) as Box<dyn Read>, true);
            let followed = Some((path.to_owned(), file));
            return Ok(Self { name, lines, pieces, is_live: true, followed });
        }
        let is_live = is_live(path);
        Ok(Self { name, lines: Lines::new(plain(file)?, false), pieces, is_live, followed: None })
    }

    /// Is it read as it grows?
    pub fn is_followed(&self) -> bool {
        self.followed.is_some()
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

/// May its next line take any time? A pipe's or a terminal's may, a file's may not.
pub fn is_live(path: &Path) -> bool {
    let metadata = if path.as_os_str() == "-" { standard_input() } else { std::fs::metadata(path) };
    metadata.is_ok_and(|metadata| !metadata.is_file())
}

#[cfg(unix)]
fn standard_input() -> io::Result<std::fs::Metadata> {
    use std::os::fd::AsFd as _;
    File::from(io::stdin().as_fd().try_clone_to_owned()?).metadata()
}

#[cfg(not(unix))]
fn standard_input() -> io::Result<std::fs::Metadata> {
    Err(io::ErrorKind::Unsupported.into())
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
