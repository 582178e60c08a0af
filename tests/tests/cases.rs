//! The same odd inputs for all programs that read images and labels: every one accepts them, or every one refuses them with the same
//! exit code, the same file and the same cause.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

use caf_export::model::{FusionFile, Model, Parts, Settings};
use caf_net::zoo::caf::{CafConfig, graph};
use caf_net::zoo::yolov5::{self, Variant, YoloConfig};
use caf_tests::programs::{Said, call};
use caf_weights::{initial, save_safetensors};
use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Width and height of the pairs in pixels: the largest distance that a pixel of the small network sees fits in.
const SIZE: (u32, u32) = (24, 16);

/// Networks with random weights, small enough to be run in no time.
struct Networks {
    folder: TempDir,
}

impl Networks {
    /// Weights and a model of every range that a case needs.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = CafConfig { width: 4, depth: 1, normalised: false };
        for (name, range) in [("full", "\"full\""), ("1,99", "{\"percentile\":{\"low\":1.0,\"high\":99.0}}")] {
            let mut weights = initial(graph(&config).unwrap().params(), 7).unwrap();
            weights.set_metadata("network", "caf");
            weights.set_metadata("config", serde_json::to_string(&config).unwrap());
            weights.set_metadata("ir_range", range);
            let path = folder.path().join(format!("{name}.safetensors"));
            save_safetensors(&weights, &path).unwrap();
            let model = Model::new(Parts::Fusion(&FusionFile::open(&path).unwrap()), &Settings::default()).unwrap();
            std::fs::write(folder.path().join(format!("{name}.onnx")), model.to_onnx(true).unwrap()).unwrap();
        }
        Networks { folder }
    }

    /// A detector of so many classes.
    fn detector(&self, classes: usize) -> String {
        let path = self.at(&format!("{classes}.safetensors"));
        let config = YoloConfig { width: 0.125, ..YoloConfig::new(Variant::N, classes) };
        let mut weights = initial(yolov5::graph(&config).unwrap().params(), 11).unwrap();
        weights.set_metadata("network", "yolov5");
        weights.set_metadata("config", serde_json::to_string(&config).unwrap());
        save_safetensors(&weights, &path).unwrap();
        path
    }

    fn at(&self, name: &str) -> String {
        text(&self.folder.path().join(name))
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Calls of every program that reads pairs.
fn fuse_everywhere(networks: &Networks, data: &Path, range: &str, list: Option<&Path>) -> Vec<Said> {
    let work = tempfile::tempdir().unwrap();
    let at = |name: &str| text(&work.path().join(name));
    let [root, ir, vi] = ["", "ir", "vi"].map(|name| text(&data.join(name)));
    let weights = networks.at(&format!("{range}.safetensors"));
    let with = |option: &str, calls: &[&str]| -> Vec<String> {
        let list = list.iter().flat_map(|list| [option.to_owned(), text(list)]);
        calls.iter().map(|word| (*word).to_owned()).chain(list).collect()
    };
    let device = ["--device", "cpu"];
    let fuse = ["fuse", "--data", &root, "--fusion", &weights, "--out", &at("fused")];
    let mut said = vec![call("caf-search", &with("--list", &[&fuse[..], &device].concat()))];
    // Where there is nothing to measure the refusal comes from the pairs.
    let fused = if said[0].code == Some(0) { at("fused") } else { vi.clone() };
    let eval = ["eval", "--data", &root, "--images", &fused, "--ir-range", range];
    said.push(call("caf-search", &with("--list", &[&eval[..], &device].concat())));
    let eval = ["fusion", "--ir", &ir, "--vi", &vi, "--fused", &fused, "--metrics", "EN", "--ir-range", range];
    said.push(call("caf-eval", &with("--names", &eval)));
    let model = networks.at(&format!("{range}.onnx"));
    let run = ["fuse", "--model", &model, "--provider", "cpu", "--ir", &ir, "--vi", &vi, "--out", &at("run")];
    said.push(call("caf-run", &run));
    if list.is_none() && said.iter().all(|said| said.code == Some(0)) {
        same_images(&work.path().join("fused"), &work.path().join("run"));
    }
    said
}

/// What both programs make of the same pairs is the same but for roundings.
fn same_images(a: &Path, b: &Path) {
    let names = |folder: &Path| caf_image::folder::images(folder).unwrap().files;
    let (a, b) = (names(a), names(b));
    assert!(a.keys().eq(b.keys()) && !a.is_empty(), "{a:?} {b:?}");
    for (a, b) in a.values().zip(b.values()) {
        let [x, y] = [a, b].map(|path| image::open(path).unwrap().into_rgb8());
        assert_eq!(x.dimensions(), y.dimensions(), "{}", a.display());
        let largest = x.as_raw().iter().zip(y.as_raw()).map(|(x, y)| x.abs_diff(*y)).max();
        // One level by the sums of another engine, one by colour that is put back in bytes on one side and in floats on the other.
        assert!(largest <= Some(2), "{}: {largest:?}", a.display());
    }
}

/// Calls of every program that reads label files.
fn label_everywhere(networks: &Networks, data: &Path) -> Vec<Said> {
    let none = tempfile::tempdir().unwrap();
    let [root, labels, vi, classes] = ["", "labels", "vi", "classes.txt"].map(|name| text(&data.join(name)));
    let number = std::fs::read_to_string(&classes).unwrap().lines().count();
    let (task, predictions) = (networks.detector(number), text(none.path()));
    let eval = ["eval", "--data", &root, "--images", "visible", "--task", &task, "--size", "32x32", "--device", "cpu"];
    let detection = ["detection", "--labels", &labels, "--predictions", &predictions, "--images", &vi];
    let detection = [&detection[..], &["--classes", &classes]].concat();
    vec![call("caf-search", &eval), call("caf-eval", &detection)]
}

fn all_accept(case: &str, said: &[Said], words: &[&str]) {
    for Said { what, code, text } in said {
        assert_eq!(*code, Some(0), "{case}: {what}: {text}");
        assert!(words.iter().all(|word| text.contains(word)), "{case}: {what}: {words:?}: {text}");
    }
}

fn all_refuse(case: &str, said: &[Said], words: &[&str]) {
    for Said { what, code, text } in said {
        assert_eq!(*code, Some(1), "{case}: {what}: {text}");
        assert!(words.iter().all(|word| text.contains(word)), "{case}: {what}: {words:?}: {text}");
    }
}

/// Pairs with labels, which a case makes odd.
struct Pairs {
    folder: TempDir,
}

impl Pairs {
    /// Two, `a` and `b`.
    fn new() -> Self {
        Self::of(&["a", "b"])
    }

    fn of<S: AsRef<str>>(names: &[S]) -> Self {
        let pairs = Pairs { folder: tempfile::tempdir().unwrap() };
        for folder in ["ir", "vi", "labels"] {
            std::fs::create_dir(pairs.at(folder)).unwrap();
        }
        pairs.write("classes.txt", "person\ncar\n");
        for name in names.iter().map(AsRef::as_ref) {
            thermal().save(pairs.at(&format!("ir/{name}.png"))).unwrap();
            visible(SIZE).save(pairs.at(&format!("vi/{name}.png"))).unwrap();
            pairs.write(&format!("labels/{name}.txt"), "0 0.5 0.5 0.25 0.5\n");
        }
        pairs
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.at(name), bytes).unwrap();
    }

    /// Moves the pairs of others here, `a` and `b` under names that begin with a number; other files keep theirs.
    fn take(&self, number: usize, others: &Pairs) {
        for folder in ["ir", "vi", "labels"] {
            for file in std::fs::read_dir(others.at(folder)).unwrap() {
                let name = file.unwrap().file_name().into_string().unwrap();
                let is_of_pair = name.starts_with("a.") || name.starts_with("b.");
                let new = if is_of_pair { format!("{number:02}{name}") } else { name.clone() };
                std::fs::rename(others.at(folder).join(&name), self.at(folder).join(new)).unwrap();
            }
        }
    }

    /// Puts a file in the place of another.
    fn replace(&self, old: &str, new: &str, bytes: impl AsRef<[u8]>) {
        std::fs::remove_file(self.at(old)).unwrap();
        self.write(new, bytes);
    }
}

