//! Which of the caller's pairs take part: in minutes there is time for some of them only.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// Lists to be made of longer ones.
#[derive(Debug, Clone)]
pub struct Lists {
    /// Folder of `train.txt` and `val.txt`.
    pub from: PathBuf,
    /// How many names of each are taken at most, spread over the list.
    pub most: [usize; 2],
    /// Folder of the lists made, with `all.txt` beside the two.
    pub out: PathBuf,
}

impl Lists {
    /// Writes the lists. Paths are taken relative to `root`.
    pub fn write(&self, root: &Path) -> Result<()> {
        let (from, out) = (root.join(&self.from), root.join(&self.out));
        fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
        let mut all = Vec::new();
        for (list, most) in ["train.txt", "val.txt"].into_iter().zip(self.most) {
            let there = names(&from.join(list))?;
            let taken = spread(&there, most);
            println!("{list}: {} of {} pairs", taken.len(), there.len());
            write_names(&out.join(list), &taken)?;
            all.extend(taken);
        }
        write_names(&out.join("all.txt"), &all)
    }
}

/// Names of a list, blank lines and comments left out.
///
/// # Errors
/// When the list cannot be read or names nothing.
pub fn names(list: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let names: Vec<String> = lines.map(str::to_owned).collect();
    if names.is_empty() {
        bail!("{}: expected names of pairs, found none", list.display());
    }
    Ok(names)
}

/// Writes a list, aside first and then renamed.
pub fn write_names(list: &Path, names: &[String]) -> Result<()> {
    caf_file::write(list, (names.join("\n") + "\n").as_bytes())
        .with_context(|| format!("cannot write {}", list.display()))
}

/// At most `most` of the items, evenly spread, the first included.
pub fn spread(items: &[String], most: usize) -> Vec<String> {
    let count = most.min(items.len());
    (0..count).filter_map(|index| items.get(index * items.len() / count)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_spread_over_the_list() {
        let names: Vec<String> = (0..10).map(|i| i.to_string()).collect();
        assert_eq!(spread(&names, 3), ["0", "3", "6"]);
        assert_eq!(spread(&names, 99).len(), 10);
        assert!(spread(&[], 3).is_empty());
    }

    #[test]
    fn lists_are_cut_and_joined() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("train.txt"), "# four\na\nb\n\nc\nd\n").unwrap();
        fs::write(root.path().join("val.txt"), "x\ny").unwrap();
        let lists = Lists { from: "".into(), most: [2, usize::MAX], out: "out/lists".into() };
        lists.write(root.path()).unwrap();
        let read = |name: &str| fs::read_to_string(root.path().join("out/lists").join(name)).unwrap();
        assert_eq!((read("train.txt"), read("val.txt")), ("a\nc\n".to_owned(), "x\ny\n".to_owned()));
        assert_eq!(read("all.txt"), "a\nc\nx\ny\n");
        fs::write(root.path().join("val.txt"), "# none\n").unwrap();
        assert!(lists.write(root.path()).unwrap_err().to_string().contains("found none"));
    }
}
