//! The commands of the control port: their names, their parameters, and what they do to the world.

mod commands;
mod params;

use std::fmt::Write;
use std::time::Duration;

use super::world::{Competitor, Control, Established, Limits, LoginFault, Reach, Shows, Streaming, Unanswered};
use commands::COMMANDS;
use params::Params;

/// Reads a command. `now` is the time since the world began.
///
/// # Errors
///
/// Describes what is wrong with the command.
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
        "back" => Control::Return(params.one_of(
            "unanswered",
            &[("closed", Unanswered::Closed), ("answered", Unanswered::Answered), ("kept", Unanswered::Kept)],
        )?),
        "close" => Control::CloseConnections,
        "auth-delay" => Control::AuthDelay(params.time("is", Duration::from_secs(3))?),
        "restart" => Control::Restart { down: params.time("down", Duration::from_secs(6))? },
        "fail-reauthenticate" => Control::FailReauthentications(params.times()?),
        "fail-init" => Control::FailInits { times: params.times()?, status: params.status()? },
        "answer" | "delay" | "hang" | "reset" | "cut" | "drip" => Control::Script(params.rule(name, body)?),
        "clear" => Control::Clear,
        "pacing" => Control::Pacing(
            params.one_of("limits", &[("all", Limits::All), ("second", Limits::Second), ("off", Limits::Off)])?,
        ),
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
        "refuse-subscriptions" => Control::RefuseSubscriptions(params.times()?),
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
        "The simulator's control port.\n\n  curl http://{address}/world       the true state, and counters\n  \
         curl http://{address}/requests    every request seen at the gateway\n  \
         curl http://{address}/ibkr        every request that reached IBKR\n  \
         curl http://{address}/upstream    those of them that the gateway made by itself\n\n\
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

#[cfg(test)]
mod tests {
    use super::commands::SCRIPT;
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
    fn every_default_that_the_help_shows_is_accepted_and_changes_nothing() {
        let mut defaults = 0;
        for command in COMMANDS {
            for param in command.params.iter().filter(|param| **param != SCRIPT[0] && !param.starts_with("header=")) {
                let default = param.split('|').next().unwrap_or_default();
                let needed = if command.params.contains(&SCRIPT[0]) { "path=*&" } else { "" };
                // A delay that is not named is the one thing that has no usual value.
                let needed =
                    if command.name == "delay" && *param != "after=usual" { "path=*&after=1s&" } else { needed };
                let answer =
                    format!("{:?}", parse(command.name, &format!("{needed}{default}"), Vec::new(), Duration::ZERO));
                let plain = format!("{:?}", parse(command.name, needed, Vec::new(), Duration::ZERO));
                assert_eq!(answer, plain, "{} {default}", command.name);
                assert!(answer.starts_with("Ok") || command.name == "delay", "{} {default}: {answer}", command.name);
                defaults += 1;
            }
        }
        assert!(defaults >= 30, "{defaults}");
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        let refused = |name, query| parse(name, query, Vec::new(), Duration::ZERO).expect_err(query);
        assert!(refused("relapse", "").contains("no command"));
        assert!(refused("restart", "up=2s").contains("down=6s"));
        assert!(refused("restart", "down=2").contains("10s"));
        assert!(refused("compete", "shows=nothing").contains("quiet"));
        assert!(refused("answer", "path=/&status=99").contains("200 and 999"));
    }
}
