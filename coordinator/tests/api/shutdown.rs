//! Stopping in order, whatever clients do.

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tunesmith_proto::v1;

use crate::support::{World, connect, refused, soon, spec};

#[tokio::test(flavor = "multi_thread")]
async fn idle_streams_and_silent_connections_do_not_hold_up_the_end() {
    let world = World::start().await;
    world.create(spec("s")).await;
    let address = world.running.address;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let (_say, nothing) = tokio::sync::mpsc::channel(1);
    let mut session = world
        .workers()
        .open_session(ReceiverStream::new(nothing))
        .await
        .unwrap()
        .into_inner();
    let watch = v1::WatchStudyRequest {
        name: "studies/s".to_owned(),
        include_points: false,
    };
    let mut watch = world.studies().watch_study(watch).await.unwrap().into_inner();
    assert!(soon(watch.message()).await.unwrap().is_some());
    let mut health = HealthClient::new(connect(address).await);
    let asked = HealthCheckRequest {
        service: "tunesmith.v1.StudyService".to_owned(),
    };
    let mut states = health.watch(asked).await.unwrap().into_inner();
    assert_eq!(
        soon(states.message()).await.unwrap().unwrap().status(),
        ServingStatus::Serving
    );

    let stopped = tokio::time::timeout(std::time::Duration::from_secs(15), world.running.stop());
    let (stopped, ..) = tokio::join!(stopped, async {
        assert_eq!(
            soon(states.message()).await.unwrap().unwrap().status(),
            ServingStatus::NotServing
        );
        refused(
            soon(watch.message()).await,
            Code::Unavailable,
            "UNAVAILABLE",
            "stopping",
        );
        refused(
            soon(session.message()).await,
            Code::Unavailable,
            "UNAVAILABLE",
            "come back",
        );
    });
    stopped.expect("the end was held up");
    let mut byte = [0];
    let read = soon(silent.read(&mut byte)).await;
    assert!(
        matches!(read, Ok(0) | Err(_)),
        "the silent connection is still open"
    );
    assert!(!world.folder.path().join("address").exists());
    assert!(TcpStream::connect(address).await.is_err());
}
