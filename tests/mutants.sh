#!/bin/sh
# Mutants of the machine and the calendar: changes of the code that its tests do not notice. Arguments go to
# `cargo mutants --list`: `-F rate_limiter` takes a part, `--in-diff FILE` what changed.
#
# A crate of nothing else, in `target/mutants`, is built once with all mutants, and its tests run with one of them after
# the other: a second each. The expensive search comes last. `.cargo/mutants.toml` explains what is left out.
set -eu
cd "$(dirname "$0")/.."
tree=target/mutants
rm -rf "$tree"/src "$tree"/tests
mkdir -p "$tree"/src/gateway "$tree"/src/log "$tree"/tests/support/src "$tree"/tests/data
cp -r src/session src/calendar.rs "$tree"/src
cp src/gateway/request.rs "$tree"/src/gateway
cp src/log/duration.rs "$tree"/src/log
cp -r tests/calendar.rs tests/session_table tests/session_search "$tree"/tests
cp tests/support/src/said.rs "$tree"/tests/support/src
cp tests/data/session_search.txt "$tree"/tests/data
{
	echo 'pub mod calendar;'
	echo 'pub mod gateway { mod request; pub use request::Request; }'
	echo 'pub mod log { mod duration; pub use duration::human_duration; }'
	echo 'pub mod session;'
} >"$tree"/src/lib.rs
echo 'mod said; pub use said::{Said, said};' >"$tree"/tests/support/src/lib.rs
dependencies=$(grep -E '^(jiff|serde|serde_json|strum) = ' Cargo.toml)
package='version = "0.0.0"
edition = "2024"'
cat >"$tree"/Cargo.toml <<END
[package]
name = "tickled"
$package
[dependencies]
$dependencies
[dev-dependencies]
support.path = "tests/support"
[profile.test]
debug = false
opt-level = 1
[workspace]
END
cat >"$tree"/tests/support/Cargo.toml <<END
[package]
name = "support"
$package
[dependencies]
tickled.path = "../.."
$dependencies
END
cargo mutants --list --json "$@" >"$tree"/list.json
cargo build --locked --release --manifest-path tests/mutants/Cargo.toml --target-dir "$tree"/target
exec "$tree"/target/release/tickled-mutants "$tree" lib calendar session_table session_search <"$tree"/list.json
