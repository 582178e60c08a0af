//! `caf-run`: fuses and detects.
fn main() {}
