//! What comes from the Linux distribution: the compiler, GStreamer, pip.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;

/// Something the distribution provides.
#[derive(Debug, Clone, Copy)]
struct Need {
    /// Debian package.
    package: &'static str,
    /// What it is needed for.
    purpose: &'static str,
    /// How its presence is seen without asking the package manager.
    sign: Sign,
}

#[derive(Debug, Clone, Copy)]
enum Sign {
    /// A program on `PATH`.
    Program(&'static str),
    /// A pkg-config module of at least this version.
    Module(&'static str, &'static str),
    /// A plugin in GStreamer's plugin folder.
    Plugin(&'static str),
    /// `python3 -m pip` answers.
    Pip,
}

/// Oldest GStreamer with the interfaces that the runtime uses.
const GSTREAMER: &str = "1.22";

const BUILD: &[Need] = &[
    Need {
        package: "pkg-config",
        purpose: "finds GStreamer when the runtime is built",
        sign: Sign::Program("pkg-config"),
    },
    Need { package: "libgstreamer1.0-dev", purpose: "GStreamer", sign: Sign::Module("gstreamer-1.0", GSTREAMER) },
    Need {
        package: "libgstreamer-plugins-base1.0-dev",
        purpose: "GStreamer's application and video interfaces",
        sign: Sign::Module("gstreamer-app-1.0 gstreamer-video-1.0", GSTREAMER),
    },
    Need {
        package: "gstreamer1.0-plugins-base",
        purpose: "video conversion and test sources",
        sign: Sign::Plugin("libgstvideoconvertscale.so"),
    },
    Need {
        package: "gstreamer1.0-plugins-good",
        purpose: "image sequences, PNG, VP8 and WebM",
        sign: Sign::Plugin("libgstvpx.so"),
    },
];

/// What some inputs need; the rest works without it.
const EXTRA: &[Need] = &[Need {
    package: "gstreamer1.0-libav",
    purpose: "decodes H.264, H.265 and MPEG video of files and network cameras",
    sign: Sign::Plugin("libgstlibav.so"),
}];

const COMPILER: Need = Need { package: "g++", purpose: "compiles the binding to libtorch", sign: Sign::Program("c++") };

const PIP: Need = Need { package: "python3-pip", purpose: "downloads libtorch and ONNX Runtime", sign: Sign::Pip };

/// Which parts are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    /// The C++ compiler, for the crates on libtorch.
    pub compiler: bool,
    /// pip, when something is left to download.
    pub pip: bool,
}

/// Makes sure that everything is there: installs Debian packages when that is allowed, else names them and fails. What only some inputs
/// need is installed where it can be, and named where it cannot.
pub fn ensure(parts: Parts, check_only: bool) -> Result<()> {
    ensure_needed(parts, check_only)?;
    offer_extra(check_only);
    Ok(())
}

/// Installs what some inputs need. Without a network this is no failure.
fn offer_extra(check_only: bool) {
    let is_allowed = !check_only && process::is_installed("apt-get");
    if let Some(prefix) = privilege().filter(|_| is_allowed) {
        let packages: Vec<_> = missing(EXTRA).iter().map(|need| need.package).collect();
        let installed = if packages.is_empty() { Ok(()) } else { install(prefix, &packages) };
        if let Err(error) = installed {
            println!("setup: {error:#}");
        }
    }
    for need in missing(EXTRA) {
        let by_hand = install_line("sudo ", &[need.package]);
        println!("setup: going on without {} ({}); to install it\n  {by_hand}", need.package, need.purpose);
    }
}

fn ensure_needed(parts: Parts, check_only: bool) -> Result<()> {
    let needs: Vec<Need> =
        BUILD.iter().copied().chain(parts.compiler.then_some(COMPILER)).chain(parts.pip.then_some(PIP)).collect();
    let missing = missing(&needs);
    if missing.is_empty() {
        println!("setup: {} present", needs.iter().map(|need| need.package).collect::<Vec<_>>().join(", "));
        return Ok(());
    }
    for need in &missing {
        println!("setup: missing {} ({})", need.package, need.purpose);
    }
    let packages: Vec<_> = missing.iter().map(|need| need.package).collect();
    let by_hand = install_line("sudo ", &packages);
    if check_only {
        bail!("{} system packages are missing; install them with\n  {by_hand}", packages.len());
    }
    if !process::is_installed("apt-get") {
        bail!(
            "{} system packages are missing and this is no Debian system; install what its packages {} hold",
            packages.len(),
            packages.join(", ")
        );
    }
    let Some(prefix) = privilege() else {
        bail!("neither root nor sudo without a password; install the missing packages with\n  {by_hand}");
    };
    install(prefix, &packages).with_context(|| format!("the line to install by hand is\n  {by_hand}"))?;
    let left = self::missing(&needs);
    if !left.is_empty() {
        let names = left.iter().map(|need| need.package).collect::<Vec<_>>().join(", ");
        bail!("installed without an error, but still not usable: {names} (GStreamer must be {GSTREAMER} or later)");
    }
    Ok(())
}

fn missing(needs: &[Need]) -> Vec<Need> {
    let plugins = plugin_folder();
    needs.iter().filter(|need| !is_there(need.sign, plugins.as_deref())).copied().collect()
}

fn is_there(sign: Sign, plugins: Option<&std::path::Path>) -> bool {
    match sign {
        Sign::Program(name) => process::is_installed(name),
        Sign::Module(names, oldest) => names
            .split(' ')
            .all(|name| process::succeeds("pkg-config", &[&format!("--atleast-version={oldest}"), name])),
        Sign::Plugin(file) => plugins.is_some_and(|folder| folder.join(file).is_file()),
        Sign::Pip => process::succeeds("python3", &["-m", "pip", "--version"]),
    }
}

fn plugin_folder() -> Option<PathBuf> {
    let output = Command::new("pkg-config").args(["--variable=pluginsdir", "gstreamer-1.0"]).output().ok()?;
    let folder = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !folder.trim().is_empty()).then(|| PathBuf::from(folder.trim()))
}

