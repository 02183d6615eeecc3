//! Workers whose card says 1.0 and that know the older method names only: fasta2a 1.x and 2.0.
//!
//! They answer whatever they cannot validate, a method that they do not have among it, with a bare status 500, before they
//! have begun anything. Others answer so when they stumble in the middle of their work: which of the two it was, a question
//! for a task that nobody has tells, asked under both names. What is learned so is kept for as long as the card stays.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;
use uuid::Uuid;

use super::{CallContext, CallError, Known, Worker};
use crate::a2a::request::GetTaskRequest;
use crate::a2a::{Dialect, Operation, Request, Version};
use crate::wire::headers::is_plain_text;

/// The body of the refusal: that of Starlette's own answer to an exception, with status 500.
const REFUSAL: &[u8] = b"Internal Server Error";

/// What such a worker claims to speak.
const CLAIMED: Dialect = Dialect::jsonrpc(Version::V1_0);

/// What it speaks.
const SPOKEN: Dialect = Dialect::jsonrpc(Version::FastA2a);

/// How long a worker that was asked in vain is not asked again: one that fails all the time is not to be called three
/// times as often for it.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// How often a question for no task is put: uvicorn closes the connection behind such a refusal without a word, so that
/// the next call may run into the close. Once for each connection that may have been refused on just now would be exact;
/// what comes together in that moment is few.
const TRIES: usize = 4;

/// When the worker was last asked in vain; held while it is asked.
#[derive(Default)]
pub(super) struct AskedInVain(tokio::sync::Mutex<Option<Instant>>);

impl Worker {
    /// Whether a failed call may have failed for its method's name alone.
    pub(super) fn may_lack_names(&self, known: &Known, error: &CallError) -> bool {
        // The operator's word stands.
        self.target.dialect.is_none() && known.dialect == CLAIMED && is_refusal(error)
    }

    /// Asks a worker that has answered with such a refusal which names it knows. Gives what is known of it from now on if
    /// it is the older ones only: then the refused call has begun nothing, and can be made again.
    pub(super) async fn find_out_names(
        &self,
        known: &Known,
        context: &CallContext,
    ) -> Option<Arc<Known>> {
        let mut in_vain = self.asked_in_vain.0.lock().await;
        // Another call may have found it out meanwhile.
        if let Some(now) = self.known.load_full()
            && now.dialect == SPOKEN
        {
            return Some(now);
        }
        if in_vain.is_some_and(|at| at.elapsed() < ASK_AGAIN) {
            return None;
        }
        let spoken = Known {
            card: known.card.clone(),
            dialect: SPOKEN,
            endpoint: known.endpoint.clone(),
            tenant: known.tenant.clone(),
            asked_at: known.asked_at,
        };
        let asking = async {
            // One that knows the new name may well have stumbled over the call itself. The old name comes last: that answer
            // leaves a connection behind which is good for the call to be made again.
            is_refusal(&self.ask_for_no_task(known, context).await)
                && self
                    .ask_for_no_task(&spoken, context)
                    .await
                    .is_task_not_found()
        };
        let only_old = tokio::time::timeout(self.target.card_timeout, asking).await;
        if only_old != Ok(true) {
            *in_vain = Some(Instant::now());
            return None;
        }
        tracing::info!(
            worker = %self.target.base,
            dialect = %SPOKEN,
            "the worker knows none of the method names of the version that its card claims"
        );
        let spoken = Arc::new(spoken);
        self.known.store(Some(spoken.clone()));
        self.learned.forget();
        Some(spoken)
    }

    /// The same after a call that has passed, for those to come. With the sidecar's own credentials alone.
    pub async fn note_refusal(&self) {
        if self.target.dialect.is_none()
            && let Some(known) = self.known.load_full()
            && known.dialect == CLAIMED
        {
            self.find_out_names(&known, &CallContext::default()).await;
        }
    }

    /// What has been found out of the worker before holds for as long as it shows the same card.
    pub(super) fn with_names_found(&self, mut fresh: Known) -> Known {
        if let Some(known) = self.known.load().as_ref()
            && known.dialect == SPOKEN
            && fresh.dialect == CLAIMED
            && known.card == fresh.card
        {
            fresh.dialect = SPOKEN;
        }
        fresh
    }

    /// How the worker refuses to show a task that does not exist.
    async fn ask_once_for_no_task(&self, known: &Known, context: &CallContext) -> CallError {
        let request = Request::GetTask(GetTaskRequest {
            id: Uuid::new_v4().to_string(),
            ..GetTaskRequest::default()
        });
        let answer = async {
            let response = self
                .exchange(known, &request, context, "application/json", None)
                .await?;
            self.read_answer(known, Operation::GetTask, response).await
        };
        match answer.await {
            Err(error) => error,
            Ok(_) => CallError::BadAnswer("a task that does not exist".to_owned()),
        }
    }

    /// The same, asked again where the connection broke.
    async fn ask_for_no_task(&self, known: &Known, context: &CallContext) -> CallError {
        let mut error = self.ask_once_for_no_task(known, context).await;
        for _ in 1..TRIES {
            if !matches!(error, CallError::Broken(_)) {
                break;
            }
            error = self.ask_once_for_no_task(known, context).await;
        }
        error
    }
}

fn is_refusal(error: &CallError) -> bool {
    let CallError::Http {
        status,
        headers,
        body,
    } = error
    else {
        return false;
    };
    is_crash_page(*status, headers) && body.trim_ascii() == REFUSAL
}

/// Whether an answer is the page of a server that has stumbled over the call, and no answer to it.
#[must_use]
pub fn is_crash_page(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::INTERNAL_SERVER_ERROR && is_plain_text(headers)
}
