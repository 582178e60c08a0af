//! Batches: which images, seen how, in which order; prepared ahead by threads.
//!
//! Every random choice follows from the seed, the epoch and the place in the epoch, never from what a thread did before. So a
//! resumed training sees the same batches, whatever the number of threads.

use super::config::cells;
use super::error::TaskError;
use super::images::TaskImages;
use caf_data::augment::ScaleShiftSettings;
use caf_data::view::{BORDER, CutRule};
use caf_data::{Label, Rgb8};
use caf_yolo::{IgnoreRegion, Target};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::sync::mpsc::sync_channel;
use tch::{Device, Kind, Tensor};

/// Images and objects of one iteration.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// RGB bytes `[n, height, width, 3]`.
    pub pixels: Vec<u8>,
    /// n, height, width.
    pub shape: [usize; 3],
    /// Names of the images.
    pub names: Vec<String>,
    /// Objects, by image.
    pub targets: Vec<Target>,
    /// Regions without objectness loss, by image.
    pub regions: Vec<IgnoreRegion>,
}

impl Batch {
    /// RGB in [0, 1], `[n, 3, height, width]`, channels last in memory, which the convolutions keep.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn tensor(&self, device: Device) -> Result<Tensor, TaskError> {
        unit_tensor(&self.pixels, self.shape, device)
    }
}

/// Packed RGB bytes `[n, height, width, 3]` as floats in [0, 1], `[n, 3, height, width]`.
pub(super) fn unit_tensor(pixels: &[u8], [n, h, w]: [usize; 3], device: Device) -> Result<Tensor, TaskError> {
    let bytes = Tensor::f_from_slice(pixels)?.f_view([n as i64, h as i64, w as i64, 3])?.f_to_device(device)?;
    Ok(bytes.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?)
}

/// How batches are drawn from images.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The images.
    pub images: &'a TaskImages,
    /// Random views.
    pub augment: ScaleShiftSettings,
    /// Width and height of the network input.
    pub size: (usize, usize),
    /// Images in a batch; the last of an epoch may have fewer, or one more: see [`Plan::batches`].
    pub batch: usize,
    /// Seed of everything random.
    pub seed: u64,
}

impl Plan<'_> {
    /// Batches in an epoch. What is left over is a batch of its own, unless it is one image of one cell: alone it could not be
    /// normalised, so it joins the batch before.
    pub fn batches(&self) -> usize {
        let (whole, rest) = (self.images.len() / self.batch.max(1), self.images.len() % self.batch.max(1));
        whole + usize::from(rest * cells(self.size) > 1)
    }

    /// The order of an epoch.
    pub fn order(&self, epoch: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.images.len()).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        // Streams of orders count down, those of images up: they never meet.
        rng.set_stream(u64::MAX - epoch as u64);
        order.shuffle(&mut rng);
        order
    }

    /// The batch of an iteration, counted from 0 over the whole training.
    ///
    /// # Errors
    /// When an image cannot be read.
    pub fn batch(&self, iteration: usize) -> Result<Batch, TaskError> {
        let batches = self.batches().max(1);
        let (epoch, within) = (iteration / batches, iteration % batches);
        let order = self.order(epoch);
        let images = if within + 1 == batches { order.len() } else { self.batch };
        let chosen = order.iter().enumerate().skip(within * self.batch).take(images);
        let (width, height) = self.size;
        let mut batch = Batch {
            pixels: Vec::with_capacity(self.batch * width * height * 3),
            shape: [0, height, width],
            names: Vec::new(),
            targets: Vec::new(),
            regions: Vec::new(),
        };
        let mut frame = Rgb8::filled(width, height, BORDER)?;
        for (place, index) in chosen {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream((epoch * self.images.len() + place) as u64);
            self.add(*index, &mut rng, &mut frame, &mut batch)?;
        }
        Ok(batch)
    }

    fn add(&self, index: usize, rng: &mut ChaCha8Rng, frame: &mut Rgb8, batch: &mut Batch) -> Result<(), TaskError> {
        let Some(image) = self.images.images().get(index) else { return Ok(()) };
        let view = self.augment.draw(image.size, self.size, rng)?;
        view.render_into(&*self.images.load(index)?, BORDER, frame)?;
        batch.pixels.extend_from_slice(frame.data());
        batch.names.push(image.name.clone());
        let slot = batch.shape[0];
        batch.shape[0] += 1;

        let boxes = view.map_labels(&image.labels, CutRule::default());
        let whole = CutRule { min_side_px: 0.0, min_area_fraction: 0.0 };
        let ignored = view.map_labels(&image.ignore, whole).kept;
        let object = |l: &Label| Target { image: slot, class: l.class as usize, cx: l.cx, cy: l.cy, w: l.w, h: l.h };
        let region = |l: &Label| IgnoreRegion { image: slot, cx: l.cx, cy: l.cy, w: l.w, h: l.h };
        batch.targets.extend(boxes.kept.iter().map(object));
        // What the frame cuts off almost wholly is no object any more, but no background either.
        batch.regions.extend(ignored.iter().chain(&boxes.remainders).map(region));
        Ok(())
    }
}

