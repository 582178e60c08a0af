//! Tables out of JSON reports: whatever a program measured is shown, without knowing each program's format.

use serde_json::{Map, Value};

use super::html::escape;

/// How many rows a table shows; reports with a row per image would bury the page.
const MOST_ROWS: usize = 40;

/// The report as HTML: loose values in one table, every group of like objects in a table of its own.
pub fn tables(report: &Value) -> String {
    let mut html = String::new();
    group(&mut html, "", report);
    html
}

fn group(html: &mut String, title: &str, value: &Value) {
    match value {
        Value::Object(fields) if is_matrix(fields.values()) => {
            let rows = fields.iter().filter_map(|(name, row)| Some((name.as_str(), row.as_object()?)));
            matrix(html, title, true, &rows.collect::<Vec<_>>());
        }
        Value::Object(fields) => {
            let loose: Vec<_> = fields.iter().filter(|(_, value)| is_simple(value)).collect();
            if !loose.is_empty() {
                pairs(html, title, &loose);
            }
            for (name, inner) in fields.iter().filter(|(_, value)| !is_simple(value)) {
                let heading = if title.is_empty() { words(name) } else { format!("{title}: {}", words(name)) };
                group(html, &heading, inner);
            }
        }
        Value::Array(items) if is_matrix(items.iter()) => {
            let rows: Vec<_> = items.iter().filter_map(|row| Some(("", row.as_object()?))).collect();
            matrix(html, title, false, &rows);
        }
        // Long rows of numbers are for programs; plots show them.
        _ => {}
    }
}

/// Objects of simple values, at least two of them: the rows of one table.
fn is_matrix<'a>(mut rows: impl Iterator<Item = &'a Value> + Clone) -> bool {
    let is_row = |value: &Value| value.as_object().is_some_and(|row| !row.is_empty() && row.values().all(is_simple));
    rows.clone().nth(1).is_some() && rows.all(is_row)
}

fn is_simple(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

fn pairs(html: &mut String, title: &str, rows: &[(&String, &Value)]) {
    open(html, title);
    for (name, value) in rows {
        html.push_str(&format!("<tr><th scope=row>{}</th>{}</tr>\n", escape(&words(name)), data(Some(value))));
    }
    html.push_str("</table></figure>\n");
}

fn matrix(html: &mut String, title: &str, is_named: bool, rows: &[(&str, &Map<String, Value>)]) {
    let mut columns: Vec<&str> = Vec::new();
    for name in rows.iter().flat_map(|(_, row)| row.keys()) {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    // Text names the row, so that it stands before the numbers; the sort keeps the order within both.
    columns.sort_by_key(|column| !rows.iter().any(|(_, row)| row.get(*column).is_some_and(Value::is_string)));
    open(html, title);
    let corner = if is_named { "<th></th>" } else { "" };
    let heads: String = columns.iter().map(|name| format!("<th scope=col>{}</th>", escape(&words(name)))).collect();
    html.push_str(&format!("<tr>{corner}{heads}</tr>\n"));
    for (name, row) in rows.iter().take(MOST_ROWS) {
        let head = if is_named { format!("<th scope=row>{}</th>", escape(&words(name))) } else { String::new() };
        let cells: String = columns.iter().map(|column| data(row.get(*column))).collect();
        html.push_str(&format!("<tr>{head}{cells}</tr>\n"));
    }
    html.push_str("</table>");
    if let Some(more @ 1..) = rows.len().checked_sub(MOST_ROWS) {
        html.push_str(&format!("<p>… and {more} more rows in the file.</p>"));
    }
    html.push_str("</figure>\n");
}

fn data(value: Option<&Value>) -> String {
    let class = if value.is_some_and(Value::is_string) { " class=text" } else { "" };
    format!("<td{class}>{}</td>", value.map(cell).unwrap_or_default())
}

fn open(html: &mut String, title: &str) {
    let caption = if title.is_empty() { String::new() } else { format!("<caption>{}</caption>", escape(title)) };
    html.push_str(&format!("<figure class=table><table>{caption}\n"));
}

/// Names in reports are identifiers: underscores read as spaces.
fn words(name: &str) -> String {
    name.replace('_', " ")
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => match number.as_f64() {
            Some(real) if !number.is_i64() && !number.is_u64() => real_number(real),
            _ => number.to_string(),
        },
        Value::String(text) => escape(text),
        Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// Four significant digits at most, without a tail of zeros.
pub fn real_number(real: f64) -> String {
    if real == 0.0 {
        return "0".to_owned();
    }
    let magnitude = real.abs();
    if !(1e-4..1e7).contains(&magnitude) {
        return format!("{real:.3e}");
    }
    let decimals = if magnitude >= 1000.0 {
        0
    } else if magnitude >= 100.0 {
        1
    } else if magnitude >= 10.0 {
        2
    } else {
        4
    };
    let text = format!("{real:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn loose_values_become_pairs_and_like_objects_become_a_matrix() {
        let html = tables(&json!({
            "map50": 0.51234, "images": 40,
            "stages": {"fuse": {"p50_ms": 12.0, "p95_ms": 15.5}, "draw": {"p50_ms": 0.25, "p95_ms": null}},
            "per_class": [{"class": "person", "ap": 0.5}, {"class": "<car>", "ap": 0.25}],
            "curve": [1, 2, 3],
        }));
        assert!(html.contains("<th scope=row>map50</th><td>0.5123</td>"), "{html}");
        assert!(html.contains("<td>40</td>"), "{html}");
        assert!(html.contains("<caption>stages</caption>") && html.contains("<th scope=col>p95 ms</th>"), "{html}");
        assert!(html.contains("<th scope=row>draw</th><td>0.25</td><td>–</td>"), "{html}");
        assert!(html.contains("<tr><td class=text>&lt;car&gt;</td><td>0.25</td></tr>"), "{html}");
        assert!(!html.contains("curve"), "{html}");
        assert_eq!(html.matches("<table>").count(), html.matches("</table>").count());
    }

    #[test]
    fn long_matrices_are_cut_and_say_so() {
        let rows: Vec<_> = (0..100).map(|i| json!({"i": i})).collect();
        let html = tables(&json!({"images": rows}));
        assert_eq!(html.matches("<tr><td>").count(), MOST_ROWS);
        assert!(html.contains("60 more rows"), "{html}");
    }

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0.5, "0.5"),
            (0.123456, "0.1235"),
            (123.456, "123.5"),
            (12345.6, "12346"),
            (0.00001, "1.000e-5"),
            (0.0, "0"),
            (1000.0, "1000"),
        ] {
            assert_eq!(real_number(number), text);
        }
    }
}
