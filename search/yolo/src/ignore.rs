//! Regions that are neither right nor wrong.
//!
//! An extension of the original, off when no regions are given: the labels of a data set may mark regions (heavily hidden objects,
//! distant groups) where a detection is not an error. A cell of such a region without a matched object says nothing about
//! objectness, so its cross-entropy is left out of the sum. The divisor stays the number of all cells, so that the gradient of
//! every other cell is what it was.

use crate::assign::{Grid, Matches};

/// A region of one image of a batch; centre and size relative to the network input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IgnoreRegion {
    /// Image in the batch, from 0.
    pub image: usize,
    /// Centre x, 0 to 1.
    pub cx: f32,
    /// Centre y, 0 to 1.
    pub cy: f32,
    /// Width, 0 to 1.
    pub w: f32,
    /// Height, 0 to 1.
    pub h: f32,
}

/// Which cells count for objectness: 1 or 0, row-major `[images, anchors, rows, columns]`.
///
/// A cell is left out when its centre lies in a region (borders included) or when it holds the centre of a region (a region may
/// be smaller than a cell), unless an object is matched with that cell and anchor.
pub fn objectness_weights(
    regions: &[IgnoreRegion],
    matches: &Matches,
    images: usize,
    anchors: usize,
    grid: Grid,
) -> Vec<f32> {
    let plane = grid.rows * grid.columns;
    let mut weights = vec![1.0f32; images * anchors * plane];
    let (rows, columns) = (grid.rows as f32, grid.columns as f32);
    for region in regions.iter().filter(|r| r.image < images) {
        let (left, right) = ((region.cx - region.w / 2.0) * columns, (region.cx + region.w / 2.0) * columns);
        let (top, bottom) = ((region.cy - region.h / 2.0) * rows, (region.cy + region.h / 2.0) * rows);
        let home = ((region.cy * rows).floor(), (region.cx * columns).floor());
        for row in 0..grid.rows {
            for column in 0..grid.columns {
                let (y, x) = (row as f32 + 0.5, column as f32 + 0.5);
                let inside = x >= left && x <= right && y >= top && y <= bottom;
                if !inside && home != (row as f32, column as f32) {
                    continue;
                }
                for anchor in 0..anchors {
                    let cell = (region.image * anchors + anchor) * plane + row * grid.columns + column;
                    if let Some(slot) = weights.get_mut(cell) {
                        *slot = 0.0;
                    }
                }
            }
        }
    }
    for (_, cell) in matches.last_writers(anchors, grid) {
        if let Some(slot) = weights.get_mut(cell) {
            *slot = 1.0;
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assign::{Target, assign};

    const GRID: Grid = Grid { rows: 4, columns: 4 };

    #[test]
    fn cells_with_their_centre_inside_are_left_out_for_every_anchor() {
        let region = IgnoreRegion { image: 1, cx: 0.25, cy: 0.25, w: 0.5, h: 0.5 };
        let weights = objectness_weights(&[region], &Matches::default(), 2, 2, GRID);
        let off: Vec<usize> = (0..weights.len()).filter(|i| weights[*i] == 0.0).collect();
        assert_eq!(off, [32, 33, 36, 37, 48, 49, 52, 53]);
    }

    #[test]
    fn a_region_smaller_than_a_cell_still_leaves_its_cell_out() {
        let region = IgnoreRegion { image: 0, cx: 0.30, cy: 0.95, w: 0.01, h: 0.01 };
        let weights = objectness_weights(&[region], &Matches::default(), 1, 1, GRID);
        assert_eq!((0..16).filter(|i| weights[*i] == 0.0).collect::<Vec<_>>(), [13]);
    }

    #[test]
    fn a_matched_cell_counts_even_inside_a_region() {
        let region = IgnoreRegion { image: 0, cx: 0.5, cy: 0.5, w: 1.0, h: 1.0 };
        let object = Target { image: 0, class: 0, cx: 0.125, cy: 0.125, w: 0.25, h: 0.25 };
        let matches = assign(&[object], GRID, &[[1.0, 1.0], [8.0, 8.0]], 4.0);
        let weights = objectness_weights(&[region], &matches, 1, 2, GRID);
        assert_eq!((0..32).filter(|i| weights[*i] == 1.0).collect::<Vec<_>>(), [0]);
    }
}
