//! What connectors need from outside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mcp::CallParams;
use model::{AccountId, Advice, BoxFuture, ConnectorId, CredentialId, ServerId, Subject};
use os::Clock;
use secrecy::SecretString;
use signin::{FaultKind, Vouch};
use tokio::sync::watch;
use upstream::{Answer, Authority, Bearer, Ear, HttpClient};
use url::Url;

use crate::sealed::SealedValues;

/// What every connector shares.
#[derive(Clone)]
pub struct Seams {
    /// Pooled HTTP connections.
    pub http: HttpClient,
    /// The employee's own accounts.
    pub accounts: Arc<dyn Accounts>,
    /// The control plane, where there is one.
    pub broker: Option<Arc<dyn Broker>>,
    /// Who lends shared credentials, where somebody does.
    pub lender: Option<Arc<dyn Lender>>,
    /// What is sealed for the person's own connectors; nothing where an organisation decides, whose settings must not reach it.
    pub sealed: Option<Arc<dyn SealedValues>>,
    /// The environment that every program gets, beside what its connector says.
    pub environment: BTreeMap<String, String>,
    /// How long starting a connector and listing its tools may take.
    pub opening_deadline: Duration,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
}

/// Whether a person may be asked for a missing sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// A call waits: ask.
    Allowed,
    /// Nobody waits: fail rather than open a window.
    Never,
}

/// Who vouches for the employee at authorization servers: the organisation's identity provider.
pub trait Voucher: Send + Sync {
    /// An assertion that is good at one authorization server for one resource (Identity Assertion JWT Authorization Grant).
    /// Nobody is asked for it, and nobody is vouched for but this person, whoever is present by now.
    fn vouch<'a>(
        &'a self,
        person: &'a Subject,
        wanted: Vouch<'a>,
    ) -> BoxFuture<'a, Result<SecretString, FaultKind>>;
}

/// The employee's own accounts at connectors. None is ever used for another.
pub trait Accounts: Send + Sync {
    /// This person's token for the account that is good now, after a silent refresh where needed. Never another's, whoever is
    /// present by now.
    fn bearer<'a>(
        &'a self,
        person: &'a Subject,
        account: &'a AccountId,
        asking: Asking,
    ) -> BoxFuture<'a, Result<Bearer, AccountFault>>;

    /// An address at which the person can go on with a sign-in to this connector: as soon as one is under way. Until then,
    /// and where there is none, it is waited for in vain.
    fn visit<'a>(&'a self, account: &'a AccountId) -> BoxFuture<'a, Url> {
        let _ = account;
        Box::pin(std::future::pending())
    }

    /// The connector refused a token because it does not cover enough, and said so in `challenge`: this person is asked to
    /// allow more, or will be at the next sign-in. What is returned is not the token; it is asked for anew.
    fn step_up<'a>(
        &'a self,
        person: &'a Subject,
        account: &'a AccountId,
        bearer: &'a Bearer,
        challenge: &'a str,
        asking: Asking,
    ) -> BoxFuture<'a, Result<(), AccountFault>>;

    /// The connector refused a token: it is not handed out again.
    fn rejected<'a>(
        &'a self,
        account: &'a AccountId,
        bearer: &'a Bearer,
        challenge: Option<String>,
    ) -> BoxFuture<'a, ()>;
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountFault {
    /// The person has to sign in, and was not asked or did not do it.
    #[error("a sign-in is needed: {}", .0.happened)]
    SignInNeeded(Advice),
    /// The authorization server failed; the grant is kept.
    #[error("the authorization server failed: {}", .0.happened)]
    Failed(Advice),
}

/// On whose behalf a call is made.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The person.
    pub subject: &'a Subject,
    /// The assistant's client identifier.
    pub client_id: &'a str,
    /// The assistant's name, as it claims.
    pub client_name: &'a str,
    /// The full path of its program, where it is known.
    pub program: Option<&'a str>,
}

/// Makes calls with shared credentials where the secrets are: at the control plane.
pub trait Broker: Send + Sync {
    /// Makes one call with the credential that the permit names. What the connector tells until its answer comes, `ear` hears; it
    /// is asked nothing.
    fn call<'a>(
        &'a self,
        authority: Authority<'a>,
        credential: &'a CredentialId,
        params: &'a CallParams<'a>,
        caller: Caller<'a>,
        deadline: Duration,
        ear: Option<&'a Ear>,
    ) -> BoxFuture<'a, Result<Answer, BrokerFault>>;
}

/// Lends shared credentials to the programs that must hold them.
pub trait Lender: Send + Sync {
    /// Lends the credential for as long as the other end allows.
    fn lend<'a>(&'a self, loan: Loan<'a>) -> BoxFuture<'a, Result<Lent, BrokerFault>>;
}

/// What a shared credential is wanted for.
#[derive(Debug, Clone, Copy)]
pub struct Loan<'a> {
    /// The connector that is to hold it.
    pub connector: &'a ConnectorId,
    /// The credential that the permit names.
    pub credential: &'a CredentialId,
    /// The virtual server that the call comes through.
    pub server: &'a ServerId,
    /// On whose behalf.
    pub caller: Caller<'a>,
}

/// A secret that may be held for now.
#[derive(Clone)]
pub struct Lent {
    /// The secret.
    pub secret: SecretString,
    /// Counts the credential's secrets: two of them are never held by one program.
    pub version: u64,
    /// Becomes `true` when whatever holds it has to end.
    pub ended: watch::Receiver<bool>,
    /// Kept by each call that is made with it: a secret that was rotated is held until they are done.
    pub in_use: Arc<()>,
}

impl std::fmt::Debug for Lent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lent(..)")
    }
}

/// Why the control plane made no call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerFault {
    /// It cannot be reached, or there is no session with it.
    #[error("the control plane cannot be used: {}", .0.happened)]
    Unavailable(Advice),
    /// It decided otherwise than this device.
    #[error("the control plane refused: {}", .0.happened)]
    Refused(Advice),
    /// It tried and failed.
    #[error("the control plane's connector failed: {}", .0.happened)]
    Failed(Advice),
}
