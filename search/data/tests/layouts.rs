//! Every layout on a miniature tree as its publisher's archive unpacks.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

use caf_geometry::Size;
use std::path::{Path, PathBuf};

use caf_data::layout::ALL;
use caf_data::{DataError, Dataset, DatasetOptions, Need, Offence};
use caf_image::{Gray8, Rgb8, write_gray8, write_rgb8};
use tempfile::TempDir;

/// Images of 8 × 6 pixels: gray 40, or the colour (10, 20, 30).
fn image(root: &Path, path: &str) {
    let at = root.join(path);
    std::fs::create_dir_all(at.parent().unwrap()).unwrap();
    let lower = path.to_lowercase().replace("flir", "").replace("ir_det", "");
    // The content decides, so that a `.jpg` may hold a PNG here.
    if lower.contains("ir") || lower.contains("infra") || lower.contains("label") || lower.contains("masks") {
        write_gray8(&at, &Gray8::filled(Size::new(8, 6), if lower.contains("label") { 2 } else { 40 }).unwrap())
            .unwrap();
    } else {
        write_rgb8(&at, &Rgb8::new(Size::new(8, 6), [10, 20, 30].repeat(48)).unwrap()).unwrap();
    }
}

fn text(root: &Path, path: &str, content: &str) {
    let at = root.join(path);
    std::fs::create_dir_all(at.parent().unwrap()).unwrap();
    std::fs::write(at, content).unwrap();
}

fn voc(name: &str) -> String {
    format!(
        "<annotation><size><width>8</width><height>6</height></size><object><name>{name}</name><bndbox><xmin>2</xmin>\
         <ymin>3</ymin><xmax>6</xmax><ymax>6</ymax></bndbox></object></annotation>"
    )
}

