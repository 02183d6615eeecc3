//! What a request is taken for.

use super::*;
use crate::wire::Bounded;
use http_body_util::BodyExt;

const LIMIT: usize = 4096;

fn post(body: &str) -> Request<Body> {
    Request::post("/")
        .header(CONTENT_TYPE, "application/json")
        .body(Body::full(body.to_owned()))
        .unwrap()
}

async fn classify(request: Request<Body>) -> Result<Classified, Box<Response<Body>>> {
    if told_by(&request) == Told::Head {
        return Ok(by_head(request));
    }
    let (parts, body) = request.into_parts();
    by_body(parts, read(body).await)
}

async fn of(request: Request<Body>) -> Call {
    match classify(request).await {
        Ok(classified) => classified.call,
        Err(response) => panic!("{:?}", response.status()),
    }
}

async fn refused(request: Request<Body>) -> (u16, serde_json::Value) {
    let Err(response) = classify(request).await else {
        panic!("it was let in");
    };
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

fn call(method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":"a-1","method":"{method}","params":{{"id":"t"}}}}"#)
}

#[tokio::test]
async fn every_method_of_every_version_is_recognised() {
    for operation in Operation::ALL {
        let Call::A2a(found) = of(post(&call(operation.name()))).await else {
            panic!("{operation:?}");
        };
        assert_eq!(found.operation, operation);
        assert_eq!(found.dialect, Dialect::jsonrpc(Version::V1_0));
        let old = Dialect::jsonrpc(Version::V0_3).method(operation);
        if Dialect::jsonrpc(Version::V0_3).supports(operation) {
            let Call::A2a(found) = of(post(&call(old))).await else {
                panic!("{old}");
            };
            assert_eq!(found.operation, operation);
            assert_eq!(found.dialect, Dialect::jsonrpc(Version::V0_3));
        }
    }
}

#[tokio::test]
async fn the_id_and_the_parameters_are_kept_as_they_came() {
    let body = r#" {"params" : {"id":"t","x":1.0} ,"id": 7,"method":"GetTask","jsonrpc":"2.0"}"#;
    let Call::A2a(found) = of(post(body)).await else {
        panic!();
    };
    assert_eq!(found.renderer.id().unwrap().get(), "7");
    let Params::Raw(params) = &found.params else {
        panic!("{:?}", found.params);
    };
    assert_eq!(&params[..], br#"{"id":"t","x":1.0}"#);
    assert_eq!(&found.body[..], body.as_bytes());
}

#[tokio::test]
async fn what_is_no_call_of_the_protocol_passes_untouched() {
    let text = Request::post("/upload")
        .header(CONTENT_TYPE, "text/plain")
        .body(Body::full(call("GetTask")))
        .unwrap();
    for request in [
        post(&call("vendor/method")),
        post(r#"{"no":"call"}"#),
        post("[1,2]"),
        post("42"),
        text,
        Request::delete("/x").body(Body::empty()).unwrap(),
        Request::get("/").body(Body::empty()).unwrap(),
    ] {
        let classified = classify(request).await.ok().unwrap();
        assert!(matches!(classified.call, Call::Other));
    }
    let classified = classify(post(&call("vendor/method"))).await.ok().unwrap();
    let body = classified.body.collect().await.unwrap().to_bytes();
    assert_eq!(&body[..], call("vendor/method").as_bytes());
}

#[tokio::test]
async fn malformed_json_a_batch_and_a_wrong_envelope_are_refused_as_json_rpc_says() {
    let batch = format!("[{}]", call("GetTask"));
    for (body, code) in [
        (r#"{"jsonrpc":"2.0","method":"#, -32700),
        ("not json", -32700),
        ("\"cut off", -32700),
        (batch.as_str(), -32600),
        (r#"{"id":1,"method":"GetTask","params":{}}"#, -32600),
        (
            r#"{"jsonrpc":"2.0","id":{},"method":"GetTask","params":{}}"#,
            -32600,
        ),
    ] {
        let (status, answer) = refused(post(body)).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(answer["error"]["code"], code, "{body}");
    }
}

#[tokio::test]
async fn a_version_that_is_not_served_is_refused_by_its_own_error() {
    let mut request = post(&call("GetTask"));
    request
        .headers_mut()
        .insert(A2A_VERSION, "7.3".parse().unwrap());
    let (_, answer) = refused(request).await;
    assert_eq!(answer["error"]["code"], -32009);
    assert_eq!(answer["id"], "a-1");
    for known in ["1.0", "1.0.3", "0.3", ""] {
        let mut request = post(&call("GetTask"));
        request
            .headers_mut()
            .insert(A2A_VERSION, known.parse().unwrap());
        assert!(matches!(of(request).await, Call::A2a(_)), "{known}");
    }
}

#[tokio::test]
async fn a_body_past_the_bound_is_refused() {
    let request = post(&" ".repeat(LIMIT + 1));
    let request = request.map(|body| Body::boxed(Bounded::new(body, LIMIT)));
    let (status, answer) = refused(request).await;
    assert_eq!(status, 413);
    assert_eq!(answer["error"]["name"], "body-too-large");
}

#[tokio::test]
async fn cards_and_webhooks_are_known_by_their_paths_below_any_prefix() {
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    for (path, expected) in [
        ("/.well-known/agent-card.json", None),
        ("/team/a/.well-known/agent-card.json", None),
        ("/.well-known/agent.json", Some(Version::V0_2)),
        (
            "/.well-known/agent-card.json?A2A-Version=1.0",
            Some(Version::V1_0),
        ),
    ] {
        let Call::Card { version } = of(get(path)).await else {
            panic!("{path}");
        };
        assert_eq!(version, expected, "{path}");
    }
    let hook = Request::post("/team/.a2a-sidecar/webhook/abc")
        .body(Body::full("{}"))
        .unwrap();
    let Call::Webhook { token, body } = of(hook).await else {
        panic!();
    };
    assert_eq!((token.as_str(), &body[..]), ("abc", &b"{}"[..]));
}

#[tokio::test]
async fn the_extended_card_of_0_2_is_known_by_its_path() {
    let request = Request::get("/agent/authenticatedExtendedCard")
        .body(Body::empty())
        .unwrap();
    assert!(matches!(of(request).await, Call::ExtendedCard));
}
