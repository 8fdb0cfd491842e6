//! gRPC calls over the HTTP/2 client: a [`Call`] is a request, a [`Reply`] a response, read as gRPC.
//!
//! Messages are bytes on the way out and in; those of the mock server's service are in
//! [`crate::mock::proto`]. The framing is here once, for the mock server too.

use std::thread;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use prost::Message;

use crate::client::Request;
use crate::http2::{Connection, Ending, Response};
use crate::mock::{percent_decoded, proto};
use crate::{Doing as _, Error, Result};

/// The mock server's service.
pub const SERVICE: &str = "mock.MockService";

pub(crate) const CONTENT: HeaderValue = HeaderValue::from_static("application/grpc");
pub(crate) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// A call with one message, built up and then sent to a port on loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    request: Request,
}

/// What came back, read as gRPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code, from the trailers or from headers that ended the stream. `None` when there is
    /// no such header: the stream did not end in good order, or it was not gRPC.
    pub status: Option<u32>,
    /// What the status says in words, percent-decoded.
    pub message: Option<String>,
    /// The messages, each as it was encoded; one that did not arrive in full is left out.
    pub messages: Vec<Vec<u8>>,
    /// The HTTP/2 response that carried it: HTTP status, headers, trailers, and how it ended.
    pub response: Response,
}

impl Call {
    /// A call of a method of the mock server's service, such as `Delay`.
    pub fn new(method: &str, message: &impl Message) -> Self {
        Self::at(format!("/{SERVICE}/{method}"), &message.encode_to_vec())
    }

    /// A call of any method, by its path, such as `/package.Service/Method`.
    pub fn at(path: impl Into<String>, message: &[u8]) -> Self {
        let request = Request::new("POST", path)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(framed(message));
        Self { request }
    }

    /// A call of the mock server's `Status`, whose failure comes in headers that end the stream.
    #[must_use]
    pub fn status(code: u32) -> Self {
        Self::new("Status", &proto::StatusRequest { code, after_headers: false })
    }

    /// A call of the mock server's `Status`, whose failure comes in trailers behind headers.
    #[must_use]
    pub fn status_after_headers(code: u32) -> Self {
        Self::new("Status", &proto::StatusRequest { code, after_headers: true })
    }

    /// A call of any other method of the mock server: all of them take a pause in milliseconds.
    #[must_use]
    pub fn pause(method: &str, milliseconds: u64) -> Self {
        Self::new(method, &proto::PauseRequest { milliseconds })
    }

    /// Adds a query to the path; the mock server takes response headers from it, see
    /// [`crate::mock::ENDPOINTS`].
    #[must_use]
    pub fn query(mut self, query: &str) -> Self {
        self.request.path += &format!("?{query}");
        self
    }

    /// Adds a header, such as `grpc-timeout`.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Sets what is said on the connection before HTTP/2 begins.
    #[must_use]
    pub fn behind(mut self, preamble: impl Into<Vec<u8>>) -> Self {
        self.request = self.request.behind(preamble);
        self
    }

    /// Sets how long to wait for the end of the response: 30 s unless said otherwise.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.request = self.request.within(within);
        self
    }

    /// The request that carries the call, for [`Connection::start`] and what else takes one.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Calls on a connection of its own and reads the response to its end, whatever that is.
    ///
    /// # Errors
    /// When the connection cannot be made, or what comes back is not HTTP/2 or not gRPC.
    pub fn send(&self, port: u16) -> Result<Reply> {
        Reply::read(self.request.send_http2(port)?)
    }

    /// Calls on an open connection and reads the response to its end, whatever that is.
    ///
    /// # Errors
    /// When the connection has ended already, or what comes back is not HTTP/2 or not gRPC.
    pub fn send_on(&self, connection: &Connection) -> Result<Reply> {
        Reply::read(connection.send(&self.request)?)
    }

    /// Calls, waits until `condition` holds, and cancels; see [`Request::cancel_http2`].
    ///
    /// # Errors
    /// When the connection cannot be made, or the condition does not hold `within` the call's time.
    pub fn cancel(&self, port: u16, condition: impl FnMut() -> bool) -> Result<()> {
        self.request.cancel_http2(port, condition)
    }
}

impl Reply {
    /// Reads a response as gRPC.
    ///
    /// # Errors
    /// When its content is not messages of gRPC, or its status is not a number.
    pub fn read(response: Response) -> Result<Self> {
        let doing = || "reading a gRPC response".to_owned();
        let is_grpc = response
            .values("content-type")
            .iter()
            .any(|content| content.starts_with("application/grpc"));
        let messages = if is_grpc { unframed(&response.body).doing(doing)? } else { Vec::new() };
        let messages = messages.into_iter().map(<[u8]>::to_vec).collect();
        let either = |name: &HeaderName| {
            let mut values = response.trailer_values(name.as_str());
            if response.head_only {
                values = response.values(name.as_str());
            }
            values.first().map(|value| (*value).to_owned())
        };
        let status = either(&STATUS).map(|code| code.parse::<u32>()).transpose().doing(doing)?;
        let message = either(&MESSAGE)
            .map(|text| String::from_utf8_lossy(&percent_decoded(&text)).into_owned());
        Ok(Self { status, message, messages, response })
    }

    /// Whether the status came in headers that ended the stream ("trailers-only").
    #[must_use]
    pub fn trailers_only(&self) -> bool {
        self.response.head_only && self.status.is_some()
    }

    /// How the stream ended.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.response.ending
    }
}

/// Makes all calls at once, each on a connection of its own; the results are in the same order.
pub fn send_all(port: u16, calls: &[Call]) -> Vec<Result<Reply>> {
    thread::scope(|scope| {
        let calls: Vec<_> = calls.iter().map(|call| scope.spawn(move || call.send(port))).collect();
        let lost = || Error::new("making calls at once", "a thread panicked");
        calls.into_iter().map(|call| call.join().unwrap_or_else(|_| Err(lost()))).collect()
    })
}

/// Makes all calls at once on one connection; the results are in the same order.
pub fn send_all_on(connection: &Connection, calls: &[Call]) -> Vec<Result<Reply>> {
    let requests: Vec<_> = calls.iter().map(|call| call.request.clone()).collect();
    let responses = connection.send_all(&requests).into_iter();
    responses.map(|response| Reply::read(response?)).collect()
}

/// One message with its prefix: not compressed, and its length.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    // A message of four gigabytes would be another test's.
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], message].concat()
}

/// The messages that are there in full.
pub(crate) fn unframed(mut body: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut messages = Vec::new();
    while let Some((prefix, rest)) = body.split_first_chunk::<5>() {
        let [compressed, length @ ..] = *prefix;
        if compressed != 0 {
            return Err(format!("a message with the compression {compressed}: {prefix:?}"));
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        let Some((message, rest)) = rest.split_at_checked(length) else { break };
        messages.push(message);
        body = rest;
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_what_was_framed_without_the_one_that_is_cut_short() {
        let body = [framed(b"one"), framed(b""), framed(b"three")].concat();
        assert_eq!(unframed(&body).unwrap(), [&b"one"[..], b"", b"three"]);
        assert_eq!(unframed(&body[..body.len() - 1]).unwrap(), [&b"one"[..], b""]);
        assert!(unframed(&[1, 0, 0, 0, 0]).unwrap_err().contains("compression"));
    }
}
