//! A server that is down for minutes.

use crate::agent::Machine;
use crate::control_plane::{ControlPlane, TOKEN};
use crate::joins::seed;
use crate::refusals::forward;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long the server is down, in seconds; KILN_OUTAGE_SECONDS says otherwise (`make faults`: five minutes).
const OUTAGE: u64 = 12;

/// Whoever connects is turned away, until the server is up. Waits between attempts grow from one second to thirty, each 50 to 100 % of
/// that; nothing is done in between.
#[test]
fn a_server_that_is_down() {
    let plane = ControlPlane::shared();
    let seconds = std::env::var("KILN_OUTAGE_SECONDS").map_or(OUTAGE, |text| text.parse().expect("a number"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let is_up = Arc::new(AtomicBool::new(false));
    let attempts: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let (serves, seen) = (Arc::clone(&is_up), Arc::clone(&attempts));
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            if serves.load(Ordering::SeqCst) {
                forward(client, TcpStream::connect(("127.0.0.1", plane.port)).expect("the API server"));
            } else {
                seen.lock().expect("the list").push(Instant::now());
            }
        }
    });
    let own = format!("127.0.0.1:{}", plane.port);
    let machine = Machine::new(&seed(plane, "outage", TOKEN, "").replace(&own, &format!("127.0.0.1:{port}")));
    let mut agent = machine.boot_by(&["/usr/bin/time", "-f", "%U %S"]);
    let down = Instant::now();
    while down.elapsed() < Duration::from_secs(seconds) {
        assert!(agent.runs(), "it gave up");
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(machine.status("state"), "waiting");
    assert!(!machine.is_joined());
    is_up.store(true, Ordering::SeqCst);
    let up = Instant::now();
    let (code, said) = agent.end();
    assert_eq!(code, Some(0), "{said:#?}");
    println!("down for {seconds} s, joined {:.1} s later", up.elapsed().as_secs_f64());

    let attempts = attempts.lock().expect("the list");
    let waits: Vec<f64> = attempts.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    println!("{} attempts, with waits of {waits:.1?} s", attempts.len());
    let mut full = 1.0_f64;
    for wait in &waits {
        // A busy machine makes a wait longer than the agent does.
        assert!(*wait >= full / 2.0 && *wait <= full + 3.0, "{wait} s where {full} s are due: {waits:.1?}");
        full = (2.0 * full).min(30.0);
    }
    assert!(waits.len() >= 3, "{waits:?}");
    // Nothing is done between attempts.
    let used: f64 =
        said.last().expect("time's line").split(' ').map(|word| word.parse::<f64>().expect("seconds")).sum();
    println!("{used} s of CPU");
    assert!(used < 2.0, "{used} s of CPU");
}
