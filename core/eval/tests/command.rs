//! The command line on small folders of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests stop at the line that fails"
)]

use std::path::Path;
use std::process::{Command, Output};

use image::{GrayImage, Luma, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

fn caf_eval(folder: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_caf-eval")).current_dir(folder).args(line.split_whitespace()).output().unwrap()
}

fn json(folder: &Path, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Two pairs, one of them too small for VIF, the visible ones in colour.
fn pairs() -> TempDir {
    let dir = TempDir::new().unwrap();
    for folder in ["ir", "vi", "fused"] {
        std::fs::create_dir(dir.path().join(folder)).unwrap();
    }
    for (name, side) in [("big", 48u32), ("small", 12)] {
        let ir = GrayImage::from_fn(side, side, |x, y| Luma([(x * 5 + y * y) as u8]));
        let vi = RgbImage::from_fn(side, side, |x, y| image::Rgb([(x * y) as u8, (y * 3) as u8, 90]));
        ir.save(dir.path().join(format!("ir/{name}.png"))).unwrap();
        vi.save(dir.path().join(format!("vi/{name}.bmp"))).unwrap();
        ir.save(dir.path().join(format!("fused/{name}.png"))).unwrap();
    }
    dir
}

const FUSION: &str = "fusion --ir ir --vi vi --fused fused";

#[test]
fn fusion_counts_what_is_not_finite() {
    let dir = pairs();
    let out = caf_eval(dir.path(), &format!("{FUSION} --metrics EN,VIF_ir --json m.json --csv m.csv"));
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert!(text(&out.stdout).starts_with("2 images, profile linfeng\n"));
    let result = json(dir.path(), "m.json");
    assert_eq!(result["metrics"]["VIF_ir"]["not_finite"], 1);
    assert!((result["metrics"]["VIF_ir"]["mean"].as_f64().unwrap() - 1.0).abs() < 1e-9);
    assert_eq!(result["images"][1]["values"]["VIF_ir"], "NaN");
    let csv = std::fs::read_to_string(dir.path().join("m.csv")).unwrap();
    assert!(csv.starts_with("name,EN,VIF_ir\nbig,") && csv.ends_with(",NaN\n"), "{csv}");
}

#[test]
fn csv_and_json_hold_the_same_numbers() {
    let dir = pairs();
    let out = caf_eval(dir.path(), &format!("{FUSION} --metrics all --json m.json --csv m.csv"));
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let result = json(dir.path(), "m.json");
    let csv = std::fs::read_to_string(dir.path().join("m.csv")).unwrap();
    let lines: Vec<Vec<&str>> = csv.lines().map(|l| l.split(',').collect()).collect();
    let (header, lines) = lines.split_first().unwrap();
    let images = result["images"].as_array().unwrap();
    assert_eq!(lines.len(), images.len());
    let mut compared = 0;
    for (cells, image) in lines.iter().zip(images) {
        assert_eq!(image["name"], cells[0]);
        assert_eq!(cells.len(), header.len());
        for (name, cell) in header.iter().zip(cells).skip(1) {
            match &image["values"][name] {
                Value::String(word) => assert_eq!(word, cell),
                number => assert_eq!(number.as_f64().unwrap(), cell.parse::<f64>().unwrap(), "{name}"),
            }
            compared += 1;
        }
        assert_eq!(image["values"].as_object().unwrap().len(), header.len() - 1);
    }
    assert!(header.len() > 10 && compared == 2 * (header.len() - 1), "{compared} of {header:?}");
    // The means are those of the finite values.
    let ens: Vec<f64> = (0..2).map(|i| result["images"][i]["values"]["EN"].as_f64().unwrap()).collect();
    assert!((result["metrics"]["EN"]["mean"].as_f64().unwrap() - (ens[0] + ens[1]) / 2.0).abs() < 1e-12);
}

#[test]
fn a_profile_has_its_own_metrics() {
    let dir = pairs();
    for (profile, first, own) in [("vifb", "Avg_gradient", "Qcv"), ("cddfuse", "EN", "SSIM")] {
        let out = caf_eval(dir.path(), &format!("{FUSION} --profile {profile} --json m.json --csv m.csv"));
        assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
        let result = json(dir.path(), "m.json");
        assert_eq!(result["profile"], profile);
        assert!(result["metrics"][own]["mean"].is_number(), "{result}");
        assert!(std::fs::read_to_string(dir.path().join("m.csv")).unwrap().starts_with(&format!("name,{first},")));
    }
}

#[test]
fn fusion_names_every_offender_and_writes_nothing() {
    let dir = pairs();
    let file = |name: &str| dir.path().join(name);
    std::fs::remove_file(file("vi/big.bmp")).unwrap();
    std::fs::write(file("fused/extra.png"), b"no image").unwrap();
    let out = caf_eval(dir.path(), &format!("{FUSION} --json m.json"));
    let error = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1));
    for part in [
        "expected the other image of the pair in vi",
        "fused/extra.png, expected the other image of the pair in ir",
        "3 of the inputs",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    // Now the names fit, but the contents do not.
    let deep = image::ImageBuffer::<Luma<u16>, Vec<u16>>::new(48, 48);
    deep.save(file("vi/big.png")).unwrap();
    GrayImage::new(3, 4).save(file("ir/small.png")).unwrap();
    for folder in ["ir", "vi"] {
        let whole = std::fs::read(file("ir/big.png")).unwrap();
        std::fs::write(file(&format!("{folder}/extra.png")), &whole[..whole.len() / 2]).unwrap();
    }
    // A decoder fills the lower half of this one with gray.
    for name in ["ir/cut.png", "fused/cut.png", "vi/cut.jpg"] {
        RgbImage::from_fn(48, 48, |x, y| image::Rgb([(x * y) as u8, (y * 3) as u8, 90])).save(file(name)).unwrap();
    }
    let whole = std::fs::read(file("vi/cut.jpg")).unwrap();
    std::fs::write(file("vi/cut.jpg"), &whole[..whole.len() * 9 / 10]).unwrap();
    let out = caf_eval(dir.path(), &format!("{FUSION} --json m.json"));
    let error = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1));
    for part in [
        "small: ir/small.png is 3x4",
        "vi/extra.png: the image is cut off",
        "vi/cut.jpg: the image is cut off",
        "5 of the inputs",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!file("m.json").exists());
}

