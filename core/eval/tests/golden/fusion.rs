//! The profiles of fusion metrics on every case of `values.json` and `edge_values.json`.

use crate::rounding::{self, Image};
use caf_eval::fusion::{PROFILES, Picture, Profile, Triple, score};
use caf_geometry::Size;
use caf_golden::{Tally, count, find, json, say};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn picture(path: &Path) -> Picture {
    let image = image::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let size = Size::new(image.width() as usize, image.height() as usize);
    match image.color() {
        image::ColorType::L8 => Picture::gray(image.into_bytes(), size).unwrap(),
        image::ColorType::Rgb8 => Picture::rgb(image.into_bytes(), size).unwrap(),
        other => panic!("{}: {other:?}", path.display()),
    }
}

/// Infrared, visible and fused of a case; the suffix of its key says which files.
fn pictures(root: &Path, key: &str) -> [Picture; 3] {
    let (folder, suffix) = key.split_once('@').unwrap_or((key, ""));
    let names = match suffix {
        "" => ["ir.png", "vi.png", "fused.png"],
        "rgb" => ["ir.png", "vi_rgb.png", "fused_rgb.png"],
        "y" => ["ir.png", "vi.png", "fused_y.png"],
        other => panic!("{key}: no rule for the inputs of @{other}"),
    };
    names.map(|name| picture(&root.join(folder).join(name)))
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

fn values(group: &Value) -> BTreeMap<String, f64> {
    group.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), number(value))).collect()
}

