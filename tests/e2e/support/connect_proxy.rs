//! A small HTTP proxy: CONNECT alone, and whatever name is asked for leads to one port of this machine.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the proxy saw of a connection.
#[derive(Clone, Debug, Default)]
pub struct Tunnel {
    /// The request as it came, headers included.
    pub head: String,
    /// The first byte that was sent through the tunnel.
    pub first_byte: Option<u8>,
}

pub struct ConnectProxy {
    port: u16,
    tunnels: Arc<Mutex<Vec<Tunnel>>>,
    accepting: JoinHandle<()>,
}

impl ConnectProxy {
    /// A proxy whose tunnels all lead to this port.
    pub async fn start(target: u16) -> Result<Self> {
        Self::listen(Some(target)).await
    }

    /// A proxy that refuses every request.
    pub async fn refusing() -> Result<Self> {
        Self::listen(None).await
    }

    async fn listen(target: Option<u16>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let tunnels = Arc::<Mutex<Vec<Tunnel>>>::default();
        let seen = Arc::clone(&tunnels);
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(serve(near, target, Arc::clone(&seen)));
            }
        });
        Ok(Self { port, tunnels, accepting })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn tunnels(&self) -> Vec<Tunnel> {
        self.tunnels.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut near: TcpStream, target: Option<u16>, seen: Arc<Mutex<Vec<Tunnel>>>) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 8192 {
        head.push(near.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let Some(port) = target.filter(|_| head.starts_with("CONNECT ")) else {
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(Tunnel { head, first_byte: None });
        near.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await?;
        return Ok(());
    };
    let mut far = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    let first = near.read_u8().await?;
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(Tunnel { head, first_byte: Some(first) });
    far.write_u8(first).await?;
    copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}
