#!/bin/sh
# A hook that pauses a trading bot while its session is lost and resumes it when the session is live. The bot looks for the
# file `paused` in the directory that both may read, and sends no orders while it is there.
#
#   [[hook]]
#   name = "bot"
#   on = ["live", "lost"]
#   gateways = ["main"]
#   argv = ["/usr/local/bin/bot-hook.sh"]
#
# The file has the session number, so that the bot knows whether it must redo what belongs to the session.
set -eu

paused="${STATE_DIRECTORY:?}/bot-$TICKLED_HOOK_GATEWAY.paused"
session="${STATE_DIRECTORY:?}/bot-$TICKLED_HOOK_GATEWAY.session"

case $TICKLED_HOOK_EVENT in
live)
    # Written beside its place and then moved, so that the bot never reads half of it.
    echo "$TICKLED_HOOK_SESSION" > "$session.new"
    mv "$session.new" "$session"
    rm -f "$paused"
    echo "resumed, session $TICKLED_HOOK_SESSION"
    ;;
lost)
    echo "$TICKLED_HOOK_STATE: $TICKLED_HOOK_BECAUSE" > "$paused"
    echo "paused: $TICKLED_HOOK_BECAUSE"
    ;;
esac
