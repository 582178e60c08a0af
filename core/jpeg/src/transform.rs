//! The inverse cosine transform in whole numbers: Loeffler, Ligtenberg and Moschytz's factors of 13 bits, two more bits between the
//! passes, rounded as libjpeg's "slow" transform does.

/// Bits of the factors.
const FACTOR_BITS: u32 = 13;
/// Bits kept between columns and rows.
const BETWEEN_BITS: u32 = 2;

/// A factor rounded to its bits.
const fn factor(value: f64) -> i64 {
    (value * (1 << FACTOR_BITS) as f64 + 0.5) as i64
}

/// Samples of a block of dequantised coefficients, both row by row.
pub fn inverse(block: &[i32; 64]) -> [u8; 64] {
    let mut between = [0i64; 64];
    for x in 0..8 {
        let column = std::array::from_fn(|k| i64::from(block[8 * k + x]));
        for (y, value) in pass(column, FACTOR_BITS - BETWEEN_BITS).into_iter().enumerate() {
            between[8 * y + x] = value;
        }
    }
    let mut samples = [0u8; 64];
    for (row, to) in between.as_chunks::<8>().0.iter().zip(samples.as_chunks_mut::<8>().0) {
        // Three bits are the factor 1/8 of the transform.
        *to = pass(*row, FACTOR_BITS + BETWEEN_BITS + 3).map(|value| (value + 128).clamp(0, 255) as u8);
    }
    samples
}

/// Eight values from eight coefficients, rounded off by `shift` bits.
fn pass(c: [i64; 8], shift: u32) -> [i64; 8] {
    // Even coefficients.
    let turned = (c[2] + c[6]) * const { factor(0.541196100) };
    let (two, three) = (turned - c[6] * const { factor(1.847759065) }, turned + c[2] * const { factor(0.765366865) });
    let (zero, one) = ((c[0] + c[4]) << FACTOR_BITS, (c[0] - c[4]) << FACTOR_BITS);
    let even = [zero + three, one + two, one - two, zero - three];
    // Odd ones.
    let both = (c[7] + c[3] + c[5] + c[1]) * const { factor(1.175875602) };
    let a = -(c[7] + c[1]) * const { factor(0.899976223) };
    let b = -(c[5] + c[3]) * const { factor(2.562915447) };
    let d = both - (c[7] + c[3]) * const { factor(1.961570560) };
    let e = both - (c[5] + c[1]) * const { factor(0.390180644) };
    let odd = [
        c[1] * const { factor(1.501321110) } + a + e,
        c[3] * const { factor(3.072711026) } + b + d,
        c[5] * const { factor(2.053119869) } + b + e,
        c[7] * const { factor(0.298631336) } + a + d,
    ];
    let rounded = |value: i64| (value + (1 << (shift - 1))) >> shift;
    std::array::from_fn(|k| rounded(if k < 4 { even[k] + odd[k] } else { even[7 - k] - odd[7 - k] }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    /// The definition in double precision.
    fn by_sums(block: &[i32; 64]) -> Vec<f64> {
        let scale = |k: usize| if k == 0 { 0.5f64.sqrt() } else { 1.0 };
        let wave = |k: usize, x: usize| scale(k) * ((2 * x + 1) as f64 * k as f64 * PI / 16.0).cos();
        let sample = |x: usize, y: usize| {
            (0..64).map(|i| f64::from(block[i]) * wave(i % 8, x) * wave(i / 8, y)).sum::<f64>() / 4.0 + 128.0
        };
        (0..64).map(|i| sample(i % 8, i / 8).clamp(0.0, 255.0)).collect()
    }

    #[test]
    fn is_the_cosine_transform_to_its_rounding() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as i32
        };
        for round in 0..200 {
            let block: [i32; 64] = std::array::from_fn(|i| if i <= round / 3 { next() % 200 - 100 } else { 0 });
            for (found, exact) in inverse(&block).iter().zip(by_sums(&block)) {
                // Rounding to a level, and a few hundredths from the 13 bits of the factors.
                assert!((f64::from(*found) - exact).abs() < 0.56, "{found} {exact}");
            }
        }
        assert_eq!(inverse(&[i32::MAX; 64]).len(), 64);
    }
}
