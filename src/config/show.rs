//! The configuration in force as a file that says the same, every key with its value.

use jiff::civil::Weekday;
use strum::VariantArray;

use super::schema::{
    CHANNEL, CHANNELS, ChannelDraft, ChannelType, Day, DeadmanDraft, Draft, EVERY_CHANNEL, GATEWAY, GatewayDraft, HOOK,
    HOOKS, HookDraft, HoursDraft, KeyRow, PlainHttp, ROOT, SESSION, TrustBy, WINDOW, WINDOWS, WindowDraft,
};
use super::validate::{Config, Gateway};
use crate::alert::schedule::Hours;
use crate::alert::settings::{self, HttpMethod, Payload, Url};
use crate::calendar::Window;
use crate::gateway::Trust;
use crate::hook::Hook;

/// Formats the configuration as TOML.
#[must_use]
pub fn show(config: &Config) -> String {
    let mut file = TomlFile::default();
    for gateway in &config.gateways {
        let table = format!("gateway.{}", gateway.name);
        let login_url = config.alerts.login_urls.get(&gateway.name).cloned();
        let draft = GatewayDraft { login_url, ..gateway_draft(gateway) };
        file.rows(&table, GATEWAY, &draft, |_| true);
        file.rows(&format!("{table}.session"), SESSION, &draft.policy, |_| true);
    }
    let draft = Draft {
        ibkr: config.ibkr.clone(),
        maintenance: config.maintenance.clone(),
        alerts: config.alerts.clone(),
        hours: config.alerts.hours.as_ref().map_or_else(HoursDraft::default, hours_draft),
        deadman: config.alerts.deadman.as_ref().map_or_else(DeadmanDraft::default, |deadman| DeadmanDraft {
            url_file: Some(deadman.url_file.clone()),
            every: deadman.every,
            fails: deadman.fails,
        }),
        endpoint: config.endpoint.clone(),
        log: config.log.clone(),
        ..Draft::default()
    };
    let is_first = |row: &str| row.starts_with("ibkr.") || row.starts_with("maintenance.");
    file.rows("", ROOT, &draft, is_first);
    if config.maintenance.windows.is_empty() {
        file.line("maintenance", "window", "[]");
    }
    for window in &config.maintenance.windows {
        file.item(WINDOWS, WINDOW, &window_draft(window), |_| true);
    }
    file.rows("", ROOT, &draft, |row| !is_first(row));
    for channel in &config.alerts.channels {
        let draft = channel_draft(channel);
        let keys = draft.kind.map(ChannelType::keys).unwrap_or_default();
        file.item(CHANNELS, CHANNEL, &draft, |row| EVERY_CHANNEL.contains(&row) || keys.contains(&row));
    }
    for Hook { name, on, gateways, argv, within } in config.hooks.clone() {
        file.item(HOOKS, HOOK, &HookDraft { name: Some(name), on, gateways, argv, within }, |_| true);
    }
    file.text
}

/// A file under way, and the table it is in.
#[derive(Default)]
struct TomlFile {
    text: String,
    table: String,
}

impl TomlFile {
    fn line(&mut self, table: &str, key: &str, value: &str) {
        if self.table != table {
            let blank = if self.text.is_empty() { "" } else { "\n" };
            self.text += &format!("{blank}[{table}]\n");
            table.clone_into(&mut self.table);
        }
        self.text += &format!("{key} = {value}\n");
    }

    fn rows<T>(&mut self, prefix: &str, rows: &[KeyRow<T>], target: &T, is_shown: impl Fn(&str) -> bool) {
        for row in rows.iter().filter(|row| is_shown(row.name)) {
            let path = if prefix.is_empty() { row.name.to_owned() } else { format!("{prefix}.{}", row.name) };
            if let (Some((table, key)), Some(value)) = (path.rsplit_once('.'), (row.show)(target)) {
                self.line(table, key, &value.to_string());
            }
        }
    }

    /// A table of the list called `list`.
    fn item<T>(&mut self, list: &str, rows: &[KeyRow<T>], target: &T, is_shown: impl Fn(&str) -> bool) {
        self.text += &format!("\n[[{list}]]\n");
        list.clone_into(&mut self.table);
        self.rows(list, rows, target, is_shown);
        self.table.clear();
    }
}

fn gateway_draft(gateway: &Gateway) -> GatewayDraft {
    let draft = GatewayDraft {
        url: Some(gateway.target.url.clone()),
        region: gateway.region,
        public_address: gateway.public_address.clone(),
        unit: gateway.unit.clone(),
        stream: gateway.stream,
        wedged_restart: gateway.wedged_restart.clone(),
        ..GatewayDraft::new(gateway.policy.clone())
    };
    match &gateway.target.trust {
        Trust::Loopback => draft,
        Trust::Plain => GatewayDraft { plain_http: PlainHttp::Known, ..draft },
        Trust::System => GatewayDraft { trust: TrustBy::System, ..draft },
        Trust::Pin(pins) => GatewayDraft { trust: TrustBy::Pin, pins: pins.clone(), ..draft },
        Trust::CaFile(path) => GatewayDraft { trust: TrustBy::CaFile, ca_file: Some(path.clone()), ..draft },
    }
}

fn window_draft(window: &Window) -> WindowDraft {
    WindowDraft {
        days: days(&window.days),
        from: Some(window.from),
        to: Some(window.to),
        zone: jiff::tz::TimeZone::get(&window.zone).ok(),
        regions: window.regions.clone(),
    }
}

fn hours_draft(hours: &Hours) -> HoursDraft {
    let Hours { from, to, ready_by, except, .. } = hours.clone();
    HoursDraft { days: days(&hours.days), from: Some(from), to: Some(to), ready_by, except }
}

fn days(weekdays: &[Weekday]) -> Vec<Day> {
    let day = |weekday| Day::VARIANTS.iter().copied().find(|day| day.weekday() == weekday);
    weekdays.iter().copied().filter_map(day).collect()
}

fn channel_draft(channel: &settings::Channel) -> ChannelDraft {
    let draft = ChannelDraft {
        name: Some(channel.name.clone()),
        min_severity: channel.min_severity,
        gateways: channel.gateways.clone(),
        codes: channel.codes.clone(),
        after: channel.after,
        ..ChannelDraft::default()
    };
    match channel.kind.clone() {
        settings::ChannelKind::Webhook(webhook) => {
            let (url, url_file) = match webhook.url {
                Url::Plain(url) => (Some(url), None),
                Url::File(path) => (None, Some(path)),
            };
            let (preset, body) = match webhook.payload {
                Payload::Preset(preset) => (Some(preset), None),
                Payload::Body(body) => (None, Some(body).filter(|_| webhook.method != HttpMethod::Get)),
            };
            ChannelDraft {
                kind: Some(ChannelType::Webhook),
                preset,
                url,
                url_file,
                token_file: webhook.token_file,
                method: webhook.method,
                headers: webhook.headers,
                body,
                to: webhook.to.into_iter().collect(),
                emergency: webhook.emergency,
                ca_file: webhook.ca_file,
                ..draft
            }
        }
        settings::ChannelKind::Email(email) => ChannelDraft {
            kind: Some(ChannelType::Email),
            host: Some(email.host),
            port: Some(email.port),
            tls: email.tls,
            from: Some(email.from),
            to: email.to,
            user: email.user,
            password_file: email.password_file,
            ca_file: email.ca_file,
            ..draft
        },
        settings::ChannelKind::Command(command) => {
            ChannelDraft { kind: Some(ChannelType::Command), argv: command.argv, within: Some(command.within), ..draft }
        }
    }
}
