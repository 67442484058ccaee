//! A way to a server on this machine that can be cut as networks are: without a word.

use std::net::Ipv4Addr;

use anyhow::Result;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Passes connections on to a port of 127.0.0.1. Dropping it ends them all, and takes no more.
pub struct Proxy {
    port: u16,
    silenced: watch::Sender<()>,
    _accepting: AbortOnDropHandle<()>,
}

impl Proxy {
    /// Takes connections on a free port.
    pub async fn start(target: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let silenced = watch::Sender::new(());
        let accepted = silenced.clone();
        let accepting = AbortOnDropHandle::new(tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                connections.spawn(pass(near, target, accepted.subscribe()));
            }
        }));
        Ok(Self { port, silenced, _accepting: accepting })
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on nothing passes on the connections there are, and neither end is notified. New ones work.
    pub fn silence(&self) {
        self.silenced.send_replace(());
    }
}

async fn pass(mut near: TcpStream, target: u16, mut silenced: watch::Receiver<()>) {
    let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        Ok(()) = silenced.changed() => std::future::pending().await,
    }
}
