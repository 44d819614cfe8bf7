//! The README's first five minutes, typed as they stand there: by root and by another user, with and without a login
//! session's runtime directory.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use support::{Gateway, copy_program};

/// The commands of the section, one for each line.
fn commands() -> Vec<String> {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let section = readme.split("## The first five minutes\n").nth(1).unwrap().split("\n1. ").next().unwrap();
    let commands: Vec<String> =
        section.lines().filter_map(|line| line.strip_prefix("    ")).map(str::to_owned).collect();
    assert!(commands.len() > 8 && commands.iter().any(|line| line.starts_with("tickled run")), "{commands:?}");
    commands
}

/// Types the commands, and prints each with its exit code after its output.
async fn type_all(user: Option<u32>, has_runtime: bool, gateway: &Gateway) -> Output {
    let name = format!("tickled-minutes-{}-{}-{has_runtime}", std::process::id(), user.unwrap_or_default());
    let home = std::env::temp_dir().join(name);
    fs::create_dir_all(home.join("target/release")).unwrap();
    fs::create_dir_all(home.join("runtime")).unwrap();
    copy_program(&home.join("target/release/tickled"));
    for part in ["", "runtime", "target"] {
        chown(home.join(part), user, user).unwrap();
    }
    let mut script = String::new();
    for line in commands() {
        let line = line.replace("https://localhost:5000", &gateway.url());
        script += &format!("{line}\necho \"== $? {}\"\n", line.replace(['\'', '"', '\\'], ""));
        if line.starts_with("tickled run") {
            // A reader does not type that fast.
            script +=
                "run=$!; i=0; until tickled status >/dev/null 2>&1 || [ $((i += 1)) -gt 100 ]; do sleep 0.1; done\n";
        }
        if line.starts_with("tickled pause") {
            script += "i=0; until tickled status | grep -q paused || [ $((i += 1)) -gt 100 ]; do sleep 0.1; done\n";
        }
    }
    script += "kill $run; wait $run; echo \"== $? the daemon\"";
    let mut shell = match user {
        Some(user) => {
            let mut setpriv = Command::new("setpriv");
            let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
            setpriv.args([&uid, &gid, "--clear-groups", "sh"]);
            setpriv
        }
        None => Command::new("sh"),
    };
    shell.args(["-c", &script]).current_dir(&home).env_clear().env("HOME", &home).env("PATH", "/usr/bin:/bin");
    if has_runtime {
        shell.env("XDG_RUNTIME_DIR", home.join("runtime"));
    }
    shell.stdin(Stdio::null()).kill_on_drop(true);
    let typed = timeout(Duration::from_secs(60), shell.output()).await.expect("an end").unwrap();
    fs::remove_dir_all(&home).unwrap();
    typed
}

#[tokio::test]
async fn the_readme_works_for_everyone_who_types_it() {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let other = is_root.then(|| 400_000 + std::process::id() % 100_000);
    let cases = [(None, true), (None, false), (other, true), (other, false)];
    let type_one = async |(user, has_runtime)| {
        let gateway = Gateway::logged_in().await;
        ((user, has_runtime), type_all(user, has_runtime, &gateway).await)
    };
    let all = tokio::join!(type_one(cases[0]), type_one(cases[1]), type_one(cases[2]), type_one(cases[3]));
    for (case, typed) in [all.0, all.1, all.2, all.3] {
        let text = String::from_utf8(typed.stdout).unwrap();
        let ended: Vec<(&str, &str)> =
            text.lines().filter_map(|line| line.strip_prefix("== ")?.split_once(' ')).collect();
        assert_eq!(ended.len(), commands().len() + 1, "{case:?}: {text}{}", String::from_utf8_lossy(&typed.stderr));
        for (code, line) in ended {
            // The doctor also judges the host of the test.
            let is_good = code == "0" || line == "tickled doctor";
            assert!(is_good, "{case:?}: {line} ends with {code}: {text}{}", String::from_utf8_lossy(&typed.stderr));
        }
        let is_kept = text.lines().any(|line| line.contains(" paused ") && line.ends_with("operator"));
        assert!(is_kept, "{case:?}: the history has no pause: {text}");
    }
}