#[test]
fn wrong_calls_end_with_two() {
    let dir = pairs();
    for line in [
        "fusion --ir ir --vi vi",
        "fusion --ir ir --vi vi --fused nowhere",
        "fusion --ir ir --vi vi --fused fused --metrics EN,XYZ",
        "fusion --ir ir --vi vi --fused fused --profile vifbb",
        "fusion --ir ir --vi vi --fused fused --profile vifb --metrics EN",
        "detection --labels ir --predictions vi",
        "detection --labels ir --predictions vi --size 0x4",
        "detection --labels ir --predictions vi --size 4x4 --names nowhere.txt",
        "fusion --ir ir --vi vi --fused fused --json vi/x.png",
        "fusion --ir ir --vi vi --fused fused --json m --csv ./m",
        "fusion --ir ir --vi vi --fused fused --metrics EN --csv nowhere/m.csv",
    ] {
        let out = caf_eval(dir.path(), line);
        assert_eq!(out.status.code(), Some(2), "{line}: {}", text(&out.stderr));
    }
    std::fs::create_dir(dir.path().join("none")).unwrap();
    let out = caf_eval(dir.path(), "fusion --ir ir --vi vi --fused none");
    assert_eq!(out.status.code(), Some(1));
}

/// Labels, predictions and an ignore region of two images of 100 × 100 pixels.
fn detections() -> TempDir {
    let dir = TempDir::new().unwrap();
    for (path, text) in [
        ("labels/a.txt", "0 0.25 0.25 0.2 0.2\n1 0.75 0.75 0.2 0.2\n"),
        ("labels/b.txt", ""),
        ("predictions/a.txt", "0 0.25 0.25 0.2 0.2 0.9\n1 0.75 0.75 0.2 0.2 0.8\n1 0.75 0.25 0.1 0.1 0.95\n"),
        ("ignore/a.txt", "0 0.75 0.25 0.3 0.3\n"),
        ("classes.txt", "person\ncar\n"),
    ] {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

const DETECTION: &str = "detection --labels labels --predictions predictions --size 100x100";

#[test]
fn detection_with_and_without_ignore_regions() {
    let dir = detections();
    let run = |more: &str| {
        let out = caf_eval(dir.path(), &format!("{DETECTION} --classes classes.txt --json d.json {more}"));
        assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
        assert!(text(&out.stdout).contains("car"));
        json(dir.path(), "d.json")
    };
    let with = run("--ignore ignore");
    assert!((with["yolov5"]["map50"].as_f64().unwrap() - 0.995).abs() < 1e-9);
    assert!((with["coco"][0]["ap"].as_f64().unwrap() - 1.0).abs() < 1e-9);
    assert_eq!((&with["images_without_predictions"], &with["yolov5"]["ignored"]), (&1.into(), &1.into()));
    let without = run("");
    assert!((without["coco"][0]["ap"].as_f64().unwrap() - 0.75).abs() < 1e-9);
    assert!(without["yolov5"]["map50"].as_f64().unwrap() < 0.9);
}

#[test]
fn detection_names_every_offender() {
    let dir = detections();
    std::fs::write(dir.path().join("predictions/a.txt"), "0 0.5 0.5\nx 0.5 0.5 0.1 0.1 0.5\n").unwrap();
    std::fs::write(dir.path().join("predictions/c.txt"), "").unwrap();
    std::fs::write(dir.path().join("labels/b.txt"), "7 0.5 0.5 0.1 0.1\n").unwrap();
    let out = caf_eval(dir.path(), &format!("{DETECTION} --classes classes.txt"));
    let error = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1));
    for part in
        ["4 of the inputs", "a.txt:1: expected class", "a.txt:2: class", "c.txt: predictions for", "class 7, but"]
    {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn labels_without_an_object_measure_nothing_and_doubled_files_are_named() {
    let dir = detections();
    std::fs::write(dir.path().join("labels/a.txt"), "").unwrap();
    let out = caf_eval(dir.path(), &format!("{DETECTION} --json d.json"));
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("--labels: nothing to measure"), "{}", text(&out.stderr));
    assert!(!dir.path().join("d.json").exists());
    std::fs::write(dir.path().join("labels/a.TXT"), "0 0.5 0.5 0.1 0.1\n").unwrap();
    let out = caf_eval(dir.path(), DETECTION);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("two files of this name"), "{}", text(&out.stderr));
}

