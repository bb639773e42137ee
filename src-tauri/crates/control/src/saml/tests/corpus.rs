//! What has been done to responses in the world: signatures wrapped, texts cut in pieces, entities, algorithms.
//!
//! Each attack is made of a genuine response. It is refused here before anything is verified, and where the verifier alone is
//! asked it names nobody else either: two walls, tried one by one.

use testkit::Employee;

use super::*;
use crate::saml::service_provider::Seen;

/// The attacker's own assertion: the genuine one's copy, unsigned, of another person.
fn forged(xml: &str) -> String {
    unsigned(assertion(xml)).replace(">alice<", ">bob<").replacen(" ID=\"_", " ID=\"_evil", 1)
}

fn unsigned(element: &str) -> String {
    element.replacen(part(element, "<ds:Signature ", "</ds:Signature>"), "", 1)
}

/// The eight wrappings of "On Breaking SAML: Be Whoever You Want to Be" (Somorovsky et al., USENIX Security 2012), each
/// with another id and with the id of what is signed.
fn wrappings(xml: &str) -> Vec<(String, String)> {
    let genuine = assertion(xml).to_owned();
    let of_response = part(xml, "<ds:Signature ", "</ds:Signature>").to_owned();
    let of_assertion = part(&genuine, "<ds:Signature ", "</ds:Signature>").to_owned();
    let bare = xml.replacen(&of_response, "", 1);
    let evil_response = bare.replace(&genuine, &forged(xml)).replacen(" ID=\"_", " ID=\"_evil", 1);
    let evil = forged(xml);
    let closed = |signature: &str, inside: &str| {
        signature.replace("</ds:Signature>", &format!("<ds:Object>{inside}</ds:Object></ds:Signature>"))
    };
    let changed = genuine.replace(">alice<", ">bob<");
    let wraps = [
        (
            "1",
            evil_response.replacen(
                "<samlp:Status>",
                &format!("{}<samlp:Status>", closed(&of_response, &bare)),
                1,
            ),
        ),
        ("2", evil_response.replacen("<samlp:Status>", &format!("{bare}{of_response}<samlp:Status>"), 1)),
        ("3", xml.replace(&genuine, &format!("{evil}{genuine}"))),
        (
            "4",
            xml.replace(&genuine, &evil.replace("</saml:Assertion>", &format!("{genuine}</saml:Assertion>"))),
        ),
        ("5", xml.replace(&genuine, &format!("{changed}{}", unsigned(&genuine)))),
        (
            "6",
            xml.replace(
                &genuine,
                &changed.replacen(&of_assertion, &closed(&of_assertion, &unsigned(&genuine)), 1),
            ),
        ),
        (
            "7",
            xml.replacen(
                "<samlp:Status>",
                &format!("<samlp:Extensions>{evil}</samlp:Extensions><samlp:Status>"),
                1,
            ),
        ),
        ("8", xml.replace(&genuine, &genuine.replacen(&of_assertion, &closed(&of_assertion, &evil), 1))),
        ("before, in Advice", {
            let advice = format!("<saml:Advice>{genuine}</saml:Advice></saml:Assertion>");
            xml.replace(&genuine, &evil.replace("</saml:Assertion>", &advice))
        }),
        ("in SubjectConfirmationData", {
            let data = part(&evil, "<saml:SubjectConfirmationData ", "/>");
            let open = data.replace("/>", &format!(">{genuine}</saml:SubjectConfirmationData>"));
            xml.replace(&genuine, &evil.replace(data, &open))
        }),
        (
            "in another namespace",
            xml.replace(&genuine, &format!("<x:Assertion xmlns:x=\"urn:x\">{evil}</x:Assertion>{genuine}")),
        ),
    ];
    let same = |wrapped: &str| wrapped.replace("\"_evil", "\"_");
    let other = wraps.iter().map(|(name, wrapped)| ((*name).to_owned(), wrapped.clone()));
    other.chain(wraps.iter().map(|(name, wrapped)| (format!("{name}, same id"), same(wrapped)))).collect()
}

