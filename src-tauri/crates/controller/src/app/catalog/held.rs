//! What of a connector is offered, what is held because it is not what was accepted, and how a change is accepted.

use audit::{AuditEvent, EventRecord};
use model::{AccountId, Advice, Digest, ForPerson as _, ToolName};
use org_protocol::{ChangesAcceptedBy, ConnectorSpec};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::app::definitions::{Change, Definitions, Part, admitted, changes};
use crate::state::HeldPart;

/// What of one connector is offered.
#[derive(Default)]
pub(super) struct Judged {
    /// Its tools: accepted, unchanged, and still there as far as is known.
    pub(super) tools: Tools,
    /// What it lists beside them and says of itself, without what is not to be passed on.
    pub(super) heard: Option<Arc<Listing>>,
}

/// A person's wish to accept a change.
pub(crate) struct Acceptance {
    account: AccountId,
    /// Which: of these very words.
    change: String,
    done: oneshot::Sender<Result<(), Advice>>,
}

/// Accepts changes of what connectors say to models. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Acceptances(mpsc::UnboundedSender<Acceptance>);

impl Acceptances {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Acceptance>) {
        let (send, wishes) = mpsc::unbounded_channel();
        (Self(send), wishes)
    }

    /// Accepts a change that was shown by this id. It is in force when this returns, and recorded.
    ///
    /// # Errors
    /// [`Advice`] if it is not (any more) what the connector says, is not the person's to accept, or cannot be kept.
    pub async fn accept(&self, account: &AccountId, change: &str) -> Result<(), Advice> {
        let (done, answer) = oneshot::channel();
        let wish = Acceptance { account: account.clone(), change: change.to_owned(), done };
        let ending = || Advice::new("ending", "Deskgate is ending.", "", "");
        self.0.send(wish).map_err(|_| ending())?;
        answer.await.unwrap_or_else(|_| Err(ending()))
    }
}

impl Catalog {
    /// Compares what a connector lists with what was accepted of it.
    pub(super) async fn judge(
        &mut self,
        offering: &Offering,
        id: &AccountId,
        spec: &ConnectorSpec,
    ) -> Judged {
        self.tell_status(offering, id);
        let listing = self.connectors.listing(id);
        let (accepted, held) = match self.compared(offering, id, spec, listing.as_deref()).await {
            Ok(compared) => compared,
            Err(advice) => {
                self.tell.event(Event::FaultRaised(advice));
                return Judged::default();
            }
        };
        let known = match &listing {
            Some(listing) => listing.tools.len(),
            None => accepted.keys().filter(|part| !part.is_beside_tools()).count(),
        };
        if known > 0 || listing.is_some() {
            let tools = u32::try_from(known).unwrap_or(u32::MAX);
            self.tell.event(Event::ConnectorTools { connector: id.clone(), tools });
        }
        let heard = listing.as_ref().map(|listing| admitted(listing, &accepted, &held));
        let tools = in_order(tools(accepted), listing.as_deref(), &held);
        self.tell_held(offering, id, spec, held);
        Judged { tools, heard }
    }

    /// What was accepted of a connector, and what it says otherwise now.
    async fn compared(
        &mut self,
        offering: &Offering,
        id: &AccountId,
        spec: &ConnectorSpec,
        listing: Option<&Listing>,
    ) -> Result<(Definitions, Vec<Change>), Advice> {
        match (&offering.by, listing) {
            (By::Organisation(managed), _) => {
                let accepted = accepted_by_organisation(managed, &self.pins, id, spec);
                let held = listing.map(|listing| changes_of_pinned(managed, id, &accepted, listing));
                Ok((accepted, held.unwrap_or_default()))
            }
            (By::Person, None) => Ok((self.pins.definitions(&id.connector), Vec::new())),
            (By::Person, Some(listing)) => {
                let held = self.pins.compare(&id.connector, spec, listing).await.map_err(|fault| {
                    tracing::error!(connector = %id, %fault, "accepted tools could not be kept");
                    fault.advice()
                })?;
                Ok((self.pins.definitions(&id.connector), held))
            }
        }
    }

