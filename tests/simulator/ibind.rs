//! The most used Python client, ibind, runs against the simulator through a lapse and a recovery.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::client::start;

#[tokio::test]
async fn ibind_gets_through_a_lapse_and_a_recovery() {
    let python = match python().await {
        Ok(python) => python,
        Err(why) => {
            println!("skipped: {why}");
            return;
        }
    };
    let running = start(false).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulator/program.py");
    let mut program = Command::new(python);
    program
        .arg(script)
        .arg(running.addresses.gateway.port().to_string())
        .arg(running.addresses.control.port().to_string())
        .envs([("IBIND_LOG_TO_FILE", "False"), ("IBIND_LOG_TO_CONSOLE", "False")])
        .kill_on_drop(true);
    let ended = timeout(LONGEST, program.output()).await.expect("the program ends").unwrap();
    assert!(ended.status.success(), "{}", output(&ended));
}

/// The interpreter of a virtual environment that has ibind, made if there is none; or why there can be none.
async fn python() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ibind-{VERSION}"));
    let python = folder.join("bin/python");
    let has_ibind = Command::new(&python).args(["-c", "import ibind"]).output().await;
    if has_ibind.is_ok_and(|ended| ended.status.success()) {
        return Ok(python);
    }
    run("python3 cannot make a virtual environment", Command::new("python3").args(["-m", "venv"]).arg(&folder)).await?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run("ibind cannot be installed", Command::new(&python).args(pip).arg(format!("ibind=={VERSION}"))).await?;
    Ok(python)
}

async fn run(what: &str, command: &mut Command) -> Result<(), String> {
    match timeout(LONGEST, command.kill_on_drop(true).output()).await {
        Ok(Ok(ended)) if ended.status.success() => Ok(()),
        Ok(Ok(ended)) => Err(format!("{what}: {}", output(&ended))),
        Ok(Err(error)) => Err(format!("{what}: {error}")),
        Err(_) => Err(format!("{what} within {LONGEST:?}")),
    }
}

fn output(ended: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr))
}

const VERSION: &str = "0.1.24";
const LONGEST: Duration = Duration::from_secs(180);
