//! What is remembered of a sign-in, from the desktop's question to its last refresh token.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::{Digest, Subject, Timestamp};
use org_protocol::{IdentityProvider, SamlProvider};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Authorization, Op};
use crate::identity::SignIn;
use crate::saml::{Accepted, Asked};

/// How long a person has to sign in at the identity provider.
pub(crate) const QUESTION_LIFE: Duration = Duration::from_secs(10 * 60);
/// How long a code is good: it goes straight from the browser to the program that waits for it.
pub(crate) const CODE_LIFE: Duration = Duration::from_secs(60);
/// How long an ID token is good. Renewing it costs the person nothing.
const ID_TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// The format version of [`Question`] and [`Granted`].
const FORMAT: u32 = 1;

/// A desktop's question, as it waits for the identity provider's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    format: u32,
    request: String,
    at: Timestamp,
    anew: bool,
    pub(crate) authorization: Authorization,
}

impl Question {
    /// What a desktop asks for, and what the identity provider was asked for it.
    pub(crate) fn new(authorization: Authorization, asked: &Asked) -> Self {
        Self { format: FORMAT, request: asked.request.clone(), at: asked.at, anew: asked.anew, authorization }
    }

    /// What the identity provider was asked. `None` where it was written by another version.
    pub(crate) fn asked(&self, relay: &str) -> Option<Asked> {
        (self.format == FORMAT).then(|| Asked {
            request: self.request.clone(),
            relay: relay.to_owned(),
            at: self.at,
            anew: self.anew,
        })
    }
}

/// A sign-in that a desktop holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Granted {
    format: u32,
    /// Who signed in.
    pub(crate) subject: Subject,
    /// Who said so.
    entity_id: String,
    /// Its own session of the person.
    sid: Option<String>,
    authenticated: Timestamp,
    /// What the desktop asked for.
    pub(crate) authorization: Authorization,
}

impl Granted {
    /// Who signed in, as the signed content has attributes read.
    pub(crate) fn new(
        issuer: &str,
        provider: &SamlProvider,
        authorization: Authorization,
        accepted: &Accepted,
    ) -> Self {
        let values = |name: &Option<String>| named(&accepted.attributes, name.as_deref()).into_iter();
        let subject = Subject {
            issuer: issuer.to_owned(),
            subject: accepted.name_id.clone(),
            email: values(&provider.email_attribute).next(),
            name: values(&provider.name_attribute).next(),
            groups: values(&provider.groups_attribute).take(claims::MOST_TEXTS).collect::<BTreeSet<_>>(),
            attributes: BTreeMap::new(),
        };
        Self {
            format: FORMAT,
            subject,
            entity_id: provider.entity_id.clone(),
            sid: accepted.session_index.clone(),
            authenticated: accepted.authenticated,
            authorization,
        }
    }

    /// The sign-in, as it can be ended. Whole seconds, as in its ID tokens.
    pub(crate) fn sign_in(&self) -> SignIn {
        SignIn {
            sid: self.sid.clone(),
            at: Timestamp::from_seconds(self.authenticated.seconds()),
            nonce: Some(Digest::of(self.authorization.nonce.as_bytes())),
        }
    }

    /// Whether it is still of the provider and the client that the signed content names.
    pub(crate) fn is_of(&self, provider: &IdentityProvider) -> bool {
        self.format == FORMAT
            && self.authorization.client_id == provider.client_id
            && provider.saml.as_ref().is_some_and(|saml| saml.entity_id == self.entity_id)
    }

    /// The tokens that a desktop gets (OpenID Connect Core 1.0, sections 3.1.3.3 and 12.2).
    pub(crate) fn tokens(
        &self,
        op: &Op,
        groups_claim: &str,
        (access, refresh): (&str, &str),
        expires: Timestamp,
        now: Timestamp,
    ) -> Value {
        let until = now.plus(ID_TOKEN_LIFE).min(expires);
        let subject = &self.subject;
        let mut claims = json!({
            "iss": op.issuer(),
            "sub": subject.subject,
            "aud": self.authorization.client_id,
            "iat": now.seconds(),
            "exp": until.seconds(),
            "auth_time": self.authenticated.seconds(),
            // The same at each renewal: it binds the device's key.
            "nonce": self.authorization.nonce,
        });
        if let Some(claims) = claims.as_object_mut() {
            let more = [("sid", &self.sid), ("email", &subject.email), ("name", &subject.name)];
            claims.extend(
                more.into_iter()
                    .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value.as_deref()?)))),
            );
            // Under no name that says something else.
            claims.entry(groups_claim).or_insert_with(|| json!(subject.groups));
        }
        json!({
            // Good for nothing: there is nothing to be had with it.
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": until.since(now).as_secs(),
            "refresh_token": refresh,
            "id_token": op.key().sign(&claims),
            "scope": "openid offline_access",
        })
    }
}

/// When the sign-in ends that `accepted` begins.
pub(crate) fn session_end(provider: &SamlProvider, accepted: &Accepted, now: Timestamp) -> Timestamp {
    let most = now.plus(Duration::from_secs(u64::from(provider.session_hours) * 3600));
    accepted.session_until.map_or(most, |until| until.min(most))
}

/// The usable values of the attribute of this name.
fn named(attributes: &BTreeMap<String, Vec<String>>, name: Option<&str>) -> Vec<String> {
    let values = name.and_then(|name| attributes.get(name)).into_iter().flatten();
    values.filter(|value| claims::is_group(value)).cloned().collect()
}
