use model::{ConsentRequest, SignInPurpose, SignInRequest, Subject};
use proptest::prelude::*;

use super::*;
use crate::pending::Ending;

mod diagnostics;
mod sign_ins;
mod upheavals;

const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

/// A personal gateway with one virtual server over two connectors, listening.
pub(crate) fn ready() -> AppState {
    let mut state = AppState::starting(true);
    let mut configuration = Configuration::empty(Mode::Personal, "/home/ada/deskgate.toml");
    configuration.connectors = [
        ("files", connector("Files", CredentialKind::None)),
        ("mail", connector("Mail", CredentialKind::Own)),
    ]
    .into_iter()
    .map(|(id, it)| (id.parse().unwrap(), it))
    .collect();
    configuration.servers.insert(
        "analyst".parse().unwrap(),
        VirtualServer {
            title: "Analyst".to_owned(),
            url: "http://127.0.0.1:7717/s/analyst/mcp".to_owned(),
            connectors: vec!["files".parse().unwrap(), "mail".parse().unwrap()],
            tools: Vec::new(),
        },
    );
    state.handle(Event::Configured(Box::new(configuration)), NOW);
    state.handle(Event::Session(Session::Local { label: "ada".to_owned() }), NOW);
    state.handle(Event::Listening { address: "http://127.0.0.1:7717".to_owned() }, NOW);
    state
}

/// The same with another virtual server, which uses another account of the mail.
pub(crate) fn with_two_accounts() -> AppState {
    let mut state = ready();
    let inbox: AccountId = "mail/shared-inbox".parse().unwrap();
    state.connectors.insert(inbox.clone(), connector("Mail (shared-inbox)", CredentialKind::Own));
    let service = VirtualServer {
        title: "Service desk".to_owned(),
        url: "http://127.0.0.1:7717/s/service/mcp".to_owned(),
        connectors: vec![inbox],
        tools: Vec::new(),
    };
    state.servers.insert("service".parse().unwrap(), service);
    state
}

/// The same for an employee of Acme who is signed in.
pub(crate) fn managed() -> AppState {
    let mut state = ready();
    state.mode = Mode::Managed(Box::new(Organisation {
        name: "Acme".to_owned(),
        support_url: Some("https://help.acme.test/".parse().unwrap()),
        config_url: Some("https://gate.acme.test/".parse().unwrap()),
        fingerprint: Some("sha256:00".to_owned()),
        confirmed: true,
    }));
    state.session = Session::SignedIn { label: "ada@acme.test".to_owned() };
    state.link = Link::Online;
    state
}

fn connector(title: &str, credential: CredentialKind) -> Connector {
    Connector {
        title: title.to_owned(),
        runs: Runs::At { host: format!("{title}.test") },
        credential,
        account: None,
        status: ConnectorStatus::Idle,
        tools: None,
        list: ListState::Current,
        held: Vec::new(),
        last_used: None,
    }
}

pub(crate) fn consent_item(id: &str) -> PendingItem {
    PendingItem {
        id: PendingId::typed(id),
        question: Question::Consent(ConsentRequest {
            server: "analyst".parse().unwrap(),
            server_title: "Analyst".to_owned(),
            client_name: "Claude Code".to_owned(),
            client_id: "c1".to_owned(),
            redirect_uri: Some("http://127.0.0.1:4000/callback".parse().unwrap()),
            process: None,
            through: None,
            subject: Subject::local("ada"),
            deadline: Duration::from_secs(300),
        }),
        created: NOW,
        deadline: NOW.plus(Duration::from_secs(300)),
        count: 1,
    }
}

pub(crate) fn sign_in_item(id: &str, url: &str) -> PendingItem {
    PendingItem {
        id: PendingId::typed(id),
        question: Question::SignIn(SignInRequest {
            purpose: SignInPurpose::Connector { account: "mail".parse().unwrap(), title: "Mail".to_owned() },
            authorize_url: url.parse().unwrap(),
            entrance: None,
            redirect_uri: "http://127.0.0.1:4001/callback".parse().unwrap(),
            deadline: Duration::from_secs(120),
        }),
        created: NOW,
        deadline: NOW.plus(Duration::from_secs(120)),
        count: 1,
    }
}

