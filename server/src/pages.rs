//! The pages for people: watch, studio, ops and a front page, out of this binary. It refuses to
//! know what is in them.

use std::collections::HashMap;
use std::sync::LazyLock;

use bytes::Bytes;
use rust_embed::RustEmbed;

/// What `npm run build` made, if it was run before this binary was built.
#[derive(RustEmbed)]
#[folder = "../web-demo/dist/"]
#[exclude = "*.map"]
struct Dist;

/// A file of the pages, ready to be sent.
#[derive(Debug, Clone)]
pub struct File {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its type, by its name.
    pub content_type: String,
}

static FILES: LazyLock<HashMap<String, File>> = LazyLock::new(|| {
    Dist::iter()
        .filter_map(|path| {
            let bytes = match Dist::get(&path)?.data {
                std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
            };
            let mut content_type = mime_guess::from_path(path.as_ref())
                .first_or_octet_stream()
                .to_string();
            if content_type.starts_with("text/") {
                content_type.push_str("; charset=utf-8");
            }
            let file = File {
                bytes,
                content_type,
            };
            Some((path.into_owned(), file))
        })
        .collect()
});

/// A file by its path, such as `assets/watch-1a2b.js`.
#[must_use]
pub fn file(path: &str) -> Option<&'static File> {
    FILES.get(path)
}

/// One of the pages: `watch`, `studio` or `ops`. When the pages were not built, one that says how.
#[must_use]
pub fn page(name: &str) -> Bytes {
    match file(&format!("{name}/index.html")) {
        Some(file) => file.bytes.clone(),
        None => Bytes::from_static(NOT_BUILT.as_bytes()),
    }
}

/// One show on the front page.
#[derive(Debug)]
pub struct FrontEntry<'a> {
    /// Where to watch it.
    pub path: String,
    /// Title.
    pub title: &'a str,
    /// Whose.
    pub seller: &'a str,
    /// Now, rather than later.
    pub on_air: bool,
}

/// The front page: what is on, in the two languages of the other pages.
#[must_use]
pub fn front(entries: &[FrontEntry<'_>]) -> String {
    let list: String = entries
        .iter()
        .map(|entry| {
            let state = if entry.on_air {
                "in onda · live"
            } else {
                "in programma · announced"
            };
            format!(
                "<li><a href=\"{}\"><strong>{}</strong><span>{} · {state}</span></a></li>",
                escape(&entry.path),
                escape(entry.title),
                escape(entry.seller),
            )
        })
        .collect();
    let shows = if list.is_empty() {
        "<p>Nessuna diretta in programma: torna con un link del venditore.<br>\
         No show is announced: come back with a seller's link.</p>"
            .to_owned()
    } else {
        format!("<ul>{list}</ul>")
    };
    FRONT.replace("{shows}", &shows)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

const FRONT: &str = "<!doctype html><html lang=\"it\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
<meta name=\"color-scheme\" content=\"light dark\"><title>Vetrina</title><style>\
body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:0 auto;padding:3rem 1rem;\
background:light-dark(#faf8f5,#161412);color:light-dark(#1d1a17,#f3efea)}\
h1{font-size:1.75rem;margin:0 0 1.5rem}\
ul{list-style:none;margin:0;padding:0;display:grid;gap:.75rem}\
a{display:block;padding:1rem 1.25rem;border-radius:.75rem;text-decoration:none;color:inherit;\
background:light-dark(#fff,#221f1c);border:1px solid light-dark(#e4ddd3,#38332e)}\
a:hover,a:focus-visible{border-color:currentColor}strong,span{display:block}\
span{color:light-dark(#6b6259,#b3a99e)}</style></head>\
<body><main><h1>Vetrina</h1>{shows}</main></body></html>";

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Vetrina</title>\
<body style=\"font: 1rem/1.5 system-ui; max-width: 40rem; margin: 4rem auto; padding: 0 1rem\">\
<h1>The pages are not in this binary</h1><p>The server runs, but it was built before its pages \
were. <code>cargo demo</code> builds both. By hand: <code>cd web-demo &amp;&amp; npm ci &amp;&amp; \
npm run build</code>, then build the server again.</p><p>REST is described at \
<a href=\"/docs/\">/docs</a>.</p></body></html>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_on_the_front_page_are_text() {
        let entry = FrontEntry {
            path: "/watch/1".into(),
            title: "<script>alert('x')</script>",
            seller: "A & B",
            on_air: true,
        };
        let html = front(&[entry]);
        assert!(html.contains("&lt;script&gt;") && html.contains("A &amp; B"));
        assert!(!html.contains("<script"));
    }

    #[test]
    fn there_is_always_a_page() {
        for name in ["watch", "studio", "ops"] {
            assert!(page(name).starts_with(b"<!doctype html>"), "{name}");
        }
        assert!(file("../Cargo.toml").is_none());
    }
}
