//! Making one secret of the fields that a source gives: `postgres://${username:url}:${password:url}@db/warehouse`.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::source::SourceFault;

/// A part of a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'t> {
    Text(&'t str),
    Field {
        name: &'t str,
        /// Percent-encoded, for a place in a URL.
        encoded: bool,
    },
}

/// The parts of a template, which names one field at least.
pub(super) fn fields(template: &str) -> Result<Vec<Part<'_>>, SourceFault> {
    let wrong = |what: &str| {
        SourceFault::Spec(format!(
            "the template {what}: write fields as ${{name}}, or ${{name:url}} within a URL"
        ))
    };
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once("${") {
        let (field, after) = after.split_once('}').ok_or_else(|| wrong("has a ${ without an end"))?;
        let (name, encoded) = field.strip_suffix(":url").map_or((field, false), |name| (name, true));
        if name.is_empty() || name.contains([':', '$', '{']) {
            return Err(wrong("has a field without a proper name"));
        }
        parts.extend([Part::Text(text), Part::Field { name, encoded }]);
        rest = after;
    }
    if parts.is_empty() {
        return Err(wrong("names no field"));
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

/// The template with its fields' values, and those values by themselves: whoever looks for the secret looks for them too.
pub(super) fn filled(
    template: &str,
    values: &BTreeMap<String, SecretString>,
    place: &str,
) -> Result<(SecretString, Vec<SecretString>), SourceFault> {
    let mut text = Zeroizing::new(String::new());
    let mut parts = Vec::new();
    for part in fields(template)? {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Field { name, encoded } => {
                let value = values.get(name).ok_or_else(|| {
                    let names: Vec<&str> = values.keys().map(String::as_str).collect();
                    SourceFault::NoField(place.to_owned(), name.to_owned(), names.join(", "))
                })?;
                parts.push(value.clone());
                let value = value.expose_secret();
                if encoded {
                    let form: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
                    text.push_str(&form.replace('+', "%20"));
                } else {
                    text.push_str(value);
                }
            }
        }
    }
    Ok((SecretString::from(text.as_str()), parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> BTreeMap<String, SecretString> {
        [("user", "ann"), ("password", "p@ss/w0rd +")]
            .map(|(name, value)| (name.to_owned(), value.into()))
            .into()
    }

    #[test]
    fn fields_stand_as_they_are_or_as_a_url_wants_them() {
        let filled =
            |template| filled(template, &values(), "p").map(|(text, _)| text.expose_secret().to_owned());
        assert_eq!(filled("${password}").expect("fills"), "p@ss/w0rd +");
        let url = filled("db://${user:url}:${password:url}@h/d").expect("fills");
        assert_eq!(url, "db://ann:p%40ss%2Fw0rd%20%2B@h/d");
        let parsed = url::Url::parse(&url).expect("a URL");
        assert_eq!(parsed.password(), Some("p%40ss%2Fw0rd%20%2B"));
        let parts = super::filled("u=${user} p=${password}", &values(), "p").expect("fills").1;
        assert_eq!(parts.iter().map(SecretString::expose_secret).collect::<Vec<_>>(), ["ann", "p@ss/w0rd +"]);
        let fault = filled("${pass}").expect_err("no such field").to_string();
        assert!(
            fault.contains("no field pass") && fault.contains("password, user") && !fault.contains("p@ss"),
            "{fault}"
        );
    }

    #[test]
    fn a_template_without_a_field_or_with_half_of_one_is_refused() {
        for template in ["", "secret", "${", "${user", "${}", "${:url}", "${a:b}"] {
            assert!(matches!(fields(template), Err(SourceFault::Spec(_))), "{template}");
        }
    }
}