fn fault() -> Advice {
    Advice::new("keychain-locked", "Your keychain is locked.", "Accounts are not remembered.", "Unlock it.")
}

fn deny_all() -> Event {
    Event::Policy(PolicyState {
        version: "7".to_owned(),
        digest: "sha256:00".to_owned(),
        since: NOW,
        freshness: Freshness::DenyAll(Advice::new("policy-expired", "The policy has expired.", "", "")),
    })
}

pub(crate) fn call(state: &AppState, outcome: CallOutcome) -> Activity {
    Activity {
        call: CallId::new(),
        at: NOW,
        client_id: "c1".to_owned(),
        client_name: "Claude Code".to_owned(),
        server: state.servers.keys().next().unwrap().clone(),
        account: "files".parse().unwrap(),
        method: "tools/call".to_owned(),
        target: "read".to_owned(),
        rules: vec!["personal".to_owned()],
        policy: "personal".to_owned(),
        credential: String::new(),
        arguments: Vec::new(),
        outcome,
        took: None,
    }
}

#[test]
fn what_was_done_in_one_persons_name_is_not_shown_to_the_next() {
    let signed_in = |label: &str| Event::Session(Session::SignedIn { label: label.to_owned() });
    let mut state = managed();
    let done = Event::Call(call(&state, CallOutcome::Done));
    state.handle(done.clone(), NOW);
    state.handle(signed_in("ada@acme.test"), NOW);
    assert_eq!(state.activity.len(), 1, "her own stay");
    state.handle(signed_in("bob@acme.test"), NOW);
    assert!(state.activity.is_empty());

    state.handle(done, NOW);
    state.handle(Event::Session(expired("bob@acme.test")), NOW);
    assert_eq!(state.activity.len(), 1, "he is expected back");
    state.handle(signed_in("bob@acme.test"), NOW);
    state.handle(Event::Session(Session::SignedOut), NOW);
    assert!(state.activity.is_empty());
}

#[test]
fn the_gravest_word_wins() {
    let mut state = AppState::starting(true);
    assert_eq!(state.status(), Status::Starting);
    state = ready();
    assert_eq!(state.status(), Status::Ready);
    state.handle(Event::Link(Link::Offline { since: NOW }), NOW);
    assert_eq!(state.status(), Status::Offline);
    state.handle(Event::PendingAdded(consent_item("a1")), NOW);
    assert_eq!(state.status(), Status::Attention);
    state.handle(Event::Person(Act::Pause(PauseFor::Open)), NOW);
    assert_eq!(state.status(), Status::Paused);
    state.handle(deny_all(), NOW);
    assert_eq!(state.status(), Status::Refused);
}

#[test]
fn a_fault_before_the_start_is_a_stop() {
    let mut state = AppState::starting(true);
    state.handle(Event::FaultRaised(fault()), NOW);
    assert_eq!(state.status(), Status::Refused);
}

#[test]
fn a_consent_is_shown_and_announced_once() {
    let mut state = ready();
    let effects = state.handle(Event::PendingAdded(consent_item("a1")), NOW);
    assert!(
        matches!(&effects[..], [Effect::Notify(notice), Effect::OpenQuestionWindow { id, title }]
            if notice.about.as_ref() == Some(id) && title == "Claude Code wants to use Analyst"),
        "{effects:?}"
    );
    assert_eq!(state.handle(Event::PendingAdded(consent_item("a1")), NOW), [], "asked again: said once");

    let effects =
        state.handle(Event::PendingGone { id: PendingId::typed("a1"), ending: Ending::Answered }, NOW);
    assert_eq!(
        effects,
        [Effect::CloseWindow(PendingId::typed("a1")), Effect::Withdraw(PendingId::typed("a1"))]
    );
    assert_eq!(state.status(), Status::Ready);
}

