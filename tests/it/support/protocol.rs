//! The words of A2A over JSON-RPC in the versions that the tests speak: versions, operations, states, parts.

use serde_json::{Value, json};

/// A version of A2A.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    V02,
    V03,
    V1,
}

impl Version {
    pub const ALL: [Version; 3] = [Version::V02, Version::V03, Version::V1];

    pub fn is_v1(self) -> bool {
        self == Version::V1
    }

    /// Where a client of this version looks for the card, and the only place where it looks.
    pub fn card_path(self) -> &'static str {
        match self {
            Version::V02 => "/.well-known/agent.json",
            Version::V03 | Version::V1 => "/.well-known/agent-card.json",
        }
    }

    /// What a card of this version says of itself.
    pub fn number(self) -> &'static str {
        match self {
            Version::V02 => "0.2.6",
            Version::V03 => "0.3.0",
            Version::V1 => "1.0",
        }
    }
}

/// An operation, named as in version 1.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    Send,
    Stream,
    Get,
    List,
    Cancel,
    Subscribe,
    PushSet,
    PushGet,
    PushList,
    PushDelete,
    Card,
}

impl Op {
    pub const ALL: [Op; 11] = [
        Op::Send,
        Op::Stream,
        Op::Get,
        Op::List,
        Op::Cancel,
        Op::Subscribe,
        Op::PushSet,
        Op::PushGet,
        Op::PushList,
        Op::PushDelete,
        Op::Card,
    ];

    /// The name in version 1.0, under which the tools count calls in every version. The card, which no
    /// JSON-RPC method reads, counts as `AgentCard`.
    pub fn name(self) -> &'static str {
        match self {
            Op::Send => "SendMessage",
            Op::Stream => "SendStreamingMessage",
            Op::Get => "GetTask",
            Op::List => "ListTasks",
            Op::Cancel => "CancelTask",
            Op::Subscribe => "SubscribeToTask",
            Op::PushSet => "CreateTaskPushNotificationConfig",
            Op::PushGet => "GetTaskPushNotificationConfig",
            Op::PushList => "ListTaskPushNotificationConfigs",
            Op::PushDelete => "DeleteTaskPushNotificationConfig",
            Op::Card => "AgentCard",
        }
    }

    /// The JSON-RPC method in `version`.
    pub fn method(self, version: Version) -> &'static str {
        if version.is_v1() {
            return self.name();
        }
        match self {
            Op::Send => "message/send",
            Op::Stream => "message/stream",
            Op::Get => "tasks/get",
            Op::List => "tasks/list",
            Op::Cancel => "tasks/cancel",
            Op::Subscribe => "tasks/resubscribe",
            Op::PushSet => "tasks/pushNotificationConfig/set",
            Op::PushGet => "tasks/pushNotificationConfig/get",
            Op::PushList => "tasks/pushNotificationConfig/list",
            Op::PushDelete => "tasks/pushNotificationConfig/delete",
            Op::Card => "agent/card",
        }
    }

    /// The operation behind a method of `version`; `None` for a method that the version does not have.
    pub fn from_method(version: Version, method: &str) -> Option<Op> {
        Op::ALL
            .into_iter()
            .filter(|op| *op != Op::Card && (version.is_v1() || *op != Op::List))
            .find(|op| op.method(version) == method)
    }

    /// By its 1.0 name, for tests that write it as text.
    pub fn named(name: &str) -> Op {
        Op::ALL
            .into_iter()
            .find(|op| op.name() == name)
            .unwrap_or_else(|| panic!("no operation is called {name}"))
    }
}

/// The state of a task, whatever the version calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    Unknown,
    Submitted,
    Working,
    Completed,
    Failed,
    Canceled,
    InputRequired,
    Rejected,
    AuthRequired,
}

/// State, its name in 0.x, its name in 1.0.
const STATES: [(State, &str, &str); 9] = [
    (State::Unknown, "unknown", "TASK_STATE_UNSPECIFIED"),
    (State::Submitted, "submitted", "TASK_STATE_SUBMITTED"),
    (State::Working, "working", "TASK_STATE_WORKING"),
    (State::Completed, "completed", "TASK_STATE_COMPLETED"),
    (State::Failed, "failed", "TASK_STATE_FAILED"),
    (State::Canceled, "canceled", "TASK_STATE_CANCELED"),
    (
        State::InputRequired,
        "input-required",
        "TASK_STATE_INPUT_REQUIRED",
    ),
    (State::Rejected, "rejected", "TASK_STATE_REJECTED"),
    (
        State::AuthRequired,
        "auth-required",
        "TASK_STATE_AUTH_REQUIRED",
    ),
];

impl State {
    pub fn wire(self, version: Version) -> &'static str {
        let (_, old, new) = STATES[self as usize];
        if version.is_v1() { new } else { old }
    }

    /// Reads the names of every version; a name that none has is a fault of the sender.
    pub fn read(name: &str) -> State {
        STATES
            .into_iter()
            .find(|(_, old, new)| *old == name || *new == name)
            .map_or_else(
                || panic!("{name:?} is no state of a task"),
                |(state, ..)| state,
            )
    }

    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            State::Completed | State::Failed | State::Canceled | State::Rejected
        )
    }

    pub fn is_interrupted(self) -> bool {
        matches!(self, State::InputRequired | State::AuthRequired)
    }

    /// Whether a blocking call is answered here.
    pub fn stops(self) -> bool {
        self.is_terminal() || self.is_interrupted()
    }
}

/// A text part.
pub fn text_part(version: Version, text: &str) -> Value {
    if version.is_v1() {
        json!({ "text": text })
    } else {
        json!({ "kind": "text", "text": text })
    }
}

/// A message; `ids` are its task and context, where there are any.
pub fn message(
    version: Version,
    from_user: bool,
    id: &str,
    text: &str,
    ids: (Option<&str>, Option<&str>),
) -> Value {
    let role = match (version.is_v1(), from_user) {
        (true, true) => "ROLE_USER",
        (true, false) => "ROLE_AGENT",
        (false, true) => "user",
        (false, false) => "agent",
    };
    let mut message = json!({
        "messageId": id,
        "role": role,
        "parts": [text_part(version, text)],
    });
    if let Some(task) = ids.0 {
        message["taskId"] = json!(task);
    }
    if let Some(context) = ids.1 {
        message["contextId"] = json!(context);
    }
    if !version.is_v1() {
        message["kind"] = json!("message");
    }
    message
}

/// The text parts of a message or an artifact, joined; every version keeps them in `parts[].text`.
pub fn text_of(value: &Value) -> String {
    value["parts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|part| part["text"].as_str())
        .collect()
}

/// The JSON-RPC error codes that the tools send or expect.
pub mod code {
    pub const PARSE: i64 = -32700;
    pub const INVALID_REQUEST: i64 = -32600;
    pub const METHOD_NOT_FOUND: i64 = -32601;
    pub const INVALID_PARAMS: i64 = -32602;
    pub const TASK_NOT_FOUND: i64 = -32001;
    pub const TASK_NOT_CANCELABLE: i64 = -32002;
    pub const PUSH_NOT_SUPPORTED: i64 = -32003;
    pub const UNSUPPORTED: i64 = -32004;
    pub const VERSION_NOT_SUPPORTED: i64 = -32009;
}
