//! The commands of the control port.

mod commands;
mod params;

use std::fmt::Write;
use std::time::Duration;

use super::world::Control;
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
    (command.read)(&Params::parse(command.name, command.params, query, body, now)?)
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