/// A tree of a layout.
fn tree(layout: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    let images = |paths: &[&str]| paths.iter().for_each(|path| image(root, path));
    match layout {
        "plain" => {
            images(&["ir/a.png", "vi/a.png", "ir/b.png", "vi/b.png"]);
            text(root, "labels/a.txt", "0 0.5 0.75 0.5 0.5\n");
            text(root, "classes.txt", "person\n");
        }
        "m3fd" => {
            images(&["M3FD_Detection/Ir/00000.png", "M3FD_Detection/Vis/00000.png"]);
            text(root, "M3FD_Detection/Annotation/00000.xml", &voc("People"));
            text(root, "__MACOSX/._M3FD_Detection", "");
        }
        "mfnet" => {
            for name in ["00001D", "00002N"] {
                image(root, &format!("labels/{name}.png"));
                let at = root.join("images");
                std::fs::create_dir_all(&at).unwrap();
                image::RgbaImage::from_pixel(8, 6, image::Rgba([10, 20, 30, 40]))
                    .save(at.join(format!("{name}.png")))
                    .unwrap();
            }
            text(root, "train.txt", "00001D\n");
            text(root, "test.txt", "00002N\n");
            text(root, "make_flip.py", "");
        }
        "msrs" => {
            images(&["MSRS-main/train/ir/00001D.png", "MSRS-main/train/vi/00001D.png", "MSRS-main/test/ir/00004N.png"]);
            images(&["MSRS-main/test/vi/00004N.png", "MSRS-main/train/Segmentation_labels/00001D.png"]);
            images(&["MSRS-main/test/Segmentation_labels/00004N.png"]);
            images(&["MSRS-main/detection/ir/1.png", "MSRS-main/detection/vi/1.png"]);
        }
        "roadscene" => {
            images(&[
                "cropinfrared/FLIR_00006.jpg",
                "crop_LR_visible/FLIR_00006.jpg",
                "crop_HR_visible/FLIR_00006.jpg",
            ]);
        }
        "tno" => {
            images(&["T/Athena_images/lake/IR_lake_g.bmp", "T/Athena_images/lake/VIS_lake_r.bmp"]);
            images(&["T/Athena_images/bunker/IR_bunker_g.bmp", "T/Athena_images/bunker/bunker_r.bmp"]);
            images(&["T/Athena_images/APC_1/view_1/IR_fk.bmp", "T/Athena_images/APC_1/view_1/VIS_fk.bmp"]);
            images(&["T/Athena_images/APC_2/view_1/2_fk.bmp", "T/Athena_images/APC_2/view_1/1_fk.bmp"]);
            images(&["T/Triclobs_images/Marne_01/Marne_01_II.bmp", "T/Triclobs_images/Marne_01/Marne_01_IR.bmp"]);
            images(&["T/Triclobs_images/Marne_01/Marne_01_Vis.bmp", "T/Triclobs_images/Veluwe/NIR.bmp"]);
            images(&["T/Triclobs_images/Veluwe/VIS.bmp"]);
            text(root, "T/README.txt", "nightly scenes");
        }
        "multispectral" => {
            images(&["ir_det_dataset/ConvertedImages/fir/00001.png", "ir_det_dataset/ConvertedImages/rgb/00001.png"]);
            text(root, "ir_det_dataset/Annotations_ConvertedSummarized/00001.xml", &voc("person"));
        }
        "llvip" => {
            images(&["LLVIP/infrared/train/010001.jpg", "LLVIP/visible/train/010001.jpg"]);
            images(&["LLVIP/infrared/test/190001.jpg", "LLVIP/visible/test/190001.jpg"]);
            text(root, "LLVIP/Annotations/010001.xml", &voc("person"));
            text(root, "LLVIP/Annotations/190001.xml", &voc("person"));
        }
        "fmb" => {
            for split in ["train", "test"] {
                for kind in ["Infrared", "Visible", "Label"] {
                    image(root, &format!("FMB/{split}/{kind}/0000{}.png", split.len()));
                }
            }
        }
        "vifb" => {
            images(&["input/IR/carLight.jpg", "input/VI/carLight.jpg", "input/IR/peopleShadow.jpg"]);
            images(&["input/VI/peopleshadow.jpg", "input/VI/manCall.jpg", "input/IR/manCall.jpg"]);
            images(&["input/VI/manCall - 副本.jpg"]);
        }
        "kaist" => {
            for frame in ["set00/V000/@/I00000", "set00/V001/@/I00000", "set06/V000/@/I00019"] {
                let path = |folder: &str, camera: &str| format!("kaist/{folder}/{}", frame.replace("@", camera));
                images(&[&(path("images", "lwir") + ".jpg"), &(path("images", "visible") + ".jpg")]);
                let bounds = "<bndbox><x>2</x><y>3</y><w>4</w><h>3</h></bndbox>";
                let annotation = format!("<annotation><object><name>cyclist</name>{bounds}</object></annotation>");
                text(root, &(path("annotations-xml-new", "").replace("//", "/") + ".xml"), &annotation);
            }
            text(root, "kaist/imageSets/train-all-20.txt", "set00/V001/I00000\n");
        }
        "yolo" => {
            images(&["images/train/a.jpg", "images_ir/train/a.jpg", "images/val/b.jpg", "images_ir/val/b.jpg"]);
            text(root, "labels/train/a.txt", "1 0.5 0.75 0.5 0.5\n");
            text(root, "labels/val/b.txt", "");
            text(
                root,
                "data.yaml",
                "path: ../elsewhere\ntrain: images/train\nval: images/val/\nnc: 2\nnames: {0: person, 1: car}\n",
            );
        }
        other => panic!("no tree for {other}"),
    }
    folder
}

/// What a layout's tree holds: names, splits with a pair each, objects of the first pair, ids of its mask.
struct Expected {
    names: &'static [&'static str],
    splits: &'static [(&'static str, &'static str)],
    class: Option<&'static str>,
    mask_class: Option<&'static str>,
}

fn expected(layout: &str) -> Expected {
    let none = Expected { names: &[], splits: &[], class: None, mask_class: None };
    match layout {
        "plain" => Expected { names: &["a", "b"], class: Some("person"), ..none },
        "m3fd" => Expected { names: &["00000"], class: Some("People"), ..none },
        "mfnet" => Expected {
            names: &["00001D", "00002N"],
            splits: &[("train", "00001D"), ("test", "00002N")],
            mask_class: Some("person"),
            ..none
        },
        "msrs" => Expected {
            names: &["00001D", "00004N"],
            splits: &[("train", "00001D"), ("test", "00004N")],
            mask_class: Some("person"),
            ..none
        },
        "roadscene" => Expected { names: &["FLIR_00006"], ..none },
        "tno" => Expected {
            names: &["Athena_APC_1_view_1", "Athena_APC_2_view_1", "Athena_bunker", "Athena_lake", "Triclobs_Marne_01"],
            ..none
        },
        "multispectral" => Expected { names: &["00001"], class: Some("person"), ..none },
        "llvip" => Expected {
            names: &["010001", "190001"],
            splits: &[("train", "010001"), ("test", "190001")],
            class: Some("person"),
            ..none
        },
        "fmb" => Expected {
            names: &["00004", "00005"],
            splits: &[("train", "00005"), ("test", "00004")],
            mask_class: Some("Sidewalk"),
            ..none
        },
        "vifb" => Expected { names: &["carLight", "manCall", "peopleShadow"], ..none },
        "kaist" => Expected {
            names: &["set00_V000_I00000", "set00_V001_I00000", "set06_V000_I00019"],
            splits: &[("test", "set06_V000_I00019"), ("train-all-20", "set00_V001_I00000")],
            class: Some("cyclist"),
            ..none
        },
        "yolo" => Expected { names: &["a", "b"], splits: &[("train", "a"), ("val", "b")], class: Some("car"), ..none },
        other => panic!("nothing expected of {other}"),
    }
}

