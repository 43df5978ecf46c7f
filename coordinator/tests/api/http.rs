//! JSON over HTTP, spoken by hand.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{World, soon};

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header, by its name in lower case; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let mut values = lines.filter_map(|(found, value)| (found == name).then_some(value));
        values.next().unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    pub(crate) fn reason(&self) -> String {
        self.json()["error"]["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// Sends one request; `headers` come besides host, token and length, in whose place others may be given, or none: "".
pub(crate) async fn send(
    world: &World,
    verb: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let address = world.running.address;
    let mut text = format!(
        "{verb} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    let given = |name: &str| headers.iter().any(|(given, _)| *given == name);
    if !given("host") {
        text += &format!("host: {address}\r\n");
    }
    if !given("authorization") {
        text += &format!("authorization: Bearer {}\r\n", world.user);
    }
    if !body.is_empty() && !given("content-type") {
        text += "content-type: application/json\r\n";
    }
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        text += &format!("{name}: {value}\r\n");
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
    // A refused body need not be read to its end.
    let _ = stream.write_all(body.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

async fn get(world: &World, path: &str) -> Answer {
    send(world, "GET", path, &[], "").await
}

async fn post(world: &World, path: &str, body: &Value) -> Answer {
    send(world, "POST", path, &[], &body.to_string()).await
}

fn study(name: &str) -> Value {
    json!({"spec": {
        "name": name,
        "objective": {"metric": "loss", "goal": "GOAL_MINIMIZE"},
        "space": [{"name": "x", "type": "float", "low": 0, "high": 1}],
        "strategy": {"name": "random"},
        "budget": {"trials": "1"},
    }})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_runs_over_http_and_its_events_are_seen() {
    let world = World::start().await;
    let created = post(&world, "/v1/studies", &study("web")).await;
    assert_eq!(created.status, 200, "{}", created.body);
    assert_eq!(created.json()["study"]["state"], "STUDY_STATE_ACTIVE");
    assert_eq!(
        get(&world, "/v1/studies?page_size=1").await.json()["studies"][0]["name"],
        "studies/web"
    );
    let asked = post(&world, "/v1/studies/web/ask", &json!({"client": "curl"}))
        .await
        .json();
    let name = asked["trials"][0]["trial"]["name"].as_str().unwrap().to_owned();
    let points =
        json!({"points": {"metrics": ["loss"], "metric": [0, 0], "step": ["1", "2"], "value": [0.5, "NaN"]}});
    let reported = post(&world, &format!("/v1/{name}/report"), &points).await;
    assert_eq!(reported.json()["committedSeq"], "2", "{}", reported.body);
    let curve = get(&world, &format!("/v1/{name}/points?metrics=loss"))
        .await
        .json();
    assert_eq!(curve["curves"][0]["value"], json!([0.5, "NaN"]));
    let noted = send(
        &world,
        "PATCH",
        &format!("/v1/{name}"),
        &[],
        r#"{"note": "<b>&</b>"}"#,
    )
    .await;
    assert_eq!(noted.json()["trial"]["note"], "<b>&</b>");

    let path = "/v1/studies/web?update_mask=message,budget";
    let patched = send(
        &world,
        "PATCH",
        path,
        &[],
        r#"{"message": "hi", "budget": {"trials": 1}}"#,
    )
    .await;
    assert_eq!(
        patched.json()["study"]["spec"]["message"],
        "hi",
        "{}",
        patched.body
    );

    let told = post(&world, &format!("/v1/{name}/tell"), &json!({"value": 0.25})).await;
    assert_eq!(told.json()["trial"]["state"], "TRIAL_STATE_COMPLETED");
    // The study has ended: its events are its state, and the end.
    let events = get(&world, "/v1/studies/web/events?include_points=true").await;
    assert!(events.head.contains("text/event-stream"), "{}", events.head);
    assert!(
        events.body.contains("event: study") && events.body.contains("STUDY_STATE_DONE"),
        "{}",
        events.body
    );
    let listed = get(
        &world,
        "/v1/studies/web/trials?states=TRIAL_STATE_COMPLETED&order_by=value",
    )
    .await;
    assert_eq!(listed.json()["trials"][0]["value"], 0.25, "{}", listed.body);
    assert_eq!(
        send(&world, "DELETE", "/v1/studies/web", &[], "").await.status,
        200
    );
    assert_eq!(get(&world, "/v1/studies/web").await.status, 404);

    let metrics = get(&world, "/metrics").await.body;
    assert!(metrics.contains("tunesmith_points_stored_total 2"), "{metrics}");
    assert!(
        metrics.contains("tunesmith_requests_total{method=\"http\",code=\"NotFound\"} 1"),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_one_form() {
    let world = World::start().await;
    let missing = get(&world, "/v1/studies/none").await;
    assert_eq!((missing.status, missing.reason().as_str()), (404, "NOT_FOUND"));
    assert_eq!(missing.json()["error"]["status"], "NOT_FOUND");
    let mut bad = study("s");
    bad["spec"]["space"][0]["low"] = json!(5);
    let bad = post(&world, "/v1/studies", &bad).await;
    assert_eq!(bad.status, 400);
    assert!(
        bad.json()["error"]["details"][0]["field"]
            .as_str()
            .unwrap()
            .contains("space.x"),
        "{}",
        bad.body
    );
    let unknown = post(&world, "/v1/studies", &json!({"sepc": {}})).await;
    assert_eq!(unknown.status, 400);
    assert!(unknown.body.contains("sepc"), "{}", unknown.body);
    for (body, reason) in [("{", "INVALID_ARGUMENT"), ("[1]", "INVALID_ARGUMENT")] {
        let answer = send(&world, "POST", "/v1/studies", &[], body).await;
        assert_eq!((answer.status, answer.reason().as_str()), (400, reason));
    }
    let deep = format!("{{\"spec\": {}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(send(&world, "POST", "/v1/studies", &[], &deep).await.status, 400);
    let text = send(
        &world,
        "POST",
        "/v1/studies",
        &[("content-type", "text/plain")],
        "{}",
    )
    .await;
    assert_eq!((text.status, text.reason().as_str()), (415, "NOT_JSON"));
    let huge = format!("{{\"requestId\": \"{}\"}}", "x".repeat(5 << 20));
    assert_eq!(send(&world, "POST", "/v1/studies", &[], &huge).await.status, 413);
    assert_eq!(send(&world, "PUT", "/v1/studies", &[], "").await.status, 405);
    for path in [
        "/nope",
        "//v1/studies",
        "/v1/studies/a%2Fb",
        "/v1/%2e%2e/metrics",
        "/v1/studies;x=1",
    ] {
        let answer = get(&world, path).await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
        assert!(!answer.reason().is_empty(), "{path}: {}", answer.body);
    }
    let doubled = get(&world, "/v1/studies?page_size=1&page_size=2").await;
    assert_eq!(doubled.status, 400);
    let overridden = send(
        &world,
        "GET",
        "/v1/studies",
        &[("x-http-method-override", "DELETE")],
        "",
    )
    .await;
    assert_eq!(overridden.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_turned_away() {
    let world = World::start().await;
    let open = [("authorization", "none")];
    assert_eq!(send(&world, "GET", "/healthz", &open, "").await.status, 200);
    assert_eq!(send(&world, "GET", "/readyz", &open, "").await.status, 200);
    for path in ["/metrics", "/v1/studies", "/nope", "/healthz/x"] {
        let answer = send(&world, "GET", path, &open, "").await;
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (401, "UNAUTHENTICATED"),
            "{path}"
        );
        assert!(answer.head.contains("www-authenticate"), "{}", answer.head);
    }
    let worker = format!("Bearer {}", world.worker);
    assert_eq!(
        send(&world, "GET", "/v1/studies", &[("authorization", &worker)], "")
            .await
            .status,
        403
    );
    let rebound = send(&world, "GET", "/healthz", &[("host", "evil.test")], "").await;
    assert_eq!((rebound.status, rebound.reason().as_str()), (421, "WRONG_HOST"));
    assert_eq!(
        send(
            &world,
            "GET",
            "/v1/studies",
            &[("host", "tune.example.org:7700")],
            ""
        )
        .await
        .status,
        200
    );
    for origin in ["http://evil.test", "null"] {
        let answer = send(&world, "GET", "/v1/studies", &[("origin", origin)], "").await;
        assert_eq!((answer.status, answer.reason().as_str()), (403, "WRONG_ORIGIN"));
    }
    let ours = format!("http://{}", world.running.address);
    assert_eq!(
        send(&world, "GET", "/v1/studies", &[("origin", &ours)], "")
            .await
            .status,
        200
    );
}

/// The body of an answer that came in chunks, byte for byte.
fn joined(chunked: &[u8]) -> Vec<u8> {
    let (mut rest, mut body) = (chunked, Vec::new());
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

/// Head and body of an answer to somebody who accepts gzip, byte for byte.
async fn zipped(world: &World, verb: &str, path: &str, body: &str) -> (String, Vec<u8>) {
    let address = world.running.address;
    let request = format!(
        "{verb} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\naccept-encoding: gzip, deflate, br\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        world.user,
        body.len(),
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    let split = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    (
        String::from_utf8(answer[..split].to_vec()).unwrap(),
        answer[split + 4..].to_vec(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_are_compressed_for_those_who_accept_it_and_secrets_and_streams_are_not() {
    let world = World::start().await;
    for number in 0..20 {
        post(&world, "/v1/studies", &study(&format!("web-{number}"))).await;
    }
    let plain = get(&world, "/v1/studies").await;
    assert_eq!(plain.header("content-encoding"), "");
    let (head, body) = zipped(&world, "GET", "/v1/studies", "").await;
    assert!(head.contains("content-encoding: gzip\r\n"), "{head}");
    assert!(head.to_lowercase().contains("vary: accept-encoding"), "{head}");
    let body = joined(&body);
    assert!(
        body.len() * 4 < plain.body.len(),
        "{} of {}",
        body.len(),
        plain.body.len()
    );
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*body), &mut text).unwrap();
    let names = |document: &Value| {
        let studies = document["studies"].as_array().unwrap();
        studies
            .iter()
            .map(|study| study["name"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&serde_json::from_str(&text).unwrap()), names(&plain.json()));

    let (head, _) = zipped(&world, "GET", "/v1/tokens?page_size=1", "").await;
    assert!(
        !head.contains("content-encoding"),
        "a small answer is sent as it is: {head}"
    );
    // Small as well, and left out by name besides.
    let token = json!({"kind": "TOKEN_KIND_USER", "label": "x".repeat(100)}).to_string();
    let (head, body) = zipped(&world, "POST", "/v1/tokens", &token).await;
    assert!(
        head.starts_with("HTTP/1.1 200"),
        "{head} {}",
        String::from_utf8_lossy(&body)
    );
    assert!(!head.contains("content-encoding"), "{head}");

    // An event arrives while the stream goes on: it is neither compressed nor held back.
    let request = format!(
        "GET /v1/studies/web-0/events HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\naccept-encoding: gzip\r\n\r\n",
        world.running.address, world.user,
    );
    let mut stream = TcpStream::connect(world.running.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("event: study") {
        let mut piece = [0; 4096];
        let count = soon(stream.read(&mut piece)).await.unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&piece[..count]);
    }
    assert!(!String::from_utf8_lossy(&seen).contains("content-encoding"));
}
