//! Which cells answer for which object.

/// One labelled object of a batch; centre and size relative to the network input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Image in the batch, from 0.
    pub image: usize,
    /// Class, from 0.
    pub class: usize,
    /// Centre x, 0 to 1.
    pub cx: f32,
    /// Centre y, 0 to 1.
    pub cy: f32,
    /// Width, 0 to 1.
    pub w: f32,
    /// Height, 0 to 1.
    pub h: f32,
}

/// Cells of one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Down.
    pub rows: usize,
    /// Across.
    pub columns: usize,
}

/// The matches of one level, in the order of the original: centre cell, left, up, right, down; within each by anchor, then by
/// object. All lists have the same length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matches {
    /// Image in the batch.
    pub image: Vec<i64>,
    /// Anchor of the level.
    pub anchor: Vec<i64>,
    /// Row of the cell.
    pub row: Vec<i64>,
    /// Column of the cell.
    pub column: Vec<i64>,
    /// Class of the object.
    pub class: Vec<i64>,
    /// Centre of the object from the corner of the cell, and its size, all in cells.
    pub box_cells: Vec<[f32; 4]>,
    /// Width and height of the anchor in cells.
    pub anchor_cells: Vec<[f32; 2]>,
}

impl Matches {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.image.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.image.is_empty()
    }

    /// Of all matches of one cell and anchor, the last in list order: its position here and its cell as an index into a
    /// row-major `[images, anchors, rows, columns]` array. Ascending by that index, without repetitions, so that writing them is
    /// free of races on every device.
    pub fn last_writers(&self, anchors: usize, grid: Grid) -> Vec<(usize, usize)> {
        let mut cells: Vec<(usize, usize)> = (0..self.len()).map(|i| (self.cell(i, anchors, grid), i)).collect();
        cells.sort_unstable();
        let mut last: Vec<(usize, usize)> = Vec::with_capacity(cells.len());
        for (cell, i) in cells {
            match last.last_mut() {
                Some(previous) if previous.1 == cell => previous.0 = i,
                _ => last.push((i, cell)),
            }
        }
        last
    }

    fn cell(&self, i: usize, anchors: usize, grid: Grid) -> usize {
        let at = |list: &[i64]| list.get(i).map_or(0, |v| *v as usize);
        ((at(&self.image) * anchors + at(&self.anchor)) * grid.rows + at(&self.row)) * grid.columns + at(&self.column)
    }
}

/// The neighbours that share an object with its cell: (from the left or upper edge?, step in cells).
#[derive(Clone, Copy)]
enum Step {
    Centre,
    Left,
    Up,
    Right,
    Down,
}

/// How far a neighbour reaches into a cell, in cells.
const REACH: f32 = 0.5;

/// Matches objects with the cells and anchors of one level (YOLOv5, releases 5 to 7).
///
/// An object fits an anchor when neither side is `ratio_limit` times longer or shorter, strictly. It then belongs to its own
/// cell and to the neighbour left (above) when it lies in the left (upper) half of the cell and x > 1 (y > 1), to the neighbour
/// right (below) when it lies in the right (lower) half seen from the far border and more than one cell away from it. The cell is
/// clamped to the grid before the offset inside the cell is formed, so an object at the far border gets an offset of 1.
///
/// `targets` must be finite; `anchors_cells` are width and height in cells. Sums and products are formed in f32 and in the order
/// of the original, so results are equal bit for bit.
pub fn assign(targets: &[Target], grid: Grid, anchors_cells: &[[f32; 2]], ratio_limit: f32) -> Matches {
    let (columns, rows) = (grid.columns as f32, grid.rows as f32);
    let mut fits = Vec::new();
    for (a, anchor) in anchors_cells.iter().enumerate() {
        for t in targets {
            let scaled = [t.cx * columns, t.cy * rows, t.w * columns, t.h * rows];
            let ratio = [scaled[2] / anchor[0], scaled[3] / anchor[1]];
            let worst = ratio.into_iter().map(|r| r.max(1.0 / r)).fold(0.0, f32::max);
            if worst < ratio_limit {
                fits.push((t, a, *anchor, scaled));
            }
        }
    }

    let mut matches = Matches::default();
    for step in [Step::Centre, Step::Left, Step::Up, Step::Right, Step::Down] {
        for (t, a, anchor, [x, y, w, h]) in &fits {
            let (dx, dy) = match step {
                Step::Centre => (0.0, 0.0),
                Step::Left if near(*x) => (REACH, 0.0),
                Step::Up if near(*y) => (0.0, REACH),
                Step::Right if near(columns - x) => (-REACH, 0.0),
                Step::Down if near(rows - y) => (0.0, -REACH),
                _ => continue,
            };
            let column = cell(x - dx, grid.columns);
            let row = cell(y - dy, grid.rows);
            matches.image.push(t.image as i64);
            matches.anchor.push(*a as i64);
            matches.row.push(row);
            matches.column.push(column);
            matches.class.push(t.class as i64);
            matches.box_cells.push([x - column as f32, y - row as f32, *w, *h]);
            matches.anchor_cells.push(*anchor);
        }
    }
    matches
}

