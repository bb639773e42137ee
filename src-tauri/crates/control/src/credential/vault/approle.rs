//! Signing in at Vault or OpenBao: with a token as it is, or as a machine's role (developer.hashicorp.com/vault/api-docs/auth/approle,
//! "Login With AppRole").

use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::super::source::{AppRole, SourceFault};
use super::{Reply, Vault};

/// A token is not used in its last moments: what is asked with it takes its time.
const AHEAD: Duration = Duration::from_secs(30);

/// By what one is let in.
pub(super) enum Access {
    /// A token, as it was stored.
    Token(SecretString),
    /// A role that signs in.
    Role(Box<Role>),
}

pub(super) struct Role {
    spec: AppRole,
    secret_id: SecretString,
    session: Mutex<Session>,
}

/// What a sign-in gave; none yet, at first.
#[derive(Default)]
struct Session {
    /// Counts the sign-ins.
    number: u64,
    token: Option<Token>,
}

struct Token {
    secret: SecretString,
    renewable: bool,
    /// How long it lives, from when it was had or renewed.
    life: Duration,
    /// When it ends, on the clock that nobody sets; never, where nothing is said.
    end: Option<Duration>,
}

/// The part of a reply that is about a token.
#[derive(Deserialize)]
pub(super) struct Auth {
    client_token: String,
    #[serde(default)]
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
}

impl Access {
    pub(super) fn new(role: Option<AppRole>, key: SecretString) -> Self {
        match role {
            None => Self::Token(key),
            Some(spec) => Self::Role(Box::new(Role { spec, secret_id: key, session: Mutex::default() })),
        }
    }
}

impl Token {
    fn of(auth: Auth, now: Duration) -> Self {
        let life = Duration::from_secs(auth.lease_duration);
        let end = (!life.is_zero()).then(|| now + life);
        Self { secret: SecretString::from(auth.client_token), renewable: auth.renewable, life, end }
    }

    /// Whether it is past the half of its life and can be renewed: what was had by it ends with it, so that it is not to run low.
    fn is_worth_renewing(&self, now: Duration) -> bool {
        self.renewable && self.end.is_some_and(|end| now < end && end - now < self.life / 2)
    }

    fn lasts(&self, now: Duration) -> bool {
        self.end.is_none_or(|end| now + AHEAD < end)
    }
}

impl Vault {
    /// A token that is good for the next moments: renewed, or had by signing in, where it is not there.
    pub(super) async fn token(&self) -> Result<SecretString, SourceFault> {
        let role = match &self.access {
            Access::Token(token) => return Ok(token.clone()),
            Access::Role(role) => role,
        };
        let mut session = role.session.lock().await;
        let now = self.clock.boot_time();
        if let Some(token) = &session.token
            && token.is_worth_renewing(now)
            && let Ok(Some(auth)) = self.renewed(&token.secret).await
        {
            session.token = Some(Token::of(auth, now));
        }
        // One that cannot be renewed any more is had anew.
        if session.token.as_ref().is_some_and(|token| !token.lasts(now)) {
            session.token = None;
        }
        if let Some(token) = &session.token {
            return Ok(token.secret.clone());
        }
        let token = Token::of(self.signed_in(role).await?, now);
        let secret = token.secret.clone();
        session.token = Some(token);
        session.number += 1;
        Ok(secret)
    }

    /// Forgets a token that was not taken. `false` where there is no other to be had.
    pub(super) async fn has_lost(&self, lost: &SecretString) -> bool {
        let Access::Role(role) = &self.access else { return false };
        let mut session = role.session.lock().await;
        let is_it = |token: &Token| token.secret.expose_secret() == lost.expose_secret();
        if session.token.as_ref().is_some_and(is_it) {
            session.token = None;
        }
        true
    }

    /// By which sign-in things are had now, and how long its token lives.
    pub(super) async fn sign_in_now(&self) -> (u64, Option<Duration>) {
        let Access::Role(role) = &self.access else { return (0, None) };
        let session = role.session.lock().await;
        let now = self.clock.boot_time();
        let end = session.token.as_ref().and_then(|token| token.end);
        (session.number, end.map(|end| end.saturating_sub(now)))
    }

    /// Whether it is the place where one signs in.
    pub(super) fn is_sign_in(&self, path: &str) -> bool {
        matches!(&self.access, Access::Role(role) if path == login(&role.spec))
    }

    /// Has a token live on. `None` where the reply does not say how.
    pub(super) async fn renewed(&self, token: &SecretString) -> Result<Option<Auth>, SourceFault> {
        let path = "auth/token/renew-self";
        let request = self.request(Method::POST, path, Some(token))?.json(&json!({}));
        Ok(self.reply(request, path).await?.auth)
    }

    async fn signed_in(&self, role: &Role) -> Result<Auth, SourceFault> {
        let path = login(&role.spec);
        let body = json!({ "role_id": role.spec.role_id, "secret_id": role.secret_id.expose_secret() });
        let reply = self.reply(self.request(Method::POST, &path, None)?.json(&body), &path).await?;
        reply.auth.ok_or_else(|| self.unreadable("a sign-in without a token"))
    }

    /// The secret id in a wrapping token. It is looked first whether there is one in it, and made where a role's are: whoever takes it
    /// out has it alone ("Response wrapping", "Response Wrapping Token Validation").
    pub(in super::super) async fn secret_id(
        &self,
        wrapping: &SecretString,
    ) -> Result<SecretString, SourceFault> {
        let not_wrapped = |why| SourceFault::NotWrappedId(self.server(), why);
        let Access::Role(role) = &self.access else { return Err(not_wrapped("there is no role")) };
        let path = "sys/wrapping/lookup";
        let body = json!({ "token": wrapping.expose_secret() });
        // Nobody asks: a wrapping token that asked would be used up by that.
        let reply = self.reply(self.request(Method::POST, path, None)?.json(&body), path).await;
        let made_at = text(unless_used(reply, &not_wrapped)?, "creation_path");
        let made_at = made_at.ok_or_else(|| self.unreadable("a wrapping token without a place"))?;
        let (begin, end) = (format!("auth/{}/role/", role.spec.mount), "/secret-id");
        if !(made_at.starts_with(&begin) && made_at.ends_with(end)) {
            return Err(not_wrapped("what is in it is no secret id"));
        }
        let reply = unless_used(self.unwrap(wrapping).await, &not_wrapped)?;
        let secret_id =
            text(reply, "secret_id").ok_or_else(|| not_wrapped("what is in it is no secret id"))?;
        Ok(SecretString::from(secret_id))
    }
}

/// A token that is unknown was never one, or was used.
fn unless_used(
    reply: Result<Reply, SourceFault>,
    not_wrapped: &impl Fn(&'static str) -> SourceFault,
) -> Result<Reply, SourceFault> {
    match reply {
        Err(SourceFault::Refused(..) | SourceFault::Unreadable(..) | SourceFault::Nothing(..)) => {
            Err(not_wrapped("it is none, or somebody took out what was in it"))
        }
        other => other,
    }
}

fn text(reply: Reply, field: &str) -> Option<String> {
    match reply.data?.remove(field)? {
        Value::String(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn login(role: &AppRole) -> String {
    format!("auth/{}/login", role.mount)
}
