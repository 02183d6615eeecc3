//! What to type to try the running sidecars by hand.

use super::receiver::TOKEN;

/// Commands for a shell with curl, to be pasted one after the other: they work as they stand. `webhook` is where the
/// demo listens for webhooks. No comment stands behind a command, which not every shell would take for one.
#[must_use]
pub fn commands(blocks: &str, polls: &str, webhook: &str) -> String {
    format!(
        r#"  # Which worker: the one that only polls, or the one that only blocks
  A={polls}
  A={blocks}

  # Its agent card: with streams and webhooks, which it does not have
  curl -s $A/.well-known/agent-card.json; echo

  # One call of A2A over JSON-RPC, and what they all send
  a2a() {{ method=$1 params=$2; shift 2
    curl -sN $A -H 'Content-Type: application/json' -H 'A2A-Version: 1.0' "$@" \
    -d '{{"jsonrpc":"2.0","id":1,"method":"'$method'","params":'"$params"'}}'
    echo; }}
  M='"message":{{"messageId":"1","role":"ROLE_USER","parts":[{{"text":"6 x 7?"}}]}}'

  # Blocking: one call, and one answer when it is done
  a2a SendMessage "{{$M}}"

  # Stream: each step as it comes
  a2a SendStreamingMessage "{{$M}}"

  # Poll: a task at once, and then long polls, each until something changes
  NOW='"returnImmediately":true'
  ID=$(a2a SendMessage "{{$M,\"configuration\":{{$NOW}}}}" \
    | sed 's/.*"task":{{"id":"\([^"]*\)".*/\1/')
  a2a GetTask "{{\"id\":\"$ID\"}}" -H 'Prefer: wait=20'

  # Push: what arrives is shown below
  P='"taskPushNotificationConfig":{{"token":"{TOKEN}",
    "url":"{webhook}"}}'
  a2a SendMessage "{{$M,\"configuration\":{{$NOW,$P}}}}"
"#
    )
}
