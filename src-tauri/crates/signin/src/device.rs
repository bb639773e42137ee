//! Device authorization (RFC 8628): the person signs in on another device, where a code that they type names this computer.

use std::time::Duration;

use model::UserCode;
use oauth2::{
    DeviceAuthorizationUrl, DeviceCodeErrorResponse, RequestTokenError, Scope,
    StandardDeviceAuthorizationResponse,
};
use url::Url;

use crate::answer::error_code;
use crate::token::exchange_fault;
use crate::{FaultKind, HttpFault, Reach, TokenEndpoint, Tokens, presentable};

/// How long a code is waited for at most, however long the server would have it good.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// The shortest pause between two questions; servers name it, and one that names none means it.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// A device authorization that waits for the person (section 3.2).
pub(crate) struct Started {
    answer: StandardDeviceAuthorizationResponse,
    /// What the person types.
    pub(crate) user_code: UserCode,
    /// Where.
    pub(crate) verification_uri: Url,
    /// For how long.
    pub(crate) lasts: Duration,
}

impl TokenEndpoint {
    /// Begins at a device authorization endpoint (section 3.1). `more` is asked for beside the scopes.
    ///
    /// # Errors
    /// [`FaultKind::Refused`] with the server's error code; [`FaultKind::NotAllowed`] and [`FaultKind::Unreadable`] for an answer
    /// that cannot be shown to a person.
    pub(crate) async fn begin_by_code(
        &self,
        reach: &Reach,
        endpoint: &Url,
        scopes: &[&str],
        more: &[(&'static str, &str)],
    ) -> Result<Started, FaultKind> {
        let client =
            self.client().set_device_authorization_url(DeviceAuthorizationUrl::from_url(endpoint.clone()));
        let mut request = client.exchange_device_code();
        for scope in scopes {
            request = request.add_scope(Scope::new((*scope).to_owned()));
        }
        for (name, value) in more {
            request = request.add_extra_param(*name, (*value).to_owned());
        }
        let answer: StandardDeviceAuthorizationResponse =
            request.request_async(reach).await.map_err(exchange_fault)?;
        let unreadable = |what: &str| FaultKind::Unreadable(format!("{what} cannot be shown"));
        let verification_uri = answer.verification_uri().url().clone();
        presentable(&verification_uri)?;
        let user_code =
            UserCode::typeable(answer.user_code().secret()).ok_or_else(|| unreadable("a code"))?;
        let lasts = answer.expires_in().min(LONGEST);
        Ok(Started { answer, user_code, verification_uri, lasts })
    }

    /// Asks again and again, as slowly as the server wants, until the person has done it (section 3.5).
    ///
    /// # Errors
    /// [`FaultKind::Refused`] where the person or the server said no, [`FaultKind::Deadline`] for a code that is over,
    /// [`FaultKind::Unreadable`] for one that is used up: the answer with the tokens was lost.
    pub(crate) async fn finish_by_code(&self, reach: &Reach, started: &Started) -> Result<Tokens, FaultKind> {
        let client = self.client();
        let pause = |wanted: Duration| tokio::time::sleep(wanted.max(SHORTEST_PAUSE));
        let request = client.exchange_device_access_token(&started.answer);
        let answer = request.request_async(&self.requests(reach), pause, Some(started.lasts)).await;
        self.tokens(answer.map_err(poll_fault)?)
    }
}

fn poll_fault(error: RequestTokenError<HttpFault, DeviceCodeErrorResponse>) -> FaultKind {
    match error {
        RequestTokenError::ServerResponse(response) => match error_code(response.error().as_ref()).as_str() {
            "expired_token" => FaultKind::Deadline,
            // A code is good once. Nobody but us has it, so it was an answer to us that did not arrive.
            "invalid_grant" => FaultKind::Unreadable("the code is used up".to_owned()),
            code => FaultKind::Refused(code.to_owned()),
        },
        RequestTokenError::Request(fault) => fault.into(),
        RequestTokenError::Parse(fault, _) => FaultKind::Unreadable(fault.path().to_string()),
        RequestTokenError::Other(what) => FaultKind::Unreadable(what),
    }
}
