use super::planes::Gray;

/// An image stretched to whole levels from 0 to 255, halves rounded up, as `vifb` does before Mutinf, Qcb and Qcv.
pub(super) struct Stretched {
    /// The levels; all 0 when the image is constant.
    pub or_zero: Vec<u8>,
    /// False for a constant image that is not black: Qcb and Qcv divide 0 by 0 then.
    pub defined: bool,
}

impl Stretched {
    /// Of an image.
    pub fn of(image: &Gray<'_>) -> Self {
        let (low, high) = image.pixels().iter().fold((u8::MAX, u8::MIN), |(l, h), &v| (l.min(v), h.max(v)));
        let range = f64::from(high.saturating_sub(low)).max(1.0);
        let mut table = [0u8; 256];
        for level in low..=high {
            // In the published order: the quotient first, which decides how halves are rounded.
            if let Some(entry) = table.get_mut(usize::from(level)) {
                *entry = (f64::from(level - low) / range * 255.0).round() as u8;
            }
        }
        let or_zero = image.pixels().iter().map(|&v| table[usize::from(v)]).collect();
        Self { or_zero, defined: low < high || high == 0 }
    }

    /// The levels as numbers.
    pub fn to_f64(&self) -> Vec<f64> {
        self.or_zero.iter().map(|&v| f64::from(v)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_geometry::Size;

    #[test]
    fn range_halves_and_constants() {
        let of = |pixels: [u8; 3]| {
            let s = Stretched::of(&Gray::new(pixels.to_vec(), Size::new(3, 1)).unwrap());
            (s.or_zero, s.defined)
        };
        assert_eq!(of([10, 11, 12]), (vec![0, 128, 255], true));
        assert_eq!(of([0, 3, 255]), (vec![0, 3, 255], true));
        assert_eq!(of([7; 3]), (vec![0; 3], false));
        assert_eq!(of([0; 3]), (vec![0; 3], true));
    }
}
