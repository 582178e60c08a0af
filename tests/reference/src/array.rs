//! Arrays of any rank in double precision.

/// Elements in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Elements.
    pub values: Vec<f64>,
}

/// Even values in a range by a linear congruence, rounded to single precision so that every engine sees the same numbers.
pub fn noise(shape: &[usize], [low, high]: [f64; 2], seed: u64) -> Array {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let count = shape.iter().product();
    Array::new(shape.to_vec(), (0..count).map(|_| f64::from((low + (high - low) * next()) as f32)).collect())
}

impl Array {
    /// Stops the test unless the elements fill the shape.
    pub fn new(shape: Vec<usize>, values: Vec<f64>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{shape:?}");
        Array { shape, values }
    }

    /// Each element from its indices.
    pub fn build(shape: &[usize], f: impl Fn(&[usize]) -> f64) -> Self {
        let count: usize = shape.iter().product();
        let mut at = vec![0; shape.len()];
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push(f(&at));
            for axis in (0..shape.len()).rev() {
                at[axis] += 1;
                if at[axis] < shape[axis] {
                    break;
                }
                at[axis] = 0;
            }
        }
        Array { shape: shape.to_vec(), values }
    }

    /// The element of these indices.
    pub fn at(&self, at: &[usize]) -> f64 {
        assert_eq!(at.len(), self.shape.len());
        let place = at.iter().zip(&self.shape).fold(0, |place, (i, extent)| {
            assert!(i < extent, "{at:?} of {:?}", self.shape);
            place * extent + i
        });
        self.values[place]
    }

    /// Four extents.
    pub fn nchw(&self) -> [usize; 4] {
        self.shape[..].try_into().unwrap()
    }

    /// Each element by itself.
    #[must_use]
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        self.map_at(|_, v| f(v))
    }

    /// Each element with its indices.
    #[must_use]
    pub fn map_at(&self, f: impl Fn(&[usize], f64) -> f64) -> Self {
        Array::build(&self.shape, |at| f(at, self.at(at)))
    }

    /// Two arrays of one rank element by element; extents of 1 are repeated.
    #[must_use]
    pub fn with(&self, other: &Array, f: impl Fn(f64, f64) -> f64) -> Self {
        assert_eq!(self.shape.len(), other.shape.len());
        let shape: Vec<usize> = self.shape.iter().zip(&other.shape).map(|(a, b)| *a.max(b)).collect();
        let of = |x: &Array, at: &[usize]| {
            let at: Vec<usize> = at.iter().zip(&x.shape).map(|(i, extent)| if *extent == 1 { 0 } else { *i }).collect();
            x.at(&at)
        };
        Array::build(&shape, |at| f(of(self, at), of(other, at)))
    }

    /// Largest absolute element.
    pub fn largest(&self) -> f64 {
        self.values.iter().fold(0.0, |largest: f64, v| largest.max(v.abs()))
    }
}
