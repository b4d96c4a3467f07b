//! Pictures of the demo's products, drawn here: no photographs, no network. Plain SVG in one style:
//! a soft ground, one thing, a shadow under it. The same picture every time.

use std::fmt::Write as _;

/// What can be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drawing {
    Vase,
    Bowl,
    Towel,
    Jug,
    Runner,
    Mug,
    Cushion,
    Plate,
    Blanket,
    Poster,
}

/// The drawing as an SVG file.
pub(super) fn draw(drawing: Drawing) -> String {
    match drawing {
        Drawing::Vase => framed("#e8eef2", "#cfdbe4", &vase()),
        Drawing::Bowl => framed("#f6f0e6", "#e9dcc6", &bowl()),
        Drawing::Towel => framed("#eef1e6", "#d9e0c8", &towel()),
        Drawing::Jug => framed("#f7ebe2", "#ecd3c0", &jug()),
        Drawing::Runner => framed("#f0ece6", "#ddd3c4", &runner()),
        Drawing::Mug => framed("#edf2ee", "#d3e0d6", &mug()),
        Drawing::Cushion => framed("#eaf0f3", "#d2dee6", &cushion()),
        Drawing::Plate => framed("#f4f1ea", "#e3dac8", &plate()),
        Drawing::Blanket => framed("#f3ebe4", "#e2d0c0", &blanket()),
        Drawing::Poster => poster(),
    }
}

/// A square of 600 with a wall, a table and a shadow.
fn framed(wall: &str, table: &str, thing: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 600 600\" width=\"600\" \
         height=\"600\"><defs><linearGradient id=\"wall\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"1\">\
         <stop offset=\"0\" stop-color=\"#ffffff\"/><stop offset=\"1\" stop-color=\"{wall}\"/>\
         </linearGradient><linearGradient id=\"light\" x1=\"0\" y1=\"0\" x2=\"1\" y2=\"0\">\
         <stop offset=\"0\" stop-color=\"#ffffff\" stop-opacity=\"0.45\"/>\
         <stop offset=\"0.45\" stop-color=\"#ffffff\" stop-opacity=\"0\"/>\
         <stop offset=\"1\" stop-color=\"#000000\" stop-opacity=\"0.25\"/></linearGradient></defs>\
         <rect width=\"600\" height=\"600\" fill=\"url(#wall)\"/>\
         <rect y=\"430\" width=\"600\" height=\"170\" fill=\"{table}\"/>{thing}</svg>"
    )
}

fn shadow(cx: u32, cy: u32, rx: u32) -> String {
    format!(
        "<ellipse cx=\"{cx}\" cy=\"{cy}\" rx=\"{rx}\" ry=\"{}\" fill=\"#000000\" \
         fill-opacity=\"0.14\"/>",
        rx / 7
    )
}

/// The same outline twice: its colour, and the light on it.
fn lit(outline: &str, colour: &str) -> String {
    format!("<path d=\"{outline}\" fill=\"{colour}\"/><path d=\"{outline}\" fill=\"url(#light)\"/>")
}

fn vase() -> String {
    let outline = "M258 110 Q300 98 342 110 Q336 160 352 205 Q412 270 404 370 Q396 470 340 500 \
        L260 500 Q204 470 196 370 Q188 270 248 205 Q264 160 258 110 Z";
    let mut waves = String::new();
    for line in 0..6 {
        let y = 290 + line * 28;
        let _ = write!(
            waves,
            "<path d=\"M204 {y} q24 -18 48 0 t48 0 t48 0 t48 0\" fill=\"none\" stroke=\"#dfe9f5\" \
             stroke-width=\"5\" stroke-opacity=\"0.7\" stroke-linecap=\"round\"/>"
        );
    }
    format!(
        "{}{}{waves}<ellipse cx=\"300\" cy=\"110\" rx=\"42\" ry=\"10\" fill=\"#142b57\"/>",
        shadow(300, 500, 130),
        lit(outline, "#24478f")
    )
}

