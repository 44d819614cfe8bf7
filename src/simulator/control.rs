//! The commands of the control port: their names, their parameters, and what they do to the world.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};

use super::world::{
    Competitor, Control, Does, Established, LoginFault, Method, Raw, Reach, Rule, Shows, Streaming, Times, Who,
};

/// A command as the help lists it.
struct Command {
    name: &'static str,
    /// Each with its default.
    params: &'static [&'static str],
    help: &'static str,
}

/// Reads a command. `now` is the time since the world began.
///
/// # Errors
///
/// Says what is wrong with it.
pub(super) fn parse(name: &str, query: &str, body: Vec<u8>, now: Duration) -> Result<Control, String> {
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        return Err(format!("there is no command \"{name}\""));
    };
    let params = Params::parse(command, query)?;
    Ok(match name {
        "login" => Control::LogIn,
        "expire-login" if params.is_given("in") => Control::ExpireLoginAt(now + params.time("in", Duration::ZERO)?),
        "expire-login" => Control::ExpireLogin,
        "lapse" => Control::Lapse,
        "logout-elsewhere" => Control::LogOutElsewhere,
        "compete" => Control::Compete(Competitor {
            shows: params
                .one_of("shows", &[("taken", Shows::Taken), ("both", Shows::Both), ("quiet", Shows::Quiet)])?,
            stubborn: params.flag("stubborn", false)?,
            returns_after: params.maybe_time("returns")?,
        }),
        "leave" => Control::Leave,
        "away" => Control::Ibkr(Reach::Away),
        "failing" => Control::Ibkr(Reach::Failing {
            status: params.status()?.unwrap_or(503),
            after: params.time("after", Duration::from_secs(10))?,
        }),
        "back" => Control::Ibkr(Reach::Here),
        "restart" => Control::Restart { down: params.time("down", Duration::from_secs(2))? },
        "fail-reauthenticate" => Control::FailReauthentications(params.times()?),
        "fail-init" => Control::FailInits { times: params.times()?, status: params.status()? },
        "answer" | "delay" | "hang" | "reset" | "cut" | "drip" => Control::Script(params.rule(name, body)?),
        "clear" => Control::Clear,
        "pacing" => Control::Pacing(params.flag("strict", true)?),
        "latency" => Control::Latency(params.time("is", Duration::from_millis(20))?),
        "borrow" => Control::Borrow(params.flag("on", true)?),
        "refuse-logins" => Control::RefuseLogins(params.one_of(
            "why",
            &[
                ("not-enabled", Some(LoginFault::NotEnabled)),
                ("unconfirmed", Some(LoginFault::Unconfirmed)),
                ("none", None),
            ],
        )?),
        "result-false" => Control::FalseResults { times: params.times()?, zero: params.flag("zero", false)? },
        "no-session" => Control::NoSession(params.times()?),
        "status-false" => Control::FalseStatuses(params.times()?),
        "established" => Control::Established(params.one_of(
            "is",
            &[("follows", Established::Follows), ("never", Established::Never), ("absent", Established::Absent)],
        )?),
        "settle" => Control::Settle {
            authenticated: params.time("authenticated", Duration::ZERO)?,
            established: params.time("established", Duration::ZERO)?,
        },
        "paper" => Control::Paper(params.flag("on", true)?),
        "deny" => Control::Deny(params.flag("on", true)?),
        "streams" => Control::Streams(params.one_of(
            "are",
            &[("served", Streaming::Serves), ("silent", Streaming::Silent), ("closed", Streaming::Closes)],
        )?),
        _ => return Err(format!("the command \"{name}\" is listed and not written")),
    })
}