#[tokio::test]
async fn wrapped_signatures_sign_nobody_in() {
    let scene = Scene::new().await;
    let brought = scene.sign_in(&Employee::alice()).await;
    assert!(scene.accept(&brought, &brought.xml).is_ok(), "the genuine one is good");
    for (name, wrapped) in wrappings(&brought.xml) {
        assert_ne!(wrapped, brought.xml, "wrapping {name} changes something");
        let fault = scene.accept(&brought, &wrapped).expect_err(&name);
        assert!(
            matches!(fault, SamlFault::Place { .. } | SamlFault::Missing { .. } | SamlFault::Refused(_)),
            "wrapping {name}: {fault}"
        );
        let alone = scene.sp.verified(&brought.asked, &wrapped, RELAY, brought.at, &mut Seen::default());
        let named = alone.map(|session| session.name_id().value().to_owned());
        assert!(named.as_ref().map_or(true, |named| named == "alice"), "wrapping {name}: {named:?}");
    }
}

#[tokio::test]
async fn what_parsers_read_in_two_ways_is_not_read_at_all() {
    let scene = Scene::new().await;
    let brought = scene.sign_in(&Employee::alice()).await;
    let xml = &brought.xml;
    let named = |inside: &str| xml.replace(">alice</saml:NameID>", &format!(">{inside}</saml:NameID>"));
    let typed = |document_type: &str, inside: &str| format!("{document_type}{}", named(inside));
    let laughs = "<!DOCTYPE r [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">\
                  <!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\"><!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;\">]>";
    let forbidden = [
        ("a comment in a name", named("ali<!---->ce")),
        ("a comment after a name", named("alice<!-- .evil.test -->")),
        ("a comment at the end", format!("{xml}<!-- -->")),
        ("a CDATA section", named("<![CDATA[alice]]>")),
        ("a processing instruction", named("ali<?x y?>ce")),
        ("a document type", typed("<!DOCTYPE r>", "alice")),
        ("an entity", typed("<!DOCTYPE r [<!ENTITY n \"bob\">]>", "&n;")),
        ("a file", typed("<!DOCTYPE r [<!ENTITY n SYSTEM \"file:///etc/passwd\">]>", "&n;")),
        (
            "a parameter entity",
            typed("<!DOCTYPE r [<!ENTITY % n SYSTEM \"http://127.0.0.1:9/\"> %n;]>", "alice"),
        ),
        ("a billion laughs", typed(laughs, "&d;")),
        ("an unknown entity", named("&n;")),
        ("a character that is none", named("alice&#0;")),
        ("a control character by number", named("alice&#8;")),
        ("a carriage return", named("alice\r")),
        ("another encoding", format!("<?xml version=\"1.0\" encoding=\"UTF-7\"?>{xml}")),
        ("another version", format!("<?xml version=\"1.1\"?>{xml}")),
        ("two declarations", format!("<?xml version=\"1.0\"?><?xml version=\"1.0\"?>{xml}")),
        ("a mark before it", format!("\u{FEFF}{xml}")),
        ("text before it", format!("x{xml}")),
        ("text between", xml.replacen("<samlp:Status>", "bob<samlp:Status>", 1)),
        ("a prefix with two meanings", xml.replace("<saml:Subject>", "<saml:Subject xmlns:ds=\"urn:x\">")),
        ("no default namespace", xml.replace("<saml:Subject>", "<saml:Subject xmlns=\"\">")),
        ("markup in an attribute", xml.replace("Version=\"2.0\"", "Version=\"2.0\" Consent=\"<\"")),
        ("a line break in an attribute", xml.replace("Version=\"2.0\"", "Version=\"2.0\" Consent=\"\n\"")),
    ];
    for (name, wrong) in forbidden {
        assert_ne!(&wrong, xml, "{name} changes something");
        let fault = scene.accept(&brought, &wrong).expect_err(name);
        assert!(matches!(fault, SamlFault::Forbidden(_) | SamlFault::Malformed(_)), "{name}: {fault}");
    }
}

type Expected = fn(&SamlFault) -> bool;

