//! Lending shared credentials to devices: decided here like a brokered call, sealed to the device's key, and ended as soon as
//! what it rests on is gone.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ::audit::{AuditEvent, EventRecord, JournalFault};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::DhP256HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeS, Serializable as _};
use model::{Advice, ConnectorId, ForPerson, LeaseId, Subject};
use org_protocol::dpop::Jwk;
use org_protocol::{CredentialSpec, LEASE_FORMAT, LEASE_INFO, Lease, LeaseFault, LeaseRequest, LeaseTerms};
use policy::{Circumstance, Policy};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Notify;

use crate::assertion::Assertion;
use crate::credential::CredentialFault;
use crate::publication::Live;
use crate::server::Plane;
use crate::store::{LiveLease, StoreFault};

/// Why nothing is lent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LendFault {
    /// There is no such connector, or its credential is not lent.
    #[error("{0} holds no leased credential")]
    NotLeased(ConnectorId),
    /// Policy refuses it, or permits another credential than the device thinks.
    #[error("policy does not lend this credential")]
    Denied,
    /// The published policy has expired, with its grace.
    #[error("the published policy has expired")]
    PolicyExpired,
    /// The session, the device, the secret or the lease that was to go on is gone.
    #[error("what the lease rests on is gone")]
    Gone,
    /// The credential's secret is missing or does not open.
    #[error("the secret cannot be used: {}", .0.as_ref().map_or_else(|| "nothing is stored".to_owned(), ToString::to_string))]
    Secret(Option<CredentialFault>),
    /// The device's key is not one that can be sealed to.
    #[error("nothing can be sealed to the device's key: {0}")]
    Sealing(String),
    /// The lease cannot be written.
    #[error(transparent)]
    Lease(#[from] LeaseFault),
    /// It could not be recorded; nothing was lent.
    #[error(transparent)]
    Journal(#[from] JournalFault),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl ForPerson for LendFault {
    fn advice(&self) -> Advice {
        let not = |code: &str, why: &str, todo: &str| {
            Advice::new(code, "The shared account is not lent to this computer.", why, todo)
        };
        match self {
            Self::NotLeased(_) => not("not-leased", "The organisation's policy may have changed.", ""),
            Self::Denied => not(
                "lease-refused",
                "The organisation's policy does not permit it.",
                "Ask whoever writes your organisation's policies if you need this.",
            ),
            Self::PolicyExpired => {
                not("policy-expired", "The organisation's policy has expired.", "Tell your IT department.")
            }
            Self::Gone => not("lease-ended", "It was ended, or your session was.", "Try again."),
            Self::Secret(_) => {
                not("credential-unusable", "Its secret cannot be used.", "Tell your IT department.")
            }
            Self::Sealing(_) | Self::Lease(_) => {
                not("server-fault", "The organisation's server failed.", "Try again later.")
            }
            Self::Store(fault) => fault.advice(),
            Self::Journal(fault) => fault.advice(),
        }
    }
}

/// Who asks, with what this server verified.
pub(crate) struct Borrower<'a> {
    /// The person.
    pub(crate) subject: &'a Subject,
    /// The device.
    pub(crate) device: model::DeviceId,
    /// Its key.
    pub(crate) key: &'a Jwk,
    /// The address that the request came from.
    pub(crate) address: Option<IpAddr>,
}

/// Whoever takes something away that a lease may rest on says so here.
#[derive(Debug, Default)]
pub(crate) struct Review(Notify);

impl Review {
    /// Leases are looked at again, at once.
    pub(crate) fn ask(&self) {
        self.0.notify_one();
    }
}

