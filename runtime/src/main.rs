//! `caf-run`: see [`caf_runtime`].

fn main() -> std::process::ExitCode {
    caf_runtime::cli::main()
}
