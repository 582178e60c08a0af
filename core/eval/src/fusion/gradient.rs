use super::metric::Metric;
use super::planes::Gray;
use crate::EvalError;

/// AG: average gradient of the fused image, at least 0. The sum runs over all pixels but is divided by `(h - 1)(w - 1)`, as
/// published.
pub(super) const AG: Metric = Metric::higher("AG", "average gradient of the fused image", |t| {
    let Gradients(sum) = of_at_least_two(t.fused())?;
    let size = t.size();
    Ok(sum / ((size.height - 1) * (size.width - 1)) as f64)
});

/// The same of `cddfuse`: the mean over all pixels.
pub(super) const AG_MEAN: Metric = Metric::higher("AG", "mean gradient of the fused image", |t| {
    let Gradients(sum) = of_at_least_two(t.fused())?;
    Ok(sum / t.fused().pixels().len() as f64)
});

/// Sum of the strengths of all gradients.
#[derive(Clone, Copy)]
struct Gradients(f64);

fn of_at_least_two(image: &Gray<'_>) -> Result<Gradients, EvalError> {
    image.at_least("AG", 2)?;
    Ok(*image.shared(gradients))
}

/// `√((gx² + gy²) / 2)` with central differences inside and one-sided ones on the border.
fn gradients(image: &Gray<'_>) -> Gradients {
    let (h, w) = (image.size().height, image.size().width);
    let p = image.pixels();
    // Whole numbers: neighbours two apart, or the one-sided difference doubled, are twice the derivative.
    let twice = |low: u8, high: u8, apart: usize| f64::from(i16::from(high) - i16::from(low)) * (2.0 / apart as f64);
    let mut sum = 0.0;
    for y in 0..h {
        let (y0, y1) = (y.saturating_sub(1), (y + 1).min(h - 1));
        for x in 0..w {
            let (x0, x1) = (x.saturating_sub(1), (x + 1).min(w - 1));
            let gx = twice(p[y * w + x0], p[y * w + x1], x1 - x0) / 2.0;
            let gy = twice(p[y0 * w + x], p[y1 * w + x], y1 - y0) / 2.0;
            sum += ((gx * gx + gy * gy) / 2.0).sqrt();
        }
    }
    Gradients(sum)
}

#[cfg(test)]
mod tests {
    use super::super::planes::Triple;
    use super::*;
    use caf_geometry::Size;

    #[test]
    fn a_ramp_by_hand() {
        let of = |pixels: Vec<u8>, size| {
            let image = Gray::new(pixels, size).unwrap();
            let triple = [Triple::new(image.clone(), image.clone(), image).unwrap()];
            (AG.of(&triple), AG_MEAN.of(&triple))
        };
        // Rows 0 3, 4 7: every pixel has the differences 3 and 4.
        let (ag, mean) = of(vec![0, 3, 4, 7], Size::new(2, 2));
        assert!((ag.unwrap() - 4.0 * 12.5f64.sqrt()).abs() < 1e-12);
        assert!((mean.unwrap() - 12.5f64.sqrt()).abs() < 1e-12);
        let (ag, mean) = of(vec![1, 2, 3], Size::new(1, 3));
        assert!(ag.is_err() && mean.is_err());
    }
}