fn thermal() -> GrayImage {
    GrayImage::from_fn(SIZE.0, SIZE.1, |x, y| Luma([(x * 9 + y * 2) as u8]))
}

fn visible((width, height): (u32, u32)) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 8) as u8, (y * 10) as u8, ((x + y) * 5) as u8]))
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// 14-bit counts of a thermal camera that a scene uses a small part of.
fn counts() -> Vec<u16> {
    (0..SIZE.0 * SIZE.1).map(|i| 7300 + (i * 5 % 1020) as u16).collect()
}

/// Both infrared images of such counts.
fn thermal_counts(pairs: &Pairs) {
    let image = ImageBuffer::<Luma<u16>, _>::from_raw(SIZE.0, SIZE.1, counts()).unwrap();
    for name in ["ir/a.png", "ir/b.png"] {
        pairs.replace(name, name, encoded(image.clone(), ImageFormat::Png));
    }
}

/// A little-endian TIFF of one strip of floats: what a thermal camera's software writes.
fn float_tiff(values: &[f32]) -> Vec<u8> {
    let (data, (width, height)) = (values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>(), SIZE);
    let entries: [(u16, u16, u32); 9] = [
        (256, 3, width),
        (257, 3, height),
        (258, 3, 32),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8 + 2 + 9 * 12 + 4),
        (278, 3, height),
        (279, 4, data.len() as u32),
        (339, 3, 3),
    ];
    let mut file = [&b"II*\0\x08\0\0\0"[..], &9_u16.to_le_bytes()].concat();
    for (tag, kind, value) in entries {
        file.extend(tag.to_le_bytes().into_iter().chain(kind.to_le_bytes()));
        file.extend(1_u32.to_le_bytes().into_iter().chain(value.to_le_bytes()));
    }
    file.extend([0; 4]);
    file.extend(data);
    file
}

