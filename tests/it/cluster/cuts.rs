//! A broken network: a join is cut off once, at each of many positions.

use crate::cluster::agent::Machine;
use crate::cluster::control_plane::{ControlPlane, TOKEN};
use crate::cluster::joins::seed;
use rustix::net::connect_unspec;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// The distance in bytes of the positions at which joins are cut, unless KILN_CUT_STRIDE is set
/// (`make faults`: 1). A prime, so that it does not divide the size of any message.
const STRIDE: usize = 397;
/// The number of concurrent joins.
const CROWD: usize = 32;

/// How a join is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cut {
    /// In the middle of an answer: the bytes sent so far arrive, then the connection closes.
    Half,
    /// In the middle of an answer, by a reset; some of the bytes sent so far may be lost.
    Reset,
    /// In the middle of a request, by a reset.
    Request,
}

/// The number of bytes that a proxy passes before it cuts one connection.
struct Budget {
    cut: Cut,
    left: AtomicUsize,
}

impl Budget {
    /// How many of `length` bytes in the direction of `answers` still pass; `None` means all.
    fn take(&self, answers: bool, length: usize) -> Option<usize> {
        if answers == (self.cut == Cut::Request) {
            return None;
        }
        let taken =
            self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(length)));
        let before = taken.unwrap_or_default();
        (before > 0 && before <= length).then_some(before)
    }
}

/// A proxy to the API server that cuts one connection when the budget is used up, and passes
/// everything from then on. It accepts no connections after it is dropped.
struct Proxy {
    port: u16,
    ended: Arc<AtomicBool>,
}

impl Proxy {
    fn new(server: u16, budget: Arc<Budget>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let ended = Arc::new(AtomicBool::new(false));
        let is_ended = Arc::clone(&ended);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if is_ended.load(Ordering::SeqCst) {
                    break;
                }
                let upstream = TcpStream::connect(("127.0.0.1", server)).expect("the API server");
                let (up, down) = (Arc::clone(&budget), Arc::clone(&budget));
                let copy = |stream: &TcpStream| stream.try_clone().expect("a socket");
                let (from, to) = (copy(&client), copy(&upstream));
                thread::spawn(move || pass(from, to, &up, false));
                thread::spawn(move || pass(upstream, client, &down, true));
            }
        });
        Self { port, ended }
    }

    /// A seed of `node` whose only API server is this proxy.
    fn seed(&self, plane: &ControlPlane, node: &str) -> String {
        let [own, here] = [plane.port, self.port].map(|port| format!("127.0.0.1:{port}"));
        seed(plane, node, TOKEN, "").replace(&own, &here)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the accepting thread; otherwise `make faults` would run out of sockets.
        TcpStream::connect(("127.0.0.1", self.port)).ok();
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, budget: &Budget, answers: bool) {
    let mut block = [0; 1024];
    while let Ok(length @ 1..) = from.read(&mut block) {
        if let Some(rest) = budget.take(answers, length) {
            to.write_all(&block[..rest]).ok();
            if budget.cut == Cut::Half {
                from.shutdown(Shutdown::Both).ok();
                to.shutdown(Shutdown::Both).ok();
            } else {
                // On Linux, this resets a TCP connection even if others hold the socket.
                connect_unspec(&from).ok();
                connect_unspec(&to).ok();
            }
            return;
        }
        if to.write_all(&block[..length]).is_err() {
            return;
        }
    }
    to.shutdown(Shutdown::Write).ok();
}

/// Joins through a proxy that cuts a connection after `count` bytes; returns whether it was cut,
/// and whether the agent reported that.
fn join(plane: &ControlPlane, node: &str, cut: Cut, count: usize) -> (bool, bool) {
    let budget = Arc::new(Budget { cut, left: AtomicUsize::new(count) });
    let proxy = Proxy::new(plane.port, Arc::clone(&budget));
    let machine = Machine::new(&proxy.seed(plane, node));
    let said = machine.join();
    assert!(machine.is_joined(), "{said:#?}");
    let is_complaint = |line: &String| line.contains("talking to") || line.contains("TLS connection");
    (budget.left.load(Ordering::SeqCst) == 0, said.iter().any(is_complaint))
}

#[test]
fn cut_off_at_every_byte() {
    let plane = ControlPlane::shared();
    let stride = std::env::var("KILN_CUT_STRIDE").map_or(STRIDE, |text| text.parse().expect("a number"));
    for cut in [Cut::Half, Cut::Reset, Cut::Request] {
        // The length of a join is measured without a cut.
        let budget = Arc::new(Budget { cut, left: AtomicUsize::new(usize::MAX) });
        let proxy = Proxy::new(plane.port, Arc::clone(&budget));
        Machine::new(&proxy.seed(plane, &format!("uncut-{cut:?}").to_ascii_lowercase())).join();
        let length = usize::MAX - budget.left.load(Ordering::SeqCst);

        let next = AtomicUsize::new(1);
        let node = |count| format!("cut-{cut:?}-{count}").to_ascii_lowercase();
        let results: BTreeMap<usize, (bool, bool)> = thread::scope(|scope| {
            let work = || {
                let counts = std::iter::from_fn(|| Some(next.fetch_add(stride, Ordering::SeqCst)));
                let counts = counts.take_while(|count| *count <= length);
                counts.map(|count| (count, join(plane, &node(count), cut, count))).collect::<Vec<_>>()
            };
            let crowd: Vec<_> = (0..CROWD).map(|_| scope.spawn(work)).collect();
            crowd.into_iter().flat_map(|worker| worker.join().expect("joined")).collect()
        });
        let was_cut = results.values().filter(|(was_cut, _)| *was_cut).count();
        let noticed = results.values().filter(|(_, noticed)| *noticed).count();
        println!("{cut:?}: {length} bytes; {} joins, {was_cut} of them cut off, {noticed} noticed", results.len());
        // The length of joins varies. And an idle connection may close at any time, so the agent
        // reports nothing when a new one works.
        assert!(was_cut * 10 >= results.len() * 8, "{results:?}");
        assert!(noticed * 3 >= results.len(), "{results:?}");
        let mut requests: BTreeMap<String, usize> = BTreeMap::new();
        plane.all_requests().into_iter().for_each(|(_, node)| *requests.entry(node).or_default() += 1);
        for count in results.keys() {
            assert_eq!(requests.get(&node(*count)), Some(&1), "cut after {count} bytes");
        }
    }
}
