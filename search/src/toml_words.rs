//! What the TOML parser says, in one line.

use strsim::normalized_damerau_levenshtein;

/// Names that are less alike, on a scale from 0 to 1, are not meant.
const ALIKE: f64 = 0.6;

/// What is wrong with `text`, or with a table, for which `text` is empty: line and column, the parser's words, the table, and for an
/// unknown name the nearest of the known ones.
pub(crate) fn words_of(error: &toml::de::Error, text: &str) -> String {
    let place = error.span().filter(|_| !text.is_empty()).map(|span| place_in(text, span.start)).unwrap_or_default();
    let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    // A value has no place in a text; the parser says its table, on a line of its own.
    let whole = error.to_string();
    let last = whole.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    let table = if last.starts_with("in `") { format!(" {last}") } else { String::new() };
    let Some((name, known)) = unknown_name(&message) else { return format!("{place}{message}{table}") };
    let list = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match nearest(name, &known) {
        Some(near) => format!("{place}unknown field `{name}`{table}, nearest `{near}`; there are: {list}"),
        None => format!("{place}unknown field `{name}`{table}; there are: {list}"),
    }
}

/// Line and column, from 1, of a byte of the text.
fn place_in(text: &str, byte: usize) -> String {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: ")
}

/// The name that is not known and those that are, from serde's words.
fn unknown_name(message: &str) -> Option<(&str, Vec<&str>)> {
    let (name, rest) = message.strip_prefix("unknown field `")?.split_once('`')?;
    // Every other part stands between backticks.
    let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    Some((name, known)).filter(|(_, known)| !known.is_empty())
}

fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let alike = known.iter().map(|other| (normalized_damerau_levenshtein(name, other), *other));
    alike.filter(|(alike, _)| *alike >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only the errors are looked at")]
    struct Outer {
        inner: Inner,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only the errors are looked at")]
    struct Inner {
        iterations: usize,
        batch: usize,
    }

    #[test]
    fn an_unknown_name_is_one_line_with_the_nearest_known_one() {
        let of_text = |text: &str| words_of(&toml::from_str::<Outer>(text).unwrap_err(), text);
        let of_table = |text: &str| {
            let table: toml::Table = toml::from_str(text).unwrap();
            words_of(&toml::Value::Table(table).try_into::<Outer>().unwrap_err(), "")
        };
        let text = "# ä\n[inner]\nitertions = 3\n";
        let there = "there are: `iterations`, `batch`";
        assert_eq!(
            of_text(text),
            format!("line 3, column 1: unknown field `itertions`, nearest `iterations`; {there}")
        );
        assert_eq!(of_table(text), format!("unknown field `itertions` in `inner`, nearest `iterations`; {there}"));
        assert_eq!(of_table("[inner]\nq = 1\n"), format!("unknown field `q` in `inner`; {there}"));
        assert_eq!(of_table("[outer]\n"), "unknown field `outer`; there are: `inner`");
    }

    #[test]
    fn other_words_are_the_parser_s_on_one_line() {
        let text = "[inner]\nbatch = 1\niterations = \n";
        let told = words_of(&toml::from_str::<Outer>(text).unwrap_err(), text);
        assert!(told.starts_with("line 3, column 14: ") && !told.contains('\n'), "{told}");
        let table: toml::Table = toml::from_str("[inner]\nbatch = \"x\"\niterations = 1\n").unwrap();
        let told = words_of(&toml::Value::Table(table).try_into::<Outer>().unwrap_err(), "");
        assert_eq!(told, "invalid type: string \"x\", expected usize in `inner.batch`");
    }
}
