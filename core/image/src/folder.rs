//! Folders of images: what is in them, by name, and the pairs that two of them form.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::color::is_gray;
use crate::decode::read_vi;
use crate::error::{ImageError, ImageProblem};
use crate::format::{self, Format, has_image_extension};
use crate::header::head_of;

/// Files by their name without extension, in the order of the names.
pub type Files = BTreeMap<String, PathBuf>;

/// What a folder holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// The files.
    pub files: Files,
    /// What does not belong there, in the order of the paths.
    pub problems: Vec<ImageProblem>,
}

/// Whether a desktop system leaves files of this name behind: hidden ones (`.DS_Store`, `._NAME`), `Thumbs.db`, `desktop.ini`.
#[must_use]
pub fn is_leftover(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let left = ["thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"];
    name.starts_with('.') || left.contains(&name.to_lowercase().as_str())
}

/// The images of a folder by name.
///
/// Left-overs of desktop systems and folders are passed over. A file with an image's extension is listed whatever it holds (its
/// header says more), one without when its content is an image. Everything else is a problem: a file that is no image, since it
/// may be half of a pair in a format that is not read; a link that leads nowhere; two files of one name; a name that is not UTF-8.
///
/// # Errors
/// [`ImageError::Read`] when the folder cannot be listed.
pub fn images(folder: &Path) -> Result<Listing, ImageError> {
    let (paths, mut problems) = plain_files(folder)?;
    let mut listing = Listing::default();
    for path in paths {
        if !has_image_extension(&path) {
            let found = match head_of(&path) {
                Ok(head) if Format::of_content(&head).is_some() => None,
                Ok(head) => Some(format::describe(&head)),
                Err(error) => Some(format!("a file that cannot be read: {error}")),
            };
            if let Some(found) = found {
                problems.push(ImageProblem::NotAnImage { path, found });
                continue;
            }
        }
        insert(path, &mut listing.files, &mut problems);
    }
    listing.problems = problems;
    Ok(listing)
}

/// The files of a folder with this extension (any case) by name; others are passed over.
///
/// # Errors
/// [`ImageError::Read`] when the folder cannot be listed.
pub fn with_extension(folder: &Path, extension: &str) -> Result<Listing, ImageError> {
    let (paths, mut problems) = plain_files(folder)?;
    let mut listing = Listing::default();
    let wanted = |path: &PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(extension));
    for path in paths.into_iter().filter(wanted) {
        insert(path, &mut listing.files, &mut problems);
    }
    listing.problems = problems;
    Ok(listing)
}

fn insert(path: PathBuf, files: &mut Files, problems: &mut Vec<ImageProblem>) {
    match path.file_stem().and_then(OsStr::to_str).map(str::to_owned) {
        None => problems.push(ImageProblem::NotUtf8 { path }),
        Some(name) => match files.get(&name) {
            Some(first) => problems.push(ImageProblem::SameName { name, first: first.clone(), second: path }),
            None => drop(files.insert(name, path)),
        },
    }
}

/// The plain files of a folder in the order of their paths, without left-overs, and the links that lead nowhere.
///
/// # Errors
/// [`ImageError::Read`] when the folder cannot be listed.
pub fn plain_files(folder: &Path) -> Result<(Vec<PathBuf>, Vec<ImageProblem>), ImageError> {
    let read = |source| ImageError::Read { path: folder.to_owned(), source };
    let (mut files, mut links) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        let path = entry.path();
        if is_leftover(&entry.file_name()) {
            continue;
        }
        // Follows links.
        match std::fs::metadata(&path) {
            Ok(about) if about.is_file() => files.push(path),
            Ok(_) => {}
            Err(_) => {
                let target = std::fs::read_link(&path).unwrap_or_default();
                links.push(ImageProblem::DanglingLink { path, target });
            }
        }
    }
    files.sort_unstable();
    links.sort_by_key(ToString::to_string);
    Ok((files, links))
}

/// The two files of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// File name without extension.
    pub name: String,
    /// The infrared file.
    pub ir: PathBuf,
    /// The visible file.
    pub vi: PathBuf,
}

