//! Pieces of HTML: text made safe, tables with bars, figures, and the style of every page.

use std::fmt::Write as _;
use std::path::Path;

/// A whole page: its title as text, its body as HTML. Nothing in it comes from elsewhere.
pub fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\
         </body>\n</html>\n",
        escape(title)
    )
}

/// Text for an HTML document or a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// A relative path as an address: slashes stay, everything that an address does not allow is encoded.
pub fn address(path: &Path) -> String {
    let mut address = String::new();
    for byte in path.to_string_lossy().bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            address.push(char::from(byte));
        } else {
            address.push_str(&format!("%{byte:02X}"));
        }
    }
    address
}

/// A paragraph.
pub fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escape(text))
}

/// What should be there and is not is said, not left out.
pub fn missing(name: &str, reason: &str) -> String {
    format!("<p class=\"missing\">{} cannot be shown: {}</p>\n", escape(name), escape(reason))
}

/// A picture beside the page with its caption; a click shows it alone. `crisp` keeps the pixels of small pictures apart.
pub fn picture(path: &Path, caption: &str, crisp: bool) -> String {
    let class = if crisp { " class=\"crisp\"" } else { "" };
    format!(
        "<figure><a href=\"{0}\"><img src=\"{0}\" alt=\"{1}\"{class} loading=\"lazy\"></a><figcaption>{1}</figcaption></figure>\n",
        address(path),
        escape(caption)
    )
}

/// Figures in columns.
pub fn side_by_side(figures: &str) -> String {
    format!("<div class=\"plots\">\n{figures}</div>\n")
}

/// A text of several lines as it is, behind its title.
pub fn verbatim(title: &str, text: &str, open: bool) -> String {
    let open = if open { " open" } else { "" };
    format!("<details{open}><summary>{}</summary>\n<pre>{}</pre></details>\n", escape(title), escape(text))
}

/// One cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Names its row.
    Head(String),
    /// A number, as it is read.
    Number(String),
    /// A number on a ground that is the darker the larger the share, 0 to 1.
    Shaded(String, f64),
    /// The same for the best of its row.
    Best(String, f64),
    /// Bars from the left, shares of the cell from 0 to 1, the first in front of the others.
    Bars(Vec<f64>),
}

/// A table with a caption.
#[derive(Debug, Default)]
pub struct Table {
    caption: String,
    heads: Vec<String>,
    rows: String,
}