/// All values of a profile, by the keys of the golden files.
fn computed(profile: &Profile, planes: &[Triple<'_>]) -> BTreeMap<String, f64> {
    let metrics: Vec<_> = profile.all().collect();
    let mut all: BTreeMap<_, _> = score(planes, &metrics).iter().map(|(name, v)| (name.to_owned(), v)).collect();
    // The entropies of the sources: as if they were the fused image.
    if let ([t], Ok(entropy)) = (planes, profile.metric("EN")) {
        for (key, source) in [("H_ir", t.ir()), ("H_vi", t.vi())] {
            let triple = Triple::new(source.clone(), source.clone(), source.clone()).unwrap();
            all.insert(key.to_owned(), entropy.of(&[triple]).unwrap());
        }
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
fn recommended(profile: &str, key: &str, case: &Value, published: f64) -> f64 {
    let or_zero = |v: f64| if v.is_nan() { 0.0 } else { v };
    let part = |name: &str| number(&case["parts"][name]);
    let side = count(&case["height"]).min(count(&case["width"]));
    // Below 41 pixels this evaluator's VIF swaps image and window at some scale: a number without a meaning.
    if profile == "cddfuse" && key == "VIF" && side < 41 {
        return f64::NAN;
    }
    // One program calls the correlation of two single pixels 1, the other NaN.
    let one_pixel = case["height"] == 1 && case["width"] == 1;
    if published.is_finite() && !one_pixel {
        return published;
    }
    match key {
        "CC" => (or_zero(part("CC_ir")) + or_zero(part("CC_vi"))) / 2.0,
        "SCD" => or_zero(part("SCD_fused_minus_vi_with_ir")) + or_zero(part("SCD_fused_minus_ir_with_vi")),
        "VIF_ir" | "VIF_vi" if side >= 17 => or_zero(published),
        "VIF" if side >= 17 => {
            or_zero(number(&case["linfeng"]["VIF_ir"])) + or_zero(number(&case["linfeng"]["VIF_vi"]))
        }
        "Qabf" => or_zero(published),
        _ if key.starts_with("MS_SSIM") && published == f64::NEG_INFINITY => f64::NAN,
        _ => published,
    }
}

/// How far rounding can move the metrics whose definitions magnify it on nearly flat windows, or that are what is left of larger
/// numbers.
fn spreads(planes: &[Triple<'_>]) -> BTreeMap<&'static str, f64> {
    let mut spreads = BTreeMap::<&str, f64>::new();
    for t in planes {
        let width = t.size().width;
        let fused = Image::of(t.fused().pixels(), width);
        for (term, source) in [("VIF_ir", t.ir()), ("VIF_vi", t.vi())] {
            let source = Image::of(source.pixels(), width);
            let (_, vif) = rounding::vif(&source, &fused);
            for key in [term, "VIF"] {
                *spreads.entry(key).or_default() += vif;
            }
            let (gaussian, uniform) = (rounding::ssim_gaussian(), rounding::ssim_uniform());
            for (key, kernel, range) in [("SSIM_L1", &gaussian, 1.0), ("SSIM", &uniform, 2.0)] {
                *spreads.entry(key).or_default() += rounding::ssim(&source, &fused, kernel, range);
            }
        }
    }
    for (_, spread) in spreads.iter_mut() {
        *spread /= planes.len() as f64;
    }
    let pixels = planes.iter().map(|t| t.fused().pixels().len()).sum();
    spreads.extend(["CC", "SCD"].map(|key| (key, rounding::correlation(pixels))));
    let of_entropies = ["MI", "MI_unsaturated", "MI_ir", "MI_vi", "Mutinf", "Cross_entropy"];
    spreads.extend(of_entropies.map(|key| (key, rounding::information())));
    spreads
}

/// Compares every value of a profile, its extras and what follows from the stored parts. Returns the keys it does not compute.
fn compare(profile: &Profile, root: &Path, cases: &Value, edge: bool, tally: &mut Tally) -> BTreeSet<String> {
    let mut unknown = BTreeSet::new();
    for (name, case) in cases.as_object().unwrap() {
        let mut groups = vec![values(&case[profile.name])];
        if groups[0].is_empty() {
            assert!(name.contains('@'), "{name} has no values of {}", profile.name);
            continue;
        }
        tally.case(&format!("{name} {}", profile.name));
        let [ir, vi, fused] = pictures(root, name);
        assert_eq!(fused.size(), Size::new(count(&case["width"]), count(&case["height"])), "{name}");
        let planes = profile.planes(&ir, &vi, &fused).unwrap();
        let (computed, spreads) = (computed(profile, &planes), spreads(&planes));
        if profile.name == "linfeng" {
            groups.extend([values(&case["linfeng_extra"]), from_parts(case)]);
        }
        for (key, published) in groups.into_iter().flatten() {
            let Some(&found) = computed.get(&key) else {
                unknown.insert(key);
                continue;
            };
            let what = format!("{} {key}", profile.name);
            let expected = recommended(profile.name, &key, case, published);
            if !expected.is_finite() {
                let same = found == expected || found.is_nan() && expected.is_nan();
                assert!(same, "{name} {what}: {found}, expected {expected}");
                tally.add(&what, 1, 0.0, 0.0);
                continue;
            }
            // The golden README, relative: 1e-10 for sums over pixels, 1e-9 for SSIM, 1e-8 for MS_SSIM, Qcb and Qcv; on edge
            // cases absolute 1e-9, MS_SSIM 1e-8. To that comes what rounding can do to this very image (see `rounding`): of VIF and
            // SSIM counted from its nearly flat windows, 0 but for a few units of 1e-11 where there are none.
            let base = match key.as_str() {
                k if k.starts_with("MS_SSIM") || k.starts_with("Qc") => 1e-8,
                k if edge || k.to_lowercase().starts_with("ssim") => 1e-9,
                _ => 1e-10,
            };
            let scale = if edge { 1.0 } else { expected.abs().max(f64::MIN_POSITIVE) };
            let allowed = base + spreads.get(key.as_str()).map_or(0.0, |spread| spread / scale);
            // As a share of what is allowed for this image, shown at the scale of the base tolerance.
            tally.add(&what, 1, (found - expected).abs() / scale / allowed * base, base);
        }
    }
    unknown
}

/// Values of the golden data that no profile computes: no published table of these profiles has them.
const NOT_IMPLEMENTED: [&str; 5] = ["FMI_dct", "FMI_gradient", "FMI_none", "SD_uint8_2022", "VIF_uint8_2022"];

fn run(test: &str, images: &str, values: &str, edge: bool) {
    let Some(dir) = find(test, "golden/metrics") else { return };
    let mut tally = Tally::new(test);
    for profile in PROFILES {
        let unknown = compare(profile, &dir.join(images), &json(&dir.join(values)), edge, &mut tally);
        say(&format!("{test}, {}: not implemented: {unknown:?}", profile.name));
        let surprises: Vec<&String> = unknown.iter().filter(|key| !NOT_IMPLEMENTED.contains(&key.as_str())).collect();
        assert!(surprises.is_empty(), "{}: values that no metric computes: {surprises:?}", profile.name);
    }
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
