//! Profile `linfeng` on every case of `values.json` and `edge_values.json`.

use std::collections::BTreeMap;
use std::path::Path;

use caf_eval::fusion::{Gray, Metric, Triple, gray_from_rgb, ms_ssim, score};
use serde_json::Value;

use crate::shared;

type Plane = (Vec<u8>, usize, usize);

fn gray(path: &Path) -> Plane {
    let image = image::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(image.color(), image::ColorType::L8, "{}", path.display());
    let (w, h) = (image.width() as usize, image.height() as usize);
    (image.into_bytes(), h, w)
}

fn gray_of_rgb(path: &Path) -> Plane {
    let image = image::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).into_rgb8();
    (gray_from_rgb(image.as_raw()), image.height() as usize, image.width() as usize)
}

/// Infrared, visible and fused of a case; the suffix of its key says which files.
fn planes(root: &Path, key: &str) -> [Plane; 3] {
    let (folder, suffix) = key.split_once('@').unwrap_or((key, ""));
    let file = |name: &str| root.join(folder).join(name);
    let ir = gray(&file("ir.png"));
    match suffix {
        "" => [ir, gray(&file("vi.png")), gray(&file("fused.png"))],
        "rgb" => [ir, gray_of_rgb(&file("vi_rgb.png")), gray_of_rgb(&file("fused_rgb.png"))],
        "y" => [ir, gray(&file("vi.png")), gray(&file("fused_y.png"))],
        other => panic!("{key}: no rule for the inputs of @{other}"),
    }
}

fn number(v: &Value) -> f64 {
    match v.as_str() {
        None => v.as_f64().unwrap(),
        Some("Inf") => f64::INFINITY,
        Some("-Inf") => f64::NEG_INFINITY,
        // NaN, or a definition that raised an error.
        Some(_) => f64::NAN,
    }
}

/// All values this crate computes, by the key of the golden files.
fn computed(triple: &Triple<'_>) -> BTreeMap<String, f64> {
    let mut all: BTreeMap<_, _> = score(triple, Metric::ALL).iter().map(|(m, v)| (m.name().to_owned(), v)).collect();
    let levels = ms_ssim(triple).map_or([f64::NAN; 3], |m| m.levels);
    for (i, level) in levels.into_iter().enumerate() {
        all.insert(format!("MS_SSIM_scale{}", i + 1), level);
    }
    all
}

/// What a sane implementation should return, by the table of the golden README: an undefined correlation is 0, a VIF term
/// without denominator is 0, Qabf without gradient is 0, too small an image is refused.
fn recommended(key: &str, case: &Value, published: f64) -> f64 {
    let or_zero = |v: f64| if v.is_nan() { 0.0 } else { v };
    let part = |name: &str| number(&case["parts"][name]);
    let small = case["height"].as_u64().unwrap().min(case["width"].as_u64().unwrap()) < 17;
    // One program calls the correlation of two single pixels 1, the other NaN.
    let one_pixel = case["height"] == 1 && case["width"] == 1;
    if published.is_finite() && !one_pixel {
        return published;
    }
    match key {
        "CC" => (or_zero(part("CC_ir")) + or_zero(part("CC_vi"))) / 2.0,
        "SCD" => or_zero(part("SCD_fused_minus_vi_with_ir")) + or_zero(part("SCD_fused_minus_ir_with_vi")),
        "VIF_ir" | "VIF_vi" if !small => or_zero(published),
        "VIF" if !small => or_zero(number(&case["linfeng"]["VIF_ir"])) + or_zero(number(&case["linfeng"]["VIF_vi"])),
        "Qabf" => or_zero(published),
        _ if key.starts_with("MS_SSIM") && published == f64::NEG_INFINITY => f64::NAN,
        _ => published,
    }
}

#[derive(Default)]
struct Tally {
    values: usize,
    worst: BTreeMap<String, f64>,
    not_implemented: BTreeMap<String, usize>,
}

fn compare(root: &Path, values: &Value, edge: bool, tally: &mut Tally) {
    for (name, case) in values.as_object().unwrap() {
        let planes = planes(root, name);
        let [ir, vi, fused] = planes.each_ref().map(|(p, h, w)| Gray::new(p, *h, *w).unwrap());
        let found = computed(&Triple::new(ir, vi, fused).unwrap());
        for group in ["linfeng", "linfeng_extra"] {
            for (key, published) in case[group].as_object().into_iter().flatten() {
                let Some(&found) = found.get(key) else {
                    *tally.not_implemented.entry(key.clone()).or_default() += 1;
                    continue;
                };
                let expected = recommended(key, case, number(published));
                tally.values += 1;
                if !expected.is_finite() {
                    let same = found == expected || found.is_nan() && expected.is_nan();
                    assert!(same, "{name} {key}: {found}, expected {expected}");
                    continue;
                }
                // The golden README: 1e-10 relative for sums over pixels, 1e-9 for VIF and SSIM (floors of 1e-10 in
                // the definition), 1e-8 for MS_SSIM; on edge cases absolute 1e-9, MS_SSIM 1e-8.
                let (error, limit) = if edge {
                    ((found - expected).abs(), if key.starts_with("MS_SSIM") { 1e-8 } else { 1e-9 })
                } else {
                    let limit = match key.as_str() {
                        k if k.starts_with("MS_SSIM") => 1e-8,
                        k if k.starts_with("VIF") || k.starts_with("SSIM") => 1e-9,
                        _ => 1e-10,
                    };
                    ((found - expected).abs() / expected.abs().max(f64::MIN_POSITIVE), limit)
                };
                assert!(error <= limit, "{name} {key}: {found}, expected {expected}, error {error:e}");
                let worst = tally.worst.entry(key.clone()).or_default();
                *worst = worst.max(error);
            }
        }
    }
}

fn run(test: &str, images: &str, values: &str, edge: bool) {
    let Some(dir) = shared::folder(test, "metrics") else { return };
    let values = shared::json(&dir.join(values));
    let mut tally = Tally::default();
    compare(&dir.join(images), &values, edge, &mut tally);
    let cases = values.as_object().unwrap().len();
    assert!(cases > 0 && tally.values >= cases);
    let kind = if edge { "absolute" } else { "relative" };
    shared::say(&format!("{test}: {cases} cases, {} values; largest {kind} errors:", tally.values));
    let errors: Vec<String> = tally.worst.iter().map(|(k, e)| format!("{k} {e:.1e}")).collect();
    shared::say(&format!("  {}", errors.join(", ")));
    shared::say(&format!("  not implemented: {:?}", tally.not_implemented.keys().collect::<Vec<_>>()));
}

#[test]
fn photographs() {
    run("fusion metrics", "images", "values.json", false);
}

#[test]
fn edge_cases() {
    run("fusion metrics, edge cases", "edge", "edge_values.json", true);
}
