use model::{Advice, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::effect::Effect;
use crate::event::Event;
use crate::state::tests::{call, consent_item, expired, managed, ready, sign_in_item, with_two_accounts};
use crate::state::{Activity, CallOutcome, Freshness, ListState, PolicyState};

const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

/// The menu as a person reads it, one line for each entry.
fn lines(menu: &TrayMenu) -> Vec<String> {
    fn walk(items: &[TrayItem], depth: usize, lines: &mut Vec<String>) {
        for item in items {
            let indent = "  ".repeat(depth);
            match item {
                TrayItem::Text { text, .. } => lines.push(format!("{indent}({text})")),
                TrayItem::Action { action, text } => lines.push(format!("{indent}{text} [{action}]")),
                TrayItem::Submenu { text, items, .. } => {
                    lines.push(format!("{indent}{text} >"));
                    walk(items, depth + 1, lines);
                }
                TrayItem::Separator => lines.push(format!("{indent}---")),
            }
        }
    }
    let mut all = Vec::new();
    walk(&menu.items, 0, &mut all);
    all
}

#[test]
fn a_personal_gateway_that_is_ready() {
    let menu = tray(&ready(), NOW);
    assert_eq!(menu.icon, Status::Ready);
    assert_eq!(menu.tooltip, "Deskgate: Ready. 0 assistants, 2 connectors.");
    assert_eq!(
        lines(&menu),
        [
            "(Ready. 0 assistants, 2 connectors.)",
            "(Personal, ada)",
            "---",
            "Virtual servers >",
            "  Copy URL of Analyst [copy-url:analyst]",
            "(Audit: 0 records, on this computer only)",
            "---",
            "Pause >",
            "  For 15 minutes [pause-short]",
            "  Until tomorrow [pause-tomorrow]",
            "  Until I resume [pause]",
            "Open Deskgate [open:overview]",
            "---",
            "Quit Deskgate [quit]",
        ]
    );
}

#[test]
fn what_waits_comes_first_and_the_most_urgent_on_top() {
    let mut state = managed();
    state.handle(Event::PendingAdded(consent_item("a1")), NOW);
    state.handle(Event::PendingAdded(sign_in_item("b1", "https://idp.test/?state=1")), NOW);
    state.session = expired("ada@acme.test");
    let menu = tray(&state, NOW);
    assert_eq!(menu.icon, Status::Expired);
    assert_eq!(
        lines(&menu)[..7],
        [
            "(2 requests are waiting for you.)",
            "(ada@acme.test, signed out)",
            "---",
            "Sign in to Mail… [look:b1]",
            "Claude Code wants to use Analyst… [look:a1]",
            "---",
            "Sign in to Acme… [sign-in]",
        ]
    );
}

#[test]
fn a_keychain_that_does_not_keep_secrets_can_be_tried_again() {
    let entry =
        |state: &AppState| lines(&tray(state, NOW)).iter().any(|line| line.ends_with("[try-keychain]"));
    let mut state = ready();
    assert!(!entry(&state), "nothing is wrong with it");
    for wrong in [vault::KeychainState::Locked, vault::KeychainState::Denied, vault::KeychainState::Absent] {
        let advice = model::ForPerson::advice(&wrong);
        let code = advice.code.clone();
        state.handle(Event::FaultRaised(advice), NOW);
        assert!(entry(&state), "{wrong:?}");
        let effects = state.handle(Event::Person(TrayAction::TryKeychain.act(|| NOW)), NOW);
        assert_eq!(effects, [Effect::Order(crate::effect::Order::TryKeychain)]);
        state.handle(Event::FaultCleared { code }, NOW);
    }
    assert!(!entry(&state));
}

#[test]
fn an_assistant_s_access_to_one_virtual_server_can_be_stopped() {
    let mut state = ready();
    let revocations = |state: &AppState| {
        lines(&tray(state, NOW)).into_iter().filter(|line| line.contains("[revoke:")).collect::<Vec<_>>()
    };
    assert!(!lines(&tray(&state, NOW)).iter().any(|line| line.contains("Assistants")));
    for (client_id, name, server) in [
        ("https://claude.ai/x", "Claude Code", "analyst"),
        ("c2", "Ev\u{202e}il", "analyst"),
        ("c2", "Ev\u{202e}il", "gone"),
    ] {
        state.handle(Event::AssistantAllowed(assistant(client_id, name, server)), NOW);
    }
    let entries = revocations(&state);
    assert_eq!(
        entries,
        [
            "  Stop the access of Evil to Analyst [revoke:analyst:c2]",
            "  Stop the access of Evil to gone [revoke:gone:c2]",
            "  Stop the access of Claude Code to Analyst [revoke:analyst:https://claude.ai/x]",
        ]
    );
    let chosen: TrayAction = "revoke:analyst:https://claude.ai/x".parse().unwrap();
    let effects = state.handle(Event::Person(chosen.act(|| NOW)), NOW);
    let revoked = crate::effect::Order::Revoke {
        client_id: "https://claude.ai/x".to_owned(),
        server: "analyst".parse().unwrap(),
    };
    assert_eq!(effects, [Effect::Order(revoked)], "and nothing of the other");
    for number in 0..20 {
        state.handle(Event::AssistantAllowed(assistant(&format!("d{number}"), "More", "analyst")), NOW);
    }
    assert_eq!(revocations(&state).len(), ASSISTANTS_LISTED);
}

fn assistant(client_id: &str, name: &str, server: &str) -> crate::state::Assistant {
    crate::state::Assistant {
        client_id: client_id.to_owned(),
        name: name.to_owned(),
        executable: None,
        server: server.parse().unwrap(),
        allowed: NOW,
        last_call: None,
        calls: 0,
    }
}

#[test]
fn a_policy_that_has_run_out_is_said_with_the_time_that_is_left_and_whom_to_ask() {
    let mut state = managed();
    let until = NOW.plus(Duration::from_secs(3 * 60 * 60));
    let policy = |freshness| {
        Event::Policy(PolicyState {
            version: "acme 7".to_owned(),
            digest: String::new(),
            since: NOW,
            freshness,
        })
    };
    state.handle(policy(Freshness::Fresh { until: Some(NOW) }), NOW);
    assert_eq!(words::help(&state), None, "nothing is wrong");
    let told = state.handle(policy(Freshness::Grace { until }), NOW);
    assert!(matches!(told.as_slice(), [Effect::Notify(notice)] if notice.body.contains("for 3 hours more")));
    assert_eq!(state.handle(policy(Freshness::Grace { until }), NOW), [], "it is said once");
    let left = "What Acme has decided has run out; it is obeyed for 3 hours more, then no call is made. Connect to the network.";
    let lines = lines(&tray(&state, NOW));
    assert!(lines.iter().any(|line| line.starts_with(left)), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("Get help")), "{lines:#?}");
    assert_eq!(words::help(&state).as_deref(), Some("Help: https://help.acme.test/"));
}

