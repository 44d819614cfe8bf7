//! A mail server on loopback: in the open, with STARTTLS or all in TLS, with a password or without, well-behaved or
//! not.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// A mail that was taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// Head and text, as they came.
    pub(crate) text: String,
    pub(crate) is_encrypted: bool,
    /// `user password`, where they were said.
    pub(crate) login: String,
}

/// How the server protects its connections.
#[derive(Clone)]
pub(crate) enum Protection {
    Open,
    StartTls(TlsAcceptor),
    Tls(TlsAcceptor),
}

/// The next replies of the server to commands that begin like this; `hang` is none, and `later ` delays one by 11 s.
type Script = Arc<Mutex<VecDeque<(&'static str, &'static str)>>>;

pub(crate) struct Mailserver {
    pub(crate) address: SocketAddr,
    mails: mpsc::UnboundedReceiver<Mail>,
    script: Script,
    spoken: Arc<Mutex<Vec<String>>>,
}

impl Mailserver {
    pub(crate) async fn start(protection: Protection) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, mails) = mpsc::unbounded_channel();
        let (script, spoken) = (Script::default(), Arc::<Mutex<Vec<String>>>::default());
        let talk = Talk { sender, script: Arc::clone(&script), spoken: Arc::clone(&spoken) };
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (talk, protection) = (talk.clone(), protection.clone());
                tokio::spawn(async move {
                    match protection {
                        Protection::Open => drop(talk.session(tcp, false, false, true).await),
                        Protection::Tls(tls) => {
                            let stream = tls.accept(tcp).await.ok()?;
                            talk.session(stream, false, true, true).await;
                        }
                        Protection::StartTls(tls) => {
                            let tcp = talk.session(tcp, true, false, true).await?;
                            let stream = tls.accept(tcp).await.ok()?;
                            talk.session(stream, false, true, false).await;
                        }
                    }
                    Some(())
                });
            }
        });
        Self { address, mails, script, spoken }
    }

    /// Answers the next command that begins with `command` like this; `GREETING` is the connection itself, and `TEXT`
    /// the end of the mail.
    pub(crate) fn answers(&self, command: &'static str, reply: &'static str) {
        self.script.lock().unwrap().push_back((command, reply));
    }

    pub(crate) async fn takes(&mut self, within: Duration) -> Mail {
        timeout(within, self.mails.recv()).await.expect("a mail in time").unwrap()
    }

    /// The mails that were not read yet.
    pub(crate) fn rest(&mut self) -> Vec<Mail> {
        std::iter::from_fn(|| self.mails.try_recv().ok()).collect()
    }

    /// All that was said to it.
    pub(crate) fn spoken(&self) -> String {
        self.spoken.lock().unwrap().join("\n")
    }
}

#[derive(Clone)]
struct Talk {
    sender: mpsc::UnboundedSender<Mail>,
    script: Script,
    spoken: Arc<Mutex<Vec<String>>>,
}

impl Talk {
    /// Gives the stream back when it is to be encrypted.
    async fn session<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        may_start_tls: bool,
        is_encrypted: bool,
        greets: bool,
    ) -> Option<S> {
        let mut stream = BufReader::new(stream);
        if greets {
            let greeting = self.reply("GREETING", "220 mail.test").await;
            write(&mut stream, &greeting).await?;
        }
        let mut mail = Mail { is_encrypted, ..Mail::default() };
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            self.spoken.lock().unwrap().push(line.to_owned());
            let usual = match line.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" if may_start_tls => "250-mail.test\r\n250 STARTTLS",
                "EHLO" => "250-mail.test\r\n250-8BITMIME\r\n250 AUTH PLAIN",
                "STARTTLS" => "220 go on",
                "AUTH" => "235 welcome",
                "DATA" => "354 go on",
                "QUIT" => "221 bye",
                _ => "250 fine",
            };
            let reply = self.reply(line, usual).await;
            write(&mut stream, &reply).await?;
            let is_taken = reply.starts_with(['2', '3']);
            if let Some(words) = line.strip_prefix("AUTH PLAIN ").filter(|_| is_taken) {
                mail.login = decode(words).trim_start_matches('\0').replace('\0', " ");
            }
            let address = || line.split_once('<').and_then(|(_, rest)| Some(rest.split_once('>')?.0.to_owned()));
            if line.starts_with("MAIL FROM") && is_taken {
                mail.from = address()?;
                mail.to.clear();
            } else if line.starts_with("RCPT TO") && is_taken {
                mail.to.push(address()?);
            } else if line == "STARTTLS" && is_taken {
                return Some(stream.into_inner());
            } else if line == "DATA" && is_taken {
                mail.text = text(&mut stream).await?;
                let reply = self.reply("TEXT", "250 taken").await;
                if reply.starts_with('2') {
                    drop(self.sender.send(mail.clone()));
                }
                write(&mut stream, &reply).await?;
            }
        }
    }

    async fn reply(&self, command: &str, usual: &str) -> String {
        let scripted = {
            let mut script = self.script.lock().unwrap();
            let at = script.iter().position(|(begin, _)| command.starts_with(begin));
            at.and_then(|at| script.remove(at)).map(|(_, reply)| reply)
        };
        match scripted {
            Some("hang") => std::future::pending().await,
            Some(reply) => match reply.strip_prefix("later ") {
                Some(reply) => {
                    tokio::time::sleep(Duration::from_secs(11)).await;
                    reply.to_owned()
                }
                None => reply.to_owned(),
            },
            None => usual.to_owned(),
        }
    }
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), reply: &str) -> Option<()> {
    stream.write_all(format!("{reply}\r\n").as_bytes()).await.ok()?;
    stream.flush().await.ok()
}

async fn text(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<String> {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line == ".\r\n" {
            return Some(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}

/// Base64 of ASCII.
pub(crate) fn decode(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<u32> = text
        .bytes()
        .filter_map(|byte| LETTERS.iter().position(|letter| *letter == byte))
        .map(|digit| u32::try_from(digit).unwrap())
        .collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
        bits.to_be_bytes().into_iter().skip(1).take(four.len() * 6 / 8).collect::<Vec<u8>>()
    });
    String::from_utf8(bytes.collect()).unwrap()
}
