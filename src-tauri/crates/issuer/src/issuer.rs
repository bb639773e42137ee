//! The issuer itself: it opens its state, and hands each request to the endpoint that answers it.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{ServerId, Subject, Timestamp};
use tokio::sync::{Mutex, Semaphore};

use crate::admission::{self, Admission, AdmissionFault, Visit};
use crate::clients::Clients;
use crate::codes::Codes;
use crate::consents::Consents;
use crate::documents::Fetched;
use crate::grants::Grants;
use crate::ledger::Ledger;
use crate::metadata::{self, Origin};
use crate::{
    AccessGrant, Assistant, IssuerConfig, IssuerRequest, IssuerResponse, RevocationCause, Route, Seams,
    StoreFault, TokenFault,
};

/// The authorization server. Cheap to clone; clones share their state.
#[derive(Clone)]
pub struct Issuer {
    core: Arc<Core>,
}

/// What the endpoints share.
pub(crate) struct Core {
    pub(crate) config: IssuerConfig,
    pub(crate) origin: Origin,
    pub(crate) seams: Seams,
    pub(crate) ledger: Ledger,
    pub(crate) clients: Clients,
    pub(crate) fetched: Fetched,
    pub(crate) consents: Consents,
    pub(crate) grants: Grants,
    pub(crate) codes: Codes,
    /// Held by whoever changes clients, codes or grants: one change at a time, durable before the next.
    pub(crate) writing: Mutex<()>,
    /// One permit for each authorization request that may wait for the person.
    pub(crate) waiting: Semaphore,
}

impl Issuer {
    /// Opens the issuer with what its store holds. Records that cannot be read are dropped and reported as events.
    pub async fn open(config: IssuerConfig, seams: Seams) -> Self {
        let (origin, ledger, limits) = (Origin::loopback(config.port), Ledger::new(&seams), config.limits);
        let core = Core {
            clients: Clients::new(ledger.clone(), limits),
            fetched: Fetched::default(),
            consents: Consents::new(ledger.clone()),
            grants: Grants::new(ledger.clone(), limits),
            codes: Codes::default(),
            writing: Mutex::new(()),
            waiting: Semaphore::new(limits.waiting_consents),
            ledger,
            origin,
            seams,
            config,
        };
        let issuer = Self { core: Arc::new(core) };
        issuer.read().await;
        issuer
    }

    /// Takes up what the store holds beside what is known: it may have been out of reach before.
    pub async fn read(&self) {
        let core = &self.core;
        let _writing = core.writing.lock().await;
        core.clients.read().await;
        core.consents.read().await;
        core.grants.read((core.seams.now)(), |server| core.origin.resource(server)).await;
    }

    /// Answers a request. For [`Route::Authorize`] the answer waits for the person, and dropping the future withdraws
    /// the question. The other routes run to their end even if the future is dropped: the state is never half changed.
    pub async fn handle(&self, request: IssuerRequest) -> IssuerResponse {
        let core = Arc::clone(&self.core);
        if request.method != request.route.method() {
            return IssuerResponse::page(405, "Method not allowed.").with("allow", request.route.method());
        }
        if request.body.len() > Route::BODY_LIMIT {
            return IssuerResponse::error(413, "invalid_request", "the body is too long");
        }
        match &request.route {
            Route::Metadata => core.authorization_server(),
            Route::Resource(server) => core.protected_resource(server),
            Route::Authorize => core.authorize(&request).await,
            Route::Register => to_the_end(async move { core.register(&request).await }).await,
            Route::Token => to_the_end(async move { core.token(&request).await }).await,
            Route::Revoke => to_the_end(async move { core.revoke(&request).await }).await,
        }
    }

    /// What an access token stands for at a resource. In memory, without waiting; meant for every request.
    ///
    /// The grant's subject is the person as they are signed in now, so that a group that was taken away is gone.
    ///
    /// # Errors
    /// [`TokenFault`] says why the token is not accepted there.
    pub fn introspect(
        &self,
        token: &str,
        resource: &str,
        now: Timestamp,
    ) -> Result<Arc<AccessGrant>, TokenFault> {
        let present = self.core.seams.resources.current_subject();
        self.core.grants.check(token, resource, present.as_ref(), now)
    }

    /// Who is present, with the groups they have now.
    pub fn present(&self) -> Option<Arc<Subject>> {
        self.core.seams.resources.current_subject()
    }

    /// Waits until this person is not signed in any more.
    pub async fn left(&self, person: &Subject) {
        self.core.seams.resources.departure(person).await;
    }

    /// Lets a program in that came over a local connection, if the person agrees now or agreed before: the same question,
    /// remembered and listed in the same place as for assistants that come over HTTP. Waits for the person; dropping the
    /// future withdraws the question.
    ///
    /// # Errors
    /// An [`AdmissionFault`] in words for the person.
    pub async fn admit(&self, visit: Visit) -> Result<Admission, AdmissionFault> {
        admission::admit(&self.core, visit).await
    }

    /// The resource identifier of a virtual server: the URL that the assistant connects to.
    pub fn resource(&self, server: &ServerId) -> String {
        self.core.origin.resource(server)
    }

    /// The `WWW-Authenticate` value that goes with a 401.
    pub fn challenge(&self, server: &ServerId, fault: TokenFault) -> String {
        metadata::challenge(&self.core.origin, server, fault)
    }