impl Plane {
    /// Decides and lends; gives the signed lease.
    pub(crate) async fn lend(
        &self,
        live: &Live,
        asked: &LeaseRequest,
        by: &Borrower<'_>,
    ) -> Result<Vec<u8>, LendFault> {
        if !live.serves(&asked.connector, self.clock.now()) {
            return Err(LendFault::PolicyExpired);
        }
        let content = live.content();
        let not_leased = || LendFault::NotLeased(asked.connector.clone());
        let spec = content.connectors.get(&asked.connector).ok_or_else(not_leased)?;
        let CredentialSpec::Leased { seconds, .. } = &spec.credential else { return Err(not_leased()) };
        let now = self.clock.now();
        let mut lease = LiveLease {
            id: asked.renews.unwrap_or_else(LeaseId::new),
            credential: asked.credential.clone(),
            version: 0,
            connector: asked.connector.clone(),
            server: asked.server.clone(),
            client_id: asked.client_id.clone(),
            client_name: asked.client_name.clone(),
            program: asked.program.clone(),
            address: by.address,
            device: by.device,
            subject: by.subject.clone(),
            issued: now,
            expires: now.plus(Duration::from_secs(u64::from(*seconds))),
        };
        let policy = live.policy().halted_by(self.stopped.now());
        if !self.permits(&policy, &lease) {
            self.journal.event(record(AuditEvent::LeaseRefused, &lease)).await?;
            return Err(LendFault::Denied);
        }
        // Looked up last: whoever may not use it does not learn whether it is there.
        let stored = self.store.credential(&asked.credential).await?.ok_or(LendFault::Secret(None))?;
        lease.version = stored.version;
        let renews = asked.renews.is_some();
        let whose = Assertion { subject: by.subject, by: &self.asserter, now };
        let lent = self.credentials.lent(lease.id, renews, &asked.credential, &stored, &whose).await;
        let lent = lent.map_err(|fault| LendFault::Secret(Some(fault)))?.ok_or(LendFault::Gone)?;
        // It is not lent for longer than it lives at its source.
        lease.expires = lent.life.map_or(lease.expires, |life| lease.expires.min(now.plus(life)));
        let handed = self.handed(&lease, renews, &content.org.id, &lent.secret, by.key).await;
        if handed.is_err() && !renews {
            self.credentials.take_back(lease.id).await;
        }
        handed
    }

    /// Seals what is lent, records it and writes it down.
    async fn handed(
        &self,
        lease: &LiveLease,
        renews: bool,
        org: &str,
        secret: &SecretString,
        key: &Jwk,
    ) -> Result<Vec<u8>, LendFault> {
        let sealed = sealed(terms(lease, org), secret, key)?.sign(&self.receipt_key)?;
        let event = if renews { AuditEvent::LeaseRenewed } else { AuditEvent::LeaseGranted };
        self.journal.event(record(event, lease)).await?;
        if !self.store.lend(lease, renews).await? {
            return Err(LendFault::Gone);
        }
        // What was taken away while this was decided has been looked at before the lease was there.
        self.review.ask();
        Ok(sealed)
    }

    fn permits(&self, policy: &Policy, lease: &LiveLease) -> bool {
        let circumstance = Circumstance {
            now: self.clock.now(),
            client_id: lease.client_id.clone(),
            client_name: lease.client_name.clone(),
            device: Some(lease.device),
            program: lease.program.clone(),
            address: lease.address,
        };
        let lent = policy.lends(&lease.subject, &lease.server, &lease.connector, &circumstance);
        lent.as_ref() == Some(&lease.credential)
    }

    /// Ends a lease before its time.
    pub(crate) async fn end_lease(self: &Arc<Self>, id: LeaseId, why: &str) -> Result<bool, LendFault> {
        let now = self.clock.now();
        let Some(ended) = self.store.end_lease(id, why, now).await? else { return Ok(false) };
        if self.credentials.can_take_back(id) {
            let (plane, ended) = (Arc::clone(self), ended.clone());
            // Its device is not kept waiting for the source.
            tokio::spawn(async move {
                if let Err(fault) = plane.taken_back(&ended).await {
                    tracing::error!(%fault, lease = %ended.id, "that a secret was taken back could not be written down");
                }
            });
        }
        self.journal.event(record(AuditEvent::LeaseEnded, &ended).with("why", why)).await?;
        Ok(true)
    }