fn bowl() -> String {
    let outline = "M150 300 Q160 470 270 478 L330 478 Q440 470 450 300 Z";
    format!(
        "{}{}<ellipse cx=\"300\" cy=\"300\" rx=\"150\" ry=\"40\" fill=\"#f4f1ec\"/>\
         <ellipse cx=\"300\" cy=\"300\" rx=\"150\" ry=\"40\" fill=\"none\" stroke=\"#c99a3b\" \
         stroke-width=\"7\"/><ellipse cx=\"300\" cy=\"308\" rx=\"122\" ry=\"27\" \
         fill=\"#dcd5ca\"/>",
        shadow(300, 482, 120),
        lit(outline, "#fbfaf7")
    )
}

fn leaves(x: i32, y: i32, count: i32, step: i32, colour: &str) -> String {
    let mut drawn = String::new();
    let end = y + count * step;
    let _ = write!(
        drawn,
        "<path d=\"M{x} {y} V{end}\" stroke=\"{colour}\" stroke-width=\"3\" fill=\"none\"/>"
    );
    for leaf in 0..count {
        let at = y + leaf * step + step / 2;
        for (side, angle) in [(-1, -35), (1, 35)] {
            let cx = x + side * 17;
            let _ = write!(
                drawn,
                "<ellipse cx=\"{cx}\" cy=\"{at}\" rx=\"19\" ry=\"7\" fill=\"{colour}\" \
                 transform=\"rotate({angle} {cx} {at})\"/>"
            );
        }
    }
    drawn
}

fn towel() -> String {
    let mut prints = String::new();
    for column in 0..3 {
        prints.push_str(&leaves(225 + column * 75, 150, 6, 46, "#6d7f45"));
    }
    format!(
        "<rect x=\"120\" y=\"92\" width=\"360\" height=\"14\" rx=\"7\" fill=\"#8a6a4a\"/>{}\
         <path d=\"M175 440 H425\" stroke=\"#6d7f45\" stroke-width=\"8\"/>\
         <path d=\"M175 456 H425\" stroke=\"#6d7f45\" stroke-width=\"3\"/>{prints}",
        lit("M170 98 H430 L434 478 Q300 490 166 478 Z", "#faf7ee")
    )
}

fn jug() -> String {
    let outline = "M232 150 L212 132 Q300 118 368 142 Q364 200 392 260 Q424 340 396 430 Q380 492 \
        330 496 L262 496 Q212 490 202 420 Q190 330 226 262 Q248 210 232 150 Z";
    format!(
        "{}<path d=\"M372 200 Q470 200 462 300 Q456 380 392 396\" fill=\"none\" \
         stroke=\"#b4623a\" stroke-width=\"26\" stroke-linecap=\"round\"/>{}\
         <path d=\"M206 360 Q300 392 400 360 L402 400 Q300 434 202 400 Z\" fill=\"#f2dcc4\"/>\
         <ellipse cx=\"292\" cy=\"140\" rx=\"70\" ry=\"13\" fill=\"#7d3f22\"/>",
        shadow(300, 498, 125),
        lit(outline, "#c8734a")
    )
}

fn runner() -> String {
    let mut stitches = String::new();
    for row in 0..4 {
        for column in 0..7 {
            let (x, y) = (196 + column * 34, 226 + row * 60);
            let colour = if (row + column) % 2 == 0 {
                "#a33b3b"
            } else {
                "#34507a"
            };
            let _ = write!(
                stitches,
                "<path d=\"M{x} {y} l14 14 m0 -14 l-14 14\" stroke=\"{colour}\" \
                 stroke-width=\"4\" stroke-linecap=\"round\"/>"
            );
        }
    }
    format!(
        "<path d=\"M60 430 H540 L600 600 H0 Z\" fill=\"#a9835c\"/>{}{stitches}\
         <path d=\"M168 200 H432 M168 470 H432\" stroke=\"#a33b3b\" stroke-width=\"5\" \
         stroke-dasharray=\"10 8\"/>",
        lit("M160 130 H440 L446 520 Q300 532 154 520 Z", "#e9dfcd")
    )
}

