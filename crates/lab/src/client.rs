//! A client that tells exactly how an exchange ended: completed, closed early, reset, or silent.
//!
//! A [`Request`] says nothing of the protocol that carries it; what is here carries it over HTTP/1.1 on
//! a plain blocking socket, one connection per request, so that nothing is retried or pooled behind
//! the test's back. `http2.rs` carries the same over HTTP/2.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::{Doing as _, Error, Result, wait_until};

/// A request, built up and then sent to a port on loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method, `GET` unless said otherwise.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Headers in order; `host` is added when absent, `content-length` when there is a body.
    pub headers: Vec<(String, String)>,
    /// The body, which may be empty.
    pub body: Vec<u8>,
    /// What is said on the connection before HTTP begins: nothing unless said otherwise.
    pub preamble: Vec<u8>,
    /// How long to wait for the end of the response: 30 s unless said otherwise.
    pub within: Duration,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status, or 0 when not even the head of a response arrived.
    pub status: u16,
    /// Headers in order, duplicates kept, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as far as it arrived, without its chunked framing.
    pub body: Vec<u8>,
    /// How the exchange ended.
    pub ending: Ending,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All of the response is here.
    Complete,
    /// The peer sent a FIN before the response was complete.
    Closed,
    /// The peer sent a RST before the response was complete.
    Reset,
    /// Time was up before the response was complete.
    Silent,
}

/// How a caller leaves a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// With a FIN.
    Close,
    /// With a RST.
    Reset,
}

impl Request {
    /// A request without headers or body.
    pub fn new(method: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
            preamble: Vec::new(),
            within: Duration::from_secs(30),
        }
    }

    /// A GET request.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets what is said on the connection before HTTP begins.
    #[must_use]
    pub fn behind(mut self, preamble: impl Into<Vec<u8>>) -> Self {
        self.preamble = preamble.into();
        self
    }

    /// Sets how long to wait for the end of the response.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Sends the request and reads the response to its end, whatever that is.
    ///
    /// # Errors
    /// When the connection cannot be made, or what comes back is not HTTP.
    pub fn send(&self, port: u16) -> Result<Response> {
        self.start(port)?.finish()
    }

    /// Sends the request and leaves the response to be read later, or never.
    ///
    /// # Errors
    /// When the connection cannot be made.
    pub fn start(&self, port: u16) -> Result<Call> {
        let doing = format!("{} {} on port {port}", self.method, self.path);
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).doing(|| doing.clone())?;
        // A peer may answer and reset before all of the request is written: the response counts then.
        let sent = socket.write_all(&self.bytes(port));
        if let Err(reason) = sent.as_ref()
            && !matches!(reason.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
        {
            return Err(Error::new(doing, reason));
        }
        let head_only = self.method == "HEAD";
        Ok(Call { socket, head_only, deadline: Instant::now() + self.within, doing })
    }

    /// Sends the request, waits until `condition` holds, and leaves without reading a byte.
    ///
    /// # Errors
    /// When the connection cannot be made, or the condition does not hold `within` the request's time.
    pub fn cancel(&self, port: u16, leave: Leave, condition: impl FnMut() -> bool) -> Result<()> {
        let call = self.start(port)?;
        wait_until(self.within, "the moment to cancel", condition)?;
        call.leave(leave)
    }

    fn bytes(&self, port: u16) -> Vec<u8> {
        let has = |name: &str| self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        if !has("host") {
            head += &format!("host: 127.0.0.1:{port}\r\n");
        }
        if !self.body.is_empty() && !has("content-length") && !has("transfer-encoding") {
            head += &format!("content-length: {}\r\n", self.body.len());
        }
        head.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
        [&self.preamble, head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

impl Response {
    /// The values of one header, in order.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&str> {
        values(&self.headers, name)
    }

    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The values of one header, in order.
pub(crate) fn values<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    let named = headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.as_str()).collect()
}

/// A request under way.
#[derive(Debug)]
pub struct Call {
    socket: TcpStream,
    head_only: bool,
    deadline: Instant,
    doing: String,
}

