//! The four operations on push configs (specification §3.1.7 to §3.1.10).

use http::Response;

use super::respond::Ready;
use super::{Asked, Shared};
use crate::a2a::error::ErrorKind;
use crate::a2a::request::{Answer, PushConfigRequest, TaskRequest};
use crate::a2a::{A2aError, PushConfig};
use crate::proxy::decide::{Plan, decide};
use crate::proxy::error::Error;
use crate::source::{PushOrder, Want};
use crate::store::push::Config;
use crate::store::{PushRegistration, RegistrationKind, TaskRecord};
use crate::wire::Body;

impl Shared {
    pub(super) async fn create_push(
        &self,
        asked: Asked,
        config: PushConfig,
    ) -> Result<Response<Body>, Error> {
        let kept = self.record(&asked, &config.task_id).await?;
        if kept.is_none() && self.passes_push(&asked).await? {
            return self.pass_call(asked).await;
        }
        if kept.is_none() && is_probe(&asked, &config.task_id) {
            self.offers_push(&asked)?;
            self.probes.keep(
                asked.key(&config.task_id),
                asked.principal(),
                config.clone(),
            );
            return Ok(Ready::new(&asked, &Answer::PushConfig(config)).into_response());
        }
        let (id, mut config) = self.checked_push(&asked, config)?;
        let record = match kept {
            Some(record) => record,
            None => self.adopt(&asked, &config.task_id).await?,
        };
        let order = PushOrder {
            id,
            dialect: asked.call.dialect,
            config: Config::Webhook(config.clone()),
        };
        let store = self.sources.hub().store();
        let others = store
            .registrations(&record.key)
            .await?
            .iter()
            .filter(|registration| registration.id != order.id)
            .count();
        if others >= self.max_push_configs {
            return Err(A2aError::new(
                ErrorKind::InvalidParams,
                format!(
                    "Task {} has {others} push notification configs, which is as many as are served; delete one first.",
                    record.key.id
                ),
            )
            .into());
        }
        config.task_id = record.key.id.to_string();
        self.sources
            .hub()
            .register(self.sources.seal_push(&record.key, &order)?)
            .await?;
        self.sources.ensure(&record, asked.upstream());
        Ok(Ready::new(&asked, &Answer::PushConfig(config)).into_response())
    }

    pub(super) async fn get_push(
        &self,
        asked: Asked,
        get: PushConfigRequest,
    ) -> Result<Response<Body>, Error> {
        if let Some(probe) = self.probe(&asked, &get.task_id) {
            return Ok(Ready::new(&asked, &Answer::PushConfig(probe)).into_response());
        }
        let Some(record) = self.kept_for_push(&asked, &get.task_id).await? else {
            return self.pass_call(asked).await;
        };
        let found = self
            .webhooks_of(&record)
            .await?
            .into_iter()
            .find(|registration| get.id.as_ref().is_none_or(|id| *id == registration.id));
        let config = match &found {
            Some(found) => self.opened(&record, found)?,
            None => None,
        };
        let Some(config) = config else {
            return Err(no_config(&get).into());
        };
        Ok(Ready::new(&asked, &Answer::PushConfig(config)).into_response())
    }

    pub(super) async fn list_push(
        &self,
        asked: Asked,
        list: TaskRequest,
    ) -> Result<Response<Body>, Error> {
        if let Some(probe) = self.probe(&asked, &list.id) {
            let answer = Answer::PushConfigs {
                configs: vec![probe],
                next_page_token: None,
            };
            return Ok(Ready::new(&asked, &answer).into_response());
        }
        let Some(record) = self.kept_for_push(&asked, &list.id).await? else {
            return self.pass_call(asked).await;
        };
        let configs = self
            .webhooks_of(&record)
            .await?
            .iter()
            .filter_map(|registration| self.opened(&record, registration).transpose())
            .collect::<Result<Vec<_>, _>>()?;
        let answer = Answer::PushConfigs {
            configs,
            next_page_token: None,
        };
        Ok(Ready::new(&asked, &answer).into_response())
    }

    pub(super) async fn delete_push(
        &self,
        asked: Asked,
        delete: PushConfigRequest,
    ) -> Result<Response<Body>, Error> {
        if is_probe(&asked, &delete.task_id)
            && self
                .probes
                .forget(&asked.key(&delete.task_id), asked.principal())
        {
            return Ok(Ready::new(&asked, &Answer::Empty).into_response());
        }
        let Some(record) = self.kept_for_push(&asked, &delete.task_id).await? else {
            return self.pass_call(asked).await;
        };
        let store = self.sources.hub().store();
        let ids = match delete.id {
            Some(id) => vec![id],
            // All that its requester can mean who does not name one.
            None if asked.call.dialect.traits().one_webhook => self
                .webhooks_of(&record)
                .await?
                .into_iter()
                .map(|registration| registration.id)
                .collect(),
            None => {
                return Err(A2aError::new(
                    ErrorKind::InvalidParams,
                    "The id of the push notification config to delete is missing.",
                )
                .into());
            }
        };
        // Idempotent (§3.1.10): whether there was one makes no difference.
        for id in ids {
            store.unregister(&record.key, &id).await?;
        }
        Ok(Ready::new(&asked, &Answer::Empty).into_response())
    }

    /// The task whose configs the sidecar serves; none where the worker serves them and the call passes.
    async fn kept_for_push(&self, asked: &Asked, id: &str) -> Result<Option<TaskRecord>, Error> {
        match self.record(asked, id).await? {
            Some(record) => Ok(Some(record)),
            None if self.passes_push(asked).await? => Ok(None),
            None => self.adopt(asked, id).await.map(Some),
        }
    }

    /// What the requester has registered to find out whether it can.
    fn probe(&self, asked: &Asked, task: &str) -> Option<PushConfig> {
        is_probe(asked, task)
            .then(|| self.probes.get(&asked.key(task), asked.principal()))
            .flatten()
    }

    async fn passes_push(&self, asked: &Asked) -> Result<bool, Error> {
        let situation = asked.situation(Want::AtOnce, false, false).await?;
        Ok(decide(&situation) == Plan::Pass)
    }

    /// The task's push configs: what is registered beside them is a callback, and nobody's to list.
    async fn webhooks_of(&self, record: &TaskRecord) -> Result<Vec<PushRegistration>, Error> {
        let store = self.sources.hub().store();
        let mut registrations = store.registrations(&record.key).await?;
        registrations.retain(|registration| registration.kind == RegistrationKind::Webhook);
        Ok(registrations)
    }

    fn opened(
        &self,
        record: &TaskRecord,
        registration: &PushRegistration,
    ) -> Result<Option<PushConfig>, Error> {
        Ok(self
            .sources
            .open_push(registration)?
            .map(|config| PushConfig {
                id: Some(registration.id.clone()),
                task_id: record.key.id.to_string(),
                ..config
            }))
    }
}

/// Whether this is the task that clients of this form name when they only want to know whether webhooks are taken.
fn is_probe(asked: &Asked, task: &str) -> bool {
    asked.call.dialect.traits().push_probe == Some(task)
}

fn no_config(get: &PushConfigRequest) -> A2aError {
    A2aError::new(
        ErrorKind::TaskNotFound,
        match &get.id {
            Some(id) => format!("Task {} has no push notification config {id}.", get.task_id),
            None => format!("Task {} has no push notification config.", get.task_id),
        },
    )
}
