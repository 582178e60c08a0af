//! A network that is learnt from: the distance of a fused image to what it makes of the same pair.

use crate::error::SearchError;
use crate::fusion_net::FusionNet;
use crate::ir_range;
use crate::run_settings::{require, require_positive};
use caf_file::Sha256Hash;
use caf_fusion_loss::{FusionLoss, LossConfig, Saliency, Term, Weighting};
use caf_geometry::Size;
use caf_image::IrRange;
use caf_torch::Mode;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use tch::{Device, Kind, Tensor};

/// What is compared with the teacher's image, and what logs call it. The terms are those of the fusion loss with this image in
/// infrared's place.
const PARTS: [(Term, &str); 3] =
    [(Term::L1Ir, "teacher.l1"), (Term::SsimIr, "teacher.ssim"), (Term::GradIr, "teacher.grad")];

/// Learning from another network; the table `[teacher]` of a training's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TeacherSettings {
    /// Weights of the network that is learnt from; any of the zoo.
    pub file: PathBuf,
    /// Weight of the distance to its image beside the found loss: mean |F − T|, 1 − SSIM and mean |S(F) − S(T)|, S the Sobel
    /// magnitude, with equal shares.
    pub weight: f64,
    /// How far brightness, contrast and gamma of both images are changed at random before the teacher sees them, 0 (not) to 1: it says
    /// what becomes of images that the pairs do not have. The found loss sees the same, with the saliency of the unchanged images.
    pub jitter: f64,
}

impl Default for TeacherSettings {
    fn default() -> Self {
        TeacherSettings { file: PathBuf::from("teacher.safetensors"), weight: 10.0, jitter: 0.5 }
    }
}

impl TeacherSettings {
    /// Refuses settings out of range.
    pub(super) fn check(&self) -> Result<(), SearchError> {
        require_positive("teacher.weight", self.weight)?;
        require("teacher.jitter", (0.0..=1.0).contains(&self.jitter), "0 to 1", self.jitter)
    }

    /// The contents of the file, wherever it lies.
    pub(super) fn hash(&self) -> Result<Sha256Hash, SearchError> {
        Sha256Hash::of_file(&self.file).map_err(SearchError::io("read", &self.file))
    }
}

/// A teacher on its device.
pub(super) struct Teacher {
    net: FusionNet,
    loss: FusionLoss,
    /// Those of all terms of the loss, zero but for [`PARTS`].
    weights: Tensor,
}

impl Teacher {
    /// Reads the network; it must take images of the size, and have learnt from infrared of the range.
    pub fn new(settings: &TeacherSettings, range: IrRange, size: Size, device: Device) -> Result<Self, SearchError> {
        let net = FusionNet::read(&settings.file, device)?;
        ir_range::agreed(ir_range::SETTING, Some(range), net.ir_range(), &settings.file)?;
        net.config().check_size(size)?;
        let config = LossConfig { weighting: Weighting::Direct, ..LossConfig::default() };
        let loss = FusionLoss::new(&config, device, Kind::Float)?;
        let weight = |term: &Term| if PARTS.iter().any(|(part, _)| part == term) { settings.weight } else { 0.0 };
        let weights: Vec<f64> = loss.active().iter().map(weight).collect();
        let weights = Tensor::f_from_slice(&weights)?.f_to_kind(Kind::Float)?.f_to_device(device)?;
        Ok(Teacher { net, loss, weights })
    }

