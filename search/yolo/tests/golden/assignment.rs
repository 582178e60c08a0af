//! Target assignment against the original's, in its order.

use crate::support::Case;
use caf_yolo::{Grid, assign};

/// `main` is the plain list on the training image, `rectHxW` the plain list on another image, anything else `targets_…`.
fn source(case: &Case, name: &str) -> (String, usize, usize) {
    let size = case.image_size();
    if let Some((h, w)) = name.strip_prefix("rect").and_then(|s| s.split_once('x')) {
        return ("targets".to_owned(), h.parse().unwrap(), w.parse().unwrap());
    }
    (if name == "main" { "targets".to_owned() } else { format!("targets_{name}") }, size, size)
}

#[test]
fn assignment_is_the_originals() {
    let (mut compared, mut values) = (0, 0);
    let cases = crate::support::cases("assignment_is_the_originals");
    for case in &cases {
        let network = case.network();
        let lists: Vec<(String, usize)> = case
            .data
            .iter()
            .filter_map(|(name, _)| {
                let (list, level) = name.strip_prefix("bt_")?.strip_suffix("_index")?.rsplit_once("_l")?;
                Some((list.to_owned(), level.parse().unwrap()))
            })
            .collect();
        assert!(!lists.is_empty(), "{}: no bt_*_index", case.name);
        for (list, level) in lists {
            let (targets, height, width) = source(case, &list);
            let stride = network.levels()[level].stride;
            let anchors: Vec<[f32; 2]> =
                network.levels()[level].anchors_px.iter().map(|px| px.map(|v| (v / stride as f64) as f32)).collect();
            let grid = Grid { rows: height / stride, columns: width / stride };
            let found = assign(&case.targets(&targets), grid, &anchors, case.hyp().anchor_t as f32);

            let key = |part: &str| format!("bt_{list}_l{level}_{part}");
            let index: Vec<i64> = (0..found.len())
                .flat_map(|i| [found.image[i], found.anchor[i], found.row[i], found.column[i]])
                .collect();
            assert_eq!(index, case.integers(&key("index")), "{} {list} level {level}", case.name);
            assert_eq!(found.class, case.integers(&key("tcls")));
            // The same float32 operations in the same order: equal bit for bit.
            assert_eq!(found.box_cells.as_flattened(), case.floats(&key("tbox")));
            assert_eq!(found.anchor_cells.as_flattened(), case.floats(&key("anchor")));
            compared += 1;
            values += found.len() * 11;
        }
    }
    println!("assignment: {} cases, {compared} lists, {values} values, all equal", cases.len());
}
