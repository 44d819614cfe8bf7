//! The package that `cargo deb` makes: installed, upgraded, removed, purged.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::machine::{Base, Machine, binary, lacks, on_both};

#[test]
fn a_package_comes_is_upgraded_and_goes_without_a_trace() {
    on_both(comes_and_goes);
}

fn comes_and_goes(base: Base) {
    let Some(machine) = Machine::boot(base) else { return };
    let Some(package) = package() else { return };
    let install = format!("DEBIAN_FRONTEND=noninteractive dpkg --force-unsafe-io --install {} 2>&1", package.display());
    let files = "find /etc /usr /var/lib -xdev -name '*tickled*' -not -path '/var/lib/dpkg/*' | sort";
    assert_eq!(machine.ok(files), "", "a clean system");
    let told = machine.ok(&install);
    assert!(told.contains("systemctl enable --now tickled"), "{told}");
    assert_eq!(machine.shows("ActiveState"), "inactive", "nothing is started");
    assert_eq!(machine.shows("UnitFileState"), "disabled", "nor at the next boot");
    machine.ok("getent group tickled && tickled --version");

    machine.simulate();
    let own = "[maintenance]\nwindow = []\n[gateway.mine]\nurl = \"https://127.0.0.1:5000\"\n";
    machine.write("/etc/tickled/tickled.toml", own);
    machine.ok("systemctl enable --now --quiet tickled");
    assert_eq!(machine.shows("StatusText"), "live: mine");

    let before = machine.shows("MainPID");
    machine.ok(&install);
    assert_eq!(machine.ok("cat /etc/tickled/tickled.toml"), own.trim(), "an upgrade keeps the configuration");
    assert_ne!(machine.shows("MainPID"), before, "and the new program runs");
    assert_eq!(machine.shows("ActiveState"), "active");
    assert_eq!(machine.shows("UnitFileState"), "enabled");

    let before = machine.shows("MainPID");
    machine.write("/etc/tickled/tickled.toml", "gateway = 1\n");
    let told = machine.ok(&install);
    assert!(told.contains("fix the file, then: systemctl restart tickled"), "{told}");
    assert_eq!(machine.shows("MainPID"), before, "one that would not start takes nobody's place");
    machine.write("/etc/tickled/tickled.toml", own);

    machine.ok("dpkg --remove tickled");
    assert_eq!(machine.run("ls -l /proc/*/exe | grep -F /usr/bin/tickled").out, "", "no process");
    let left = "/etc/tickled\n/etc/tickled/tickled.toml\n/var/lib/private/tickled\n/var/lib/tickled";
    assert_eq!(machine.ok(files), left, "the configuration and the state");
    assert_eq!(machine.ok("cat /etc/tickled/tickled.toml"), own.trim());

    machine.ok("dpkg --purge tickled");
    assert_eq!(machine.ok(files), "");
    assert_eq!(machine.ok("systemctl --failed --no-legend --plain"), "");
}

/// The package of the program that is tried; none, said why, without `cargo deb`.
fn package() -> Option<PathBuf> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    MADE.get_or_init(make).clone()
}

fn make() -> Option<PathBuf> {
    let cargo = env!("CARGO");
    if !Command::new(cargo).args(["deb", "--version"]).output().unwrap().status.success() {
        lacks("deb", "there is no cargo-deb here to make the package (cargo install cargo-deb)");
        return None;
    }
    // In the place of the release, which need not be what is tried: a release takes minutes to build.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("deb");
    fs::create_dir_all(target.join("release")).unwrap();
    fs::remove_file(target.join("release/tickled")).ok();
    symlink(binary(), target.join("release/tickled")).unwrap();
    let package = target.join("tickled.deb");
    let made = Command::new(cargo)
        .args(["deb", "--no-build", "--fast", "--output", package.to_str().unwrap()])
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some(package)
}