fn kelvin() -> Vec<f32> {
    counts().iter().map(|count| f32::from(*count) / 25.0).collect()
}

/// A JPEG whose camera says how it was held.
fn turned_jpeg(image: RgbImage, orientation: u8) -> Vec<u8> {
    let entry = [0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0];
    let exif = [&b"Exif\0\0MM\0\x2A\0\0\0\x08"[..], &entry].concat();
    let mut jpeg = encoded(image, ImageFormat::Jpeg);
    let length = (2 + exif.len() as u16).to_be_bytes();
    jpeg.splice(2..2, [&[0xFF, 0xE1][..], &length, &exif].concat());
    jpeg
}

/// An image case: what is odd, the range, and either words that every program says while it accepts, or the cause of the refusal.
struct Case {
    name: &'static str,
    make: fn(&Pairs),
    range: &'static str,
    expected: Result<&'static [&'static str], &'static [&'static str]>,
}

/// The rows that are about images. A link that leads nowhere is a test of its own.
const IMAGES: &[Case] = &[
    Case { name: "nothing odd", make: |_| {}, range: "full", expected: Ok(&[]) },
    Case {
        name: "counts of 14 bits",
        make: thermal_counts,
        range: "full",
        expected: Ok(&["1.5 % of the", "range", "full"]),
    },
    Case { name: "counts of 14 bits, by percentiles", make: thermal_counts, range: "1,99", expected: Ok(&[]) },
    Case {
        name: "counts in three equal channels",
        make: |pairs| {
            let values = counts().into_iter().flat_map(|v| [v; 3]).collect();
            let image = ImageBuffer::<Rgb<u16>, _>::from_raw(SIZE.0, SIZE.1, values).unwrap();
            pairs.replace("ir/a.png", "ir/a.png", encoded(image, ImageFormat::Png));
        },
        range: "1,99",
        expected: Ok(&[]),
    },
    Case {
        name: "a visible image of 16 bits",
        make: |pairs| {
            let image = DynamicImage::from(visible(SIZE)).into_rgb16();
            pairs.replace("vi/a.png", "vi/a.png", encoded(image, ImageFormat::Png));
        },
        range: "full",
        expected: Ok(&[]),
    },
    Case {
        name: "a camera held upright",
        make: |pairs| pairs.replace("vi/a.png", "vi/a.jpg", turned_jpeg(visible((SIZE.1, SIZE.0)), 6)),
        range: "full",
        expected: Ok(&[]),
    },
    Case {
        name: "a camera held upright beside one that was not",
        make: |pairs| pairs.replace("vi/a.png", "vi/a.jpg", turned_jpeg(visible(SIZE), 6)),
        range: "full",
        expected: Err(&["a.jpg", "16x24", "24x16", "upright"]),
    },
    Case {
        name: "PNG in the name of JPEG",
        make: |pairs| std::fs::rename(pairs.at("vi/a.png"), pairs.at("vi/a.jpg")).unwrap(),
        range: "full",
        expected: Ok(&[]),
    },
    Case {
        name: "what desktop systems leave behind",
        make: |pairs| {
            for name in ["._a.png", ".DS_Store", "Thumbs.db", "desktop.ini"] {
                for folder in ["ir", "vi"] {
                    pairs.write(&format!("{folder}/{name}"), b"\0\x05\x16\x07");
                }
            }
        },
        range: "full",
        expected: Ok(&[]),
    },
    Case {
        name: "any other file",
        make: |pairs| pairs.write("vi/notes.txt", "by hand"),
        range: "full",
        expected: Err(&["vi/notes.txt", "expected an image", "text"]),
    },
    Case {
        name: "floats and the full range",
        make: |pairs| pairs.replace("ir/a.png", "ir/a.tiff", float_tiff(&kelvin())),
        range: "full",
        expected: Err(&["ir/a.tiff", "float", "MIN..MAX", "min_max", "1,99"]),
    },
    Case {
        name: "floats by percentiles",
        make: |pairs| pairs.replace("ir/a.png", "ir/a.tiff", float_tiff(&kelvin())),
        range: "1,99",
        expected: Ok(&[]),
    },
    Case {
        name: "a visible image of floats",
        make: |pairs| pairs.replace("vi/a.png", "vi/a.tiff", float_tiff(&kelvin())),
        range: "1,99",
        expected: Err(&["vi/a.tiff", "8 or 16 bits", "32-bit float"]),
    },
    Case {
        name: "WebP",
        make: |pairs| pairs.replace("vi/a.png", "vi/a.webp", encoded(visible(SIZE), ImageFormat::WebP)),
        range: "full",
        expected: Ok(&[]),
    },
    Case {
        name: "PGM of 8 and of 16 bits",
        make: |pairs| {
            let head = |largest: u16| format!("P5\n# by the camera\n{} {}\n{largest}\n", SIZE.0, SIZE.1).into_bytes();
            pairs.replace("ir/a.png", "ir/a.pgm", [head(255), thermal().into_raw()].concat());
            let wide = counts().iter().flat_map(|v| v.to_be_bytes()).collect::<Vec<u8>>();
            pairs.replace("ir/b.png", "ir/b.pgm", [head(16383), wide].concat());
        },
        range: "1,99",
        expected: Ok(&[]),
    },
    Case {
        name: "a format that is not read",
        make: |pairs| pairs.replace("vi/a.png", "vi/a.gif", b"GIF89a\x18\0\x10\0\0\0\0;"),
        range: "full",
        expected: Err(&["vi/a.gif", "PNG, JPEG, BMP, TIFF, WebP, PGM", "a GIF image"]),
    },
    Case {
        name: "an image without a partner",
        make: |pairs| std::fs::remove_file(pairs.at("ir/b.png")).unwrap(),
        range: "full",
        expected: Err(&["vi/b.png"]),
    },
    Case {
        name: "two files of one name",
        make: |pairs| pairs.write("vi/a.jpg", encoded(visible(SIZE), ImageFormat::Jpeg)),
        range: "full",
        expected: Err(&["two files of this name", "vi/a.jpg", "vi/a.png"]),
    },
    Case {
        name: "a cut image",
        make: |pairs| {
            let bytes = std::fs::read(pairs.at("vi/a.png")).unwrap();
            pairs.write("vi/a.png", &bytes[..bytes.len() / 2]);
        },
        range: "full",
        expected: Err(&["vi/a.png: the image is cut off: the file ends before it does"]),
    },
];

