//! A web server with configurable answers that records requests.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub method: String,
    pub path: String,
    /// Headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    pub at: Instant,
}

impl Request {
    /// The value of a header, empty if there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(header, _)| header == name).map_or("", |(_, value)| value)
    }
}

/// An answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// The delay before the first byte.
    pub pause: Duration,
    /// The delay between any two bytes.
    pub drip: Duration,
    /// The number of bytes that are sent.
    pub cut: Option<usize>,
}

impl Answer {
    pub(super) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    pub(super) fn status(status: u16) -> Self {
        Self { status, body: b"<html>no</html>".into(), ..Self::default() }
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn send(&self, stream: &mut UnixStream) -> std::io::Result<()> {
        thread::sleep(self.pause);
        let mut bytes =
            format!("HTTP/1.1 {} As told\r\nContent-Length: {}\r\n", self.status, self.body.len()).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes.truncate(self.cut.unwrap_or(usize::MAX));
        let step = if self.drip.is_zero() { bytes.len().max(1) } else { 1 };
        for piece in bytes.chunks(step) {
            stream.write_all(piece)?;
            thread::sleep(self.drip);
        }
        Ok(())
    }
}

type Rule = dyn Fn(&Request) -> Answer + Send + Sync;

/// A metadata service.
#[derive(Clone)]
pub(super) struct Service {
    rule: Arc<Rule>,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Service {
    pub(super) fn new(rule: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self { rule: Arc::new(rule), asked: Arc::default() }
    }

    /// Makes the answers of `trouble` take precedence; its argument is the number of previous
    /// requests.
    pub(super) fn troubled(self, trouble: impl Fn(usize, &Request) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let asked = Arc::clone(&self.asked);
        let rule = self.rule;
        let count = Arc::clone(&asked);
        let rule = move |request: &Request| {
            let before = count.lock().expect("no panic").len() - 1;
            trouble(before, request).unwrap_or_else(|| rule(request))
        };
        Self { rule: Arc::new(rule), asked }
    }

    /// All requests so far.
    pub(super) fn asked(&self) -> Vec<Request> {
        self.asked.lock().expect("no panic").clone()
    }

    pub(super) fn serve(&self, listener: UnixListener) {
        let service = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let service = service.clone();
                thread::spawn(move || service.answer(stream));
            }
        });
    }

    fn answer(&self, mut stream: UnixStream) -> Option<()> {
        let mut lines = BufReader::new(stream.try_clone().ok()?).lines().map_while(Result::ok);
        let first = lines.next()?;
        let [method, path, "HTTP/1.1"] = first.split(' ').collect::<Vec<_>>()[..] else { return None };
        let headers = lines.by_ref().take_while(|line| !line.is_empty());
        let headers = headers.filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_lowercase(), value.to_owned()))
        });
        let request =
            Request { method: method.into(), path: path.into(), headers: headers.collect(), at: Instant::now() };
        self.asked.lock().expect("no panic").push(request.clone());
        (self.rule)(&request).send(&mut stream).ok()
    }
}
