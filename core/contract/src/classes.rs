//! Class names: one a line, by number.

/// A line that is no class name of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a class name of its own, found {found:?}")]
pub struct ClassProblem {
    /// Line number, from 1.
    pub line: usize,
    /// What it holds.
    pub found: String,
}

/// The names of a `classes.txt`. The line is the number, so an empty line between names and a doubled name are problems; empty
/// lines at the end are not.
#[must_use]
pub fn parse(text: &str) -> (Vec<String>, Vec<ClassProblem>) {
    let (mut classes, mut problems) = (Vec::<String>::new(), Vec::new());
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.trim_end().lines().enumerate() {
        let class = line.trim().to_owned();
        if class.is_empty() || classes.contains(&class) {
            problems.push(ClassProblem { line: index + 1, found: class.clone() });
        }
        classes.push(class);
    }
    (classes, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_the_number() {
        assert_eq!(parse("\u{feff}person\r\n car \n\n").0, ["person", "car"]);
        let (classes, problems) = parse("person\n\nperson\n");
        assert_eq!(classes.len(), 3);
        assert_eq!(problems.iter().map(|p| p.line).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(parse(""), (vec![], vec![]));
    }
}
