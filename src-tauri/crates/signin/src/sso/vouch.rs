//! The identity provider vouches for whoever is signed in: their ID token is exchanged for an assertion that is good at one
//! authorization server, for one resource. The ID token goes to the provider's own token endpoint and nowhere else.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::place::SsoPlace;
use super::session::Session;
use crate::FaultKind;
use crate::obtain::{is_passing, refusal, spaced};

/// RFC 8693, section 2.1.
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// RFC 8693, section 3.
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// draft-ietf-oauth-identity-assertion-authz-grant.
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// What the provider is to vouch for.
#[derive(Debug, Clone, Copy)]
pub struct Vouch<'a> {
    /// The issuer identifier of the authorization server that is to believe it, exactly.
    pub audience: &'a str,
    /// The resource that is to be used there (RFC 8707).
    pub resource: &'a str,
    /// The scopes that are wanted; those that the provider grants by itself where empty.
    pub scopes: &'a BTreeSet<String>,
}

/// RFC 8693, section 2.2.1.
#[derive(Deserialize)]
struct Exchanged {
    access_token: String,
    issued_token_type: String,
}

impl SsoPlace {
    pub(super) async fn vouch(&self, kept: &Session, wanted: &Vouch<'_>) -> Result<SecretString, FaultKind> {
        let found = self.provider.discover(&self.reach).await?;
        let scope = spaced(wanted.scopes);
        let mut fields = vec![
            ("grant_type", TOKEN_EXCHANGE),
            ("requested_token_type", ID_JAG),
            ("subject_token", kept.id_token().expose_secret()),
            ("subject_token_type", ID_TOKEN),
            ("audience", wanted.audience),
            ("resource", wanted.resource),
        ];
        if !scope.is_empty() {
            fields.push(("scope", &scope));
        }
        let endpoint = &found.tokens;
        let request = endpoint.form(&endpoint.token, &fields, endpoint.client_secret.as_ref())?;
        let answer = self.reach.send(request).await?;
        if !answer.status().is_success() {
            return Err(match refusal(answer.body())? {
                code if is_passing(&code) => FaultKind::Unreachable(code),
                code => FaultKind::Refused(code),
            });
        }
        let exchanged: Exchanged = serde_json::from_slice(answer.body()).map_err(|fault| {
            FaultKind::Unreadable(format!("an exchanged token, column {}", fault.column()))
        })?;
        if exchanged.issued_token_type == ID_JAG {
            Ok(exchanged.access_token.into())
        } else {
            Err(FaultKind::NotOffered("enterprise-managed authorization".to_owned()))
        }
    }
}
