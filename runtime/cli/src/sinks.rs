//! One option for each kind of sink there is.

use std::ffi::OsString;
use std::path::Path;

use caf_console::Paths;
use caf_runtime::line::LineShape;
use caf_runtime::sink::kind::{SinkKind, SinkSpec};
use clap::builder::EnumValueParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, ValueEnum, value_parser};

/// The option for the shape of lines.
const LINES: &str = "lines";

/// [`LineShape`] as the command line names it.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum LineShapeName {
    /// This program's own: all that is known of a result.
    #[default]
    Own,
    /// DeepStream's minimal message schema: detections alone.
    Deepstream,
    /// ROS 2's vision_msgs/Detection2DArray, in JSON: detections alone.
    Ros,
}

impl From<LineShapeName> for LineShape {
    fn from(name: LineShapeName) -> Self {
        match name {
            LineShapeName::Own => Self::Own,
            LineShapeName::Deepstream => Self::DeepStream,
            LineShapeName::Ros => Self::Ros,
        }
    }
}

/// Every kind of sink.
fn kinds() -> impl Iterator<Item = SinkKind> {
    caf_gst::SINKS.iter().chain(caf_runtime::sink::SINKS).chain(caf_mqtt::SINKS).chain(caf_http::SINKS).copied()
}

/// The sinks that were asked for.
#[derive(Debug)]
pub struct SinkArgs(Vec<SinkSpec>);

impl SinkArgs {
    /// What is written.
    pub fn paths(&self, paths: Paths) -> Paths {
        let files = self.0.iter().filter(|sink| sink.kind.writes_file);
        files.fold(paths, |paths, sink| paths.writes(sink.kind.option, Path::new(&sink.place)))
    }

    /// The sinks.
    pub fn specs(self) -> Vec<SinkSpec> {
        self.0
    }
}

impl FromArgMatches for SinkArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let lines = matches.get_one::<LineShapeName>(LINES).copied().unwrap_or_default().into();
        let places = |kind: SinkKind| {
            let places = matches.get_many::<OsString>(kind.name()).into_iter().flatten();
            places.map(move |place| SinkSpec { kind, place: place.clone(), lines })
        };
        Ok(Self(kinds().flat_map(places).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for SinkArgs {
    fn augment_args(command: Command) -> Command {
        let command = kinds().fold(command, |command, kind| {
            let option = Arg::new(kind.name()).long(kind.name()).value_name(kind.value).help(kind.help);
            command.arg(option.value_parser(value_parser!(OsString)).action(ArgAction::Append))
        });
        let lines =
            Arg::new(LINES).long(LINES).value_name("SHAPE").value_parser(EnumValueParser::<LineShapeName>::new());
        command.arg(lines.default_value("own").help("What the lines of --jsonl, --udp and --mqtt look like"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
