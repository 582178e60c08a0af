//! A view: where each pixel of an image comes from in another one. Cropping, enlarging, shifting, flipping and fitting
//! are all views, so images, boxes and ignore regions of a pair always move by the same numbers.
//!
//! In continuous coordinates (pixel `i` covers `[i, i + 1)`) a point maps as `x' = scale_x * x + shift_x` and
//! `y' = scale_y * y + shift_y`; `scale_x` is negative when the view is mirrored.

use caf_geometry::{Size, Xyxy};
use caf_image::resample::{self, Axis, Blend};
use caf_image::{Gray8, IGNORED_LABEL, Label, Raster};

use crate::error::DataError;
use crate::sample::Sample;

/// The gray around an image that does not fill its frame, 8 bits.
pub const BORDER: u8 = caf_geometry::letterbox::FILL;

/// Boxes thinner than this inside the target are not there: relative labels in `f32` leave such traces of boxes that
/// end exactly at its edge.
const NOTHING_PX: f32 = 1e-3;

/// A mapping from a source image to a target frame; see the module's page for the equation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    source: Size,
    target: Size,
    scale: (f64, f64),
    shift: (f64, f64),
}

/// When a cut box is still an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CutRule {
    /// Both sides must have at least this many pixels in the target.
    pub min_side_px: f32,
    /// More than this fraction of the box's area must be inside.
    pub min_area_fraction: f32,
}

impl Default for CutRule {
    /// At least 2 px a side and more than a tenth of the area: the rule of the detector's original training.
    fn default() -> Self {
        Self { min_side_px: 2.0, min_area_fraction: 0.1 }
    }
}

/// Boxes after a view, relative to its target.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CutBoxes {
    /// Boxes that are still objects, cut at the target's edge.
    pub kept: Vec<Label>,
    /// What is inside of boxes that are objects no more: neither background nor object.
    pub remainders: Vec<Label>,
}

impl View {
    /// The part of this size whose upper left corner is pixel (`x`, `y`), at the scale of the source.
    ///
    /// # Errors
    /// [`DataError::Shape`] when the part is empty or not inside the source .
    pub fn crop(source: Size, x: usize, y: usize, part: Size) -> Result<Self, DataError> {
        let fits = |offset: usize, length: usize, side: usize| {
            length > 0 && offset.checked_add(length).is_some_and(|end| end <= side)
        };
        if !fits(x, part.width, source.width) || !fits(y, part.height, source.height) {
            return Err(DataError::Shape {
                what: "crop",
                expected: format!("at least one pixel, inside {source}"),
                found: format!("{part} at ({x}, {y})"),
            });
        }
        Self::new(source, part, (1.0, 1.0), (-(x as f64), -(y as f64)))
    }

    /// Scales by `scale` (target pixels per source pixel) in both directions and puts the centre of the source at the
    /// target's centre plus `offset_px`.
    ///
    /// # Errors
    /// [`DataError::Shape`] for an empty size, [`DataError::Setting`] for a scale that is not positive and finite or an
    /// offset that is not finite.
    pub fn centred(source: Size, target: Size, scale: f64, offset_px: (f64, f64)) -> Result<Self, DataError> {
        let shift =
            |source: usize, target: usize, offset: f64| target as f64 / 2.0 + offset - scale * source as f64 / 2.0;
        Self::new(
            source,
            target,
            (scale, scale),
            (shift(source.width, target.width, offset_px.0), shift(source.height, target.height, offset_px.1)),
        )
    }

    /// Any view: `x' = scale.0 * x + shift.0`, `y' = scale.1 * y + shift.1`.
    ///
    /// # Errors
    /// [`DataError::Shape`] for an empty size, [`DataError::Setting`] for scales that are not positive and finite or
    /// shifts that are not finite.
    pub fn new(source: Size, target: Size, scale: (f64, f64), shift: (f64, f64)) -> Result<Self, DataError> {
        for (what, size) in [("source of a view", source), ("target of a view", target)] {
            if size.width == 0 || size.height == 0 {
                let found = size.to_string();
                return Err(DataError::Shape { what, expected: "width and height of at least 1".into(), found });
            }
        }
        let good_scale = |s: f64| s.is_finite() && s > 0.0;
        if !good_scale(scale.0) || !good_scale(scale.1) || !shift.0.is_finite() || !shift.1.is_finite() {
            return Err(DataError::Setting {
                name: "view",
                expected: "positive finite scales, finite shifts".into(),
                found: format!("scales {scale:?}, shifts {shift:?}"),
            });
        }
        Ok(Self { source, target, scale, shift })
    }

    /// The same view with left and right exchanged in the target.
    #[must_use]
    pub fn mirrored(self) -> Self {
        Self {
            scale: (-self.scale.0, self.scale.1),
            shift: (self.target.width as f64 - self.shift.0, self.shift.1),
            ..self
        }
    }

    /// Size of the source.
    #[must_use]
    pub fn source(&self) -> Size {
        self.source
    }

    /// Size of the target.
    #[must_use]
    pub fn target(&self) -> Size {
        self.target
    }