impl Call {
    /// Reads the response to its end.
    ///
    /// # Errors
    /// When what comes back is not HTTP.
    pub fn finish(mut self) -> Result<Response> {
        let mut seen = Vec::new();
        loop {
            let response = parse(&seen, self.head_only).doing(|| self.doing.clone())?;
            if response.ending == Ending::Complete {
                return Ok(response);
            }
            match read_some(&mut self.socket, &mut seen, self.deadline)
                .doing(|| self.doing.clone())?
            {
                None => {}
                Some(ending) => return Ok(ended(response, ending)),
            }
        }
    }

    /// Reads until the head of the response is there, for a caller that leaves in the middle of a body.
    ///
    /// # Errors
    /// When the exchange ends without one.
    pub fn wait_for_head(&mut self) -> Result<Response> {
        let mut seen = Vec::new();
        loop {
            let response = parse(&seen, self.head_only).doing(|| self.doing.clone())?;
            if response.status != 0 {
                return Ok(response);
            }
            let more = read_some(&mut self.socket, &mut seen, self.deadline);
            if let Some(ending) = more.doing(|| self.doing.clone())? {
                return Err(Error::new(self.doing.clone(), format!("no response: {ending:?}")));
            }
        }
    }

    /// Leaves without waiting for what is still to come.
    ///
    /// # Errors
    /// When the socket cannot be told to.
    pub fn leave(mut self, leave: Leave) -> Result<()> {
        let doing = || format!("leaving {}", self.doing);
        match leave {
            Leave::Close => {
                match self.socket.shutdown(Shutdown::Write) {
                    Err(reason) if reason.kind() != ErrorKind::NotConnected => Err(reason),
                    Ok(()) | Err(_) => Ok(()),
                }
                .doing(doing)?;
                // A socket that is dropped with something unread sends a RST after its FIN: give the
                // peer a moment to see the FIN and close its own side.
                let deadline = Instant::now() + Duration::from_secs(2);
                let mut unread = Vec::new();
                while let Ok(None) = read_some(&mut self.socket, &mut unread, deadline) {
                    unread.clear();
                }
                Ok(())
            }
            Leave::Reset => {
                SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).doing(doing)
            }
        }
    }
}

/// Sends all requests at once, each on a connection of its own; the results are in the same order.
pub fn send_all(port: u16, requests: &[Request]) -> Vec<Result<Response>> {
    thread::scope(|scope| {
        let calls: Vec<_> = requests.iter().map(|it| scope.spawn(move || it.send(port))).collect();
        let lost = || Error::new("sending requests at once", "a thread panicked");
        calls.into_iter().map(|call| call.join().unwrap_or_else(|_| Err(lost()))).collect()
    })
}

/// Sends bytes as they are, and reads until the peer is done or has been silent `within` that time.
///
/// # Errors
/// When the connection cannot be made, or breaks in another way than by FIN or RST.
pub fn send_raw(port: u16, bytes: &[u8], within: Duration) -> Result<(Vec<u8>, Ending)> {
    let doing = || format!("sending {} bytes to port {port}", bytes.len());
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).doing(doing)?;
    socket.write_all(bytes).doing(doing)?;
    let mut seen = Vec::new();
    loop {
        let deadline = Instant::now() + within;
        if let Some(ending) = read_some(&mut socket, &mut seen, deadline).doing(doing)? {
            return Ok((seen, ending));
        }
    }
}

/// Appends what comes next; `Some` when nothing will come any more.
fn read_some(
    socket: &mut TcpStream,
    seen: &mut Vec<u8>,
    deadline: Instant,
) -> std::io::Result<Option<Ending>> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Ok(Some(Ending::Silent));
    }
    socket.set_read_timeout(Some(left))?;
    let mut buffer = [0; 16 * 1024];
    match socket.read(&mut buffer) {
        Ok(0) => Ok(Some(Ending::Closed)),
        Ok(length) => {
            seen.extend(buffer.iter().take(length));
            Ok(None)
        }
        Err(reason) if reason.kind() == ErrorKind::ConnectionReset => Ok(Some(Ending::Reset)),
        Err(reason) if reason.kind() == ErrorKind::Interrupted => Ok(None),
        Err(reason) if matches!(reason.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Ok(Some(Ending::Silent))
        }
        Err(reason) => Err(reason),
    }
}

