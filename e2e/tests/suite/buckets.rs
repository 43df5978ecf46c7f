//! Checkpoints in an object store: workers go on with each other's trials though they have no file system in common.

use tunesmith_e2e::{Bucket, Coordinator, ProbeStudy, Records, Storage, Worker, eventually};

use crate::world::{LEASE, STUDY, assert_went_on};

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_whose_worker_is_lost_goes_on_elsewhere_from_its_newest_checkpoint_in_a_bucket() {
    let coordinator = Coordinator::start(&Storage::Sqlite, LEASE).await;
    let bucket = Bucket::create();
    let first = Worker::start_with(&coordinator, "first", &bucket);
    let (records, mut api) = (Records::new(), coordinator.api());
    let options_of_program = ["--steps=9", "--checkpoint-every=1", "--hold-at=6"];
    let study = ProbeStudy::new("lost", &records, 1, &options_of_program);
    api.create(&study.budget("trials: 1").yaml()).await;
    eventually("the newest checkpoint is known", async || {
        let trials = api.clone().trials("lost").await;
        let checkpoint = trials.first().and_then(|trial| trial.checkpoint.as_ref());
        match checkpoint.map(|checkpoint| checkpoint.step) {
            Some(5) => Ok(()),
            _ => Err(format!("{trials:?}")),
        }
    })
    .await;
    drop(first); // its machine is gone, with all that it had on its disk
    let second = Worker::start_with(&coordinator, "second", &bucket);
    records.release();
    api.done("lost", STUDY).await;
    assert_went_on(&mut api, &records, "lost", 6..=9).await;
    let log = std::fs::read_to_string(second.folder().join("worker.log")).unwrap();
    let secret = &bucket
        .variables
        .iter()
        .find(|(name, _)| name == "AWS_SECRET_ACCESS_KEY");
    assert!(!log.contains(&secret.unwrap().1), "a secret in the log");
}
