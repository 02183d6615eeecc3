//! The receiver, the requester's view of an answer as it comes, and the sidecar as a process.

use hyper::Response;
use serde_json::json;

use crate::support::client::{Client, SendOptions};
use crate::support::http::{Body, Cut, Server};
use crate::support::protocol::{Op, Version};
use crate::support::proxy::{Sidecar, Store};
use crate::support::receiver::{Behaviour, Receiver};
use crate::support::worker::Worker;

#[tokio::test]
async fn a_receiver_answers_as_it_is_told() {
    let receiver = Receiver::start().await;
    let client = Client::new(receiver.url("/hook"), Version::V1);
    receiver.then_statuses(&[500, 503]);
    receiver.then([Behaviour::Redirect("http://elsewhere/".to_owned())]);
    let status = async || client.post_raw("{}", &[]).await.answer.status.as_u16();
    assert_eq!(
        [status().await, status().await, status().await],
        [500, 503, 307]
    );
    receiver.respond_with(404);
    assert_eq!(status().await, 404);
    receiver.behave(Behaviour::Close);
    client.try_call(Op::Get, json!({}), &[]).await.unwrap_err();
    receiver.behave(Behaviour::Hang);
    tokio::select! {
        code = status() => panic!("answered {code}"),
        hooks = receiver.wait_for(6) => assert_eq!(hooks.len(), 6),
    }
    receiver.down().await;
    client.try_call(Op::Get, json!({}), &[]).await.unwrap_err();
    receiver.up();
    receiver.respond_with(204);
    assert_eq!(status().await, 204);
}

#[tokio::test]
async fn a_requester_sees_white_space_and_when_the_headers_came() {
    let (sender, body) = Body::channel();
    let body = std::sync::Mutex::new(Some(body));
    let server = Server::start(move |_| {
        let body = body.lock().unwrap().take();
        async move { Ok::<_, Cut>(Response::new(body.ok_or(Cut)?)) }
    });
    let client = Client::new(format!("http://{}/", server.addr), Version::V1);
    // The headers are here before any byte of the body.
    let opened = client.send_open("hi", SendOptions::wait()).await;
    let headers_at = opened.headers_at;
    let writing = async {
        for piece in [" ", " ", "{\"result\":{\"message\":{\"parts\":[]}}}"] {
            sender.send(Ok(piece.into())).await.unwrap();
        }
        drop(sender);
    };
    let (reply, ()) = tokio::join!(client.finish(opened), writing);
    assert_eq!(reply.leading_spaces, 2);
    assert_eq!(reply.heard().bare.as_deref(), Some(""));
    assert!(reply.answer.pieces[0].0 >= headers_at);
    assert_eq!(reply.answer.pieces.len(), 3);
}

#[tokio::test]
async fn the_sidecar_is_started_killed_and_stopped() {
    let worker = Worker::builder().start().await;
    for store in [Store::Memory, Store::Sqlite] {
        let mut sidecar = Sidecar::builder()
            .worker(&worker.url)
            .store(store)
            .start()
            .await;
        let (addr, admin) = (sidecar.addr, sidecar.admin);
        assert_ne!(addr.port(), 0);
        assert!(!sidecar.metrics().await.0.is_empty());
        sidecar.kill9().await;
        sidecar
            .try_admin(hyper::Method::GET, "/ready")
            .await
            .unwrap_err();
        sidecar.restart().await;
        assert_eq!((sidecar.addr, sidecar.admin), (addr, admin));
        assert_eq!(sidecar.admin_get("/ready").await.status, 200);
        assert_eq!(sidecar.sigterm().await, Some(0));
    }
}
