//! Mail: a real conversation with a mail server, protected as the operator says, and what each refusal means.

use std::path::PathBuf;

use tickled::alert::settings::{ChannelKind, EmailSettings, MailTls};
use tickled::alert::{Code, Outcome};

use crate::delivery::{TOLD, channel, watched};
use crate::edge::{asks_a_human, attempt, attempt_as, is_tried_again, webhook, why};
use crate::keep;
use crate::mailserver::{Mail, Mailserver, Protection};
use support::receiver::{Authority, Receiver};
use support::{Daemon, Gateway, SOON, file};

fn email(server: &Mailserver, tls: MailTls, ca_file: Option<PathBuf>) -> EmailSettings {
    EmailSettings {
        host: "127.0.0.1".to_owned(),
        port: server.address.port(),
        tls,
        from: "Tickled <tickled@example.org>".to_owned(),
        to: vec!["you@example.org".to_owned(), "Your Partner <partner@example.org>".to_owned()],
        user: None,
        password_file: None,
        ca_file,
    }
}

#[tokio::test]
async fn a_mail_says_it_all_in_its_subject_and_goes_to_all() {
    let mut server = Mailserver::start(Protection::Open).await;
    let outcome = attempt(ChannelKind::Email(email(&server, MailTls::None, None))).await;
    assert!(matches!(&outcome, Outcome::Sent { answer, except: None } if answer == "250 taken"), "{outcome:?}");
    let mail = server.takes(SOON).await;
    assert_eq!(mail.from, "tickled@example.org");
    assert_eq!(mail.to, ["you@example.org", "partner@example.org"]);
    assert!(!mail.is_encrypted && mail.login.is_empty());
    let (head, text) = mail.text.split_once("\r\n\r\n").unwrap();
    let head: Vec<&str> = head.split("\r\n").collect();
    assert!(head.contains(&"Subject: TEST: this alert is only a test"), "{head:?}");
    assert!(head.contains(&"From: Tickled <tickled@example.org>"), "{head:?}");
    assert!(head.iter().any(|line| line.starts_with("Date: ")), "{head:?}");
    assert!(head.iter().any(|line| line.starts_with("Message-ID: <")), "{head:?}");
    assert!(head.contains(&"Auto-Submitted: auto-generated"), "no holiday is answered: {head:?}");
    assert!(text.starts_with("Nothing is wrong: this is a test"), "{text}");
    assert!(server.spoken().contains("EHLO [127.0.0.1]\n"), "no name without a dot: {}", server.spoken());
    assert!(server.rest().is_empty());
}

/// Header fields by their names in lower case, unfolded.
fn fields(head: &str) -> Vec<(String, String)> {
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let field = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    unfolded.split("\r\n").map(|line| field(line).unwrap_or_else(|| panic!("no header: {line:?}"))).collect()
}

/// What RFC 5322, 2045 and 3834 ask of every mail of ours.
fn is_strict(text: &str) -> Vec<(String, String)> {
    assert!(text.is_ascii(), "{text}");
    assert!(!text.replace("\r\n", "").contains(['\r', '\n', '\0']), "no line ends otherwise: {text:?}");
    assert!(text.split("\r\n").all(|line| line.len() <= 200), "{text}");
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(!body.is_empty());
    let fields = fields(head);
    let of = |name: &str| -> Vec<&str> {
        fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    };
    for once in ["from", "to", "subject", "date", "message-id", "mime-version", "content-type"] {
        assert_eq!(of(once).len(), 1, "{once}: {head}");
    }
    assert_eq!(of("mime-version"), ["1.0"]);
    assert_eq!(of("auto-submitted"), ["auto-generated"]);
    assert_eq!(of("content-type"), ["text/plain; charset=utf-8"]);
    assert!(jiff::fmt::rfc2822::parse(of("date")[0]).is_ok(), "{head}");
    for id in of("message-id").into_iter().chain(of("references")).chain(of("in-reply-to")) {
        let inner = id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap();
        let (left, right) = inner.split_once('@').unwrap();
        let is_atom = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
        assert!(is_atom(left) && is_atom(right), "{id}");
    }
    fields
}

