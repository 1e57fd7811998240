//! A network that breaks: a join is cut off once, at each of many places.

use crate::agent::Machine;
use crate::control_plane::{ControlPlane, TOKEN};
use crate::joins::seed;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A server's answers to one join, TLS included, are some 9,000 bytes.
const ANSWERS: usize = 12_000;
/// Not a divisor of anything in them.
const STRIDE: usize = 397;

/// A proxy to the API server that passes `budget` bytes of its answers, over all connections, cuts the one at hand, and passes
/// everything from then on. Returns its port, and what is left to be passed before the cut.
fn cutting(server: u16, budget: usize) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let left = Arc::new(AtomicUsize::new(budget));
    let shared = Arc::clone(&left);
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let upstream = TcpStream::connect(("127.0.0.1", server)).expect("the API server");
            let left = Arc::clone(&shared);
            let (mut from, mut to) = (client.try_clone().expect("a socket"), upstream.try_clone().expect("a socket"));
            thread::spawn(move || {
                std::io::copy(&mut from, &mut to).ok();
                to.shutdown(Shutdown::Write).ok();
            });
            thread::spawn(move || pass(upstream, client, &left));
        }
    });
    (port, left)
}

fn pass(mut from: TcpStream, mut to: TcpStream, left: &AtomicUsize) {
    let mut block = [0; 1024];
    while let Ok(length @ 1..) = from.read(&mut block) {
        let before = left.load(Ordering::SeqCst);
        if before > 0 && before <= length {
            to.write_all(&block[..before]).ok();
            left.store(0, Ordering::SeqCst);
            from.shutdown(Shutdown::Both).ok();
            to.shutdown(Shutdown::Both).ok();
            return;
        }
        left.store(before.saturating_sub(length), Ordering::SeqCst);
        if to.write_all(&block[..length]).is_err() {
            return;
        }
    }
    to.shutdown(Shutdown::Write).ok();
}

#[test]
fn answers_are_cut_off() {
    let plane = ControlPlane::shared();
    let budgets: Vec<usize> = (1..ANSWERS).step_by(STRIDE).collect();
    let joins: Vec<_> = budgets
        .into_iter()
        .map(|budget| {
            thread::spawn(move || {
                let node = format!("cut-{budget}");
                let (port, left) = cutting(plane.port, budget);
                let own = format!("127.0.0.1:{}", plane.port);
                let machine = Machine::new(&seed(plane, &node, TOKEN, "").replace(&own, &format!("127.0.0.1:{port}")));
                let said = machine.join();
                assert!(machine.is_joined());
                assert_eq!(plane.requests(&node).len(), 1, "{said:#?}");
                let cut = left.load(Ordering::SeqCst) == 0;
                (budget, cut, said.iter().any(|line| line.contains("talking to") || line.contains("TLS connection")))
            })
        })
        .collect();
    let results: Vec<_> = joins.into_iter().map(|join| join.join().expect("joined")).collect();
    let noticed = results.iter().filter(|(_, _, noticed)| *noticed).count();
    println!("{} joins, {noticed} of them cut off: {results:?}", results.len());
    // The last bytes may be the goodbye of a connection that is no longer needed.
    assert!(results.iter().take(10).all(|(_, cut, _)| *cut), "{results:?}");
    assert!(noticed >= 10, "{results:?}");
}
