//! Master keys that the transit engine wraps.

use super::super::transit::{TransitKey, WrappedKey};
use super::*;

const MADE: &str = "transit/datakey/wrapped/deskgate";
const OPENED: &str = "transit/decrypt/deskgate";

fn key(address: url::Url) -> TransitKey {
    TransitKey { address, namespace: None, mount: "transit".to_owned(), key: "deskgate".to_owned() }
}

fn token() -> SecretString {
    SecretString::from("the-token")
}

#[tokio::test]
async fn what_rests_opens_at_the_engine_alone() {
    let made = include_str!("../../fixtures/transit_datakey.json");
    let opened = include_str!("../../fixtures/transit_decrypted.json");
    let (server, address) = serve([(MADE, made), (OPENED, opened)]).await;
    let wrapped = key(address).new_key(token()).await.expect("makes");
    let text = serde_json::to_string(&wrapped).expect("JSON");
    assert!(text.contains("vault:v1:abcdefgh") && !text.contains("the-token"), "{text}");
    let read = WrappedKey::parse(&text).expect("reads");
    assert!(WrappedKey::parse(&text.replace("\"format\":1", "\"format\":2")).is_none(), "a later format");
    let plain = read.opened(token()).await.expect("opens");
    crate::MasterKey::parse(&plain).expect("a key");
    let asked = server.asked.lock().expect("a list").clone();
    assert_eq!(
        asked.iter().map(|(path, token, _, body)| (path.as_str(), token.as_str(), body)).collect::<Vec<_>>(),
        [
            (MADE, "the-token", &json!({"bits": 256})),
            (OPENED, "the-token", &json!({"ciphertext": "vault:v1:abcdefgh"})),
        ]
    );
}

#[tokio::test]
async fn an_engine_that_refuses_or_is_no_engine_gives_no_key() {
    let denied = include_str!("../../fixtures/denied.json");
    let kv = include_str!("../../fixtures/kv2_read.json");
    let (_, address) = serve([(MADE, denied), (OPENED, kv)]).await;
    let refused = key(address.clone()).new_key(token()).await.expect_err("refused");
    assert!(
        refused.to_string().contains("give one that may use transit/datakey/wrapped/deskgate"),
        "{refused}"
    );
    let text = json!({"format": 1, "transit": key(address.clone()), "ciphertext": "vault:v1:x"}).to_string();
    let fault = WrappedKey::parse(&text).expect("reads").opened(token()).await.expect_err("no key in it");
    assert!(matches!(fault, SourceFault::Unreadable(..)), "{fault}");
    for (mount, name) in [("../sys", "deskgate"), ("transit", "a?b"), ("transit", "")] {
        let odd = TransitKey { mount: mount.to_owned(), key: name.to_owned(), ..key(address.clone()) };
        assert!(matches!(odd.new_key(token()).await, Err(SourceFault::Spec(_))), "{mount} {name}");
    }
    let open = key("http://vault.example/".parse().expect("a URL"));
    assert!(matches!(open.new_key(token()).await, Err(SourceFault::Insecure(_))));
}
