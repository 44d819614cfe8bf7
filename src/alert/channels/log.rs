//! The built-in channel: a line in the log.

use tracing::{error, info, warn};

use super::super::Severity;
use super::super::notice::{AlertPhase, Notice, one_line};
use crate::log::{event, human_duration};

/// Logs a notice.
pub fn write(notice: &Notice) {
    let entry = notice.code.entry();
    let Notice { about, reason, summary, .. } = notice;
    let action = one_line(&notice.action);
    let (gateway, channel) = match about {
        super::super::About::Gateway(name) => (Some(name.as_str()), None),
        super::super::About::Channel(name) => (None, Some(name.as_str())),
        super::super::About::Daemon => (None, None),
    };
    let (code, title, phase) = (notice.code.name(), entry.title, notice.phase.name());
    let lasted = human_duration(std::time::Duration::from_secs(notice.lasted.as_secs()));
    // The level is part of the call, so each has one of its own.
    macro_rules! write_line {
        ($level:ident) => {
            match notice.phase {
                AlertPhase::Raised | AlertPhase::Test => {
                    $level!(
                        event = event::ALERT,
                        gateway,
                        channel,
                        code,
                        phase,
                        reason,
                        action,
                        "{about}: {title}: {summary}"
                    )
                }
                AlertPhase::Repeated | AlertPhase::Acknowledged => $level!(
                    event = event::ALERT,
                    gateway,
                    channel,
                    code,
                    phase,
                    reason,
                    action,
                    lasted,
                    "{about}: still, after {lasted}: {title}: {summary}",
                ),
                AlertPhase::Resolved => {
                    let over = entry.resolved_title.unwrap_or("over");
                    info!(
                        event = event::ALERT,
                        gateway, channel, code, phase, lasted, "{about}: {over}, after {lasted}: it was: {title}",
                    );
                }
                AlertPhase::Withdrawn => {
                    info!(
                        event = event::ALERT,
                        gateway,
                        channel,
                        code,
                        phase,
                        lasted,
                        "{about}: no longer monitored, alert closed after {lasted}, not fixed: it was: {title}",
                    );
                }
                AlertPhase::Replaced => {
                    info!(
                        event = event::ALERT,
                        gateway,
                        channel,
                        code,
                        phase,
                        lasted,
                        "{about}: alert closed after {lasted}, a newer one says what is wrong: it was: {title}",
                    );
                }
            }
        };
    }
    match notice.severity {
        Severity::Error => write_line!(error),
        Severity::Warning => write_line!(warn),
        Severity::Info => write_line!(info),
    }
}
