//! The issuer itself: it opens its state, and hands each request to the endpoint that answers it.

use std::sync::Arc;

use model::{ServerId, Subject, Timestamp};

use crate::metadata::{self, Origin};
use crate::{
    AccessGrant, Assistant, IssuerConfig, IssuerRequest, IssuerResponse, Route, Seams, StoreFault, TokenFault,
};

/// The authorization server.
pub struct Issuer {
    origin: Origin,
    seams: Seams,
}

impl Issuer {
    /// Opens the issuer with what its store holds. Records that cannot be read are dropped and reported as events.
    pub async fn open(config: IssuerConfig, seams: Seams) -> Self {
        Self { origin: Origin::loopback(config.port), seams }
    }

    /// Answers a request. For [`Route::Authorize`] the answer waits for the person.
    pub async fn handle(&self, request: IssuerRequest) -> IssuerResponse {
        if request.method != request.route.method() {
            return IssuerResponse::page(405, "Method not allowed.").with("allow", request.route.method());
        }
        match &request.route {
            Route::Metadata => IssuerResponse::json(200, &metadata::authorization_server(&self.origin)),
            Route::Resource(server) => match self.seams.resources.server(server) {
                Some(title) => {
                    IssuerResponse::json(200, &metadata::protected_resource(&self.origin, server, &title))
                }
                None => IssuerResponse::page(404, "There is no such virtual server."),
            },
            Route::Register | Route::Authorize | Route::Token | Route::Revoke => {
                IssuerResponse::error(503, "temporarily_unavailable", "not open yet")
            }
        }
    }

    /// What an access token stands for at a resource. In memory, without waiting; meant for every request.
    ///
    /// # Errors
    /// [`TokenFault`] says why the token is not accepted there.
    pub fn introspect(
        &self,
        _token: &str,
        _resource: &str,
        _now: Timestamp,
    ) -> Result<Arc<AccessGrant>, TokenFault> {
        Err(TokenFault::Unknown)
    }

    /// The resource identifier of a virtual server: the URL that the assistant connects to.
    pub fn resource(&self, server: &ServerId) -> String {
        self.origin.resource(server)
    }

    /// The `WWW-Authenticate` value that goes with a 401.
    pub fn challenge(&self, server: &ServerId, fault: TokenFault) -> String {
        metadata::challenge(&self.origin, server, fault)
    }

    /// Every assistant that is known, most recently used first.
    pub fn assistants(&self) -> Vec<Assistant> {
        Vec::new()
    }

    /// Ends every grant and remembered consent of an assistant; returns how many grants ended.
    ///
    /// # Errors
    /// The store failed: the grants are ended in memory, but a restart could bring them back.
    pub async fn revoke_client(&self, _client_id: &str) -> Result<usize, StoreFault> {
        Ok(0)
    }

    /// Ends every grant and remembered consent of a person.
    ///
    /// # Errors
    /// As [`Issuer::revoke_client`].
    pub async fn revoke_subject(&self, _subject: &Subject) -> Result<usize, StoreFault> {
        Ok(0)
    }

    /// Ends every grant and remembered consent.
    ///
    /// # Errors
    /// As [`Issuer::revoke_client`].
    pub async fn revoke_all(&self) -> Result<usize, StoreFault> {
        Ok(0)
    }
}
