//! A stand-in for Vault's database secrets engine: another user for each who asks, and it is kept who was ended.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use url::Url;

use crate::credential::{AppRole, SourceSpec, VaultSpec};

/// A running one, whose path is `database/creds/analyst`.
#[derive(Debug, Clone)]
pub struct StandInVault {
    address: Url,
    told: Arc<Mutex<Vec<String>>>,
}

impl StandInVault {
    /// Starts it.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start() -> std::io::Result<Self> {
        let told = Arc::<Mutex<Vec<String>>>::default();
        let (made, revoked) = (Arc::clone(&told), Arc::clone(&told));
        let creds = get(async move || {
            let number = {
                let mut told = made.lock().unwrap_or_else(PoisonError::into_inner);
                told.push("made".to_owned());
                told.iter().filter(|what| *what == "made").count()
            };
            Json(json!({
                "lease_id": format!("database/creds/analyst/{number}"),
                "lease_duration": 3600,
                "renewable": true,
                "data": { "username": format!("user-{number}"), "password": format!("passw0rd-{number}") },
            }))
        });
        let revoke = post(async move |Json(body): Json<Value>| {
            let id = body["lease_id"].as_str().unwrap_or_default();
            revoked.lock().unwrap_or_else(PoisonError::into_inner).push(format!("revoked {id}"));
            StatusCode::NO_CONTENT
        });
        let app = Router::new()
            .route("/v1/database/creds/analyst", creds)
            .route("/v1/sys/leases/revoke", revoke)
            .route("/v1/auth/token/renew-self", post(async || StatusCode::NO_CONTENT))
            .merge(Self::signs_in(Arc::clone(&told)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}/", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { address: address.parse().map_err(std::io::Error::other)?, told })
    }

    /// Where a credential comes from it, with this template.
    pub fn source(&self, template: &str) -> SourceSpec {
        SourceSpec::Vault(VaultSpec {
            address: self.address.clone(),
            path: "database/creds/analyst".to_owned(),
            namespace: None,
            template: template.to_owned(),
            wrapped: false,
            approle: None,
        })
    }

    /// The same where one signs in as a role. The secret id `the-secret-id` opens it; it comes wrapped in `the-wrapping-token`, once.
    pub fn source_by_role(&self, template: &str, wrapped_secret_id: bool) -> SourceSpec {
        let mut source = self.source(template);
        if let SourceSpec::Vault(spec) = &mut source {
            let (mount, role_id) = ("approle".to_owned(), "the-role".to_owned());
            spec.approle = Some(AppRole { mount, role_id, wrapped_secret_id });
        }
        source
    }

    fn signs_in(told: Arc<Mutex<Vec<String>>>) -> Router {
        let wrapped = Arc::new(Mutex::new(true));
        let used = Arc::clone(&wrapped);
        let refused = || (StatusCode::BAD_REQUEST, Json(json!({"errors": ["refused"]})));
        let login = post(async move |Json(body): Json<Value>| {
            if body != json!({"role_id": "the-role", "secret_id": "the-secret-id"}) {
                return refused();
            }
            told.lock().unwrap_or_else(PoisonError::into_inner).push("signed in".to_owned());
            let auth = json!({"client_token": "the-role-s-token", "lease_duration": 3600, "renewable": true});
            (StatusCode::OK, Json(json!({"auth": auth})))
        });
        let lookup = post(async move |Json(body): Json<Value>| {
            let is_there = *wrapped.lock().unwrap_or_else(PoisonError::into_inner);
            if body["token"] != "the-wrapping-token" || !is_there {
                return refused();
            }
            (StatusCode::OK, Json(json!({"data": {"creation_path": "auth/approle/role/deskgate/secret-id"}})))
        });
        let unwrap = post(async move |headers: HeaderMap| {
            let is_it = headers.get("x-vault-token").is_some_and(|token| token == "the-wrapping-token");
            if !is_it || !std::mem::take(&mut *used.lock().unwrap_or_else(PoisonError::into_inner)) {
                return refused();
            }
            (StatusCode::OK, Json(json!({"data": {"secret_id": "the-secret-id"}})))
        });
        Router::new()
            .route("/v1/auth/approle/login", login)
            .route("/v1/sys/wrapping/lookup", lookup)
            .route("/v1/sys/wrapping/unwrap", unwrap)
    }

    /// What it did, in order: `signed in`, `made`, or `revoked` with the lease.
    pub fn told(&self) -> Vec<String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
