//! What is compared, as a person writes it.

use crate::ablate::{PLAIN, is_plain};
use crate::fusion::Method;
use caf_image::rule::{RULES, Rule};
use std::path::{Path, PathBuf};

/// One of the methods that are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrant {
    /// Its name in folders, tables and plots.
    pub name: String,
    /// Where its images come from.
    pub source: Source,
}

/// Where images come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// They are made.
    Method(Method),
    /// They lie in a folder under the names of the pairs: published results.
    Images(PathBuf),
}

impl Entrant {
    /// Reads the name of a rule, `NAME=FILE` of a network's weights, or FILE alone, whose stem is the name then.
    ///
    /// # Errors
    /// For a name that no file can have and for what is neither, with the rules there are.
    pub fn of_method(text: &str) -> Result<Self, String> {
        if let Some(rule) = Rule::named(text) {
            return Ok(Entrant { name: text.to_owned(), source: Source::Method(Method::Rule(rule)) });
        }
        let (name, path) = match text.split_once('=') {
            Some((name, path)) => (name.to_owned(), path),
            // A word without an extension is a misspelt rule.
            None if Path::new(text).extension().is_none() => {
                let rules: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
                return Err(format!("expected one of {}, or NAME=FILE of a network's weights", rules.join(", ")));
            }
            None => (Path::new(text).file_stem().unwrap_or_default().to_string_lossy().into_owned(), text),
        };
        Entrant::new(name, path, "NAME=FILE", |path| Source::Method(Method::Network(path)))
    }

    /// Reads `NAME=DIR` of images.
    ///
    /// # Errors
    /// For a name that no file can have, and without a name.
    pub fn of_images(text: &str) -> Result<Self, String> {
        let (name, path) = text.split_once('=').ok_or("expected NAME=DIR")?;
        Entrant::new(name.to_owned(), path, "NAME=DIR", Source::Images)
    }

    fn new(name: String, path: &str, form: &str, source: impl FnOnce(PathBuf) -> Source) -> Result<Self, String> {
        if path.is_empty() {
            return Err(format!("expected {form}"));
        }
        if !is_plain(&name) {
            return Err(format!("expected {form} with a name of {PLAIN}, found `{name}`"));
        }
        Ok(Entrant { name, source: source(path.into()) })
    }

    /// The weights that it reads, if it is a network.
    pub fn weights(&self) -> Option<&Path> {
        match &self.source {
            Source::Method(Method::Network(path)) => Some(path),
            Source::Method(Method::Rule(_)) | Source::Images(_) => None,
        }
    }

    /// The folder that its images lie in, if they are not made.
    pub fn images(&self) -> Option<&Path> {
        match &self.source {
            Source::Images(path) => Some(path),
            Source::Method(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_networks_and_folders_are_told_apart() {
        let max = Entrant::of_method("max").unwrap();
        assert_eq!((max.weights(), max.images(), max.name.as_str()), (None, None, "max"));
        let det = Entrant::of_method("det=runs/a=b.pth").unwrap();
        assert_eq!((det.weights(), det.name.as_str()), (Some(Path::new("runs/a=b.pth")), "det"));
        assert_eq!(Entrant::of_method("runs/seg_final.pth").unwrap().name, "seg_final");
        let published = Entrant::of_images("U2Fusion=results/u2").unwrap();
        assert_eq!((published.images(), published.weights()), (Some(Path::new("results/u2")), None));
        for (text, word) in [("maximum", "laplacian"), ("a/b=c.pth", "`a/b`"), ("x=", "NAME=FILE"), ("=c.pth", "``")] {
            let error = Entrant::of_method(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
        assert!(Entrant::of_images("results").is_err() && Entrant::of_images("x=").is_err());
    }
}