#[test]
fn a_sign_in_opens_where_the_provider_lets_it() {
    let native = "https://idp.acme.test/auth?state=1";
    for (surface, desktop, url, in_browser) in [
        (SignInSurface::Auto, true, native, false),
        (SignInSurface::Browser, true, native, true),
        (SignInSurface::Auto, false, native, true),
        (SignInSurface::Auto, true, "https://accounts.google.com/o/oauth2/v2/auth?state=1", true),
        (SignInSurface::Auto, true, "https://login.microsoftonline.com/x/authorize?state=1", true),
        (SignInSurface::Auto, true, "https://notaccounts.google.com.evil.test/?state=1", false),
        (SignInSurface::Auto, true, "https://myaccounts.google.com/?state=1", false),
    ] {
        let mut state = ready();
        state.desktop = desktop;
        state.sign_in_surface = surface;
        let effects = state.handle(Event::PendingAdded(sign_in_item("b1", url)), NOW);
        let browser = effects.iter().any(|effect| matches!(effect, Effect::OpenBrowser(_)));
        let window = effects.iter().any(|effect| matches!(effect, Effect::OpenSignInWindow { .. }));
        assert_eq!((browser, window), (in_browser, !in_browser), "{url} {surface:?} desktop={desktop}");
    }
}

#[test]
fn without_a_display_no_window_opens() {
    let mut state = ready();
    state.desktop = false;
    let effects = state.handle(Event::PendingAdded(consent_item("a1")), NOW);
    assert!(matches!(&effects[..], [Effect::Notify(_)]), "{effects:?}");
}

#[test]
fn a_sign_in_shows_at_its_connector() {
    let mut state = ready();
    let mail: AccountId = "mail".parse().unwrap();
    state.handle(Event::PendingAdded(sign_in_item("b1", "https://idp.test/?state=1")), NOW);
    assert_eq!(state.connectors[&mail].status, ConnectorStatus::SigningIn);
    state.handle(Event::PendingGone { id: PendingId::typed("b1"), ending: Ending::Cancelled }, NOW);
    assert_eq!(state.connectors[&mail].status, ConnectorStatus::SignInNeeded);

    state.handle(Event::PendingAdded(sign_in_item("b2", "https://idp.test/?state=1")), NOW);
    state.handle(Event::ConnectorStatus { connector: mail.clone(), status: ConnectorStatus::Ready }, NOW);
    state.handle(Event::PendingGone { id: PendingId::typed("b2"), ending: Ending::Answered }, NOW);
    assert_eq!(state.connectors[&mail].status, ConnectorStatus::Ready, "the gateway's word stands");
}

#[test]
fn a_sign_in_that_was_given_up_is_offered_again_once() {
    let mail: AccountId = "mail".parse().unwrap();
    let again = Act::SignInTo(mail.clone());
    for ending in [Ending::Cancelled, Ending::Deadline] {
        let mut state = ready();
        state.handle(Event::PendingAdded(sign_in_item("b1", "https://idp.test/?state=1")), NOW);
        let gone = || Event::PendingGone { id: PendingId::typed("b1"), ending };
        let effects = state.handle(gone(), NOW);
        let [Effect::CloseWindow(_), Effect::Withdraw(_), Effect::Notify(notice)] = &effects[..] else {
            panic!("{effects:?}")
        };
        assert_eq!(notice.title, "You are not signed in to Mail");
        assert!(!notice.stays(), "it is said, and the tray goes on to offer it");
        assert_eq!(notice.offer.as_ref().map(|offer| offer.act.clone()), Some(again.clone()));
        let text = format!("{} {}", notice.title, notice.body);
        assert!(!text.contains("idp.test") && !text.contains("ada"), "a locked screen shows it: {text}");
        assert_eq!(state.handle(gone(), NOW), [], "said once");

        // Whoever takes it up, or signs in otherwise, is not offered it any more.
        let effects = state.handle(Event::Person(again.clone()), NOW);
        assert_eq!(effects, [Effect::Order(Order::SignInTo(mail.clone()))]);
        let withdrawn = Effect::Withdraw(PendingId::typed("b1"));
        let mut elsewhere = state.clone();
        let effects = state.handle(Event::PendingAdded(sign_in_item("b2", "https://idp.test/?state=2")), NOW);
        assert_eq!(effects[0], withdrawn);
        let good = Event::ConnectorStatus { connector: mail.clone(), status: ConnectorStatus::Ready };
        assert_eq!(elsewhere.handle(good.clone(), NOW), [withdrawn]);
        assert_eq!(elsewhere.handle(good, NOW), []);
    }
    for ending in [Ending::Answered, Ending::Withdrawn] {
        let mut state = ready();
        state.handle(Event::PendingAdded(sign_in_item("b1", "https://idp.test/?state=1")), NOW);
        let effects = state.handle(Event::PendingGone { id: PendingId::typed("b1"), ending }, NOW);
        assert_eq!(effects.len(), 2, "{ending:?}: {effects:?}");
    }
    let mut state = ready();
    state.handle(Event::PendingAdded(consent_item("a1")), NOW);
    let denied = Event::PendingGone { id: PendingId::typed("a1"), ending: Ending::Cancelled };
    assert_eq!(state.handle(denied, NOW).len(), 2, "a consent is the assistant's to ask for again");
}