/// What to write before `apt-get`: nothing for root, `sudo` where it asks no password, `None` where neither works.
fn privilege() -> Option<&'static [&'static str]> {
    let is_root = process::capture(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if is_root {
        return Some(&[]);
    }
    process::succeeds("sudo", &["-n", "true"]).then_some(&["sudo", "-n"])
}

fn install_line(prefix: &str, packages: &[&str]) -> String {
    format!("{prefix}apt-get update && {prefix}apt-get install --yes --no-install-recommends {}", packages.join(" "))
}

fn install(prefix: &[&str], packages: &[&str]) -> Result<()> {
    let apt = |arguments: &[&str]| {
        // Through `env`, because sudo drops variables: a question of a package's script would wait for ever. So would a network that
        // swallows everything.
        let quick = ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20"];
        let words = [prefix, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"], &quick, arguments].concat();
        let (program, rest) = words.split_first().context("no program")?;
        process::run(Command::new(program).args(rest))
    };
    apt(&["update"])?;
    apt(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_to_install_by_hand_names_the_packages() {
        assert_eq!(
            install_line("sudo ", &["a", "b"]),
            "sudo apt-get update && sudo apt-get install --yes --no-install-recommends a b"
        );
    }

    #[test]
    fn signs_of_absent_things_are_not_seen() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_there(Sign::Program("no-such-program-here"), None));
        assert!(!is_there(Sign::Module("no-such-module-here", "1.0"), None));
        assert!(!is_there(Sign::Plugin("libgstvpx.so"), Some(folder.path())));
        assert!(!is_there(Sign::Plugin("libgstvpx.so"), None));
        std::fs::write(folder.path().join("libgstvpx.so"), "").unwrap();
        assert!(is_there(Sign::Plugin("libgstvpx.so"), Some(folder.path())));
        assert!(is_there(Sign::Program("sh"), None));
    }
}