#[test]
fn a_pause_offers_only_its_end() {
    let mut state = ready();
    state.handle(Event::Person(Act::Pause(PauseFor::Open)), NOW);
    let menu = tray(&state, NOW);
    assert_eq!(menu.icon, Status::Paused);
    let pauses: Vec<_> =
        lines(&menu).into_iter().filter(|line| line.contains("ause") || line.contains("esume [")).collect();
    assert_eq!(
        pauses,
        ["(Paused. Calls from your assistants are refused until you resume.)", "Resume [resume]"]
    );
}

#[test]
fn a_pause_until_tomorrow_ends_in_the_morning_by_itself() {
    let mut state = ready();
    let morning = NOW.plus(Duration::from_secs(10 * 3600));
    state.handle(Event::Person(TrayAction::PauseTomorrow.act(|| morning)), NOW);
    assert_eq!(state.next_change(), Some(morning));
    state.handle(Event::Tick, morning);
    assert_eq!(tray(&state, morning).icon, Status::Ready);
}

#[test]
fn the_last_calls_are_listed_without_what_they_were_about() {
    let mut state = ready();
    assert!(!lines(&tray(&state, NOW)).iter().any(|line| line.contains("Recent activity")));
    for number in 0..7 {
        let outcome = match number {
            5 => CallOutcome::Denied { reason: "No.".to_owned() },
            6 => CallOutcome::Running,
            _ => CallOutcome::Done,
        };
        let (method, target) =
            if number == 4 { ("resources/read", "file:///salaries.txt") } else { ("tools/call", "read") };
        let (method, target) = (method.to_owned(), target.to_owned());
        let call = Activity { method, target, ..call(&state, outcome) };
        state.handle(Event::Call(call), NOW);
    }
    let lines = lines(&tray(&state, NOW));
    let listed: Vec<_> = lines.iter().filter(|line| line.contains("Claude")).collect();
    assert_eq!(
        listed,
        [
            "  Claude Code: read of Files, running [open:activity]",
            "  Claude Code: read of Files, not allowed [open:activity]",
            "  Claude Code: a resource of Files [open:activity]",
            "  Claude Code: read of Files [open:activity]",
            "  Claude Code: read of Files [open:activity]",
        ]
    );
}

#[test]
fn many_questions_do_not_fill_the_menu() {
    let mut state = ready();
    for number in 0..9 {
        state.handle(Event::PendingAdded(consent_item(&format!("q{number}"))), NOW);
    }
    let asked: Vec<_> = lines(&tray(&state, NOW)).into_iter().filter(|line| line.contains('…')).collect();
    assert_eq!(asked.len(), 6);
    assert_eq!(asked[5], "4 more requests… [open:pending]");
}