/// Whether a coordinate lies in the first half of its cell and not in the first cell.
fn near(coordinate: f32) -> bool {
    coordinate.rem_euclid(1.0) < REACH && coordinate > 1.0
}

fn cell(coordinate: f32, cells: usize) -> i64 {
    (coordinate as i64).clamp(0, cells.saturating_sub(1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRID: Grid = Grid { rows: 4, columns: 8 };

    fn target(cx: f32, cy: f32, w: f32, h: f32) -> Target {
        Target { image: 0, class: 0, cx, cy, w, h }
    }

    fn cells(matches: &Matches) -> Vec<(i64, i64)> {
        matches.column.iter().copied().zip(matches.row.iter().copied()).collect()
    }

    #[test]
    fn an_object_in_the_upper_left_of_a_cell_also_belongs_left_and_above() {
        // 2.25, 1.25 in cells
        let m = assign(&[target(2.25 / 8.0, 1.25 / 4.0, 0.125, 0.25)], GRID, &[[1.0, 1.0]], 4.0);
        assert_eq!(cells(&m), [(2, 1), (1, 1), (2, 0)]);
        assert_eq!(m.box_cells[1], [1.25, 0.25, 1.0, 1.0]);
    }

    #[test]
    fn first_and_last_cells_have_no_neighbour_outside() {
        let m = assign(&[target(0.25 / 8.0, 3.75 / 4.0, 0.125, 0.25)], GRID, &[[1.0, 1.0]], 4.0);
        assert_eq!(cells(&m), [(0, 3)]);
    }

    #[test]
    fn the_far_border_is_clamped_before_the_offset() {
        let m = assign(&[target(1.0, 1.0, 0.125, 0.25)], GRID, &[[1.0, 1.0]], 4.0);
        // 8 mod 1 = 0 counts as the first half, so the cell before is matched too, and it is the same one.
        assert_eq!(cells(&m), [(7, 3), (7, 3), (7, 3)]);
        assert_eq!(m.box_cells[0], [1.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn the_ratio_limit_is_strict_and_holds_both_ways() {
        let anchors = [[1.0, 1.0], [0.25, 1.0], [4.0, 1.0], [3.9, 1.0]];
        let m = assign(&[target(0.5 / 8.0, 0.5 / 4.0, 0.125, 0.25)], GRID, &anchors, 4.0);
        assert_eq!(m.anchor, [0, 3]);
    }

    #[test]
    fn a_size_of_zero_fits_nothing() {
        assert!(assign(&[target(0.5, 0.5, 0.0, 0.2)], GRID, &[[1.0, 1.0]], 4.0).is_empty());
    }

    #[test]
    fn the_last_of_several_writers_wins() {
        let one = target(0.5 / 8.0, 0.5 / 4.0, 0.125, 0.25);
        let other = Target { class: 1, w: 0.2, ..one };
        let m = assign(&[one, other, one], GRID, &[[1.0, 1.0], [1.5, 1.5]], 4.0);
        assert_eq!(m.len(), 6);
        assert_eq!(m.last_writers(2, GRID), [(2, 0), (5, 32)]);
    }
}
