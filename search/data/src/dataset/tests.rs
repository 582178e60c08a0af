use super::*;
use caf_geometry::Size;
use caf_image::list::write_names;
use caf_image::{Gray8, ImageError, ImageProblem, Rgb8, write_gray8, write_rgb8};
use tempfile::TempDir;

/// A folder of pairs `a`, `b`, `c` (12×8 each) with labels and two classes.
fn good() -> TempDir {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    for sub in ["ir", "vi", "labels", "ignore", "masks"] {
        std::fs::create_dir(root.join(sub)).unwrap();
    }
    for (index, name) in ["a", "b", "c"].into_iter().enumerate() {
        gray(root, &format!("ir/{name}.png"), 12, 8, index as u8);
        let colour = (0..12 * 8 * 3).map(|i| (i * 3 + index) as u8).collect();
        write_rgb8(&root.join(format!("vi/{name}.png")), &Rgb8::new(Size::new(12, 8), colour).unwrap()).unwrap();
        text(root, &format!("labels/{name}.txt"), "1 0.5 0.5 0.25 0.5\n");
    }
    text(root, "classes.txt", "person\ncar\n");
    folder
}

fn gray(root: &Path, path: &str, width: usize, height: usize, value: u8) {
    write_gray8(&root.join(path), &Gray8::filled(Size { width, height }, value).unwrap()).unwrap();
}

fn text(root: &Path, path: &str, content: &str) {
    std::fs::write(root.join(path), content).unwrap();
}

fn options(labels: Need, list: Option<&str>) -> DatasetOptions {
    DatasetOptions { labels, list: list.map(PathBuf::from), ..DatasetOptions::default() }
}

fn offences(root: &Path, options: &DatasetOptions) -> Vec<Offence> {
    match Dataset::open(root, options) {
        Err(DataError::Offences { offences, .. }) => offences,
        other => panic!("expected offences, found {other:?}"),
    }
}

