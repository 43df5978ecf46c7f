//! What trainings cost and what studies may ask for: prices and policies in the coordinator's file, a budget in the study's, and a coordinator that
//! dies in between.

use tunesmith_e2e::{Coordinator, Database, Storage, Worker, eventually};
use tunesmith_proto::v1;

use crate::world::{LEASE, STUDY};

/// A program that says something and runs until it is stopped.
const STUDY_FILE: &str = r#"name: paid
objective: {metric: score, goal: maximize}
space: {x: {type: float, low: 0, high: 1}}
strategy: {name: random, seed: 3}
budget: {cost: 40}
trial:
  command: [sh, -c, 'echo "{{\"score\": 0.5, \"step\": 1}}"; exec sleep 600']
  max_runtime: 1h
"#;

/// Ten a second.
const PRICE: f64 = 36_000.0;

fn prices(per_hour: f64) -> String {
    format!("currency = \"EUR\"\n[[price]]\nlabels = {{zone = \"a\"}}\nper_hour = {per_hour}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_ends_at_its_cost_at_the_price_that_its_trial_began_with() {
    let database = Database::create().await;
    for storage in [Storage::Sqlite, Storage::Postgres(database.clone())] {
        let mut coordinator = Coordinator::start_configured(&storage, LEASE, &prices(PRICE)).await;
        let worker = Worker::start(&coordinator, "first", &["--label", "zone=a"]);
        let mut api = coordinator.api();
        api.create(STUDY_FILE).await;
        eventually("the trial costs something", async || {
            let spending = api.study("paid").await.unwrap().spending.unwrap();
            if spending.cost > 0.0 {
                Ok(())
            } else {
                Err(spending)
            }
        })
        .await;
        // Started again at prices by which a moment would cost more than everything did before.
        coordinator.configure(&prices(1e9 * PRICE));
        coordinator.restart().await;
        let study = api.done("paid", STUDY).await;
        assert_eq!(study.done_reason(), v1::DoneReason::Budget, "{study:?}");
        assert_eq!(study.state_reason, "budget: cost of 40 is used up");
        let spending = study.spending.unwrap();
        assert!((40.0..1e6).contains(&spending.cost), "{spending:?}");
        let [trial] = &api.trials("paid").await[..] else {
            panic!("one trial was paid for")
        };
        assert_eq!(trial.state(), v1::TrialState::TimedOut, "{trial:?}");
        assert_eq!(trial.attempts.len(), 1, "{trial:?}");
        assert_eq!(
            (trial.attempts[0].price_per_hour, trial.attempts[0].cost),
            (PRICE, spending.cost)
        );
        assert_eq!(trial.cost, Some(spending.cost));

        let shown = coordinator.cli(&["study", "show", "paid"]).await.expect_code(0);
        let told = format!("cost {:.2} of 40 EUR", spending.cost);
        assert!(shown.out.contains(&told), "{told} is not in {}", shown.out);
        let shown = coordinator.cli(&["trial", "show", "paid/1"]).await.expect_code(0);
        assert!(
            shown.out.contains(&format!("{:.2} EUR", spending.cost)),
            "{}",
            shown.out
        );
        let exported = coordinator
            .cli(&["study", "export", "paid"])
            .await
            .expect_code(0)
            .json();
        assert_eq!(exported["trials"][0]["trial"]["cost"], spending.cost);
        drop(worker);
    }
    database.drop_database().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_that_says_nothing_of_its_cost_ends_at_that_of_its_policy() {
    let policy = "[[policy]]\nname = \"guests\"\nmax_cost = 20\nmatch = {name_prefix = \"paid\"}\n";
    let config = prices(PRICE) + policy;
    let mut coordinator = Coordinator::start_configured(&Storage::Sqlite, LEASE, &config).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("paid.yaml");
    std::fs::write(&file, STUDY_FILE).unwrap();
    let file = file.display().to_string();
    let refused = coordinator.cli(&["run", &file, "--detach"]).await.expect_code(2);
    let told = "budget.cost: is 40, but the policy \"guests\" has max_cost = 20;";
    assert!(refused.err.contains(told), "{}", refused.err);
    let _ = coordinator
        .cli(&["run", &file, "--detach", "--set", "budget.cost="])
        .await
        .expect_code(0);
    let shown = async |coordinator: &Coordinator| {
        let shown = coordinator.cli(&["study", "show", "paid"]).await.expect_code(0);
        assert!(
            shown.out.contains("guests, which has set budget.cost to 20\n"),
            "{}",
            shown.out
        );
    };
    shown(&coordinator).await;
    // It was set when the study was created, whatever the file says later.
    coordinator.configure(&prices(PRICE));
    coordinator.restart().await;
    let worker = Worker::start(&coordinator, "first", &["--label", "zone=a"]);
    let mut api = coordinator.api();
    let study = api.done("paid", STUDY).await;
    assert_eq!(study.state_reason, "budget: cost of 20 is used up");
    shown(&coordinator).await;
    drop(worker);
}
