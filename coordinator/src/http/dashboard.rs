//! The dashboard's files, which are built into this program: its page at every address that is none of ours, and what the page loads.
//!
//! Open to anybody, since there is nothing in them that is not in every other copy of the program: what a page shows comes from the
//! API, which asks for a token.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::error;

/// One file.
struct File {
    path: &'static str,
    kind: &'static str,
    etag: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
    brotli: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Where the files are. The next part of the address is their version, so that what is there never changes.
const ASSETS: &str = "/assets/";
/// Beginnings of addresses that belong to programs: what is not found there is an error and no page.
const OF_PROGRAMS: [&str; 4] = ["/v1", "/metrics", "/healthz", "/readyz"];
/// What a page may do: load our scripts, styles and pictures, call us, and nothing else; nobody may show it within a page of theirs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// The version of the files.
pub(super) fn version() -> &'static str {
    VERSION
}

/// Whether a request is for the dashboard: one of its files, or an address at which a browser wants to show something.
pub(crate) fn is_wanted(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    if !matches!(*method, Method::GET | Method::HEAD) || is_of_programs(path) {
        return false;
    }
    path.starts_with(ASSETS)
        || headers
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"))
}

fn is_of_programs(path: &str) -> bool {
    OF_PROGRAMS.iter().any(|begin| {
        path.strip_prefix(begin)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Answers whatever has no route.
pub(super) async fn answer(request: Request) -> Response {
    let (path, headers) = (request.uri().path(), request.headers());
    if !is_wanted(request.method(), path, headers) {
        return error::no_such_page();
    }
    let file = match path.strip_prefix(ASSETS) {
        None => find("index.html"),
        Some(rest) => rest
            .split_once('/')
            .filter(|(version, _)| *version == VERSION)
            .and_then(|(_, path)| find(path)),
    };
    match file {
        Some(file) => send(file, request.method(), headers),
        None => error::no_such_page(),
    }
}

fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

fn send(file: &'static File, method: &Method, request: &HeaderMap) -> Response {
    let unchanged = lists(request, header::IF_NONE_MATCH, file.etag);
    let (encoding, content) = encoded(file, request);
    let body = match unchanged || *method == Method::HEAD {
        true => Body::empty(),
        false => Body::from(content),
    };
    let mut answer = Response::new(body);
    if unchanged {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = answer.headers_mut();
    let page = file.path == "index.html";
    let mut put =
        |name: header::HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    put(header::CONTENT_TYPE, file.kind);
    put(header::ETAG, file.etag);
    put(header::VARY, "accept-encoding");
    // The page tells which version of the files is wanted, and has to be asked for each time.
    put(
        header::CACHE_CONTROL,
        if page {
            "no-cache"
        } else {
            "public, max-age=31536000, immutable"
        },
    );
    put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(header::CONTENT_SECURITY_POLICY, POLICY);
    put(header::X_FRAME_OPTIONS, "DENY");
    put(header::REFERRER_POLICY, "no-referrer");
    put(
        header::HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    put(
        header::HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    if let (Some(encoding), false) = (encoding, unchanged) {
        put(header::CONTENT_ENCODING, encoding);
    }
    answer
}

/// The content of a file as short as the browser can read it, and how it is encoded if it is. Browsers read brotli from this machine and
/// over TLS alone.
fn encoded(file: &'static File, request: &HeaderMap) -> (Option<&'static str>, &'static [u8]) {
    [("br", file.brotli), ("gzip", file.gzip)]
        .into_iter()
        .find(|(encoding, _)| lists(request, header::ACCEPT_ENCODING, encoding))
        .map_or((None, file.plain), |(encoding, content)| {
            (Some(encoding), content)
        })
}

/// Whether a header lists something, and does not refuse it.
fn lists(request: &HeaderMap, name: header::HeaderName, wanted: &str) -> bool {
    request.get_all(name).iter().any(|value| {
        value.to_str().unwrap_or_default().split(',').any(|part| {
            let (listed, weight) = part.split_once(';').unwrap_or((part, ""));
            let refused = weight
                .trim()
                .strip_prefix("q=")
                .and_then(|weight| weight.parse::<f32>().ok())
                == Some(0.0);
            listed.trim().trim_start_matches("W/") == wanted && !refused
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_programs_are_no_pages() {
        let browser =
            HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("text/html,*/*;q=0.8"))]);
        for path in ["/", "/studies/digits", "/workers", "/v1beta", "/assets/x/main.js"] {
            assert!(is_wanted(&Method::GET, path, &browser), "{path}");
        }
        for path in ["/v1", "/v1/studies", "/metrics", "/healthz", "/readyz"] {
            assert!(!is_wanted(&Method::GET, path, &browser), "{path}");
        }
        assert!(!is_wanted(&Method::POST, "/", &browser));
        assert!(!is_wanted(&Method::GET, "/", &HeaderMap::new()), "a program asks");
    }

    #[test]
    fn files_are_sent_as_short_as_the_browser_reads_them() {
        let file = find("main.js").unwrap();
        assert!(file.brotli.len() < file.gzip.len() && file.gzip.len() < file.plain.len());
        let sent = |accepted: &'static str| {
            let request =
                HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
            let answer = send(file, &Method::GET, &request);
            let encoding = answer.headers().get(header::CONTENT_ENCODING);
            assert_eq!(answer.headers()[header::VARY], "accept-encoding");
            encoding.map(|encoding| encoding.to_str().unwrap().to_owned())
        };
        assert_eq!(sent("gzip, deflate, br, zstd").as_deref(), Some("br"));
        assert_eq!(sent("gzip, deflate").as_deref(), Some("gzip"));
        assert_eq!(sent("br;q=0, gzip;q=0.5").as_deref(), Some("gzip"));
        assert_eq!(sent("identity"), None);
    }

    #[test]
    fn the_page_names_all_styles_and_its_first_modules_by_their_version() {
        let page = std::str::from_utf8(find("index.html").unwrap().plain).unwrap();
        assert!(!page.contains("{{"), "{page}");
        for file in FILES.iter().filter(|file| file.path.ends_with(".css")) {
            let address = format!("\"/assets/{VERSION}/{}\"", file.path);
            assert!(page.contains(&address), "index.html does not name {}", file.path);
        }
        // Which modules these are is checked where they are written.
        let begin = format!("\"/assets/{VERSION}/");
        let named: Vec<&str> = page
            .split(begin.as_str())
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(named.contains(&"main.js"), "{page}");
        for path in named {
            assert!(
                find(path).is_some(),
                "index.html names {path}, which is not there"
            );
        }
    }
}
