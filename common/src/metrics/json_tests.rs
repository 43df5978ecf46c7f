//! What lines of JSON, and lines that only look like it, say.

use proptest::prelude::*;

use super::*;

fn name(text: &str) -> MetricName {
    text.parse().unwrap()
}

fn vocabulary() -> Vocabulary {
    Vocabulary {
        metrics: vec![name("val_acc"), name("loss"), name("eval/f1")],
        step_name: Some("iteration".to_owned()),
    }
}

/// Readings as text, to compare NaN too.
fn read(line: &[u8]) -> Vec<String> {
    let (readings, _) = json_line(line, &vocabulary());
    readings
        .iter()
        .map(|r| format!("{} {:?} {}", r.metric, r.step, r.value))
        .collect()
}

#[test]
fn the_self_describing_form_gives_its_one_value() {
    let cases: [(&str, &str); 13] = [
        (
            r#"{"metric": "val_acc", "value": 0.97, "step": 3}"#,
            "val_acc Some(3) 0.97",
        ),
        (
            r#"{"metric": "new/name", "value": "0.5", "epoch": "7"}"#,
            "new/name Some(7) 0.5",
        ),
        (r#"{"metric":"loss","value":NaN}"#, "loss None NaN"),
        (
            r#"{"metric":"loss","value":Infinity,"step":1.0}"#,
            "loss Some(1) inf",
        ),
        (
            r#"{"metric":"loss","value":-Infinity,"step":1e3}"#,
            "loss Some(1000) -inf",
        ),
        (r#"{"metric":"loss","value":"nan"}"#, "loss None NaN"),
        (
            r#"{"value":1,"step":2,"metric":"loss","extra":{"a":[1,{"b":"}"}]}}"#,
            "loss Some(2) 1",
        ),
        (r#"  {"metric":"loss","value":1}  "#, "loss None 1"),
        (r#"{"metric":"\u006coss","value":1}"#, "loss None 1"),
        (r#"{"metric":"loss","value":1,"value":2}"#, "loss None 2"),
        (r#"{"metric":"loss","value":1e1000000000}"#, "loss None inf"),
        (
            r#"{"metric":"loss","value":1,"iteration":9,"step":3,"epoch":1}"#,
            "loss Some(9) 1",
        ),
        (
            "50%|#####     |\r{\"metric\":\"loss\",\"value\":1}\r",
            "loss None 1",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(read(line.as_bytes()), [expected], "{line}");
    }
}

#[test]
fn a_flat_object_gives_the_metrics_that_the_study_names_and_no_other() {
    assert_eq!(
        read(br#"{"step": 3, "val_acc": 0.97, "loss": "8e-2", "lr": 0.1, "eval/f1": 1}"#),
        ["val_acc Some(3) 0.97", "loss Some(3) 0.08", "eval/f1 Some(3) 1"]
    );
    assert!(read(br#"{"level": "info", "step": 3, "lr": 0.1}"#).is_empty());
    assert_eq!(read(br#"{"loss": 1, "loss": 2}"#), ["loss None 2"]);
}

#[test]
fn what_is_meant_but_unusable_is_said() {
    let (readings, notes) = json_line(br#"{"metric":"loss","value":null,"step":1}"#, &vocabulary());
    assert!(readings.is_empty());
    assert_eq!(notes[0].to_string(), "the value of loss is no number: null");

    let (readings, notes) = json_line(br#"{"loss":0.5,"epoch":0.25}"#, &vocabulary());
    assert_eq!(
        readings,
        [Reading {
            metric: name("loss"),
            step: None,
            value: 0.5
        }]
    );
    assert!(
        matches!(&notes[..], [Note::Step { text, .. }] if text == "0.25"),
        "{notes:?}"
    );

    let (readings, notes) = json_line(br#"{"metric":"<b>","value":1}"#, &vocabulary());
    assert!(
        readings.is_empty() && matches!(notes[..], [Note::Name(_)]),
        "{notes:?}"
    );
}

#[test]
fn anything_else_is_log() {
    let deep = format!("{{\"loss\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let lines: [&[u8]; 20] = [
        b"",
        b"{",
        b"}",
        b"{}",
        b"{\"metric\":",
        b"{\"metric\":\"loss\",\"value\":1",
        b"{\"metric\":\"loss\",\"value\":1,}",
        b"{\"metric\":\"loss\",\"value\":1} trailing}",
        b"{'loss': 1}",
        b"{loss: 1}",
        b"[{\"loss\":1}]",
        b"epoch 3 loss 0.5",
        b"\x00\xff\xfe{\"loss\":1}",
        b"{\x00\"\x00l\x00o\x00s\x00s\x00\"\x00:\x001\x00}\x00",
        b"{\"loss\":nope}",
        b"{\"loss\":}",
        b"{\"loss\"}",
        b"\x1b[32m{\"loss\":1}\x1b[0m",
        b"{\"metric\":\"loss\\\",\"value\":1}",
        deep.as_bytes(),
    ];
    for line in lines {
        assert!(read(line).is_empty(), "{:?}", String::from_utf8_lossy(line));
    }
}

#[test]
fn bare_words_are_quoted_outside_of_strings_only() {
    let cases = [
        (
            r#"{"a": NaN, "b": [-Infinity, Infinity]}"#,
            r#"{"a": "NaN", "b": ["-Infinity", "Infinity"]}"#,
        ),
        (
            r#"{"NaN": "Infinity \"NaN", "é": 1}"#,
            r#"{"NaN": "Infinity \"NaN", "é": 1}"#,
        ),
        (r#"{"NaN never ends"#, r#"{"NaN never ends"#),
    ];
    for (text, expected) in cases {
        assert_eq!(quote_bare_words(text), expected);
    }
}

proptest! {
    /// Whatever bytes are printed: no panic.
    #[test]
    fn any_line_is_read(line in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = json_line(&line, &vocabulary());
    }

    /// Whatever stands between braces: no panic. Pieces of JSON come closer to the edges than random bytes.
    #[test]
    fn any_mixture_of_pieces_is_read(pieces in prop::collection::vec(prop::sample::select(vec![
        "{", "}", "[", "]", ":", ",", "\"", "\\", "\\u00", "\\ud800", "\"metric\"", "\"value\"", "\"loss\"", "1e", "-", "NaN", " ", "é",
    ]), 0..40)) {
        let line = format!("{{{}}}", pieces.concat());
        let _ = json_line(line.as_bytes(), &vocabulary());
    }

    /// What a JSON library writes is read back to the same value.
    #[test]
    fn written_values_read_back(value in any::<f64>().prop_filter("JSON has no others", |x| x.is_finite()), step in 0_i64..) {
        let line = serde_json::json!({"metric": "loss", "value": value, "step": step}).to_string();
        let (readings, notes) = json_line(line.as_bytes(), &vocabulary());
        prop_assert!(notes.is_empty());
        prop_assert_eq!(readings, vec![Reading { metric: name("loss"), step: Some(step), value }]);
    }
}