#[test]
fn two_accounts_of_a_connector_are_signed_in_to_and_offered_again_apart() {
    let mut state = with_two_accounts();
    let (mail, inbox): (AccountId, AccountId) =
        ("mail".parse().unwrap(), "mail/shared-inbox".parse().unwrap());
    let mut item = sign_in_item("b2", "https://idp.test/?state=2");
    if let Question::SignIn(request) = &mut item.question {
        let title = "Mail (shared-inbox)".to_owned();
        request.purpose = SignInPurpose::Connector { account: inbox.clone(), title };
    }
    let first = state.handle(Event::PendingAdded(sign_in_item("b1", "https://idp.test/?state=1")), NOW);
    let effects = state.handle(Event::PendingAdded(item), NOW);
    assert!(
        effects.iter().any(|effect| matches!(effect, Effect::Notify(notice) if notice.title == "Sign in to Mail (shared-inbox)")),
        "{effects:?}"
    );
    assert_eq!(state.pending.len(), 2, "neither stands for the other");
    let apart = |effect: &Effect| matches!(effect, Effect::OpenSignInWindow { apart: true, .. });
    assert!(effects.iter().any(apart), "another's sign-in must not take the place of theirs: {effects:?}");
    assert!(!first.iter().any(apart), "{first:?}");

    let gone = |id: &str| Event::PendingGone { id: PendingId::typed(id), ending: Ending::Cancelled };
    state.handle(gone("b1"), NOW);
    let effects = state.handle(gone("b2"), NOW);
    let Some(Effect::Notify(notice)) = effects.last() else { panic!("{effects:?}") };
    assert_eq!(notice.title, "You are not signed in to Mail (shared-inbox)");
    assert_eq!(notice.offer.as_ref().map(|offer| offer.act.clone()), Some(Act::SignInTo(inbox.clone())));
    let ready = |connector: &AccountId| Event::ConnectorStatus {
        connector: connector.clone(),
        status: ConnectorStatus::Ready,
    };
    let withdrawn = |id: &str| [Effect::Withdraw(PendingId::typed(id))];
    assert_eq!(state.handle(ready(&inbox), NOW), withdrawn("b2"));
    assert_eq!(state.connectors[&mail].status, ConnectorStatus::SignInNeeded);
    assert_eq!(state.handle(ready(&mail), NOW), withdrawn("b1"));
}