/// Two folders whose files belong together by name.
#[derive(Debug, Clone, Default)]
pub struct TwoFolders {
    /// The infrared folder.
    pub ir_folder: PathBuf,
    /// The visible folder.
    pub vi_folder: PathBuf,
    /// Infrared images.
    pub ir: Files,
    /// Visible images.
    pub vi: Files,
}

impl TwoFolders {
    /// Lists both folders; what does not belong there is added to `problems`.
    ///
    /// # Errors
    /// [`ImageError::Read`] when one cannot be listed.
    pub fn open(ir: &Path, vi: &Path, problems: &mut Vec<ImageProblem>) -> Result<Self, ImageError> {
        let (first, second) = (images(ir)?, images(vi)?);
        problems.extend(first.problems);
        problems.extend(second.problems);
        Ok(Self { ir_folder: ir.to_owned(), vi_folder: vi.to_owned(), ir: first.files, vi: second.files })
    }

    /// Whether neither folder has an image.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ir.is_empty() && self.vi.is_empty()
    }

    /// Whether one of the folders has an image of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.ir.contains_key(name) || self.vi.contains_key(name)
    }

    /// All names of both folders, in order, each once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let mut names: Vec<&str> = self.ir.keys().chain(self.vi.keys()).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter()
    }

    /// The pair of a name; a problem and `None` when one half is missing, only `None` when both are.
    pub fn pair(&self, name: &str, problems: &mut Vec<ImageProblem>) -> Option<Pair> {
        let (found, folder) = match (self.ir.get(name), self.vi.get(name)) {
            (Some(ir), Some(vi)) => return Some(Pair { name: name.to_owned(), ir: ir.clone(), vi: vi.clone() }),
            (Some(ir), None) => (ir.clone(), self.vi_folder.clone()),
            (None, Some(vi)) => (vi.clone(), self.ir_folder.clone()),
            (None, None) => return None,
        };
        problems.push(ImageProblem::MissingHalf { name: name.to_owned(), found, folder });
        None
    }

    /// All names as pairs; a name in only one of the folders is a problem. Warns when the first pair [looks swapped](looks_swapped).
    #[must_use]
    pub fn pairs(&self, problems: &mut Vec<ImageProblem>) -> Vec<Pair> {
        let pairs: Vec<Pair> = self.names().filter_map(|name| self.pair(name, problems)).collect();
        if let Some(Pair { ir, vi, .. }) = pairs.first() {
            warn_if_swapped(ir, vi);
        }
        pairs
    }
}

/// Whether the infrared image of a pair has colour and the visible one has none, as in folders that were named the wrong way round. An
/// image that cannot be read looks like nothing.
#[must_use]
pub fn looks_swapped(ir: &Path, vi: &Path) -> bool {
    let gray = |path: &Path| read_vi(path).ok().map(|image| is_gray(&image));
    gray(ir) == Some(false) && gray(vi) == Some(true)
}