    /// Says what is held, records it once for each change, and takes it back when nothing is.
    fn tell_held(&mut self, offering: &Offering, id: &AccountId, spec: &ConnectorSpec, held: Vec<Change>) {
        let code = format!("tools-held-{id}");
        let ids = |held: &[Change]| held.iter().map(|change| change.id(id)).collect::<Vec<_>>();
        let is_news = self.held.get(id).map(|before| ids(before)).unwrap_or_default() != ids(&held);
        let parts = held.iter().map(|change| self.shown(offering, id, spec, change)).collect();
        self.tell.event(Event::ConnectorHeld { connector: id.clone(), held: parts });
        if held.is_empty() {
            self.tell.event(Event::FaultCleared { code });
        } else {
            let theirs = held.iter().any(|change| may_accept(offering, spec, change));
            self.tell.event(Event::FaultRaised(held_words(offering, spec, code, &held, theirs)));
            if is_news {
                self.tell.note(&self.journal, &record(AuditEvent::ToolHeld, id, &held));
            }
        }
        self.held.insert(id.clone(), held);
    }

    /// A change as people look at it.
    fn shown(&self, offering: &Offering, id: &AccountId, spec: &ConnectorSpec, change: &Change) -> HeldPart {
        let offered = self.basis.iter().flat_map(|basis| basis.offered.iter());
        let others: Vec<&str> = offered
            .filter(|(other, _)| other.connector != id.connector)
            .flat_map(|(_, tools)| tools.iter().map(|(name, _)| name.as_str()))
            .collect();
        HeldPart {
            id: change.id(id),
            part: model::visible(&change.part.to_string()),
            differences: change.differences(),
            flags: mcp::flags(&change.now, others).iter().map(ToString::to_string).collect(),
            may_accept: may_accept(offering, spec, change),
        }
    }

    /// Accepts a change, and says whether it is in force.
    pub(super) async fn accept(&mut self, offering: &Arc<Offering>, wish: Acceptance) {
        let Acceptance { account, change, done } = wish;
        let accepted = self.accepted(offering, &account, &change).await;
        if accepted.is_ok() {
            self.rebuild(offering).await;
        }
        // Whoever wished it may have gone away.
        let _ = done.send(accepted);
    }

    async fn accepted(&mut self, offering: &Offering, account: &AccountId, id: &str) -> Result<(), Advice> {
        let held = self.held.get(account).into_iter().flatten();
        let Some(change) = held.into_iter().find(|change| change.id(account) == id).cloned() else {
            return Err(Advice::new(
                "change-unknown",
                "There is no such change any more.",
                "It may have changed again, or is accepted already.",
                "See what is held now with: deskgate held",
            ));
        };
        let spec = offering.accounts.get(account).filter(|spec| may_accept(offering, spec, &change));
        let Some(spec) = spec else { return Err(not_theirs(offering, &change)) };
        let person = self.present.now();
        let recorded = record(AuditEvent::ToolAccepted, account, std::slice::from_ref(&change));
        let recorded = person.into_iter().fold(recorded, |record, person| record.of((*person).clone()));
        // What cannot be told afterwards is not done.
        self.journal.event(recorded).await.map_err(|fault| fault.advice())?;
        let kept = match &offering.by {
            By::Person => self.pins.accept(&account.connector, spec, &change).await,
            By::Organisation(managed) => {
                let pinned = managed.definitions(&account.connector);
                self.pins.accept_instead(&account.connector, spec, &pinned, &change).await
            }
        };
        kept.map_err(|fault| fault.advice())
    }
}

/// Whether the person at this desktop may accept a change.
fn may_accept(offering: &Offering, spec: &ConnectorSpec, change: &Change) -> bool {
    match &offering.by {
        By::Person => true,
        By::Organisation(_) => {
            spec.changes_accepted_by == ChangesAcceptedBy::User
                && change.accepted.is_some()
                && !change.changes_input()
        }
    }
}

fn not_theirs(offering: &Offering, change: &Change) -> Advice {
    let (organisation, means) = match &offering.by {
        By::Organisation(managed) if change.changes_input() => (
            managed.organisation.name.as_str(),
            "It takes other arguments than before, and the policies are written for those.",
        ),
        By::Organisation(managed) => (managed.organisation.name.as_str(), ""),
        By::Person => ("You", ""),
    };
    Advice::new(
        "change-not-yours",
        format!("{organisation} has to accept this change."),
        means,
        "Until then it is held back.",
    )
}