#[test]
fn a_good_folder_opens_and_loads() {
    let folder = good();
    text(folder.path(), "ignore/b.txt", "0 0.1 0.1 0.1 0.1\n");
    gray(folder.path(), "masks/b.png", 12, 8, 255);
    let data = Dataset::open(folder.path(), &options(Need::Required, None)).unwrap();
    assert_eq!(data.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(data.classes(), ["person", "car"]);
    let sample = data.load(1).unwrap();
    assert_eq!((sample.ir.size(), sample.vi.size()), (Size::new(12, 8), Size::new(12, 8)));
    assert_eq!(sample.ir.data()[0], 1.0 / 255.0);
    assert_eq!((sample.labels.len(), sample.ignore.len(), sample.vi_is_gray), (1, 1, false));
    assert_eq!(data.entries()[1].mask, Some(folder.path().join("masks/b.png")));
    assert!(matches!(data.load(3), Err(DataError::Index { index: 3, len: 3 })));
    assert_eq!(sample.mask, None, "masks are read when asked for");
    let masked = DatasetOptions { masks: Need::Optional, ..options(Need::Ignore, None) };
    let masked = Dataset::open(folder.path(), &masked).unwrap();
    assert_eq!(masked.load(1).unwrap().mask, Some(Gray8::filled(Size::new(12, 8), 255).unwrap()));
    assert_eq!(masked.load(0).unwrap().mask, None);
    let needed = DatasetOptions { masks: Need::Required, ..options(Need::Ignore, None) };
    let missing = offences(folder.path(), &needed);
    assert!(
        missing.len() == 2 && matches!(&missing[0], Offence::MissingMask { name, .. } if name == "a"),
        "{missing:?}"
    );
    let unlabelled = Dataset::open(folder.path(), &options(Need::Ignore, None)).unwrap();
    assert!(unlabelled.classes().is_empty() && unlabelled.load(1).unwrap().labels.is_empty());
    assert!(!unlabelled.entries()[0].labelled);
}

#[test]
fn everything_wrong_is_in_one_error() {
    let folder = good();
    let root = folder.path();
    std::fs::remove_file(root.join("vi/a.png")).unwrap();
    gray(root, "ir/b.png", 13, 8, 0);
    gray(root, "masks/c.png", 12, 9, 0);
    gray(root, "vi/only.png", 4, 4, 0);
    gray(root, "ir/d.png", 4, 4, 0);
    gray(root, "ir/d.bmp.png", 4, 4, 0);
    gray(root, "vi/d.bmp.png", 4, 4, 0);
    gray(root, "vi/d.png", 4, 4, 0);
    std::fs::copy(root.join("ir/d.png"), root.join("ir/d.tif")).unwrap();
    text(root, "ir/notes.gif", "GIF89a");
    text(root, "ir/.hidden", "");
    text(root, "labels/b.txt", "1 0.5 0.5 0.25 0.5\n2 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1\n");
    text(root, "ignore/c.txt", "0 1.2 0.5 0.5 0.1\n");
    text(root, "labels/nobody.txt", "");
    text(root, "labels/classes.txt", "person\ncar\n");
    let whole = std::fs::read(root.join("vi/c.png")).unwrap();
    std::fs::write(root.join("vi/c.png"), &whole[..18]).unwrap();
    let found = offences(root, &options(Need::Required, None));
    let count = |wanted: fn(&Offence) -> bool| found.iter().filter(|o| wanted(o)).count();
    assert_eq!(count(|o| matches!(o, Offence::Image(ImageProblem::MissingHalf { .. }))), 2, "{found:#?}");
    assert_eq!(count(|o| matches!(o, Offence::Image(ImageProblem::SizeMismatch { .. }))), 2, "b's halves, c's mask");
    assert_eq!(count(|o| matches!(o, Offence::Image(ImageProblem::SameName { name, .. }) if name == "d")), 1);
    assert_eq!(count(|o| matches!(o, Offence::Image(ImageProblem::NotAnImage { .. }))), 1);
    assert_eq!(count(|o| matches!(o, Offence::LabelLine { line: 2 | 3, .. })), 2);
    assert_eq!(count(|o| matches!(o, Offence::LabelLine { path, line: 1, .. } if path.ends_with("ignore/c.txt"))), 1);
    assert_eq!(count(|o| matches!(o, Offence::Orphan { path } if path.ends_with("labels/nobody.txt"))), 1);
    assert_eq!(
        count(|o| matches!(o, Offence::Image(ImageProblem::Header { path, .. }) if path.ends_with("vi/c.png"))),
        1
    );
    assert_eq!(count(|o| matches!(o, Offence::MissingLabels { name, .. } if name.starts_with('d'))), 2);
    assert_eq!(found.len(), 13, "{found:#?}");
    let message = Dataset::open(root, &options(Need::Required, None)).unwrap_err().to_string();
    assert!(
        message.contains("13 problem(s)") && message.contains("labels/b.txt:3: expected class cx cy w h"),
        "{message}"
    );
}

#[test]
fn long_reports_are_cut_with_a_count() {
    let folder = good();
    text(folder.path(), "labels/a.txt", &"bad\n".repeat(70));
    let message = Dataset::open(folder.path(), &options(Need::Optional, None)).unwrap_err().to_string();
    assert!(message.contains("70 problem(s)") && message.contains("… and 20 more"), "{message}");
    assert_eq!(message.lines().count(), 52);
}

#[test]
fn lists_choose_order_and_names() {
    let folder = good();
    let root = folder.path();
    // Not listed, so none of this matters.
    gray(root, "ir/x.y.png", 4, 4, 0);
    gray(root, "vi/x.y.png", 4, 4, 0);
    gray(root, "ir/alone.png", 4, 4, 0);
    text(root, "ir/notes.txt", "");
    text(root, "val.txt", "\u{feff}# chosen\r\nc.png\r\n\r\n  a\n");
    let data = Dataset::open(root, &options(Need::Required, Some("val.txt"))).unwrap();
    assert_eq!(data.names().collect::<Vec<_>>(), ["c", "a"]);
    text(root, "dots.txt", "x.y\n");
    let dots = Dataset::open(root, &options(Need::Optional, Some("dots.txt"))).unwrap();
    assert_eq!(dots.names().collect::<Vec<_>>(), ["x.y"]);

    text(root, "bad.txt", "a\nnobody\na.png\nalone\nir/b.png\n");
    let found = offences(root, &options(Need::Required, Some("bad.txt")));
    assert!(matches!(&found[0], Offence::ListedMissing { line: 2, name, .. } if name == "nobody"), "{found:#?}");
    assert!(matches!(&found[1], Offence::ListedTwice { line: 3, first_line: 1, .. }));
    assert!(matches!(&found[2], Offence::ListedMissing { line: 5, .. }));
    assert!(matches!(&found[3], Offence::Image(ImageProblem::MissingHalf { name, .. }) if name == "alone"));
    assert_eq!(found.len(), 4);

    text(root, "empty.txt", "# nothing\n");
    let empty = Dataset::open(root, &options(Need::Optional, Some("empty.txt")));
    assert!(matches!(empty, Err(DataError::Image(ImageError::EmptyList { .. }))));
    let none = Dataset::open(root, &options(Need::Optional, Some("none.txt"))).unwrap_err();
    assert!(matches!(&none, DataError::NoList { path, .. } if *path == root.join("none.txt")) && none.is_wrong_call());
}

#[test]
fn optional_labels_tell_nothing_there_from_not_looked_at() {
    let folder = good();
    std::fs::remove_file(folder.path().join("labels/a.txt")).unwrap();
    text(folder.path(), "labels/b.txt", "");
    std::fs::remove_file(folder.path().join("classes.txt")).unwrap();
    text(folder.path(), "labels/c.txt", "77 0.5 0.5 0.1 0.1");
    let data = Dataset::open(folder.path(), &options(Need::Optional, None)).unwrap();
    let labelled: Vec<bool> = data.entries().iter().map(|e| e.labelled).collect();
    assert_eq!(labelled, [false, true, true]);
    assert!(data.classes().is_empty());
    let found = offences(folder.path(), &options(Need::Required, None));
    assert!(matches!(found[0], Offence::MissingClasses { .. }), "{found:#?}");
    assert!(matches!(found[1], Offence::MissingLabels { .. }));
    assert_eq!(found.len(), 2);
}

#[test]
fn class_names_must_be_distinct() {
    let folder = good();
    text(folder.path(), "classes.txt", "person\n\nperson\ncar\n\n");
    let found = offences(folder.path(), &options(Need::Optional, None));
    assert!(matches!(found[0], Offence::ClassLine { line: 2, .. }), "{found:#?}");
    assert!(matches!(found[1], Offence::ClassLine { line: 3, .. }));
    assert_eq!(found.len(), 2);
}

#[test]
fn missing_and_empty_folders() {
    let folder = TempDir::new().unwrap();
    let open = || Dataset::open(folder.path(), &DatasetOptions::default());
    let error = open().unwrap_err().to_string();
    assert!(error.contains("it holds nothing") && error.contains("plain: folders ir and vi"), "{error}");
    std::fs::create_dir(folder.path().join("ir")).unwrap();
    let error = open().unwrap_err().to_string();
    assert!(error.contains("it holds ir/"), "{error}");
    std::fs::create_dir(folder.path().join("vi")).unwrap();
    assert!(matches!(open(), Err(DataError::Empty { .. })));
    let none = Dataset::open(&folder.path().join("none"), &DatasetOptions::default());
    assert!(matches!(none, Err(DataError::NoFolder { found: "nothing", .. })));
}

#[test]
fn gray_visible_sixteen_bit_infrared_and_mixed_extensions() {
    let folder = good();
    let root = folder.path();
    let wide = image::ImageBuffer::<image::Luma<u16>, _>::from_fn(12, 8, |x, _| image::Luma([1000 + 100 * x as u16]));
    wide.save(root.join("ir/a.png")).unwrap();
    std::fs::remove_file(root.join("vi/a.png")).unwrap();
    image::GrayImage::from_fn(12, 8, |x, y| image::Luma([(x * 16 + y) as u8])).save(root.join("vi/a.bmp")).unwrap();
    let data = Dataset::open(root, &DatasetOptions { ir_range: IrRange::MinMax, ..DatasetOptions::default() }).unwrap();
    let sample = data.load(0).unwrap();
    assert!(sample.vi_is_gray);
    assert_eq!(sample.vi.pixel(2, 3), Some([35; 3]));
    assert_eq!((sample.ir.data()[0], sample.ir.data()[11]), (0.0, 1.0));
    let bad = DatasetOptions { ir_range: IrRange::Percentile { low: 5.0, high: 5.0 }, ..DatasetOptions::default() };
    let error = Dataset::open(root, &bad).unwrap_err();
    assert!(matches!(error, DataError::IrRange(_)) && error.is_wrong_call(), "{error}");
}

#[test]
fn files_that_change_or_break_after_opening_are_named() {
    let folder = good();
    let data = Dataset::open(folder.path(), &DatasetOptions::default()).unwrap();
    gray(folder.path(), "ir/a.png", 6, 6, 0);
    assert!(matches!(
        data.load(0),
        Err(DataError::Changed { found: Size { width: 6, height: 6 }, expected: Size { width: 12, height: 8 }, .. })
    ));
    let path = folder.path().join("vi/b.png");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = data.load(1).unwrap_err();
    assert!(
        matches!(&error, DataError::Image(ImageError::CutOff { .. })) && error.to_string().contains("vi/b.png"),
        "{error}"
    );
    std::fs::remove_file(folder.path().join("ir/c.png")).unwrap();
    assert!(matches!(data.load(2), Err(DataError::Image(ImageError::Read { .. }))));
}

#[test]
fn a_part_has_the_order_of_its_names_and_all_else_of_the_whole() {
    let folder = good();
    let options = DatasetOptions { ir_range: IrRange::MinMax, ..options(Need::Required, None) };
    let whole = Dataset::open(folder.path(), &options).unwrap();
    let part = whole.part(&["c", "nobody", "a"].map(str::to_owned)).unwrap();
    assert_eq!(part.names().collect::<Vec<_>>(), ["c", "a"]);
    assert_eq!((part.root(), part.classes(), part.ir_range()), (whole.root(), whole.classes(), IrRange::MinMax));
    assert_eq!(part.load(0).unwrap(), whole.load(2).unwrap());
    assert!(matches!(whole.part(&["nobody".to_owned()]), Err(DataError::Empty { .. })));
}

#[test]
fn what_labelling_tools_leave_is_set_right_and_counted() {
    let folder = good();
    let root = folder.path();
    text(root, "labels/a.txt", "1 0.5 0.5 0.25 0.5\n1 0.5 0.5 0.25 0.5\n0 0.02 0.5 0.2 0.2\n");
    text(root, "labels/b.txt", "1.0 0.5 0.5 1.0000001 1.0\n0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75\n");
    let data = Dataset::open(root, &options(Need::Required, None)).unwrap();
    assert_eq!(data.notes(), LabelNotes { duplicates: 1, clipped: 1, outlines: 1 });
    let labels: Vec<usize> = data.entries().iter().map(|e| e.labels.len()).collect();
    assert_eq!(labels, [2, 2, 1]);
}

#[test]
fn outlines_make_a_mask_where_one_is_wanted() {
    let folder = good();
    let root = folder.path();
    for name in ["a", "b", "c"] {
        text(root, &format!("labels/{name}.txt"), "");
    }
    text(root, "labels/a.txt", "1 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75\n");
    let masked = |masks| DatasetOptions { masks, ..options(Need::Ignore, None) };
    let data = Dataset::open(root, &masked(Need::Required)).unwrap();
    assert!(data.entries().iter().all(Entry::has_mask) && data.entries()[0].labels.is_empty());
    let mask = data.load(0).unwrap().mask.unwrap();
    for (i, id) in mask.data().iter().enumerate() {
        let inside = (3..9).contains(&(i % 12)) && (2..6).contains(&(i / 12));
        assert_eq!(*id, if inside { 2 } else { 0 }, "pixel {i}");
    }
    assert_eq!(data.load(1).unwrap().mask, Some(Gray8::filled(Size::new(12, 8), 0).unwrap()));
    let optional = Dataset::open(root, &masked(Need::Optional)).unwrap();
    assert_eq!(optional.load(1).unwrap().mask, None, "an empty file says nothing about masks");
    let named =
        Dataset::open(root, &DatasetOptions { masks: Need::Required, ..options(Need::Required, None) }).unwrap();
    assert_eq!(named.mask_classes(), ["background", "person", "car"]);
    text(root, "labels/b.txt", "1 0.5 0.5 0.25 0.5\n");
    let found = offences(root, &masked(Need::Required));
    assert!(matches!(&found[..], [Offence::MissingMask { name, .. }] if name == "b"), "{found:?}");
}

#[test]
fn names_of_masks_are_a_list_of_their_own() {
    let folder = good();
    let data = || Dataset::open(folder.path(), &options(Need::Optional, None)).unwrap();
    assert_eq!(data().mask_classes(), ["person", "car"]);
    text(folder.path(), "mask_classes.txt", "background\nperson\ncar\n");
    assert_eq!((data().mask_classes().len(), data().classes().len()), (3, 2));
}

#[test]
fn odd_names_and_leftovers_survive_a_list() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    let names = ["# 1", "#2", " a b", "cam#1_001", "it's \"q\"", "夜景 01", "-dash", "a.b.c", "100%25", "x.png"];
    for camera in ["ir", "vi"] {
        std::fs::create_dir(root.join(camera)).unwrap();
        for name in names {
            gray(root, &format!("{camera}/{name}.png"), 4, 4, 0);
        }
        for leftover in ["._a.png", ".DS_Store", "Thumbs.db", "desktop.ini"] {
            text(root, &format!("{camera}/{leftover}"), "\0");
        }
    }
    write_names(&root.join("list.txt"), "all of them", &names).unwrap();
    let data = Dataset::open(root, &options(Need::Optional, Some("list.txt"))).unwrap();
    assert_eq!(data.names().collect::<Vec<_>>(), names);
    assert_eq!(Dataset::open(root, &options(Need::Optional, None)).unwrap().len(), names.len());
}

#[cfg(unix)]
#[test]
fn links_that_lead_nowhere_are_named() {
    let folder = good();
    for camera in ["ir", "vi"] {
        std::os::unix::fs::symlink("nowhere.png", folder.path().join(camera).join("d.png")).unwrap();
    }
    let found = offences(folder.path(), &options(Need::Optional, None));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|o| matches!(o, Offence::Image(ImageProblem::DanglingLink { .. }))));
}
