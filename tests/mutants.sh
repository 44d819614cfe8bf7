#!/bin/sh
# Mutants of the machine and the calendar: what the proofs would let pass. Arguments go to `cargo mutants`.
#
# The whole crate takes half a minute to build, which hundreds of mutants cannot afford. So the pure rooms are copied
# into a crate of their own under target/, with the tests that prove them, and the mutants are made there.
set -eu
cd "$(dirname "$0")/.."
crate=target/mutants/crate
rm -rf "$crate/src" "$crate/tests"
mkdir -p "$crate/src/gateway" "$crate/src/systemd" "$crate/src/alert" "$crate/src/simulator" "$crate/tests/data" "$crate/.cargo"

cp -r src/session src/calendar.rs src/status.rs "$crate/src/"
mkdir -p "$crate/src/driver"
cp src/driver/answers.rs "$crate/src/driver/"
cp -r src/simulator/world src/simulator/login.html "$crate/src/simulator/"
rm -rf "$crate/src/simulator/world/tests"
sed -i '/^#\[cfg(test)\]$/{N;/mod tests;/d;}' "$crate/src/simulator/world/mod.rs"
cp src/gateway/wire.rs "$crate/src/gateway/"
sed 's/tokio::task::spawn_blocking(move || \(.*\)).await.ok()?.ok()?;/\1.ok()?;/' src/systemd/unit.rs > "$crate/src/systemd/unit.rs"
for file in catalogue clockwork condition desk keep notice reminder settings; do cp "src/alert/$file.rs" "$crate/src/alert/"; done

# What the copied rooms need of the others, and no more.
{
    echo 'pub mod wire; pub use wire::{Accounts, AuthStatus, Logout, Reauthentication, SsoValidation, Tickle};'
    echo 'use std::time::Duration; #[derive(Debug)] pub struct Error { pub fault: Fault }'
    echo '#[derive(Debug, Clone, Copy, PartialEq, Eq)]'
    sed -n '/^pub enum Fault/,/^}/p' src/gateway/fault.rs
} > "$crate/src/gateway/mod.rs"
{
    echo 'mod catalogue; mod clockwork; mod condition; mod desk; mod notice; mod reminder; pub mod settings;'
    echo 'pub use catalogue::{Code, Entry, Severity}; pub use desk::{Desk, Input, Plan, Reason, Standing};'
    echo 'pub use notice::{About, Message, Notice, Phase}; pub use settings::Settings;'
} > "$crate/src/alert/mod.rs"
echo 'pub mod world;' > "$crate/src/simulator/mod.rs"
echo 'pub mod answers;' > "$crate/src/driver/mod.rs"
echo 'pub mod unit;' > "$crate/src/systemd/mod.rs"
{
    echo 'pub mod alert; pub mod calendar; pub mod driver; pub mod gateway; pub mod session; pub mod simulator; pub mod status; pub mod systemd;'
    echo 'pub mod log { use std::time::Duration;'
    sed -n '/^pub fn human_duration/,/^}/p; /^const HOUR:/p; /^const DAY:/p' src/log/duration.rs
    echo '}'
} > "$crate/src/lib.rs"

# The tests in one binary, the quickest first by name, so that a mutant costs no more than what catches it. The search,
# which sees least for its time, is left out.
cp -r tests/data/scenarios "$crate/tests/data/"
mkdir -p "$crate/tests/all"
cp -r tests/session_table "$crate/tests/all/a_table"
cp tests/calendar.rs "$crate/tests/all/b_calendar.rs"
cp -r tests/scenarios "$crate/tests/all/c_scenarios"
cp -r tests/years "$crate/tests/all/d_years"
cp tests/support/src/{chance,port,said}.rs tests/years/rules.rs "$crate/tests/all/"
sed -i 's|"\.\./years/|"../|; s|^mod script;|#[path = "script.rs"] mod script;|' "$crate/tests/all/c_scenarios/main.rs"
sed -i 's/crate::/super::/g; s|^mod crowd;|#[path = "crowd.rs"] mod z_crowd;|' "$crate"/tests/all/d_years/*.rs
sed -i 's/\bsupport::/crate::support::/g' "$crate"/tests/all/*/*.rs "$crate"/tests/all/rules.rs
sed -i 's/crate::Said/crate::support::Said/' "$crate/tests/all/port.rs"
for file in "$crate"/tests/all/*.rs "$crate"/tests/all/*/*.rs; do sed -i '/^#!\[expect/d' "$file"; done
cat > "$crate/tests/all/main.rs" <<'RUST'
#![allow(warnings)]
#[path = "a_table/main.rs"]
mod a_table;
mod b_calendar;
mod chance;
mod port;
mod said;
mod support {
    pub use crate::said::{Said, said};
    pub use crate::{chance, port};
}
#[path = "c_scenarios/main.rs"]
mod c_scenarios;
#[path = "d_years/main.rs"]
mod d_years;
RUST
cat > "$crate/Cargo.toml" <<'TOML'
[package]
name = "tickled"
version = "0.0.0"
edition = "2024"
[workspace]
[dependencies]
TOML
grep -E '^(jiff|serde|serde_json|thiserror|toml) =' Cargo.toml >> "$crate/Cargo.toml"
cat >> "$crate/Cargo.toml" <<'TOML'
[profile.test]
opt-level = 1
debug = false
TOML
cp Cargo.lock "$crate/"
cp .cargo/mutants.toml "$crate/.cargo/"

cd "$crate"
if [ "${1:-}" = --check ]; then exec cargo test; fi
# The harness hides its way to end at the first failure behind this.
export RUSTC_BOOTSTRAP=1
YEARS="${YEARS:-12x20d}" exec cargo mutants --no-shuffle "$@" -- -- --test-threads=1 -Z unstable-options --fail-fast
