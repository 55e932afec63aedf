//! A relay between two nodes that can stop forwarding without closing anything.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::nodes::any_port;

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    pub(crate) forwards: watch::Sender<bool>,
}

impl Relay {
    pub(crate) async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind(any_port()).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let forwards = watch::Sender::new(true);
        let switch = forwards.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(to).await else {
                    continue;
                };
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                tokio::spawn(forward(near_read, far_write, switch.subscribe()));
                tokio::spawn(forward(far_read, near_write, switch.subscribe()));
            }
        });
        Self { address, forwards }
    }
}

async fn forward(
    mut read: tokio::net::tcp::OwnedReadHalf,
    mut write: tokio::net::tcp::OwnedWriteHalf,
    mut forwards: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(bytes @ 1..) = read.read(&mut buffer).await {
        if forwards.wait_for(|forwards| *forwards).await.is_err() {
            return;
        }
        if write.write_all(&buffer[..bytes]).await.is_err() {
            return;
        }
    }
}