impl Table {
    /// A table without rows.
    pub fn new(caption: &str, heads: &[&str]) -> Self {
        Self {
            caption: caption.to_owned(),
            heads: heads.iter().map(|head| (*head).to_owned()).collect(),
            rows: String::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.styled_row("", cells);
    }

    /// Adds a row that matters less: what did not happen, what says little.
    pub fn faint_row(&mut self, cells: Vec<Cell>) {
        self.styled_row(" class=\"faint\"", cells);
    }

    /// Adds a row that sums the others up.
    pub fn sum_row(&mut self, cells: Vec<Cell>) {
        self.styled_row(" class=\"sum\"", cells);
    }

    fn styled_row(&mut self, style: &str, cells: Vec<Cell>) {
        let cells: String = cells.iter().map(cell).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(self.rows, "<tr{style}>{cells}</tr>");
    }

    /// The table, scrollable where the page is too narrow for it.
    pub fn html(&self) -> String {
        let heads: String = self.heads.iter().map(|head| format!("<th scope=\"col\">{}</th>", escape(head))).collect();
        let heads = if self.heads.is_empty() { String::new() } else { format!("<thead><tr>{heads}</tr></thead>\n") };
        format!(
            "<div class=\"table\"><table><caption>{}</caption>\n{heads}<tbody>\n{}</tbody></table></div>\n",
            escape(&self.caption),
            self.rows
        )
    }
}

fn cell(cell: &Cell) -> String {
    let shaded = |class: &str, text: &str, share: f64| {
        // The darkest ground still leaves the number readable.
        let percent = 55.0 * share.clamp(0.0, 1.0);
        format!("<td class=\"{class}\" style=\"--share:{percent:.0}%\">{}</td>", escape(text))
    };
    match cell {
        Cell::Head(text) => format!("<th scope=\"row\">{}</th>", escape(text)),
        Cell::Number(text) => format!("<td>{}</td>", escape(text)),
        Cell::Shaded(text, share) => shaded("shaded", text, *share),
        Cell::Best(text, share) => shaded("shaded best", text, *share),
        Cell::Bars(shares) => {
            let bar = |share: &f64| format!("<span style=\"width:{:.1}%\"></span>", 100.0 * share.clamp(0.0, 1.0));
            let bars: String = shares.iter().rev().map(bar).collect();
            format!("<td class=\"bars\" aria-hidden=\"true\"><div>{bars}</div></td>")
        }
    }
}

/// A share as it is read in per cent, without the sign.
pub fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// A small error with its power of ten, a larger number with three digits.
pub fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        small if small < 1e-3 => format!("{value:.1e}"),
        large if large >= 100.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        large if large >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The style sheet of every page: readable in light and in dark, on a wide screen and on a telephone.
const STYLE: &str = r"
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --paper: #fff; --card: #f6f8fa; --mark: #b5400a; --bar: #2f7ed8; --good: #2f7ed8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa4af; --line: #30363d; --paper: #0d1117; --card: #161b22; --mark: #fb923c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 74rem; padding: 2rem 1.25rem 5rem; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.35rem; margin: 3rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.25rem 0 .35rem; }
p { max-width: 52rem; margin: .5rem 0; }
a { color: inherit; }
.lead { color: var(--soft); font-size: 1.1rem; }
.limits, .failed { border-left: 4px solid var(--mark); background: var(--card); padding: .75rem 1rem; max-width: none; }
.hero { display: grid; gap: 1.5rem 2rem; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); align-items: start; margin: 1.25rem 0; }
figure { margin: 0; }
figcaption, caption { color: var(--soft); font-size: .9rem; text-align: left; padding: .35rem 0; }
img, video { display: block; max-width: 100%; height: auto; border-radius: 4px; }
.crisp { image-rendering: pixelated; }
.row { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(min(16rem, 100%), 1fr)); }
.plots { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(30rem, 100%), 1fr)); margin: 1rem 0; }
.plots img { width: 100%; border: 1px solid var(--line); }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--line); font-weight: 400; white-space: nowrap; }
th[scope=row], thead th:first-child { text-align: left; padding-left: 0; white-space: normal; }
thead th { color: var(--soft); vertical-align: bottom; }
.shaded { background: color-mix(in srgb, var(--good) var(--share), transparent); }
.best { font-weight: 700; }
.faint { color: var(--soft); }
.sum th, .sum td { font-weight: 600; }
.bars { width: 15rem; min-width: 9rem; }
.bars div { position: relative; height: .8rem; }
.bars span { position: absolute; left: 0; top: 0; height: 100%; min-width: 1px; border-radius: 2px; background: color-mix(in srgb, var(--bar) 30%, var(--paper)); }
.bars span:nth-last-child(2) { background: color-mix(in srgb, var(--bar) 60%, var(--paper)); }
.bars span:last-child { background: var(--bar); }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .6rem .8rem; overflow-x: auto; font-size: .85rem; margin: .35rem 0 1rem; }
details summary { cursor: pointer; }
.missing { color: var(--mark); }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_becomes_markup() {
        assert_eq!(escape(r#"<a href="x">'&"#), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
        let mut table = Table::new("<caption>", &["<head>"]);
        table.row(vec![Cell::Head("<row>".to_owned())]);
        let html = table.html();
        for name in ["caption", "head", "row"] {
            assert!(html.contains(&format!("&lt;{name}&gt;")), "{html}");
        }
    }

    #[test]
    fn addresses_keep_slashes_and_encode_the_rest() {
        assert_eq!(address(Path::new("panels/a b#1.png")), "panels/a%20b%231.png");
    }

    #[test]
    fn the_first_bar_is_painted_last() {
        let html = cell(&Cell::Bars(vec![0.25, 0.5, 2.0]));
        let widths = ["width:100.0%", "width:50.0%", "width:25.0%"].map(|width| html.find(width).unwrap());
        assert!(widths.is_sorted(), "{html}");
    }

    #[test]
    fn numbers_are_short() {
        for (number, text) in
            [(0.0, "0"), (1.234e-6, "1.2e-6"), (0.5, "0.500"), (1.0, "1.00"), (12.345, "12.3"), (1234.5, "1234")]
        {
            assert_eq!(short(number), text);
        }
    }
}
