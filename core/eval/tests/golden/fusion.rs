//! Profile `linfeng` on every case of `values.json` and `edge_values.json`.

use caf_eval::fusion::{Gray, Metric, Triple, entropy, gray_from_rgb, ms_ssim, score};
use caf_golden::{Tally, count, find, json, say};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

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
    for (key, image) in [("H_ir", triple.ir()), ("H_vi", triple.vi())] {
        all.insert(key.to_owned(), entropy(image));
    }
    all
}

/// What the stored intermediate results of a case make of the metrics.
fn from_parts(case: &Value) -> BTreeMap<String, f64> {
    if case["parts"].is_null() {
        return BTreeMap::new();
    }
    let part = |key: &str| number(&case["parts"][key]);
    let sum = |key: &str| -> f64 { case["parts"][key].as_array().unwrap().iter().map(number).sum() };
    let mutual = |end: &str| {
        let of = |source: &str| {
            part(&format!("H_{source}")) + part("H_fused") - part(&format!("H_joint_fused_{source}{end}"))
        };
        of("ir") + of("vi")
    };
    BTreeMap::from([
        ("H_ir".to_owned(), part("H_ir")),
        ("H_vi".to_owned(), part("H_vi")),
        ("EN".to_owned(), part("H_fused")),
        ("MI".to_owned(), mutual("")),
        ("MI_unsaturated".to_owned(), mutual("_unsaturated")),
        ("CC".to_owned(), (part("CC_ir") + part("CC_vi")) / 2.0),
        ("SCD".to_owned(), part("SCD_fused_minus_vi_with_ir") + part("SCD_fused_minus_ir_with_vi")),
        ("VIF_ir".to_owned(), sum("VIF_ir_num") / sum("VIF_ir_den")),
        ("VIF_vi".to_owned(), sum("VIF_vi_num") / sum("VIF_vi_den")),
        ("Qabf".to_owned(), (part("Qabf_num_ir") + part("Qabf_num_vi")) / (part("Qabf_den_ir") + part("Qabf_den_vi"))),
    ])
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

/// Compares every value of `linfeng` and of its extras that this crate computes, and what follows from the stored parts. Returns
/// the keys it does not compute.
fn compare(root: &Path, values: &Value, edge: bool, tally: &mut Tally) -> BTreeSet<String> {
    let mut unknown = BTreeSet::new();
    for (name, case) in values.as_object().unwrap() {
        tally.case(name);
        let planes = planes(root, name);
        let [ir, vi, fused] = planes.each_ref().map(|(p, h, w)| Gray::new(p, *h, *w).unwrap());
        assert_eq!(fused.size_hw(), (count(&case["height"]), count(&case["width"])), "{name}");
        let computed = computed(&Triple::new(ir, vi, fused).unwrap());
        let published = |group: &str| -> BTreeMap<String, f64> {
            case[group].as_object().into_iter().flatten().map(|(key, value)| (key.clone(), number(value))).collect()
        };
        assert!(!case["linfeng"].is_null(), "{name} has no values of linfeng");
        for values in [published("linfeng"), published("linfeng_extra"), from_parts(case)] {
            for (key, published) in values {
                let Some(&found) = computed.get(&key) else {
                    unknown.insert(key);
                    continue;
                };
                let expected = recommended(&key, case, published);
                if !expected.is_finite() {
                    let same = found == expected || found.is_nan() && expected.is_nan();
                    assert!(same, "{name} {key}: {found}, expected {expected}");
                    tally.add(&key, 1, 0.0, 0.0);
                    continue;
                }
                // The golden README: 1e-10 relative for sums over pixels, 1e-9 for VIF and SSIM (floors of 1e-10 in
                // the definition), 1e-8 for MS_SSIM; on edge cases absolute 1e-9, MS_SSIM 1e-8.
                let tolerance = match key.as_str() {
                    k if k.starts_with("MS_SSIM") => 1e-8,
                    k if edge || k.starts_with("VIF") || k.starts_with("SSIM") => 1e-9,
                    _ => 1e-10,
                };
                let scale = if edge { 1.0 } else { expected.abs().max(f64::MIN_POSITIVE) };
                tally.add(&key, 1, (found - expected).abs() / scale, tolerance);
            }
        }
    }
    unknown
}

fn run(test: &str, images: &str, values: &str, edge: bool) {
    let Some(dir) = find(test, "golden/metrics") else { return };
    let mut tally = Tally::new(test);
    let unknown = compare(&dir.join(images), &json(&dir.join(values)), edge, &mut tally);
    say(&format!("{test}: not implemented: {unknown:?}"));
    tally.finish();
}

#[test]
fn photographs() {
    run("fusion metrics", "images", "values.json", false);
}

#[test]
fn edge_cases() {
    run("fusion metrics, edge cases", "edge", "edge_values.json", true);
}