#[test]
fn every_layout_is_recognised_and_read() {
    for layout in ALL.iter().map(|layout| layout.name) {
        let (folder, expected) = (tree(layout), expected(layout));
        let options = DatasetOptions { masks: Need::Optional, ..DatasetOptions::default() };
        let data = Dataset::open(folder.path(), &options).unwrap_or_else(|e| panic!("{layout}: {e}"));
        assert_eq!((data.layout(), data.names().collect::<Vec<_>>()), (layout, expected.names.to_vec()));
        let named = DatasetOptions { layout: Some(layout.to_owned()), ..options.clone() };
        assert_eq!(Dataset::open(folder.path(), &named).unwrap().len(), data.len(), "{layout}");
        let sample = data.load(0).unwrap();
        assert_eq!((sample.ir.data()[0], sample.vi.pixel(7, 5)), (40.0 / 255.0, Some([10, 20, 30])), "{layout}");
        match expected.class {
            Some(class) => {
                let label = sample.labels[0];
                assert_eq!(data.classes()[label.class as usize], class, "{layout}");
                assert_eq!((label.cx, label.cy, label.w, label.h), (0.5, 0.75, 0.5, 0.5), "{layout}");
            }
            None => assert!(sample.labels.is_empty() && !data.entries()[0].labelled, "{layout}"),
        }
        match expected.mask_class {
            Some(class) => {
                let id = sample.mask.unwrap().data()[0];
                assert_eq!(data.mask_classes()[usize::from(id)], class, "{layout}");
            }
            None => assert_eq!(sample.mask, None, "{layout}"),
        }
        for (split, name) in expected.splits {
            let chosen = DatasetOptions { list: Some(PathBuf::from(split)), ..options.clone() };
            let part = Dataset::open(folder.path(), &chosen).unwrap();
            assert_eq!(part.names().collect::<Vec<_>>(), [*name], "{layout} {split}");
        }
        let absent = DatasetOptions { list: Some("absent".into()), ..options.clone() };
        let error = Dataset::open(folder.path(), &absent).unwrap_err();
        assert!(matches!(error, DataError::NoList { .. }) && error.is_wrong_call(), "{layout}: {error}");
        for (split, _) in expected.splits {
            assert!(error.to_string().contains(split), "{layout}: {error}");
        }
    }
}

#[test]
fn what_a_layout_does_not_have_is_said_once() {
    let needs = |labels, masks| DatasetOptions { labels, masks, ..DatasetOptions::default() };
    let refused = |layout: &str, options: &DatasetOptions| match Dataset::open(tree(layout).path(), options) {
        Err(DataError::Offences { offences, .. }) => offences,
        other => panic!("{layout}: expected offences, found {other:?}"),
    };
    let boxes = needs(Need::Required, Need::Ignore);
    for layout in ["mfnet", "msrs", "roadscene", "tno", "fmb", "vifb"] {
        let found = refused(layout, &boxes);
        assert!(matches!(found[..], [Offence::NoLabels { .. }]), "{layout}: {found:?}");
    }
    for layout in ["roadscene", "tno", "vifb"] {
        let found = refused(layout, &needs(Need::Ignore, Need::Required));
        assert!(matches!(found[..], [Offence::NoMasks { .. }]), "{layout}: {found:?}");
    }
    for layout in ["m3fd", "llvip", "kaist", "yolo", "multispectral"] {
        assert!(Dataset::open(tree(layout).path(), &boxes).unwrap().entries().iter().all(|e| e.labelled), "{layout}");
    }
    for layout in ["mfnet", "msrs", "fmb"] {
        let data = Dataset::open(tree(layout).path(), &needs(Need::Ignore, Need::Required)).unwrap();
        assert!(data.entries().iter().all(caf_data::Entry::has_mask), "{layout}");
    }
}

