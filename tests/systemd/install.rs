//! Installed in a minute: the script on a clean system, what the unit may do, and what is left when it is gone.

use std::time::{Duration, Instant};

use crate::machine::{Base, Machine, binary, on_both};

#[test]
fn the_script_installs_starts_nothing_and_takes_all_away_again() {
    on_both(on_a_clean_system);
}

fn on_a_clean_system(base: Base) {
    let Some(machine) = Machine::boot(base) else { return };
    let files = "find /etc /usr /var/lib /run -xdev -name '*tickled*' -not -path '/run/systemd/*' | sort";
    assert_eq!(machine.ok(files), "", "a clean system");
    let version = machine.ok("systemctl --version | head -1");
    assert!(base == Base::Host || version.starts_with("systemd 257"), "{version}");

    let told = machine.install();
    assert!(told.contains("systemctl enable --now tickled") && told.contains("/etc/tickled/tickled.toml"), "{told}");
    assert_eq!(machine.shows("ActiveState"), "inactive", "nothing is started");
    assert_eq!(machine.shows("UnitFileState"), "disabled", "nor at the next boot");
    let installed = machine.ok(files);
    assert!(installed.contains("/usr/local/bin/tickled\n"), "{installed}");

    machine.simulate();
    // The pages of the manual cannot be looked for where there is no `man`.
    let verified = machine.run("systemd-analyze verify $(command -v man >/dev/null || echo --man=no) tickled.service");
    assert_eq!((verified.code, verified.out.as_str(), verified.err.as_str()), (Some(0), "", ""));
    machine.ok("systemctl enable --now --quiet tickled");
    assert_eq!(machine.shows("ActiveState"), "active");
    assert_eq!(machine.shows("UnitFileState"), "enabled");
    let status = machine.ok("systemctl status --no-pager tickled");
    assert!(status.contains("Status: \"live: main\""), "{status}");
    let exposure = machine.ok("systemd-analyze security --no-pager tickled | tail -1");
    let number: f64 = exposure.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
    assert!(number <= 1.2, "{exposure}");

    // Once more, with a configuration of one's own: it stays, and the daemon is another process.
    let (before, own) =
        (machine.shows("MainPID"), "[maintenance]\nwindow = []\n[gateway.mine]\nurl = \"https://127.0.0.1:5000\"\n");
    machine.write("/etc/tickled/tickled.toml", own);
    machine.install();
    assert_eq!(machine.ok("cat /etc/tickled/tickled.toml"), own.trim());
    assert_ne!(machine.shows("MainPID"), before);
    assert_eq!(machine.shows("ActiveState"), "active");
    assert_eq!(machine.shows("StatusText"), "live: mine");
    // One that would not start does not take the place of one that works.
    let before = machine.shows("MainPID");
    machine.write("/etc/tickled/tickled.toml", "gateway = 1\n");
    let refused = machine.run(&format!("BINARY={} ./systemd/install.sh", binary().display()));
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("gateway") && refused.err.contains("systemctl restart tickled"), "{refused:?}");
    assert_eq!((machine.shows("MainPID"), machine.shows("StatusText")), (before, "live: mine".to_owned()));
    machine.write("/etc/tickled/tickled.toml", own);
    let linked = "/etc/systemd/system/multi-user.target.wants/tickled.service";
    let more: Vec<String> =
        machine.ok(files).lines().filter(|file| !installed.contains(file)).map(str::to_owned).collect();
    assert_eq!(more, [linked, "/run/tickled", "/var/lib/private/tickled", "/var/lib/tickled"], "no file but those");

    let began = Instant::now();
    machine.ok("systemctl stop tickled");
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    assert_eq!(machine.asked_for("/v1/api/logout"), 0, "nobody is logged out");
    machine.ok("systemctl start tickled");

    machine.ok("./systemd/install.sh --uninstall");
    assert_eq!(machine.run("ls -l /proc/*/exe | grep -F /usr/local/bin/tickled").out, "");
    let left = machine.ok(files);
    assert_eq!(left, "/etc/tickled\n/etc/tickled/tickled.toml\n/var/lib/private/tickled\n/var/lib/tickled");
    assert_ne!(machine.run("systemctl cat tickled").code, Some(0));
    machine.ok("./systemd/install.sh --uninstall");
}

#[test]
fn a_package_is_made_below_a_folder_and_the_system_is_left_alone() {
    let folder = std::env::temp_dir().join(format!("tickled-destdir-{}", std::process::id()));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/install.sh");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(script);
        command.args(arguments).env("DESTDIR", &folder).env("PREFIX", "/usr").env("BINARY", binary());
        command.output().unwrap()
    };
    let ran = run(&[]);
    assert!(ran.status.success() && ran.stdout.is_empty(), "{ran:?}");
    for file in [
        "etc/tickled/tickled.toml",
        "usr/bin/tickled",
        "usr/lib/systemd/system/tickled.service",
        "usr/lib/systemd/catalog/tickled.catalog",
        "usr/lib/sysusers.d/tickled.conf",
        "usr/share/man/man1/tickled.1",
        "usr/share/bash-completion/completions/tickled",
        "usr/share/doc/tickled/README.md",
        "usr/share/doc/tickled/docs/alerts.md",
        "usr/share/doc/tickled/systemd/ibkr-gateway.service",
    ] {
        assert!(folder.join(file).exists(), "{file}");
    }
    let unit = std::fs::read_to_string(folder.join("usr/lib/systemd/system/tickled.service")).unwrap();
    assert!(unit.contains("\nExecStart=/usr/bin/tickled run "), "{unit}");
    assert!(run(&["--uninstall"]).status.success());
    assert!(!folder.join("usr/share/doc/tickled").exists());
    let left = std::process::Command::new("find").arg(&folder).args(["-type", "f"]).output().unwrap();
    assert_eq!(
        String::from_utf8(left.stdout).unwrap().trim(),
        folder.join("etc/tickled/tickled.toml").to_str().unwrap()
    );
    assert_eq!(run(&["--sideways"]).status.code(), Some(64));
    std::fs::remove_dir_all(&folder).unwrap();
}
