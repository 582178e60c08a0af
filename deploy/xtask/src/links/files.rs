//! Circles of files within a crate: which file uses items of which, read off the sources.
//!
//! A file uses another when it names an item that is defined there. What a facade re-exports counts as of the file that defines it, so
//! that `mod a; pub use a::A;` is no use of `a`. A module may list its parts, and the parts name what the module defines for them (a
//! registry and its trait): uses of an enclosing module do not count. Nor do tests. Paths inside macro calls are seen where the
//! arguments are expressions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Item, Token, UseTree};

/// Words of a path, such as `["crate", "image", "Gray8"]`.
type Words = Vec<String>;

/// Steps of re-exporting that are followed.
const MAX_STEPS: usize = 8;

/// Groups of files that use each other in a circle, each as its modules; `sources` is a crate's `src`.
///
/// # Errors
/// When a file cannot be read or is not Rust.
pub fn circles(sources: &Path) -> Result<Vec<Vec<String>>> {
    let mut files = BTreeMap::new();
    read(sources, &mut Vec::new(), &mut files)?;
    let tests: Vec<Words> = files.iter().flat_map(|(of, file)| file.test_modules(of)).collect();
    files.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
    Ok(Crate(files).circles())
}

/// What one file says.
#[derive(Debug, Default)]
struct File {
    /// Names of the items it defines.
    defines: BTreeSet<String>,
    /// Names that it brings in for others and itself, with their paths.
    imports: BTreeMap<String, Words>,
    /// Paths of what it uses.
    uses: Vec<Words>,
    /// Modules that it declares for tests.
    tests: Vec<String>,
}

impl File {
    fn test_modules<'a>(&'a self, of: &'a Words) -> impl Iterator<Item = Words> + 'a {
        self.tests.iter().map(|name| of.iter().chain([name]).cloned().collect())
    }
}

/// Reads all files below a folder, by module: `a/mod.rs` and `a.rs` are `["a"]`, `lib.rs` and `main.rs` are `[]`.
fn read(folder: &Path, module: &mut Words, files: &mut BTreeMap<Words, File>) -> Result<()> {
    let shown = || folder.display().to_string();
    for entry in folder.read_dir().with_context(shown)? {
        let path = entry.with_context(shown)?.path();
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let facade = matches!(stem, "mod" | "lib" | "main");
        if path.is_dir() {
            module.push(stem.to_owned());
            read(&path, module, files)?;
            module.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let parsed = syn::parse_file(&text).with_context(|| path.display().to_string())?;
            let mut reader = Reader::default();
            reader.visit_file(&parsed);
            let own = module.iter().cloned().chain((!facade).then(|| stem.to_owned())).collect();
            files.insert(own, reader.0);
        }
    }
    Ok(())
}

/// Collects what a file says.
#[derive(Default)]
struct Reader(File);

impl Reader {
    /// The paths of a `use`, and the names that they bring in.
    fn import(&mut self, tree: &UseTree, before: &Words, reexported: bool) {
        let with = |word: String| before.iter().cloned().chain([word]).collect::<Words>();
        let (path, name) = match tree {
            UseTree::Path(path) => return self.import(&path.tree, &with(path.ident.to_string()), reexported),
            UseTree::Group(group) => return group.items.iter().for_each(|t| self.import(t, before, reexported)),
            UseTree::Name(name) if name.ident == "self" => (before.clone(), before.last().cloned().unwrap_or_default()),
            UseTree::Name(name) => (with(name.ident.to_string()), name.ident.to_string()),
            UseTree::Rename(rename) => (with(rename.ident.to_string()), rename.rename.to_string()),
            UseTree::Glob(_) => (before.clone(), "*".to_owned()),
        };
        if !reexported {
            self.0.uses.push(path.clone());
        }
        self.0.imports.insert(name, path);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name) = match item {
            Item::Const(item) => (&item.attrs, Some(&item.ident)),
            Item::Enum(item) => (&item.attrs, Some(&item.ident)),
            Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
            Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
            Item::Static(item) => (&item.attrs, Some(&item.ident)),
            Item::Struct(item) => (&item.attrs, Some(&item.ident)),
            Item::Trait(item) => (&item.attrs, Some(&item.ident)),
            Item::Type(item) => (&item.attrs, Some(&item.ident)),
            Item::Impl(item) => (&item.attrs, None),
            Item::Use(item) => (&item.attrs, None),
            Item::Mod(item) if for_tests(&item.attrs) => return self.0.tests.push(item.ident.to_string()),
            Item::Mod(item) => (&item.attrs, item.content.as_ref().map(|_| &item.ident)),
            _ => return visit::visit_item(self, item),
        };
        if for_tests(attributes) {
            return;
        }
        self.0.defines.extend(name.map(ToString::to_string));
        match item {
            Item::Use(item) => {
                self.import(&item.tree, &Words::new(), !matches!(item.vis, syn::Visibility::Inherited));
            }
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.uses.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Ok(arguments) = call.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated) {
            arguments.iter().for_each(|argument| self.visit_expr(argument));
        }
        visit::visit_macro(self, call);
    }
}

/// `#[cfg(test)]`.
fn for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

/// The files of a crate by module.
struct Crate(BTreeMap<Words, File>);