#[test]
fn unknown_and_ambiguous_trees_list_what_each_layout_looks_for() {
    let folder = TempDir::new().unwrap();
    image(folder.path(), "thermal/a.png");
    image(folder.path(), "rgb/a.png");
    text(folder.path(), "notes.txt", "");
    let open = |layout: Option<&str>| {
        let options = DatasetOptions { layout: layout.map(str::to_owned), ..DatasetOptions::default() };
        Dataset::open(folder.path(), &options).unwrap_err()
    };
    let error = open(None);
    assert!(error.is_wrong_call(), "{error}");
    let error = error.to_string();
    for part in [
        "of no known layout",
        "it holds rgb/, thermal/, notes.txt",
        "plain: folders ir and vi",
        "yolo: data.yaml",
        "llvip: folders",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
    let error = open(Some("m3fd")).to_string();
    assert!(error.contains("m3fd: folders Ir and Vis") && !error.contains("yolo"), "{error}");
    assert!(error.contains("not of layout m3fd; it holds"), "{error}");
    let error = open(Some("kitti"));
    assert!(error.is_wrong_call() && error.to_string().contains("plain, m3fd, mfnet"), "{error}");
    for path in ["ir/a.png", "vi/a.png"] {
        image(folder.path(), path);
    }
    let error = open(Some("roadscene")).to_string();
    assert!(error.contains("not of layout roadscene, but of plain"), "{error}");
    for path in ["Ir/a.png", "Vis/a.png"] {
        image(folder.path(), path);
    }
    let error = open(None).to_string();
    assert!(error.contains("more than one layout (plain, m3fd)") && error.contains("--layout"), "{error}");
    let options = DatasetOptions { layout: Some("m3fd".to_owned()), ..DatasetOptions::default() };
    assert_eq!(Dataset::open(folder.path(), &options).unwrap().layout(), "m3fd");
}

#[test]
fn splits_that_number_alike_keep_their_names_apart() {
    let folder = TempDir::new().unwrap();
    for split in ["train", "test"] {
        for camera in ["infrared", "visible"] {
            image(folder.path(), &format!("{camera}/{split}/000001.jpg"));
        }
    }
    text(folder.path(), "Annotations/000001.xml", &voc("person"));
    let data = Dataset::open(folder.path(), &DatasetOptions::default()).unwrap();
    assert_eq!(data.names().collect::<Vec<_>>(), ["test_000001", "train_000001"]);
    text(folder.path(), "mine.txt", "train_000001.jpg\n");
    let options = DatasetOptions { list: Some("mine.txt".into()), ..DatasetOptions::default() };
    assert_eq!(Dataset::open(folder.path(), &options).unwrap().names().collect::<Vec<_>>(), ["train_000001"]);
}

#[test]
fn descriptions_of_yolo_sets_are_checked() {
    let folder = tree("yolo");
    let open = |description: &str| {
        text(folder.path(), "data.yaml", description);
        Dataset::open(folder.path(), &DatasetOptions::default())
    };
    text(folder.path(), "train.txt", "./images/train/a.jpg\nimages/val/b.jpg\n");
    let data = open("train: train.txt\nval: [images/val]\nnames: [person, car]\n").unwrap();
    assert_eq!(data.len(), 2);
    for (description, part) in [
        ("train: images/train\n", "no `names`"),
        ("train: images/none\nnames: [a]\n", "train: images/none"),
        ("names: [a]\n", "`train`, `val` or `test`"),
        ("train: labels/train\nnames: [a]\n", "below a folder `images`"),
        ("train: [images/train\n", "YAML"),
        ("train: images/train\nnames: {0: a, 2: b}\n", "gaps"),
        ("", "nothing"),
    ] {
        let error = open(description).unwrap_err().to_string();
        assert!(error.contains("data.yaml") && error.contains(part), "{part} in {error}");
    }
    let error = open("train: images/train\nnames: [person]\n").unwrap_err().to_string();
    assert!(error.contains("a class below 1"), "{error}");
}
