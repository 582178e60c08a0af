//! Signal and noise of the hypergradient: its mean against its standard deviation over the last β steps.

use std::collections::VecDeque;

/// β steps that are looked at together.
pub(super) const WINDOW: usize = 20;

/// The hypergradients of the last [`WINDOW`] β steps.
///
/// Where a term's mean is a small share of its standard deviation, its weight
/// moves by chance.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Signal {
    recent: VecDeque<Vec<f64>>,
}

impl Signal {
    /// Of stored rows, the oldest first.
    pub fn new(rows: impl IntoIterator<Item = Vec<f64>>) -> Self {
        let mut signal = Signal::default();
        rows.into_iter().for_each(|row| signal.push(row));
        signal
    }

    /// Takes the hypergradient of a β step; the oldest beyond the window goes.
    pub fn push(&mut self, gradient: Vec<f64>) {
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(gradient);
    }

    /// The rows, the oldest first.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.recent.iter().map(Vec::as_slice)
    }

    /// Mean and standard deviation (with n − 1) of each of `terms` components; none before the window is full.
    pub fn statistics(&self, terms: usize) -> Vec<Option<[f64; 2]>> {
        let n = self.recent.len() as f64;
        let of = |term: usize| {
            let values = || self.recent.iter().filter_map(move |row| row.get(term));
            let mean = values().sum::<f64>() / n;
            let square = values().map(|v| (v - mean).powi(2)).sum::<f64>();
            (self.recent.len() == WINDOW).then(|| [mean, (square / (n - 1.0)).sqrt()])
        };
        (0..terms).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_window_has_mean_and_deviation_and_forgets_what_is_older() {
        let mut signal = Signal::default();
        for i in 0..WINDOW {
            assert_eq!(signal.statistics(2), [None, None]);
            signal.push(vec![1e9, -(i as f64)]);
        }
        for i in 0..WINDOW {
            signal.push(vec![if i % 2 == 0 { 1.0 } else { 3.0 }, i as f64]);
        }
        let found = signal.statistics(2);
        // 20 values of 2 ± 1; 0 … 19 with variance 20·21/12.
        let [mean, deviation] = found[0].unwrap();
        assert!((mean - 2.0).abs() < 1e-12 && (deviation - (20.0f64 / 19.0).sqrt()).abs() < 1e-12, "{found:?}");
        let [mean, deviation] = found[1].unwrap();
        assert!((mean - 9.5).abs() < 1e-12 && (deviation - 35f64.sqrt()).abs() < 1e-12, "{found:?}");
        assert_eq!(Signal::new(signal.rows().map(<[f64]>::to_vec)), signal);
        assert_eq!(signal.rows().len(), WINDOW);
    }
}
