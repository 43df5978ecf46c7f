//! A network that can be cut: a TCP proxy between two programs.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// State of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Everything passes.
    Open,
    /// Nothing passes, and all of it passes later: what TCP makes of packets that are lost for a while.
    Stalled,
    /// Nothing passes in either direction, and nobody is told.
    Blackhole,
    /// What the clients send is swallowed; answers pass.
    BlackholeUp,
    /// What the server answers is swallowed.
    BlackholeDown,
}

/// A proxy in front of one address. Ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    link: Arc<watch::Sender<Link>>,
    resets: Arc<watch::Sender<u64>>,
    silences: Arc<watch::Sender<u64>>,
    end: CancellationToken,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl Proxy {
    /// A proxy in front of `target`, on a free loopback port.
    ///
    /// # Panics
    /// If there is no port.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let link = Arc::new(watch::Sender::new(Link::Open));
        let (resets, silences) = (Arc::new(watch::Sender::new(0)), Arc::new(watch::Sender::new(0)));
        let end = CancellationToken::new();
        let accept = accept(
            listener,
            target,
            Arc::clone(&link),
            Arc::clone(&resets),
            Arc::clone(&silences),
            end.clone(),
        );
        #[expect(clippy::disallowed_methods, reason = "ended by its token")]
        tokio::spawn(accept);
        Self {
            address,
            link,
            resets,
            silences,
            end,
        }
    }

    /// Address to connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the state of the network, for connections that exist and new ones.
    pub fn set(&self, link: Link) {
        self.link.send_replace(link);
    }

    /// Breaks every connection.
    pub fn reset(&self) {
        self.resets.send_modify(|count| *count += 1);
    }

    /// Lets nothing pass on any connection that exists, for good, and tells nobody: a firewall that forgot them. New ones are as the link.
    pub fn forget(&self) {
        self.silences.send_modify(|count| *count += 1);
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    link: Arc<watch::Sender<Link>>,
    resets: Arc<watch::Sender<u64>>,
    silences: Arc<watch::Sender<u64>>,
    end: CancellationToken,
) {
    loop {
        let client = tokio::select! {
            () = end.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((client, _)) = client else { continue };
        let (link, mut resets, end) = (link.subscribe(), resets.subscribe(), end.clone());
        let silences = silences.subscribe();
        #[expect(clippy::disallowed_methods, reason = "ended by its token or its connections")]
        tokio::spawn(async move {
            tokio::select! {
                () = end.cancelled() => {}
                _ = resets.changed() => {}
                () = carry(client, target, link, silences) => {}
            }
        });
    }
}

async fn carry(
    client: TcpStream,
    target: SocketAddr,
    link: watch::Receiver<Link>,
    mut silences: watch::Receiver<u64>,
) {
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = pump(&mut from_client, &mut to_server, link.clone(), |link| {
        matches!(link, Link::Open | Link::BlackholeDown)
    });
    let down = pump(&mut from_server, &mut to_client, link, |link| {
        matches!(link, Link::Open | Link::BlackholeUp)
    });
    tokio::select! {
        () = up => {}
        () = down => {}
        Ok(()) = silences.changed() => std::future::pending().await,
    }
}

/// Carries bytes while the link lets them pass. What comes while it does not is lost with the connection: nothing that was
/// swallowed may appear later, so the connection stays silent for good.
async fn pump(
    from: &mut tokio::net::tcp::OwnedReadHalf,
    to: &mut tokio::net::tcp::OwnedWriteHalf,
    mut link: watch::Receiver<Link>,
    passes: impl Fn(Link) -> bool,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut swallowed = false;
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(0) | Err(_) if swallowed => std::future::pending().await,
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        // The state that ended the wait counts: a look of its own could see the next stall, and swallow what is only late. The sender
        // gone is the proxy gone.
        swallowed |= match link.wait_for(|link| *link != Link::Stalled).await {
            Ok(link) => !passes(*link),
            Err(_) => return,
        };
        if !swallowed && to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
