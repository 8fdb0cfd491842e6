//! The filter's Wasm module: cargo builds it, a post-link step leaves out what the filter never uses
//! (`link`).
//!
//! Envoy enters the VM for every callback that a module exports and skips those that it does not, so each
//! export has its reason (only the memory, `proxy_on_memory_allocate` and the ABI's version are required).

use std::env;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use flate2::{Compression, write::GzEncoder};

use crate::link::link;
use crate::{Doing as _, Error, Result, lock, workspace};

/// The module that Envoy loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Where it is: `target/failgate.wasm`.
    pub path: PathBuf,
    /// Its size.
    pub raw_bytes: usize,
    /// Its size as a registry or a ConfigMap would carry it: gzip, best compression.
    pub gzip_bytes: usize,
}

/// The module may not be larger: it has to fit into a ConfigMap with room to spare, and every worker of
/// every sidecar compiles it.
pub const MOST_RAW_BYTES: usize = 120 * 1024;
/// The same for [`Module::gzip_bytes`].
pub const MOST_GZIP_BYTES: usize = 45 * 1024;

/// Builds the module and returns it; `progress` hears what takes time.
///
/// Safe to call from many threads and processes at once, and done once per process: later calls
/// return the first result. The file is written only when its content changes.
///
/// # Errors
/// When the Wasm target cannot be added, cargo fails (its own words are on stderr), the module lacks an
/// export of [`EXPORTS`], or it is too large.
pub fn build(progress: &dyn Fn(&str)) -> Result<Module> {
    static BUILT: Mutex<Option<Module>> = Mutex::new(None);
    let mut built = lock(&BUILT);
    if let Some(module) = built.as_ref() {
        return Ok(module.clone());
    }
    let target = workspace().join("target");
    let _lock = exclusive(&target.join("failgate.lock"))?;
    let rust = Rust::find()?;
    add_wasm_target(&rust, progress)?;
    let compiled = compile(&target, &rust)?;
    let bytes = fs::read(&compiled).doing(|| format!("reading {}", compiled.display()))?;
    let linked = link(&bytes)?;
    let path = target.join("failgate.wasm");
    replace(&path, &linked)?;
    let module = Module { path, raw_bytes: linked.len(), gzip_bytes: gzip_size(&linked)? };
    if module.raw_bytes > MOST_RAW_BYTES || module.gzip_bytes > MOST_GZIP_BYTES {
        let reason = format!(
            "{} bytes, {} gzipped; at most {MOST_RAW_BYTES} and {MOST_GZIP_BYTES}",
            module.raw_bytes, module.gzip_bytes
        );
        return Err(Error::new("keeping the module small", reason));
    }
    *built = Some(module.clone());
    Ok(module)
}

/// What the module exports, with the reason: `src/host.rs` defines them. Whatever else is exported is
/// left out, so a filter that starts to use another callback must add its row here.
#[rustfmt::skip]
pub const EXPORTS: &[(&str, &str)] = &[
    ("memory",                      "the host reads and writes through it"),
    ("_initialize",                 "runs the constructors of libc and std"),
    ("proxy_abi_version_0_2_1",     "names the ABI; without it the module is rejected"),
    ("proxy_on_memory_allocate",    "the host's way to hand over a value; without it the module is rejected"),
    ("proxy_on_context_create",     "begins a plugin or a stream; without it the module is rejected"),
    ("proxy_on_configure",          "reads the plugin's configuration"),
    ("proxy_on_response_headers",   "the header that tells the next proxy; what it has said is read here too"),
    ("proxy_on_log",                "the stream has ended: the one callback that judges"),
    ("proxy_on_tick",               "the next batch of records for the collector is due; called only where one is configured"),
    ("proxy_on_http_call_response", "the collector has answered"),
    ("proxy_on_delete",             "frees the stream's context; without it every stream leaks"),
];

/// An exclusive lock over processes and threads, held until the file is dropped.
pub(crate) fn exclusive(path: &Path) -> Result<File> {
    let doing = || format!("locking {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).doing(doing)?;
    }
    let file = File::options().create(true).truncate(false).write(true).open(path).doing(doing)?;
    file.lock().doing(doing)?;
    Ok(file)
}

const TARGET: &str = "wasm32-wasip1";

/// The program that the environment names, as cargo does for its children, else the one on PATH.
fn program(variable: &str, name: &str) -> Command {
    Command::new(env::var_os(variable).unwrap_or_else(|| name.into()))
}

fn add_wasm_target(rust: &Rust, progress: &dyn Fn(&str)) -> Result<()> {
    if rust.sysroot.join("lib/rustlib").join(TARGET).is_dir() {
        return Ok(());
    }
    progress(&format!("adding the Rust target {TARGET}…"));
    let status = Command::new("rustup")
        .args(["target", "add", TARGET])
        .current_dir(workspace())
        .stdout(Stdio::null())
        .status()
        .doing(|| format!("adding the Rust target {TARGET} with rustup"))?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::new(format!("adding the Rust target {TARGET}"), format!("rustup: {status}")))
    }
}

/// The compiler that cargo will use.
struct Rust {
    sysroot: PathBuf,
    /// The commit that it was built from, which stands for its source in the paths that it embeds.
    commit: String,
}

impl Rust {
    fn find() -> Result<Self> {
        let sysroot = Self::ask(&["--print", "sysroot"])?;
        let version = Self::ask(&["--version", "--verbose"])?;
        let commit = version.lines().find_map(|line| line.strip_prefix("commit-hash: "));
        Ok(Self { sysroot: sysroot.trim().into(), commit: commit.unwrap_or("unknown").to_owned() })
    }

    fn ask(question: &[&str]) -> Result<String> {
        let output = program("RUSTC", "rustc")
            .args(question)
            .current_dir(workspace())
            .output()
            .doing(|| format!("asking rustc for {}", question.join(" ")))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Panics name their place in the source. These flags keep the paths of the machine that builds out of
/// the module, so that it is the same wherever the clone lies.
fn without_local_paths(rust: &Rust) -> String {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo"))).unwrap_or_default();
    let commit = format!("/rustc/{}", rust.commit);
    let paths = [
        (workspace(), ""),
        (home.join("registry/src"), ""),
        (rust.sysroot.join("lib/rustlib/src/rust"), commit.as_str()),
    ];
    let flags = paths.map(|(path, name)| format!("--remap-path-prefix={}={name}", path.display()));
    flags.join("\u{1f}") // the separator that cargo wants
}

fn compile(target: &Path, rust: &Rust) -> Result<PathBuf> {
    let status = program("CARGO", "cargo")
        .args(["build", "--release", "--locked", "--package", "failgate", "--target", TARGET])
        .arg("--target-dir")
        .arg(target)
        .env("CARGO_ENCODED_RUSTFLAGS", without_local_paths(rust))
        .current_dir(workspace())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .doing(|| "building the module with cargo".to_owned())?;
    if !status.success() {
        return Err(Error::new("building the module", format!("cargo: {status}")));
    }
    Ok(target.join(TARGET).join("release/failgate.wasm"))
}

/// Writes through a temporary name, so that no reader ever sees half a module; leaves a file with the
/// same content alone, so that its time tells when the module last changed.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    let fresh = path.with_extension("wasm.new");
    fs::write(&fresh, content).doing(|| format!("writing {}", fresh.display()))?;
    fs::rename(&fresh, path).doing(|| format!("renaming {} to {}", fresh.display(), path.display()))
}

fn gzip_size(content: &[u8]) -> Result<usize> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let packed = encoder.write_all(content).and_then(|()| encoder.finish());
    Ok(packed.doing(|| "compressing the module".to_owned())?.len())
}