#[test]
fn a_sign_in_to_the_organisation_that_was_given_up_is_offered_again() {
    let mut state = managed();
    let mut item = sign_in_item("b1", "https://idp.test/?state=1");
    if let Question::SignIn(request) = &mut item.question {
        request.purpose = SignInPurpose::Organisation { name: "Acme".to_owned() };
    }
    state.handle(Event::PendingAdded(item), NOW);
    let effects =
        state.handle(Event::PendingGone { id: PendingId::typed("b1"), ending: Ending::Cancelled }, NOW);
    let Some(Effect::Notify(notice)) = effects.last() else { panic!("{effects:?}") };
    assert_eq!(notice.title, "You are not signed in to Acme");
    assert_eq!(notice.offer.as_ref().map(|offer| offer.act.clone()), Some(Act::SignIn));
    let signed_in = Event::Session(Session::SignedIn { label: "ada@acme.test".to_owned() });
    assert_eq!(state.handle(signed_in, NOW), [Effect::Withdraw(PendingId::typed("b1"))]);
}

/// An organisation's provider that leads on to one that refuses to be shown in a window.
#[test]
fn a_sign_in_that_leads_to_a_provider_without_windows_goes_on_in_the_browser() {
    let mut state = ready();
    let (id, begun) = (PendingId::typed("b1"), "https://idp.acme.test/auth?state=1");
    state.handle(Event::PendingAdded(sign_in_item("b1", begun)), NOW);
    let page = |url: &str| Event::SignInPage { id: PendingId::typed("b1"), url: url.parse().unwrap() };
    assert_eq!(state.handle(page("https://idp.acme.test/login"), NOW), []);
    assert_eq!(state.handle(page("https://sso.partner.test/login"), NOW), []);
    let google = "https://accounts.google.com/o/oauth2/v2/auth?state=idp";
    let effects = state.handle(page(google), NOW);
    let [left, withdrawn, Effect::Notify(notice), opened] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((left, withdrawn), (&Effect::LeaveWindow(id.clone()), &Effect::Withdraw(id.clone())));
    assert_eq!(*opened, Effect::OpenBrowser(begun.parse().unwrap()), "the same attempt, from its start");
    assert_eq!((&notice.title, notice.stays()), (&"Sign in to Mail".to_owned(), true));
    assert!(state.pending.contains_key(&id), "it is waited for as before");
    assert_eq!(state.handle(page(google), NOW), [], "once");
    let again = state.handle(Event::Person(Act::Look(id.clone())), NOW);
    assert_eq!(again, [Effect::OpenBrowser(begun.parse().unwrap())], "no second window");
    state.handle(Event::PendingGone { id, ending: Ending::Answered }, NOW);
    assert!(state.moved.is_empty());
}

#[test]
fn a_page_to_sign_out_stays_where_it_is() {
    let mut state = managed();
    let mut item = sign_in_item("s1", "https://idp.test/end?id_token_hint=eyJ");
    if let Question::SignIn(request) = &mut item.question {
        request.purpose = SignInPurpose::SignOut { name: "Acme".to_owned() };
    }
    state.handle(Event::PendingAdded(item), NOW);
    let url = "https://accounts.google.com/logout".parse().unwrap();
    assert_eq!(state.handle(Event::SignInPage { id: PendingId::typed("s1"), url }, NOW), []);
}

#[test]
fn a_pause_ends_by_itself() {
    let mut state = ready();
    let quarter = Duration::from_secs(900);
    let effects = state.handle(Event::Person(Act::Pause(PauseFor::Duration(quarter))), NOW);
    assert_eq!(effects, [Effect::Order(Order::Pause)]);
    assert_eq!(state.next_change(), Some(NOW.plus(quarter)));
    assert_eq!(state.handle(Event::Tick, NOW.plus(quarter / 2)), []);
    assert_eq!(state.handle(Event::Tick, NOW.plus(quarter)), [Effect::Order(Order::Resume)]);
    assert_eq!(state.status(), Status::Ready);
}

#[test]
fn pausing_twice_orders_once_and_resuming_what_runs_orders_nothing() {
    let mut state = ready();
    assert_eq!(state.handle(Event::Person(Act::Resume), NOW), []);
    state.handle(Event::Person(Act::Pause(PauseFor::Open)), NOW);
    assert_eq!(state.handle(Event::Person(Act::Pause(PauseFor::Open)), NOW), []);
    assert_eq!(state.handle(Event::Person(Act::Resume), NOW), [Effect::Order(Order::Resume)]);
}

