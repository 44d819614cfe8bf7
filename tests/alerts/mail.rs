//! Mail: a real conversation with a mail server, protected as the operator says, and what each refusal means.

use std::path::PathBuf;

use tickled::alert::Outcome;
use tickled::alert::settings::{Email, Kind, Tls};

use crate::edge::{attempt, is_tried_again, why};
use crate::house::SOON;
use crate::keep;
use crate::mailserver::{Mailserver, Protection};
use crate::receiver::Authority;

fn email(server: &Mailserver, tls: Tls, ca_file: Option<PathBuf>) -> Email {
    Email {
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
    let outcome = attempt(Kind::Email(email(&server, Tls::None, None))).await;
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
    assert!(text.starts_with("Nothing is wrong."), "{text}");
    assert!(server.spoken().contains("EHLO host"), "{}", server.spoken());
    assert!(server.rest().is_empty());
}

#[tokio::test]
async fn a_password_is_said_behind_tls_alone() {
    let authority = Authority::new();
    let ca = authority.file();
    let password = keep("password", "correct horse\n");
    let with_login = |email: Email| {
        let (user, password_file) = (Some("trader".to_owned()), Some(password.clone()));
        Kind::Email(Email { user, password_file, ..email })
    };
    for (protection, tls) in
        [(Protection::StartTls(authority.acceptor()), Tls::StartTls), (Protection::Tls(authority.acceptor()), Tls::Tls)]
    {
        let mut server = Mailserver::start(protection).await;
        let outcome = attempt(with_login(email(&server, tls, Some(ca.clone())))).await;
        assert!(matches!(outcome, Outcome::Sent { except: None, .. }), "{tls:?}: {outcome:?}");
        let mail = server.takes(SOON).await;
        assert!(mail.is_encrypted, "{tls:?}");
        assert_eq!(mail.login, "trader correct horse");

        // A certificate that nobody vouches for ends it before anything is said.
        let before = server.spoken();
        let outcome = attempt(with_login(email(&server, tls, None))).await;
        assert!(is_tried_again(&outcome) && why(&outcome).contains("certificate"), "{tls:?}: {outcome:?}");
        let said = server.spoken().split_off(before.len());
        assert!(!said.contains("AUTH") && !said.contains("MAIL"), "{tls:?}: {said}");
    }

    // Whoever strips STARTTLS out of the conversation gets nothing.
    let mut open = Mailserver::start(Protection::Open).await;
    let outcome = attempt(with_login(email(&open, Tls::StartTls, Some(ca)))).await;
    assert!(is_tried_again(&outcome) && why(&outcome).contains("STARTTLS"), "{outcome:?}");
    let said = open.spoken();
    assert!(!said.contains("AUTH") && !said.contains("MAIL"), "{said}");
    assert!(open.rest().is_empty());
}

#[tokio::test]
async fn greylisting_is_tried_again_and_a_refusal_is_given_up() {
    let mut server = Mailserver::start(Protection::Open).await;
    let kind = || Kind::Email(email(&server, Tls::None, None));
    for (command, reply) in [
        ("RCPT", "451 4.7.1 greylisted, try again in five minutes"),
        ("GREETING", "421 too busy"),
        ("TEXT", "452 no room"),
    ] {
        server.answers(command, reply);
        let outcome = attempt(kind()).await;
        assert!(is_tried_again(&outcome) && why(&outcome).contains(&reply[..3]), "{reply}: {outcome:?}");
    }
    for (command, reply) in [("MAIL", "550 we do not know you"), ("TEXT", "554 this is spam")] {
        // Each receiver is tried alone before it is given up.
        for _ in 0..3 {
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
    for _ in 0..2 {
        server.answers("RCPT TO:<partner", "550 5.1.1 partner@example.org does not live here");
    }
    match attempt(Kind::Email(email(&server, Tls::None, None))).await {
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
    for _ in 0..3 {
        server.answers("AUTH", "535 5.7.8 no");
    }
    let password_file = Some(keep("password", "correct horse"));
    let email = email(&server, Tls::Tls, Some(authority.file()));
    let outcome = attempt(Kind::Email(Email { user: Some("trader".to_owned()), password_file, ..email })).await;
    assert!(matches!(outcome, Outcome::Refused { .. }) && why(&outcome).contains("535"), "{outcome:?}");
    assert!(!why(&outcome).contains("horse"), "{outcome:?}");
}

#[tokio::test]
async fn a_mail_server_that_hangs_is_left_after_ten_seconds() {
    let server = Mailserver::start(Protection::Open).await;
    server.answers("GREETING", "hang");
    let outcome = attempt(Kind::Email(email(&server, Tls::None, None))).await;
    assert!(is_tried_again(&outcome), "{outcome:?}");
}
