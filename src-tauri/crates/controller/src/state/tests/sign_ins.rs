//! Ways to sign in: by a code, and in windows that may not show everything.

use model::{CodeRequest, UserCode};

use super::*;

#[test]
fn a_code_is_read_in_deskgate_and_typed_at_its_page() {
    let code = |id: &str| PendingItem {
        question: Question::Code(CodeRequest {
            purpose: SignInPurpose::Organisation { name: "Acme".to_owned() },
            verification_uri: "https://idp.test/device".parse().unwrap(),
            user_code: UserCode::typeable("WDJB-MJHT").unwrap(),
            deadline: Duration::from_secs(600),
        }),
        ..consent_item(id)
    };
    let mut state = managed();
    let effects = state.handle(Event::PendingAdded(code("b1")), NOW);
    assert!(matches!(&effects[..], [Effect::Notify(_), Effect::OpenWindow(Place::Pending)]), "{effects:?}");
    let look = state.handle(Event::Person(Act::Look(PendingId::typed("b1"))), NOW);
    let page = Effect::OpenBrowser("https://idp.test/device".parse().unwrap());
    assert_eq!(look, [Effect::OpenWindow(Place::Pending), page]);

    let mut terminal = AppState { desktop: false, ..managed() };
    let effects = terminal.handle(Event::PendingAdded(code("b2")), NOW);
    assert!(
        matches!(&effects[..], [Effect::Notify(_)]),
        "nothing is opened that cannot be seen: {effects:?}"
    );
}

#[test]
fn a_sign_in_window_shows_only_what_the_organisation_lets_it_and_says_so() {
    let mut state = managed();
    assert!(state.window_may_show(&"https://anywhere.test/".parse().unwrap()), "any, where none are named");
    state.sign_in_hosts.insert("acme.test".to_owned().try_into().unwrap());
    for (page, allowed) in [
        ("https://idp.acme.test/auth", true),
        ("https://acme.test/", true),
        ("http://127.0.0.1:4000/enter", true),
        ("about:blank", true),
        ("https://evil.test/acme.test", false),
        ("https://notacme.test/", false),
        ("https://192.0.2.1/", false),
    ] {
        assert_eq!(state.window_may_show(&page.parse().unwrap()), allowed, "{page}");
    }

    let effects =
        state.handle(Event::PendingAdded(sign_in_item("b1", "https://idp.acme.test/auth?state=1")), NOW);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::OpenSignInWindow { .. })), "{effects:?}");
    let refused = || Event::SignInPageRefused {
        id: PendingId::typed("b1"),
        url: "https://evil.test/login?token=secret".parse().unwrap(),
    };
    let effects = state.handle(refused(), NOW);
    let [Effect::Notify(notice)] = &effects[..] else { panic!("{effects:?}") };
    assert!(notice.body.contains("evil.test") && !notice.body.contains("secret"), "{notice:?}");
    assert_eq!(state.handle(refused(), NOW), [], "it is said once");

    let effects =
        state.handle(Event::PendingAdded(sign_in_item("b2", "https://evil.test/auth?state=2")), NOW);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::OpenSignInWindow { .. })), "{effects:?}");
    let said =
        effects.iter().any(|it| matches!(it, Effect::Notify(notice) if notice.body.contains("evil.test")));
    assert!(said, "{effects:?}");
}
