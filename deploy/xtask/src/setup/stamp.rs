//! What makes an installed folder complete: a list of its files, written last.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::pins::Bundle;

/// Name of the stamp in the installed folder.
const NAME: &str = ".complete";

/// What was installed into a folder.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    /// The wheels the files came from, as `name==version sha256`.
    wheels: Vec<String>,
    /// Every file by its path in the folder, with its length in bytes.
    files: BTreeMap<String, u64>,
}

/// What stands in the way of using an installed folder as it is.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// The folder does not exist.
    Absent,
    /// There is no stamp, so that nobody knows whether the folder is whole.
    NoStamp,
    /// The stamp cannot be read, or names other wheels.
    OtherContent,
    /// This file is missing or has another length.
    Damaged(String),
}

impl Stamp {
    /// The stamp of `bundle` with the given files.
    pub fn new(bundle: &Bundle, files: BTreeMap<String, u64>) -> Self {
        Self { wheels: wheels(bundle), files }
    }

    /// Writes the stamp. It must be the last file that is written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(NAME);
        let mut file = fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        serde_json::to_writer(&mut file, self).with_context(|| format!("cannot write {}", path.display()))?;
        file.flush().and_then(|()| file.sync_all()).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Compares the folder with what `bundle` installs: `None` when it can be used.
pub fn fault(folder: &Path, bundle: &Bundle) -> Option<Fault> {
    if !folder.is_dir() {
        return Some(Fault::Absent);
    }
    let Ok(text) = fs::read(folder.join(NAME)) else { return Some(Fault::NoStamp) };
    let Ok(stamp) = serde_json::from_slice::<Stamp>(&text) else { return Some(Fault::OtherContent) };
    if stamp.wheels != wheels(bundle) || stamp.files.is_empty() {
        return Some(Fault::OtherContent);
    }
    let damaged = |(name, bytes): (&String, &u64)| {
        let whole = fs::metadata(folder.join(name)).is_ok_and(|found| found.is_file() && found.len() == *bytes);
        (!whole).then(|| name.clone())
    };
    stamp.files.iter().find_map(damaged).map(Fault::Damaged)
}

fn wheels(bundle: &Bundle) -> Vec<String> {
    bundle.wheels.iter().map(|wheel| format!("{}=={} {}", wheel.name, wheel.version, wheel.sha256)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::pins::{LIBTORCH_CPU, ONNXRUNTIME_CPU};
    use super::*;

    #[test]
    fn a_folder_is_complete_only_with_its_stamp_and_all_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("installed");
        assert_eq!(fault(&root, &ONNXRUNTIME_CPU), Some(Fault::Absent));

        fs::create_dir_all(root.join("lib")).unwrap();
        fs::write(root.join("lib/a.so"), b"12345").unwrap();
        assert_eq!(fault(&root, &ONNXRUNTIME_CPU), Some(Fault::NoStamp));

        let files = BTreeMap::from([("lib/a.so".to_owned(), 5)]);
        Stamp::new(&ONNXRUNTIME_CPU, files).write(&root).unwrap();
        assert_eq!(fault(&root, &ONNXRUNTIME_CPU), None);
        assert_eq!(fault(&root, &LIBTORCH_CPU), Some(Fault::OtherContent), "another bundle's stamp");

        fs::write(root.join("lib/a.so"), b"1234").unwrap();
        assert_eq!(fault(&root, &ONNXRUNTIME_CPU), Some(Fault::Damaged("lib/a.so".to_owned())));
        fs::remove_file(root.join("lib/a.so")).unwrap();
        assert_eq!(fault(&root, &ONNXRUNTIME_CPU), Some(Fault::Damaged("lib/a.so".to_owned())));

        fs::write(root.join(NAME), b"{").unwrap();
        assert_eq!(fault(&root, &ONNXRUNTIME_CPU), Some(Fault::OtherContent));
    }
}
