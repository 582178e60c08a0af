//! Saliency tables, maps and weights against the golden set `saliency`.

use crate::support::{safetensors_in, shared};
use caf_fusion_loss::saliency::{SaliencyForm, infrared_weight, level_table, saliency};

/// All-float32 arithmetic differs by up to 6e-8 in the set's README; ours is 64-bit, rounded once.
const TOLERANCE: f64 = 1e-7;

#[test]
fn tables_maps_and_weights() {
    let Some(folder) = shared("tables_maps_and_weights", "golden/saliency") else { return };
    let cases = safetensors_in(&folder);
    assert!(!cases.is_empty(), "no case in {}", folder.display());
    let (mut count, mut worst) = (0usize, 0f64);
    for (name, case) in &cases {
        let image = |which: &str| case.get(which).unwrap().bytes().to_vec();
        let (ir, vi) = (image("ir_u8"), image("vi_u8"));
        for (table, image) in [("table_ir", &ir), ("table_vi", &vi)] {
            let found: Vec<i64> = level_table(image).iter().map(|t| *t as i64).collect();
            assert_eq!(found, case.get(table).unwrap().to_i64_vec().unwrap(), "{name} {table}");
            count += found.len();
        }
        for (prefix, form) in [("max", SaliencyForm::Max), ("minmax", SaliencyForm::MinMax)] {
            let w_ir = infrared_weight(&ir, &vi, form).unwrap();
            let w_vi = w_ir.iter().map(|w| 1.0 - w).collect();
            let found = [("s_ir", saliency(&ir, form)), ("s_vi", saliency(&vi, form)), ("w_ir", w_ir), ("w_vi", w_vi)];
            for (what, found) in found {
                let place = format!("{prefix}.{what}");
                let expected = case.get(&place).unwrap().to_f32_vec().unwrap();
                assert_eq!(found.len(), expected.len(), "{name} {place}");
                for (a, b) in found.iter().zip(&expected) {
                    let error = (f64::from(*a) - f64::from(*b)).abs();
                    assert!(error <= TOLERANCE, "{name} {place}: {a} instead of {b}");
                    worst = worst.max(error);
                }
                count += expected.len();
            }
        }
    }
    println!("{} cases, {count} values, largest error {worst:.1e}", cases.len());
}
