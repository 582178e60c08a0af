//! How published data sets lie on disk as they unpack: one file a layout, and one line in [`ALL`].
//!
//! A layout says by which folders it is recognised and turns the tree into an [`Index`]: names, where the two images, the boxes and
//! the mask of each lie, the class names, and the splits of its publisher, under the publisher's names. Everything else (headers,
//! labels, checks, loading) is the same for all of them.

mod index;
mod tree;
mod voc;

/// Declares the layouts: a module of this name for each, and its place in [`ALL`].
macro_rules! layouts {
    ($($name:ident),* $(,)?) => {
        $(mod $name;)*
        /// All layouts, in the order of the documentation.
        pub const ALL: &[&Layout] = &[$(&$name::LAYOUT),*];
    };
}

layouts!(plain, m3fd, mfnet, msrs, roadscene, tno, multispectral, llvip, fmb, vifb, kaist, yolo);

use std::path::Path;

use crate::error::DataError;
pub use index::{Boxes, Index, Infrared, Item, Split};
pub use tree::Tree;
pub(crate) use voc::read_voc;

/// One way in which a data set lies on disk.
#[derive(Debug)]
pub struct Layout {
    /// Name on a command line.
    pub name: &'static str,
    /// What it is recognised by, for messages.
    pub looks_for: &'static str,
    /// Whether a tree is of this layout.
    pub is: fn(&Tree) -> bool,
    /// What the tree holds.
    pub read: fn(&Tree) -> Result<Index, DataError>,
}

/// The layout of a folder, named or recognised, and its content.
///
/// An archive often unpacks into one folder: where `root` itself is of no layout and holds a single folder, this is looked into.
///
/// # Errors
/// [`DataError::UnknownLayout`] for another name; [`DataError::Layout`] when the folder is of no layout, of several, or not of the
/// named one: what each looks for and what was found is listed; errors of reading.
pub fn open(root: &Path, name: Option<&str>) -> Result<(&'static Layout, Index), DataError> {
    let chosen: Vec<&'static Layout> = match name {
        None => ALL.to_vec(),
        Some(name) => match ALL.iter().find(|layout| layout.name == name) {
            Some(layout) => vec![*layout],
            None => return Err(DataError::UnknownLayout { name: name.to_owned(), known: names() }),
        },
    };
    let outer = Tree::of(root)?;
    let mut tree = outer.clone();
    let mut depth = 0;
    loop {
        let fitting: Vec<&'static Layout> = chosen.iter().copied().filter(|layout| (layout.is)(&tree)).collect();
        match fitting.as_slice() {
            [layout] => return Ok((layout, (layout.read)(&tree)?)),
            [] => match tree.only_folder()? {
                Some(inner) if depth < WRAPPERS => (tree, depth) = (inner, depth + 1),
                _ => {
                    return Err(refused(
                        root,
                        &chosen,
                        &format!("{}; it holds {}", unfit(name, &outer), outer.content()),
                    ));
                }
            },
            several => {
                let names: Vec<&str> = several.iter().map(|layout| layout.name).collect();
                let found = format!("of more than one layout ({}); choose one with --layout NAME", names.join(", "));
                return Err(refused(root, several, &found));
            }
        }
    }
}

/// Folders with nothing but one folder in them that are looked through.
const WRAPPERS: usize = 2;

/// The names of all layouts, for messages.
#[must_use]
pub fn names() -> String {
    ALL.iter().map(|layout| layout.name).collect::<Vec<_>>().join(", ")
}

/// Why a tree is of none of the chosen layouts: that it is of another than the named one, where it is.
fn unfit(name: Option<&str>, tree: &Tree) -> String {
    let Some(name) = name else { return "of no known layout".to_owned() };
    match ALL.iter().find(|layout| (layout.is)(tree)) {
        Some(found) => format!("not of layout {name}, but of {found}: choose that, or none", found = found.name),
        None => format!("not of layout {name}"),
    }
}

fn refused(root: &Path, layouts: &[&'static Layout], found: &str) -> DataError {
    let known = layouts.iter().map(|layout| format!("  {}: {}", layout.name, layout.looks_for)).collect();
    DataError::Layout { root: root.to_owned(), found: format!("{found}; layouts look for:"), known }
}