impl Crate {
    /// The path from the crate's root, of a path as `module` writes it; none for other crates.
    fn absolute(&self, module: &Words, path: &[String]) -> Option<Words> {
        let first = path.first()?.as_str();
        let supers = path.iter().take_while(|word| *word == "super").count();
        let (from, rest) = match first {
            "crate" => (0, path.get(1..)?),
            "self" => (module.len(), path.get(1..)?),
            "super" => (module.len().checked_sub(supers)?, path.get(supers..)?),
            _ => {
                let child = module.iter().chain(path.first()).cloned().collect::<Words>();
                let known = self.0.contains_key(&child) || self.0.get(module)?.imports.contains_key(first);
                (module.len(), known.then_some(path)?)
            }
        };
        Some(module.get(..from)?.iter().chain(rest).cloned().collect())
    }

    /// The module whose file defines what an absolute path names; none for other crates.
    fn home(&self, path: &[String], steps: usize) -> Option<&Words> {
        let (module, file) = (0..=path.len()).rev().find_map(|n| self.0.get_key_value(path.get(..n)?))?;
        let rest = path.get(module.len()..)?;
        let Some(name) = rest.first() else { return Some(module) };
        if file.defines.contains(name) || steps == 0 {
            return Some(module);
        }
        match file.imports.get(name) {
            Some(import) => {
                let mut target = self.absolute(module, import)?;
                target.extend(rest.get(1..)?.iter().cloned());
                self.home(&target, steps - 1)
            }
            None => Some(module),
        }
    }

    /// The modules that a module's file uses.
    fn used_by(&self, module: &Words, file: &File) -> BTreeSet<Words> {
        let home = |path: &Words| self.home(&self.absolute(module, path)?, MAX_STEPS).cloned();
        file.uses.iter().filter_map(home).filter(|used| !module.starts_with(used)).collect()
    }

    fn circles(&self) -> Vec<Vec<String>> {
        let edges: BTreeMap<&Words, BTreeSet<Words>> =
            self.0.iter().map(|(module, file)| (module, self.used_by(module, file))).collect();
        let reached = |from: &Words| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
            while let Some(next) = open.pop() {
                let new = edges.get(&next).into_iter().flatten().filter(|used| seen.insert((*used).clone()));
                open.extend(new.cloned());
            }
            seen
        };
        let reaches: BTreeMap<&Words, BTreeSet<Words>> =
            self.0.keys().map(|module| (module, reached(module))).collect();
        let both = |a: &Words, b: &Words| reaches[a].contains(b) && reaches[b].contains(a);
        let mut found: Vec<Vec<String>> = Vec::new();
        for module in self.0.keys().filter(|module| both(module, module)) {
            let circle = self.0.keys().filter(|other| both(module, other)).map(shown).collect();
            if !found.contains(&circle) {
                found.push(circle);
            }
        }
        found
    }
}

fn shown(module: &Words) -> String {
    if module.is_empty() { "the root".to_owned() } else { module.join("::") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles_of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        circles(folder.path()).unwrap()
    }

    #[test]
    fn two_files_that_use_each_other_are_a_circle() {
        let a = ("a.rs", "use crate::b::B;\npub struct A(B);");
        let found = circles_of(&[("lib.rs", "mod a;\nmod b;"), a, ("b.rs", "pub struct B;\nfn f(_: super::a::A) {}")]);
        assert_eq!(found, [["a", "b"]]);
        let sound = circles_of(&[("lib.rs", "mod a;\nmod b;"), a, ("b.rs", "pub struct B;")]);
        assert_eq!(sound, Vec::<Vec<String>>::new());
    }

    #[test]
    fn what_a_facade_re_exports_is_of_the_file_that_defines_it() {
        let parts = [("b.rs", "pub fn b(_: crate::A) {}")];
        let facade = "mod a;\nmod b;\npub use a::A;\npub use b::b;";
        assert_eq!(circles_of(&[&[("lib.rs", facade), ("a.rs", "pub struct A;")], &parts[..]].concat()).len(), 0);
        let a = ("a.rs", "pub struct A;\nfn c() { vec![crate::b(A)]; }");
        assert_eq!(circles_of(&[&[("lib.rs", facade), a], &parts[..]].concat()), [["a", "b"]]);
    }

    #[test]
    fn a_registry_and_what_it_lists_are_no_circle_but_two_of_its_parts_are() {
        let list =
            ("kinds/mod.rs", "mod a;\nmod b;\npub trait Kind {}\npub const ALL: [&dyn Kind; 2] = [&a::A, &b::B];");
        let (root, b) = (("lib.rs", "mod kinds;"), ("kinds/b.rs", "pub struct B;\nimpl super::Kind for B {}"));
        let a = "pub struct A;\nimpl super::Kind for A {}";
        assert_eq!(circles_of(&[root, list, ("kinds/a.rs", a), b]).len(), 0);
        let b = ("kinds/b.rs", "pub struct B;\nfn f(_: super::a::A) {}");
        let a = "pub struct A;\nfn f(_: super::b::B) {}";
        assert_eq!(circles_of(&[root, list, ("kinds/a.rs", a), b]), [["kinds::a", "kinds::b"]]);
    }

    #[test]
    fn tests_are_no_part_of_a_circle() {
        let files = [
            ("lib.rs", "mod a;\n#[cfg(test)]\nmod fixture;"),
            ("a.rs", "pub struct A;\n#[cfg(test)]\nmod tests { use crate::fixture::f; }"),
            ("fixture.rs", "use crate::a::A;\npub fn f(_: A) {}"),
        ];
        assert_eq!(circles_of(&files).len(), 0);
    }

    #[test]
    fn a_file_that_is_not_rust_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("lib.rs"), "pub struct {").unwrap();
        assert!(format!("{:#}", circles(folder.path()).unwrap_err()).contains("lib.rs"));
    }
}
