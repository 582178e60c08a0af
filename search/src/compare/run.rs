//! Fusing and measuring with every method.

use super::entrant::{Entrant, Source};
use super::rows::{Row, Rows, hash_of};
use crate::error::SearchError;
use crate::evaluate::measure_file;
use crate::file::make_folder;
use crate::fusion::{FuseJob, Fuser, Method};
use crate::lock::FolderLock;
use crate::named_images::{Misfits, images_of};
use caf_console::{Progress, StopFlag};
use caf_data::{Dataset, Sample};
use caf_eval::fusion::{Metric, Profile};
use caf_image::ImageError;
use caf_image::results::{Existing, ResultFolder};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use tch::Device;

/// What is compared, and on what.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// The pairs.
    pub dataset: &'a Dataset,
    /// The methods.
    pub entrants: &'a [Entrant],
    /// Whose definitions of metrics.
    pub profile: &'static Profile,
    /// Metrics of the profile.
    pub metrics: &'a [Metric],
    /// Keep the colours of the visible image in fused images.
    pub colour: bool,
    /// Folder of the results.
    pub out: &'a Path,
    /// Where networks run.
    pub device: Device,
}

/// What a method made, and how it was measured.
#[derive(Debug)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// Multiply-adds of a network's convolutions, for each pixel.
    pub macs_per_pixel: Option<u64>,
    /// Its images, in the order of the pairs.
    pub images: Vec<PathBuf>,
    /// A row for each.
    pub rows: Vec<Row>,
}

/// A method made ready.
enum Ready<'a> {
    Fuses { method: &'a Method, fuser: Box<Fuser> },
    Lies { images: Vec<PathBuf> },
}

/// An image that has no row yet.
struct Open {
    index: usize,
    /// What was read to fuse it.
    sample: Option<Sample>,
    fuse_ms: Option<f64>,
}

