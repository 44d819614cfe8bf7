# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_tickled_global_optspecs
    string join \n h/help V/version
end

function __fish_tickled_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_tickled_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_tickled_using_subcommand
    set -l cmd (__fish_tickled_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c tickled -n "__fish_tickled_needs_command" -s h -l help -d 'Print help'
complete -c tickled -n "__fish_tickled_needs_command" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "run" -d 'Run the daemon'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "demo" -d 'Run a short demo: the daemon against a simulated gateway'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "simulate" -d 'Run a simulated gateway to test your own program against'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "status" -d 'Show the state of all gateways, as the daemon sees them'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "watch" -d 'Show the state of all gateways, refreshed every second, until q or Ctrl-C; arrow keys, PgUp and PgDn scroll'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "wait" -d 'Wait until the sessions of all gateways are live'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "history" -d 'Show how much of the time each session was live, with a timeline, outages and state changes'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "check" -d 'Check whether sessions are live: through the running daemon, or directly'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "pause" -d 'Stop all requests to a gateway, e.g. while you trade by hand'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "resume" -d 'End a pause, or retry at once after tickled gave up or while IBKR is silent'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "logout" -d 'End the session of a gateway; this raises no alert'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "ack" -d 'Acknowledge open alerts: no more repeats until they resolve'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "cert" -d 'Show the certificate of a gateway, and the configuration that pins it'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "alert" -d 'Test alert channels'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "hook" -d 'Test hooks'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "login" -d 'Show how to log in, and wait until the session is live'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "doctor" -d 'Diagnose problems: named checks, each with its finding and what to do'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "config" -d 'Validate and print configurations'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "man" -d 'Print manual pages'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "completions" -d 'Print shell completions'
complete -c tickled -n "__fish_tickled_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tickled -n "__fish_tickled_using_subcommand run" -l config -d 'Configuration file' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand run" -l state-dir -d 'State directory of the daemon' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand run" -l runtime-dir -d 'Runtime directory of the daemon, for its control socket and its locks' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tickled -n "__fish_tickled_using_subcommand run" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand demo" -s h -l help -d 'Print help'
complete -c tickled -n "__fish_tickled_using_subcommand demo" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand simulate" -l listen -d 'Address of the gateway; loopback only' -r
complete -c tickled -n "__fish_tickled_using_subcommand simulate" -l control -d 'Address of the control port, which lists the faults to simulate; loopback only' -r
complete -c tickled -n "__fish_tickled_using_subcommand simulate" -l plain -d 'Speak HTTP instead of HTTPS, as a gateway with `listenSsl: false`'
complete -c tickled -n "__fish_tickled_using_subcommand simulate" -s h -l help -d 'Print help'
complete -c tickled -n "__fish_tickled_using_subcommand simulate" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand status" -l socket -d 'Control socket of the daemon [default: in its runtime directory]' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand status" -l state-dir -d 'State directory of the daemon' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand status" -l runtime-dir -d 'Runtime directory of the daemon, for its control socket and its locks' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand status" -l json -d 'Print one JSON object'
complete -c tickled -n "__fish_tickled_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tickled -n "__fish_tickled_using_subcommand status" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand watch" -l socket -d 'Control socket of the daemon [default: in its runtime directory]' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand watch" -l state-dir -d 'State directory of the daemon' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand watch" -l runtime-dir -d 'Runtime directory of the daemon, for its control socket and its locks' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tickled -n "__fish_tickled_using_subcommand watch" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand wait" -l until -d 'What to wait for' -r -f -a "live\t'All sessions are live'
lost\t'At least one session is not live'"
complete -c tickled -n "__fish_tickled_using_subcommand wait" -l within -d 'Maximum time to wait, such as 30s, 5m or 1h [default: no limit]' -r
complete -c tickled -n "__fish_tickled_using_subcommand wait" -l socket -d 'Control socket of the daemon [default: in its runtime directory]' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand wait" -l state-dir -d 'State directory of the daemon' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand wait" -l runtime-dir -d 'Runtime directory of the daemon, for its control socket and its locks' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand wait" -l json -d 'Print one JSON object'
complete -c tickled -n "__fish_tickled_using_subcommand wait" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tickled -n "__fish_tickled_using_subcommand wait" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand history" -l since -d 'How far back, such as 24h, 7d or 30d' -r
complete -c tickled -n "__fish_tickled_using_subcommand history" -l svg -d 'Also draw the timeline into this file, as SVG' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand history" -l socket -d 'Control socket of the daemon [default: in its runtime directory]' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand history" -l state-dir -d 'State directory of the daemon' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand history" -l runtime-dir -d 'Runtime directory of the daemon, for its control socket and its locks' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand history" -l json -d 'Print one JSON object'
complete -c tickled -n "__fish_tickled_using_subcommand history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tickled -n "__fish_tickled_using_subcommand history" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand check" -l url -d 'Ask this gateway directly, such as https://localhost:5000' -r
complete -c tickled -n "__fish_tickled_using_subcommand check" -l config -d 'Configuration file' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand check" -l socket -d 'Control socket of the daemon [default: in its runtime directory]' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand check" -l state-dir -d 'State directory of the daemon' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand check" -l runtime-dir -d 'Runtime directory of the daemon, for its control socket and its locks' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand check" -l json -d 'Print one JSON object'
complete -c tickled -n "__fish_tickled_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tickled -n "__fish_tickled_using_subcommand check" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand pause" -l for -d 'How long, such as 30m, 2h or 1d [default: until it is resumed]' -r
complete -c tickled -n "__fish_tickled_using_subcommand pause" -l socket -d 'Control socket of the daemon [default: in its runtime directory]' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand pause" -l state-dir -d 'State directory of the daemon' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand pause" -l runtime-dir -d 'Runtime directory of the daemon, for its control socket and its locks' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand pause" -l json -d 'Print one JSON object'
complete -c tickled -n "__fish_tickled_using_subcommand pause" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tickled -n "__fish_tickled_using_subcommand pause" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand resume" -l socket -d 'Control socket of the daemon [default: in its runtime directory]' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand resume" -l state-dir -d 'State directory of the daemon' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand resume" -l runtime-dir -d 'Runtime directory of the daemon, for its control socket and its locks' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand resume" -l json -d 'Print one JSON object'
complete -c tickled -n "__fish_tickled_using_subcommand resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tickled -n "__fish_tickled_using_subcommand resume" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand logout" -l socket -d 'Control socket of the daemon [default: in its runtime directory]' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand logout" -l state-dir -d 'State directory of the daemon' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand logout" -l runtime-dir -d 'Runtime directory of the daemon, for its control socket and its locks' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand logout" -l json -d 'Print one JSON object'
complete -c tickled -n "__fish_tickled_using_subcommand logout" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tickled -n "__fish_tickled_using_subcommand logout" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand ack" -l code -d 'Only alerts with this code, such as login-required' -r
complete -c tickled -n "__fish_tickled_using_subcommand ack" -l socket -d 'Control socket of the daemon [default: in its runtime directory]' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand ack" -l state-dir -d 'State directory of the daemon' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand ack" -l runtime-dir -d 'Runtime directory of the daemon, for its control socket and its locks' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand ack" -l json -d 'Print one JSON object'
complete -c tickled -n "__fish_tickled_using_subcommand ack" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tickled -n "__fish_tickled_using_subcommand ack" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand cert" -l url -d 'The gateway, such as https://localhost:5000' -r
complete -c tickled -n "__fish_tickled_using_subcommand cert" -l json -d 'Print one JSON object'
complete -c tickled -n "__fish_tickled_using_subcommand cert" -s h -l help -d 'Print help'
complete -c tickled -n "__fish_tickled_using_subcommand cert" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand alert; and not __fish_seen_subcommand_from test help" -s h -l help -d 'Print help'
complete -c tickled -n "__fish_tickled_using_subcommand alert; and not __fish_seen_subcommand_from test help" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand alert; and not __fish_seen_subcommand_from test help" -f -a "test" -d 'Send a marked test through all channels and the dead man\'s switch, and print each answer'
complete -c tickled -n "__fish_tickled_using_subcommand alert; and not __fish_seen_subcommand_from test help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tickled -n "__fish_tickled_using_subcommand alert; and __fish_seen_subcommand_from test" -l config -d 'Send it from this command, with this configuration' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand alert; and __fish_seen_subcommand_from test" -l channel -d 'Only this channel' -r
complete -c tickled -n "__fish_tickled_using_subcommand alert; and __fish_seen_subcommand_from test" -l as -d 'Send it with the priority of this alert, e.g. login-required, to the channels that send that alert' -r
complete -c tickled -n "__fish_tickled_using_subcommand alert; and __fish_seen_subcommand_from test" -l socket -d 'Control socket of the daemon [default: in its runtime directory]' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand alert; and __fish_seen_subcommand_from test" -l state-dir -d 'State directory of the daemon' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand alert; and __fish_seen_subcommand_from test" -l runtime-dir -d 'Runtime directory of the daemon, for its control socket and its locks' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand alert; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tickled -n "__fish_tickled_using_subcommand alert; and __fish_seen_subcommand_from test" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand alert; and __fish_seen_subcommand_from help" -f -a "test" -d 'Send a marked test through all channels and the dead man\'s switch, and print each answer'
complete -c tickled -n "__fish_tickled_using_subcommand alert; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tickled -n "__fish_tickled_using_subcommand hook; and not __fish_seen_subcommand_from test help" -s h -l help -d 'Print help'
complete -c tickled -n "__fish_tickled_using_subcommand hook; and not __fish_seen_subcommand_from test help" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand hook; and not __fish_seen_subcommand_from test help" -f -a "test" -d 'Run a hook now, marked as a test, and print how it ended'
complete -c tickled -n "__fish_tickled_using_subcommand hook; and not __fish_seen_subcommand_from test help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tickled -n "__fish_tickled_using_subcommand hook; and __fish_seen_subcommand_from test" -l gateway -d 'The gateway that it runs for [default: the first one]' -r
complete -c tickled -n "__fish_tickled_using_subcommand hook; and __fish_seen_subcommand_from test" -l socket -d 'Control socket of the daemon [default: in its runtime directory]' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand hook; and __fish_seen_subcommand_from test" -l state-dir -d 'State directory of the daemon' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand hook; and __fish_seen_subcommand_from test" -l runtime-dir -d 'Runtime directory of the daemon, for its control socket and its locks' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand hook; and __fish_seen_subcommand_from test" -l json -d 'Print one JSON object'
complete -c tickled -n "__fish_tickled_using_subcommand hook; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tickled -n "__fish_tickled_using_subcommand hook; and __fish_seen_subcommand_from test" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand hook; and __fish_seen_subcommand_from help" -f -a "test" -d 'Run a hook now, marked as a test, and print how it ended'
complete -c tickled -n "__fish_tickled_using_subcommand hook; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tickled -n "__fish_tickled_using_subcommand login" -l url -d 'Ask this gateway directly, such as https://localhost:5000' -r
complete -c tickled -n "__fish_tickled_using_subcommand login" -l config -d 'Configuration file' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand login" -l within -d 'How long to wait, such as 90s or 10m' -r
complete -c tickled -n "__fish_tickled_using_subcommand login" -l socket -d 'Control socket of the daemon [default: in its runtime directory]' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand login" -l state-dir -d 'State directory of the daemon' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand login" -l runtime-dir -d 'Runtime directory of the daemon, for its control socket and its locks' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand login" -l no-browser -d 'Do not open a browser'
complete -c tickled -n "__fish_tickled_using_subcommand login" -l json -d 'Print one JSON object at the end; everything else goes to standard error'
complete -c tickled -n "__fish_tickled_using_subcommand login" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tickled -n "__fish_tickled_using_subcommand login" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand doctor" -l config -d 'Configuration file' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand doctor" -l gateway-dir -d 'Directory of the unpacked gateway: check its conf.yaml and its Java too' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand doctor" -l offline -d 'Check only the files and programs of this host: send no requests'
complete -c tickled -n "__fish_tickled_using_subcommand doctor" -l json -d 'Print one JSON object'
complete -c tickled -n "__fish_tickled_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c tickled -n "__fish_tickled_using_subcommand doctor" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand config; and not __fish_seen_subcommand_from default check show help" -s h -l help -d 'Print help'
complete -c tickled -n "__fish_tickled_using_subcommand config; and not __fish_seen_subcommand_from default check show help" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand config; and not __fish_seen_subcommand_from default check show help" -f -a "default" -d 'Print every key with its default and its meaning'
complete -c tickled -n "__fish_tickled_using_subcommand config; and not __fish_seen_subcommand_from default check show help" -f -a "check" -d 'Validate a configuration without running it: every fault, with its line'
complete -c tickled -n "__fish_tickled_using_subcommand config; and not __fish_seen_subcommand_from default check show help" -f -a "show" -d 'Print the configuration in force: file, environment and defaults together'
complete -c tickled -n "__fish_tickled_using_subcommand config; and not __fish_seen_subcommand_from default check show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tickled -n "__fish_tickled_using_subcommand config; and __fish_seen_subcommand_from default" -s h -l help -d 'Print help'
complete -c tickled -n "__fish_tickled_using_subcommand config; and __fish_seen_subcommand_from default" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand config; and __fish_seen_subcommand_from check" -l config -d 'The same as FILE' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tickled -n "__fish_tickled_using_subcommand config; and __fish_seen_subcommand_from check" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand config; and __fish_seen_subcommand_from show" -l config -d 'The same as FILE' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c tickled -n "__fish_tickled_using_subcommand config; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "default" -d 'Print every key with its default and its meaning'
complete -c tickled -n "__fish_tickled_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "check" -d 'Validate a configuration without running it: every fault, with its line'
complete -c tickled -n "__fish_tickled_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print the configuration in force: file, environment and defaults together'
complete -c tickled -n "__fish_tickled_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tickled -n "__fish_tickled_using_subcommand man" -l into -d 'Write all pages into this directory instead' -r -F
complete -c tickled -n "__fish_tickled_using_subcommand man" -s h -l help -d 'Print help'
complete -c tickled -n "__fish_tickled_using_subcommand man" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand completions" -s h -l help -d 'Print help'
complete -c tickled -n "__fish_tickled_using_subcommand completions" -s V -l version -d 'Print version'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "run" -d 'Run the daemon'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "demo" -d 'Run a short demo: the daemon against a simulated gateway'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "simulate" -d 'Run a simulated gateway to test your own program against'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "status" -d 'Show the state of all gateways, as the daemon sees them'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "watch" -d 'Show the state of all gateways, refreshed every second, until q or Ctrl-C; arrow keys, PgUp and PgDn scroll'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "wait" -d 'Wait until the sessions of all gateways are live'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "history" -d 'Show how much of the time each session was live, with a timeline, outages and state changes'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "check" -d 'Check whether sessions are live: through the running daemon, or directly'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "pause" -d 'Stop all requests to a gateway, e.g. while you trade by hand'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "resume" -d 'End a pause, or retry at once after tickled gave up or while IBKR is silent'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "logout" -d 'End the session of a gateway; this raises no alert'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "ack" -d 'Acknowledge open alerts: no more repeats until they resolve'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "cert" -d 'Show the certificate of a gateway, and the configuration that pins it'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "alert" -d 'Test alert channels'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "hook" -d 'Test hooks'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "login" -d 'Show how to log in, and wait until the session is live'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "doctor" -d 'Diagnose problems: named checks, each with its finding and what to do'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "config" -d 'Validate and print configurations'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "man" -d 'Print manual pages'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "completions" -d 'Print shell completions'
complete -c tickled -n "__fish_tickled_using_subcommand help; and not __fish_seen_subcommand_from run demo simulate status watch wait history check pause resume logout ack cert alert hook login doctor config man completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tickled -n "__fish_tickled_using_subcommand help; and __fish_seen_subcommand_from alert" -f -a "test" -d 'Send a marked test through all channels and the dead man\'s switch, and print each answer'
complete -c tickled -n "__fish_tickled_using_subcommand help; and __fish_seen_subcommand_from hook" -f -a "test" -d 'Run a hook now, marked as a test, and print how it ended'
complete -c tickled -n "__fish_tickled_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "default" -d 'Print every key with its default and its meaning'
complete -c tickled -n "__fish_tickled_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "check" -d 'Validate a configuration without running it: every fault, with its line'
complete -c tickled -n "__fish_tickled_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'Print the configuration in force: file, environment and defaults together'