/// A response that says neither how long it is nor that it is chunked is complete when its peer closes.
fn ended(mut response: Response, ending: Ending) -> Response {
    let framed = !response.values("content-length").is_empty()
        || !response.values("transfer-encoding").is_empty();
    let until_close = ending == Ending::Closed && response.status != 0 && !framed;
    response.ending = if until_close { Ending::Complete } else { ending };
    response
}

/// The response as far as the bytes go; its ending is `Silent` until it is complete.
fn parse(seen: &[u8], head_only: bool) -> Result<Response, String> {
    let mut slots = [httparse::EMPTY_HEADER; 128];
    let mut head = httparse::Response::new(&mut slots);
    let none = Response { status: 0, headers: vec![], body: vec![], ending: Ending::Silent };
    let status = head.parse(seen).map_err(|error| {
        let start = String::from_utf8_lossy(seen.get(..80).unwrap_or(seen)).into_owned();
        format!("not an HTTP response ({error}): {start:?}")
    })?;
    let httparse::Status::Complete(length) = status else {
        return Ok(none);
    };
    let rest = seen.get(length..).unwrap_or_default();
    let status = head.code.unwrap_or(0);
    if (100..200).contains(&status) && status != 101 {
        return parse(rest, head_only);
    }
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = head.headers.iter();
    let headers = headers.map(|it| (it.name.to_ascii_lowercase(), text(it.value))).collect();
    let mut response = Response { status, headers, body: vec![], ending: Ending::Silent };
    let chunked = response.values("transfer-encoding").iter().any(|it| it.contains("chunked"));
    let stated = response.values("content-length").first().and_then(|it| it.parse().ok());
    let complete = if head_only || matches!(status, 101 | 204 | 304) {
        true
    } else if chunked {
        unchunk(rest, &mut response.body)?
    } else {
        let length = stated.unwrap_or(usize::MAX);
        response.body.extend(rest.iter().take(length));
        response.body.len() == length
    };
    if complete {
        response.ending = Ending::Complete;
    }
    Ok(response)
}

/// Appends the content of the chunks; whether the last one and the end of the trailers were there.
fn unchunk(mut rest: &[u8], body: &mut Vec<u8>) -> Result<bool, String> {
    loop {
        let size = httparse::parse_chunk_size(rest);
        let size = size.map_err(|_| "a chunk without a size".to_owned())?;
        let httparse::Status::Complete((start, size)) = size else {
            return Ok(false);
        };
        let content = rest.get(start..).unwrap_or_default();
        if size == 0 {
            return Ok(content.starts_with(b"\r\n") || content.ends_with(b"\r\n\r\n"));
        }
        let size = usize::try_from(size).map_err(|_| "a chunk without bounds".to_owned())?;
        body.extend(content.iter().take(size));
        match content.get(size..).and_then(|end| end.get(2..)) {
            Some(next) => rest = next,
            None => return Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_is_complete_with_its_last_chunk_only() {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (body, text, ending) in [
            ("5\r\nhello\r\n", "hello", Ending::Silent),
            ("5\r\nhel", "hel", Ending::Silent),
            ("5\r\nhello\r\n0\r\n\r\n", "hello", Ending::Complete),
            ("1\r\na\r\n1\r\nb\r\n0\r\nx: y\r\n\r\n", "ab", Ending::Complete),
        ] {
            let response = parse(&[head, body.as_bytes()].concat(), false).unwrap();
            assert_eq!((response.text().as_str(), response.ending), (text, ending), "{body:?}");
        }
    }

    #[test]
    fn duplicate_headers_are_kept_in_order() {
        let seen = b"HTTP/1.1 503 X\r\nVia: a\r\nvia: b\r\nContent-Length: 0\r\n\r\n";
        let response = parse(seen, false).unwrap();
        assert_eq!(response.values("via"), ["a", "b"]);
        assert_eq!((response.status, response.ending), (503, Ending::Complete));
    }

    #[test]
    fn an_informational_response_is_not_the_response() {
        let seen = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(parse(seen, false).unwrap().status, 204);
    }

    #[test]
    fn what_is_not_http_is_an_error_that_shows_it() {
        assert!(parse(b"SSH-2.0-x\r\n", false).unwrap_err().contains("SSH-2.0"));
    }
}
