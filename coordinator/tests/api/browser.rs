//! The dashboard's files, and signing in to it: what a browser is given, and whom it is refused.

use serde_json::json;

use crate::http::{Answer, send};
use crate::support::World;

const PAGE: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
const NO_TOKEN: (&str, &str) = ("authorization", "");
const FROM_OURS: (&str, &str) = ("sec-fetch-site", "same-origin");

async fn browse(world: &World, path: &str, more: &[(&str, &str)]) -> Answer {
    let headers = [&[PAGE, NO_TOKEN], more].concat();
    send(world, "GET", path, &headers, "").await
}

/// Signs in and returns the cookie as the browser sends it back.
async fn sign_in(world: &World) -> String {
    let body = json!({ "token": world.user }).to_string();
    let answer = send(world, "POST", "/v1/session", &[NO_TOKEN, FROM_OURS], &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()["label"], "admin");
    let cookie = answer.header("set-cookie");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(&world.user), "the token itself is no cookie");
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_of_people_shows_the_dashboard_and_its_files_never_change() {
    let world = World::start().await;
    let page = browse(&world, "/", &[]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("cache-control"), "no-cache");
    for path in ["/studies/digits", "/studies/a/trials/7", "/workers", "/nope?x=1"] {
        assert_eq!(browse(&world, path, &[]).await.body, page.body, "{path}");
    }
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), value);
    }
    let unchanged = browse(&world, "/", &[("if-none-match", page.header("etag"))]).await;
    assert_eq!((unchanged.status, unchanged.body.as_str()), (304, ""));

    let script = page
        .body
        .split('"')
        .find(|text| text.ends_with("/main.js"))
        .unwrap();
    let plain = browse(&world, script, &[]).await;
    assert_eq!(plain.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(
        plain.header("cache-control"),
        "public, max-age=31536000, immutable"
    );
    assert_eq!(plain.header("content-encoding"), "");
    for (accepted, encoding) in [("br;q=1, gzip", "br"), ("gzip, deflate", "gzip")] {
        let zipped = browse(&world, script, &[("accept-encoding", accepted)]).await;
        assert_eq!(
            (zipped.status, zipped.header("content-encoding")),
            (200, encoding)
        );
        assert_eq!(zipped.header("vary"), "accept-encoding");
    }
    let head = send(&world, "HEAD", script, &[NO_TOKEN], "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    // Another version's files are not ours to give, and there is no way out of the folder.
    for path in [
        "/assets/0000000000000000/main.js",
        "/assets/main.js",
        "/assets/../Cargo.toml",
        "/assets/%2e%2e/x",
    ] {
        assert_eq!(browse(&world, path, &[]).await.status, 404, "{path}");
    }
    // Programs get what they always got.
    for path in ["/", "/nope"] {
        assert_eq!(
            send(&world, "GET", path, &[NO_TOKEN], "").await.status,
            401,
            "{path}"
        );
    }
    assert_eq!(
        browse(&world, "/v1/studies", &[]).await.reason(),
        "UNAUTHENTICATED"
    );
    assert_eq!(
        browse(&world, "/", &[("host", "evil.test")]).await.reason(),
        "WRONG_HOST"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_signed_in_may_call_from_our_own_pages_only() {
    let world = World::start().await;
    let cookie = sign_in(&world).await;
    let cookie = ("cookie", cookie.as_str());
    let ours = format!("http://{}", world.running.address);
    let call = async |verb: &str, path: &str, more: &[(&str, &str)], body: &str| {
        let headers = [&[NO_TOKEN, cookie], more].concat();
        let answer = send(&world, verb, path, &headers, body).await;
        (
            answer.status,
            if answer.status < 400 {
                String::new()
            } else {
                answer.reason()
            },
        )
    };
    let fine = (200, String::new());
    let refused = (403, "WRONG_ORIGIN".to_owned());
    assert_eq!(call("GET", "/v1/studies", &[FROM_OURS], "").await, fine);
    assert_eq!(call("GET", "/v1/session", &[FROM_OURS], "").await, fine);
    // By plain HTTP over a network, browsers do not say more than the origin.
    assert_eq!(call("GET", "/v1/studies", &[], "").await, fine);
    assert_eq!(
        call("DELETE", "/v1/studies/x", &[("origin", &ours)], "").await.0,
        404
    );
    for site in ["cross-site", "same-site", "none"] {
        assert_eq!(
            call("GET", "/v1/studies", &[("sec-fetch-site", site)], "").await,
            refused,
            "{site}"
        );
    }
    assert_eq!(
        call("DELETE", "/v1/studies/x", &[], "").await,
        refused,
        "no origin"
    );
    let (other, form) = (("origin", "http://127.0.0.1:1"), ("content-type", "text/plain"));
    assert_eq!(
        call("POST", "/v1/studies/x/stop", &[other, form], "{}").await,
        refused
    );
    // A token that is given counts, also if it is wrong.
    let wrong = [cookie, ("authorization", "Bearer nonsense"), FROM_OURS];
    assert_eq!(send(&world, "GET", "/v1/studies", &wrong, "").await.status, 401);
    // Nothing but HTTP takes a cookie.
    let grpc = [NO_TOKEN, cookie, FROM_OURS, ("content-type", "application/grpc")];
    let answer = send(
        &world,
        "POST",
        "/tunesmith.v1.StudyService/ListStudies",
        &grpc,
        "",
    )
    .await;
    assert_eq!(answer.header("grpc-status"), "16", "{}", answer.head);

    let out = send(
        &world,
        "DELETE",
        "/v1/session",
        &[NO_TOKEN, cookie, FROM_OURS],
        "",
    )
    .await;
    assert_eq!(out.status, 204);
    assert!(
        out.header("set-cookie").contains("=; Path=/; Max-Age=0;"),
        "{}",
        out.head
    );
    let label = "admin";
    let row = world
        .tokens()
        .list_tokens(tunesmith_proto::v1::ListTokensRequest {})
        .await
        .unwrap()
        .into_inner();
    let id = row
        .tokens
        .iter()
        .find(|token| token.label == label)
        .unwrap()
        .id
        .clone();
    let revoke = tunesmith_proto::v1::RevokeTokenRequest { id };
    world.tokens().revoke_token(revoke).await.unwrap();
    assert_eq!(
        call("GET", "/v1/studies", &[FROM_OURS], "").await.1,
        "UNAUTHENTICATED"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_users_token_signs_in() {
    let world = World::start().await;
    let tries = [
        (json!({ "token": world.worker }), 403, "WRONG_TOKEN_KIND"),
        (
            json!({"token": "ts_user_000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
            401,
            "UNAUTHENTICATED",
        ),
        (json!({"token": ""}), 401, "UNAUTHENTICATED"),
        (json!({"token": 7}), 400, "INVALID_ARGUMENT"),
        (json!({}), 400, "INVALID_ARGUMENT"),
    ];
    for (body, status, reason) in tries {
        let answer = send(&world, "POST", "/v1/session", &[NO_TOKEN], &body.to_string()).await;
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (status, reason),
            "{body}"
        );
        assert_eq!(answer.header("set-cookie"), "", "{body}");
    }
    let body = json!({ "token": world.user }).to_string();
    // What a form of another site could send.
    let form = [NO_TOKEN, ("content-type", "text/plain")];
    assert_eq!(
        send(&world, "POST", "/v1/session", &form, &body).await.status,
        415
    );
    let other = [NO_TOKEN, ("origin", "http://evil.test")];
    assert_eq!(
        send(&world, "POST", "/v1/session", &other, &body).await.reason(),
        "WRONG_ORIGIN"
    );
    for path in ["/v1/session", "/v1/studies"] {
        let forged = [NO_TOKEN, FROM_OURS, ("cookie", "tunesmith-1=x; tunesmith=y.1.00")];
        assert_eq!(send(&world, "GET", path, &forged, "").await.status, 401, "{path}");
    }
}
