#!/bin/sh
# Mutants of the machine and the calendar: changes of the code that its tests do not notice. Arguments go to
# `cargo mutants --list`: `-F rate_limiter` takes a part, `--in-diff FILE` what changed.
#
# All mutants are compiled at once into a copy, in `target/mutants`, and each test binary is told by its environment which
# one to be. So a mutant costs a second or two if a test notices it, and a minute if none does. The cheap tests go first.
set -eu
cd "$(dirname "$0")/.."
tree="$PWD/target/mutants"
rm -rf "$tree"
mkdir -p "$tree"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$tree"
cargo mutants --list --json "$@" >"$tree/list.json"
cargo build --locked --release --manifest-path tests/mutants/Cargo.toml --target-dir target
export CARGO_TARGET_DIR="$PWD/target" RUSTC_WORKSPACE_WRAPPER="$PWD/tests/mutants/rustc" CARGO_PROFILE_TEST_DEBUG=false
YEARS="${YEARS:-12x20d}" exec target/release/tickled-mutants "$tree" \
	lib calendar session_table scenarios years session_search <"$tree/list.json"
