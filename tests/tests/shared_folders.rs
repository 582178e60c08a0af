//! Folders of other people, read as they are: data sets as they unpack, lists and labels as editors and labelling tools leave them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

use caf_net::zoo::caf::{CafConfig, graph};
use caf_tests::programs::{Said, call};
use caf_weights::{initial, save_safetensors};
use image::{GrayImage, Luma};
use std::path::{Path, PathBuf};

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Weights of a small fusion network.
fn network(folder: &Path) -> String {
    let config = CafConfig { width: 4, depth: 1, normalised: false };
    let mut weights = initial(graph(&config).unwrap().params(), 7).unwrap();
    weights.set_metadata("network", "caf");
    weights.set_metadata("config", serde_json::to_string(&config).unwrap());
    weights.set_metadata("ir_range", "\"full\"");
    let path = folder.join("fusion.safetensors");
    save_safetensors(&weights, &path).unwrap();
    text(&path)
}

/// All files below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

/// Infrared images as the publishers name their folders; MFNet keeps infrared in the fourth channel of its images.
fn infrared_images(data: &Path) -> Vec<PathBuf> {
    let is_in = |path: &Path, names: &[&str]| {
        path.strip_prefix(data).unwrap().components().any(|c| names.iter().any(|name| c.as_os_str() == *name))
    };
    let files = below(data);
    let found = files.iter().filter(|path| is_in(path, &["Ir", "ir", "infrared", "images_ir"]));
    let found: Vec<PathBuf> = found.cloned().collect();
    if found.is_empty() { files.into_iter().filter(|path| is_in(path, &["images"])).collect() } else { found }
}

#[track_caller]
fn accepted(case: &Path, said: &Said) {
    assert_eq!(said.code, Some(0), "{}: {}: {}", case.display(), said.what, said.text);
}

#[test]
fn published_layouts_are_read_as_they_unpack() {
    let name = "published_layouts_are_read_as_they_unpack";
    let Some(cases) = caf_golden::find(name, "cases") else { return };
    let work = tempfile::tempdir().unwrap();
    let fusion = network(work.path());
    let mut told = Vec::new();
    for case in caf_golden::folders(&cases, &[]).into_iter().filter(|c| caf_golden::stem(c).starts_with("layout-")) {
        let out = work.path().join(caf_golden::stem(&case));
        let (root, fused) = (text(&case), text(&out));
        accepted(
            &case,
            &call("caf-search", &["fuse", "--device", "cpu", "--data", &root, "--fusion", &fusion, "--out", &fused]),
        );
        // One fused image for each infrared one, of its size.
        let (sources, written) = (infrared_images(&case), below(&out));
        let pictures: Vec<&PathBuf> = written.iter().filter(|p| p.extension().is_some_and(|e| e == "png")).collect();
        assert!(!sources.is_empty() && pictures.len() == sources.len(), "{}: {sources:?} {written:?}", case.display());
        let sizes = |paths: &mut dyn Iterator<Item = &PathBuf>| {
            let mut sizes: Vec<_> = paths.map(|path| image::image_dimensions(path).unwrap()).collect();
            sizes.sort_unstable();
            sizes
        };
        assert_eq!(sizes(&mut pictures.into_iter()), sizes(&mut sources.iter()), "{}", case.display());
        told.push(format!("{} {}", caf_golden::stem(&case), sources.len()));
    }
    assert!(!told.is_empty(), "{}: no layout", cases.display());
    caf_golden::say(&format!("{name}: pairs: {}", told.join(", ")));
}

#[test]
fn lists_and_labels_are_read_as_editors_leave_them() {
    let name = "lists_and_labels_are_read_as_editors_leave_them";
    let Some(cases) = caf_golden::find(name, "cases") else { return };
    let work = tempfile::tempdir().unwrap();
    let fusion = network(work.path());
    let mut told = Vec::new();
    for case in caf_golden::folders(&cases, &[]).into_iter().filter(|c| caf_golden::stem(c).starts_with("eval-")) {
        let at = |name: &str| text(&case.join(name));
        if case.join("pred").is_dir() {
            let json = work.path().join("ap.json");
            let words = ["detection", "--size", "100x100", "--labels", &at("labels"), "--predictions", &at("pred")];
            let more = ["--classes", &at("classes.txt"), "--json", &text(&json)];
            accepted(&case, &call("caf-eval", &[&words[..], &more].concat()));
            // A label that stands twice counts once; the list of classes is no image.
            let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
            let files: Vec<PathBuf> =
                below(&case.join("labels")).into_iter().filter(|p| !p.ends_with("classes.txt")).collect();
            let labels = files.iter().map(|path| {
                let text = std::fs::read_to_string(path).unwrap();
                let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty());
                lines.collect::<std::collections::BTreeSet<&str>>().len()
            });
            assert_eq!(
                report.pointer("/yolov5/labels"),
                Some(&labels.sum::<usize>().into()),
                "{}: {report}",
                case.display()
            );
            assert_eq!(report.pointer("/yolov5/images"), Some(&files.len().into()), "{}: {report}", case.display());
        } else {
            // Pairs of the names that any text editor shows in the list, and one more.
            let list = std::fs::read_to_string(case.join("names.txt")).unwrap();
            let names: Vec<&str> =
                list.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|l| !l.is_empty()).collect();
            let data = work.path().join(caf_golden::stem(&case));
            for folder in ["ir", "vi"] {
                std::fs::create_dir_all(data.join(folder)).unwrap();
                for name in names.iter().copied().chain(["spare.png"]) {
                    let image = GrayImage::from_fn(24, 16, |x, y| Luma([(x * 9 + y * 2) as u8]));
                    image.save(data.join(folder).join(name)).unwrap();
                }
            }
            let [root, ir, vi] = ["", "ir", "vi"].map(|name| text(&data.join(name)));
            let (fused, list) = (text(&data.join("fused")), at("names.txt"));
            let fuse =
                ["fuse", "--device", "cpu", "--data", &root, "--list", &list, "--fusion", &fusion, "--out", &fused];
            accepted(&case, &call("caf-search", &fuse));
            let pictures =
                below(Path::new(&fused)).iter().filter(|p| p.extension().is_some_and(|e| e == "png")).count();
            assert_eq!(pictures, names.len(), "{}", case.display());
            let eval = ["fusion", "--ir", &ir, "--vi", &vi, "--fused", &fused, "--metrics", "EN", "--names", &list];
            accepted(&case, &call("caf-eval", &eval));
        }
        told.push(caf_golden::stem(&case));
    }
    assert!(!told.is_empty(), "{}: no list", cases.display());
    caf_golden::say(&format!("{name}: {}", told.join(", ")));
}
