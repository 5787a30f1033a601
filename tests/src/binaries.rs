//! Finds the programs under test, and builds them when nobody has.
//!
//! Does not know what they do.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The repository's root.
pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the workspace's root")
}

/// The `loop` program, with its crash points.
pub fn loop_binary() -> PathBuf {
    built().join("loop")
}

/// The `loopc` program.
pub fn loopc_binary() -> PathBuf {
    built().join("loopc")
}

/// The scripted model behind the Messages API.
pub fn model_server_binary() -> PathBuf {
    built().join("model-server")
}

/// The directory of the built programs. `tests/run` has built them and says so with `LOOP_TESTS_BUILT`; otherwise
/// (`cargo test -p loop-tests`) cargo is asked once, so that a test never meets yesterday's program.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let test = std::env::current_exe().expect("a running test has a path");
        let directory = test.ancestors().nth(2).expect("cargo puts tests into <profile>/deps").to_owned();
        if std::env::var_os("LOOP_TESTS_BUILT").is_none() {
            let built = Command::new(env!("CARGO"))
                .current_dir(workspace_root())
                .args(["build", "--workspace", "--bins", "--locked", "--quiet"])
                .args(["--features", "loop-runtime/crash-points"])
                .status()
                .expect("cargo runs");
            assert!(built.success(), "the programs under test do not build");
        }
        directory
    })
}
