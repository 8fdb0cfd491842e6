//! A scenario of the zoo, and a play of it under way.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream};

use serde_json::Value;

use super::{DOOR, Zoo};
use crate::client::Request;
use crate::envoy::Envoy;
use crate::streams;
use crate::versions::{Before, Since};
use crate::{Doing as _, Error, PATIENCE, Result, wait_until};

/// A way to fail.
pub struct Scenario {
    /// A sentence, which is also its name.
    pub name: &'static str,
    /// The causes of the records that it leads to, in order.
    pub causes: &'static [&'static str],
    /// What Envoy must have for it; any supported one does where there is none.
    pub since: Option<Since>,
    /// What older Envoys come to instead, the oldest first.
    before: [Option<Before>; 2],
    play: fn(&mut Play<'_>) -> Result<()>,
}

/// A row of a group's scenarios.
pub(super) const fn scenario(
    name: &'static str,
    causes: &'static [&'static str],
    play: fn(&mut Play<'_>) -> Result<()>,
) -> Scenario {
    Scenario { name, causes, since: None, before: [None; 2], play }
}

impl Scenario {
    /// The scenario, which needs this.
    pub(super) const fn since(self, since: Since) -> Self {
        Self { since: Some(since), ..self }
    }

    /// The scenario, with these causes before that version. What is said first is of the oldest.
    pub(super) const fn before(
        self,
        version: &'static str,
        causes: &'static [&'static str],
        what: &'static str,
    ) -> Self {
        let before = Some(Before { version, causes, what });
        let before = match self.before {
            [None, _] => [before, None],
            [oldest, _] => [oldest, before],
        };
        Self { before, ..self }
    }

    /// Whether it can be played on this version.
    #[must_use]
    pub fn is_for(&self, envoy: &Envoy) -> bool {
        self.since.is_none_or(|since| envoy.is_since(since.version))
    }

    /// What is different on this version.
    fn before_on(&self, envoy: &Envoy) -> Option<&Before> {
        self.before.iter().flatten().find(|before| !envoy.is_since(before.version))
    }

    /// What older Envoys come to instead, the oldest first.
    pub fn before_versions(&self) -> impl Iterator<Item = &Before> {
        self.before.iter().flatten()
    }

    /// What its file is called on this version.
    #[must_use]
    pub fn file(&self, envoy: &Envoy) -> String {
        match self.before_on(envoy) {
            Some(before) => before.file(self.name),
            None => self.name.to_owned(),
        }
    }

    /// What its files are called, on whatever version.
    pub fn files(&self) -> impl Iterator<Item = String> {
        let before = self.before_versions().map(|before| before.file(self.name));
        [self.name.to_owned()].into_iter().chain(before)
    }

    /// Plays it and returns its records, volatile facts replaced.
    ///
    /// # Errors
    /// When it cannot be provoked; a wrong record is not an error here.
    pub fn play(&self, zoo: &Zoo) -> Result<Vec<Value>> {
        let mut play = Play { name: self.name, zoo, asked: Vec::new() };
        (self.play)(&mut play)?;
        let records = play.asked.into_iter().map(|asked| match asked {
            Asked::Id(id) => zoo.record(&id),
            Asked::Found(record) => Ok(Some(record)),
        });
        records.filter_map(Result::transpose).collect()
    }
}

impl Scenario {
    /// Whether these records of an Envoy have the causes that it expects of one.
    ///
    /// # Errors
    /// When they have not; the error shows the records.
    pub fn check(&self, envoy: &Envoy, records: &[Value]) -> Result<()> {
        let expected = self.before_on(envoy).map_or(self.causes, |before| before.causes);
        let causes = records.iter().filter_map(|record| record.get("cause")?.as_str());
        let causes: Vec<&str> = causes.collect();
        if causes == expected {
            return Ok(());
        }
        let reason = format!("expected {expected:?}, got {causes:?}\n{records:#?}");
        Err(Error::new(self.name, reason))
    }
}

/// A scenario under way.
pub(super) struct Play<'a> {
    pub(super) zoo: &'a Zoo,
    name: &'static str,
    asked: Vec<Asked>,
}

/// A request whose record will be looked for, or a record that was.
enum Asked {
    Id(String),
    Found(Value),
}

impl Play<'_> {
    /// A request id whose record will be looked for.
    pub(super) fn id(&mut self) -> String {
        let id = format!("{}-{}", self.name, self.asked.len() + 1);
        self.asked.push(Asked::Id(id.clone()));
        id
    }

    /// A request whose record will be looked for.
    pub(super) fn get(&mut self, path: &str) -> Request {
        let id = self.id();
        Request::get(path).header("x-request-id", id)
    }

    /// Sends a request to a listener and waits for whatever comes back.
    pub(super) fn ask_at(&mut self, listener: &str, path: &str) -> Result<()> {
        let port = self.port(listener)?;
        self.get(path).send(port).map(drop)
    }

    /// Sends a request through the door and waits for whatever comes back.
    pub(super) fn ask(&mut self, path: &str) -> Result<()> {
        self.ask_at(DOOR, path)
    }

    /// The port of a listener.
    pub(super) fn port(&self, listener: &str) -> Result<u16> {
        self.zoo.proxy.port(listener)
    }

    /// Writes to a listener and keeps the connection until there is the record that begins with this fact.
    pub(super) fn say(
        &mut self,
        listener: &str,
        bytes: &[u8],
        key: &str,
        fact: &str,
    ) -> Result<()> {
        let _socket = self.connect(listener, bytes)?;
        let record = self.zoo.record_that_says(key, fact)?;
        self.asked.push(Asked::Found(record));
        Ok(())
    }

    /// A record that was found elsewhere than by an id.
    pub(super) fn found(&mut self, record: Value) {
        self.asked.push(Asked::Found(self.zoo.normal(record)));
    }

    /// The records of a request that goes on in a second stream when the first is over.
    pub(super) fn both_streams(&mut self, id: &str) -> Result<()> {
        for record in streams::of(&self.zoo.proxy, id, 2)? {
            self.found(record);
        }
        Ok(())
    }

    /// Writes a request that has an id, for `{id}` in its text, and keeps the connection until it has ended.
    pub(super) fn say_with_id(&mut self, listener: &str, text: &str) -> Result<()> {
        let id = self.id();
        let _socket = self.connect(listener, text.replace("{id}", &id).as_bytes())?;
        self.zoo.record(&id).map(drop)
    }

    /// A connection to a listener, with something written to it.
    pub(super) fn connect(&self, listener: &str, bytes: &[u8]) -> Result<TcpStream> {
        connect(self.port(listener)?, bytes)
    }

    /// Waits until the server has the request that was noted last.
    pub(super) fn arrived(&self) -> bool {
        match self.asked.last() {
            Some(Asked::Id(id)) => self.zoo.mock.requests_of(id) > 0,
            Some(Asked::Found(_)) | None => false,
        }
    }

    /// Waits until the server has the request that was noted last.
    pub(super) fn wait_for_arrival(&self) -> Result<()> {
        wait_until(PATIENCE, "the request to reach the server", || self.arrived())
    }

    /// The request that was noted last is not one whose record is looked for.
    pub(super) fn forget(&mut self) {
        self.asked.pop();
    }
}

/// A connection to a port, with something written to it.
pub(super) fn connect(port: u16, bytes: &[u8]) -> Result<TcpStream> {
    let doing = || format!("writing to port {port}");
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).doing(doing)?;
    socket.write_all(bytes).doing(doing)?;
    Ok(socket)
}
