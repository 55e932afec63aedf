//! What the proxy does to connections.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use robustmq_fault_proxy::{Direction, FaultProxy, Faults};

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Short, to see that nothing comes.
const MOMENT: Duration = Duration::from_millis(100);

struct Target {
    listener: TcpListener,
}

impl Target {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        Self { listener }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("an address")
    }
}

fn connect(proxy: &FaultProxy, target: &Target) -> (TcpStream, TcpStream) {
    let before = proxy.passed().connections;
    let near = TcpStream::connect(proxy.address()).expect("it accepts");
    let (far, _) = target.listener.accept().expect("it reaches the target");
    // The target's kernel may accept before the proxy knows of it.
    until("it is forwarded", || proxy.passed().connections > before);
    for stream in [&near, &far] {
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("it can be set");
        stream.set_nodelay(true).expect("it can be set");
    }
    (near, far)
}

fn proxied() -> (FaultProxy, Target) {
    let target = Target::start();
    (FaultProxy::start(target.address()).expect("a port"), target)
}

fn comes(stream: &mut TcpStream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes).expect("it comes");
    assert_eq!(bytes, expected);
}

fn nothing_comes(stream: &mut TcpStream) {
    stream
        .set_read_timeout(Some(MOMENT))
        .expect("it can be set");
    let error = stream.read(&mut [0]).expect_err("nothing comes");
    assert!(
        matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{error}"
    );
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("it can be set");
}

fn is_reset(stream: &mut TcpStream) {
    let error = stream.read(&mut [0; 16]).expect_err("it is reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_healthy_link_passes_everything_both_ways_and_its_end() {
    let (proxy, target) = proxied();
    let (mut near, mut far) = connect(&proxy, &target);
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
    let sent = large.clone();
    let sending = thread::spawn(move || {
        near.write_all(&sent).expect("it is taken");
        near.shutdown(std::net::Shutdown::Write)
            .expect("it is taken");
        comes(&mut near, b"back");
        assert_eq!(near.read(&mut [0]).expect("the end"), 0);
    });
    let mut came = Vec::new();
    far.read_to_end(&mut came).expect("it comes");
    assert!(came == large, "{} bytes", came.len());
    // Half closed: the other direction goes on.
    far.write_all(b"back").expect("it is taken");
    drop(far);
    sending.join().expect("it is answered");
    until("nothing is left", || proxy.connections() == 0);
    let passed = proxy.passed();
    assert_eq!(
        (
            passed.connections,
            passed.bytes_to_target,
            passed.bytes_from_target
        ),
        (1, 3_000_000, 4)
    );
}

#[test]
fn a_cut_holds_one_direction_and_gives_it_back() {
    for (cut, is_to_target) in [(Direction::ToTarget, true), (Direction::FromTarget, false)] {
        let (proxy, target) = proxied();
        let (near, far) = connect(&proxy, &target);
        let (mut from, mut to) = if is_to_target {
            (near, far)
        } else {
            (far, near)
        };
        proxy.set(cut, Faults::cut());
        from.write_all(b"held").expect("it is taken");
        nothing_comes(&mut to);
        to.write_all(b"other way").expect("it is taken");
        comes(&mut from, b"other way");
        proxy.heal();
        comes(&mut to, b"held");
    }
}

#[test]
fn behind_a_cut_neither_an_end_nor_a_reset_is_seen() {
    let (proxy, target) = proxied();
    for is_reset_there in [false, true] {
        let (mut near, far) = connect(&proxy, &target);
        proxy.set_both(Faults::cut());
        if is_reset_there {
            socket2::SockRef::from(&far)
                .set_linger(Some(Duration::ZERO))
                .expect("it can be set");
        }
        drop(far);
        nothing_comes(&mut near);
        proxy.heal();
        match is_reset_there {
            true => is_reset(&mut near),
            false => assert_eq!(near.read(&mut [0]).expect("the end"), 0),
        }
    }
}

#[test]
fn who_sends_into_a_cut_is_held_up() {
    let (proxy, target) = proxied();
    let (mut near, mut far) = connect(&proxy, &target);
    proxy.set(Direction::ToTarget, Faults::cut());
    near.set_write_timeout(Some(MOMENT * 5))
        .expect("it can be set");
    let chunk = vec![7; 1024 * 1024];
    let mut taken = 0;
    while let Ok(bytes) = near.write(&chunk) {
        taken += bytes;
        assert!(taken < 256 * 1024 * 1024, "no bound");
    }
    proxy.heal();
    drop(near);
    let mut came = Vec::new();
    far.read_to_end(&mut came).expect("it comes");
    assert_eq!(came.len(), taken);
}

#[test]
fn latency_delays_and_keeps_the_order() {
    let (proxy, target) = proxied();
    proxy.set_seed(3);
    let (mut near, mut far) = connect(&proxy, &target);
    let faults = Faults {
        latency: Duration::from_millis(150),
        jitter: Duration::from_millis(50),
        ..Faults::default()
    };
    proxy.set(Direction::ToTarget, faults);
    let began = Instant::now();
    for number in 0..50_u8 {
        near.write_all(&[number]).expect("it is taken");
        thread::sleep(Duration::from_millis(1));
    }
    comes(&mut far, &(0..50).collect::<Vec<u8>>());
    assert!(
        began.elapsed() >= Duration::from_millis(150),
        "{:?}",
        began.elapsed()
    );
    far.write_all(b"at once").expect("it is taken");
    comes(&mut near, b"at once");
}

#[test]
fn a_narrow_link_takes_its_time() {
    let (proxy, target) = proxied();
    let (mut near, mut far) = connect(&proxy, &target);
    proxy.set(Direction::ToTarget, Faults::throttled(100_000));
    let began = Instant::now();
    near.write_all(&[1; 50_000]).expect("it is taken");
    comes(&mut far, &[1; 50_000]);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(400), "{took:?}");
}

