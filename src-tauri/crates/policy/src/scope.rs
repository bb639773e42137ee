//! Which questions a policy can be about at all, judged by its scope: the base of slicing. A policy that is left out of
//! a slice could not have applied; whatever is not certain stays in.

use cedar_policy::pst::{ActionConstraint, EntityOrSlot, EntityUID, ResourceConstraint, Template};

use crate::schema::CALL_TOOL;

/// The names of the actions that are not a tool's.
pub(crate) const SEE_SERVER: &str = "see_server";
pub(crate) const EXPOSE_CONNECTOR: &str = "expose_connector";
pub(crate) const READ_RESOURCE: &str = "read_resource";
pub(crate) const GET_PROMPT: &str = "get_prompt";
pub(crate) const USE_SHARED_CREDENTIAL: &str = "use_shared_credential";

/// A question without its user: an action, and a resource with everything that it lies in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Topic<'a> {
    /// The action's name.
    pub(crate) action: &'a str,
    /// The resource's type and id, then those of its ancestors. `None` as an id stands for any.
    pub(crate) resource: &'a [(&'a str, Option<&'a str>)],
}

impl Topic<'_> {
    /// Whether a policy with this scope can apply to the topic.
    pub(crate) fn is_reached_by(&self, policy: &Template) -> bool {
        self.action_matches(&policy.action) && self.resource_matches(&policy.resource)
    }

    fn action_matches(&self, constraint: &ActionConstraint) -> bool {
        match constraint {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(action) => self.is_action(action),
            ActionConstraint::In(actions) => actions
                .iter()
                .any(|action| self.is_action(action) || (self.is_tool() && action.eid == CALL_TOOL)),
        }
    }

    fn is_action(&self, action: &EntityUID) -> bool {
        action.eid == self.action
    }

    /// Whether it is `<connector>/<tool>`.
    fn is_tool(&self) -> bool {
        self.action.contains('/')
    }

    fn resource_matches(&self, constraint: &ResourceConstraint) -> bool {
        let kind_is = |kind: &str| self.resource.first().is_some_and(|(own, _)| *own == kind);
        match constraint {
            ResourceConstraint::Any => true,
            ResourceConstraint::Eq(entity) => is_one_of(entity, self.resource.get(..1).unwrap_or_default()),
            ResourceConstraint::In(entity) => is_one_of(entity, self.resource),
            ResourceConstraint::Is(kind) => kind_is(&kind.to_string()),
            ResourceConstraint::IsIn(kind, entity) => {
                kind_is(&kind.to_string()) && is_one_of(entity, self.resource)
            }
        }
    }
}

fn is_one_of(entity: &EntityOrSlot, candidates: &[(&str, Option<&str>)]) -> bool {
    match entity {
        EntityOrSlot::Slot(_) => true,
        EntityOrSlot::Entity(entity) => {
            let kind = entity.ty.to_string();
            candidates.iter().any(|(own, id)| *own == kind && id.is_none_or(|id| entity.eid == id))
        }
    }
}

#[cfg(test)]
mod tests {
    use cedar_policy::{Policy, pst};

    use super::*;

    fn check(scope: &str, action: &str, resource: &[(&str, Option<&str>)]) -> bool {
        let policy = Policy::parse(None, format!("permit ({scope});")).expect("a policy");
        let pst::Policy::Static(policy) = policy.to_pst().expect("a tree") else { panic!("a static policy") };
        Topic { action, resource }.is_reached_by(policy.body())
    }

    #[test]
    fn scopes_are_read_as_cedar_reads_them() {
        let tool = "files/read";
        let files = [("Connector", Some("files")), ("Server", Some("desk"))];
        for (scope, expected) in [
            ("principal, action, resource", true),
            (r#"principal, action == Action::"files/read", resource"#, true),
            (r#"principal, action == Action::"files/write", resource"#, false),
            (r#"principal, action in Action::"call_tool", resource"#, true),
            (r#"principal, action in [Action::"see_server", Action::"call_tool"], resource"#, true),
            (r#"principal, action == Action::"call_tool", resource"#, false),
            (r#"principal, action in Action::"see_server", resource"#, false),
            (r#"principal, action, resource == Connector::"files""#, true),
            (r#"principal, action, resource == Server::"desk""#, false),
            (r#"principal, action, resource in Server::"desk""#, true),
            (r#"principal, action, resource in Server::"other""#, false),
            ("principal, action, resource is Connector", true),
            ("principal, action, resource is Server", false),
            (r#"principal, action, resource is Connector in Server::"desk""#, true),
            (r#"principal, action, resource is Connector in Server::"other""#, false),
        ] {
            assert_eq!(check(scope, tool, &files), expected, "{scope}");
        }
        for action in [SEE_SERVER, EXPOSE_CONNECTOR, READ_RESOURCE, GET_PROMPT, USE_SHARED_CREDENTIAL] {
            assert!(!check(r#"principal, action in Action::"call_tool", resource"#, action, &files));
            assert!(check(&format!(r#"principal, action == Action::"{action}", resource"#), action, &files));
            assert!(check("principal, action, resource", action, &files));
        }
        assert!(check(
            r#"principal, action, resource in Server::"x""#,
            tool,
            &[("Connector", Some("files")), ("Server", None)]
        ));
    }
}
