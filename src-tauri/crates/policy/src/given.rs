//! What policies read of what is asked for: its input, and the facts of it that any of them asks for. Made in one place, so that every
//! question is put with the same.

use std::collections::BTreeMap;

use cedar_policy::RestrictedExpression;

use crate::convert::{ArgumentFault, input};
use crate::declared::{Value, record};
use crate::facts::Target;
use crate::set::{ActView, Ask};

/// `context.input` and `context.facts`, as far as they are read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    pub(crate) input: Option<RestrictedExpression>,
    pub(crate) facts: Option<RestrictedExpression>,
    /// The facts once more, for people.
    pub(crate) values: BTreeMap<String, Value>,
}

impl Given {
    /// What stands for both while they are not known.
    pub(crate) fn unknown(act: &ActView) -> Self {
        let entity = |uid: &cedar_policy::EntityUid| RestrictedExpression::new_entity_uid(uid.clone());
        Self {
            input: act.arguments().map(|arguments| entity(&arguments.unknown)),
            facts: act.kind.facts.as_ref().map(|facts| entity(&facts.unknown)),
            values: BTreeMap::new(),
        }
    }
}

impl ActView {
    /// What the policies that reach the act read; else what is asked for is none of policy's business.
    pub(crate) fn given(&self, target: &Target<'_>) -> Result<Given, ArgumentFault> {
        self.given_to(&self.ask, target)
    }

    /// What the policies read that the question is put to. Facts are computed of arguments that are exactly what the tool declares.
    pub(crate) fn given_to(&self, ask: &Ask, target: &Target<'_>) -> Result<Given, ArgumentFault> {
        let Some(declared) = self.arguments() else { return Ok(Given::default()) };
        let facts = self.kind.facts.as_ref().filter(|_| ask.slice.reads.facts);
        if !ask.slice.reads.input && facts.is_none() {
            return Ok(Given::default());
        }
        let input = input(target, declared)?;
        let mut given = Given { input: ask.slice.reads.input.then_some(input), ..Given::default() };
        if let (Some(declared), Target::Tool { arguments, .. }) = (facts, target) {
            given.values =
                declared.facts.read(arguments, &ask.slice.facts).map_err(ArgumentFault::UnknownFacts)?;
            given.facts = record(given.values.iter().map(|(name, value)| (name.as_str(), value)));
        }
        Ok(given)
    }
}
