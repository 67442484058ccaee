//! The dashboard: the files of its build, which are part of the program, and its page at every address that no route has.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use url::Url;

/// A file of the build, as `build.rs` lists it.
struct File {
    name: &'static str,
    tag: &'static str,
    content: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/dashboard.rs"));

/// Scripts and styles are files of the build. The hashes are those of two rules that React Aria adds to the page as
/// elements: touch-action of what can be pressed, overscroll-behavior while a window is open. The browser's tests fail on
/// any violation.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; connect-src 'self'; \
     style-src 'self' 'sha256-38RhXrc7EdReTKsOm23ZPOCUgniTUUcjky8QOOrQx6o=' 'sha256-gYiS/BvZvRcK27JIXTuwhZ3hs2+VJ1X+2gUlE+farlg='; \
     img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The page with its sign-in address.
#[derive(Clone)]
pub(crate) struct Dashboard {
    page: Bytes,
    tag: HeaderValue,
}

impl Dashboard {
    /// With the address of a page that sends users back with a token, if the installation has one.
    pub(crate) fn new(sign_in_url: Option<&Url>) -> Self {
        let index = FILES.iter().find(|file| file.name == "index.html").expect("the build has a page, or its placeholder");
        let page = String::from_utf8_lossy(index.content);
        let Some(url) = sign_in_url else {
            return Self { page: Bytes::from_static(index.content), tag: HeaderValue::from_static(index.tag) };
        };
        let setting = |content: &str| format!("name=\"sign-in-url\" content=\"{content}\"");
        let page = page.replace(&setting(""), &setting(&url.as_str().replace('&', "&amp;").replace('"', "&quot;")));
        // The setting is fixed while the process runs, and another process may have another one.
        let tag = super::tag_of(&page);
        Self { page: page.into(), tag }
    }

    /// Answers what no route has: a file of the build, the page for an address that a browser opens, else 404.
    pub(crate) fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return StatusCode::NOT_FOUND.into_response();
        }
        let path = uri.path().trim_start_matches('/');
        if let Some(file) = FILES.iter().find(|file| file.name == path && path != "index.html") {
            return file.answer(headers);
        }
        let foreign = ["api/", "assets/", "docs/"].iter().any(|prefix| path.starts_with(prefix));
        if foreign || !header_text(headers, &header::ACCEPT).contains("text/html") {
            return StatusCode::NOT_FOUND.into_response();
        }
        let own = [
            (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
            (header::ETAG, self.tag.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::VARY, HeaderValue::from_static("Accept")),
        ];
        if is_known(headers, &self.tag) {
            return (StatusCode::NOT_MODIFIED, own).into_response();
        }
        (own, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], self.page.clone()).into_response()
    }
}

impl File {
    fn answer(&self, headers: &HeaderMap) -> Response {
        // The names of assets have a hash of their content.
        let lasting = if self.name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
        let tag = HeaderValue::from_static(self.tag);
        let own = [
            (header::ETAG, tag.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static(lasting)),
            (header::VARY, HeaderValue::from_static("Accept-Encoding")),
            (header::CONTENT_TYPE, HeaderValue::from_static(kind(self.name))),
        ];
        if is_known(headers, &tag) {
            return (StatusCode::NOT_MODIFIED, own).into_response();
        }
        let accepted = header_text(headers, &header::ACCEPT_ENCODING);
        for (coding, content) in [("br", self.brotli), ("gzip", self.gzip)] {
            if let Some(content) = content.filter(|_| accepts(accepted, coding)) {
                return (own, [(header::CONTENT_ENCODING, coding)], content).into_response();
            }
        }
        (own, self.content).into_response()
    }
}

fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == tag)
}

/// Whether `Accept-Encoding` names this coding, and not with the weight 0.
fn accepts(accepted: &str, coding: &str) -> bool {
    accepted.split(',').any(|item| {
        let mut parts = item.split(';').map(str::trim);
        parts.next() == Some(coding) && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::accepts;

    #[rstest]
    #[case("gzip, br", true)]
    #[case("gzip, br;q=0.5", true)]
    #[case("gzip, br;q=0", false)]
    #[case("brotli", false)]
    #[case("", false)]
    fn a_coding_is_used_only_if_it_is_accepted(#[case] accepted: &str, #[case] expected: bool) {
        assert_eq!(accepts(accepted, "br"), expected);
    }
}