fn held_words(
    offering: &Offering,
    spec: &ConnectorSpec,
    code: String,
    held: &[Change],
    theirs: bool,
) -> Advice {
    let names =
        held.iter().map(|change| model::visible(&change.part.to_string())).collect::<Vec<_>>().join(", ");
    let todo = match &offering.by {
        By::Organisation(managed) if !theirs => {
            format!("{} has to look at the change and accept it.", managed.organisation.name)
        }
        By::Organisation(_) | By::Person => {
            "Look at what changed under Pending (or with: deskgate held), and accept it if you expected it."
                .to_owned()
        }
    };
    Advice::new(
        code,
        format!("{} changed what it says to your assistants: {names}.", spec.title),
        "That is held back, because what changes after it was accepted may do something else.",
        todo,
    )
}

fn record(kind: AuditEvent, id: &AccountId, held: &[Change]) -> EventRecord {
    let named = |beside: bool| -> Vec<String> {
        let of = held.iter().filter(|change| change.part.is_beside_tools() == beside);
        of.map(|change| match &change.part {
            Part::Tool(name) => name.to_string(),
            other @ (Part::Prompt(_) | Part::Template(_) | Part::Instructions) => other.to_string(),
        })
        .collect()
    };
    let digests: Vec<String> =
        held.iter().map(|change| Digest::of(mcp::canonical(&change.now).as_bytes()).to_string()).collect();
    let facts = [("tools", named(false)), ("beside", named(true)), ("digests", digests)];
    facts
        .into_iter()
        .filter(|(_, values)| !values.is_empty())
        .fold(of_account(EventRecord::new(kind), id), |record, (name, values)| {
            record.with(name, values.join(", "))
        })
}

fn tools(accepted: Definitions) -> Tools {
    let tool = |(part, definition)| match part {
        Part::Tool(name) => Some((name, definition)),
        Part::Prompt(_) | Part::Template(_) | Part::Instructions => None,
    };
    accepted.into_iter().filter_map(tool).collect()
}

/// Accepted tools that are offered, in the connector's own order as far as it is known; without those that are gone.
fn in_order(mut accepted: Tools, listing: Option<&Listing>, held: &[Change]) -> Tools {
    accepted.retain(|(name, _)| {
        !held.iter().any(|change| matches!(&change.part, Part::Tool(held) if held == name))
    });
    let Some(listing) = listing else { return accepted };
    let places: HashMap<&ToolName, usize> =
        listing.tools.iter().enumerate().map(|(place, (name, _))| (name, place)).collect();
    accepted.retain(|(name, _): &(ToolName, Box<RawValue>)| places.contains_key(name));
    accepted.sort_by_key(|(name, _)| places.get(name).copied());
    accepted
}

/// What IT accepted, with what the person accepted in its place where that is left to them.
fn accepted_by_organisation(
    managed: &Managed,
    pins: &Pins,
    id: &AccountId,
    spec: &ConnectorSpec,
) -> Definitions {
    let pinned = managed.definitions(&id.connector);
    match spec.changes_accepted_by {
        ChangesAcceptedBy::Organisation => pinned,
        ChangesAcceptedBy::User => pins.instead_of(&id.connector, spec, pinned),
    }
}

/// What a connector of the organisation says otherwise than it was accepted. Instructions where others were accepted beside them
/// are a change as well; what else was never accepted is left out without a word, as with tools.
fn changes_of_pinned(
    managed: &Managed,
    id: &AccountId,
    accepted: &Definitions,
    listing: &Listing,
) -> Vec<Change> {
    let listed = crate::app::definitions::listed(listing);
    let mut held = changes(accepted, &listed);
    let is_pinned = managed.pinned_beside.contains_key(&id.connector);
    let unseen = listed.get(&Part::Instructions);
    let unseen = unseen.filter(|_| is_pinned && !accepted.contains_key(&Part::Instructions));
    held.extend(unseen.map(|now| Change { part: Part::Instructions, accepted: None, now: now.clone() }));
    held
}