fn mug() -> String {
    format!(
        "{}<path d=\"M396 262 Q486 258 480 340 Q474 410 388 408\" fill=\"none\" \
         stroke=\"#7f9a84\" stroke-width=\"24\" stroke-linecap=\"round\"/>{}\
         <ellipse cx=\"298\" cy=\"222\" rx=\"104\" ry=\"22\" fill=\"#5f7a66\"/>\
         <ellipse cx=\"298\" cy=\"230\" rx=\"88\" ry=\"15\" fill=\"#4a3222\"/>\
         <path d=\"M270 180 q-14 -26 0 -48 t0 -46 M326 180 q-14 -26 0 -48 t0 -46\" fill=\"none\" \
         stroke=\"#ffffff\" stroke-width=\"7\" stroke-opacity=\"0.8\" stroke-linecap=\"round\"/>",
        shadow(298, 482, 108),
        lit(
            "M194 222 L204 446 Q208 478 244 480 H352 Q388 478 392 446 L402 222 Z",
            "#96b09b"
        )
    )
}

fn cushion() -> String {
    let mut stripes = String::new();
    for stripe in 0..6 {
        let x = 168 + stripe * 48;
        let width = if stripe % 2 == 0 { 20 } else { 10 };
        let colour = if stripe % 2 == 0 {
            "#2f5d86"
        } else {
            "#c9a875"
        };
        let _ = write!(
            stripes,
            "<path d=\"M{x} 182 Q{} 330 {x} 478\" fill=\"none\" stroke=\"{colour}\" \
             stroke-width=\"{width}\"/>",
            x + (stripe - 2) * 5
        );
    }
    let outline = "M140 176 Q300 204 460 176 Q436 330 462 484 Q300 460 138 484 Q164 330 140 176 Z";
    format!(
        "{}<defs><clipPath id=\"cloth\"><path d=\"{outline}\"/></clipPath></defs>\
         <path d=\"{outline}\" fill=\"#f0e8da\"/><g clip-path=\"url(#cloth)\">{stripes}</g>\
         <path d=\"{outline}\" fill=\"url(#light)\"/>",
        shadow(300, 486, 165)
    )
}

fn plate() -> String {
    let mut flowers = String::new();
    for petal in 0..12 {
        let angle = petal * 30;
        let colour = if petal % 2 == 0 { "#2f6aa8" } else { "#d8a531" };
        let _ = write!(
            flowers,
            "<g transform=\"rotate({angle} 300 300)\"><ellipse cx=\"300\" cy=\"124\" rx=\"13\" \
             ry=\"25\" fill=\"{colour}\"/><circle cx=\"300\" cy=\"206\" r=\"7\" \
             fill=\"#3f7d4e\"/><ellipse cx=\"300\" cy=\"262\" rx=\"10\" ry=\"30\" \
             fill=\"{colour}\"/></g>"
        );
    }
    format!(
        "<circle cx=\"308\" cy=\"312\" r=\"214\" fill=\"#000000\" fill-opacity=\"0.13\"/>\
         <circle cx=\"300\" cy=\"300\" r=\"212\" fill=\"#fbf8f0\"/>\
         <circle cx=\"300\" cy=\"300\" r=\"206\" fill=\"none\" stroke=\"#2f6aa8\" \
         stroke-width=\"8\"/><circle cx=\"300\" cy=\"300\" r=\"140\" fill=\"none\" \
         stroke=\"#3f7d4e\" stroke-width=\"4\"/>{flowers}\
         <circle cx=\"300\" cy=\"300\" r=\"22\" fill=\"#d8a531\"/>"
    )
}

