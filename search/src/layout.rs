//! The layout of convolutions, chosen by measurement.

use crate::error::SearchError;
use crate::file::read_toml;
use crate::run_loop::CONFIG;
use crate::state::STATE;
use caf_console::Progress;
use caf_geometry::Size;
use caf_net::{Dim, Graph};
use caf_torch::{GradOptions, Layout, Layouts, Mode, Params, forward, gradients, set_layouts};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::{Duration, Instant};
use tch::{Device, Kind, Tensor};

/// How convolutions lie in memory on the CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayoutSetting {
    /// Measured when a run begins, and kept from then on.
    #[default]
    Auto,
    /// Channels innermost.
    ChannelsLast,
    /// One plane after the other, as libtorch has it by itself.
    Planar,
    /// Channels innermost, but planar where derivatives are recorded.
    PlanarDerivatives,
    /// Planar, but channels innermost where derivatives are recorded.
    PlanarValues,
}

impl LayoutSetting {
    fn layouts(self) -> Layouts {
        let (values, derivatives) = match self {
            LayoutSetting::Auto | LayoutSetting::ChannelsLast => (Layout::ChannelsLast, Layout::ChannelsLast),
            LayoutSetting::Planar => (Layout::Planar, Layout::Planar),
            LayoutSetting::PlanarDerivatives => (Layout::ChannelsLast, Layout::Planar),
            LayoutSetting::PlanarValues => (Layout::Planar, Layout::ChannelsLast),
        };
        Layouts { values, derivatives }
    }

    fn of(layouts: Layouts) -> Self {
        match (layouts.values, layouts.derivatives) {
            (Layout::ChannelsLast, Layout::ChannelsLast) => LayoutSetting::ChannelsLast,
            (Layout::Planar, Layout::Planar) => LayoutSetting::Planar,
            (Layout::ChannelsLast, Layout::Planar) => LayoutSetting::PlanarDerivatives,
            (Layout::Planar, Layout::ChannelsLast) => LayoutSetting::PlanarValues,
        }
    }
}

/// Milliseconds of a pass of each kind in each layout.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LayoutTimes {
    /// Values alone, channels last.
    pub values_channels_last_ms: f64,
    /// Values alone, planar.
    pub values_planar_ms: f64,
    /// With derivatives, channels last.
    pub derivatives_channels_last_ms: f64,
    /// With derivatives, planar.
    pub derivatives_planar_ms: f64,
}

/// Planar must be so many times faster to be chosen, so that noise hardly decides and machines of a kind choose alike.
const GAIN: f64 = 1.2;
/// Smaller images are not measured: there is little to gain, and much of what would be timed is no convolution.
const LEAST_PX: usize = 128 * 128;
/// Measuring begins no further round after that.
const PATIENCE: Duration = Duration::from_millis(400);
/// Rounds at least: the first one also builds the kernels.
const ROUNDS: usize = 3;

impl LayoutTimes {
    /// The choice for each kind of pass.
    fn choice(&self) -> LayoutSetting {
        let faster = |channels_last: f64, planar: f64| {
            if planar * GAIN < channels_last { Layout::Planar } else { Layout::ChannelsLast }
        };
        LayoutSetting::of(Layouts {
            values: faster(self.values_channels_last_ms, self.values_planar_ms),
            derivatives: faster(self.derivatives_channels_last_ms, self.derivatives_planar_ms),
        })
    }

    /// In words.
    pub fn words(&self) -> String {
        format!(
            "values {:.1} ms channels last, {:.1} ms planar; with derivatives {:.1} and {:.1} ms",
            self.values_channels_last_ms,
            self.values_planar_ms,
            self.derivatives_channels_last_ms,
            self.derivatives_planar_ms
        )
    }