/// Prepared batches that may wait for each thread.
const WAITING: usize = 1;

/// Runs `body` with a function that gives the batches of `iterations` in order, prepared ahead by `workers` threads.
///
/// # Errors
/// Those of `body`; the function gives an error when an image cannot be read, and [`TaskError::LoaderGone`] past the end.
pub fn with_batches<R>(
    plan: &Plan<'_>,
    iterations: std::ops::Range<usize>,
    workers: usize,
    body: impl FnOnce(&mut dyn FnMut() -> Result<Batch, TaskError>) -> Result<R, TaskError>,
) -> Result<R, TaskError> {
    let workers = workers.max(1);
    std::thread::scope(|scope| {
        let mut receivers = Vec::with_capacity(workers);
        for worker in 0..workers {
            let (sender, receiver) = sync_channel(WAITING);
            receivers.push(receiver);
            let mine = iterations.clone().skip(worker).step_by(workers);
            scope.spawn(move || {
                for iteration in mine {
                    let batch = plan.batch(iteration);
                    let failed = batch.is_err();
                    // The receiver goes when the training stops: nothing is left to do then.
                    if sender.send(batch).is_err() || failed {
                        return;
                    }
                }
            });
        }
        let mut turn = 0;
        let mut next = || {
            let receiver = receivers.get(turn % workers).ok_or(TaskError::LoaderGone)?;
            turn += 1;
            receiver.recv().map_err(|_| TaskError::LoaderGone)?
        };
        let result = body(&mut next);
        drop(receivers);
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::fixture::{Folder, images};

    fn plan(images: &TaskImages) -> Plan<'_> {
        Plan { images, augment: ScaleShiftSettings::default(), size: (64, 32), batch: 3, seed: 5 }
    }

    #[test]
    fn batches_do_not_depend_on_the_number_of_workers() {
        let folder = Folder::new(7, (40, 30));
        let images = images(&folder, 0);
        let plan = plan(&images);
        let all = |workers| {
            with_batches(&plan, 2..9, workers, |next| (2..9).map(|_| next()).collect::<Result<Vec<_>, _>>()).unwrap()
        };
        let one = all(1);
        assert_eq!(one, all(3));
        assert_eq!(one[0], plan.batch(2).unwrap());
        assert_eq!(one.iter().map(|b| b.shape[0]).collect::<Vec<_>>(), [1, 3, 3, 1, 3, 3, 1]);
    }

    #[test]
    fn an_image_of_one_cell_never_makes_a_batch_alone() {
        let folder = Folder::new(7, (40, 30));
        let images = images(&folder, 0);
        let of_batch = |batch| {
            let plan = Plan { size: (32, 32), batch, ..plan(&images) };
            let mut names: Vec<String> = Vec::new();
            let counts: Vec<usize> = (0..plan.batches())
                .map(|i| {
                    let batch = plan.batch(plan.batches() + i).unwrap();
                    names.extend(batch.names);
                    batch.shape[0]
                })
                .collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), 7, "every image once");
            counts
        };
        assert_eq!(of_batch(3), [3, 4]);
        assert_eq!(of_batch(2), [2, 2, 3]);
        assert_eq!(of_batch(5), [5, 2]);
        assert_eq!(of_batch(6), [7]);
        assert_eq!(of_batch(9), [7]);
    }

    #[test]
    fn an_epoch_shows_every_image_once_in_an_order_of_its_own() {
        let folder = Folder::new(7, (40, 30));
        let images = images(&folder, 0);
        let plan = plan(&images);
        let names = |epoch: usize| {
            let batches = epoch * 3..epoch * 3 + 3;
            batches.flat_map(|i| plan.batch(i).unwrap().names).collect::<Vec<_>>()
        };
        let (first, second) = (names(0), names(1));
        assert_ne!(first, second);
        let sorted = |mut v: Vec<String>| {
            v.sort();
            v
        };
        assert_eq!(sorted(first.clone()), sorted(second));
        assert_eq!(first.len(), 7);
    }

    #[test]
    fn a_picture_that_cannot_be_read_is_an_error_with_its_path() {
        let folder = Folder::new(3, (40, 30));
        let images = images(&folder, 0);
        std::fs::write(folder.path().join("vi/scene1.png"), b"no picture").unwrap();
        let error = with_batches(&plan(&images), 0..1, 2, |next| next()).unwrap_err();
        assert!(error.to_string().contains("scene1.png"), "{error}");
    }

    #[test]
    fn bytes_become_channels_first_floats() {
        let folder = Folder::new(1, (40, 30));
        let images = images(&folder, 0);
        let batch = plan(&images).batch(0).unwrap();
        let tensor = batch.tensor(Device::Cpu).unwrap();
        assert_eq!(tensor.size(), [1, 3, 32, 64]);
        let byte = batch.pixels[(5 * 64 + 7) * 3 + 2];
        assert_eq!(tensor.double_value(&[0, 2, 5, 7]) as f32, f32::from(byte) / 255.0);
    }
}
