//! A uv for daemons that are not to fetch one each.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// uv, fetched from PyPI once for all tests and kept for the next time.
pub(crate) fn fetched() -> &'static Path {
    static UV: OnceLock<PathBuf> = OnceLock::new();
    UV.get_or_init(|| {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("uv-for-tests");
        if !kept.exists() {
            let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
            let output = Command::new("/usr/bin/python3")
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv", "--target"])
                .arg(scratch.path())
                .output()
                .expect("python3 starts");
            assert!(output.status.success(), "uv: {}", String::from_utf8_lossy(&output.stderr));
            std::fs::rename(scratch.path().join("bin/uv"), &kept).expect("kept");
        }
        kept
    })
}
