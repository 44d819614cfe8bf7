//! The gateway's stream against raw sockets: what a frame says, and servers that misbehave.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::json;
use tickled::gateway::stream::{Limits, Push, Stream, StreamDown, StreamMessage, read};
use tickled::gateway::{AuthStatus, Client, SessionId, Target, Trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Longer than any machine needs.
const SOON: Duration = Duration::from_secs(20);
/// For streams that are to be given up: what comes before that comes well within.
const QUICK: Limits =
    Limits { heartbeat_within: Duration::from_secs(2), tic_every: Duration::from_millis(100), bytes: 1024 * 1024 };

/// How long an answer is waited for that never comes.
const HASTE: Duration = Duration::from_millis(500);

/// For streams that end for another reason than silence.
const PATIENT: Limits = Limits { heartbeat_within: SOON, tic_every: SOON, ..QUICK };

/// The same, with so few bytes that a slow machine reads them in no time.
const LITTLE: Limits = Limits { bytes: 32 * 1024, ..PATIENT };

fn client(url: &str, trust: Trust) -> Client {
    client_within(SOON, url, trust)
}

fn client_within(answer_within: Duration, url: &str, trust: Trust) -> Client {
    let target = Target { url: url.parse().expect("a URL"), answer_within, trust };
    Client::new(target).expect("a client").with_session_ids()
}

fn session(id: &str) -> SessionId {
    serde_json::from_value(json!(id)).expect("an id")
}

// ---- what a frame says -----------------------------------------------------------------------------

const LOST: AuthStatus = AuthStatus {
    authenticated: false,
    connected: false,
    competing: false,
    established: None,
    message: None,
    fail: None,
    server_info: None,
};
const WELL: AuthStatus = AuthStatus { authenticated: true, connected: true, ..LOST };

#[test]
fn each_frame_says_one_thing() {
    for (frame, message) in [
        (r#"{"message":"waiting for session"}"#, StreamMessage::Waiting),
        (r#"{"topic":"system","success":"somebody","isFT":false}"#, StreamMessage::Ready),
        (r#"{"topic":"system","hb":1800000000000}"#, StreamMessage::Heartbeat),
        (r#"{"topic":"sts","args":{"authenticated":true,"competing":false}}"#, StreamMessage::Status(WELL)),
        (
            r#"{"topic":"sts","args":{"authenticated":false,"username":"somebody","fail":"x"}}"#,
            StreamMessage::Status(LOST),
        ),
        (
            r#"{"topic":"sts","args":{"authenticated":false,"connected":true,"competing":true,"established":false}}"#,
            StreamMessage::Status(AuthStatus { connected: true, competing: true, established: Some(false), ..LOST }),
        ),
        (
            r#"{"topic":"sts","args":{"authenticated":true,"connected":false}}"#,
            StreamMessage::Status(AuthStatus { connected: false, ..WELL }),
        ),
        (r#"{"topic":"sts","args":{"competing":true}}"#, StreamMessage::Status(AuthStatus { competing: true, ..LOST })),
        // No flag that says anything is no flag that is false.
        (r#"{"topic":"sts","args":{"competing":false}}"#, StreamMessage::Other),
        (r#"{"topic":"sts","args":{"authenticated":"no"}}"#, StreamMessage::Other),
        (r#"{"topic":"sts","args":[]}"#, StreamMessage::Other),
        (r#"{"topic":"sts"}"#, StreamMessage::Other),
        (r#"{"topic":"tic","alive":true,"id":"x","lastAccessed":1}"#, StreamMessage::Other),
        (r#"{"topic":"act","args":{"accounts":["U1"]}}"#, StreamMessage::Other),
        (r#"{"topic":5}"#, StreamMessage::Other),
        (r#"{"topic":"system"}"#, StreamMessage::Other),
        ("{}", StreamMessage::Other),
        ("", StreamMessage::Nonsense),
        ("tic", StreamMessage::Nonsense),
        (r#"["topic","sts"]"#, StreamMessage::Nonsense),
        (r#"{"topic":"sts","args":{"authenticated":fal"#, StreamMessage::Nonsense),
    ] {
        assert_eq!(read(frame.as_bytes()), message, "{frame}");
    }
    assert_eq!(read(&[0xFF, 0xFE, b'{', b'}']), StreamMessage::Nonsense);
    assert_eq!(read("[".repeat(60_000).as_bytes()), StreamMessage::Nonsense);
    assert_eq!(read("{\"a\":".repeat(10_000).as_bytes()), StreamMessage::Nonsense);
}

// ---- servers that misbehave ------------------------------------------------------------------------

async fn next(stream: &mut Stream) -> Result<Push, StreamDown> {
    timeout(SOON, stream.next()).await.expect("a stream that says something or ends")
}

/// A server that takes one connection, reads the request for the stream, and does what it likes from there.
async fn server<F: Future<Output = ()> + Send + 'static>(
    then: impl FnOnce(TcpStream, String) -> F + Send + 'static,
) -> Client {
    server_of(SOON, then).await
}

/// The same, and its client waits no longer than that for an answer.
async fn server_of<F: Future<Output = ()> + Send + 'static>(
    answer_within: Duration,
    then: impl FnOnce(TcpStream, String) -> F + Send + 'static,
) -> Client {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("a port"));
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.expect("a connection");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push(char::from(tcp.read_u8().await.expect("a request")));
        }
        then(tcp, head).await;
    });
    client_within(answer_within, &url, Trust::Loopback)
}

/// One that opens the stream as asked.
async fn opened<F: Future<Output = ()> + Send + 'static>(
    then: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> Result<Stream, StreamDown> {
    opened_within(QUICK, then).await
}

async fn opened_within<F: Future<Output = ()> + Send + 'static>(
    limits: Limits,
    then: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> Result<Stream, StreamDown> {
    let client = server(async move |mut tcp, head| {
        tcp.write_all(upgrade(&head).as_bytes()).await.expect("a client");
        then(tcp).await;
    });
    client.await.stream(&session("an id"), limits).await
}

fn upgrade(head: &str) -> String {
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// A frame as a server sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a short one");
    [&[first, 126], length.to_be_bytes().as_slice(), payload].concat()
}

fn text(payload: &str) -> Vec<u8> {
    frame(0x81, payload.as_bytes())
}

const READY: &str = r#"{"topic":"system","success":"somebody"}"#;
const LAPSED: &str = r#"{"topic":"sts","args":{"authenticated":false}}"#;

/// Sends the same for as long as anybody reads it.
async fn endlessly(mut tcp: TcpStream, bytes: &[u8]) {
    let many = bytes.repeat(4096 / bytes.len() + 1);
    while tcp.write_all(&many).await.is_ok() {}
}

/// How the stream ends after it was ready.
async fn end(stream: Result<Stream, StreamDown>) -> StreamDown {
    let mut stream = match stream {
        Ok(stream) => stream,
        Err(down) => return down,
    };
    let ended = async {
        loop {
            match stream.next().await {
                Ok(Push::Ready | Push::Heartbeat | Push::Status(_)) => {}
                Err(down) => return down,
            }
        }
    };
    timeout(SOON, ended).await.expect("an end")
}

#[tokio::test]
async fn the_request_carries_the_session_and_says_who_asks() {
    let (told, head) = oneshot::channel();
    let client = server(async move |mut tcp, head: String| {
        tcp.write_all(upgrade(&head).as_bytes()).await.unwrap();
        told.send(head).unwrap();
        std::future::pending::<()>().await;
    });
    let _stream = client.await.stream(&session("a\"b"), QUICK).await.unwrap();
    let head = head.await.unwrap();
    let lower = head.to_lowercase();
    assert!(head.starts_with("GET /v1/api/ws HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(r#": api={"session":"a\"b"}"#), "{head}");
    assert!(lower.contains("\r\nuser-agent: tickled/") && lower.contains("\r\nhost: 127.0.0.1:"), "{head}");
}

#[tokio::test]
async fn an_id_that_breaks_the_request_is_not_sent() {
    let client = client("http://127.0.0.1:1", Trust::Loopback);
    let refused = client.stream(&session("a\u{7f}b"), QUICK).await.unwrap_err();
    assert_eq!(refused, StreamDown::Unreachable("the session id cannot be sent".to_owned()));
}

#[tokio::test]
async fn answers_that_are_no_stream_are_told_as_what_they_are() {
    for (answer, told) in [
        ("HTTP/1.1 302 Found\r\nLocation: /sso/Login\r\nContent-Length: 0\r\n\r\n", "refused"),
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "refused"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "refused"),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "nonsense"),
        ("what is this\r\n\r\n", "nonsense"),
        ("", "nonsense"),
    ] {
        let client = server(async move |mut tcp, _| tcp.write_all(answer.as_bytes()).await.unwrap()).await;
        let down = client.stream(&session("an id"), QUICK).await.unwrap_err();
        assert_eq!(down.code(), told, "{answer:?}: {down}");
    }
    let mute = server_of(HASTE, async |_tcp, _| std::future::pending().await).await;
    let down = timeout(SOON, mute.stream(&session("an id"), QUICK)).await.unwrap().unwrap_err();
    assert_eq!(down, StreamDown::Unreachable("no answer in time".to_owned()));
    // A head without an end has one all the same.
    let endless = server(async |mut tcp, _| {
        tcp.write_all(b"HTTP/1.1 101 Switching Protocols\r\n").await.unwrap();
        endlessly(tcp, b"X-Header: x\r\n").await;
    });
    let down = timeout(SOON, endless.await.stream(&session("an id"), QUICK)).await.unwrap().unwrap_err();
    assert!(matches!(down, StreamDown::TooMuch | StreamDown::Nonsense | StreamDown::Unreachable(_)), "{down:?}");
    let nobody = client("http://127.0.0.1:1", Trust::Loopback);
    assert_eq!(nobody.stream(&session("an id"), QUICK).await.unwrap_err().code(), "unreachable");
}

#[tokio::test]
async fn garbage_ends_the_stream() {
    let no_frames = opened_within(PATIENT, async |mut tcp| {
        tcp.write_all(&[0xFF; 100]).await.unwrap();
        sleep(SOON).await;
    });
    assert_eq!(end(no_frames.await).await, StreamDown::Nonsense);
    let no_json = opened_within(PATIENT, async |mut tcp| {
        tcp.write_all(&text(READY)).await.unwrap();
        tcp.write_all(&text("no json").repeat(20)).await.unwrap();
        sleep(SOON).await;
    });
    assert_eq!(end(no_json.await).await, StreamDown::Nonsense);
    let no_text = opened_within(PATIENT, async |mut tcp| {
        tcp.write_all(&frame(0x81, &[0xFF, 0xFE])).await.unwrap();
        sleep(SOON).await;
    });
    assert_eq!(end(no_text.await).await, StreamDown::Nonsense);
}

#[tokio::test]
async fn what_is_too_large_or_too_much_ends_the_stream_at_once() {
    let announced = opened_within(PATIENT, async |mut tcp| {
        tcp.write_all(&[0x82, 127]).await.unwrap();
        tcp.write_all(&(100_u64 << 20).to_be_bytes()).await.unwrap();
        sleep(SOON).await;
    });
    let announced = announced.await;
    let since = Instant::now();
    assert_eq!(end(announced).await, StreamDown::TooMuch);
    assert!(since.elapsed() < PATIENT.heartbeat_within / 2, "it was waited for");

    let message = opened_within(PATIENT, async |mut tcp| {
        tcp.write_all(&frame(0x02, &[b' '; 1000])).await.unwrap();
        endlessly(tcp, &frame(0x00, &[b' '; 1000])).await;
    });
    assert_eq!(end(message.await).await, StreamDown::TooMuch);
    // Frames of nothing never make a message that is too large, nor one that is whole.
    let fragments = opened_within(LITTLE, async |mut tcp| {
        tcp.write_all(&[0x02, 0x00]).await.unwrap();
        endlessly(tcp, &[0x00, 0x00]).await;
    });
    assert_eq!(end(fragments.await).await, StreamDown::TooMuch);
    for flood in [frame(0x89, b"ping"), text(READY), text(LAPSED), text("{}")] {
        let flood = opened_within(LITTLE, async move |tcp| endlessly(tcp, &flood).await);
        assert_eq!(end(flood.await).await, StreamDown::TooMuch);
    }
}

#[tokio::test]
async fn what_is_not_a_heartbeat_does_not_keep_the_stream_alive() {
    let stream = opened(async |mut tcp| {
        tcp.write_all(&text(READY)).await.unwrap();
        while tcp.write_all(&text(r#"{"topic":"act"}"#)).await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    assert_eq!(end(stream.await).await, StreamDown::Silent);
    let waiting = opened(async |mut tcp| {
        while tcp.write_all(&text(r#"{"message":"waiting for session"}"#)).await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    assert_eq!(end(waiting.await).await, StreamDown::NeverReady);
}

#[tokio::test]
async fn before_it_is_ready_nothing_is_believed_and_nothing_said() {
    let (told, first) = oneshot::channel();
    let stream = opened(async move |mut tcp| {
        let early = async {
            tcp.write_all(&text(LAPSED)).await.unwrap();
            tcp.write_all(&frame(0x82, br#"{"topic":"system","hb":1}"#)).await.unwrap();
            sleep(QUICK.tic_every * 2).await;
        };
        early.await;
        assert!(tcp.try_read(&mut [0; 16]).is_err(), "something was said to a stream that drops it");
        tcp.write_all(&frame(0x82, READY.as_bytes())).await.unwrap();
        tcp.write_all(&frame(0x82, LAPSED.as_bytes())).await.unwrap();
        let mut masked = [0; 9];
        tcp.read_exact(&mut masked).await.unwrap();
        told.send(masked).unwrap();
        sleep(SOON).await;
    });
    let mut stream = stream.await.unwrap();
    assert_eq!(next(&mut stream).await, Ok(Push::Ready));
    assert_eq!(next(&mut stream).await, Ok(Push::Status(LOST)));
    assert_eq!(next(&mut stream).await, Err(StreamDown::Silent));
    let masked = first.await.unwrap();
    let said: Vec<u8> = masked[6..].iter().zip(&masked[2..6]).map(|(byte, mask)| byte ^ mask).collect();
    assert_eq!((masked[0], said.as_slice()), (0x81, b"tic".as_slice()));
}

#[tokio::test]
async fn a_connection_that_ends_is_told_as_it_ended() {
    let closed = opened_within(PATIENT, async |mut tcp| {
        tcp.write_all(&[0x88, 0x02, 0x03, 0xE8]).await.unwrap();
        sleep(SOON).await;
    });
    assert_eq!(end(closed.await).await, StreamDown::Closed(Some(1000)));
    let gone = opened_within(PATIENT, async |mut tcp| tcp.write_all(&text(READY)).await.unwrap());
    assert_eq!(end(gone.await).await, StreamDown::Closed(None));
    let reset = opened_within(PATIENT, async |mut tcp| {
        tcp.write_all(&text(READY)).await.unwrap();
        sleep(Duration::from_millis(50)).await;
        tcp.set_zero_linger().unwrap();
    });
    assert!(matches!(end(reset.await).await, StreamDown::Broken(_)));
}

// ---- one message as a sign of life -----------------------------------------------------------------

/// Any message means that IBKR answers the gateway; a websocket that only opens does not.
#[tokio::test]
async fn a_probe_tells_an_ibkr_that_answers_from_one_that_is_silent() {
    let (told, came) = oneshot::channel();
    let client = server(async move |mut tcp, head: String| {
        tcp.write_all(upgrade(&head).as_bytes()).await.unwrap();
        tcp.write_all(&[0x89, 0]).await.unwrap();
        tcp.write_all(&frame(0x82, br#"{"message":"waiting for session"}"#)).await.unwrap();
        let mut farewell = Vec::new();
        drop(tcp.read_to_end(&mut farewell).await);
        told.send((head, farewell)).unwrap();
    });
    client.await.probe_websocket(SOON).await.unwrap();
    let (head, farewell) = came.await.unwrap();
    assert!(head.starts_with("GET /v1/api/ws HTTP/1.1\r\n") && !head.to_lowercase().contains("cookie"), "{head}");
    // The pong, and the polite end.
    assert!(farewell.windows(2).any(|bytes| bytes == [0x88, 0x80]), "{farewell:?}");

    let mute = server(async |mut tcp, head| {
        tcp.write_all(upgrade(&head).as_bytes()).await.unwrap();
        // A ping is the gateway's own.
        tcp.write_all(&[0x89, 0]).await.unwrap();
        std::future::pending::<()>().await;
    });
    assert_eq!(mute.await.probe_websocket(QUICK.heartbeat_within).await, Err(StreamDown::NeverReady));
}

#[tokio::test]
async fn a_probe_that_finds_no_websocket_says_nothing_about_ibkr() {
    for (answer, code) in [
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "refused"),
        ("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "refused"),
        ("what is this\r\n\r\n", "nonsense"),
    ] {
        let client = server(async move |mut tcp, _| tcp.write_all(answer.as_bytes()).await.unwrap()).await;
        assert_eq!(client.probe_websocket(SOON).await.unwrap_err().code(), code, "{answer:?}");
    }
    for (frames, down) in [
        (vec![0x88, 0x02, 0x03, 0xE8], StreamDown::Closed(Some(1000))),
        (text("no json").repeat(20), StreamDown::Nonsense),
    ] {
        let client = server(async move |mut tcp, head: String| {
            tcp.write_all(upgrade(&head).as_bytes()).await.unwrap();
            tcp.write_all(&frames).await.unwrap();
            sleep(SOON).await;
        });
        assert_eq!(client.await.probe_websocket(SOON).await, Err(down));
    }
    let mute = server(async |_tcp, _| std::future::pending().await).await;
    assert_eq!(mute.probe_websocket(HASTE).await.unwrap_err().code(), "unreachable");
    let nobody = client("http://127.0.0.1:1", Trust::Loopback);
    assert_eq!(nobody.probe_websocket(SOON).await.unwrap_err().code(), "unreachable");
}

/// Answers that only announce another one are limited.
#[tokio::test]
async fn interim_answers_without_an_end_open_no_websocket() {
    let client = server(async |tcp, _| endlessly(tcp, b"HTTP/1.1 100 Continue\r\n\r\n").await).await;
    let down = timeout(SOON, client.stream(&session("an id"), QUICK)).await.unwrap().unwrap_err();
    assert!(matches!(down, StreamDown::Refused(100) | StreamDown::TooMuch | StreamDown::Unreachable(_)), "{down:?}");
}
