//! Does what a person orders of the gateway.

use std::sync::Arc;

use audit::{AuditEvent, EventRecord, Journal};
use gateway::Switch;
use issuer::Issuer;
use model::{AccountId, Advice, ForPerson as _};
use os::Again;
use tokio::sync::mpsc;
use vault::Vault;

use super::accounts::OwnAccounts;
use super::approvals::Approvals;
use super::membership::SignIn;
use super::tell::Tell;
use super::updates::Updates;
use crate::effect::{Engine, Order};
use crate::event::Event;

pub(crate) struct GatewayEngine {
    pub(crate) switch: Switch,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) journal: Journal,
    pub(crate) tell: Tell,
    pub(crate) vault: Vault,
    /// Connectors to sign in to.
    pub(crate) wanted: mpsc::UnboundedSender<AccountId>,
    pub(crate) accounts: OwnAccounts,
    pub(crate) approvals: Approvals,
    /// Signing in to the organisation, where there is one.
    pub(crate) sign_in: Option<Arc<SignIn>>,
    /// Whatever waits between two attempts.
    pub(crate) waiting: Vec<Again>,
    pub(crate) updates: Updates,
    pub(crate) runtime: tokio::runtime::Handle,
}

impl Engine for GatewayEngine {
    fn order(&self, order: Order) {
        match order {
            Order::Pause => {
                self.switch.pause(true);
                self.tell.note(&self.journal, &EventRecord::new(AuditEvent::Paused));
            }
            Order::Resume => {
                self.switch.pause(false);
                self.tell.note(&self.journal, &EventRecord::new(AuditEvent::Resumed));
            }
            Order::TryNow => self.try_now(),
            Order::LookForUpdate => self.updates.look_now(),
            Order::InstallUpdate => {
                let updates = self.updates.clone();
                self.runtime.spawn(async move { updates.install().await });
            }
            Order::SignInTo(connector) => self.sign_in_to(connector),
            Order::SignOutOf(connector) => self.sign_out_of(connector),
            Order::Revoke { client_id, server } => {
                let (issuer, tell) = (Arc::clone(&self.issuer), self.tell.clone());
                self.runtime.spawn(async move {
                    if let Err(fault) = issuer.revoke(&client_id, &server).await {
                        tracing::error!(%fault, "revoking an assistant is not on disk");
                    }
                    tell.event(Event::AssistantGone { client_id, server });
                });
            }
            Order::ForgetApproval(id) => {
                let _in_runtime = self.runtime.enter();
                self.approvals.forget(&id);
            }
            Order::TryKeychain => {
                let vault = self.vault.clone();
                self.runtime.spawn(async move {
                    let state = vault.retry().await;
                    tracing::info!(?state, "the keychain was tried again");
                });
            }
            Order::SignIn => self.organisation(|sign_in| async move { sign_in.sign_in().await }),
            Order::SignOut { forget_accounts } => {
                let (accounts, tell) = (self.accounts.clone(), self.tell.clone());
                self.organisation(move |sign_in| async move {
                    if forget_accounts {
                        // While they are still the present person's.
                        for fault in accounts.forget_all().await {
                            tell.event(Event::FaultRaised(fault.advice()));
                        }
                    }
                    sign_in.sign_out().await
                });
            }
        }
    }
}

impl GatewayEngine {
    fn try_now(&self) {
        tracing::info!("the computer woke or is in the network again: what waited is tried at once");
        self.waiting.iter().for_each(Again::now);
        self.accounts.try_now();
        self.updates.look_now();
        if let Some(sign_in) = &self.sign_in {
            sign_in.try_now();
        }
    }

    fn organisation<F: Future<Output = Result<(), Advice>> + Send + 'static>(
        &self,
        act: impl FnOnce(Arc<SignIn>) -> F,
    ) {
        let Some(sign_in) = &self.sign_in else {
            // In personal mode the person is the user of this computer.
            tracing::info!("there is no organisation to sign in to");
            return;
        };
        let act = act(Arc::clone(sign_in));
        self.runtime.spawn(async move {
            if let Err(advice) = act.await {
                tracing::info!(%advice, "the person's wish could not be fulfilled");
            }
        });
    }

    /// The person's own wish: it is asked also where calls would not ask again so soon.
    fn sign_in_to(&self, connector: AccountId) {
        let (accounts, wanted) = (self.accounts.clone(), self.wanted.clone());
        self.runtime.spawn(async move {
            match accounts.sign_in(&connector).await {
                // The receiving task lives as long as the application.
                Ok(()) => drop(wanted.send(connector)),
                Err(fault) => tracing::info!(%connector, %fault, "the person was not signed in"),
            }
        });
    }

    fn sign_out_of(&self, connector: AccountId) {
        let (accounts, tell) = (self.accounts.clone(), self.tell.clone());
        self.runtime.spawn(async move {
            if let Err(fault) = accounts.sign_out(&connector).await {
                tell.event(Event::FaultRaised(fault.advice()));
            }
        });
    }
}
