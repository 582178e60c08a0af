//! From the raw outputs of a YOLOv5 head to rows of boxes and probabilities.

use crate::error::GeometryError;

/// Pixels of the network's input per cell of P3, P4, P5.
pub const STRIDES: [usize; 3] = [8, 16, 32];

/// Anchor widths and heights of the published models, in pixels of the network's input, for P3, P4, P5.
pub const ANCHORS_PX: [[[f32; 2]; 3]; 3] = [
    [[10.0, 13.0], [16.0, 30.0], [33.0, 23.0]],
    [[30.0, 61.0], [62.0, 45.0], [59.0, 119.0]],
    [[116.0, 90.0], [156.0, 198.0], [373.0, 326.0]],
];

/// Size of one raw head output, laid out `[anchors, ny, nx, 5 + classes]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadShape {
    /// Cells vertically.
    pub ny: usize,
    /// Cells horizontally.
    pub nx: usize,
    /// Classes.
    pub classes: usize,
}

/// Decodes one level of one image and appends its rows `cx cy w h objectness class…` to `rows`, anchor by anchor, then
/// by y, then by x.
///
/// With `s` the sigmoid of the raw value: `xy = (2 s - 0.5 + cell) · stride`, `wh = (2 s)² · anchor`; objectness and
/// classes are `s`. Boxes are in pixels of the network's input, probabilities in (0, 1).
///
/// # Errors
/// [`GeometryError::Length`] when `raw` is not `anchors · ny · nx · (5 + classes)` long; nothing is appended then.
pub fn decode_level(
    raw: &[f32],
    shape: HeadShape,
    stride: usize,
    anchors_px: &[[f32; 2]],
    rows: &mut Vec<f32>,
) -> Result<(), GeometryError> {
    let HeadShape { ny, nx, classes } = shape;
    let row = classes.saturating_add(5);
    let expected = anchors_px.len().saturating_mul(ny).saturating_mul(nx).saturating_mul(row);
    if raw.len() != expected {
        return Err(GeometryError::Length { what: "raw head", expected, found: raw.len() });
    }
    rows.reserve(raw.len());
    let stride = stride as f32;
    let cells = (0..anchors_px.len()).flat_map(|a| (0..ny).flat_map(move |y| (0..nx).map(move |x| (a, y, x))));
    for ((anchor, y, x), values) in cells.zip(raw.chunks_exact(row)) {
        let [anchor_w, anchor_h] = anchors_px[anchor];
        let twice = |i: usize| 2.0 * sigmoid(values[i]);
        rows.extend([
            (twice(0) - 0.5 + x as f32) * stride,
            (twice(1) - 0.5 + y as f32) * stride,
            twice(2) * twice(2) * anchor_w,
            twice(3) * twice(3) * anchor_h,
        ]);
        rows.extend(values[4..].iter().map(|&v| sigmoid(v)));
    }
    Ok(())
}

/// `1 / (1 + e^-x)`.
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_cell_centres_with_the_anchor_size() {
        let shape = HeadShape { ny: 2, nx: 3, classes: 1 };
        let mut rows = vec![];
        decode_level(&[0.0; 2 * 6 * 6], shape, 8, &ANCHORS_PX[0][..2], &mut rows).unwrap();
        assert_eq!(rows.len(), 72);
        assert_eq!(rows[..6], [4.0, 4.0, 10.0, 13.0, 0.5, 0.5]);
        assert_eq!(rows[66..], [20.0, 12.0, 16.0, 30.0, 0.5, 0.5]);
    }

    #[test]
    fn refuses_another_length() {
        let mut rows = vec![];
        let shape = HeadShape { ny: 1, nx: 1, classes: 1 };
        assert!(decode_level(&[0.0; 17], shape, 8, &ANCHORS_PX[0], &mut rows).is_err());
        assert!(rows.is_empty());
    }
}
