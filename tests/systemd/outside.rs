//! What leaves the unit's sandbox: alerts over TLS to the outside, by the system's own certificates, and to a program.

use std::time::Duration;

use crate::machine::{Base, Machine, on_both};

const CONFIG: &str = r#"
[gateway.main]
url = "https://127.0.0.1:5000"
[session]
check_every = "1s"
[maintenance]
window = []
[[alerts.channel]]
name = "hook"
type = "webhook"
preset = "json"
url = "https://127.0.0.1:6443/hook"
[[alerts.channel]]
name = "mail"
type = "email"
host = "127.0.0.1"
port = 6465
tls = "tls"
from = "tickled@example.org"
to = ["you@example.org"]
[[alerts.channel]]
name = "siren"
type = "command"
argv = ["/usr/local/bin/siren", "--for", "10s"]
"#;

/// Writes its input to the daemon's own folders, and tries what the sandbox must refuse.
const SIREN: &str = r#"#!/bin/bash
{ echo "$* $TICKLED_ALERT_CODE"; cat; } >"$STATE_DIRECTORY/siren" && cp "$STATE_DIRECTORY/siren" "$RUNTIME_DIRECTORY" || exit 70
echo here >/tmp/siren || exit 71
exec 3<>/dev/tcp/127.0.0.1/5001 || exit 72
{ echo there >/usr/local/bin/siren || echo there >/etc/tickled/tickled.toml || ls /root/.; } 2>/dev/null && exit 73
exit 0
"#;

/// Two servers with a certificate that record what they receive: one speaks HTTP, one SMTP.
const RECEIVER: &str = r#"#!/bin/bash
cd /run/receiver
case $1 in
https) arguments=(-accept 6443) ;;
smtp) arguments=(-accept 6465) ;;
esac
while :; do
	coproc S { exec openssl s_server -quiet -cert host.pem -key host.key -naccept 1 "${arguments[@]}" 2>>"$1.log"; }
	pid=$S_PID in=${S[0]} out=${S[1]}
	exec 4<&"$in" 5>&"$out"
	say() { printf '%s\r\n' "$@" >&5; }
	# Sent as soon as somebody is there.
	[ "$1" != smtp ] || say "220 box"
	while IFS= read -r line <&4 || [ -n "$line" ]; do
		echo "$line" >>"$1.got"
		case $1:${line%$'\r'} in
		https:) say "HTTP/1.1 200 OK" "Content-Length: 0" "Connection: close" "" ;;
		smtp:EHLO*) say "250 box" ;;
		smtp:MAIL* | smtp:RCPT* | smtp:.) say "250 fine" ;;
		smtp:DATA) say "354 go on" ;;
		smtp:QUIT) say "221 bye" ;;
		esac
	done
	exec 4<&- 5>&-
	kill "$pid" 2>/dev/null
	wait
done
"#;

#[test]
fn alerts_leave_the_sandbox_over_tls_that_the_system_vouches_for_and_by_a_program() {
    on_both(leave);
}

fn leave(base: Base) {
    let Some(machine) = Machine::boot(base) else { return };
    machine.write("/etc/tickled/tickled.toml", CONFIG);
    machine.write("/usr/local/bin/siren", SIREN);
    machine.write("/run/receiver/receiver", RECEIVER);
    machine.ok(
        "chmod +x /usr/local/bin/siren /run/receiver/receiver && cd /run/receiver && \
         openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=ca 2>&1 && \
         openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout host.key -out host.csr -subj /CN=host 2>&1 && \
         printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n' >host.ext && \
         openssl x509 -req -in host.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile host.ext -out host.pem 2>&1",
    );
    for name in ["https", "smtp"] {
        machine.ok(&format!("systemd-run --quiet --unit=receiver-{name} /run/receiver/receiver {name}"));
    }
    machine.install();
    machine.simulate();
    machine.ok("systemctl start tickled");
    assert_eq!(machine.shows("StatusText"), "live: main");
    machine.set("expire-login");
    let limit = Duration::from_secs(60);
    let alerts = |event: &str, channel: &str| {
        machine.entries(&[("TICKLED_EVENT", event), ("TICKLED_CHANNEL", channel), ("TICKLED_CODE", "login-required")])
    };

    // A server that the system does not trust receives nothing.
    for channel in ["hook", "mail"] {
        machine.within(limit, channel, || !alerts("alert-delayed", channel).is_empty());
        let fault = alerts("alert-delayed", channel)[0]["TICKLED_FAULT"].to_string().to_lowercase();
        assert!(fault.contains("certificate") || fault.contains("issuer"), "{channel}: {fault}");
    }
    machine.within(limit, "the program", || !alerts("alert-sent", "siren").is_empty());
    let told = machine.ok("cat /var/lib/private/tickled/siren");
    assert!(told.starts_with("--for 10s login-required\n") && told.contains("\"gateway\""), "{told}");
    assert_eq!(machine.ok("cat /run/tickled/siren"), told);
    assert_ne!(machine.run("ls /tmp/siren").code, Some(0), "its /tmp is its own");

    // With the certificate where an administrator puts it, and the daemon anew: nothing of what waited is lost.
    machine.ok("cp /run/receiver/ca.pem /usr/local/share/ca-certificates/box.crt && update-ca-certificates 2>&1");
    machine.ok("systemctl restart tickled");
    for channel in ["hook", "mail"] {
        machine.within(limit, channel, || !alerts("alert-sent", channel).is_empty());
    }
    let got = machine.ok("cat /run/receiver/https.got");
    assert!(got.contains("POST /hook HTTP/1.1") && got.contains("login-required"), "{got}");
    let got = machine.ok("cat /run/receiver/smtp.got");
    assert!(got.contains("RCPT TO:<you@example.org>") && got.contains("log in now"), "{got}");
}