    /// A box of the source in the target's pixels, not cut.
    #[must_use]
    pub fn map_box(&self, source: Xyxy) -> Xyxy {
        let x = |v: f32| (self.scale.0 * f64::from(v) + self.shift.0) as f32;
        let y = |v: f32| (self.scale.1 * f64::from(v) + self.shift.1) as f32;
        let (a, b) = (x(source.x1), x(source.x2));
        Xyxy::new(a.min(b), y(source.y1), a.max(b), y(source.y2))
    }

    /// Maps boxes, cuts them at the target's edge and sorts out those that `rule` no longer takes for objects.
    #[must_use]
    pub fn map_labels(&self, labels: &[Label], rule: CutRule) -> CutBoxes {
        let mut out = CutBoxes::default();
        for label in labels {
            let whole = self.map_box(label.to_pixels(self.source));
            let cut = whole.clip(self.target);
            let side = (cut.x2 - cut.x1).min(cut.y2 - cut.y1);
            if side < NOTHING_PX {
                continue;
            }
            let is_object = side >= rule.min_side_px && cut.area() > rule.min_area_fraction * whole.area();
            let label = Label::from_pixels(label.class, cut, self.target);
            if is_object { out.kept.push(label) } else { out.remainders.push(label) }
        }
        out
    }

    /// A whole pair: both images (infrared outside its frame is 114/255, visible 114), the class mask (ignored outside), labels,
    /// and ignore regions to which the remainders of cut objects are added.
    ///
    /// # Errors
    /// [`DataError::Shape`] when an image has not the size of the view's source.
    pub fn apply(&self, sample: &Sample, rule: CutRule) -> Result<Sample, DataError> {
        let labels = self.map_labels(&sample.labels, rule);
        let everything = CutRule { min_side_px: 0.0, min_area_fraction: 0.0 };
        let mut ignore = self.map_labels(&sample.ignore, everything).kept;
        ignore.extend(labels.remainders);
        Ok(Sample {
            name: sample.name.clone(),
            ir: self.render(&sample.ir, f32::from(BORDER) / 255.0)?,
            vi: self.render(&sample.vi, BORDER)?,
            vi_is_gray: sample.vi_is_gray,
            labels: labels.kept,
            ignore,
            mask: sample.mask.as_ref().map(|mask| self.render_mask(mask)).transpose()?,
        })
    }

    /// The image seen by the view in a new buffer; see [`View::render_into`].
    ///
    /// # Errors
    /// [`DataError::Shape`] when `source` has not the size of the view's source.
    pub fn render<T: Blend, const C: usize>(
        &self,
        source: &Raster<T, C>,
        border: T,
    ) -> Result<Raster<T, C>, DataError> {
        let mut target = Raster::filled(self.target, border)?;
        self.render_into(source, border, &mut target)?;
        Ok(target)
    }

    /// Fills `target` with the image seen by the view, `border` where the source does not reach.
    ///
    /// At scale 1 with whole shifts pixels are copied. Otherwise they are bilinear between pixel centres, the outermost
    /// pixels extending to the image's edge, at every scale: the one resampling rule, without a low-pass filter.
    ///
    /// # Errors
    /// [`DataError::Shape`] when a buffer has not the size of the view.
    pub fn render_into<T: Blend, const C: usize>(
        &self,
        source: &Raster<T, C>,
        border: T,
        target: &mut Raster<T, C>,
    ) -> Result<(), DataError> {
        for (what, expected, found) in
            [("source of a view", self.source, source.size()), ("target of a view", self.target, target.size())]
        {
            if expected != found {
                return Err(DataError::Shape { what, expected: expected.to_string(), found: found.to_string() });
            }
        }
        let x_axis = Axis::new(self.scale.0, self.shift.0, self.source.width);
        let y_axis = Axis::new(self.scale.1, self.shift.1, self.source.height);
        resample::render(source, &x_axis, &y_axis, border, target);
        Ok(())
    }

    /// A class mask seen by the view: ids cannot be mixed, so each target pixel has the id of the source pixel that its centre
    /// lies in, and [`IGNORED_LABEL`] where the source does not reach.
    ///
    /// # Errors
    /// [`DataError::Shape`] when `source` has not the size of the view's source.
    pub fn render_mask(&self, source: &Gray8) -> Result<Gray8, DataError> {
        if source.size() != self.source {
            return Err(DataError::Shape {
                what: "source of a view",
                expected: self.source.to_string(),
                found: source.size().to_string(),
            });
        }
        let x_axis = Axis::new(self.scale.0, self.shift.0, self.source.width);
        let y_axis = Axis::new(self.scale.1, self.shift.1, self.source.height);
        let columns: Vec<Option<usize>> = (0..self.target.width).map(|x| x_axis.nearest(x)).collect();
        let mut target = Gray8::filled(self.target, IGNORED_LABEL)?;
        for (y, row) in target.data_mut().chunks_exact_mut(self.target.width).enumerate() {
            let Some(ids) = y_axis.nearest(y).and_then(|y| source.data().get(y * self.source.width..)) else {
                continue;
            };
            for (out, x) in row.iter_mut().zip(&columns) {
                *out = x.and_then(|x| ids.get(x)).copied().unwrap_or(IGNORED_LABEL);
            }
        }
        Ok(target)
    }
}

#[cfg(test)]
mod tests;