    /// Times passes of one image of that size through a network.
    fn measure(graph: &Graph, size: Size) -> Result<Self, SearchError> {
        let params = Params::init(graph, 1, Device::Cpu, Kind::Float)?;
        let image = |input: &caf_net::Input| {
            let channels = match graph.type_of(input.value).dims.get(1) {
                Some(Dim::Fixed(channels)) => *channels,
                _ => 1,
            };
            let shape = [1, channels, size.height, size.width].map(|n| n as i64);
            Tensor::f_arange(shape.iter().product::<i64>(), (Kind::Float, Device::Cpu))?.f_sin()?.f_reshape(shape)
        };
        let images = graph.inputs().iter().map(image).collect::<Result<Vec<_>, tch::TchError>>()?;
        let images: Vec<&Tensor> = images.iter().collect();
        let pass = |layout: Layout, recorded: bool| -> Result<f64, SearchError> {
            set_layouts(Layouts { values: layout, derivatives: layout });
            let begin = Instant::now();
            if recorded {
                let (recording, leaves) = params.recording()?;
                let mut sum = Tensor::f_zeros([], (Kind::Float, Device::Cpu))?;
                for output in forward(graph, &recording, &images, Mode::BatchStatistics)? {
                    sum = sum.f_add(&output.f_sum(Kind::Float)?)?;
                }
                gradients(&sum, &leaves, GradOptions::default())?;
            } else {
                let _guard = tch::no_grad_guard();
                forward(graph, &params, &images, Mode::BatchStatistics)?;
            }
            Ok(begin.elapsed().as_secs_f64() * 1e3)
        };
        let begin = Instant::now();
        let mut least = [f64::INFINITY; 4];
        for round in 0.. {
            if round >= ROUNDS && begin.elapsed() > PATIENCE || round >= 4 * ROUNDS {
                break;
            }
            let kinds = [false, true]
                .into_iter()
                .flat_map(|recorded| [(Layout::ChannelsLast, recorded), (Layout::Planar, recorded)]);
            for (least, (layout, recorded)) in least.iter_mut().zip(kinds) {
                *least = least.min(pass(layout, recorded)?);
            }
        }
        let [values_channels_last_ms, values_planar_ms, derivatives_channels_last_ms, derivatives_planar_ms] = least;
        Ok(LayoutTimes {
            values_channels_last_ms,
            values_planar_ms,
            derivatives_channels_last_ms,
            derivatives_planar_ms,
        })
    }
}

/// Decides the layout of a run through a network, writes it into the run's setting, and puts it into force on this thread: the one
/// set; else the one that the run in the folder `out` began with; else the faster one. Returns the times where it was measured.
///
/// # Errors
/// When the settings in `out` cannot be read, or the network cannot be evaluated.
pub(crate) fn settle(
    setting: &mut LayoutSetting,
    size: Size,
    graph: &Graph,
    out: Option<&Path>,
    device: Device,
    progress: &dyn Progress,
) -> Result<Option<LayoutTimes>, SearchError> {
    set_layouts(Layouts::default());
    let mut times = None;
    if device == Device::Cpu && *setting == LayoutSetting::Auto {
        *setting = match out.map(began_with).transpose()?.flatten() {
            Some(layout) => layout,
            None if size.wh().into_iter().product::<usize>() < LEAST_PX => LayoutSetting::ChannelsLast,
            None => {
                let measured = LayoutTimes::measure(graph, size)?;
                progress.say(&format!("layout of convolutions: {}", measured.words()));
                times = Some(measured);
                measured.choice()
            }
        };
    }
    // The times of one rank decide for all.
    let of_first = caf_ranks::of_first(&serde_json::to_string(setting).unwrap_or_default())?;
    *setting = serde_json::from_str(&of_first).unwrap_or(*setting);
    set_layouts(setting.layouts());
    Ok(times)
}

