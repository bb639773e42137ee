//! Groups that are too many for a token, at Microsoft Graph (learn.microsoft.com: "Groups overage claim";
//! "directoryObject: getMemberObjects"): what is asked there, and what is believed of the answers.
//!
//! Where to ask is the caller's to say, by the provider's table: what a token says about it is never followed. An answer
//! counts only if the access token with which it was asked for is of the person whom the ID token is about, and only if it
//! is whole.

use std::collections::BTreeSet;

use openidconnect::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use openidconnect::http::{Method, Request};
use openidconnect::{HttpRequest, HttpResponse};
use serde::Deserialize;
use url::Url;

use crate::subject::{MOST_TEXTS, is_group};
use crate::token::Elsewhere;

/// A question to the directory about whoever has the access token.
#[derive(Debug)]
pub struct Directory<'a> {
    base: &'a Url,
    authorization: HeaderValue,
    object_id: &'a str,
}

/// Why the directory did not say which groups somebody is in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryFault {
    /// The token does not say who it is about in the directory, or there is no directory.
    #[error("there is nothing to ask the directory by")]
    Nothing,
    /// It did not answer.
    #[error("the directory does not answer: {0}")]
    Unreachable(String),
    /// It refused, or something failed.
    #[error("the directory answered with status {0}")]
    Status(u16),
    /// The answer is not what it should be.
    #[error("the directory's answer cannot be read")]
    Unreadable,
    /// The access token is another person's.
    #[error("the access token is another person's")]
    AnotherPerson,
    /// Not all groups are in the answer, or too many.
    #[error("the directory's answer is not whole, or has more than {MOST_TEXTS} groups")]
    NotWhole,
}

#[derive(Deserialize)]
struct Me {
    id: String,
}

#[derive(Deserialize)]
struct Objects {
    value: Vec<String>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<serde::de::IgnoredAny>,
}

impl<'a> Directory<'a> {
    /// Asks the directory at `base` with the access token that came with the ID token.
    ///
    /// # Errors
    /// [`DirectoryFault::Nothing`].
    pub fn new(
        base: Option<&'a Url>,
        access: &str,
        elsewhere: &'a Elsewhere,
    ) -> Result<Self, DirectoryFault> {
        let object_id = elsewhere.object_id.as_deref().filter(|id| !id.is_empty());
        let (Some(base), Some(object_id)) = (base, object_id) else { return Err(DirectoryFault::Nothing) };
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {access}")).map_err(|_| DirectoryFault::Nothing)?;
        authorization.set_sensitive(true);
        Ok(Self { base, authorization, object_id })
    }

    /// Asks who has the access token. To be asked first.
    ///
    /// # Errors
    /// [`DirectoryFault::Unreadable`], if `base` is no base.
    pub fn whose(&self) -> Result<HttpRequest, DirectoryFault> {
        self.request(Method::GET, "me?$select=id", Vec::new())
    }

    /// Whether it is whom the ID token is about.
    ///
    /// # Errors
    /// A [`DirectoryFault`] if not.
    pub fn is_theirs(&self, answer: &HttpResponse) -> Result<(), DirectoryFault> {
        let Me { id } = read(answer)?;
        if id == self.object_id { Ok(()) } else { Err(DirectoryFault::AnotherPerson) }
    }

    /// Asks for the security groups that they are in, directly or through others.
    ///
    /// # Errors
    /// As [`Directory::whose`].
    pub fn member_of(&self) -> Result<HttpRequest, DirectoryFault> {
        self.request(Method::POST, "me/getMemberObjects", br#"{"securityEnabledOnly":true}"#.to_vec())
    }

    /// The groups.
    ///
    /// # Errors
    /// A [`DirectoryFault`]; part of the groups is not given.
    pub fn groups(&self, answer: &HttpResponse) -> Result<BTreeSet<String>, DirectoryFault> {
        let Objects { value, next } = read(answer)?;
        let whole = next.is_none() && value.len() <= MOST_TEXTS && value.iter().all(|text| is_group(text));
        if whole { Ok(value.into_iter().collect()) } else { Err(DirectoryFault::NotWhole) }
    }

    fn request(&self, method: Method, what: &str, body: Vec<u8>) -> Result<HttpRequest, DirectoryFault> {
        let place = self.base.join(what).map_err(|_| DirectoryFault::Unreadable)?;
        Request::builder()
            .method(method)
            .uri(place.as_str())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|_| DirectoryFault::Unreadable)
    }
}

fn read<T: serde::de::DeserializeOwned>(answer: &HttpResponse) -> Result<T, DirectoryFault> {
    if answer.status().as_u16() != 200 {
        return Err(DirectoryFault::Status(answer.status().as_u16()));
    }
    serde_json::from_slice(answer.body()).map_err(|_| DirectoryFault::Unreadable)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked<T>(of: impl FnOnce(&Directory<'_>) -> T) -> T {
        let base = "https://graph.example/v1.0/".parse().unwrap();
        let elsewhere = Elsewhere { object_id: Some("me".to_owned()) };
        of(&Directory::new(Some(&base), "secret", &elsewhere).unwrap())
    }

    fn answer(status: u16, body: &Value) -> HttpResponse {
        let mut answer = HttpResponse::new(body.to_string().into_bytes());
        *answer.status_mut() = status.try_into().unwrap();
        answer
    }

    #[test]
    fn it_is_asked_where_the_caller_says_and_shows_no_token() {
        asked(|directory| {
            assert_eq!(directory.whose().unwrap().uri(), "https://graph.example/v1.0/me?$select=id");
            assert_eq!(
                directory.member_of().unwrap().uri(),
                "https://graph.example/v1.0/me/getMemberObjects"
            );
            assert!(!format!("{directory:?} {:?}", directory.whose().unwrap()).contains("secret"));
        });
        let nobody = Elsewhere { object_id: None };
        let base = "https://graph.example/".parse().unwrap();
        assert_eq!(Directory::new(Some(&base), "a", &nobody).err(), Some(DirectoryFault::Nothing));
        let somebody = Elsewhere { object_id: Some("me".to_owned()) };
        assert_eq!(Directory::new(None, "a", &somebody).err(), Some(DirectoryFault::Nothing));
    }

    #[test]
    fn only_a_whole_answer_about_the_same_person_counts() {
        asked(|directory| {
            assert_eq!(directory.is_theirs(&answer(200, &json!({"id": "me"}))), Ok(()));
            let other = answer(200, &json!({"id": "you"}));
            assert_eq!(directory.is_theirs(&other), Err(DirectoryFault::AnotherPerson));
            assert_eq!(directory.is_theirs(&answer(403, &json!({}))), Err(DirectoryFault::Status(403)));
            let groups = |body: Value| directory.groups(&answer(200, &body));
            assert_eq!(groups(json!({"value": ["a", "b"]})), Ok(["a", "b"].map(str::to_owned).into()));
            let more = json!({"value": ["a"], "@odata.nextLink": "https://evil.test/"});
            assert_eq!(groups(more), Err(DirectoryFault::NotWhole));
            assert_eq!(groups(json!({"value": vec!["a"; 2001]})), Err(DirectoryFault::NotWhole));
            assert_eq!(groups(json!({"value": [{"id": "a"}]})), Err(DirectoryFault::Unreadable));
        });
    }
}
