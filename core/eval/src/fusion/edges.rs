use super::metric::Metric;
use super::planes::Gray;

/// Edge_intensity of `vifb`: mean strength of the Sobel gradient, at least 0.
pub(super) const EDGE_INTENSITY: Metric =
    Metric::higher("Edge_intensity", "mean Sobel gradient of the fused image", |t| Ok(edge_intensity(t.fused())));

/// Weights 1 2 1 without a divisor; the border is repeated outwards.
fn edge_intensity(image: &Gray<'_>) -> f64 {
    let (h, w) = (image.size().height, image.size().width);
    let p = image.pixels();
    let mut sum = 0.0;
    for y in 0..h {
        let rows = [y.saturating_sub(1), y, (y + 1).min(h - 1)].map(|y| &p[y * w..][..w]);
        for x in 0..w {
            let (left, right) = (x.saturating_sub(1), (x + 1).min(w - 1));
            let row = |k: usize| i32::from(rows[k][left]) + 2 * i32::from(rows[k][x]) + i32::from(rows[k][right]);
            let column = |x: usize| i32::from(rows[0][x]) + 2 * i32::from(rows[1][x]) + i32::from(rows[2][x]);
            let (gx, gy) = (column(right) - column(left), row(2) - row(0));
            sum += f64::from(gx * gx + gy * gy).sqrt();
        }
    }
    sum / (h * w) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_geometry::Size;

    #[test]
    fn a_step_by_hand() {
        // Columns 0 0 6 6: the two in the middle see a step of 4 · 6, the outer ones none.
        let image = Gray::new([0, 0, 6, 6].repeat(3), Size::new(4, 3)).unwrap();
        assert!((edge_intensity(&image) - 12.0).abs() < 1e-12);
        assert_eq!(edge_intensity(&Gray::new(vec![9], Size::new(1, 1)).unwrap()), 0.0);
    }
}