    /// Every assistant that is known, the most recently used first.
    pub fn assistants(&self) -> Vec<Assistant> {
        let registered = self.core.clients.all().into_iter().map(|client| Assistant {
            client_id: client.id,
            client_name: client.name.as_str().to_owned(),
            registered: client.registered,
            last_used: client.last_used,
            grants: Vec::new(),
        });
        let mut known: BTreeMap<String, Assistant> =
            registered.map(|assistant| (assistant.client_id.clone(), assistant)).collect();
        for (client_id, client_name, grant) in self.core.grants.list() {
            let assistant = known.entry(client_id.clone()).or_insert_with(|| Assistant {
                client_id,
                client_name,
                registered: None,
                last_used: None,
                grants: Vec::new(),
            });
            assistant.last_used = assistant.last_used.max(Some(grant.last_used));
            assistant.grants.push(grant);
        }
        let mut assistants: Vec<_> = known.into_values().collect();
        assistants.sort_by_key(|assistant| std::cmp::Reverse(assistant.last_used));
        assistants
    }

    /// Ends the grants and remembered consents of an assistant at one virtual server; returns how many grants ended. What it
    /// may use elsewhere stays, and so does its registration.
    ///
    /// # Errors
    /// As [`Issuer::revoke_client`].
    pub async fn revoke(&self, client_id: &str, server: &ServerId) -> Result<usize, StoreFault> {
        let (core, client_id, server) = (Arc::clone(&self.core), client_id.to_owned(), server.clone());
        to_the_end(async move {
            let _writing = core.writing.lock().await;
            core.codes.withdraw(|agreement| agreement.client_id == client_id && agreement.server == server);
            let forgotten = core
                .consents
                .forget(|consented| consented.is_of_client(&client_id) && consented.is_for(&server))
                .await;
            let ended = core
                .grants
                .end_all(RevocationCause::Person, |grant| {
                    grant.client_id == client_id && grant.server == server
                })
                .await;
            forgotten.and(ended)
        })
        .await
    }

    /// Ends every grant and remembered consent of an assistant; returns how many grants ended. Its registration stays, so
    /// that it can ask the person again.
    ///
    /// # Errors
    /// The store failed: the grants are ended in memory, but a restart could bring them back.
    pub async fn revoke_client(&self, client_id: &str) -> Result<usize, StoreFault> {
        let (core, client_id) = (Arc::clone(&self.core), client_id.to_owned());
        to_the_end(async move {
            let _writing = core.writing.lock().await;
            core.codes.withdraw(|agreement| agreement.client_id == client_id);
            let forgotten = core.consents.forget(|consented| consented.is_of_client(&client_id)).await;
            let ended =
                core.grants.end_all(RevocationCause::Person, |grant| grant.client_id == client_id).await;
            forgotten.and(ended)
        })
        .await
    }

    /// Ends every grant and remembered consent of a person; returns how many grants ended.
    ///
    /// # Errors
    /// As [`Issuer::revoke_client`].
    pub async fn revoke_subject(&self, subject: &Subject) -> Result<usize, StoreFault> {
        let (core, subject) = (Arc::clone(&self.core), subject.clone());
        to_the_end(async move {
            let _writing = core.writing.lock().await;
            core.codes.withdraw(|agreement| agreement.subject.is_same_person(&subject));
            let forgotten = core.consents.forget(|consented| consented.is_of(&subject)).await;
            let ended = core.grants.end_all(RevocationCause::Person, |grant| grant.is_for(&subject)).await;
            forgotten.and(ended)
        })
        .await
    }

    /// Ends every grant and remembered consent; returns how many grants ended. For a port that another program held in
    /// the meantime: assistants may have shown their tokens to it.
    ///
    /// # Errors
    /// As [`Issuer::revoke_client`].
    pub async fn revoke_all(&self) -> Result<usize, StoreFault> {
        let core = Arc::clone(&self.core);
        to_the_end(async move {
            let _writing = core.writing.lock().await;
            core.codes.withdraw(|_| true);
            let forgotten = core.consents.forget(|_| true).await;
            let ended = core.grants.end_all(RevocationCause::Overheard, |_| true).await;
            forgotten.and(ended)
        })
        .await
    }
}

impl Core {
    pub(crate) fn now(&self) -> Timestamp {
        (self.seams.now)()
    }

    fn authorization_server(&self) -> IssuerResponse {
        IssuerResponse::json(200, &metadata::authorization_server(&self.origin))
    }

    fn protected_resource(&self, server: &ServerId) -> IssuerResponse {
        match self.seams.resources.server(server) {
            Some(title) => {
                IssuerResponse::json(200, &metadata::protected_resource(&self.origin, server, &title))
            }
            None => IssuerResponse::error(404, "not_found", "there is no such virtual server"),
        }
    }
}

/// What a caller gets if the task that works for it ends without a result.
pub(crate) trait Interrupted {
    fn interrupted() -> Self;
}

impl Interrupted for IssuerResponse {
    fn interrupted() -> Self {
        Self::error(500, "server_error", "the request could not be completed")
    }
}

impl Interrupted for Result<usize, StoreFault> {
    fn interrupted() -> Self {
        Err(StoreFault("the change was interrupted".to_owned()))
    }
}

/// Runs a change to its end even if whoever waits for it goes away.
pub(crate) async fn to_the_end<T>(change: impl Future<Output = T> + Send + 'static) -> T
where
    T: Interrupted + Send + 'static,
{
    tokio::spawn(change).await.unwrap_or_else(|fault| {
        tracing::error!(%fault, "a change of the issuer's state was interrupted");
        T::interrupted()
    })
}
