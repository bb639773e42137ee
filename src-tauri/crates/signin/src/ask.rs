//! Asks a person to sign in.

use std::time::Duration;

use model::{Person, PersonFault, SignInOutcome, SignInRequest};

/// How much longer than its deadline a question may stand, should whoever asks it forget the time.
const GRACE: Duration = Duration::from_secs(30);

/// Asks, and does not wait for ever.
///
/// # Errors
/// [`PersonFault`].
pub async fn ask(person: &dyn Person, request: SignInRequest) -> Result<SignInOutcome, PersonFault> {
    let longest = request.deadline.saturating_add(GRACE);
    tokio::time::timeout(longest, person.sign_in(request)).await.unwrap_or(Err(PersonFault::Deadline))
}
