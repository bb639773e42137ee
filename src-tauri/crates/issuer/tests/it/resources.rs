//! What changes about the virtual servers reaches the issuer without a restart.

use issuer::Route;

use crate::support::*;

#[tokio::test]
async fn a_new_server_is_found_and_a_removed_one_is_not() {
    let world = world().await;
    world.servers.titles.lock().unwrap().insert(id("mail"), "Mail".to_owned());
    assert_eq!(world.get(Route::Resource(id("mail")), "").await.status, 200);
    let client = world.register().await;
    world.sign_in(&client, "mail").await;

    world.servers.titles.lock().unwrap().remove(&id("mail"));
    assert_eq!(world.get(Route::Resource(id("mail")), "").await.status, 404);
    let (challenge, resource) = (challenge(VERIFIER), resource("mail"));
    assert_redirected(
        &world.authorize(&ask(&client, &challenge, &resource)).await,
        "invalid_target",
        "removed",
    );
}