/// Says so when a pair [looks swapped](looks_swapped): everything works on such pairs, and nothing is right.
pub fn warn_if_swapped(ir: &Path, vi: &Path) {
    if looks_swapped(ir, vi) {
        let [ir, vi] = [ir, vi].map(Path::display);
        tracing::warn!("{ir} has colour and {vi} has none: are infrared and visible swapped?");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raster::{Gray8, Rgb8};
    use crate::write::{write_gray8, write_rgb8};
    use caf_geometry::Size;

    #[test]
    fn leftovers_are_passed_over_and_everything_else_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let image = Gray8::filled(Size::new(4, 3), 9).unwrap();
        for name in ["a.png", "b b.png", "it's \"q\".png", "夜景#1.png", "-dash.png", "x.y.z.png", ".hidden.png"] {
            write_gray8(&path(name), &image).unwrap();
        }
        // An image without an image's extension is one all the same.
        write_gray8(&path("content.dat"), &image).unwrap();
        for leftover in ["._a.png", ".DS_Store", "Thumbs.db", "THUMBS.DB", "desktop.ini"] {
            std::fs::write(path(leftover), b"\0\x05\x16\x07").unwrap();
        }
        std::fs::create_dir(path("folder.png")).unwrap();
        let listing = images(folder.path()).unwrap();
        assert_eq!(listing.problems, []);
        let names: Vec<&str> = listing.files.keys().map(String::as_str).collect();
        assert_eq!(names, ["-dash", "a", "b b", "content", "it's \"q\"", "x.y.z", "夜景#1"]);

        std::fs::write(path("b.gif"), b"GIF89a\x01\0\x01\0").unwrap();
        std::fs::write(path("notes.txt"), b"hello").unwrap();
        std::fs::copy(path("a.png"), path("a.jpg")).unwrap();
        let problems = images(folder.path()).unwrap().problems;
        let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 3, "{text:?}");
        assert!(matches!(&problems[0], ImageProblem::SameName { name, .. } if name == "a"), "{text:?}");
        assert!(text[1].contains("b.gif") && text[1].contains("a GIF image") && text[1].contains("WebP"), "{text:?}");
        assert!(text[2].contains("notes.txt") && text[2].contains("found text"), "{text:?}");
        assert!(matches!(images(&path("none")), Err(ImageError::Read { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_or_named_where_they_lead_nowhere() {
        use std::os::unix::ffi::OsStrExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        write_gray8(&path("a.png"), &Gray8::filled(Size::new(4, 3), 9).unwrap()).unwrap();
        std::os::unix::fs::symlink("a.png", path("b.png")).unwrap();
        std::os::unix::fs::symlink("nowhere.png", path("c.png")).unwrap();
        std::fs::write(path("x").with_file_name(OsStr::from_bytes(b"bad\xFF.png")), b"").unwrap();
        let listing = images(folder.path()).unwrap();
        assert_eq!(listing.files.keys().collect::<Vec<_>>(), ["a", "b"]);
        let text: Vec<String> = listing.problems.iter().map(ToString::to_string).collect();
        assert!(text[0].contains("c.png: a link that leads nowhere, to nowhere.png"), "{text:?}");
        assert!(matches!(listing.problems[1], ImageProblem::NotUtf8 { .. }));
    }

    #[test]
    fn pairs_match_by_name_and_lonely_halves_are_named() {
        let root = tempfile::tempdir().unwrap();
        let [ir, vi] = ["ir", "vi"].map(|n| root.path().join(n));
        for folder in [&ir, &vi] {
            std::fs::create_dir(folder).unwrap();
        }
        let image = Gray8::filled(Size::new(4, 3), 9).unwrap();
        for name in ["ir/a.png", "vi/a.bmp", "ir/only.png", "vi/alone.png"] {
            write_gray8(&root.path().join(name), &image).unwrap();
        }
        let mut problems = Vec::new();
        let two = TwoFolders::open(&ir, &vi, &mut problems).unwrap();
        let pairs = two.pairs(&mut problems);
        assert_eq!((pairs.len(), pairs[0].name.as_str(), pairs[0].vi.clone()), (1, "a", vi.join("a.bmp")));
        assert!(
            matches!(&problems[0], ImageProblem::MissingHalf { name, folder, .. } if name == "alone" && *folder == ir)
        );
        assert!(
            matches!(&problems[1], ImageProblem::MissingHalf { name, folder, .. } if name == "only" && *folder == vi)
        );
        assert_eq!(problems.len(), 2);
    }

    #[test]
    fn colour_on_the_infrared_side_alone_looks_swapped() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        write_gray8(&path("gray.png"), &Gray8::filled(Size::new(2, 1), 9).unwrap()).unwrap();
        write_rgb8(&path("rgb.png"), &Rgb8::new(Size::new(2, 1), vec![9, 9, 9, 9, 8, 9]).unwrap()).unwrap();
        std::fs::write(path("none.png"), "no image").unwrap();
        for (ir, vi, swapped) in [
            ("rgb.png", "gray.png", true),
            ("gray.png", "rgb.png", false),
            ("gray.png", "gray.png", false),
            ("rgb.png", "rgb.png", false),
            ("rgb.png", "none.png", false),
            ("none.png", "gray.png", false),
        ] {
            assert_eq!(looks_swapped(&path(ir), &path(vi)), swapped, "{ir} {vi}");
        }
    }
}
