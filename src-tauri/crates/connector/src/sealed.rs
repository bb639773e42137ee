//! Values that are sealed on this computer for a person's own connectors: settings name them, and only the program gets them.

use std::sync::Arc;

use model::{BoxFuture, ConnectorId};
use secrecy::{ExposeSecret as _, SecretString};

const BEGIN: &str = "${sealed:";
const END: char = '}';

/// Where sealed values are.
pub trait SealedValues: Send + Sync {
    /// The value of this name; nothing where there is none, or where it cannot be read now.
    fn value<'a>(&'a self, connector: &'a ConnectorId, name: &'a str) -> BoxFuture<'a, Option<SecretString>>;
}

/// What stands for a sealed value in the command and in the environment of a person's own connector.
pub fn sealed_placeholder(name: &str) -> String {
    format!("{BEGIN}{name}{END}")
}

/// Whether a text has something in it that would be taken for a sealed value.
pub fn has_sealed(text: &str) -> bool {
    text.contains(BEGIN)
}

/// The text with its sealed values; the name of one that cannot be read. An organisation has no such values: there, nothing is
/// put in.
pub(crate) async fn unsealed(
    text: &str,
    connector: &ConnectorId,
    values: Option<&Arc<dyn SealedValues>>,
) -> Result<String, String> {
    let (Some(values), true) = (values, has_sealed(text)) else { return Ok(text.to_owned()) };
    let mut parts = text.split(BEGIN);
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(END).ok_or_else(|| "?".to_owned())?;
        let value = values.value(connector, name).await.ok_or_else(|| name.to_owned())?;
        whole += value.expose_secret();
        whole += rest;
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One;

    impl SealedValues for One {
        fn value<'a>(
            &'a self,
            connector: &'a ConnectorId,
            name: &'a str,
        ) -> BoxFuture<'a, Option<SecretString>> {
            let is_it = connector.as_str() == "github" && name == "TOKEN";
            Box::pin(async move { is_it.then(|| SecretString::from("${sealed:OTHER}")) })
        }
    }

    #[tokio::test]
    async fn sealed_values_are_put_in_once_and_only_where_a_person_decides() {
        let values: Arc<dyn SealedValues> = Arc::new(One);
        let [github, other] = ["github", "other"].map(|id| id.parse::<ConnectorId>().expect("an id"));
        let text = format!("a{}b{}", sealed_placeholder("TOKEN"), sealed_placeholder("TOKEN"));
        let found = unsealed(&text, &github, Some(&values)).await;
        assert_eq!(
            found,
            Ok("a${sealed:OTHER}b${sealed:OTHER}".to_owned()),
            "what comes out is not read again"
        );
        assert_eq!(unsealed(&text, &github, None).await, Ok(text.clone()), "an organisation's text");
        assert!(unsealed(&text, &other, Some(&values)).await.is_err(), "another connector's value");
        assert!(unsealed("${sealed:TOKEN", &github, Some(&values)).await.is_err());
        assert_eq!(unsealed("plain", &other, Some(&values)).await, Ok("plain".to_owned()));
    }
}
