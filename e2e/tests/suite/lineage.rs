//! From a study to a closer look at its best part: the zoom that a person types, run by real workers.

use tunesmith_e2e::{Coordinator, Database, Storage, Worker, eventually};
use tunesmith_proto::v1;

use crate::world::{LEASE, STUDY};

/// Programs that print how near they are to (0.3, 0.8).
const STUDY_FILE: &str = r#"name: wide
objective: {metric: near, goal: maximize}
space:
  x: {type: float, low: 0, high: 1}
  y: {type: float, low: 0, high: 1}
  kind: {type: categorical, choices: [plain, odd]}
strategy: {name: sobol, seed: 3}
budget: {trials: 32, parallel: 2}
trial:
  command:
    - awk
    - -v
    - "x={x}"
    - -v
    - "y={y}"
    - 'BEGIN {{ printf "{{\"near\": %.9f, \"step\": 1}}\n", 1 - (x - 0.3) ^ 2 - (y - 0.8) ^ 2 }}'
"#;

fn best(study: &v1::Study) -> f64 {
    study.best.as_ref().and_then(|best| best.value).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zoom_goes_on_from_what_its_parent_found_and_survives_it() {
    let database = Database::create().await;
    for storage in [Storage::Sqlite, Storage::Postgres(database.clone())] {
        let mut coordinator = Coordinator::start(&storage, LEASE).await;
        let worker = Worker::start(&coordinator, "first", &["--slots", "2"]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wide.yaml");
        std::fs::write(&file, STUDY_FILE).unwrap();
        let file = file.display().to_string();
        let _ = coordinator.cli(&["run", &file, "--detach"]).await.expect_code(0);
        let mut api = coordinator.api();
        let wide = api.done("wide", STUDY).await;
        let zoom = [
            "study",
            "zoom",
            "wide",
            "--name",
            "closer",
            "--set",
            "strategy.name=gp",
            "--set",
            "strategy.seed=3",
            "--set",
            "budget.trials=24",
        ];
        let ran = coordinator.cli(&zoom).await.expect_code(0);
        assert!(ran.err.contains("around its trials"), "{}", ran.err);
        assert!(ran.err.contains("It knows from the start: "), "{}", ran.err);
        // Killed in its midst, and its parent deleted: what it knows is its own.
        eventually("some trials have ended", async || {
            let counts = api.study("closer").await.unwrap().counts.unwrap();
            if counts.completed >= 3 {
                Ok(())
            } else {
                Err(counts)
            }
        })
        .await;
        coordinator.restart().await;
        let ran = coordinator.cli(&["study", "delete", "wide", "--yes"]).await;
        let _ = ran.expect_code(0);
        let closer = api.done("closer", STUDY).await;
        assert_eq!(closer.parent.as_ref().unwrap().name, "studies/wide");
        assert!(closer.history[0].taken >= 5, "{:?}", closer.history);
        assert!(
            best(&closer) > best(&wide) && best(&closer) > 0.9999,
            "{} after {}",
            best(&closer),
            best(&wide)
        );
        let ran = coordinator
            .cli(&["study", "replay", "closer"])
            .await
            .expect_code(0);
        assert!(
            ran.out.contains("24 proposals made again and the same"),
            "{}",
            ran.out
        );
        let slice = ["study", "slice", "closer", "--parameter", "x", "--output", "json"];
        let slice = coordinator.cli(&slice).await.expect_code(0).json();
        assert_eq!(slice["slices"][0]["objectives"][0]["metric"], "near");
        // Exported and imported, it knows the same.
        let file = folder.path().join("closer.json").display().to_string();
        let _ = coordinator
            .cli(&["study", "export", "closer", "-o", &file])
            .await
            .expect_code(0);
        let _ = coordinator
            .cli(&["study", "import", &file, "--name", "copy"])
            .await
            .expect_code(0);
        assert_eq!(
            api.study("copy").await.unwrap().history[0].taken,
            closer.history[0].taken
        );
        drop(worker);
    }
    database.drop_database().await;
}
