//! Options of the commands that look at pairs: which, how infrared is read, and where to compute.

use anyhow::Result;
use caf_console::{Paths, WrongCall, say};
use caf_data::{DataError, Dataset, DatasetOptions, Need, layout};
use caf_image::IrRange;
use caf_search::ir_range::agreed;
use caf_search::loader::Annotation;
use caf_torch::device_from_name;
use clap::builder::PossibleValuesParser;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tch::Device;

/// Which pairs, and where to compute.
#[derive(Debug, clap::Args)]
pub(super) struct PairsArgs {
    /// Data set.
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    layout: LayoutArg,
    /// Only these names: a file in the data set, or a split of its layout.
    #[arg(long, value_name = "LIST")]
    list: Option<PathBuf>,
    #[command(flatten)]
    pub(super) ir_range: IrRangeArg,
    /// cpu, cuda, cuda:N or auto.
    #[arg(long, default_value = "auto")]
    device: String,
}

impl PairsArgs {
    /// What is read.
    pub(super) fn paths(&self) -> Paths {
        Paths::default().data_set("--data", self.data.as_path()).list("--list", &self.data, self.list.as_deref())
    }

    /// Opens the pairs, with what a task is measured by.
    pub(super) fn open(&self, annotation: Option<Annotation>, ir_range: IrRange) -> Result<Dataset> {
        let (list, layout) = (self.list.clone(), self.layout.name());
        require_list("--list", &self.data, layout.as_deref(), list.as_deref())?;
        let options = match annotation {
            Some(annotation) => annotation.options(list, ir_range, layout),
            None => DatasetOptions { list, labels: Need::Ignore, masks: Need::Ignore, ir_range, layout },
        };
        Ok(Dataset::open(&self.data, &options)?)
    }

    /// The device.
    pub(super) fn device(&self) -> Result<Device> {
        Ok(device_from_name(&self.device)?)
    }
}

/// Refuses a list that is neither a file nor a split, and says by which option it was given and which lists there are.
pub(super) fn require_list(
    option: &str,
    root: &Path,
    layout: Option<&str>,
    list: Option<&Path>,
) -> Result<(), WrongCall> {
    match list.map(|list| caf_data::require_list(root, layout, list)) {
        Some(Err(error @ DataError::NoList { .. })) => Err(WrongCall(format!("{option}: {error}"))),
        // What else is wrong with the data set, opening it says.
        _ => Ok(()),
    }
}

/// How the data set lies on disk; the same option wherever a data set is.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct LayoutArg {
    /// How the data set lies on disk; recognised without it.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(layout::ALL.iter().map(|l| l.name)))]
    layout: Option<String>,
}

impl LayoutArg {
    /// What was given.
    pub(super) fn name(&self) -> Option<String> {
        self.layout.clone()
    }
}

/// How 16-bit infrared is read; the same option wherever infrared is.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct IrRangeArg {
    /// How 16-bit infrared becomes 0 to 1: `full` divides by 65535, `MIN..MAX` maps a window of counts (of float images: of
    /// degrees), `min_max` stretches each image, `LOW,HIGH` stretches it between two percentiles. Use one for a whole chain
    /// [default: full].
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true, value_parser = IrRange::from_str)]
    ir_range: Option<IrRange>,
}

impl IrRangeArg {
    /// The range to read infrared by for the network of a file, which is said where the file alone says it; what is given must be
    /// the range that the network was trained on.
    pub(super) fn of_network(self, network: Option<(&Path, Option<IrRange>)>) -> Result<IrRange> {
        let Some((path, trained)) = network else { return Ok(self.ir_range.unwrap_or_default()) };
        let range = agreed("--ir-range", self.ir_range, trained, path)?;
        if self.ir_range.is_none() && range != IrRange::default() {
            say!("infrared range {range}, as the network was trained");
        }
        Ok(range)
    }

    /// As TOML, if given.
    pub(super) fn toml(self) -> Option<toml::Value> {
        // Every range has a form in TOML.
        self.ir_range.and_then(|range| toml::Value::try_from(range).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_mean_the_same_in_toml() {
        #[derive(Default, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        struct Settings {
            ir_range: IrRange,
        }
        let percentile = IrRange::Percentile { low: 1.0, high: 99.5 };
        let window = IrRange::Window { min: 7000.0, max: 9000.0 };
        for (text, range) in
            [("full", IrRange::Full), ("min_max", IrRange::MinMax), ("1, 99.5", percentile), ("7000..9000", window)]
        {
            assert_eq!(text.parse::<IrRange>().unwrap(), range);
            let given = IrRangeArg { ir_range: Some(range) };
            let set = format!("ir_range={}", given.toml().unwrap());
            assert_eq!(caf_search::settings::load::<Settings>(None, &[set]).unwrap().ir_range, range);
        }
    }
}
