//! Which SVG files are harmless: plain shapes, gradients and text from a list of known elements and
//! attributes. Anything else (scripts, styles, links, foreign content, entities) is refused rather
//! than repaired. It refuses to know how a picture looks.

use roxmltree::{Document, Node, ParsingOptions};

/// Elements that only draw.
const ELEMENTS: [&str; 22] = [
    "svg",
    "g",
    "defs",
    "title",
    "desc",
    "path",
    "rect",
    "circle",
    "ellipse",
    "line",
    "polyline",
    "polygon",
    "text",
    "tspan",
    "linearGradient",
    "radialGradient",
    "stop",
    "clipPath",
    "mask",
    "pattern",
    "symbol",
    "use",
];

/// Attributes that only say where and in which colour.
const ATTRIBUTES: [&str; 72] = [
    "id",
    "viewBox",
    "width",
    "height",
    "x",
    "y",
    "x1",
    "y1",
    "x2",
    "y2",
    "cx",
    "cy",
    "r",
    "rx",
    "ry",
    "fx",
    "fy",
    "d",
    "points",
    "transform",
    "fill",
    "fill-opacity",
    "fill-rule",
    "stroke",
    "stroke-width",
    "stroke-opacity",
    "stroke-linecap",
    "stroke-linejoin",
    "stroke-dasharray",
    "stroke-dashoffset",
    "stroke-miterlimit",
    "opacity",
    "offset",
    "stop-color",
    "stop-opacity",
    "gradientUnits",
    "gradientTransform",
    "spreadMethod",
    "clip-path",
    "clip-rule",
    "clipPathUnits",
    "mask",
    "maskUnits",
    "maskContentUnits",
    "patternUnits",
    "patternContentUnits",
    "patternTransform",
    "preserveAspectRatio",
    "font-family",
    "font-size",
    "font-weight",
    "font-style",
    "letter-spacing",
    "text-anchor",
    "dominant-baseline",
    "dx",
    "dy",
    "textLength",
    "lengthAdjust",
    "color",
    "display",
    "visibility",
    "version",
    "role",
    "aria-label",
    "aria-hidden",
    "shape-rendering",
    "text-rendering",
    "vector-effect",
    "paint-order",
    "href",
    "pathLength",
];

const SVG_NAMESPACE: &str = "http://www.w3.org/2000/svg";
/// More is no drawing for a product card.
const NODES_MAX: u32 = 20_000;

/// Whether the bytes begin like an SVG.
pub(super) fn looks_like_one(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(1_024)];
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    text.starts_with("<svg") || (text.starts_with("<?xml") && text.contains("<svg"))
}

/// Whether the file is harmless.
///
/// # Errors
/// What is not allowed in it, for the person who uploads it.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: NODES_MAX,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options)
        .map_err(|error| format!("it cannot be read ({error})"))?;
    if document.root_element().tag_name().name() != "svg" {
        return Err("its root element is not svg".into());
    }
    document.descendants().try_for_each(check_node)
}

fn check_node(node: Node<'_, '_>) -> Result<(), String> {
    if node.is_pi() {
        return Err("processing instructions are not allowed".into());
    }
    if !node.is_element() {
        return Ok(());
    }
    let name = node.tag_name();
    if name.namespace() != Some(SVG_NAMESPACE) || !ELEMENTS.contains(&name.name()) {
        return Err(format!(
            "the element {} is not allowed",
            quoted(name.name())
        ));
    }
    for attribute in node.attributes() {
        let known = attribute.namespace().is_none() && ATTRIBUTES.contains(&attribute.name());
        if !known {
            let name = quoted(attribute.name());
            return Err(format!("the attribute {name} is not allowed"));
        }
        let value = attribute.value();
        let points_inside = value.trim_start().starts_with('#');
        if attribute.name() == "href" && !points_inside {
            return Err("href may only point inside the picture (#id)".into());
        }
        if !urls_point_inside(value) {
            return Err("url() may only point inside the picture (#id)".into());
        }
    }
    Ok(())
}

fn urls_point_inside(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let mut rest = lower.as_str();
    while let Some(at) = rest.find("url") {
        rest = &rest[at + 3..];
        let inside = rest.trim_start().strip_prefix('(').is_some_and(|url| {
            let url = url.trim_start().trim_start_matches(['"', '\'']);
            url.starts_with('#')
        });
        if !inside {
            return false;
        }
    }
    !lower.contains("javascript:") && !lower.contains('\\') && !lower.contains("data:")
}

fn quoted(name: &str) -> String {
    let short: String = name.chars().take(40).collect();
    format!("\"{}\"", short.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(inside: &str) -> String {
        format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 9 9\">{inside}</svg>")
    }

    #[test]
    fn drawings_pass() {
        for good in [
            svg("<rect width=\"9\" height=\"9\" fill=\"url(#a)\"/>"),
            svg(
                "<defs><linearGradient id=\"a\"><stop offset=\"0\" stop-color=\"#fff\"/>\
                 </linearGradient></defs><g transform=\"rotate(9)\">\
                 <text x=\"1\">&lt;b&gt;</text></g>",
            ),
            format!(
                "<?xml version=\"1.0\"?>\n<!-- drawn -->{}",
                svg("<use href=\"#a\"/>")
            ),
        ] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
            assert!(looks_like_one(good.as_bytes()));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let bad = [
            svg("<script>alert(1)</script>"),
            svg("<rect onload=\"alert(1)\"/>"),
            svg("<a href=\"https://example.org\"><rect/></a>"),
            svg("<use href=\"https://example.org/a.svg#a\"/>"),
            svg("<use xmlns:xlink=\"http://www.w3.org/1999/xlink\" xlink:href=\"#a\"/>"),
            svg("<image href=\"data:image/png;base64,AA\"/>"),
            svg("<foreignObject><p xmlns=\"http://www.w3.org/1999/xhtml\">x</p></foreignObject>"),
            svg("<style>@import 'x'</style>"),
            svg("<rect style=\"fill:red\"/>"),
            svg("<rect fill=\"url(https://example.org/a)\"/>"),
            svg("<rect fill=\"URL ( 'javascript:1')\"/>"),
            svg("<animate attributeName=\"href\"/>"),
            svg("<h:script xmlns:h=\"http://www.w3.org/1999/xhtml\"/>"),
            format!("<?xml-stylesheet href=\"a.css\"?>{}", svg("")),
            format!("<!DOCTYPE svg [<!ENTITY a \"b\">]>{}", svg("&a;")),
            svg("<rect>"),
            "<svg/>".to_owned(),
            "<svg xmlns=\"http://www.w3.org/1999/xhtml\"/>".to_owned(),
        ];
        for file in bad {
            assert!(check(file.as_bytes()).is_err(), "{file}");
        }
        assert!(check(b"<svg \xff").is_err());
    }
}