#[test]
fn lists_are_read_as_every_program_reads_them() {
    let dir = detections();
    let run = |list: &[u8]| {
        std::fs::write(dir.path().join("names.txt"), list).unwrap();
        caf_eval(dir.path(), &format!("{DETECTION} --names names.txt --json d.json"))
    };
    let out = run(b"\xEF\xBB\xBF# to measure\r\na\r\nb.png\r\n");
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert_eq!(json(dir.path(), "d.json")["yolov5"]["images"], 2);
    let out = run(b"a\nb.png\na\n");
    assert_eq!(out.status.code(), Some(1));
    assert!(
        text(&out.stderr).contains("names.txt:3: a is listed a second time, first on line 1"),
        "{}",
        text(&out.stderr)
    );
}

#[test]
fn labels_are_read_as_every_program_reads_them() {
    let dir = detections();
    let run = |labels: &str| {
        std::fs::write(dir.path().join("labels/a.txt"), labels).unwrap();
        let out = caf_eval(dir.path(), &format!("{DETECTION} --json d.json"));
        assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
        (json(dir.path(), "d.json")["yolov5"].clone(), text(&out.stderr))
    };
    std::fs::write(dir.path().join("labels/classes.txt"), "person\ncar\n").unwrap();
    let (once, quiet) = run("0 0.5 0.5 0.2 0.2\n");
    assert!(!quiet.contains("repeated"), "{quiet}");
    let (twice, said) = run("0.0 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2 0.2\n");
    assert_eq!(once, twice, "a repeated line counts once");
    assert!(said.contains("1 repeated line dropped"), "{said}");
    let (_, said) = run("0 0.02 0.5 0.2 0.2\n0 0.5 0.5 1.0000001 1\n0 0.1 0.1 0.4 0.1 0.4 0.5\n");
    assert!(said.contains("1 box cut at the edge of its image, 1 outline read as its box"), "{said}");
}

#[test]
fn leftovers_are_passed_over_and_wide_infrared_has_a_range() {
    let dir = pairs();
    for folder in ["ir", "vi", "fused"] {
        for name in ["._big.png", ".DS_Store", "Thumbs.db", "desktop.ini"] {
            std::fs::write(dir.path().join(folder).join(name), b"\0\x05\x16\x07").unwrap();
        }
    }
    let entropy = |more: &str| {
        let out = caf_eval(dir.path(), &format!("{FUSION} --metrics MI --json m.json {more}"));
        assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
        (json(dir.path(), "m.json")["metrics"]["MI"]["mean"].as_f64().unwrap(), text(&out.stderr))
    };
    let (eight, _) = entropy("");
    // The same images as counts of a 14-bit camera: 8-bit values times 4 above 7300.
    for name in ["big.png", "small.png"] {
        let path = dir.path().join("ir").join(name);
        let gray = image::open(&path).unwrap().into_luma8();
        let wide = |x, y| Luma([7300 + 4 * u16::from(gray.get_pixel(x, y).0[0])]);
        image::ImageBuffer::<Luma<u16>, Vec<u16>>::from_fn(gray.width(), gray.height(), wide).save(path).unwrap();
    }
    let (window, quiet) = entropy("--ir-range 7300..8320");
    assert_eq!(eight, window);
    assert!(!quiet.contains("infrared range"), "{quiet}");
    let (full, said) = entropy("");
    assert!(full < eight && said.contains("% of the infrared range full"), "{full} {said}");
    std::fs::write(dir.path().join("vi/more.gif"), b"GIF89a").unwrap();
    let out = caf_eval(dir.path(), FUSION);
    assert!(out.status.code() == Some(1) && text(&out.stderr).contains("a GIF image"), "{}", text(&out.stderr));
}

