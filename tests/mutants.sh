#!/bin/sh
# Mutants of the machine and the calendar: changes of the code that its tests do not notice. Arguments go to
# `cargo mutants`.
#
# Each mutant builds the crate and four test binaries, which takes about a minute of one processor, and there are some
# hundreds. Name a part for a quick answer, such as `-F rate_limiter`, or what changed, with `--in-diff FILE`.
set -eu
cd "$(dirname "$0")/.."
# Quick to build rather than to run.
export CARGO_PROFILE_TEST_OPT_LEVEL=0 CARGO_PROFILE_TEST_DEBUG=false
YEARS="${YEARS:-12x20d}" exec cargo mutants --no-shuffle "$@" -- \
	--test calendar --test scenarios --test session_table --test years
