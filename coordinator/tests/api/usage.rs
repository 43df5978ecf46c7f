//! What is in use on machines, and what waits for a place, as people see it.

use tonic::Code;
use tunesmith_proto::v1;
use tunesmith_proto::v1::open_session_request::Message as Say;
use tunesmith_proto::v1::open_session_response::Message as Hear;

use crate::session::{Worker, assignment, ended, hello};
use crate::support::{World, soon, spec_for_workers};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_says_is_in_use_is_shown_and_stays_with_the_attempt() {
    let world = World::start().await;
    let mut said = hello();
    said.resources.as_mut().unwrap().gpus = ["GPU-0", "GPU-1"]
        .map(|uuid| v1::Gpu {
            uuid: uuid.to_owned(),
            ..Default::default()
        })
        .into();
    let (mut worker, answer) = Worker::join(&world, said).await;
    assert!(answer.usage_interval.is_some(), "workers are asked");
    let mut spec = spec_for_workers("s");
    spec.trial.as_mut().unwrap().resources = Some(v1::ResourceRequest {
        gpus: 1,
        ..Default::default()
    });
    spec.budget.as_mut().unwrap().trials = Some(2);
    world.create(spec).await;
    let assigned = assignment(&mut worker).await;
    let lease = assigned.lease.unwrap();
    // The one slot is taken, and the second trial waits.
    let queue = soon(async {
        loop {
            let queue = world
                .pool()
                .list_queue(v1::ListQueueRequest {})
                .await
                .unwrap()
                .into_inner();
            if queue
                .studies
                .first()
                .is_some_and(|study| !study.reason.is_empty())
            {
                break queue;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let waiting = &queue.studies[0];
    assert_eq!(
        (
            &*waiting.study,
            waiting.waiting,
            waiting.running,
            waiting.priority
        ),
        ("studies/s", 1, 1, 1)
    );
    assert_eq!(
        waiting.reason,
        "the one slot of the one worker that would fit is busy"
    );

    worker
        .say(Say::Started(v1::AttemptStarted {
            lease: Some(lease.clone()),
            pid: 7,
            started_at: None,
        }))
        .await;
    let series = |seconds: &[u32]| v1::UsageSeries {
        seconds: seconds.to_vec(),
        cpu_millis: seconds.iter().map(|seconds| seconds * 100).collect(),
        memory_bytes: vec![1 << 20; seconds.len()],
        gpu_percent: vec![88; seconds.len()],
        gpu_memory_bytes: vec![1 << 30; seconds.len()],
        group: 1,
        last: 1,
    };
    let report = |seconds: &[u32], whole, of: &v1::Lease| {
        Say::Usage(v1::UsageReport {
            machine: Some(v1::MachineUsage {
                cpus: 1.5,
                all_cpus: 2.0,
                memory_bytes: 5,
                all_memory_bytes: 9,
            }),
            gpus: vec![v1::GpuUsage {
                uuid: assigned.gpus[0].clone(),
                percent: Some(88),
                memory_bytes: Some(3),
                ..Default::default()
            }],
            attempts: vec![v1::AttemptUsage {
                lease: Some(of.clone()),
                series: Some(series(seconds)),
                whole,
            }],
        })
    };
    worker.say(report(&[5, 10], true, &lease)).await;
    worker.say(report(&[15], false, &lease)).await;
    // Of one that it has not: ignored.
    worker
        .say(report(
            &[99],
            true,
            &v1::Lease {
                trial: 9,
                ..lease.clone()
            },
        ))
        .await;
    let get = async || {
        let request = v1::GetTrialRequest {
            name: "studies/s/trials/1".to_owned(),
        };
        let answer = world.trials().get_trial(request).await;
        answer.unwrap().into_inner().trial.unwrap()
    };
    let used = soon(async {
        loop {
            let trial = get().await;
            match trial.attempts[0].usage.clone() {
                Some(used) if used.seconds.len() == 3 => break used,
                _ => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    assert_eq!(used.seconds, [5, 10, 15]);
    assert_eq!((used.cpu_millis[2], used.gpu_percent[2]), (1_500, 88));
    let workers = world
        .pool()
        .list_workers(v1::ListWorkersRequest {})
        .await
        .unwrap()
        .into_inner()
        .workers;
    assert_eq!(workers[0].usage.unwrap().memory_bytes, 5);
    let gpus: Vec<(Option<u32>, &str)> = workers[0]
        .gpu_usage
        .iter()
        .map(|gpu| (gpu.percent, &*gpu.trial))
        .collect();
    assert_eq!(
        workers[0]
            .gpu_usage
            .iter()
            .map(|gpu| &*gpu.uuid)
            .collect::<Vec<_>>(),
        ["GPU-0", "GPU-1"]
    );
    let has = usize::from(assigned.gpus[0] == "GPU-1");
    assert_eq!(
        (gpus[has], gpus[1 - has]),
        ((Some(88), "studies/s/trials/1"), (None, ""))
    );

    // What it says in the end is what is kept.
    let end = v1::AttemptEnded {
        usage: Some(series(&[5, 10, 15, 20])),
        ..ended(&lease, 0)
    };
    worker.say(Say::Ended(end)).await;
    while !matches!(worker.hear().await.unwrap(), Hear::Forget(_)) {}
    let trial = get().await;
    assert_eq!(trial.attempts[0].usage.as_ref().unwrap().seconds, [5, 10, 15, 20]);

    // What cannot be is refused.
    worker
        .say(Say::Usage(v1::UsageReport {
            attempts: vec![v1::AttemptUsage {
                lease: Some(lease),
                series: Some(v1::UsageSeries {
                    gpu_percent: vec![101],
                    ..series(&[1])
                }),
                whole: true,
            }],
            ..Default::default()
        }))
        .await;
    let refused = loop {
        match worker.hear().await {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    assert!(refused.message().contains("gpu_percent"), "{refused:?}");
}
