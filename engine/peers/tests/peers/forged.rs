//! Ends that speak the protocol and do not keep to it.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use robustmq_peers::frame::{FrameType, Header, Lane};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::nodes::{Authority, ECHO, Node, PATIENCE, until};

struct Forger {
    stream: TlsStream<TcpStream>,
}

impl Forger {
    /// Connects with the certificate of a node.
    async fn connect(authority: &Authority, certificate: u64, to: &Node) -> Self {
        let files = authority.files(certificate);
        let mut roots = RootCertStore::empty();
        let read = |path| CertificateDer::from_pem_file(path).expect("a certificate");
        roots.add(read(files.ca)).expect("an authority");
        let key = PrivateKeyDer::from_pem_file(files.key).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![read(files.certificate)], key)
            .expect("certificate and key");
        config.alpn_protocols = vec![b"robustmq-peers".to_vec()];
        let stream = TcpStream::connect(to.peers.local_addr())
            .await
            .expect("it accepts");
        let name = ServerName::try_from("cluster.robustmq.internal").expect("a name");
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(name, stream).await.expect("TLS");
        Self { stream }
    }

    async fn send(&mut self, header: Header, chunk: &[u8]) {
        let mut out = BytesMut::new();
        header.encode(&mut out);
        out.put_slice(chunk);
        self.stream.write_all(&out).await.expect("it is sent");
        self.stream.flush().await.expect("it is sent");
    }

    /// Greets as documented in the source of the greeting.
    async fn greet(&mut self, node: u64, versions: (u16, u16)) {
        let mut hello = BytesMut::new();
        hello.put_slice(b"RMQP");
        hello.put_u16_le(versions.0);
        hello.put_u16_le(versions.1);
        hello.put_u64_le(node);
        hello.put_u128_le(1);
        hello.put_u64_le(2);
        hello.put_u64_le(3);
        hello.put_u8(0);
        hello.put_u8(0);
        hello.put_u32_le(1 << 20);
        hello.put_u32_le(100);
        hello.put_u64_le(1 << 20);
        for text in ["one", "127.0.0.1:1", "forged"] {
            hello.put_u16_le(text.len() as u16);
            hello.put_slice(text.as_bytes());
        }
        let header = header(FrameType::Hello, hello.len(), hello.len());
        self.send(header, &hello).await;
    }

    /// All that comes until the other end closes.
    async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut rest));
        let _ = read.await.expect("it is closed");
        String::from_utf8_lossy(&rest).into_owned()
    }
}

fn header(frame_type: FrameType, chunk: usize, body: usize) -> Header {
    Header {
        chunk_bytes: chunk as u32,
        body_bytes: body as u32,
        id: 0,
        kind: ECHO,
        frame_type,
        lane: Lane::Ordered,
    }
}

fn nobody_asked(node: &Node) {
    assert!(node.seen().is_empty(), "{:?}", node.seen());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_says_it_is_a_node_that_its_certificate_does_not_name() {
    let authority = Authority::new(&[1, 2, 3]);
    let one = Node::start(&authority, 1).await;
    let mut forger = Forger::connect(&authority, 3, &one).await;
    forger.greet(2, (1, 1)).await;
    forger.send(header(FrameType::Request, 2, 2), b"hi").await;
    let said = forger.rest().await;
    assert!(
        said.contains("the certificate of node 2 is not for node 2"),
        "{said:?}"
    );
    assert!(
        said.contains("robust-ctl cluster certificates --node 2"),
        "{said:?}"
    );
    until("it counts as refused", || one.peers.stats().refused == 1).await;
    nobody_asked(&one);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_speaks_only_other_versions() {
    let authority = Authority::new(&[1, 2]);
    let one = Node::start(&authority, 1).await;
    let mut forger = Forger::connect(&authority, 2, &one).await;
    forger.greet(2, (700, 800)).await;
    let said = forger.rest().await;
    assert!(
        said.contains("node 2 speaks versions 700 to 800"),
        "{said:?}"
    );
    nobody_asked(&one);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_says_it_is_this_node() {
    let authority = Authority::new(&[1]);
    let one = Node::start(&authority, 1).await;
    let mut forger = Forger::connect(&authority, 1, &one).await;
    forger.greet(1, (1, 1)).await;
    let said = forger.rest().await;
    assert!(said.contains("both ends are node 1"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_asks_before_it_has_greeted() {
    let authority = Authority::new(&[1, 2]);
    let one = Node::start(&authority, 1).await;
    let mut forger = Forger::connect(&authority, 2, &one).await;
    forger.send(header(FrameType::Request, 2, 2), b"hi").await;
    forger.rest().await;
    nobody_asked(&one);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_does_not_keep_to_the_frames_loses_its_connection_only() {
    let authority = Authority::new(&[1, 2, 3]);
    let (one, three) = (
        Node::start(&authority, 1).await,
        Node::start(&authority, 3).await,
    );
    three.ask(&one, ECHO, "before").await.expect("an answer");
    let wrong: [(Header, &[u8]); 4] = [
        // Longer than any body may be.
        (header(FrameType::Request, 1, u32::MAX as usize), b"x"),
        // No end in sight.
        (header(FrameType::Request, 0, 5), b""),
        (header(FrameType::Welcome, 0, 0), b""),
        (header(FrameType::Ping, 1, 2), b"x"),
    ];
    for (number, (header, chunk)) in wrong.into_iter().enumerate() {
        let mut forger = Forger::connect(&authority, 2, &one).await;
        forger.greet(2, (1, 1)).await;
        let lost = || one.peers.stats().connections_lost;
        until("it is welcome", || one.peers.is_connected(2)).await;
        forger.send(header, chunk).await;
        forger.rest().await;
        until("it is let go", || lost() == number as u64 + 1).await;
    }
    assert_eq!(three.ask(&one, ECHO, "after").await, Ok("after".into()));
    assert_eq!(three.peers.stats().connections, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_asks_for_more_than_was_granted_loses_its_connection() {
    let authority = Authority::new(&[1, 2]);
    let one = Node::start(&authority, 1).await;
    let mut forger = Forger::connect(&authority, 2, &one).await;
    forger.greet(2, (1, 1)).await;
    let mut out = BytesMut::new();
    for _ in 0..20_000 {
        let hold = Header {
            kind: crate::nodes::HOLD,
            ..header(FrameType::Request, 0, 0)
        };
        hold.encode(&mut out);
    }
    // The other end may close before it has read them all.
    let _ = forger.stream.write_all(&out).await;
    let _ = forger.stream.flush().await;
    until("it is let go", || one.peers.stats().connections_lost == 1).await;
    assert!(one.seen().len() <= 8_192, "{}", one.seen().len());
}
