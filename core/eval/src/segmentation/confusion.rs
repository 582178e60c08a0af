use crate::EvalError;
use serde::Serialize;

/// Pixels by labelled class (row) and predicted class (column), over all images of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfusionMatrix {
    classes: usize,
    ignored: Option<u8>,
    /// Row-major, `classes` × `classes`.
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// Nothing counted yet. Classes are 0 to `classes - 1`; pixels labelled `ignored` are left out, whatever is predicted there.
    pub fn new(classes: usize, ignored: Option<u8>) -> Self {
        let classes = classes.min(usize::from(u8::MAX) + 1);
        Self { classes, ignored, counts: vec![0; classes * classes] }
    }

    /// Adds one image: the labelled and the predicted class of every pixel, in the same order. Nothing is counted on an error.
    ///
    /// # Errors
    /// [`EvalError::MapSizes`] when the maps have not the same number of pixels; [`EvalError::PixelClass`] for a class that is
    /// neither below the number of classes nor, in the label, the ignored one.
    pub fn accumulate(&mut self, label: &[u8], prediction: &[u8]) -> Result<(), EvalError> {
        if label.len() != prediction.len() {
            return Err(EvalError::MapSizes { label: label.len(), prediction: prediction.len() });
        }
        // All pairs of bytes first: no branch a pixel, and a wrong class is found before anything is counted.
        const LEVELS: usize = u8::MAX as usize + 1;
        let mut pairs = vec![0u64; LEVELS * LEVELS];
        for (&l, &p) in label.iter().zip(prediction) {
            if let Some(count) = pairs.get_mut(usize::from(l) * LEVELS + usize::from(p)) {
                *count += 1;
            }
        }
        let ignored = self.ignored.map(usize::from);
        let counted = pairs.iter().enumerate().filter(|&(_, &n)| n > 0).map(|(i, &n)| (i / LEVELS, i % LEVELS, n));
        let counted: Vec<_> = counted.filter(|(l, ..)| Some(*l) != ignored).collect();
        let classes = self.classes;
        if counted.iter().any(|&(l, p, _)| l >= classes || p >= classes) {
            return Err(self.first_wrong(label, prediction));
        }
        for (l, p, n) in counted {
            if let Some(count) = self.counts.get_mut(l * classes + p) {
                *count += n;
            }
        }
        Ok(())
    }

    /// Names the first pixel with a class that does not exist.
    fn first_wrong(&self, label: &[u8], prediction: &[u8]) -> EvalError {
        let wrong = |class: u8| usize::from(class) >= self.classes;
        let pixels = label.iter().zip(prediction).enumerate().filter(|(_, (l, _))| Some(**l) != self.ignored);
        let mut found = pixels.filter_map(|(pixel, (&l, &p))| match (wrong(l), wrong(p)) {
            (true, _) => Some(("label", pixel, l)),
            (_, true) => Some(("prediction", pixel, p)),
            _ => None,
        });
        let (what, pixel, class) = found.next().unwrap_or(("label", 0, 0));
        EvalError::PixelClass { what, pixel, class, classes: self.classes, ignored: self.ignored }
    }

    /// Adds what another matrix of the same classes has counted, for images counted in parallel.
    ///
    /// # Errors
    /// [`EvalError::MatrixSizes`] when the numbers of classes differ.
    pub fn merge(&mut self, other: &Self) -> Result<(), EvalError> {
        if self.classes != other.classes {
            return Err(EvalError::MatrixSizes { one: self.classes, other: other.classes });
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
        Ok(())
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The counts, a row for every labelled class.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.counts.chunks_exact(self.classes.max(1))
    }

    /// Pixels labelled `label` and predicted as `prediction`; 0 for classes that do not exist.
    pub fn count(&self, label: usize, prediction: usize) -> u64 {
        let inside = label < self.classes && prediction < self.classes;
        self.counts.get(label * self.classes + prediction).copied().filter(|_| inside).unwrap_or(0)
    }

    /// Pixels of a class that were predicted as it.
    pub fn hits(&self, class: usize) -> u64 {
        self.count(class, class)
    }

    /// Pixels labelled as a class.
    pub fn labelled(&self, class: usize) -> u64 {
        (0..self.classes).map(|p| self.count(class, p)).sum()
    }

    /// Pixels predicted as a class.
    pub fn predicted(&self, class: usize) -> u64 {
        (0..self.classes).map(|l| self.count(l, class)).sum()
    }

    /// All pixels counted: those with a label that is not ignored.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_pixels_are_left_out_whatever_is_predicted_there() {
        let mut matrix = ConfusionMatrix::new(2, Some(255));
        matrix.accumulate(&[0, 1, 1, 255, 255], &[0, 0, 1, 1, 200]).unwrap();
        assert_eq!(matrix.rows().collect::<Vec<_>>(), [[1, 0], [1, 1]]);
        assert_eq!((matrix.labelled(1), matrix.predicted(0), matrix.hits(1), matrix.total()), (2, 2, 1, 3));
    }

    #[test]
    fn a_wrong_image_is_named_and_counts_nothing() {
        let mut matrix = ConfusionMatrix::new(2, Some(255));
        let error = matrix.accumulate(&[0, 255, 1, 0], &[0, 7, 1, 2]).unwrap_err();
        assert_eq!(
            error,
            EvalError::PixelClass { what: "prediction", pixel: 3, class: 2, classes: 2, ignored: Some(255) }
        );
        assert!(matrix.accumulate(&[0, 2], &[0, 0]).unwrap_err().to_string().contains("pixel 1"));
        assert!(matches!(matrix.accumulate(&[0], &[]), Err(EvalError::MapSizes { label: 1, prediction: 0 })));
        // Without an ignored label, 255 is a class like any other.
        assert!(ConfusionMatrix::new(2, None).accumulate(&[255], &[0]).is_err());
        assert_eq!(matrix.total(), 0);
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let (label, prediction) = ([0, 1, 2, 2, 1, 255], [0, 2, 2, 1, 1, 0]);
        let mut whole = ConfusionMatrix::new(3, Some(255));
        whole.accumulate(&label, &prediction).unwrap();
        let mut parts = ConfusionMatrix::new(3, Some(255));
        for at in 0..3 {
            let mut part = ConfusionMatrix::new(3, Some(255));
            part.accumulate(&label[2 * at..][..2], &prediction[2 * at..][..2]).unwrap();
            parts.merge(&part).unwrap();
        }
        assert_eq!(parts, whole);
        assert!(parts.merge(&ConfusionMatrix::new(2, None)).is_err());
    }
}