#[test]
fn every_program_reads_the_same_images_and_refuses_the_same() {
    let networks = Networks::new();
    // Starting a program takes longer than its work here: what is accepted with one range goes into one folder. What is refused is
    // alone, so that its refusal is the only one.
    let mut accepted = BTreeMap::new();
    for (number, Case { name, make, range, expected }) in IMAGES.iter().enumerate() {
        let pairs = Pairs::new();
        make(&pairs);
        match expected {
            Ok(words) => {
                let (all, names, said) =
                    accepted.entry(*range).or_insert_with(|| (Pairs::of::<&str>(&[]), vec![], vec![]));
                all.take(number, &pairs);
                names.push(*name);
                said.extend_from_slice(words);
            }
            Err(words) => all_refuse(name, &fuse_everywhere(&networks, pairs.root(), range, None), words),
        }
    }
    for (range, (pairs, names, words)) in accepted {
        let said = fuse_everywhere(&networks, pairs.root(), range, None);
        all_accept(&names.join("; "), &said, &words);
        assert!(said[0].text.contains(&format!("{} written", 2 * names.len())), "{names:?}: {}", said[0].text);
    }
}

#[cfg(unix)]
#[test]
fn links_that_lead_nowhere_are_named() {
    let (networks, pairs) = (Networks::new(), Pairs::new());
    for folder in ["ir", "vi"] {
        std::os::unix::fs::symlink("nowhere.png", pairs.at(&format!("{folder}/c.png"))).unwrap();
    }
    let said = fuse_everywhere(&networks, pairs.root(), "full", None);
    all_refuse("links", &said, &["ir/c.png", "vi/c.png", "leads nowhere"]);
}