#[tokio::test]
async fn what_no_response_needs_has_no_place() {
    let scene = Scene::new().await;
    let brought = scene.sign_in(&Employee::alice()).await;
    let xml = &brought.xml;
    let at = |place: &str, more: &str| xml.replacen(place, more, 1);
    let cases: Vec<(&str, String, Expected)> = vec![
        ("an xml:id", at("<saml:Subject>", "<saml:Subject xml:id=\"x\">"), |f| {
            matches!(f, SamlFault::Attribute { .. })
        }),
        ("an ID", at("<saml:Subject>", "<saml:Subject ID=\"x\">"), |f| {
            matches!(f, SamlFault::Attribute { .. })
        }),
        ("an Id", at("<samlp:Status>", "<samlp:Status Id=\"x\">"), |f| {
            matches!(f, SamlFault::Attribute { .. })
        }),
        ("a nil", at(" xsi:type=\"xs:string\"", " xsi:nil=\"true\""), |f| {
            matches!(f, SamlFault::Attribute { .. })
        }),
        ("a second identifier", at("</saml:NameID>", "</saml:NameID><saml:NameID>bob</saml:NameID>"), |f| {
            matches!(f, SamlFault::Place { .. })
        }),
        (
            "an element in a name",
            at(">alice</saml:NameID>", "><saml:NameID>bob</saml:NameID></saml:NameID>"),
            |f| matches!(f, SamlFault::Place { .. }),
        ),
        ("a second attribute of a name", at("Name=\"uid\"", "Name=\"groups\""), |f| {
            matches!(f, SamlFault::Place { .. })
        }),
        ("something encrypted", xml.replace(assertion(xml), "<saml:EncryptedAssertion/>"), |f| {
            matches!(f, SamlFault::Encrypted)
        }),
        ("a second root", format!("{xml}{xml}"), |f| matches!(f, SamlFault::Place { .. })),
        ("another root", assertion(xml).to_owned(), |f| {
            matches!(f, SamlFault::Place { .. } | SamlFault::Malformed(_))
        }),
        ("no end", xml.replace("</samlp:Response>", ""), |f| matches!(f, SamlFault::Malformed(_))),
        ("too much", xml.replace("</samlp:Response>", &" ".repeat(300_000)), |f| {
            matches!(f, SamlFault::TooLarge)
        }),
        ("one id twice", same_id(xml), |f| matches!(f, SamlFault::Value("ID"))),
        ("an older version", at("Version=\"2.0\"", "Version=\"1.1\""), |f| {
            matches!(f, SamlFault::Value("Version"))
        }),
        ("another confirmation", at("cm:bearer", "cm:sender-vouches"), |f| matches!(f, SamlFault::Value(_))),
        ("nobody signed in", at("status:Success", "status:AuthnFailed"), |f| {
            matches!(f, SamlFault::Status(_))
        }),
    ];
    for (name, wrong, expected) in cases {
        assert_ne!(&wrong, xml, "{name} changes something");
        let fault = scene.accept(&brought, &wrong).expect_err(name);
        assert!(expected(&fault), "{name}: {fault}");
    }
}

fn same_id(xml: &str) -> String {
    let id = |element: &str| part(element, " ID=\"", "\" ")[5..].trim_end_matches("\" ").to_owned();
    let (response, own) = (id(xml), id(assertion(xml)));
    xml.replace(&own, &response)
}

