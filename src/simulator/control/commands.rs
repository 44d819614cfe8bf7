//! The commands of the control port, each stated once: its name, its parameters, its help, and what it does to the world.

use std::time::Duration;

use super::params::Params;
use crate::simulator::world::{
    Competitor, Control, Established, Limits, LoginFault, Reach, Shows, Streaming, Unanswered,
};

/// A command.
pub(super) struct Command {
    pub(super) name: &'static str,
    /// Each with its default.
    pub(super) params: &'static [&'static str],
    pub(super) help: &'static str,
    /// What it does, by its parameters.
    pub(super) read: fn(&Params) -> Result<Control, String>,
}

macro_rules! commands {
    ($($name:literal $params:expr, $help:literal => |$p:pat_param| $control:expr;)+) => {
        /// All of them, in the order of the help.
        pub(super) const COMMANDS: &[Command] =
            &[$(Command { name: $name, params: $params, help: $help, read: |$p| Ok($control) }),+];
    };
}

commands! {
    "login" &[], "a human logs in in the browser" => |_| Control::LogIn;
    "expire-login" &["in=now"], "the login ends: 401 on everything until a human logs in"
        => |p| p.maybe_time("in")?.map_or(Control::ExpireLogin, |after| Control::ExpireLoginAt(p.now + after));
    "lapse" &[], "the brokerage session is lost, the login stands" => |_| Control::Lapse;
    "logout-elsewhere" &[], "the nightly kick: all three flags false, the login stands" => |_| Control::LogOutElsewhere;
    "compete" &["shows=taken|both|quiet", "stubborn=false", "returns=never"],
        "another client takes the brokerage session; if evicted, it returns after that time"
        => |p| Control::Compete(Competitor {
            shows: p.one_of("shows", &[("taken", Shows::Taken), ("both", Shows::Both), ("quiet", Shows::Quiet)])?,
            stubborn: p.flag("stubborn", false)?,
            returns_after: p.maybe_time("returns")?,
        });
    "leave" &[], "the other client leaves" => |_| Control::Leave;
    "away" &[], "IBKR does not answer: a proxied request hangs and keeps one of the gateway's five connections"
        => |_| Control::Ibkr(Reach::Away);
    "failing" &["status=503", "after=10s"], "IBKR answers everything with this status"
        => |p| Control::Ibkr(Reach::Failing {
            status: p.status()?.unwrap_or(503),
            after: p.time("after", Duration::from_secs(10))?,
        });
    "back" &["unanswered=closed|answered|kept"],
        "IBKR answers again: hanging requests get nothing, or a late answer, or keep their connections"
        => |p| Control::Return(p.one_of("unanswered", &[
            ("closed", Unanswered::Closed), ("answered", Unanswered::Answered), ("kept", Unanswered::Kept),
        ])?);
    "close" &[], "close the connections that wait for IBKR: hanging requests get nothing, queued ones are sent"
        => |_| Control::CloseConnections;
    "restart" &["down=6s"], "the gateway restarts, refuses connections so long, and has forgotten the login"
        => |p| Control::Restart { down: p.time("down", Duration::from_secs(6))? };
    "fail-reauthenticate" &["times=1"], "reauthenticate says triggered and nothing follows"
        => |p| Control::FailReauthentications(p.times()?);
    "fail-init" &["times=1", "status=none"],
        "ssodh/init does not authenticate, or answers that status; the gateway's own too"
        => |p| Control::FailInits { times: p.times()?, status: p.status()? };
    "answer" ANSWER, "say this instead; the body of the POST is the body" => |p| p.rule("answer")?;
    "delay" SCRIPT, "say the usual thing after that time" => |p| p.rule("delay")?;
    "hang" SCRIPT, "say nothing, for ever; it keeps a connection" => |p| p.rule("hang")?;
    "reset" SCRIPT, "reset the connection" => |p| p.rule("reset")?;
    "cut" SCRIPT, "close the connection half way through the answer" => |p| p.rule("cut")?;
    "drip" SCRIPT, "one byte at a time, without end" => |p| p.rule("drip")?;
    "clear" &[], "forget all scripted answers and all counted faults" => |_| Control::Clear;
    "pacing" &["limits=all|second|off"],
        "rate limits; exceeding one gets 429 for 15 minutes; the default is second: 10 requests a second"
        => |p| Control::Pacing(
            p.one_of("limits", &[("all", Limits::All), ("second", Limits::Second), ("off", Limits::Off)])?
        );
    "latency" &["is=20ms"], "how long IBKR takes" => |p| Control::Latency(p.time("is", Duration::from_millis(20))?);
    "auth-delay" &["is=3s"], "authDelay of the gateway's conf.yaml"
        => |p| Control::AuthDelay(p.time("is", Duration::from_secs(3))?);
    "borrow" &["on=true"], "another application holds the login: nothing authenticates, nothing competes"
        => |p| Control::Borrow(p.flag("on", true)?);
    "refuse-logins" &["why=not-enabled|unconfirmed|none"], "logins succeed in the browser, then 401 on everything"
        => |p| Control::RefuseLogins(p.one_of("why", &[
            ("not-enabled", Some(LoginFault::NotEnabled)), ("unconfirmed", Some(LoginFault::Unconfirmed)), ("none", None),
        ])?);
    "result-false" &["times=1", "zero=false"], "sso/validate says RESULT false, or 0, although the login stands"
        => |p| Control::FalseResults { times: p.times()?, zero: p.flag("zero", false)? };
    "no-session" &["times=1"], "tickle says {\"error\":\"no session\"}" => |p| Control::NoSession(p.times()?);
    "status-false" &["times=1"], "auth/status says false although it is true" => |p| Control::FalseStatuses(p.times()?);
    "established" &["is=follows|never|absent"], "what becomes of the field established"
        => |p| Control::Established(p.one_of("is", &[
            ("follows", Established::Follows), ("never", Established::Never), ("absent", Established::Absent),
        ])?);
    "settle" &["authenticated=0s", "established=0s"], "how long after an init things become true"
        => |p| Control::Settle {
            authenticated: p.time("authenticated", Duration::ZERO)?,
            established: p.time("established", Duration::ZERO)?,
        };
    "paper" &["on=true"], "a paper account, or a live one" => |p| Control::Paper(p.flag("on", true)?);
    "deny" &["on=true"], "the client is not in the gateway's list of addresses" => |p| Control::Deny(p.flag("on", true)?);
    "refuse-subscriptions" &["times=1"], "a subscription on the websocket is answered \"unable to subscribe\""
        => |p| Control::RefuseSubscriptions(p.times()?);
    "streams" &["are=served|silent|closed"], "what the websocket does"
        => |p| Control::Streams(p.one_of("are", &[
            ("served", Streaming::Serves), ("silent", Streaming::Silent), ("closed", Streaming::Closes),
        ])?);
}

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
