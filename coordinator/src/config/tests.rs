use super::*;

fn surroundings() -> Surroundings {
    Surroundings {
        xdg_data_home: None,
        home: Some("/home/ann".into()),
    }
}

fn check(raw: RawConfig) -> Result<Config, ConfigError> {
    Config::check(raw, &surroundings())
}

#[test]
fn defaults_serve_one_machine() {
    let config = check(RawConfig::default()).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:7700");
    assert_eq!(
        config.store.expose(),
        "sqlite:/home/ann/.local/share/tunesmith/tunesmith.db"
    );
    assert_eq!(config.lease_ttl, Duration::from_secs(30));
}

#[test]
fn listening_beyond_this_machine_must_be_allowed() {
    let open = RawConfig {
        listen: Some("0.0.0.0:7700".parse().unwrap()),
        ..RawConfig::default()
    };
    let error = check(open.clone()).unwrap_err().to_string();
    assert!(
        error.starts_with("listen: 0.0.0.0:7700") && error.contains("--allow-insecure-listen"),
        "{error}"
    );
    assert!(
        check(RawConfig {
            allow_insecure_listen: Some(true),
            ..open
        })
        .is_ok()
    );
    for local in ["[::1]:1", "127.8.0.1:1", "[::ffff:127.0.0.1]:1"] {
        assert!(
            check(RawConfig {
                listen: Some(local.parse().unwrap()),
                ..RawConfig::default()
            })
            .is_ok(),
            "{local}"
        );
    }
}

#[test]
fn a_file_gives_what_flags_do_not_and_is_strict() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    std::fs::write(
        &path,
        "lease_ttl = \"1m\"\nstore = \"sqlite:/a\"\nlog = \"debug\"\n",
    )
    .unwrap();
    let flags = RawConfig {
        store_file: Some("/nope".into()),
        log: Some("warn".to_owned()),
        ..RawConfig::default()
    };
    let raw = flags.over(RawConfig::read(&path).unwrap());
    assert_eq!((raw.store.clone(), raw.log.as_deref()), (None, Some("warn")));
    assert!(matches!(check(raw), Err(ConfigError::Read { .. })));

    std::fs::write(
        &path,
        "listen = \"127.0.0.1:1\"\nstroe = \"postgres://u:geheim@h/d\"\n",
    )
    .unwrap();
    let error = RawConfig::read(&path).unwrap_err().to_string();
    assert!(
        error.contains("line 2: unknown field `stroe`") && !error.contains("geheim"),
        "{error}"
    );
}

