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
    let (level, text) = match notice.phase {
        AlertPhase::Raised | AlertPhase::Test => (notice.severity, format!("{title}: {summary}")),
        AlertPhase::Repeated | AlertPhase::Acknowledged => {
            (notice.severity, format!("still, after {lasted}: {title}: {summary}"))
        }
        AlertPhase::Resolved => {
            let over = entry.resolved_title.unwrap_or("over");
            (Severity::Info, format!("{over} after {lasted}; it was: {title}"))
        }
        AlertPhase::Withdrawn => {
            let text = format!("no longer monitored, alert closed after {lasted}, not fixed; it was: {title}");
            (Severity::Info, text)
        }
        AlertPhase::Replaced => {
            let text = format!("alert closed after {lasted}, a newer one says what is wrong; it was: {title}");
            (Severity::Info, text)
        }
    };
    let (is_first, is_open) = match notice.phase {
        AlertPhase::Raised | AlertPhase::Test => (true, true),
        AlertPhase::Repeated | AlertPhase::Acknowledged => (false, true),
        AlertPhase::Resolved | AlertPhase::Withdrawn | AlertPhase::Replaced => (false, false),
    };
    let (reason, action) = (is_open.then_some(reason.as_str()), is_open.then_some(action.as_str()));
    let lasted = (!is_first).then_some(lasted.as_str());
    // The level is part of the call, so each has one of its own.
    macro_rules! write_line {
        ($level:ident) => {
            $level!(event = event::ALERT, gateway, channel, code, phase, reason, action, lasted, "{about}: {text}")
        };
    }
    match level {
        Severity::Error => write_line!(error),
        Severity::Warning => write_line!(warn),
        Severity::Info => write_line!(info),
    }
}
