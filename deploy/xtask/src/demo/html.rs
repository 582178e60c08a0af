//! Pieces of HTML: text made safe, and the page's own style.

use std::path::Path;

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

/// The style sheet: readable in light and in dark, on a wide screen and on a telephone.
pub const STYLE: &str = r#"
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --paper: #ffffff; --card: #f6f8fa; --mark: #c2410c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa4af; --line: #30363d; --paper: #0d1117; --card: #161b22; --mark: #fb923c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1.25rem 5rem; background: var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--line); }
p { max-width: 46rem; }
.lead { color: var(--soft); font-size: 1.1rem; }
.limits { border-left: 4px solid var(--mark); background: var(--card); padding: .75rem 1rem; }
figure { margin: 1.25rem 0; }
figcaption, caption { color: var(--soft); font-size: .9rem; text-align: left; padding: .35rem 0; }
video { width: 100%; max-width: 40rem; }
img, video { display: block; max-width: 100%; height: auto; border-radius: 6px; }
.pictures { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); }
.pictures figure { margin: 0; }
.pictures img, .strips img { width: 100%; }
.plots { grid-template-columns: repeat(auto-fit, minmax(min(28rem, 100%), 1fr)); }
.plots img { background: #ffffff; padding: .5rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem .25rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th[scope=row], td.text, th:first-child { text-align: left; }
td.text { white-space: normal; }
th[scope=col] { color: var(--soft); font-weight: 600; vertical-align: bottom; }
.bar { display: inline-block; height: .7rem; background: var(--mark); border-radius: 2px; vertical-align: middle; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .6rem .8rem; overflow-x: auto; font-size: .85rem; }
.missing { color: var(--mark); }
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_becomes_markup() {
        assert_eq!(escape(r#"<a href="x">'&"#), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
    }

    #[test]
    fn addresses_keep_slashes_and_encode_the_rest() {
        assert_eq!(address(Path::new("panels/a b#1.png")), "panels/a%20b%231.png");
    }
}