    /// Ends a secret that was lent at its source. Only then it is not exposed.
    async fn taken_back(&self, ended: &LiveLease) -> Result<(), LendFault> {
        let done = self.credentials.take_back(ended.id).await;
        if done {
            self.store.lease_secret_ended(ended.id, &ended.credential, self.clock.now()).await?;
        }
        let event = record(AuditEvent::LeaseSecretRevoked, ended).with("revoked", done.to_string());
        self.journal.event(event).await?;
        Ok(())
    }

    /// Ends every lease that would not be given now.
    async fn review_leases(self: &Arc<Self>) -> Result<(), LendFault> {
        let now = self.clock.now();
        for (id, why) in self.store.groundless_leases(now).await? {
            self.end_lease(id, &why).await?;
        }
        let published = self.publication.live();
        let halts = self.stopped.now();
        for lease in self.store.leases(now).await? {
            let is_good = published.as_ref().is_some_and(|published| {
                let live = published.of(lease.device);
                let spec = live.content().connectors.get(&lease.connector);
                spec.is_some_and(|spec| matches!(spec.credential, CredentialSpec::Leased { .. }))
                    && live.serves(&lease.connector, now)
                    && self.permits(&live.policy().halted_by(Arc::clone(&halts)), &lease)
            });
            if !is_good {
                self.end_lease(lease.id, "policy").await?;
            }
        }
        let held: Vec<LeaseId> = self.store.leases(now).await?.into_iter().map(|lease| lease.id).collect();
        let plane = Arc::clone(self);
        // What is to be ended within seconds does not wait for somebody else's server.
        tokio::spawn(async move { plane.credentials.take_back_all_but(&held).await });
        Ok(())
    }
}

/// Looks at all leases whenever something was taken away. Runs until the server ends.
pub(crate) async fn follow(plane: Arc<Plane>) {
    let mut stopping = plane.stopping.clone();
    loop {
        if let Err(fault) = plane.review_leases().await {
            tracing::error!(%fault, "leases could not be looked at");
        }
        tokio::select! {
            () = plane.review.0.notified() => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
    }
}

fn terms(lease: &LiveLease, org: &str) -> LeaseTerms {
    LeaseTerms {
        format: LEASE_FORMAT,
        id: lease.id,
        org: org.to_owned(),
        issuer: lease.subject.issuer.clone(),
        subject: lease.subject.subject.clone(),
        device: lease.device,
        connector: lease.connector.clone(),
        credential: lease.credential.clone(),
        version: lease.version,
        issued: lease.issued,
        expires: lease.expires,
    }
}

fn sealed(terms: LeaseTerms, secret: &SecretString, key: &Jwk) -> Result<Lease, LendFault> {
    let fault = |fault: hpke::HpkeError| LendFault::Sealing(fault.to_string());
    let point = key.to_sec1().ok_or_else(|| LendFault::Sealing("it is no point".to_owned()))?;
    let key = <DhP256HkdfSha256 as Kem>::PublicKey::from_bytes(&point).map_err(fault)?;
    let (encapsulated, sealed) = hpke::single_shot_seal::<AesGcm256, HkdfSha256, DhP256HkdfSha256>(
        &OpModeS::Base,
        &key,
        LEASE_INFO,
        secret.expose_secret().as_bytes(),
        &terms.associated_data(),
    )
    .map_err(fault)?;
    Ok(Lease::new(terms, &encapsulated.to_bytes(), &sealed))
}

fn record(event: AuditEvent, lease: &LiveLease) -> EventRecord {
    EventRecord::new(event)
        .of(lease.subject.clone())
        .with("lease", lease.id.to_string())
        .with("credential", lease.credential.to_string())
        .with("connector", lease.connector.to_string())
        .with("device", lease.device.to_string())
        .with("until", lease.expires.to_string())
}