#[test]
fn a_fault_is_said_once_until_it_is_cleared() {
    let mut state = ready();
    assert_eq!(state.handle(Event::FaultRaised(fault()), NOW).len(), 1);
    assert_eq!(state.handle(Event::FaultRaised(fault()), NOW), []);
    assert_eq!(state.status(), Status::Attention);
    state.handle(Event::FaultCleared { code: fault().code }, NOW);
    assert_eq!(state.status(), Status::Ready);
    assert_eq!(state.handle(Event::FaultRaised(fault()), NOW).len(), 1);
}

#[test]
fn a_call_counts_for_its_assistant_and_connector() {
    let mut state = ready();
    let files: AccountId = "files".parse().unwrap();
    let activity = call(&state, CallOutcome::Running);
    state.handle(
        Event::AssistantAllowed(Assistant {
            client_id: "c1".to_owned(),
            name: "Claude Code".to_owned(),
            executable: None,
            server: activity.server.clone(),
            allowed: NOW,
            last_call: None,
            calls: 0,
        }),
        NOW,
    );
    state.handle(Event::Call(activity.clone()), NOW);
    let took = Duration::from_millis(5);
    state.handle(Event::CallEnded { call: activity.call, outcome: CallOutcome::Done, took }, NOW);

    let assistant = &state.assistants[&("c1".to_owned(), activity.server.clone())];
    assert_eq!((assistant.calls, assistant.last_call), (1, Some(NOW)));
    assert_eq!(state.connectors[&files].last_used, Some(NOW));
    assert_eq!(state.activity[0].outcome, CallOutcome::Done);
    assert_eq!(state.activity[0].took, Some(took));
}

#[test]
fn a_denied_call_did_not_use_the_connector() {
    let mut state = ready();
    let denied = call(&state, CallOutcome::Denied { reason: "not for you".to_owned() });
    state.handle(Event::Call(denied), NOW);
    assert_eq!(state.connectors[&"files".parse().unwrap()].last_used, None);
    assert_eq!(state.activity.len(), 1);
}

#[test]
fn new_settings_keep_what_is_known_of_the_same_connector() {
    let mut state = ready();
    let (files, mail): (AccountId, AccountId) = ("files".parse().unwrap(), "mail".parse().unwrap());
    for connector in [&files, &mail] {
        let status = ConnectorStatus::Ready;
        state.handle(Event::ConnectorStatus { connector: connector.clone(), status }, NOW);
    }
    let mut configuration = Configuration::empty(Mode::Personal, "x");
    configuration.connectors.insert(files.clone(), connector("My files", CredentialKind::None));
    configuration.connectors.get_mut(&files).unwrap().runs = state.connectors[&files].runs.clone();
    configuration.connectors.insert(mail.clone(), connector("Mail", CredentialKind::Shared));
    state.handle(Event::Configured(Box::new(configuration)), NOW);

    assert_eq!(state.connectors[&files].status, ConnectorStatus::Ready);
    assert_eq!(state.connectors[&files].title, "My files");
    assert_eq!(state.connectors[&mail].status, ConnectorStatus::Idle, "another kind of account starts anew");
}

#[test]
fn offline_counts_from_the_first_silence() {
    let mut state = managed();
    state.handle(Event::Link(Link::Offline { since: NOW }), NOW);
    state.handle(Event::Link(Link::Offline { since: NOW.plus(Duration::from_secs(9)) }), NOW);
    assert_eq!(state.link, Link::Offline { since: NOW });
}