/// The page of all commands, for a control port at this address.
pub(super) fn help(address: &str) -> String {
    let mut text = format!(
        "The simulator's control port.\n\n  curl http://{address}/world       what is really so, and what was counted\n  \
         curl http://{address}/requests    every request seen at the gateway\n  \
         curl http://{address}/upstream    what the gateway asked of IBKR by itself\n\n\
         Commands, each a POST; parameters in the query. Times are written 500ms, 10s, 5m, 1h; times=N or always.\n\n"
    );
    for command in COMMANDS {
        let _ = writeln!(text, "  {:<20} {}", command.name, command.help);
        if !command.params.is_empty() {
            let _ = writeln!(text, "  {:<20}   {}", "", command.params.join("  "));
        }
    }
    let _ = write!(
        text,
        "\n  curl -X POST 'http://{address}/lapse'\n  \
         curl -X POST 'http://{address}/compete?shows=both&returns=30s'\n  \
         curl -X POST 'http://{address}/answer?path=/v1/api/tickle&status=503&after=10s&times=3' -d 'not now'\n"
    );
    text
}

/// The parameters of a command, all of them known ones.
struct Params {
    list: Vec<(String, String)>,
}

impl Params {
    fn parse(command: &Command, query: &str) -> Result<Params, String> {
        let mut list = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, "true"));
            let known = |param: &&str| param.split('=').next() == Some(key);
            if !command.params.iter().any(known) {
                let params = match command.params {
                    [] => "none".to_owned(),
                    params => params.join(" "),
                };
                return Err(format!("{} has no parameter \"{key}\"; it takes: {params}", command.name));
            }
            list.push((key.to_owned(), decode(value)));
        }
        Ok(Params { list })
    }

    fn find(&self, key: &str) -> Option<&str> {
        self.list.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn is_given(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    fn maybe_time(&self, key: &str) -> Result<Option<Duration>, String> {
        let Some(text) = self.find(key) else {
            return Ok(None);
        };
        let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
        match parsed {
            Some(time) => Ok(Some(time)),
            None => Err(format!("{key}={text} is not a time such as 500ms, 10s or 5m")),
        }
    }

    fn time(&self, key: &str, default: Duration) -> Result<Duration, String> {
        Ok(self.maybe_time(key)?.unwrap_or(default))
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        match self.find(key) {
            None => Ok(default),
            Some("true" | "on" | "yes") => Ok(true),
            Some("false" | "off" | "no") => Ok(false),
            Some(text) => Err(format!("{key}={text} is neither true nor false")),
        }
    }

    fn times(&self) -> Result<Times, String> {
        match self.find("times") {
            None => Ok(Times::Next(1)),
            Some("always") => Ok(Times::Always),
            Some(text) => match text.parse() {
                Ok(times) => Ok(Times::Next(times)),
                Err(_) => Err(format!("times={text} is neither a number nor \"always\"")),
            },
        }
    }

    fn status(&self) -> Result<Option<u16>, String> {
        let Some(text) = self.find("status") else {
            return Ok(None);
        };
        match text.parse() {
            Ok(status @ 200..=999) => Ok(Some(status)),
            Ok(_) | Err(_) => Err(format!("status={text} is not a status between 200 and 999")),
        }
    }

    /// The first choice is the default.
    fn one_of<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<T, String> {
        let found = match self.find(key) {
            None => choices.first(),
            Some(text) => choices.iter().find(|(name, _)| *name == text),
        };
        match found {
            Some((_, choice)) => Ok(*choice),
            None => {
                let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
                Err(format!("{key} must be one of: {}", names.join(", ")))
            }
        }
    }

    fn rule(&self, name: &str, body: Vec<u8>) -> Result<Rule, String> {
        let Some(path) = self.find("path") else {
            return Err(format!("{name} needs path=, for instance path=/v1/api/tickle or path=*"));
        };
        let does = match name {
            "answer" => Does::Say(Arc::new(self.raw(body)?)),
            "delay" => Does::Delay,
            "hang" => Does::Hang,
            "reset" => Does::Reset,
            "cut" => Does::Cut,
            _ => Does::Drip,
        };
        let after = self.maybe_time("after")?;
        if does == Does::Delay && after.is_none() {
            return Err("delay needs after=, for instance after=10s".to_owned());
        }
        Ok(Rule {
            path: path.to_owned(),
            method: self.find("method").map(Method::parse),
            who: self
                .one_of("who", &[("all", None), ("client", Some(Who::Client)), ("gateway", Some(Who::Gateway))])?,
            times: self.times()?,
            after,
            does,
        })
    }

    fn raw(&self, body: Vec<u8>) -> Result<Raw, String> {
        let mut headers = Vec::new();
        for (_, header) in self.list.iter().filter(|(key, _)| key == "header") {
            let Some((name, value)) = header.split_once(':') else {
                return Err(format!("header={header} is not NAME:VALUE"));
            };
            let (name, value) = (name.trim(), value.trim());
            if HeaderName::try_from(name).is_err() || HeaderValue::try_from(value).is_err() {
                return Err(format!("header={header} cannot be sent as a header"));
            }
            headers.push((name.to_owned(), value.to_owned()));
        }
        Ok(Raw {
            status: self.status()?.unwrap_or(200),
            content_type: self.find("type").unwrap_or("application/json;charset=utf-8").to_owned(),
            headers,
            body,
        })
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        rest = more;
        match (first, more) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) => {
                let hex = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                match (hex(*high), hex(*low)) {
                    (Some(high), Some(low)) => {
                        bytes.push(high * 16 + low);
                        rest = after;
                    }
                    (Some(_) | None, Some(_) | None) => bytes.push(b'%'),
                }
            }
            (other, _) => bytes.push(*other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const COMMANDS: &[Command] = &[
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
        help: "somebody else takes the brokerage session; evicted, it returns after that time",
    },
    Command { name: "leave", params: &[], help: "that somebody leaves" },
    Command { name: "away", params: &[], help: "IBKR does not answer: everything proxied hangs for ever" },
    Command { name: "failing", params: &["status=503", "after=10s"], help: "IBKR answers everything with this status" },
    Command { name: "back", params: &[], help: "IBKR answers again; what hangs stays so" },
    Command {
        name: "restart",
        params: &["down=2s"],
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
    Command { name: "hang", params: SCRIPT, help: "say nothing, for ever" },
    Command { name: "reset", params: SCRIPT, help: "reset the connection" },
    Command { name: "cut", params: SCRIPT, help: "close the connection half way through the answer" },
    Command { name: "drip", params: SCRIPT, help: "one byte at a time, without end" },
    Command { name: "clear", params: &[], help: "forget all scripted answers and all counted faults" },
    Command {
        name: "pacing",
        params: &["strict=true"],
        help: "429 to whoever is too fast, then 15 minutes of it; a second POST begins anew",
    },
    Command { name: "latency", params: &["is=20ms"], help: "how long IBKR takes" },
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
    Command { name: "streams", params: &["are=served|silent|closed"], help: "what the websocket does" },
];

const SCRIPT: &[&str] = &["path=PATH or START*", "method=any", "after=usual", "times=1", "who=all|client|gateway"];
const ANSWER: &[&str] = &[
    "path=PATH or START*",
    "method=any",
    "after=usual",
    "times=1",
    "who=all|client|gateway",
    "status=200",
    "type=application/json",
    "header=NAME:VALUE",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_command_is_read() {
        assert!(COMMANDS.len() > 20);
        for command in COMMANDS {
            let query = if command.params.contains(&SCRIPT[0]) { "path=*&after=1s" } else { "" };
            let read = parse(command.name, query, Vec::new(), Duration::ZERO);
            assert!(read.is_ok(), "{}: {read:?}", command.name);
        }
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        let refused = |name, query| parse(name, query, Vec::new(), Duration::ZERO).expect_err(query);
        assert!(refused("relapse", "").contains("no command"));
        assert!(refused("restart", "up=2s").contains("down=2s"));
        assert!(refused("restart", "down=2").contains("10s"));
        assert!(refused("compete", "shows=nothing").contains("quiet"));
        assert!(refused("answer", "path=/&status=99").contains("200 and 999"));
    }

    #[test]
    fn percent_signs_are_decoded_or_left_alone() {
        assert_eq!(decode("a%20b+c%2Fd%zz%"), "a b c/d%zz%");
    }
}
