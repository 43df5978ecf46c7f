use super::*;

fn given() -> RawConfig {
    RawConfig {
        coordinator: Some("c:1/".to_owned()),
        ..RawConfig::default()
    }
}

fn around() -> Surroundings {
    Surroundings {
        token: Some(Token::new("ts_worker_1_secret")),
        home: Some("/home/ada".into()),
        host_name: "gpu box #7".to_owned(),
        ..Surroundings::default()
    }
}

fn refusal(raw: RawConfig) -> String {
    Config::check(raw, around()).unwrap_err().to_string()
}

#[test]
fn flags_lie_over_the_file_and_labels_of_both_are_kept() {
    let file: RawConfig =
        toml::from_str("slots = 2\nname = \"a\"\ngpus = \"0,1\"\nlabels = {zone = \"a\", disk = \"ssd\"}\ndrain_timeout = \"5m\"")
            .unwrap();
    let flags = RawConfig {
        slots: Some(3),
        labels: vec!["zone=b".parse().unwrap()],
        ..given()
    };
    let config = Config::check(flags.over(file), around()).unwrap();
    assert_eq!(config.slots, Some(3));
    assert_eq!(config.name.as_str(), "a");
    assert_eq!(
        config.gpus,
        GpuChoice::These(vec!["0".to_owned(), "1".to_owned()])
    );
    assert_eq!(config.drain_timeout, Duration::from_secs(300));
    let labels: Vec<_> = config
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(labels, ["disk=ssd", "zone=b"]);
}

#[test]
fn an_unknown_key_is_refused_by_name_and_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("worker.toml");
    std::fs::write(&path, "slots = 1\nslot = 2\n").unwrap();
    let error = RawConfig::read(&path).unwrap_err().to_string();
    assert!(
        error.contains("line 2") && error.contains("unknown field `slot`"),
        "{error}"
    );
}

#[test]
fn times_and_sizes_in_the_file_may_be_plain_numbers() {
    let file: RawConfig = toml::from_str("drain_timeout = 90\nkeep_attempts_limit = 1024").unwrap();
    let config = Config::check(given().over(file), around()).unwrap();
    assert_eq!(
        (config.drain_timeout, config.keep_attempts_limit),
        (Duration::from_secs(90), 1024)
    );
    let error = toml::from_str::<RawConfig>("drain_timeout = -90")
        .unwrap_err()
        .to_string();
    assert!(error.contains("\"-90\" is not a duration"), "{error}");
}

#[test]
fn what_is_left_open_is_filled_in() {
    let config = Config::check(given(), around()).unwrap();
    assert_eq!(config.name.as_str(), "gpu-box--7");
    assert_eq!(
        config.state_dir,
        Path::new("/home/ada/.local/state/tunesmith-worker")
    );
    assert_eq!(config.on_exit, OnExit::Stop);
    assert_eq!(config.coordinator, "http://c:1");
    assert_eq!(check_address(None).unwrap(), "http://127.0.0.1:7700");
    let root = Config::check(
        given(),
        Surroundings {
            root: true,
            ..around()
        },
    )
    .unwrap();
    assert_eq!(root.state_dir, Path::new("/var/lib/tunesmith-worker"));
    assert_eq!(name_of_host("..").as_str(), "worker");
}

#[test]
fn what_cannot_be_is_refused_with_the_remedy() {
    let cases = [
        (
            RawConfig {
                coordinator: Some("c".to_owned()),
                ..given()
            },
            "coordinator: \"c\" is no address: it names no port",
        ),
        (
            RawConfig {
                coordinator: Some("https://c:1".to_owned()),
                ..given()
            },
            "coordinator: \"https://c:1\" is no address: this build speaks no TLS; write it like http://gpu1:7700",
        ),
        (
            RawConfig {
                coordinator: Some("c:1/x".to_owned()),
                ..given()
            },
            "coordinator: \"c:1/x\" is no address: it has more",
        ),
        (
            RawConfig {
                slots: Some(0),
                ..given()
            },
            "slots: must lie between 1 and 10000, got 0",
        ),
        (
            RawConfig {
                cpus: Some(f64::NAN),
                ..given()
            },
            "cpus: must be a number greater than 0, got NaN",
        ),
        (
            RawConfig {
                name: Some("a/b".to_owned()),
                ..given()
            },
            "name: '/' at position 2 is not allowed",
        ),
        (
            RawConfig {
                token_file: Some("/nonexistent".into()),
                ..given()
            },
            "token-file: cannot read /nonexistent",
        ),
        (
            RawConfig {
                exit_when_idle: Some(HumanDuration(Duration::ZERO)),
                ..given()
            },
            "exit-when-idle: must be longer",
        ),
    ];
    for (raw, message) in cases {
        let error = refusal(raw);
        assert!(error.starts_with(message), "{error}");
    }
    let error = Config::check(
        given(),
        Surroundings {
            token: None,
            ..around()
        },
    )
    .unwrap_err()
    .to_string();
    assert!(error.starts_with("token-file: none given"), "{error}");
    assert!(
        "0,x"
            .parse::<GpuChoice>()
            .unwrap_err()
            .starts_with("\"x\" names no GPU")
    );
    assert!("zone".parse::<Label>().is_err());
}

#[test]
fn the_token_shows_nowhere() {
    let config = Config::check(given(), around()).unwrap();
    assert!(!format!("{config:?} {:?}", around()).contains("secret"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, " ts_x \n").unwrap();
    assert_eq!(TokenSource::File(path).read().unwrap().reveal(), "ts_x");
}

#[test]
fn checkpoints_are_kept_in_a_folder_or_in_a_bucket_that_is_reached_by_the_usual_variables() {
    let kept = |place: &str| {
        let raw = RawConfig {
            checkpoint_dir: Some(place.into()),
            ..given()
        };
        let variables = [("AWS_SECRET_ACCESS_KEY".to_owned(), "hidden".to_owned())];
        let around = Surroundings {
            access: Access::of(variables.into_iter()),
            ..around()
        };
        let shown = format!("{around:?}");
        Config::check(raw, around).map(|config| format!("{shown} {:?}", config.checkpoint_dir))
    };
    assert!(kept("/mnt/kept").unwrap().contains("Folder(\"/mnt/kept\")"));
    let bucket = kept("s3://bucket/prefix").unwrap();
    assert!(
        bucket.contains("\"bucket\"") && bucket.contains("\"prefix\"") && !bucket.contains("hidden"),
        "{bucket}"
    );
    let error = kept("http://bucket/prefix").unwrap_err().to_string();
    assert!(
        error.starts_with("checkpoint-dir: http:// is no kind of place; give a folder, s3://BUCKET/PREFIX"),
        "{error}"
    );
}
