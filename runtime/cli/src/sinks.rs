//! One option for each kind of sink there is.

use std::ffi::OsString;
use std::path::Path;

use caf_console::Paths;
use caf_runtime::sink::kind::{SinkKind, SinkSpec};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, value_parser};

/// Every kind of sink.
fn kinds() -> impl Iterator<Item = SinkKind> {
    caf_gst::SINKS.iter().chain(caf_runtime::sink::SINKS).chain(caf_http::SINKS).copied()
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
        let places = |kind: SinkKind| {
            let places = matches.get_many::<OsString>(kind.name()).into_iter().flatten();
            places.map(move |place| SinkSpec { kind, place: place.clone() })
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
        kinds().fold(command, |command, kind| {
            let option = Arg::new(kind.name()).long(kind.name()).value_name(kind.value).help(kind.help);
            command.arg(option.value_parser(value_parser!(OsString)).action(ArgAction::Append))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
