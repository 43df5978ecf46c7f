//! What the machine can do without us: the limits that figures are read against.

use std::io::Write as _;
use std::time::Duration;

use serde_json::json;
use sqlx::{Connection as _, Executor as _};
use std::time::Instant as Clock;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::figures::{figure, quantiles, rate, with};

/// Where the bare server listens.
const ECHO: &str = "127.0.0.1:47911";

/// Time of one small durable write.
pub(crate) fn fsync() -> anyhow::Result<()> {
    let mut file = tempfile::tempfile()?;
    let mut times = Vec::new();
    for _ in 0..200 {
        #[expect(
            clippy::disallowed_methods,
            reason = "measures a blocking call outside the runtime's clock"
        )]
        let start = Clock::now();
        file.write_all(&[7; 512])?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    figure("fsync", "-", quantiles(&mut times));
    Ok(())
}

/// Serves calls that do nothing.
pub(crate) async fn serve_echo() -> anyhow::Result<()> {
    let (_, health) = tonic_health::server::health_reporter();
    Server::builder()
        .tcp_nodelay(true)
        .add_service(health)
        .serve(ECHO.parse()?)
        .await?;
    Ok(())
}

/// Bare gRPC calls per second, with 64 clients against a server in a process of its own.
pub(crate) async fn echo(time: Duration) -> anyhow::Result<()> {
    let mut server = Command::new(std::env::current_exe()?)
        .args(["--programs", ".", "--echo-server"])
        .kill_on_drop(true)
        .spawn()?;
    let connect = || async {
        loop {
            match Endpoint::from_shared(format!("http://{ECHO}"))?
                .tcp_nodelay(true)
                .connect()
                .await
            {
                Ok(channel) => return Ok::<Channel, anyhow::Error>(channel),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let mut channels = Vec::new();
    for _ in 0..8 {
        channels.push(connect().await?);
    }
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for client in 0..64 {
        let mut health = HealthClient::new(channels[client % channels.len()].clone());
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while start.elapsed() < time {
                let begin = Instant::now();
                health.check(HealthCheckRequest::default()).await?;
                latencies.push(begin.elapsed());
            }
            Ok::<_, tonic::Status>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    let calls = rate(latencies.len() as u64, start.elapsed());
    figure(
        "bare_grpc",
        "-",
        with(
            json!({"clients": 64, "calls_per_s": calls}),
            quantiles(&mut latencies),
        ),
    );
    server.kill().await?;
    Ok(())
}

/// Rows of points per second that Postgres takes in bulk, one row a point and 256 points a row, by one connection.
pub(crate) async fn bulk_insert(admin: &str, time: Duration) -> anyhow::Result<()> {
    const ROWS: usize = 5_000;
    let mut connection = sqlx::PgConnection::connect(admin).await?;
    connection
        .execute("CREATE TABLE IF NOT EXISTS bench_bulk (trial int8, step int8, value float8)")
        .await?;
    let trials: Vec<i64> = vec![7; ROWS];
    let steps: Vec<i64> = (0..).take(ROWS).collect();
    let values: Vec<f64> = vec![0.5; ROWS];
    let start = Instant::now();
    let mut rows = 0;
    while start.elapsed() < time {
        sqlx::query("INSERT INTO bench_bulk SELECT * FROM UNNEST($1::int8[], $2::int8[], $3::float8[])")
            .bind(&trials)
            .bind(&steps)
            .bind(&values)
            .execute(&mut connection)
            .await?;
        rows += ROWS as u64;
    }
    let elapsed = start.elapsed();
    connection.execute("DROP TABLE bench_bulk").await?;
    figure(
        "bare_bulk_insert",
        "postgres",
        json!({"rows_per_s": rate(rows, elapsed), "rows_per_statement": ROWS}),
    );
    Ok(())
}
