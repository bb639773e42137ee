use super::*;

const THEN: Timestamp = Timestamp::from_seconds(1_000_000);

#[test]
fn times_are_rough_and_readable() {
    for (seconds, words) in [
        (0, "just now"),
        (50, "1 minute ago"),
        (119, "2 minutes ago"),
        (3_600, "60 minutes ago"),
        (7_200, "2 hours ago"),
        (172_800, "2 days ago"),
    ] {
        assert_eq!(ago(THEN, THEN.plus(Duration::from_secs(seconds))), words, "{seconds} s");
    }
    assert_eq!(left(THEN.plus(Duration::from_secs(300)), THEN), "5 minutes");
    assert_eq!(left(THEN.plus(Duration::from_secs(1)), THEN), "1 second");
    assert_eq!(left(THEN, THEN.plus(Duration::from_secs(9))), "0 seconds", "never negative");
}

#[test]
fn foreign_texts_fit_one_line() {
    assert_eq!(foreign("  a\n\u{0} b\u{202e} ", 10), "a b");
    assert_eq!(foreign("abcdef", 4), "abc…");
    assert_eq!(foreign("", 4), "");
}

#[test]
fn no_program_can_print_a_line_of_deskgate_s_own() {
    let entry = |number, process, event| connector::LogEntry { number, at: THEN, process, event };
    let page = LogPage {
        entries: vec![
            entry(3, Some(7), LogEvent::Started { program: "server".into() }),
            entry(4, Some(7), LogEvent::Printed("* ended by itself (exit status: 0)".into())),
            entry(5, Some(7), LogEvent::Ended { status: Some("exit status: 1".into()) }),
            entry(6, Some(8), LogEvent::Ended { status: None }),
            entry(7, None, LogEvent::Failed("the server cannot be reached".into())),
        ],
        next: 8,
        missed: 3,
        begun: 0,
    };
    let lines = [
        "(3 earlier entries are no longer kept)",
        "1970-01-12T13:46:40.000000Z       7 * server started",
        "1970-01-12T13:46:40.000000Z       7 | * ended by itself (exit status: 0)",
        "1970-01-12T13:46:40.000000Z       7 * ended by itself (exit status: 1)",
        "1970-01-12T13:46:40.000000Z       8 * Deskgate ended it",
        "1970-01-12T13:46:40.000000Z       - ! the server cannot be reached",
    ];
    assert_eq!(log(&page), lines.join("\n"));
}

#[test]
fn whether_a_shared_account_leaves_the_organisation_is_said() {
    let state = crate::state::tests::managed();
    let name = organisation(&state);
    assert_eq!(credential(&state, "W", CredentialKind::Shared), format!("shared by IT, stays at {name}"));
    let lent = format!("shared by {name}, lent to this computer while it is used");
    assert_eq!(credential(&state, "W", CredentialKind::Lent), lent);
}

#[test]
fn a_sign_out_says_what_becomes_of_accounts_and_assistants() {
    let mut state = crate::state::tests::managed();
    state.assistants.clear();
    state.connectors.values_mut().for_each(|connector| {
        connector.credential = CredentialKind::None;
    });
    let none = farewell(&state);
    assert_eq!(none.accounts, None, "there are none");
    assert!(none.stays[0].starts_with("Assistants that you let in stay connected"), "{none:?}");

    let mut connectors = state.connectors.values_mut();
    let mail = connectors.next().expect("a connector");
    (mail.credential, mail.status) = (CredentialKind::Own, ConnectorStatus::Ready);
    let title = mail.title.clone();
    let one = farewell(&state).accounts.expect("one");
    assert!(
        one.starts_with(&format!("Your account at {title} stays here, locked: nobody can use it")),
        "{one}"
    );
    assert!(signed_out(&state, false).contains("stays here, locked"));
    let forgotten = signed_out(&state, true);
    assert!(forgotten.contains("are forgotten") && !forgotten.contains("locked"), "{forgotten}");
    assert_eq!(listed(&["A", "B", "C"]), "A, B and C");
}