#[test]
fn a_connector_that_does_not_answer_is_named_with_what_became_of_its_tools() {
    let mut state = ready();
    let tell = |state: &mut AppState, id: &str, list: ListState| {
        let connector: AccountId = id.parse().unwrap();
        let status = ConnectorStatus::Unreachable(Advice::new("x", "It is down.", "", ""));
        state.handle(Event::ConnectorStatus { connector: connector.clone(), status }, NOW);
        state.handle(Event::ConnectorTools { connector: connector.clone(), tools: 3 }, NOW);
        state.handle(Event::ConnectorList { connector, list }, NOW);
    };
    let later = NOW.plus(Duration::from_secs(300));
    tell(&mut state, "files", ListState::Kept { since: NOW, until: later });
    let of = |state: &AppState| {
        lines(&tray(state, later)).into_iter().filter(|line| line.contains("answer")).collect::<Vec<_>>()
    };
    let kept = "Files stopped answering 5 minutes ago. Its tools are the last known ones. [open:connectors]";
    assert_eq!(of(&state), ["(Files does not answer.)", kept]);

    tell(&mut state, "mail", ListState::Withdrawn { since: NOW });
    let gone =
        "Mail stopped answering 5 minutes ago. Its tools are withdrawn until it does. [open:connectors]";
    assert_eq!(of(&state), ["(2 connectors do not answer.)", kept, gone]);

    let connector = "files".parse().unwrap();
    state.handle(Event::ConnectorList { connector, list: ListState::Current }, NOW);
    assert_eq!(of(&state)[1..], [gone], "it answers again");
}

#[test]
fn each_account_that_needs_a_sign_in_has_its_own_entry() {
    let mut state = with_two_accounts();
    for id in ["mail", "mail/shared-inbox"] {
        let connector = id.parse().unwrap();
        let status = ConnectorStatus::SignInNeeded;
        state.handle(Event::ConnectorStatus { connector, status }, NOW);
    }
    let menu = lines(&tray(&state, NOW));
    let entries: Vec<_> = menu.into_iter().filter(|line| line.contains("sign-in-to")).collect();
    assert_eq!(
        entries,
        [
            "Sign in to Mail… [sign-in-to:mail]",
            "Sign in to Mail (shared-inbox)… [sign-in-to:mail/shared-inbox]"
        ]
    );
}

#[test]
fn the_audit_line_says_how_far_it_is() {
    let mut audit = AuditState { records: 12, receipted: Some(12), health: AuditHealth::NotChecked };
    assert_eq!(super::audit(&audit), "Audit: 12 records, in sync");
    audit.receipted = Some(9);
    assert_eq!(super::audit(&audit), "Audit: 12 records, 3 still to be sent");
    audit.health = AuditHealth::Broken(Advice::new("x", "", "", ""));
    assert_eq!(super::audit(&audit), "Audit: the record was changed");
}

#[test]
fn the_same_state_gives_the_same_menu() {
    assert_eq!(tray(&managed(), NOW), tray(&managed(), NOW));
}

fn any_action() -> impl Strategy<Value = TrayAction> {
    let slug = "[a-z][a-z0-9-]{0,30}";
    prop_oneof![
        proptest::sample::select(Place::ALL.to_vec()).prop_map(TrayAction::Open),
        "[0-9a-f]{6}".prop_map(|id| TrayAction::Look(PendingId::typed(id))),
        slug.prop_map(|id| TrayAction::CopyUrl(id.parse().unwrap())),
        "[a-z][a-z0-9-]{0,30}(/[a-z][a-z0-9-]{0,30})?"
            .prop_map(|id| TrayAction::SignInTo(id.parse().unwrap())),
        (slug, "[ -~]{0,40}").prop_map(|(server, client_id)| TrayAction::Revoke {
            server: server.parse().unwrap(),
            client_id
        }),
        Just(TrayAction::SignIn),
        Just(TrayAction::SignOut),
        Just(TrayAction::PauseShort),
        Just(TrayAction::PauseTomorrow),
        Just(TrayAction::PauseOpen),
        Just(TrayAction::Resume),
        Just(TrayAction::TryKeychain),
        Just(TrayAction::Support),
        Just(TrayAction::Quit),
    ]
}

proptest! {
    #[test]
    fn an_entrys_id_is_read_back(action in any_action()) {
        prop_assert_eq!(action.to_string().parse(), Ok(action));
    }

    #[test]
    fn no_text_breaks_the_reading(id in "\\PC{0,40}") {
        let _ = id.parse::<TrayAction>();
    }
}
