//! The list of the control port's commands, as its help prints it and as they are checked against.

/// A command as the help lists it.
pub(super) struct Command {
    pub(super) name: &'static str,
    /// Each with its default.
    pub(super) params: &'static [&'static str],
    pub(super) help: &'static str,
}

pub(super) const COMMANDS: &[Command] = &[
    Command { name: "login", params: &[], help: "a human logs in in the browser" },
    Command {
        name: "expire-login",
        params: &["in=now"],
        help: "the login ends: 401 on everything until a human logs in",
    },
    Command { name: "lapse", params: &[], help: "the brokerage session is lost, the login stands" },
    Command {
        name: "logout-elsewhere",
        params: &[],
        help: "the nightly kick: all three flags false, the login stands",
    },
    Command {
        name: "compete",
        params: &["shows=taken|both|quiet", "stubborn=false", "returns=never"],
        help: "another client takes the brokerage session; if evicted, it returns after that time",
    },
    Command { name: "leave", params: &[], help: "the other client leaves" },
    Command {
        name: "away",
        params: &[],
        help: "IBKR does not answer: a proxied request hangs and keeps one of the gateway's five connections",
    },
    Command { name: "failing", params: &["status=503", "after=10s"], help: "IBKR answers everything with this status" },
    Command {
        name: "back",
        params: &["unanswered=closed|answered|kept"],
        help: "IBKR answers again: hanging requests get nothing, or a late answer, or keep their connections",
    },
    Command {
        name: "close",
        params: &[],
        help: "close the connections that wait for IBKR: hanging requests get nothing, queued ones are sent",
    },
    Command {
        name: "restart",
        params: &["down=6s"],
        help: "the gateway restarts, refuses connections so long, and has forgotten the login",
    },
    Command {
        name: "fail-reauthenticate",
        params: &["times=1"],
        help: "reauthenticate says triggered and nothing follows",
    },
    Command {
        name: "fail-init",
        params: &["times=1", "status=none"],
        help: "ssodh/init does not authenticate, or answers that status; the gateway's own too",
    },
    Command { name: "answer", params: ANSWER, help: "say this instead; the body of the POST is the body" },
    Command { name: "delay", params: SCRIPT, help: "say the usual thing after that time" },
    Command { name: "hang", params: SCRIPT, help: "say nothing, for ever; it keeps a connection" },
    Command { name: "reset", params: SCRIPT, help: "reset the connection" },
    Command { name: "cut", params: SCRIPT, help: "close the connection half way through the answer" },
    Command { name: "drip", params: SCRIPT, help: "one byte at a time, without end" },
    Command { name: "clear", params: &[], help: "forget all scripted answers and all counted faults" },
    Command {
        name: "pacing",
        params: &["limits=all|second|off"],
        help: "rate limits; exceeding one gets 429 for 15 minutes; the default is second: 10 requests a second",
    },
    Command { name: "latency", params: &["is=20ms"], help: "how long IBKR takes" },
    Command { name: "auth-delay", params: &["is=3s"], help: "authDelay of the gateway's conf.yaml" },
    Command {
        name: "borrow",
        params: &["on=true"],
        help: "another application holds the login: nothing authenticates, nothing competes",
    },
    Command {
        name: "refuse-logins",
        params: &["why=not-enabled|unconfirmed|none"],
        help: "logins succeed in the browser, then 401 on everything",
    },
    Command {
        name: "result-false",
        params: &["times=1", "zero=false"],
        help: "sso/validate says RESULT false, or 0, although the login stands",
    },
    Command { name: "no-session", params: &["times=1"], help: "tickle says {\"error\":\"no session\"}" },
    Command { name: "status-false", params: &["times=1"], help: "auth/status says false although it is true" },
    Command {
        name: "established",
        params: &["is=follows|never|absent"],
        help: "what becomes of the field established",
    },
    Command {
        name: "settle",
        params: &["authenticated=0s", "established=0s"],
        help: "how long after an init things become true",
    },
    Command { name: "paper", params: &["on=true"], help: "a paper account, or a live one" },
    Command { name: "deny", params: &["on=true"], help: "the client is not in the gateway's list of addresses" },
    Command {
        name: "refuse-subscriptions",
        params: &["times=1"],
        help: "a subscription on the websocket is answered \"unable to subscribe\"",
    },
    Command { name: "streams", params: &["are=served|silent|closed"], help: "what the websocket does" },
];

pub(super) const SCRIPT: &[&str] =
    &["path=PATH or START*", "method=any", "after=usual", "times=1", "who=all|client|gateway"];
const ANSWER: &[&str] = &[
    "path=PATH or START*",
    "method=any",
    "after=usual",
    "times=1",
    "who=all|client|gateway",
    "status=200",
    "type=application/json;charset=utf-8",
    "header=NAME:VALUE",
];