    /// Names of the parts of the distance.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PARTS.iter().map(|(_, name)| *name)
    }

    /// The weighted distance of a fused image to the teacher's, differentiable with respect to it, and its parts without weight.
    /// All images are `[n, 1, h, w]`.
    pub fn distance(&self, fused: &Tensor, [ir, vi]: [&Tensor; 2]) -> Result<(Tensor, Vec<f64>), SearchError> {
        let image = tch::no_grad(|| self.net.fuse(&self.net.params, ir, vi, Mode::Eval))?.f_clamp(0.0, 1.0)?;
        // No term that counts knows saliency.
        let saliency = Saliency::Complementary(image.f_zeros_like()?);
        let sources = self.loss.sources(&image, &image, &saliency)?;
        let (terms, weighted) = self.loss.terms_and_total(fused, &sources, &self.weights)?;
        let values = terms.to_vec()?;
        let part = |(part, _): &(Term, &str)| values.iter().find(|(term, _)| term == part).map(|(_, value)| *value);
        Ok((weighted, PARTS.iter().filter_map(part).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Folder;
    use crate::fusion::{Finished, FusionTrainConfig, train};
    use crate::state::StateError;
    use caf_console::StopFlag;
    use caf_golden::StopAfter;
    use caf_net::zoo::caf::CafConfig;
    use caf_net::zoo::student::StudentConfig;
    use std::path::Path;

    const ITERATIONS: usize = 300;

    /// A narrow student of a narrow teacher of some seed, whose weights lie beside the pairs.
    fn config(pairs: &Folder, seed: u64) -> FusionTrainConfig {
        let [teacher, beta] = [format!("teacher{seed}.safetensors"), "beta.toml".into()].map(|f| pairs.path().join(f));
        let network = CafConfig { width: 4, depth: 1, normalised: false };
        FusionNet::fresh(network.into(), seed, Device::Cpu).unwrap().write(&teacher, IrRange::Full).unwrap();
        std::fs::write(&beta, "[weights]\n\"l1.max\" = 0.1\n").unwrap();
        let mut config = FusionTrainConfig { beta, ..FusionTrainConfig::default() };
        (config.run.device, config.run.threads, config.run.seed) = ("cpu".into(), 1, 3);
        (config.run.iterations, config.run.batch, config.run.size_px) = (Some(ITERATIONS), 2, Size::new(24, 20));
        (config.data.root, config.fusion.rate) = (pairs.path().to_owned(), 1e-2);
        config.fusion.network = StudentConfig { width: 8, depth: 1, scale: 2 }.into();
        config.teacher = Some(TeacherSettings { file: teacher, ..TeacherSettings::default() });
        config
    }

    fn run(config: &FusionTrainConfig, out: &Path, stop_after: usize) -> Result<Finished, SearchError> {
        let stop = StopFlag::default();
        train(config, out, &StopAfter(stop_after as u64, &stop), &stop)
    }

    /// A column of the log.
    fn column(out: &Path, name: &str) -> Vec<f64> {
        let text = std::fs::read_to_string(out.join("log.csv")).unwrap();
        let mut rows = text.lines().map(|line| line.split(','));
        let at = rows.next().unwrap().position(|column| column == name).unwrap();
        rows.map(|mut row| row.nth(at).unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn a_student_comes_nearer_to_its_teacher_and_goes_on_with_the_same_bits() {
        let pairs = Folder::new(3, Size::new(40, 32));
        let config = config(&pairs, 7);
        let [straight, stopped] = ["straight", "stopped"].map(|out| pairs.path().join(out));
        run(&config, &straight, usize::MAX).unwrap();
        for name in Teacher::names() {
            let distances = column(&straight, &format!("term.{name}"));
            let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
            let [before, after] = [&distances[..8], &distances[ITERATIONS - 8..]].map(mean);
            assert!(after < 0.8 * before, "{name}: {before} became {after}");
        }
        assert!(run(&config, &stopped, 13).unwrap().interrupted);
        run(&config, &stopped, usize::MAX).unwrap();
        for file in ["state.safetensors", "fusion.safetensors"] {
            let [a, b] = [&straight, &stopped].map(|out| std::fs::read(out.join(file)).unwrap());
            assert!(a == b, "{file}");
        }
    }

    #[test]
    fn jitter_and_weight_reach_the_training() {
        let pairs = Folder::new(3, Size::new(40, 32));
        let mut config = config(&pairs, 7);
        config.run.iterations = Some(1);
        let mut first = |name: &str, weight, jitter| {
            let out = pairs.path().join(name);
            let teacher = config.teacher.as_mut().unwrap();
            (teacher.weight, teacher.jitter) = (weight, jitter);
            let done = run(&config, &out, usize::MAX).unwrap();
            let of_teacher: f64 = Teacher::names().map(|name| column(&out, &format!("term.{name}"))[0]).sum();
            (done.last_loss.unwrap() - weight * of_teacher, of_teacher)
        };
        let (found_loss, distance) = first("plain", 1.0, 0.0);
        // The found loss is what is left, whatever the weight; sums of single precision.
        let (again, same) = first("heavy", 100.0, 0.0);
        assert!((found_loss - again).abs() < 1e-4 && distance == same, "{found_loss} {again} {distance} {same}");
        assert_ne!(first("jittered", 1.0, 1.0).1, distance);
    }

    #[test]
    fn mistakes_are_named_and_another_teacher_is_another_run() {
        let pairs = Folder::new(2, Size::new(40, 32));
        let (out, config) = (pairs.path().join("out"), config(&pairs, 7));
        let with_teacher = |file: &Path| {
            let teacher = TeacherSettings { file: file.to_owned(), ..TeacherSettings::default() };
            FusionTrainConfig { teacher: Some(teacher), ..config.clone() }
        };
        let missing = run(&with_teacher(Path::new("nobody.safetensors")), &out, 1).unwrap_err();
        assert!(missing.to_string().contains("nobody.safetensors"), "{missing}");
        let other = run(&with_teacher(&config.beta), &out, 1).unwrap_err();
        assert!(other.to_string().contains("beta.toml"), "{other}");
        let mut ranged = config.clone();
        ranged.data.ir_range = IrRange::MinMax;
        let ranged = run(&ranged, &out, 1).unwrap_err();
        assert!(matches!(ranged, SearchError::IrRange { .. }) && ranged.to_string().contains("teacher7"), "{ranged}");
        assert!(!out.exists());
        run(&config, &out, 1).unwrap();
        let copy = pairs.path().join("copy.safetensors");
        std::fs::copy(&config.teacher.as_ref().unwrap().file, &copy).unwrap();
        run(&with_teacher(&copy), &out, 2).unwrap();
        let error = run(&self::config(&pairs, 8), &out, 3).unwrap_err();
        assert!(
            matches!(&error, SearchError::State(StateError::Foreign { differing, .. })
            if matches!(&differing[..], [one] if one.starts_with("teacher: "))),
            "{error}"
        );
    }
}
