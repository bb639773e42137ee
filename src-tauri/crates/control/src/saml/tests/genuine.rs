//! What a real identity provider says, in the ways that it can be set up.

use std::time::Duration;

use org_protocol::CLOCK_SKEW;
use testkit::Employee;

use super::*;
use crate::saml::{facts, preparse};

fn nodes(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn a_signed_answer_signs_its_person_in() {
    let mut alice = Employee::alice();
    alice.name = "Zoë & <Alice> \"A\" 日本".to_owned();
    let scene = Scene::with(|settings| settings.people = vec![alice.clone()]).await;
    let brought = scene.sign_in(&alice).await;
    assert_eq!(brought.answer.to.as_str(), known("one").acs);

    let accepted = scene.accept(&brought, &brought.xml).expect("accepted");
    assert_eq!(accepted.name_id, "alice");
    assert_eq!(accepted.attributes["groups"], nodes(&["analysts", "employees"]));
    assert_eq!(accepted.attributes["mail"], nodes(&["alice@acme.test"]));
    assert_eq!(accepted.attributes["displayName"], nodes(&[&alice.name]));
    assert!(accepted.session_index.is_some(), "its session is named");
    assert!(accepted.authenticated <= brought.at, "{:?}", accepted.authenticated);
    let lasts = accepted.session_until.expect("its session ends").since(brought.at);
    assert!(lasts > Duration::from_secs(7 * 3600), "{lasts:?}");
}

/// A second time it is the same answer: what is good once has the same names, and is remembered as long as it could be
/// presented.
#[tokio::test]
async fn what_is_good_once_is_named_alike_each_time() {
    let scene = Scene::new().await;
    let brought = scene.sign_in(&Employee::alice()).await;
    let first = scene.accept(&brought, &brought.xml).expect("accepted");
    let again = scene.accept(&brought, &brought.xml).expect("the database refuses it, not this");
    let keys =
        |accepted: &Accepted| -> Vec<String> { accepted.once.iter().map(|once| once.key.clone()).collect() };
    assert_eq!(keys(&first), keys(&again));
    assert_eq!(first.once.len(), 2, "the response and its assertion");
    for once in &first.once {
        let late = scene.accept_at(&brought, &brought.xml, once.until);
        assert!(matches!(late, Err(SamlFault::Time)), "forgotten only when it is too old: {late:?}");
    }
}

#[tokio::test]
async fn an_answer_is_good_within_its_time_and_the_clocks_difference() {
    let scene = Scene::new().await;
    let brought = scene.sign_in(&Employee::alice()).await;
    let stated = |name: &str| -> Timestamp {
        let from = format!("{name}=\"");
        let text = part(&brought.xml, &from, "Z\"");
        text[from.len()..text.len() - 1].parse().expect("a time")
    };
    let (from, until) = (stated("NotBefore"), stated("NotOnOrAfter"));
    let at = |at: Timestamp| scene.accept_at(&brought, &brought.xml, at);
    let earlier = |at: Timestamp, by: Duration| {
        Timestamp::from_micros(at.micros() - i64::try_from(by.as_micros()).expect("a number"))
    };
    let moment = Duration::from_millis(1);
    let authenticated = scene.accept(&brought, &brought.xml).expect("accepted").authenticated;

    assert!(at(earlier(until.plus(CLOCK_SKEW), moment)).is_ok(), "a moment before it ends");
    assert!(matches!(at(until.plus(CLOCK_SKEW)), Err(SamlFault::Time)), "when it ends");
    assert!(at(earlier(authenticated, CLOCK_SKEW)).is_ok(), "by a clock that is late");
    assert!(matches!(at(earlier(from, CLOCK_SKEW + moment)), Err(SamlFault::Time)), "before it begins");
}

#[tokio::test]
async fn response_and_assertion_must_both_be_signed() {
    let mut scene = Scene::with(|settings| settings.signs_response = false).await;
    let brought = scene.sign_in(&Employee::alice()).await;
    let fault = scene.accept(&brought, &brought.xml).expect_err("the response is not signed");
    assert!(matches!(fault, SamlFault::Missing { what: "Signature", place: "Response" }), "{fault}");

    scene.change(|settings| (settings.signs_response, settings.signs_assertion) = (true, false));
    let brought = scene.sign_in(&Employee::alice()).await;
    let fault = scene.accept(&brought, &brought.xml).expect_err("the assertion is not signed");
    assert!(matches!(fault, SamlFault::Missing { what: "Signature", place: "Assertion" }), "{fault}");
}

#[tokio::test]
async fn signatures_of_the_listed_algorithms_only_are_taken() {
    let mut scene = Scene::new().await;
    for (algorithm, good) in [
        ("http://www.w3.org/2000/09/xmldsig#rsa-sha1", false),
        ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha384", true),
        ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", true),
    ] {
        scene.change(|settings| settings.signature_algorithm = algorithm.to_owned());
        let brought = scene.sign_in(&Employee::alice()).await;
        match scene.accept(&brought, &brought.xml) {
            Ok(_) => assert!(good, "{algorithm}"),
            Err(SamlFault::Algorithm(named)) => assert!(!good && named == algorithm, "{named}"),
            Err(fault) => panic!("{algorithm}: {fault}"),
        }
    }
}

#[tokio::test]
async fn an_answer_to_another_receiver_or_another_question_signs_nobody_in() {
    let mut scene = Scene::new().await;
    let other = service_provider("other", &scene.idp, &["first"]);
    let elsewhere = scene.sign_in_at(&other, &Employee::alice()).await;
    let fault = scene.accept(&elsewhere, &elsewhere.xml).expect_err("it is for another receiver");
    assert!(matches!(fault, SamlFault::Destination), "{fault}");

    // Sent here, but said to somebody else: the audience.
    scene.change(|settings| settings.providers[1].acs = known("one").acs);
    let elsewhere = scene.sign_in_at(&other, &Employee::alice()).await;
    assert!(elsewhere.xml.contains(&known("one").acs) && !elsewhere.xml.contains(&known("other").acs));
    let fault = scene.accept(&elsewhere, &elsewhere.xml).expect_err("it is for another audience");
    assert!(matches!(fault, SamlFault::Destination), "{fault}");

    let (one, two) = (scene.sign_in(&Employee::alice()).await, scene.sign_in(&Employee::alice()).await);
    let fault = scene.accept(&one, &two.xml).expect_err("it answers another question");
    assert!(matches!(fault, SamlFault::InResponseTo), "{fault}");
    assert!(scene.accept(&two, &two.xml).is_ok(), "in its own place it is good");

    let mut mixed = scene.sign_in(&Employee::alice()).await;
    mixed.answer.relay_state = "another".to_owned();
    let fault = scene.accept(&mixed, &mixed.xml).expect_err("another relay state came along");
    assert!(matches!(fault, SamlFault::Refused(_)), "{fault}");
}

#[tokio::test]
async fn only_keys_of_the_signed_content_verify() {
    let mut scene = Scene::new().await;
    scene.idp.new_key("evil").expect("a key");
    scene.change(|settings| settings.signs_with = "evil".to_owned());
    let brought = scene.sign_in(&Employee::alice()).await;
    let inside = |key: &str| provider(&scene.idp, &[key]).certificates[0].base64();
    let (first, evil) = (inside("first"), inside("evil"));
    let named = brought.xml.replace(&evil, &first);
    assert_ne!(named, brought.xml, "the response carries the key's certificate");
    let silent = without_key_info(&brought.xml);
    for (what, xml) in [("its own key", &brought.xml), ("our key's name", &named), ("no name", &silent)] {
        let fault = scene.accept(&brought, xml).expect_err(what);
        assert!(matches!(fault, SamlFault::Refused(_)), "{what}: {fault}");
    }
    let bare = brought.xml.replacen(
        &format!("<ds:X509Data><ds:X509Certificate>{evil}</ds:X509Certificate></ds:X509Data>"),
        "<ds:KeyValue><ds:RSAKeyValue/></ds:KeyValue>",
        1,
    );
    let fault = scene.accept(&brought, &bare).expect_err("a key instead of a certificate");
    assert!(matches!(fault, SamlFault::Place { .. }), "{fault}");
}

fn without_key_info(xml: &str) -> String {
    let info = part(xml, "<ds:KeyInfo>", "</ds:KeyInfo>");
    xml.replace(info, "")
}

#[tokio::test]
async fn two_certificates_are_good_while_one_replaces_the_other() {
    let mut scene = Scene::new().await;
    scene.idp.new_key("second").expect("a key");
    scene.sp = service_provider("one", &scene.idp, &["first", "second"]);
    for key in ["first", "second"] {
        scene.change(|settings| settings.signs_with = key.to_owned());
        let brought = scene.sign_in(&Employee::alice()).await;
        let accepted = scene.accept(&brought, &brought.xml).expect(key);
        assert_eq!(accepted.name_id, "alice");
    }
    scene.sp = service_provider("one", &scene.idp, &["first"]);
    let brought = scene.sign_in(&Employee::alice()).await;
    let fault = scene.accept(&brought, &brought.xml).expect_err("the second is no longer named");
    assert!(matches!(fault, SamlFault::Refused(_)), "{fault}");
}

/// Others write the same with default namespaces, a declaration, and base64 in lines. The signatures are lost by rewriting it
/// here; what is said is not.
#[tokio::test]
async fn the_same_response_in_other_writing_says_the_same() {
    let scene = Scene::new().await;
    let brought = scene.sign_in(&Employee::alice()).await;
    let said = |xml: &str| facts::read(&preparse::read(xml)?);
    let genuine = said(&brought.xml).expect("readable");
    let assertion = "xmlns=\"urn:oasis:names:tc:SAML:2.0:assertion\"";
    let bare = brought.xml.replace("<saml:", "<").replace("</saml:", "</");
    let bare =
        bare.replace("<ds:", "<").replace("</ds:", "</").replace("<Signature xmlns:ds=", "<Signature xmlns=");
    let bare = bare.replacen("<Issuer>", &format!("<Issuer {assertion}>"), 1);
    let bare = bare.replacen("<Assertion ", &format!("<Assertion {assertion} "), 1);
    let bare = bare.replace("==</SignatureValue>", "=&#13;\n=</SignatureValue>");
    let other = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n{bare}\n");
    assert!(other.contains("&#13;") && !other.contains("<saml:") && !other.contains("<ds:"));
    assert_eq!(said(&other).expect("readable"), genuine);
}

#[tokio::test]
async fn identifiers_that_change_name_nobody() {
    let transient = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";
    let scene = Scene::with(|settings| settings.name_id_format = transient.to_owned()).await;
    let brought = scene.sign_in(&Employee::alice()).await;
    let fault = scene.accept(&brought, &brought.xml).expect_err("refused");
    assert!(matches!(fault, SamlFault::Transient), "{fault}");
}

#[tokio::test]
async fn a_person_who_was_to_authenticate_anew_has_to() {
    let scene = Scene::new().await;
    let at = os::SystemClock.now();
    let (asked, question) = scene.sp.ask(RELAY, true, at).expect("a question");
    let answer = scene.idp.answer(&question, &Employee::alice()).await.expect("an answer");
    assert!(scene.sp.accept(&asked, &answer.response, RELAY, os::SystemClock.now()).is_ok());
    let later = Asked { at: at.plus(CLOCK_SKEW + Duration::from_secs(60)), ..asked };
    let fault = scene.sp.accept(&later, &answer.response, RELAY, at).expect_err("it was before the question");
    assert!(matches!(fault, SamlFault::NotAnew), "{fault}");
}

#[tokio::test]
async fn the_metadata_names_the_one_receiver_and_asks_for_signed_assertions() {
    let scene = Scene::new().await;
    let metadata = scene.sp.metadata();
    assert!(metadata.contains(&format!("entityID=\"{}\"", known("one").entity_id)), "{metadata}");
    assert!(metadata.contains(&format!("Location=\"{}\"", known("one").acs)), "{metadata}");
    assert!(metadata.contains("WantAssertionsSigned=\"true\""), "{metadata}");
    assert_eq!(metadata.matches("AssertionConsumerService").count(), 1, "{metadata}");
}