#[test]
fn values_out_of_range_are_refused_with_the_remedy() {
    let raw = RawConfig::default;
    let cases = [
        (
            RawConfig {
                lease_ttl: Some(HumanDuration(Duration::from_secs(1))),
                ..raw()
            },
            "lease-ttl: must lie between 2s and 10m, got 1s",
        ),
        (
            RawConfig {
                allowed_hosts: vec!["http://x".to_owned()],
                ..raw()
            },
            "allowed-host: \"http://x\" is no host name",
        ),
        (
            RawConfig {
                log: Some("a=b=c".to_owned()),
                ..raw()
            },
            "log: \"a=b=c\" is no filter",
        ),
        (
            RawConfig {
                store: Some(StoreUrl::new("sqlite:a".to_owned())),
                store_file: Some("b".into()),
                ..raw()
            },
            "store: is given, and store-file too",
        ),
    ];
    for (raw, message) in cases {
        let error = check(raw).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn passwords_are_never_shown() {
    for url in [
        "postgres://ann:geheim@db:5432/t",
        "postgres://ann:ge@heim@db/t?password=geheim",
        "postgresql://db/t?password=geheim",
        "geheim",
    ] {
        let config = check(RawConfig {
            store: Some(StoreUrl::new(url.to_owned())),
            ..RawConfig::default()
        })
        .unwrap();
        let shown = format!("{}{config:?}", config.show().unwrap());
        assert!(!shown.contains("heim"), "{shown}");
        assert_eq!(config.store.expose(), url);
    }
    assert_eq!(
        StoreUrl::new("postgres://ann:x@db:5432/t".to_owned()).to_string(),
        "postgres://ann:***@db:5432/t"
    );
}

/// What a file with these lines is taken for.
fn of_file(text: &str) -> Result<Config, ConfigError> {
    check(toml::from_str(text).unwrap())
}

#[test]
fn prices_come_from_the_file_and_are_shown_as_they_are() {
    let text = "currency = \"EUR\"\n\n[[price]]\nper_gpu_hour = 2.5\nper_hour = 0.1\n\n[price.labels]\ngpu = \"h100\"\n\n\
                [[price]]\nper_hour = 0.02\n";
    let config = of_file(text).unwrap();
    let labels = [("gpu".to_owned(), "h100".to_owned())].into();
    let prices = &config.terms.prices;
    let per_hour = (prices.per_hour(&labels, 2), prices.per_hour(&[].into(), 0));
    assert_eq!(per_hour, (5.1, 0.02));
    let shown = config.show().unwrap();
    assert!(
        shown.ends_with(text.trim_start_matches("currency = \"EUR\"")),
        "{shown}"
    );
    assert_eq!(of_file(&shown).unwrap().terms, config.terms);
    assert_eq!(of_file("").unwrap().terms.prices.currency, "USD");
}

#[test]
fn prices_that_cannot_be_are_refused_with_entry_value_and_remedy() {
    let cases = [
        (
            "currency = \"\"",
            "currency: must be 1 to 16 characters without spaces, such as EUR, got \"\"",
        ),
        (
            "currency = \"US dollars\"",
            "currency: must be 1 to 16 characters without spaces, such as EUR, got \"US dollars\"",
        ),
        (
            "[[price]]\nper_hour = 1\n[[price]]\nper_gpu_hour = -2.5",
            "price: per_gpu_hour of entry 2 must be 0 or more and finite, got -2.5",
        ),
        (
            "[[price]]\nper_hour = inf",
            "price: per_hour of entry 1 must be 0 or more and finite, got inf",
        ),
        (
            "[[price]]\nlabels = {gpu = \"h100\"}",
            "price: entry 1 says nothing; give per_gpu_hour, per_hour or both (0 for workers that cost nothing)",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(of_file(text).unwrap_err().to_string(), message);
    }
    let error = toml::from_str::<RawConfig>("[[price]]\nper_our = 1").unwrap_err();
    assert!(error.to_string().contains("unknown field `per_our`"), "{error}");
}

#[test]
fn policies_come_from_the_file_and_are_shown_as_they_are() {
    let text = "[[price]]\nper_hour = 0.02\n\n[[policy]]\nname = \"guests\"\nmax_gpu_hours = 20.0\nmax_wall_time = \"2d\"\nmax_cost = 50.0\n\
                max_trials = 100\nmax_parallel = 4\nmax_runtime = \"4h\"\n\n[policy.match]\ncreators = [\"ann\", \"kim\"]\n\
                name_prefix = \"s-\"\n\n[policy.match.labels]\ngpu = \"h100\"\n\n[[policy]]\nname = \"others\"\n";
    let config = of_file(text).unwrap();
    let [guests, others] = &config.terms.policies[..] else {
        panic!("two policies")
    };
    assert_eq!(guests.caps.wall_time, Some(Duration::from_secs(2 * 86_400)));
    assert_eq!(guests.matches.creators, ["ann", "kim"]);
    assert!(others.matches.is_all() && others.caps == crate::decide::Caps::default());
    let shown = config.show().unwrap();
    assert!(shown.ends_with(text), "{shown}");
}

#[test]
fn policies_that_cannot_be_are_refused_with_key_value_and_remedy() {
    let one = |more: &str| format!("[[policy]]\nname = \"a\"\n{more}");
    let cases = [
        (
            "[[policy]]\nname = \"\"".to_owned(),
            "name must be 1 to 64 characters, got \"\"",
        ),
        (
            one("max_gpu_hours = 0"),
            "max_gpu_hours of \"a\" must be above 0 and finite, got 0",
        ),
        (
            one("max_cost = nan"),
            "max_cost of \"a\" must be above 0 and finite, got NaN",
        ),
        (
            one("max_trials = 0"),
            "max_trials of \"a\" must be at least 1, got 0",
        ),
        (
            one("max_parallel = 0"),
            "max_parallel of \"a\" must be at least 1, got 0",
        ),
        (
            one("max_wall_time = \"0s\""),
            "max_wall_time of \"a\" must be longer than 0s",
        ),
        (
            one("max_runtime = \"0s\""),
            "max_runtime of \"a\" must be longer than 0s",
        ),
        (
            one("max_cost = 4"),
            "max_cost of \"a\" is 4, but nothing has a price; add [[price]], or remove this",
        ),
        (
            one("match = {name_prefix = \"x\"}\n") + &one(""),
            "\"a\" is there twice; names tell policies apart",
        ),
        (
            one("[[policy]]\nname = \"b\""),
            "\"b\" is never looked at, since one before it has no match and fits every study; put that one last",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(
            of_file(&text).unwrap_err().to_string(),
            format!("policy: {message}"),
            "{text}"
        );
    }
    let hidden = "[[price]]\nper_hour = 1\n[[price]]\nlabels = {gpu = \"h100\"}\nper_hour = 2";
    assert_eq!(
        of_file(hidden).unwrap_err().to_string(),
        "price: entry 2 is never looked at, since one before it has no labels and fits every worker; put that one last"
    );
    for wrong in [
        "max_tials = 1",
        "match = {creator = \"ann\"}",
        "max_wall_time = \"long\"",
    ] {
        assert!(toml::from_str::<RawConfig>(&one(wrong)).is_err(), "{wrong}");
    }
}
