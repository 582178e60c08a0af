//! Luma and chroma to red, green and blue.

/// Which values samples use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// 0 to 255.
    Full,
    /// Luma 16 to 235, chroma 16 to 240.
    Limited,
}

/// Bits behind the point of the factors.
const BITS: u32 = 16;
const HALF: i32 = 1 << (BITS - 1);

/// Factors of 16 bits behind the point, each rounded once: results lie within 0.01 of the exact ones before they are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    black: i32,
    luma: i32,
    red: i32,
    green_by_blue: i32,
    green_by_red: i32,
    blue: i32,
}

impl Matrix {
    /// ITU-R BT.601: luma is 0.299 red, 0.587 green and 0.114 blue.
    #[must_use]
    pub fn bt601(range: Range) -> Self {
        Self::new(0.299, 0.114, range)
    }

    /// ITU-R BT.709: luma is 0.2126 red, 0.7152 green and 0.0722 blue.
    #[must_use]
    pub fn bt709(range: Range) -> Self {
        Self::new(0.2126, 0.0722, range)
    }

    fn new(red: f64, blue: f64, range: Range) -> Self {
        let (black, luma_span, chroma_span) = match range {
            Range::Full => (0, 255.0, 255.0),
            Range::Limited => (16, 219.0, 224.0),
        };
        let fixed = |v: f64| (v * f64::from(1 << BITS)).round() as i32;
        let green = 1.0 - red - blue;
        // Chroma is (blue − luma) / (2 (1 − share of blue)), and so for red.
        let chroma = 255.0 / chroma_span;
        let (of_red, of_blue) = (2.0 * (1.0 - red) * chroma, 2.0 * (1.0 - blue) * chroma);
        Self {
            black,
            luma: fixed(255.0 / luma_span),
            red: fixed(of_red),
            green_by_blue: fixed(of_blue * blue / green),
            green_by_red: fixed(of_red * red / green),
            blue: fixed(of_blue),
        }
    }

    /// Red, green and blue, each rounded and cut to a byte.
    #[must_use]
    #[inline]
    pub fn rgb(&self, luma: u8, blueness: u8, redness: u8) -> [u8; 3] {
        let y = (i32::from(luma) - self.black) * self.luma + HALF;
        let (u, v) = (i32::from(blueness) - 128, i32::from(redness) - 128);
        let red = y + self.red * v;
        let green = y - self.green_by_blue * u - self.green_by_red * v;
        let blue = y + self.blue * u;
        [red, green, blue].map(|v| (v >> BITS).clamp(0, 255) as u8)
    }

    /// Gray, rounded and cut to a byte.
    #[must_use]
    #[inline]
    pub fn gray(&self, luma: u8) -> u8 {
        (((i32::from(luma) - self.black) * self.luma + HALF) >> BITS).clamp(0, 255) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definitions in double precision.
    fn exact([kr, kb]: [f64; 2], range: Range, [y, u, v]: [u8; 3]) -> [f64; 3] {
        let (y, span) = match range {
            Range::Full => (f64::from(y), 255.0),
            Range::Limited => ((f64::from(y) - 16.0) * 255.0 / 219.0, 224.0),
        };
        let [u, v] = [u, v].map(|c| (f64::from(c) - 128.0) * 255.0 / span);
        let red = y + 2.0 * (1.0 - kr) * v;
        let blue = y + 2.0 * (1.0 - kb) * u;
        let green = (y - kr * red - kb * blue) / (1.0 - kr - kb);
        [red, green, blue].map(|c| c.clamp(0.0, 255.0))
    }

    #[test]
    fn every_luma_with_a_lattice_of_chroma_is_the_rounded_definition() {
        for (shares, make) in
            [([0.299, 0.114], Matrix::bt601 as fn(Range) -> Matrix), ([0.2126, 0.0722], Matrix::bt709)]
        {
            for range in [Range::Full, Range::Limited] {
                let matrix = make(range);
                for y in 0..=255_u8 {
                    for u in (0..=255_u8).step_by(5) {
                        for v in (0..=255_u8).step_by(5) {
                            let found = matrix.rgb(y, u, v);
                            let exact = exact(shares, range, [y, u, v]);
                            for (found, exact) in found.iter().zip(exact) {
                                // Three factors, each at most half of 2^-16 off, times at most 255.
                                let off = (f64::from(*found) - exact).abs();
                                assert!(off <= 0.5 + 3.0 * 255.0 * 0.5 / 65536.0, "{shares:?} {range:?} {y} {u} {v}");
                            }
                        }
                    }
                    let gray = exact(shares, range, [y, 128, 128])[0];
                    assert!((f64::from(matrix.gray(y)) - gray).abs() <= 0.5, "{range:?} {y}");
                }
            }
        }
    }

    #[test]
    fn colours_by_hand() {
        // The bars of BT.601 in limited range: black, white, red, green, blue.
        let bars = [[16, 128, 128], [235, 128, 128], [81, 90, 240], [145, 54, 34], [41, 240, 110]];
        let rgb = [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]];
        let matrix = Matrix::bt601(Range::Limited);
        for ([y, u, v], expected) in bars.into_iter().zip(rgb) {
            let found = matrix.rgb(y, u, v);
            // The bars' samples are themselves rounded to bytes: half a step of chroma is a whole one of colour.
            assert!(found.iter().zip(expected).all(|(a, b): (&u8, u8)| a.abs_diff(b) <= 1), "{found:?}, {expected:?}");
        }
    }
}