/// What Python's strict parser finds wrong with the mail; `None` without Python.
fn python_finds(text: &str) -> Option<String> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let script = "import sys, email, email.policy\nmail = email.message_from_bytes(sys.stdin.buffer.read(), policy=\
                  email.policy.strict)\nfor name, value in mail.items():\n    assert not value.defects, (name, value.defects)\n\
                  print(mail.defects, mail.get_content_type(), mail['Subject'], mail.get_content(), sep='|')";
    let mut child = Command::new("python3")
        .args(["-c", script])
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    Some(said + &String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn a_mail_is_valid_for_a_strict_parser() {
    let mut server = Mailserver::start(Protection::Open).await;
    let plain = email(&server, MailTls::None, None);
    let odd = EmailSettings {
        from: "\"Tickled, the daemon\" <tickled@example.org>".to_owned(),
        to: vec!["Jörg Müller <joerg@example.org>".to_owned(), "you@bücher.example".to_owned()],
        ..plain.clone()
    };
    for (mail, code) in [(plain, None), (odd, Some(Code::LoginRequired))] {
        let outcome = attempt_as(ChannelKind::Email(mail), code).await;
        assert!(matches!(outcome, Outcome::Sent { except: None, .. }), "{outcome:?}");
        let mail = server.takes(SOON).await;
        is_strict(&mail.text);
        match python_finds(&mail.text) {
            Some(said) => {
                assert!(said.starts_with("[]|text/plain|TEST: "), "{said}\n{}", mail.text);
                assert!(said.contains("Nothing is wrong: this is a test"), "{said}");
            }
            None => eprintln!("there is no python3, so its parser is not asked"),
        }
    }
    assert!(server.spoken().contains("RCPT TO:<you@xn--bcher-kva.example>"), "{}", server.spoken());
}

#[tokio::test]
async fn what_comes_after_the_mail_was_taken_does_not_matter() {
    let mut server = Mailserver::start(Protection::Open).await;
    for (command, reply) in [("QUIT", "hang"), ("QUIT", "500 what?"), ("TEXT", "later 250 taken")] {
        server.answers(command, reply);
        let outcome = attempt(ChannelKind::Email(email(&server, MailTls::None, None))).await;
        assert!(matches!(outcome, Outcome::Sent { except: None, .. }), "{command} {reply}: {outcome:?}");
        server.takes(SOON).await;
    }
    assert!(server.rest().is_empty(), "one mail each");
}

#[tokio::test]
async fn an_address_beyond_ascii_goes_where_the_server_takes_it() {
    let mut server = Mailserver::start(Protection::Open).await;
    let to = vec!["you@example.org".to_owned(), "jörg@example.org".to_owned()];
    let email = EmailSettings { to, ..email(&server, MailTls::None, None) };
    match attempt(ChannelKind::Email(email.clone())).await {
        Outcome::Sent { except: Some(why), .. } => {
            assert!(why.starts_with("receiver 2 of 2: ") && why.contains("SMTPUTF8"), "{why}");
        }
        outcome @ (Outcome::Sent { .. } | Outcome::TryAgain { .. } | Outcome::Refused { .. }) => panic!("{outcome:?}"),
    }
    let mail = server.takes(SOON).await;
    assert_eq!(mail.to, ["you@example.org"]);
    is_strict(&mail.text);
    server.answers("EHLO", "250-mail.test\r\n250-8BITMIME\r\n250 SMTPUTF8");
    let outcome = attempt(ChannelKind::Email(email.clone())).await;
    assert!(matches!(outcome, Outcome::Sent { except: None, .. }), "{outcome:?}");
    assert_eq!(server.takes(SOON).await.to.len(), 2);
    assert!(server.spoken().contains("SMTPUTF8 BODY=8BITMIME"), "{}", server.spoken());
    let alone = EmailSettings { from: "jörg@example.org".to_owned(), ..email };
    let outcome = attempt(ChannelKind::Email(alone)).await;
    assert!(matches!(&outcome, Outcome::Refused { why } if why.contains("sender")), "{outcome:?}");
}

#[tokio::test]
async fn each_receiver_is_tracked_by_itself() {
    let gateway = Gateway::logged_in().await;
    let mut server = Mailserver::start(Protection::Open).await;
    server.answers("RCPT TO:<late@", "451 4.7.1 greylisted");
    server.answers("RCPT TO:<gone@", "550 5.1.1 no such user");
    let config = format!(
        "[[alerts.channel]]\nname = \"mail\"\ntype = \"email\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
         from = \"tickled@example.org\"\nto = [\"gone@example.org\", \"late@example.org\", \"you@example.org\"]\n\
         codes = [\"login-required\"]\n",
        server.address.port()
    );
    let mut phone = Receiver::start().await;
    let config = watched(&[("main", &gateway)], &(config + &channel("phone", &phone.url())));
    let mut daemon = Daemon::run(&file(&config));
    daemon.becomes("live", SOON).await;
    gateway.set("expire-login").await;
    let first = server.takes(TOLD).await;
    assert_eq!(first.to, ["you@example.org"]);
    let second = server.takes(TOLD).await;
    assert_eq!(second.to, ["late@example.org"]);
    let thread = |mail: &Mail| is_strict(&mail.text).into_iter().find(|(name, _)| name == "message-id").unwrap().1;
    assert_eq!(thread(&first), thread(&second), "a second copy is the same mail");
    daemon.hears(&[("event", "alert-given-up"), ("channel", "mail")], SOON).await;
    while phone.is_told(SOON).await.1 != "alert-undeliverable" {}
    gateway.log_in().await;
    daemon.signal("USR1");
    let over = server.takes(TOLD).await;
    assert_eq!(over.to.len(), 3, "{over:?}");
    let head = is_strict(&over.text);
    for name in ["references", "in-reply-to"] {
        assert!(head.contains(&(name.to_owned(), thread(&first))), "{name}: {head:?}");
    }
    assert!(server.rest().is_empty());
}

#[tokio::test]
async fn a_server_that_has_had_too_many_receivers_gets_the_others_later() {
    let mut server = Mailserver::start(Protection::Open).await;
    server.answers("RCPT TO:<partner", "552 too many recipients");
    let outcome = attempt(ChannelKind::Email(email(&server, MailTls::None, None))).await;
    assert!(is_tried_again(&outcome) && why(&outcome).starts_with("receiver 2 of 2: "), "{outcome:?}");
    assert_eq!(server.takes(SOON).await.to, ["you@example.org"]);
}

#[tokio::test]
async fn a_password_is_said_behind_tls_alone() {
    let authority = Authority::new();
    let ca = authority.file();
    let password = keep("password", "correct horse\n");
    let with_login = |email: EmailSettings| {
        let (user, password_file) = (Some("trader".to_owned()), Some(password.clone()));
        ChannelKind::Email(EmailSettings { user, password_file, ..email })
    };
    for (protection, tls) in [
        (Protection::StartTls(authority.acceptor()), MailTls::StartTls),
        (Protection::Tls(authority.acceptor()), MailTls::Tls),
    ] {
        let mut server = Mailserver::start(protection).await;
        let outcome = attempt(with_login(email(&server, tls, Some(ca.clone())))).await;
        assert!(matches!(outcome, Outcome::Sent { except: None, .. }), "{tls:?}: {outcome:?}");
        let mail = server.takes(SOON).await;
        assert!(mail.is_encrypted, "{tls:?}");
        assert_eq!(mail.login, "trader correct horse");

        // An untrusted certificate ends it before anything is sent.
        let before = server.spoken();
        let outcome = attempt(with_login(email(&server, tls, None))).await;
        assert!(asks_a_human(&outcome) && why(&outcome).contains("certificate"), "{tls:?}: {outcome:?}");
        let said = server.spoken().split_off(before.len());
        assert!(!said.contains("AUTH") && !said.contains("MAIL"), "{tls:?}: {said}");
    }

    // An attacker who strips STARTTLS from the conversation gets nothing.
    let mut open = Mailserver::start(Protection::Open).await;
    let outcome = attempt(with_login(email(&open, MailTls::StartTls, Some(ca)))).await;
    assert!(asks_a_human(&outcome) && why(&outcome).contains("STARTTLS"), "{outcome:?}");
    let said = open.spoken();
    assert!(!said.contains("AUTH") && !said.contains("MAIL"), "{said}");
    assert!(open.rest().is_empty());
}

#[tokio::test]
async fn a_certificate_that_is_named_itself_is_trusted_whatever_its_form() {
    for (is_ca, names) in [(true, &["127.0.0.1"][..]), (true, &[]), (false, &["127.0.0.1"]), (false, &[])] {
        let (acceptor, own) = Authority::self_signed(is_ca, names);
        for (protection, tls) in [
            (Protection::StartTls(acceptor.clone()), MailTls::StartTls),
            (Protection::Tls(acceptor.clone()), MailTls::Tls),
        ] {
            let mut server = Mailserver::start(protection).await;
            let outcome = attempt(ChannelKind::Email(email(&server, tls, Some(own.clone())))).await;
            assert!(matches!(outcome, Outcome::Sent { except: None, .. }), "{is_ca} {names:?} {tls:?}: {outcome:?}");
            assert!(server.takes(SOON).await.is_encrypted);
        }
        let receiver = Receiver::serve(Some(acceptor)).await;
        let outcome = attempt(webhook(&receiver.url(), Some(own))).await;
        assert!(matches!(outcome, Outcome::Sent { except: None, .. }), "{is_ca} {names:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn greylisting_is_tried_again_and_a_refusal_is_given_up() {
    let mut server = Mailserver::start(Protection::Open).await;
    let kind = || ChannelKind::Email(email(&server, MailTls::None, None));
    for (command, reply) in [
        ("RCPT", "451 4.7.1 greylisted, try again in five minutes"),
        ("GREETING", "421 too busy"),
        ("TEXT", "452 no room"),
    ] {
        // Greylisting puts each of the two receivers off.
        for _ in 0..if command == "RCPT" { 2 } else { 1 } {
            server.answers(command, reply);
        }
        let outcome = attempt(kind()).await;
        assert!(is_tried_again(&outcome) && why(&outcome).contains(&reply[..3]), "{reply}: {outcome:?}");
    }
    for (command, reply) in [("MAIL", "550 we do not know you"), ("TEXT", "554 this is spam")] {
        // Each receiver is tried alone before it is given up, where the mail was refused and not the sender.
        for _ in 0..if command == "TEXT" { 3 } else { 1 } {
            server.answers(command, reply);
        }
        let outcome = attempt(kind()).await;
        assert!(matches!(outcome, Outcome::Refused { .. }), "{reply}: {outcome:?}");
        assert!(why(&outcome).contains(&reply[..3]) && why(&outcome).contains(&reply[4..]), "{reply}: {outcome:?}");
    }
    let outcome = attempt(kind()).await;
    assert!(matches!(outcome, Outcome::Sent { .. }), "greylisting over: {outcome:?}");
    server.takes(SOON).await;
    assert!(server.rest().is_empty());
}

#[tokio::test]
async fn one_wrong_address_does_not_keep_the_others_untold() {
    let mut server = Mailserver::start(Protection::Open).await;
    server.answers("RCPT TO:<partner", "550 5.1.1 partner@example.org does not live here");
    match attempt(ChannelKind::Email(email(&server, MailTls::None, None))).await {
        Outcome::Sent { except: Some(why), .. } => {
            assert!(why.starts_with("receiver 2 of 2: ") && why.contains("does not live here"), "{why}");
            assert!(!why.contains("partner@"), "{why}");
        }
        outcome @ (Outcome::Sent { .. } | Outcome::TryAgain { .. } | Outcome::Refused { .. }) => panic!("{outcome:?}"),
    }
    assert_eq!(server.takes(SOON).await.to, ["you@example.org"]);
    assert!(server.rest().is_empty());
}

#[tokio::test]
async fn a_wrong_password_is_given_up_and_is_not_repeated() {
    let authority = Authority::new();
    let server = Mailserver::start(Protection::Tls(authority.acceptor())).await;
    // It comes back as it was sent.
    server.answers("AUTH", "535 5.7.8 no: AHRyYWRlcgBjb3JyZWN0IGhvcnNl = trader:correct horse");
    let password_file = Some(keep("password", "correct horse"));
    let email = email(&server, MailTls::Tls, Some(authority.file()));
    let outcome =
        attempt(ChannelKind::Email(EmailSettings { user: Some("trader".to_owned()), password_file, ..email })).await;
    assert!(matches!(outcome, Outcome::Refused { .. }) && why(&outcome).contains("535"), "{outcome:?}");
    assert!(!why(&outcome).contains("horse") && !why(&outcome).contains("AHRy"), "{outcome:?}");
    assert_eq!(server.spoken().matches("AUTH").count(), 1, "{}", server.spoken());
}

#[tokio::test]
async fn a_reply_without_an_end_is_left_at_once() {
    let server = Mailserver::start(Protection::Open).await;
    let endless: &'static str = Box::leak("250-more\r\n".repeat(200_000).into_boxed_str());
    server.answers("EHLO", endless);
    let outcome = attempt(ChannelKind::Email(email(&server, MailTls::None, None))).await;
    assert!(is_tried_again(&outcome) && why(&outcome).contains("too much"), "{outcome:?}");
}

#[tokio::test]
async fn a_test_with_a_mail_server_that_hangs_comes_to_an_end() {
    let server = Mailserver::start(Protection::Open).await;
    server.answers("GREETING", "hang");
    let outcome = attempt(ChannelKind::Email(email(&server, MailTls::None, None))).await;
    assert!(is_tried_again(&outcome), "{outcome:?}");
}
