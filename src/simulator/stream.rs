//! The websocket: the upgrade, and the frames in both directions.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, COOKIE, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::body::Page;
use super::shared_world::SharedWorld;
use super::world::Frame;

/// Answers 101 and serves the websocket from then on; 400 unless it is a websocket handshake.
pub(super) fn upgrade(world: &Arc<SharedWorld>, mut request: Request<Incoming>) -> Response<Page> {
    let mut response = Response::new(Page::Whole(Bytes::new()));
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    };
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    let session = session(request.headers());
    tokio::spawn(serve(Arc::clone(world), hyper::upgrade::on(&mut request), session));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = accept {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

async fn serve(world: Arc<SharedWorld>, upgrade: OnUpgrade, session: Option<String>) {
    let process = world.process();
    let Ok(upgraded) = upgrade.await else {
        return;
    };
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    let (id, mut pushes) = world.open_stream(session.as_deref());
    loop {
        tokio::select! {
            () = world.ended(process) => break,
            push = pushes.recv() => {
                let Some(push) = push else { break };
                tokio::time::sleep_until(world.moment(push.at)).await;
                let sent = match push.frame.render() {
                    Some(text) => socket.send(Message::binary(text.into_bytes())).await,
                    None => socket.close(closing(&push.frame)).await,
                };
                if sent.is_err() {
                    break;
                }
            }
            message = socket.next() => {
                let Some(Ok(message)) = message else { break };
                if let Ok(text) = message.to_text()
                    && (message.is_text() || message.is_binary())
                {
                    world.hear(id, text);
                }
            }
        }
    }
    world.close_stream(id);
}

fn closing(frame: &Frame) -> Option<CloseFrame> {
    if let Frame::Close(code) = frame { Some(CloseFrame { code: (*code).into(), reason: "".into() }) } else { None }
}

/// The session id of the cookie: `api={"session":"<id>"}` or `api=<id>`.
fn session(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get(COOKIE)?.to_str().ok()?;
    let api = cookies.split(';').find_map(|cookie| cookie.trim().strip_prefix("api="))?;
    match serde_json::from_str::<Value>(api) {
        Ok(Value::Object(fields)) => fields.get("session")?.as_str().map(str::to_owned),
        Ok(_) | Err(_) => Some(api.to_owned()),
    }
}