/// The layout of a run that lies in a folder.
fn began_with(out: &Path) -> Result<Option<LayoutSetting>, SearchError> {
    #[derive(Deserialize)]
    struct Settings {
        run: Option<RunLayout>,
    }
    #[derive(Deserialize)]
    struct RunLayout {
        layout: Option<LayoutSetting>,
    }
    let config = out.join(CONFIG);
    if !out.join(STATE).exists() || !config.exists() {
        return Ok(None);
    }
    let settings: Settings = read_toml(&config)?;
    // Runs that name none began when there was only one.
    Ok(Some(settings.run.and_then(|run| run.layout).unwrap_or(LayoutSetting::ChannelsLast)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_console::Silent;
    use caf_net::zoo::caf::{CafConfig, graph};
    use caf_torch::layouts;

    fn times(values: [f64; 2], derivatives: [f64; 2]) -> LayoutTimes {
        LayoutTimes {
            values_channels_last_ms: values[0],
            values_planar_ms: values[1],
            derivatives_channels_last_ms: derivatives[0],
            derivatives_planar_ms: derivatives[1],
        }
    }

    #[test]
    fn the_faster_layout_is_chosen_for_each_kind_of_pass() {
        // With AVX-512; with AVX2, where the derivative by the weight is slow; planar throughout; and within the noise.
        for (values, derivatives, expected) in [
            ([42.0, 56.0], [99.0, 139.0], LayoutSetting::ChannelsLast),
            ([440.0, 611.0], [4424.0, 2164.0], LayoutSetting::PlanarDerivatives),
            ([61.0, 44.0], [442.0, 216.0], LayoutSetting::Planar),
            ([61.0, 44.0], [216.0, 442.0], LayoutSetting::PlanarValues),
            ([11.0, 10.0], [42.0, 40.0], LayoutSetting::ChannelsLast),
        ] {
            assert_eq!(times(values, derivatives).choice(), expected, "{values:?} {derivatives:?}");
            assert_eq!(LayoutSetting::of(expected.layouts()), expected);
        }
    }

    #[test]
    fn only_images_that_gain_are_measured_and_what_was_measured_decides() {
        let graph = graph(&CafConfig { width: 4, depth: 1, normalised: true }).unwrap();
        let settled = |side_px: usize| {
            let mut setting = LayoutSetting::Auto;
            let size = Size::new(side_px, side_px);
            let times = settle(&mut setting, size, &graph, None, Device::Cpu, &Silent).unwrap();
            // Whatever layouts were tried, that of the setting is in force.
            assert_eq!(layouts(), setting.layouts());
            (setting, times.map(|times| times.choice()))
        };
        assert_eq!(settled(127), (LayoutSetting::ChannelsLast, None));
        let (setting, choice) = settled(128);
        assert_eq!(choice, Some(setting));
        set_layouts(Layouts::default());
    }

    #[test]
    fn a_run_keeps_what_it_began_with_and_a_set_layout_goes_first() {
        let graph = graph(&CafConfig { width: 4, depth: 1, normalised: true }).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let settled = |layout: LayoutSetting| {
            let mut setting = layout;
            settle(&mut setting, Size::new(64, 64), &graph, Some(dir.path()), Device::Cpu, &Silent).unwrap();
            assert_eq!(layouts(), setting.layouts());
            setting
        };
        // Nothing lies there, and the images are too small to be measured.
        assert_eq!(settled(LayoutSetting::Auto), LayoutSetting::ChannelsLast);
        let config = dir.path().join(CONFIG);
        std::fs::write(&config, "[run]\nlayout = \"planar_derivatives\"\nseed = 3\n").unwrap();
        // Settings without a state belong to no run.
        assert_eq!(settled(LayoutSetting::Auto), LayoutSetting::ChannelsLast);
        std::fs::write(dir.path().join(STATE), "").unwrap();
        assert_eq!(settled(LayoutSetting::Auto), LayoutSetting::PlanarDerivatives);
        assert_eq!(settled(LayoutSetting::Planar), LayoutSetting::Planar);
        std::fs::write(&config, "[run]\nseed = 3\n").unwrap();
        assert_eq!(settled(LayoutSetting::Auto), LayoutSetting::ChannelsLast);
        set_layouts(Layouts::default());
    }
}
