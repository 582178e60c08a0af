//! `caf-run`: fuses folders of images or two live cameras with an exported model.

mod args;
mod check;
mod command;
mod config;
mod fuse;
mod live;
mod sinks;
mod supervisor;
mod vehicle;

fn main() -> std::process::ExitCode {
    command::run()
}