#[test]
fn every_name_survives_a_list_in_every_program() {
    let (networks, pairs) = (Networks::new(), Pairs::new());
    let names = ["a b", "it's \"q\"", "夜景 01", "cam#1_000", "#7", "-dash", "100%25", "x.y"];
    for name in names {
        thermal().save(pairs.at(&format!("ir/{name}.png"))).unwrap();
        visible(SIZE).save(pairs.at(&format!("vi/{name}.png"))).unwrap();
    }
    let list = pairs.at("list.txt");
    // A byte order mark, and lines as another system ends them.
    let lines: String = names.iter().map(|name| format!("{name}\r\n")).collect();
    std::fs::write(&list, format!("\u{feff}# all of them\r\n{lines}")).unwrap();
    let said = fuse_everywhere(&networks, pairs.root(), "full", Some(&list));
    all_accept("names", &said, &[]);
    assert!(said[0].text.contains("8 written") && said[2].text.contains("8 images"), "{said:?}");
    std::fs::write(&list, "a b\ncam#1\n").unwrap();
    let said = fuse_everywhere(&networks, pairs.root(), "full", Some(&list));
    // A folder of images has no list: the last one is `caf-run`.
    all_refuse("names", &said[..3], &["cam#1"]);
}

/// Labels of an image: the lines of its file, and what every program says while it accepts, or of the file that it refuses.
type LabelCase = (&'static str, &'static [&'static str]);

const GOOD: &str = "0 0.5 0.5 0.25 0.5\n";

const ACCEPTED: &[LabelCase] = &[
    (GOOD, &[]),
    ("\u{feff}0 0.5 0.5 0.25 0.5\n\r\n", &[]),
    ("0 0.5 0.5 0.25 0.5\n0 0.5 0.5 0.25 0.5\n", &["1 repeated line dropped"]),
    ("0 0.02 0.5 0.2 0.2\n", &["1 box cut at the edge"]),
    ("0 0.5 0.5 1.0000001 0.5\n", &[]),
    ("0.0 0.5 0.5 0.25 0.5\n", &[]),
    ("1 0.2 0.2 0.6 0.2 0.6 0.8\n", &["1 outline read as its box"]),
];

const REFUSED: &[LabelCase] = &[
    ("0 0.5 0.5 0.25 0.5\n0 0.0 0.5 0.2 0.2 0.7 0.1 0.9\n", &[".txt:2: "]),
    ("0 -0.2 0.5 0.2 0.2\n", &[".txt:1: "]),
    ("0.5 0.5 0.5 0.25 0.5\n", &[".txt:1: ", "0.5"]),
    ("0 nan 0.5 0.25 0.5\n", &[".txt:1: ", "nan"]),
];

/// A data set with the labels of each case; names are numbers.
fn labelled(cases: &[LabelCase]) -> Pairs {
    let names: Vec<String> = (0..cases.len()).map(|number| format!("{number:02}")).collect();
    let pairs = Pairs::of(&names);
    for (name, (text, _)) in names.iter().zip(cases) {
        pairs.write(&format!("labels/{name}.txt"), text);
    }
    pairs
}

#[test]
fn every_program_reads_the_same_labels_and_refuses_the_same() {
    let networks = Networks::new();
    let pairs = labelled(ACCEPTED);
    // What a labelling tool leaves among the labels.
    pairs.write("labels/classes.txt", "person\ncar\n");
    let words: Vec<&str> = ACCEPTED.iter().flat_map(|(_, words)| *words).copied().collect();
    all_accept("labels", &label_everywhere(&networks, pairs.root()), &words);
    // All offenders are told at once, each with its file.
    let said = label_everywhere(&networks, labelled(REFUSED).root());
    all_refuse("labels", &said, &[]);
    for (number, (text, words)) in REFUSED.iter().enumerate() {
        for said in &said {
            let file = format!("labels/{number:02}.txt");
            let is_told = |line: &str| line.contains(&file) && words.iter().all(|word| line.contains(word));
            assert!(said.text.lines().any(is_told), "{text}: {}: {words:?}: {}", said.what, said.text);
        }
    }
    // A class without a name is found when all labels are read.
    let pairs = labelled(&[(GOOD, &[]), ("7 0.5 0.5 0.25 0.5\n", &[])]);
    all_refuse("a class without a name", &label_everywhere(&networks, pairs.root()), &["labels/01.txt", "7"]);
}

/// Other people's files of the same kinds: all programs end alike, and where they refuse, for the same file.
#[test]
fn every_program_ends_alike_on_the_shared_cases() {
    let name = "every_program_ends_alike_on_the_shared_cases";
    let Some(folder) = caf_golden::find(name, "cases") else { return };
    let networks = Networks::new();
    let mut told = Vec::new();
    for case in caf_golden::folders(&folder, &["data/ir", "data/vi"]) {
        let data = case.join("data");
        let mut calls =
            vec![fuse_everywhere(&networks, &data, "full", None), fuse_everywhere(&networks, &data, "1,99", None)];
        calls.push(label_everywhere(&networks, &data));
        for said in calls {
            let codes: Vec<Option<i32>> = said.iter().map(|said| said.code).collect();
            assert!(codes.iter().all(|code| *code == codes[0] && *code <= Some(1)), "{}: {said:?}", case.display());
            let is_named = |said: &Said| ["ir/", "vi/", "labels/"].iter().any(|part| said.text.contains(part));
            assert!(codes[0] == Some(0) || said.iter().all(is_named), "{}: {said:?}", case.display());
            told.push(format!("{} {}", caf_golden::stem(&case), if codes[0] == Some(0) { "read" } else { "refused" }));
        }
    }
    assert!(!told.is_empty(), "{}: no case", folder.display());
    caf_golden::say(&format!("{name}: {}", told.join(", ")));
}
