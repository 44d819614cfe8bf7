//! What a release consists of: the static program alone in the root file system of its image, and the files for
//! container engines, with the simulator in the gateway's place.
//!
//! `STATIC` names the static program that `packaging/build binary` builds. Without it, or without root, these tests are
//! skipped, and say so.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod container;
mod files;
mod image;

use std::path::{Path, PathBuf};

/// A directory that this run of the tests has for itself.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tickled-packaging-{}", std::process::id())).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
