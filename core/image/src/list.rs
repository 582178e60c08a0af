//! Lists of names: one a line, with or without an image extension.
//!
//! Empty lines and comments are skipped; a comment is a line that begins with `#` and a blank, so that names may hold `#`. Blanks
//! around a name, a byte order mark and both kinds of line ends are accepted. A line that begins with `./` is taken literally
//! behind it: so every name that a folder can hold (`# 1`, ` x`) has a line, except one with a line break.

use std::path::Path;

use crate::error::ImageError;
use crate::format::has_image_extension;
use crate::write::write_bytes;

/// A name and where it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedName {
    /// As written.
    pub name: String,
    /// Line number, from 1.
    pub line: usize,
}

/// Whether a line is a comment: `#` and a blank, or `#` alone.
#[must_use]
pub fn is_comment(line: &str) -> bool {
    line.strip_prefix('#').is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// Reads a list of names as written; doubled names are kept.
///
/// # Errors
/// [`ImageError::Read`] with the path, also for text that is not UTF-8; [`ImageError::EmptyList`] for a list without names.
pub fn read_names(path: &Path) -> Result<Vec<ListedName>, ImageError> {
    let text = std::fs::read_to_string(path).map_err(|source| ImageError::Read { path: path.to_owned(), source })?;
    let names: Vec<ListedName> = parse(&text);
    if names.is_empty() { Err(ImageError::EmptyList { path: path.to_owned() }) } else { Ok(names) }
}

fn parse(text: &str) -> Vec<ListedName> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let name = |line: &str| match line.strip_prefix("./") {
        Some(literal) => literal.to_owned(),
        None if is_comment(line) => String::new(),
        None => line.trim().to_owned(),
    };
    let names = text.lines().enumerate().map(|(index, line)| ListedName { name: name(line), line: index + 1 });
    names.filter(|listed| !listed.name.is_empty()).collect()
}

/// Writes a list of names, aside first and then renamed. `comment` goes before them, each line behind `# `.
///
/// # Errors
/// [`ImageError::Unlistable`] for a name with a line break; [`ImageError::Write`] with the path.
pub fn write_names<S: AsRef<str>>(path: &Path, comment: &str, names: &[S]) -> Result<(), ImageError> {
    let mut text: String = comment.lines().map(|line| format!("# {line}\n")).collect();
    for name in names.iter().map(AsRef::as_ref) {
        if name.contains(['\n', '\r']) {
            return Err(ImageError::Unlistable { path: path.to_owned(), name: name.to_owned() });
        }
        let plain = !is_comment(name) && name.trim() == name && !name.starts_with(['\u{feff}', '.']);
        text.push_str(if plain { "" } else { "./" });
        text.push_str(name);
        text.push('\n');
    }
    write_bytes(path, text.as_bytes())
}

/// The name without extension that a listed name means. A name may itself contain dots, so it is looked up as written first.
#[must_use]
pub fn resolve(written: &str, known: impl Fn(&str) -> bool) -> String {
    let path = Path::new(written);
    if !known(written)
        && has_image_extension(path)
        && let Some(stem) = path.file_stem().and_then(|stem| stem.to_str())
        // A folder in front ("ir/NAME.png") is no name; it must not be dropped silently.
        && path.file_name().is_some_and(|file| file == written)
    {
        return stem.to_owned();
    }
    written.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_a_folder_can_hold_survives_a_list() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.txt");
        let names = [
            "cam#1_001",
            "#1",
            "# 1",
            "#",
            "a b",
            " a",
            "a ",
            "\ta",
            "it's \"q\"",
            "夜景 01",
            "-dash",
            "a.b.c",
            "100%25",
            ".x",
            "./x",
            "\u{feff}x",
            "x.png",
            "a\u{85}b",
            "a\u{2028}b",
        ];
        for comment in ["", "two\nlines"] {
            write_names(&path, comment, &names).unwrap();
            let back: Vec<String> = read_names(&path).unwrap().into_iter().map(|listed| listed.name).collect();
            assert_eq!(back, names);
        }
        for broken in ["a\nb", "a\r"] {
            assert!(matches!(write_names(&path, "", &[broken]), Err(ImageError::Unlistable { .. })));
        }
    }

    #[test]
    fn marks_line_ends_comments_and_empty_lines() {
        let text = "\u{feff}# by hand\r\n#\r\nb.png\r\n\r\n  c d \n#1\n#\ttab\na # b";
        let names: Vec<(String, usize)> = parse(text).into_iter().map(|l| (l.name, l.line)).collect();
        let expected = [("b.png", 3), ("c d", 5), ("#1", 6), ("a # b", 8)].map(|(n, l)| (n.to_owned(), l));
        assert_eq!(names, expected);
    }

    #[test]
    fn extensions_are_dropped_where_the_name_is_not_one() {
        let known = |name: &str| ["a", "b.png", "x.y"].contains(&name);
        for (written, means) in
            [("a", "a"), ("a.png", "a"), ("a.WEBP", "a"), ("b.png", "b.png"), ("x.y", "x.y"), ("ir/a.png", "ir/a.png")]
        {
            assert_eq!(resolve(written, known), means);
        }
    }

    #[test]
    fn a_list_without_names_or_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.txt");
        std::fs::write(&path, "# nothing\n").unwrap();
        assert!(matches!(read_names(&path), Err(ImageError::EmptyList { .. })));
        std::fs::write(&path, b"\xFF\xFE").unwrap();
        assert!(matches!(read_names(&path), Err(ImageError::Read { .. })));
    }
}
