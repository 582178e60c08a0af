//! `cargo xtask vivid`: the cameras of Video4Linux against a real kernel, in a virtual machine.
//!
//! The kernel's test driver `vivid` has cameras that show known pictures and fail on demand. A Debian kernel is booted with nothing but the program
//! `runtime/v4l/examples/vivid.rs`, which loads the driver, runs the checks and prints what it found. Needs qemu and a kernel with the driver; without them
//! the run is skipped, and says so.

mod initramfs;
mod kernel;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::process;
use crate::repo::Repo;

use initramfs::Initramfs;
use kernel::Kernel;

/// How to run it.
#[derive(Debug, Args)]
pub struct VividArguments {
    /// Disconnects in all, half of them of each camera; 1000 take two minutes.
    #[arg(long, default_value_t = 1000)]
    cycles: u32,
    /// Folder with boot/vmlinuz-* and lib/modules of a kernel with vivid, as a Debian package unpacks [default: this system's; else Debian's package is fetched].
    #[arg(long, value_name = "DIR")]
    kernel: Option<PathBuf>,
    /// Fail where qemu or a kernel is missing, instead of skipping.
    #[arg(long)]
    required: bool,
}

const QEMU: &str = "qemu-system-x86_64";
/// The processor of this machine.
const KVM: &[&str] = &["-enable-kvm", "-cpu", "host"];
/// Another one, in software.
const EMULATED: &[&str] = &["-cpu", "max"];
/// How long a kernel may take to say something, which takes a fraction of a second.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// What the program prints last when everything is as it should be.
const PASSED: &str = "vivid: passed";

/// Runs the checks; the log is left in `target/vivid`.
pub fn run(repo: &Repo, arguments: &VividArguments) -> Result<()> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repo.root().join("target"), PathBuf::from);
    let folder = target.join("vivid");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let kernel = match prepared(&folder, arguments) {
        Ok(kernel) => kernel,
        Err(missing) if arguments.required => return Err(missing),
        Err(missing) => {
            println!("vivid: SKIPPED, nothing was tested: {missing:#}");
            return Ok(());
        }
    };
    process::run(
        Command::new("cargo")
            .args(["build", "--locked", "-p", "caf-v4l", "--example", "vivid"])
            .current_dir(repo.root()),
    )?;
    let image = folder.join("initramfs.cpio");
    pack(&kernel, &target.join("debug").join("examples").join("vivid"), &image)?;
    boot(&kernel, &image, &folder.join("log.txt"), arguments.cycles)
}

/// What is there already, or can be fetched; the error says what to install.
fn prepared(folder: &Path, arguments: &VividArguments) -> Result<Kernel> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("the machine that is emulated is an x86-64 one, and this is {}", std::env::consts::ARCH);
    }
    if !process::is_installed(QEMU) {
        bail!("{QEMU} is not installed (apt-get install --no-install-recommends qemu-system-x86)");
    }
    match &arguments.kernel {
        Some(root) => Kernel::in_folder(root),
        None => Kernel::in_folder(Path::new("/")).or_else(|_| Kernel::fetched(&folder.join("kernel"))),
    }
}

/// The program, the libraries that it is linked with, and the driver with what it needs, loaded in this order.
fn pack(kernel: &Kernel, program: &Path, image: &Path) -> Result<()> {
    let mut archive = Initramfs::default();
    archive.file("init", program)?;
    for library in libraries(program)? {
        let name = library.to_string_lossy().trim_start_matches('/').to_owned();
        archive.file(&name, &library)?;
    }
    for (order, module) in kernel.modules("vivid")?.iter().enumerate() {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        archive.file(&format!("modules/{order:02}-{name}"), module)?;
    }
    caf_file::write(image, &archive.finish()).with_context(|| format!("cannot write {}", image.display()))
}

/// The shared libraries of a program, the loader among them, where the program looks for them.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let listed = process::capture(Command::new("ldd").arg(program))?;
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    Ok(listed.lines().filter_map(path).collect())
}

/// A machine with a serial line and nothing else.
fn machine(kernel: &Kernel, processor: &[&str], line: &str) -> Command {
    let mut command = Command::new(QEMU);
    command.args(processor).args(["-m", "1024", "-smp", "2", "-nodefaults", "-display", "none", "-serial", "stdio"]);
    command.arg("-no-reboot").arg("-kernel").arg(&kernel.image).args(["-append", line]);
    command
}

/// Whether the kernel says a first word on the real processor. Within another virtual machine `/dev/kvm` may be there and not boot it.
fn kvm_boots(kernel: &Kernel) -> bool {
    if std::fs::File::options().read(true).write(true).open("/dev/kvm").is_err() {
        return false;
    }
    let mut command = machine(kernel, KVM, "console=ttyS0 earlyprintk=ttyS0 panic=-1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return false };
    let (told, heard) = mpsc::channel();
    if let Some(mut output) = child.stdout.take() {
        // Ends when the machine does.
        std::thread::spawn(move || told.send(matches!(output.read(&mut [0]), Ok(1))));
    }
    let boots = heard.recv_timeout(FIRST_WORD).unwrap_or(false);
    // A machine that has ended by itself cannot be ended.
    let _ = child.kill();
    let _ = child.wait();
    boots
}

fn boot(kernel: &Kernel, image: &Path, log: &Path, cycles: u32) -> Result<()> {
    let processor = if kvm_boots(kernel) {
        KVM
    } else {
        println!("vivid: the kernel does not boot by /dev/kvm: the processor is emulated, which is many times as slow");
        EMULATED
    };
    // Words after the dashes are the program's.
    let line = format!("console=ttyS0 loglevel=3 panic=-1 -- cycles={cycles}");
    let mut command = machine(kernel, processor, &line);
    command.arg("-initrd").arg(image);
    if log.exists() {
        std::fs::remove_file(log).with_context(|| format!("cannot remove {}", log.display()))?;
    }
    let shown = process::line(&command);
    let status = process::run_logged(&mut command, &shown, log)?;
    let said = std::fs::read_to_string(log).with_context(|| format!("cannot read {}", log.display()))?;
    if !status.success() || !said.lines().any(|line| line.trim() == PASSED) {
        bail!("the checks failed, or the machine did not come to their end: {}", log.display());
    }
    println!("vivid: the log is {}", log.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_of_a_program_are_files() {
        let own = std::env::current_exe().unwrap();
        let libraries = libraries(&own).unwrap();
        assert!(libraries.iter().any(|path| path.to_string_lossy().contains("libc.so")), "{libraries:?}");
        assert!(libraries.iter().all(|path| path.is_file()), "{libraries:?}");
    }
}