#[test]
fn a_reset_is_one_for_both_ends_and_new_connections_are_welcome() {
    let (proxy, target) = proxied();
    let (mut near, mut far) = connect(&proxy, &target);
    proxy.reset();
    is_reset(&mut near);
    is_reset(&mut far);
    let (mut near, mut far) = connect(&proxy, &target);
    near.write_all(b"again").expect("it is taken");
    comes(&mut far, b"again");
}

#[test]
fn a_reset_of_one_end_is_one_of_the_other() {
    let (proxy, target) = proxied();
    let (near, mut far) = connect(&proxy, &target);
    socket2::SockRef::from(&near)
        .set_linger(Some(Duration::ZERO))
        .expect("it can be set");
    drop(near);
    is_reset(&mut far);
}

#[test]
fn refusing_lasts_until_it_is_healed() {
    let (proxy, target) = proxied();
    let (mut near, _far) = connect(&proxy, &target);
    proxy.refuse();
    is_reset(&mut near);
    let mut refused = TcpStream::connect(proxy.address()).expect("the kernel accepts");
    assert!(refused.read(&mut [0]).is_err(), "it is reset");
    proxy.heal();
    connect(&proxy, &target);
}

#[test]
fn another_target_gets_later_connections() {
    let (proxy, target) = proxied();
    connect(&proxy, &target);
    let other = Target::start();
    proxy.set_target(other.address());
    let (mut near, mut far) = connect(&proxy, &other);
    near.write_all(b"moved").expect("it is taken");
    comes(&mut far, b"moved");
}

#[test]
fn with_its_value_the_proxy_ends() {
    let (proxy, target) = proxied();
    let (mut near, mut far) = connect(&proxy, &target);
    let address = proxy.address();
    drop(proxy);
    is_reset(&mut near);
    is_reset(&mut far);
    until("the port is free", || TcpListener::bind(address).is_ok());
}
