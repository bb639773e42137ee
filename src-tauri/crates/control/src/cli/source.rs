//! Where a secret comes from, as it is typed.

use clap::{Args, ValueEnum};
use control::{AppRole, OauthSpec, SourceSpec, VaultSpec};
use url::Url;

use super::Failure;

/// The places that secrets come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Vault or OpenBao.
    Vault,
    /// A client's own token at an authorization server (RFC 6749, section 4.4).
    ClientCredentials,
    /// A token for the person of each call (RFC 8693), about whom the server signs an assertion.
    TokenExchange,
}

/// Where a secret comes from. Without it, what is given is the secret itself; with it, what opens the place: the token or a role's secret
/// id at Vault, or the client's secret.
#[derive(Debug, Args)]
pub(super) struct SourceArgs {
    /// Have the secret fetched from elsewhere each time.
    #[arg(long, value_enum)]
    source: Option<Kind>,
    /// Vault: its address, such as https://vault.example:8200/.
    #[arg(long, requires = "source")]
    address: Option<Url>,
    /// Vault: what is read, as its API spells it: secret/data/warehouse, database/creds/analyst.
    #[arg(long, requires = "source")]
    path: Option<String>,
    /// Vault: the namespace.
    #[arg(long, requires = "source")]
    namespace: Option<String>,
    /// Vault: the field that is the secret.
    #[arg(long, requires = "source", conflicts_with = "template")]
    field: Option<String>,
    /// Vault: a text with fields in it, such as postgres://${username:url}:${password:url}@db/warehouse.
    #[arg(long, requires = "source")]
    template: Option<String>,
    /// Vault: have the reply wrapped, so that whoever reads it on its way is found out.
    #[arg(long, requires = "source")]
    wrapped: bool,
    /// Vault: sign in as this role (AppRole), by its id; what is read is a secret id of it and not a token.
    #[arg(long, requires = "source")]
    role_id: Option<String>,
    /// Vault: where roles sign in, below auth/.
    #[arg(long, requires = "role_id", default_value = "approle")]
    auth_mount: String,
    /// Vault: what is read is a wrapping token with the secret id in it (`vault write -wrap-ttl=60s -f auth/approle/role/NAME/secret-id`),
    /// which is refused where somebody took it out before.
    #[arg(long, requires = "role_id")]
    wrapped_secret_id: bool,
    /// Authorization server: its token endpoint.
    #[arg(long, requires = "source")]
    token_url: Option<Url>,
    /// Authorization server: the client's id there.
    #[arg(long, requires = "source")]
    client_id: Option<String>,
    /// Authorization server: a scope to ask for; give each.
    #[arg(long = "scope", requires = "source")]
    scopes: Vec<String>,
    /// Authorization server: the service that the token is for, by its URL (RFC 8707).
    #[arg(long, requires = "source")]
    resource: Option<Url>,
    /// Authorization server: the same by a name that it knows.
    #[arg(long, requires = "source")]
    audience: Option<String>,
    /// Authorization server: where tokens that were lent are revoked (RFC 7009).
    #[arg(long, requires = "source")]
    revocation_url: Option<Url>,
}

impl SourceArgs {
    /// What was said; `None` where the secret is given itself.
    pub(super) fn spec(self) -> Result<Option<SourceSpec>, Failure> {
        let Some(kind) = self.source else { return Ok(None) };
        let (of_vault, of_server) = (
            self.address.is_some()
                || self.path.is_some()
                || self.namespace.is_some()
                || self.field.is_some()
                || self.template.is_some()
                || self.wrapped
                || self.role_id.is_some(),
            self.token_url.is_some()
                || self.client_id.is_some()
                || !self.scopes.is_empty()
                || self.resource.is_some()
                || self.audience.is_some()
                || self.revocation_url.is_some(),
        );
        match kind {
            Kind::Vault if of_server => Err(foreign("Vault is no authorization server")),
            Kind::Vault => self.vault().map(SourceSpec::Vault).map(Some),
            Kind::ClientCredentials | Kind::TokenExchange if of_vault => {
                Err(foreign("an authorization server is no Vault"))
            }
            Kind::ClientCredentials => self.oauth().map(SourceSpec::ClientCredentials).map(Some),
            Kind::TokenExchange => self.oauth().map(SourceSpec::TokenExchange).map(Some),
        }
    }

    fn vault(self) -> Result<VaultSpec, Failure> {
        let template = self.template.or_else(|| self.field.map(|field| format!("${{{field}}}")));
        let (mount, wrapped_secret_id) = (self.auth_mount, self.wrapped_secret_id);
        let approle = self.role_id.map(|role_id| AppRole { mount, role_id, wrapped_secret_id });
        Ok(VaultSpec {
            address: self.address.ok_or_else(|| missing("--address"))?,
            path: self.path.ok_or_else(|| missing("--path"))?,
            namespace: self.namespace,
            template: template.ok_or_else(|| missing("--field or --template"))?,
            wrapped: self.wrapped,
            approle,
        })
    }

    fn oauth(self) -> Result<OauthSpec, Failure> {
        Ok(OauthSpec {
            token_url: self.token_url.ok_or_else(|| missing("--token-url"))?,
            client_id: self.client_id.ok_or_else(|| missing("--client-id"))?,
            scopes: self.scopes,
            resource: self.resource,
            audience: self.audience,
            revocation_url: self.revocation_url,
        })
    }
}

fn missing(what: &str) -> Failure {
    Failure::new(format!("This source needs {what}."))
}

fn foreign(why: &str) -> Failure {
    Failure::new(format!("These options do not belong together: {why}. See --help."))
}
