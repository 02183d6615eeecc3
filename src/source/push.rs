//! The push source: waits for the worker's webhooks (which [`super::webhook`] takes in), and looks at the task now and then,
//! since webhooks get lost.

use super::Mode;
use super::poll::{Look, jittered};
use super::supervise::{Left, Watch, Way};

impl Watch {
    pub(super) async fn push(&mut self) -> Left {
        self.note_source(Mode::Push).await;
        loop {
            let seen = self.demand.last_seq();
            let slow = jittered(
                self.upstream.policy.poll.slow,
                self.upstream.policy.poll.jitter,
            );
            tokio::select! {
                () = self.stop.cancelled() => return Left::Done,
                () = self.demand.wait_past(seen) => {
                    if self.is_over().await {
                        return Left::Done;
                    }
                }
                () = tokio::time::sleep(slow) => {
                    // Webhooks get lost (no SDK repeats them), the last one included.
                    if self.can_read() {
                        match self.look().await {
                            Ok(state) if state.is_terminal() => return Left::Done,
                            Ok(_) => self.failing_since = None,
                            Err(Look::Worker(error)) => {
                                if let Left::Done = self.after_trouble(error).await {
                                    return Left::Done;
                                }
                            }
                            Err(Look::Store(error)) => {
                                return self.store_failed(&error, Way::Push).await;
                            }
                        }
                    }
                }
            }
        }
    }
}
