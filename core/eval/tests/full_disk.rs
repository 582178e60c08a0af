//! The program on a disk that takes no more: exit code 1, the file by its name, and nothing half written.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop at the line that fails")]

use caf_golden::fails_on_full_disk;

#[test]
fn no_report_is_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in ["ir", "vi", "fused"] {
        std::fs::create_dir(folder.join(name)).unwrap();
        for i in 0..24u8 {
            let image = image::GrayImage::from_fn(24, 20, |x, y| image::Luma([(x * y) as u8 ^ i]));
            image.save(folder.join(format!("{name}/{i}.png"))).unwrap();
        }
    }
    for name in ["labels", "found"] {
        std::fs::create_dir(folder.join(name)).unwrap();
        let score = if name == "found" { " 0.9" } else { "" };
        std::fs::write(folder.join(format!("{name}/a.txt")), format!("0 0.5 0.5 0.2 0.2{score}\n")).unwrap();
    }
    std::fs::write(folder.join("old.json"), "{}").unwrap();
    let fusion = "fusion --ir ir --vi vi --fused fused --metrics EN,MI,SD,CC,SCD,MSE";
    for limit_kib in [0, 1] {
        for (line, place) in
            [(format!("{fusion} --json old.json"), "old.json"), (format!("{fusion} --csv new.csv"), "new.csv")]
        {
            let left = fails_on_full_disk(env!("CARGO_BIN_EXE_caf-eval"), limit_kib, folder, &line, place);
            assert_eq!(left, Vec::<String>::new(), "{line}, {limit_kib} KiB");
        }
    }
    let detection = "detection --labels labels --predictions found --size 64x64 --json new.json";
    assert!(fails_on_full_disk(env!("CARGO_BIN_EXE_caf-eval"), 0, folder, detection, "new.json").is_empty());
}
