//! What to type to try the running sidecars by hand.

use super::receiver::TOKEN;

/// Commands for a shell with curl, to be pasted one after the other: they work as they stand. `webhook` is where the
/// demo listens for webhooks.
#[must_use]
pub fn commands(blocks: &str, polls: &str, webhook: &str) -> String {
    let call = |method: &str, params: &str| {
        format!(r#"-d '{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}'"#)
    };
    let message = r#"{"messageId":"1","role":"ROLE_USER","parts":[{"text":"6 x 7?"}]}"#;
    let blocking = call("SendMessage", r#"{"message":'"$M"'}"#);
    let stream = call("SendStreamingMessage", r#"{"message":'"$M"'}"#);
    let at_once = call(
        "SendMessage",
        r#"{"message":'"$M"',"configuration":{"returnImmediately":true}}"#,
    );
    let get = call("GetTask", r#"{"id":"'$ID'"}"#);
    let push = call(
        "SendMessage",
        &format!(
            r#"{{"message":'"$M"',"configuration":{{"returnImmediately":true,
       "taskPushNotificationConfig":{{"url":"{webhook}","token":"{TOKEN}"}}}}}}"#
        ),
    );
    format!(
        r#"  # Which worker: the sidecar before the one that only blocks, or before the one that only polls
  A={polls}
  A={blocks}
  a2a() {{ curl -sN $A -H 'Content-Type: application/json' -H 'A2A-Version: 1.0' "$@"; echo; }}
  M='{message}'

  # The agent card: with streams and webhooks, which the worker does not have
  curl -s $A/.well-known/agent-card.json; echo

  # Blocking: one call, one answer when it is done
  a2a {blocking}

  # Stream: each step as it comes
  a2a {stream}

  # Polling: a task at once, then one long poll after the other, each until something changes
  ID=$(a2a {at_once} \
    | sed 's/.*"task":{{"id":"\([^"]*\)".*/\1/')
  a2a -H 'Prefer: wait=20' {get}

  # Webhooks: what arrives is shown below
  a2a {push}
"#
    )
}