impl Comparison<'_> {
    /// Fuses and measures what is not there yet, method by method; the same call goes on where an interrupted one stopped.
    ///
    /// # Errors
    /// [`SearchError::Images`] with all images of a folder that do not fit the pairs; [`SearchError::Interrupted`] when asked to stop
    /// before the last image; when weights, pairs or results cannot be read or written; [`SearchError::InUse`].
    pub fn run(&self, progress: &dyn Progress, stop: &StopFlag) -> Result<Vec<Measured>, SearchError> {
        // What is wrong with one method is said before the work of the others.
        let ready = self.entrants.iter().map(|entrant| self.ready(entrant)).collect::<Result<Vec<_>, _>>()?;
        make_folder(&self.out.join("values"))?;
        let _own = FolderLock::take(self.out, progress)?;
        let pairs = self.dataset.len() as u64;
        progress.begin("compare", pairs * self.entrants.len() as u64, 0);
        let mut all = Vec::with_capacity(ready.len());
        for ((number, entrant), ready) in self.entrants.iter().enumerate().zip(ready) {
            let done = |images: usize| progress.advance(number as u64 * pairs + images as u64, &entrant.name);
            let rows = Rows::open(&self.out.join("values").join(format!("{}.jsonl", entrant.name)))?;
            all.push(match ready {
                Ready::Lies { images } => {
                    let rows = self.measure(&images, rows, None, &done, stop)?;
                    Measured { name: entrant.name.clone(), macs_per_pixel: None, images, rows }
                }
                Ready::Fuses { method, fuser } => {
                    let out = self.out.join("fused").join(&entrant.name);
                    let (colour, existing) = (self.colour && method.shows_visible(), Existing::Keep);
                    let job = FuseJob { dataset: self.dataset, fuser: &fuser, method, out: &out, colour, existing };
                    let mut folder = match job.open(Existing::Keep) {
                        Err(SearchError::Image(error @ ImageError::OtherOrigin { .. })) => {
                            progress.say(&format!("{}: made anew: {error}", entrant.name));
                            job.open(Existing::Replace)?
                        }
                        opened => opened?,
                    };
                    let images: Vec<PathBuf> = self.dataset.names().map(|name| folder.target(name)).collect();
                    let rows = self.measure(&images, rows, Some((&job, &mut folder)), &done, stop)?;
                    folder.finish()?;
                    let macs_per_pixel = match &*fuser {
                        Fuser::Network(net) => Some(net.config().macs_per_pixel()?),
                        Fuser::Rule(_) => None,
                    };
                    Measured { name: entrant.name.clone(), macs_per_pixel, images, rows }
                }
            });
        }
        progress.end();
        Ok(all)
    }

    fn ready<'e>(&self, entrant: &'e Entrant) -> Result<Ready<'e>, SearchError> {
        match &entrant.source {
            Source::Method(method) => Ok(Ready::Fuses { method, fuser: Box::new(Fuser::new(method, self.device)?) }),
            Source::Images(folder) => {
                let mut offenders = Vec::new();
                let images = images_of(self.dataset, folder, &mut offenders)?;
                if offenders.is_empty() {
                    return Ok(Ready::Lies { images });
                }
                Err(Misfits { folder: folder.clone(), offenders }.into())
            }
        }
    }

    /// The rows of all images; those that `fuse` does not keep are made, and those without a row measured.
    fn measure(
        &self,
        images: &[PathBuf],
        mut rows: Rows,
        mut fuse: Option<(&FuseJob<'_>, &mut ResultFolder)>,
        done: &dyn Fn(usize),
        stop: &StopFlag,
    ) -> Result<Vec<Row>, SearchError> {
        let names: Vec<&str> = self.metrics.iter().map(Metric::name).collect();
        let pairs: Vec<_> = self.dataset.entries().iter().zip(images).enumerate().collect();
        let mut all = Vec::with_capacity(pairs.len());
        for some in pairs.chunks(rayon::current_num_threads().max(1)) {
            if stop.is_raised() {
                return Err(SearchError::Interrupted);
            }
            let mut open = Vec::new();
            for (index, (entry, image)) in some {
                let is_there = fuse.as_ref().is_none_or(|(_, folder)| folder.keeps(&entry.name));
                let files = if is_there { Some(hash_of([&entry.ir, &entry.vi, image])?) } else { None };
                match (files.and_then(|files| rows.of(&entry.name, &files)), &mut fuse) {
                    (Some(row), _) if row.has(self.profile.name, &names) => {}
                    (Some(row), _) => open.push(Open { index: *index, sample: None, fuse_ms: row.fuse_ms }),
                    (None, Some((job, folder))) => {
                        let sample = self.dataset.load(*index)?;
                        let fuse_ms = Some(job.put(&sample, folder)?);
                        open.push(Open { index: *index, sample: Some(sample), fuse_ms });
                    }
                    (None, None) => open.push(Open { index: *index, sample: None, fuse_ms: None }),
                }
            }
            let measured: Vec<Result<Row, SearchError>> =
                open.into_par_iter().filter_map(|open| Some(self.row(images.get(open.index)?, open))).collect();
            for row in measured {
                rows.add(row?)?;
            }
            for (_, (entry, image)) in some {
                let files = hash_of([&entry.ir, &entry.vi, image])?;
                all.extend(rows.of(&entry.name, &files).cloned());
            }
            done(all.len());
        }
        Ok(all)
    }

    fn row(&self, image: &Path, open: Open) -> Result<Row, SearchError> {
        let sample = match open.sample {
            Some(sample) => sample,
            None => self.dataset.load(open.index)?,
        };
        let values = measure_file(&sample, image, self.profile, self.metrics)?;
        let finite = |v: f64| Some(v).filter(|v| v.is_finite());
        let named = self.metrics.iter().map(|metric| metric.name().to_owned());
        let entry = self.dataset.entries().get(open.index);
        let files = entry.map(|entry| hash_of([&entry.ir, &entry.vi, image])).transpose()?.unwrap_or_default();
        Ok(Row {
            image: sample.name,
            files,
            fuse_ms: open.fuse_ms,
            profile: self.profile.name.to_owned(),
            values: named.zip(values.into_iter().map(finite)).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Folder;
    use caf_console::Silent;
    use caf_eval::fusion::PROFILES;
    use caf_geometry::Size;
    use caf_image::rule::{AVERAGE, MAX};
    use std::collections::BTreeMap;
    use std::time::SystemTime;

    fn entrants(names: &[(&str, Source)]) -> Vec<Entrant> {
        names.iter().map(|(name, source)| Entrant { name: (*name).to_owned(), source: source.clone() }).collect()
    }

    fn run(pairs: &Dataset, entrants: &[Entrant], out: &Path, profile: usize) -> Result<Vec<Measured>, SearchError> {
        let profile = &PROFILES[profile];
        let metrics: Vec<Metric> = profile.metrics.to_vec();
        let dataset = pairs;
        let job = Comparison { dataset, entrants, profile, metrics: &metrics, colour: true, out, device: Device::Cpu };
        job.run(&Silent, &StopFlag::default())
    }

    fn times(measured: &[Measured]) -> BTreeMap<PathBuf, SystemTime> {
        let images = measured.iter().flat_map(|m| &m.images);
        images.map(|path| (path.clone(), std::fs::metadata(path).unwrap().modified().unwrap())).collect()
    }

    fn rows(measured: &[Measured]) -> Vec<Vec<Row>> {
        measured.iter().map(|m| m.rows.clone()).collect()
    }

    #[test]
    fn what_is_there_stays_as_long_as_method_and_inputs_are_the_same() {
        let folder = Folder::new(3, Size::new(60, 50));
        let (pairs, out) = (folder.dataset(), folder.path().join("compared"));
        let rule = |rule| Source::Method(Method::Rule(rule));
        let two = entrants(&[("mean", rule(AVERAGE)), ("published", Source::Images(folder.path().join("vi")))]);
        let first = run(&pairs, &two, &out, 0).unwrap();
        assert!(first.iter().all(|m| m.rows.len() == 3 && m.rows.iter().all(|row| row.values.len() == 13)));
        assert!(first[0].rows.iter().all(|row| row.fuse_ms.is_some()) && first[1].rows[0].fuse_ms.is_none());
        let before = times(&first);
        let again = run(&pairs, &two, &out, 0).unwrap();
        assert_eq!((times(&again), rows(&again)), (before.clone(), rows(&first)));
        // Other metrics are measured on the images there are, whose times stay.
        let other = run(&pairs, &two, &out, 1).unwrap();
        assert_eq!(times(&other), before);
        assert!(other[0].rows[2].values.contains_key("Qcv") && other[0].rows[2].fuse_ms == first[0].rows[2].fuse_ms);
        // An image whose sources changed is made anew, the others stay.
        std::fs::copy(folder.path().join("ir/scene1.png"), folder.path().join("ir/scene0.png")).unwrap();
        let changed = run(&pairs, &two, &out, 0).unwrap();
        assert_ne!(changed[0].rows[0].values, first[0].rows[0].values);
        assert_eq!(changed[0].rows[1].values, first[0].rows[1].values);
        // Another method of the same name makes all anew.
        let named = entrants(&[("mean", rule(MAX))]);
        let max = run(&pairs, &named, &out, 0).unwrap();
        let alone = run(&pairs, &entrants(&[("max", rule(MAX))]), &folder.path().join("alone"), 0).unwrap();
        let values = |m: &[Measured]| m[0].rows.iter().map(|row| row.values.clone()).collect::<Vec<_>>();
        assert_eq!(values(&max), values(&alone));
        assert_ne!(values(&max), values(&changed));
    }

    #[test]
    fn published_images_that_do_not_fit_are_all_named_before_the_work() {
        let folder = Folder::new(2, Size::new(60, 50));
        let out = folder.path().join("compared");
        std::fs::create_dir(folder.path().join("other")).unwrap();
        let all = entrants(&[
            ("mean", Source::Method(Method::Rule(AVERAGE))),
            ("other", Source::Images(folder.path().join("other"))),
        ]);
        let text = run(&folder.dataset(), &all, &out, 0).unwrap_err().to_string();
        assert!(text.contains("scene0") && text.contains("scene1") && !out.exists(), "{text}");
    }
}