fn blanket() -> String {
    let mut waves = String::new();
    for (line, colour) in ["#8c4f34", "#c98d5e", "#5d6b4e", "#e2c29a", "#8c4f34"]
        .iter()
        .enumerate()
    {
        let y = 246 + line * 48;
        let _ = write!(
            waves,
            "<path d=\"M150 {y} q37 -30 75 0 t75 0 t75 0 t75 0\" fill=\"none\" \
             stroke=\"{colour}\" stroke-width=\"17\"/>"
        );
    }
    let mut fringe = String::new();
    for thread in 0..20 {
        let x = 154 + thread * 15;
        let _ = write!(
            fringe,
            "<path d=\"M{x} 476 v26\" stroke=\"#b99873\" stroke-width=\"4\"/>"
        );
    }
    format!(
        "{}{}{waves}{fringe}<path d=\"M150 186 Q300 150 450 186 L450 210 Q300 176 150 210 Z\" \
         fill=\"#d9bd9b\"/>",
        shadow(300, 500, 160),
        lit("M150 186 Q300 150 450 186 L452 478 H148 Z", "#efe0cc")
    )
}

/// The stall itself, upright, for the time before the first frame.
fn poster() -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 1280\" width=\"720\" \
         height=\"1280\"><defs><linearGradient id=\"dusk\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"1\">\
         <stop offset=\"0\" stop-color=\"#26324f\"/><stop offset=\"0.6\" \
         stop-color=\"#7a5a63\"/><stop offset=\"1\" stop-color=\"#d59a6a\"/></linearGradient>\
         <linearGradient id=\"light\" x1=\"0\" y1=\"0\" x2=\"1\" y2=\"0\"><stop offset=\"0\" \
         stop-color=\"#ffffff\" stop-opacity=\"0.4\"/><stop offset=\"1\" stop-color=\"#000000\" \
         stop-opacity=\"0.25\"/></linearGradient></defs>\
         <rect width=\"720\" height=\"1280\" fill=\"url(#dusk)\"/>\
         <path d=\"M60 420 L110 300 H610 L660 420 Z\" fill=\"#c8503c\"/>\
         <path d=\"M170 420 L205 300 H290 L270 420 Z M370 420 V300 H430 L470 420 Z M570 420 L520 \
         300 H610 L660 420 Z\" fill=\"#f4ead9\"/>\
         <rect x=\"96\" y=\"420\" width=\"14\" height=\"560\" fill=\"#4b3327\"/>\
         <rect x=\"610\" y=\"420\" width=\"14\" height=\"560\" fill=\"#4b3327\"/>\
         <rect x=\"60\" y=\"900\" width=\"600\" height=\"230\" rx=\"8\" fill=\"#6b4732\"/>\
         <rect x=\"40\" y=\"880\" width=\"640\" height=\"34\" rx=\"8\" fill=\"#8a5f43\"/>\
         <g transform=\"translate(60 470) scale(0.82)\">{}</g>\
         <g transform=\"translate(300 560) scale(0.66)\">{}</g></svg>",
        vase(),
        bowl()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::{Kind, check};

    #[test]
    fn every_drawing_is_a_harmless_picture() {
        for drawing in [
            Drawing::Vase,
            Drawing::Bowl,
            Drawing::Towel,
            Drawing::Jug,
            Drawing::Runner,
            Drawing::Mug,
            Drawing::Cushion,
            Drawing::Plate,
            Drawing::Blanket,
            Drawing::Poster,
        ] {
            let svg = draw(drawing);
            assert_eq!(Kind::sniff(svg.as_bytes()), Some(Kind::Svg));
            assert_eq!(check(Kind::Svg, svg.as_bytes()), Ok(()), "{drawing:?}");
            assert!(svg.len() < 20_000, "{drawing:?} is {} bytes", svg.len());
        }
    }
}
