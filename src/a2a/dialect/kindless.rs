//! What tells the parameters of systems that left `kind` out from those of 0.3, whose methods they use: looked at before
//! a call is read, and without building values.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// As much of a call's parameters as tells.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Params {
    message: Option<Message>,
    task_id: Option<IgnoredAny>,
    url: Option<IgnoredAny>,
    push_notification_config: Option<IgnoredAny>,
    push_notification_config_id: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    kind: Option<IgnoredAny>,
    role: Option<String>,
    parts: Vec<Part>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    kind: Option<IgnoredAny>,
    #[serde(rename = "type")]
    type_: Option<IgnoredAny>,
}

impl Params {
    /// Looks at parameters; those of another form tell nothing.
    pub(super) fn of(params: &[u8]) -> Params {
        serde_json::from_slice(params).unwrap_or_default()
    }

    /// Whether there is a message, with neither its kind nor that of its parts, and no role of 1.0.
    pub(super) fn has_kindless_message(&self) -> bool {
        self.message.as_ref().is_some_and(|message| {
            message.kind.is_none()
                && message
                    .parts
                    .iter()
                    .all(|part| part.kind.is_none() && part.type_.is_none())
                && message
                    .role
                    .as_deref()
                    .is_none_or(|role| !role.starts_with("ROLE_"))
        })
    }

    /// Whether it registers a webhook in the flat form of 1.0.
    pub(super) fn is_flat_config(&self) -> bool {
        self.url.is_some() && self.push_notification_config.is_none()
    }

    /// Whether it asks for the webhooks of a task the way of 1.0.
    pub(super) fn names_task_of_config(&self) -> bool {
        self.task_id.is_some()
            && self.push_notification_config.is_none()
            && self.push_notification_config_id.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_0_3_or_1_0_is_told_from_one_without_kinds() {
        for (params, kindless) in [
            (
                r#"{"message":{"messageId":"m","role":"user","parts":[{"text":"hi"}]}}"#,
                true,
            ),
            (
                r#"{"message":{"parts":[{"data":{"kind":"text"}}]},"metadata":{"kind":1}}"#,
                true,
            ),
            (
                r#"{"message":{"kind":"message","role":"user","parts":[{"kind":"text","text":"hi"}]}}"#,
                false,
            ),
            (
                r#"{"message":{"role":"user","parts":[{"kind":"text","text":"hi"}]}}"#,
                false,
            ),
            (
                r#"{"message":{"role":"user","parts":[{"type":"text","text":"hi"}]}}"#,
                false,
            ),
            (
                r#"{"message":{"role":"ROLE_USER","parts":[{"text":"hi"}]}}"#,
                false,
            ),
            (r#"{"message":{"role":"user","parts":[]}}"#, true),
            (r#"{"message":{"role":"user","parts":"hi"}}"#, false),
            (r#"{"message":"hi"}"#, false),
            ("[]", false),
            ("", false),
        ] {
            assert_eq!(
                Params::of(params.as_bytes()).has_kindless_message(),
                kindless,
                "{params}"
            );
        }
    }

    #[test]
    fn a_flat_webhook_is_told_from_a_nested_one() {
        let flat = Params::of(br#"{"taskId":"t","url":"http://x/"}"#);
        assert!(flat.is_flat_config() && flat.names_task_of_config());
        let nested = Params::of(br#"{"taskId":"t","pushNotificationConfig":{"url":"http://x/"}}"#);
        assert!(!nested.is_flat_config() && !nested.names_task_of_config());
        assert!(!Params::of(br#"{"id":"t"}"#).names_task_of_config());
    }
}