#[test]
fn a_page_to_sign_out_opens_by_its_entrance_and_asks_for_nothing() {
    let mut state = managed();
    let Question::SignIn(request) = sign_in_item("s1", "https://idp.test/end?id_token_hint=eyJ").question
    else {
        panic!("a sign-in")
    };
    let entrance: Url = "http://127.0.0.1:4000/sign-out/x".parse().unwrap();
    let request = SignInRequest {
        purpose: SignInPurpose::SignOut { name: "Acme".to_owned() },
        entrance: Some(entrance.clone()),
        ..request
    };
    let item = PendingItem { question: Question::SignIn(request), ..sign_in_item("s1", "https://idp.test/") };
    let status = state.status();
    let shown = state.handle(Event::PendingAdded(item.clone()), NOW);
    let [Effect::OpenSignInWindow { url, title, .. }] = &shown[..] else { panic!("{shown:?}") };
    assert_eq!(
        (url, title.as_str()),
        (&entrance, "Sign out of Acme"),
        "no notification, no token in the address"
    );
    assert_eq!(state.status(), status);
    assert!(state.waiting().is_empty());
    let mut google = item;
    if let Question::SignIn(request) = &mut google.question {
        request.authorize_url = "https://accounts.google.com/end".parse().unwrap();
    }
    google.id = PendingId::typed("s2");
    assert_eq!(
        state.handle(Event::PendingAdded(google), NOW),
        [Effect::OpenBrowser(entrance)],
        "where it was"
    );
}

/// Somebody whose sign-in was ended.
pub(crate) fn expired(label: &str) -> Session {
    let why = Advice::new(
        "sign-in-revoked",
        "Acme has ended your sign-in.",
        "Your assistants wait.",
        "Sign in again.",
    );
    Session::Expired { label: label.to_owned(), why }
}

#[test]
fn an_ended_session_is_announced_once() {
    let mut state = managed();
    let expired = || Event::Session(expired("ada@acme.test"));
    let told = state.handle(expired(), NOW);
    let [Effect::Notify(notice)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(notice.title, "Acme has ended your sign-in.");
    assert_eq!(notice.body, "Your assistants wait. Sign in again.");
    assert_eq!(state.handle(expired(), NOW), []);
    assert_eq!(state.status(), Status::Expired);
    assert_eq!(crate::words::summary(&state), "Acme has ended your sign-in.");
    assert_eq!(state.handle(Event::SignInsEnded, NOW), [Effect::ForgetSignIns], "no page is still signed in");
    state.handle(Event::Session(Session::SignedIn { label: "ada@acme.test".to_owned() }), NOW);
    assert_eq!(state.advice(), Vec::<&Advice>::new(), "it is over once she has signed in");
}

proptest! {
    /// Whatever is asked and answered, in whatever order: the state ends with exactly what was not answered, each question
    /// was announced once, and each window that was opened is closed.
    #[test]
    fn questions_open_and_close_in_pairs(steps in proptest::collection::vec((0_u8..6, any::<bool>()), 0..60)) {
        let mut state = ready();
        let mut open = BTreeSet::new();
        let mut waiting = BTreeSet::new();
        for (number, ask) in steps {
            let id = PendingId::typed(format!("q{number}"));
            let event = if ask {
                waiting.insert(id.clone());
                Event::PendingAdded(consent_item(id.as_str()))
            } else {
                waiting.remove(&id);
                Event::PendingGone { id, ending: Ending::Answered }
            };
            for effect in state.handle(event, NOW) {
                if let Effect::OpenQuestionWindow { id, .. } = &effect {
                    prop_assert!(open.insert(id.clone()));
                }
                if let Effect::CloseWindow(id) = &effect {
                    prop_assert!(open.remove(id));
                }
            }
        }
        prop_assert_eq!(&open, &waiting);
        prop_assert_eq!(state.pending.keys().cloned().collect::<BTreeSet<_>>(), waiting);
    }

    #[test]
    fn activity_is_bounded_and_newest_first(count in 0_usize..1200) {
        let mut state = ready();
        let mut last = None;
        for _ in 0..count {
            let activity = call(&state, CallOutcome::Running);
            last = Some(activity.call);
            state.handle(Event::Call(activity), NOW);
        }
        prop_assert_eq!(state.activity.len(), count.min(ACTIVITY_KEPT));
        prop_assert_eq!(state.activity.front().map(|activity| activity.call), last);
    }
}
