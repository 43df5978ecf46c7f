//! A proxy before a Postgres server that can lose the answer to a commit: the server commits it, the client never hears of it.
//!
//! It knows as much of the protocol as that needs: where messages begin, and which prepared statement a client executes.

use std::collections::HashSet;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// What every statement that changes a study does.
const COMMIT: &[u8] = b"UPDATE study_owner SET commit_seq";
/// Longest message that is believed.
const LONGEST: usize = 64 << 20;

/// A proxy in front of a Postgres server. Ends when dropped.
#[derive(Debug)]
pub struct LostAnswers {
    address: SocketAddr,
    wanted: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    end: CancellationToken,
}

impl Drop for LostAnswers {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl LostAnswers {
    /// A proxy in front of the server at `target`, on a free loopback port.
    ///
    /// # Panics
    /// If there is no port.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (wanted, lost, end) = (
            Arc::<AtomicU64>::default(),
            Arc::<AtomicU64>::default(),
            CancellationToken::new(),
        );
        let accepting = accept(
            listener,
            target,
            Arc::clone(&wanted),
            Arc::clone(&lost),
            end.clone(),
        );
        #[expect(clippy::disallowed_methods, reason = "ended by its token")]
        tokio::spawn(accepting);
        Self {
            address,
            wanted,
            lost,
            end,
        }
    }

    /// `url` with the proxy in place of the server.
    ///
    /// # Panics
    /// If `url` is no address of a database.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let (user, rest) = url.split_once('@').unwrap();
        let (_, database) = rest.split_once('/').unwrap();
        format!("{user}@{}/{database}", self.address)
    }

    /// Loses the answer to the next commit of a study, and breaks its connection.
    pub fn lose_next(&self) {
        self.wanted.fetch_add(1, Ordering::SeqCst);
    }

    /// Answers lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::SeqCst)
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    wanted: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    end: CancellationToken,
) {
    loop {
        let client = tokio::select! {
            () = end.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((client, _)) = client else { continue };
        let (wanted, lost, end) = (Arc::clone(&wanted), Arc::clone(&lost), end.clone());
        #[expect(clippy::disallowed_methods, reason = "ended by its token or its connections")]
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(target).await else {
                return;
            };
            // Answers come as several small messages, which are not to wait for each other.
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let losing = AtomicBool::new(false);
            tokio::select! {
                () = end.cancelled() => {}
                _ = up(from_client, to_server, &wanted, &losing) => {}
                _ = down(from_server, to_client, &losing, &lost) => {}
            }
        });
    }
}

/// Carries the client's messages, and sees when one of them commits.
async fn up(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    wanted: &AtomicU64,
    losing: &AtomicBool,
) -> Result<()> {
    // First the question whether the server speaks TLS (these servers do not), then the start; both without a kind.
    for _ in 0..2 {
        let body = read_body(&mut from).await?;
        to.write_all(&framed(&body)).await?;
    }
    let mut commits: HashSet<Vec<u8>> = HashSet::new();
    loop {
        let kind = from.read_u8().await?;
        let body = read_body(&mut from).await?;
        let mut parts = body.split(|byte| *byte == 0);
        let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        match kind {
            b'P' if second.windows(COMMIT.len()).any(|window| window == COMMIT) => {
                commits.insert(first.to_owned());
            }
            b'B' if commits.contains(second) => {
                let taken =
                    wanted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1));
                losing.fetch_or(taken.is_ok(), Ordering::SeqCst);
            }
            _ => {}
        }
        let mut message = vec![kind];
        message.extend(framed(&body));
        to.write_all(&message).await?;
    }
}

/// Carries the server's messages. In place of an answer that is to be lost it returns, which breaks the connection, when the
/// server has committed.
async fn down(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    losing: &AtomicBool,
    lost: &AtomicU64,
) -> Result<()> {
    to.write_u8(from.read_u8().await?).await?;
    loop {
        let kind = from.read_u8().await?;
        let body = read_body(&mut from).await?;
        if losing.load(Ordering::SeqCst) {
            // "Ready for query" comes after the commit.
            if kind == b'Z' {
                lost.fetch_add(1, Ordering::SeqCst);
                return Ok(());
            }
            continue;
        }
        let mut message = vec![kind];
        message.extend(framed(&body));
        to.write_all(&message).await?;
    }
}

/// The rest of a message: a length that counts itself, and so many bytes.
async fn read_body(from: &mut OwnedReadHalf) -> Result<Vec<u8>> {
    let length =
        usize::try_from(from.read_u32().await?).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
    if !(4..=LONGEST).contains(&length) {
        return Err(Error::new(
            ErrorKind::InvalidData,
            format!("a message of {length} bytes"),
        ));
    }
    let mut body = vec![0; length - 4];
    from.read_exact(&mut body).await?;
    Ok(body)
}

fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&length.to_be_bytes()[..], body].concat()
}