#[tokio::test]
async fn weaker_algorithms_are_not_on_the_list() {
    let scene = Scene::new().await;
    let brought = scene.sign_in(&Employee::alice()).await;
    let xml = &brought.xml;
    let more = "http://www.w3.org/2001/04/xmldsig-more#";
    let old = "http://www.w3.org/2000/09/xmldsig#";
    let canonical = "http://www.w3.org/2001/10/xml-exc-c14n#";
    for (from, to) in [
        (format!("{more}rsa-sha256"), format!("{old}rsa-sha1")),
        (format!("{more}rsa-sha256"), format!("{old}hmac-sha1")),
        // Signed with the certificate as if it were a secret.
        (format!("{more}rsa-sha256"), format!("{more}hmac-sha256")),
        (format!("{more}rsa-sha256"), format!("{more}rsa-md5")),
        (format!("{more}rsa-sha256"), "none".to_owned()),
        (format!("{more}rsa-sha256"), String::new()),
        ("http://www.w3.org/2001/04/xmlenc#sha256".to_owned(), format!("{old}sha1")),
        ("http://www.w3.org/2001/04/xmlenc#sha256".to_owned(), format!("{more}md5")),
        (canonical.to_owned(), format!("{canonical}WithComments")),
        (canonical.to_owned(), "http://www.w3.org/TR/2001/REC-xml-c14n-20010315".to_owned()),
        (format!("{old}enveloped-signature"), "http://www.w3.org/TR/1999/REC-xpath-19991116".to_owned()),
        (format!("{old}enveloped-signature"), "http://www.w3.org/TR/1999/REC-xslt-19991116".to_owned()),
        (format!("{old}enveloped-signature"), format!("{old}base64")),
    ] {
        let wrong = xml.replacen(&format!("\"{from}\""), &format!("\"{to}\""), 1);
        assert_ne!(&wrong, xml, "{to} changes something");
        let fault = scene.accept(&brought, &wrong).expect_err(&to);
        assert!(matches!(&fault, SamlFault::Algorithm(named) if *named == to), "{to}: {fault}");
    }
    let transforms = part(xml, "<ds:Transforms>", "</ds:Transforms>");
    for (name, wrong) in [
        ("no transform", xml.replacen(transforms, "<ds:Transforms/>", 1)),
        ("one reference to all", xml.replacen(part(xml, "URI=\"", "\">"), "URI=\"\">", 1)),
        ("a pointer", xml.replacen("URI=\"#", "URI=\"#xpointer(id('", 1)),
    ] {
        let fault = scene.accept(&brought, &wrong).expect_err(name);
        assert!(matches!(fault, SamlFault::Value(_)), "{name}: {fault}");
    }
}

#[tokio::test]
async fn whatever_was_signed_cannot_be_changed() {
    let scene = Scene::new().await;
    let brought = scene.sign_in(&Employee::alice()).await;
    let xml = &brought.xml;
    for (name, wrong) in [
        ("the person", xml.replace(">alice</saml:NameID>", ">bob</saml:NameID>")),
        ("an attribute's value", xml.replace(">analysts<", ">finance<")),
        ("an attribute's name", xml.replace("Name=\"displayName\"", "Name=\"role\"")),
        ("a status that is well", xml.replacen("<samlp:Status>", "<samlp:Status >\n", 1)),
        ("the session", xml.replacen("SessionIndex=\"_", "SessionIndex=\"_0", 1)),
        ("the format", xml.replace("nameid-format:persistent", "nameid-format:emailAddress")),
    ] {
        assert_ne!(&wrong, xml, "{name} changes something");
        let fault = scene.accept(&brought, &wrong).expect_err(name);
        assert!(matches!(fault, SamlFault::Refused(_)), "{name}: {fault}");
    }
}

/// The verifier's arithmetic on dates does not stand every text: saml-rs 0.6.1 multiplies what is no digit before it looks. Where
/// that ends a test build, it is caught here; when nothing is to be caught any more, the library is mended.
#[tokio::test]
async fn a_date_that_the_verifier_does_not_stand_never_comes_to_it() {
    let scene = Scene::new().await;
    let brought = scene.sign_in(&Employee::alice()).await;
    let names = ["IssueInstant", "NotBefore", "NotOnOrAfter", "AuthnInstant", "SessionNotOnOrAfter"];
    let mut falls = Vec::new();
    for name in names {
        let attribute = format!(" {name}=\"");
        for (at, _) in brought.xml.match_indices(&attribute) {
            let from = at + attribute.len();
            let month = from + "2026-".len()..from + "2026-01".len();
            let mut hostile = brought.xml.clone();
            hostile.replace_range(month, "zz");
            let fault = scene.accept(&brought, &hostile).expect_err(name);
            assert!(matches!(fault, SamlFault::Value(named) if named == name), "{name}: {fault}");
            let alone = std::panic::AssertUnwindSafe(|| {
                scene.sp.verified(&brought.asked, &hostile, RELAY, brought.at, &mut Seen::default()).map(drop)
            });
            match std::panic::catch_unwind(alone) {
                Ok(verdict) => assert!(verdict.is_err(), "{name}: signed and changed"),
                Err(_) => falls.push(name),
            }
        }
    }
    assert_eq!(falls.is_empty(), !cfg!(debug_assertions), "the verifier falls over {falls:?}");
}
