//! The operations of the protocol (specification §3.1), by the names of A2A 1.0.

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// §3.1.1
    SendMessage,
    /// §3.1.2
    SendStreamingMessage,
    /// §3.1.3
    GetTask,
    /// §3.1.4
    ListTasks,
    /// §3.1.5
    CancelTask,
    /// §3.1.6
    SubscribeToTask,
    /// §3.1.7
    CreateTaskPushNotificationConfig,
    /// §3.1.8
    GetTaskPushNotificationConfig,
    /// §3.1.9
    ListTaskPushNotificationConfigs,
    /// §3.1.10
    DeleteTaskPushNotificationConfig,
    /// §3.1.11
    GetExtendedAgentCard,
}

impl Operation {
    /// Every operation, for tables and tests.
    pub const ALL: [Operation; 11] = [
        Operation::SendMessage,
        Operation::SendStreamingMessage,
        Operation::GetTask,
        Operation::ListTasks,
        Operation::CancelTask,
        Operation::SubscribeToTask,
        Operation::CreateTaskPushNotificationConfig,
        Operation::GetTaskPushNotificationConfig,
        Operation::ListTaskPushNotificationConfigs,
        Operation::DeleteTaskPushNotificationConfig,
        Operation::GetExtendedAgentCard,
    ];

    /// The name in A2A 1.0: the JSON-RPC method, and the label in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Operation::SendMessage => "SendMessage",
            Operation::SendStreamingMessage => "SendStreamingMessage",
            Operation::GetTask => "GetTask",
            Operation::ListTasks => "ListTasks",
            Operation::CancelTask => "CancelTask",
            Operation::SubscribeToTask => "SubscribeToTask",
            Operation::CreateTaskPushNotificationConfig => "CreateTaskPushNotificationConfig",
            Operation::GetTaskPushNotificationConfig => "GetTaskPushNotificationConfig",
            Operation::ListTaskPushNotificationConfigs => "ListTaskPushNotificationConfigs",
            Operation::DeleteTaskPushNotificationConfig => "DeleteTaskPushNotificationConfig",
            Operation::GetExtendedAgentCard => "GetExtendedAgentCard",
        }
    }

    /// Whether it sends a message, so that the answer may be a task or a message.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(
            self,
            Operation::SendMessage | Operation::SendStreamingMessage
        )
    }

    /// Whether the answer is a stream.
    #[must_use]
    pub fn streams(self) -> bool {
        matches!(
            self,
            Operation::SendStreamingMessage | Operation::SubscribeToTask
        )
    }
}