/// Labelled and predicted maps of two images of 4 × 2 pixels, classes road and car; the second is partly ignored.
fn maps() -> TempDir {
    let dir = TempDir::new().unwrap();
    let map = |path: &str, pixels: [u8; 8]| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        GrayImage::from_raw(4, 2, pixels.to_vec()).unwrap().save(path).unwrap();
    };
    map("labels/a.png", [0, 0, 1, 1, 0, 0, 1, 1]);
    map("predictions/a.png", [0, 0, 1, 0, 0, 0, 1, 1]);
    map("labels/b.png", [0, 255, 255, 1, 0, 0, 0, 0]);
    map("predictions/b.png", [0, 7, 1, 1, 1, 0, 0, 0]);
    std::fs::write(dir.path().join("classes.txt"), "road\ncar\nbike\n").unwrap();
    dir
}

const SEGMENTATION: &str = "segmentation --labels labels --predictions predictions --classes classes.txt";

#[test]
fn segmentation_counts_all_images_together() {
    let dir = maps();
    // road: 9 labelled, 8 of them found, 9 predicted; car: 5, 4, 5; bike nowhere.
    let (road, car) = (8.0 / 10.0, 4.0 / 6.0);
    for (convention, miou) in
        [("mmseg", Some((road + car) / 2.0)), ("mfnet", None), ("mfnet-absent-as-zero", Some((road + car) / 3.0))]
    {
        let out = caf_eval(dir.path(), &format!("{SEGMENTATION} --convention {convention} --json s.json"));
        assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
        let result = json(dir.path(), "s.json");
        let found = result["miou"].as_f64();
        assert_eq!(found.is_some(), miou.is_some(), "{convention}: {result}");
        assert!(found.zip(miou).is_none_or(|(a, b)| (a - b).abs() < 1e-12), "{convention}: {result}");
        assert_eq!(result["confusion"]["matrix"][0], serde_json::json!([8, 1, 0]));
        assert!(text(&out.stdout).contains("2 images") && text(&out.stdout).contains("80.00"), "{}", text(&out.stdout));
    }
}

#[test]
fn segmentation_names_every_offender() {
    let dir = maps();
    let file = |name: &str| dir.path().join(name);
    GrayImage::from_raw(4, 2, vec![0, 0, 0, 9, 0, 0, 0, 0]).unwrap().save(file("labels/a.png")).unwrap();
    GrayImage::new(2, 4).save(file("predictions/b.png")).unwrap();
    for folder in ["labels", "predictions"] {
        RgbImage::from_pixel(4, 2, image::Rgb([9, 0, 0])).save(file(&format!("{folder}/c.png"))).unwrap();
    }
    let out = caf_eval(dir.path(), SEGMENTATION);
    let error = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1));
    for part in [
        "4 of the inputs",
        "labels/a.png: label, pixel 3: class 9, but there are 3 classes and 255 for pixels to ignore",
        "predictions/b.png: expected 4x2 as the label, found 2x4",
        "labels/c.png: expected a class mask",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    std::fs::remove_file(file("predictions/a.png")).unwrap();
    std::fs::remove_file(file("labels/c.png")).unwrap();
    let error = text(&caf_eval(dir.path(), SEGMENTATION).stderr);
    for part in [
        "a: no file of this name for --predictions",
        "c.png: predictions for an image that is not among the evaluated names",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let out = caf_eval(dir.path(), &format!("{SEGMENTATION} --convention pascal"));
    assert_eq!(out.status.code(), Some(2), "{}", text(&out.stderr));
}

#[test]
fn help_fits_a_terminal_of_eighty_columns() {
    for line in ["--help", "fusion --help", "detection --help", "segmentation --help"] {
        let out =
            Command::new(env!("CARGO_BIN_EXE_caf-eval")).args(line.split(' ')).env("COLUMNS", "80").output().unwrap();
        assert!(out.status.success());
        let help = text(&out.stdout);
        assert!(help.lines().all(|l| l.chars().count() <= 80), "{help}");
        // A command of an example goes on behind a backslash, or ends.
        let example: Vec<&str> = help.lines().skip_while(|l| !l.starts_with("Example")).skip(1).collect();
        assert!(example.iter().rev().skip(1).all(|l| l.ends_with('\\')), "{help}");
    }
}
