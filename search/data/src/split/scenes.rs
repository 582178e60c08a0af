//! Which names belong to the same scene.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use caf_image::ImageError;
use caf_image::list::is_comment;

use crate::error::DataError;
use crate::name::NumberedName;

/// Names and the scene of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenes {
    names: Vec<String>,
    scene_of: Vec<usize>,
    count: usize,
}

impl Scenes {
    /// Runs of neighbouring numbers (same text around the number, steps of at most `gap`) are scenes; runs of more than
    /// `longest` names are cut into equal pieces. A name without a number is a scene of its own.
    #[must_use]
    pub fn by_number(names: &[String], gap: u64, longest: usize) -> Self {
        let mut families: BTreeMap<(String, String), Vec<(u64, usize)>> = BTreeMap::new();
        let mut scenes = Vec::new();
        for (index, name) in names.iter().enumerate() {
            match NumberedName::parse(name) {
                Some(n) => families.entry((n.prefix, n.suffix)).or_default().push((n.number, index)),
                None => scenes.push(vec![index]),
            }
        }
        for mut family in families.into_values() {
            family.sort_unstable();
            for run in family.chunk_by(|a, b| b.0 - a.0 <= gap) {
                let pieces = run.len().div_ceil(longest.max(1));
                for piece in run.chunks(run.len().div_ceil(pieces)) {
                    scenes.push(piece.iter().map(|&(_, index)| index).collect());
                }
            }
        }
        // A scene's number follows from its first name, so that it does not depend on how scenes were found.
        scenes.sort_by_key(|scene: &Vec<usize>| scene.iter().min().copied());
        let mut scene_of = vec![0; names.len()];
        for (scene, members) in scenes.iter().enumerate() {
            for &member in members {
                if let Some(slot) = scene_of.get_mut(member) {
                    *slot = scene;
                }
            }
        }
        Self { names: names.to_owned(), scene_of, count: scenes.len() }
    }

    /// Puts the names of a scenes file together: each line `NAME SCENE`, the scene being the last word of the line;
    /// a line that begins with `#` and a blank is a comment. Names that it does not list keep the scene they have.
    ///
    /// # Errors
    /// [`DataError::Image`] with the path, [`DataError::Line`] for a line of one word, an unknown or a doubled name.
    pub fn with_file(self, path: &Path) -> Result<Self, DataError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ImageError::Read { path: path.to_owned(), source })?;
        let index_of: HashMap<&str, usize> = self.names.iter().enumerate().map(|(i, n)| (n.as_str(), i)).collect();
        let mut listed = BTreeSet::new();
        let mut numbers = HashMap::new();
        let mut scene_of = self.scene_of.clone();
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || is_comment(line) {
                continue;
            }
            let bad = |expected, found: &str| DataError::Line {
                path: path.to_owned(),
                line: number + 1,
                expected,
                found: format!("{found:?}"),
            };
            let (name, scene) =
                line.rsplit_once(char::is_whitespace).ok_or_else(|| bad("NAME SCENE, two words", line))?;
            let name = name.trim_end();
            let &index = index_of.get(name).ok_or_else(|| bad("a name of the data set", name))?;
            if !listed.insert(index) {
                return Err(bad("each name once", name));
            }
            let next = self.count + numbers.len();
            if let Some(slot) = scene_of.get_mut(index) {
                *slot = *numbers.entry(scene.to_owned()).or_insert(next);
            }
        }
        drop(index_of);
        Ok(Self { names: self.names, scene_of, count: 0 }.renumbered())
    }

    /// Numbers scenes from 0 without gaps, in the order of their first names.
    fn renumbered(mut self) -> Self {
        let mut numbers = HashMap::new();
        for scene in &mut self.scene_of {
            let next = numbers.len();
            *scene = *numbers.entry(*scene).or_insert(next);
        }
        self.count = numbers.len();
        self
    }

    /// All names, in the order given.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The scene of each name, below [`Scenes::count`].
    #[must_use]
    pub fn scene_of(&self) -> &[usize] {
        &self.scene_of
    }

    /// Number of scenes.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Names in each scene.
    #[must_use]
    pub fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.count];
        for &scene in &self.scene_of {
            if let Some(size) = sizes.get_mut(scene) {
                *size += 1;
            }
        }
        sizes
    }
}

/// Numbers of some names, to ask which others are near.
pub(super) struct Near {
    numbers: BTreeMap<(String, String), BTreeSet<u64>>,
    gap: u64,
}

impl Near {
    pub(super) fn new(names: &[&str], gap: u64) -> Self {
        let mut numbers: BTreeMap<(String, String), BTreeSet<u64>> = BTreeMap::new();
        for n in names.iter().filter_map(|name| NumberedName::parse(name)) {
            numbers.entry((n.prefix, n.suffix)).or_default().insert(n.number);
        }
        Self { numbers, gap }
    }

    /// Whether the name's number is within the gap of one of them.
    pub(super) fn contains(&self, name: &str) -> bool {
        NumberedName::parse(name).is_some_and(|n| {
            let range = n.number.saturating_sub(self.gap)..=n.number.saturating_add(self.gap);
            self.numbers.get(&(n.prefix, n.suffix)).is_some_and(|near| near.range(range).next().is_some())
        })
    }
}
