//! Pictures as SVG text: shapes and words in pixels, a style that follows the reader's light or dark setting.

use std::fmt::Write as _;

/// A point in pixels from the upper left corner.
pub(super) type Point = [f64; 2];

/// Which end of a text lies at its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Size of text in pixels. A picture is shown at half its width beside another one, so that this is more than it seems.
pub(super) const TEXT_PX: f64 = 19.0;
/// About the width of one character.
pub(super) const CHARACTER_PX: f64 = 0.56 * TEXT_PX;

/// Colours that stay apart from each other, and readable on white as on black.
const HUES: [&str; 8] = ["#2f7ed8", "#d9730d", "#2e9e5b", "#a257d6", "#d1344b", "#0f9aa8", "#96742f", "#c2408f"];
/// Dashes within a family of series: whole lines first.
const DASHES: [&str; 5] = ["", "11 5", "2 4", "18 4 2 4", "6 3"];

const STYLE: &str = ".paper{fill:#fff}text{fill:#1b1f24}.soft{fill:#57606a}.grid{stroke:#dfe3e8}.axis{stroke:#8b949e}\
    @media(prefers-color-scheme:dark){.paper{fill:#161b22}text{fill:#e6edf3}.soft{fill:#9aa4af}.grid{stroke:#2b323b}\
    .axis{stroke:#6e7681}}path{fill:none;stroke-linejoin:round;stroke-linecap:butt}";

/// How a series looks: the family decides the colour, the place in the family the dashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub colour: &'static str,
    pub dashes: &'static str,
}

/// The looks of series by their labels. What stands before the first full stop is the family: `ssim.ir` and `ssim.vi` are
/// of one.
pub(super) fn looks<'a>(labels: impl Iterator<Item = &'a str>) -> Vec<Look> {
    let mut families: Vec<(&str, usize)> = Vec::new();
    let mut look = |label: &'a str| {
        let family = label.split('.').next().unwrap_or(label);
        let row = families.iter().position(|(known, _)| *known == family).unwrap_or_else(|| {
            families.push((family, 0));
            families.len() - 1
        });
        let place = families.get_mut(row).map_or(0, |(_, members)| {
            *members += 1;
            *members - 1
        });
        let nth = |list: &[&'static str], i: usize| list.get(i % list.len().max(1)).copied().unwrap_or_default();
        Look { colour: nth(&HUES, row), dashes: nth(&DASHES, place) }
    };
    labels.map(&mut look).collect()
}

/// A picture in the making.
#[derive(Debug)]
pub(super) struct Picture {
    size: [f64; 2],
    title: String,
    body: String,
}

impl Picture {
    /// An empty picture with its title at the upper left.
    pub fn new(size: [f64; 2], title: &str) -> Self {
        let mut picture = Picture { size, title: title.to_owned(), body: String::new() };
        picture.element(format_args!(
            "<text x=\"16\" y=\"30\" font-size=\"{}\" font-weight=\"600\">{}</text>",
            TEXT_PX + 2.0,
            escape(title)
        ));
        picture
    }

    /// A text in the ink's colour, or in `colour`.
    pub fn text(&mut self, [x, y]: Point, anchor: Anchor, colour: Option<&str>, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        // A presentation attribute would lose against the style sheet.
        let colour = colour.map(|c| format!(" style=\"fill:{c}\"")).unwrap_or_default();
        let text = escape(text);
        self.element(format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{colour}>{text}</text>"));
    }

    /// The name of an axis, in a soft colour; upright ones read from below.
    pub fn axis_name(&mut self, [x, y]: Point, upright: bool, text: &str) {
        let turn = if upright { format!(" transform=\"rotate(-90 {x:.1} {y:.1})\"") } else { String::new() };
        let text = escape(text);
        self.element(format_args!(
            "<text class=\"soft\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\"{turn}>{text}</text>"
        ));
    }

    /// A thin line: `axis` or `grid`.
    pub fn rule(&mut self, class: &str, [x0, y0]: Point, [x1, y1]: Point) {
        self.element(format_args!("<path class=\"{class}\" d=\"M{x0:.1} {y0:.1}L{x1:.1} {y1:.1}\"/>"));
    }

    /// A line through points; `name` is shown where the pointer rests on it.
    pub fn path(&mut self, points: &[Point], look: Look, width: f64, opacity: f64, name: &str) {
        let mut d = String::new();
        for (i, [x, y]) in points.iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = write!(d, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' });
        }
        let dashes =
            if look.dashes.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{}\"", look.dashes) };
        let (colour, name) = (look.colour, escape(name));
        self.element(format_args!(
            "<path d=\"{d}\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-opacity=\"{opacity}\"{dashes}>\
             <title>{name}</title></path>"
        ));
    }

    /// A filled rectangle.
    pub fn bar(&mut self, [x, y]: Point, [width, height]: [f64; 2], colour: &str) {
        self.element(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\" fill=\"{colour}\"/>"
        ));
    }

    fn element(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.body, "{element}");
    }

    /// The whole file.
    pub fn finish(self) -> String {
        let Picture { size: [width, height], title, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} \
             {height}\" role=\"img\" font-family=\"system-ui,sans-serif\" font-size=\"{TEXT_PX}\">\n<title>{}</title>\n\
             <style>{STYLE}</style>\n<rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n{body}</svg>\n",
            escape(&title)
        )
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_shares_its_colour_and_no_two_series_look_alike() {
        let labels = ["l1.ir", "l1.vi", "l1.max", "mse.ir", "mse.vi", "ssim.ir", "ssim.vi", "total"];
        let all = looks(labels.iter().copied());
        assert!(all[0].colour == all[1].colour && all[0].colour != all[3].colour);
        for (i, a) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|b| a != b), "{} looks like another", labels[i]);
        }
    }

    #[test]
    fn words_cannot_become_markup() {
        let mut picture = Picture::new([10.0, 10.0], "a < b & c");
        picture.text([0.0, 0.0], Anchor::Start, None, "<script>");
        let svg = picture.finish();
        assert!(
            svg.contains("a &lt; b &amp; c") && svg.contains("&lt;script&gt;") && !svg.contains("<script"),
            "{svg}"
        );
    }
}
