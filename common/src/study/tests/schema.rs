//! The published schema and the reference are those of this code.

use std::fs;
use std::path::PathBuf;

use super::*;

fn docs(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(file)
}

#[test]
fn the_published_schema_is_current() {
    let schema = serde_json::to_string_pretty(&study_schema()).unwrap() + "\n";
    let path = docs("study.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, &schema).unwrap();
    }
    let published = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == schema,
        "docs/study.schema.json is not what the code says; run UPDATE_SCHEMA=1 cargo test -p tunesmith-common published_schema"
    );
}

#[test]
fn every_example_of_the_reference_is_a_study() {
    let text = fs::read_to_string(docs("study-file.md")).unwrap();
    let mut examples = 0;
    for block in text.split("```yaml\n").skip(1) {
        let yaml = block.split("```").next().unwrap();
        let whole = if yaml.starts_with("name:") || yaml.starts_with("objective:") {
            yaml.to_owned()
        } else if yaml.contains("space:") {
            format!("objective: {{metric: loss, goal: minimize}}\n{yaml}")
        } else {
            format!("{LEAST}{yaml}")
        };
        StudyFile::parse(&whole, "example.yaml").unwrap_or_else(|error| panic!("{error}\n{whole}"));
        examples += 1;
    }
    assert!(examples >= 5, "only {examples} examples were found");
}

#[test]
fn every_key_is_in_the_reference() {
    let text = fs::read_to_string(docs("study-file.md")).unwrap();
    let schema = study_schema();
    let definitions = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    let keys = definitions
        .filter_map(|definition| definition["properties"].as_object())
        .flat_map(|keys| keys.keys());
    let missing: Vec<_> = keys.filter(|key| !text.contains(&format!("`{key}`"))).collect();
    assert!(
        missing.is_empty(),
        "docs/study-file.md does not mention {missing:?}"
    );
}
