//! Where the golden and real data are, when they are there.

use std::path::PathBuf;

/// A folder of the shared data: under `CAF_SHARED`, else under a `shared` folder beside the repository. Prints why the
/// test is skipped when it is absent.
pub fn folder(test: &str, path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("CAF_SHARED").map(PathBuf::from).or_else(|| {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let beside = here.ancestors().skip(1).map(|folder| folder.join("shared"));
        beside.into_iter().find(|folder| folder.join("golden").is_dir())
    });
    let found = root.map(|root| root.join(path)).filter(|folder| folder.exists());
    if found.is_none() {
        eprintln!("SKIP {test}: no {path} in the shared data (set CAF_SHARED)");
    }
    found
}
