//! A policy's conditions, taken apart at `&&`. A policy applies if its scope and every conjunct hold, in this order.

use std::sync::Arc;

use cedar_policy::pst::{BinaryOp, Clause, Expr, PstConstructionError, StaticPolicy, Template};
use cedar_policy::{Policy as CedarPolicy, pst};

use crate::lint::Reads;

/// The conjuncts, in order. An `unless` is one: it holds if its expression does not.
pub(crate) fn conjuncts(policy: &Template) -> Vec<Clause> {
    let mut found = Vec::new();
    for clause in policy.clauses() {
        match clause {
            Clause::When(expr) => split(expr, &mut found),
            Clause::Unless(_) => found.push(clause.clone()),
        }
    }
    found
}

fn split(expr: &Arc<Expr>, found: &mut Vec<Clause>) {
    if let Expr::BinaryOp { op: BinaryOp::And, left, right } = expr.as_ref() {
        split(left, found);
        split(right, found);
    } else {
        found.push(Clause::When(Arc::clone(expr)));
    }
}

/// The same policy with other conditions.
pub(crate) fn with_conditions(
    policy: &Template,
    clauses: Vec<Clause>,
) -> Result<CedarPolicy, PstConstructionError> {
    let template = Template::new(
        policy.id.clone(),
        policy.effect,
        policy.principal.clone(),
        policy.action.clone(),
        policy.resource.clone(),
    );
    assemble(template.try_with_clauses(clauses)?)
}

/// A permit with no scope and one condition: whether it permits tells whether the condition holds.
pub(crate) fn probe(policy: &Template, clause: Clause) -> Result<CedarPolicy, PstConstructionError> {
    let template = Template::new(
        policy.id.clone(),
        pst::Effect::Permit,
        pst::PrincipalConstraint::Any,
        pst::ActionConstraint::Any,
        pst::ResourceConstraint::Any,
    );
    assemble(template.try_with_clauses([clause])?)
}

/// A permit with the policy's scope and no condition.
pub(crate) fn scope_probe(policy: &Template) -> Result<CedarPolicy, PstConstructionError> {
    let mut open = policy.clone();
    open.effect = pst::Effect::Permit;
    with_conditions(&open, Vec::new())
}

/// The same policy with the conjuncts that do not read the arguments in front.
///
/// Partial evaluation must keep `unknown && false`, because the unknown might fail; where a failure refuses as much as
/// `false` does, the two may change places, and `false && unknown` is plainly false. For a permit that is so.
pub(crate) fn known_first(policy: &Template) -> Result<CedarPolicy, PstConstructionError> {
    let (unknown, known): (Vec<Clause>, Vec<Clause>) =
        conjuncts(policy).into_iter().partition(reads_arguments);
    with_conditions(policy, known.into_iter().chain(unknown).collect())
}

/// Whether a conjunct reads the arguments, or facts of them.
fn reads_arguments(clause: &Clause) -> bool {
    match clause {
        Clause::When(expr) | Clause::Unless(expr) => Reads::of_expr(expr).arguments(),
    }
}

fn assemble(template: Template) -> Result<CedarPolicy, PstConstructionError> {
    CedarPolicy::from_pst(pst::Policy::Static(StaticPolicy::try_from(template)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Template {
        let policy = CedarPolicy::parse(None, text).expect("a policy");
        let pst::Policy::Static(policy) = policy.to_pst().expect("a tree") else { panic!("a static policy") };
        policy.body().clone()
    }

    #[test]
    fn conditions_are_split_at_and_only() {
        let policy = tree(
            "permit (principal, action, resource) when { 1 > 0 && (2 == 2 || 3 == 3) && true } unless { 1 == 2 && 2 == 3 } when { 4 == 4 };",
        );
        let texts: Vec<String> = conjuncts(&policy).iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "when { 1 > 0 }",
                "when { (2 == 2) || (3 == 3) }",
                "when { true }",
                "unless { (1 == 2) && (2 == 3) }",
                "when { 4 == 4 }"
            ]
        );
    }

    #[test]
    fn what_is_known_comes_first_in_its_own_order() {
        let policy = tree(
            "permit (principal, action, resource) when { context.input has a && context.input.a <= 1 && principal has email && principal.email like \"*\" };",
        );
        let reordered = known_first(&policy).expect("a policy").to_cedar().expect("text");
        let at = |needle: &str| reordered.find(needle).unwrap_or_else(|| panic!("{needle} in {reordered}"));
        assert!(at("principal has") < at("like"), "{reordered}");
        assert!(at("like") < at("has a"), "{reordered}");
        assert!(at("has a") < at("<= 1"), "{reordered}");
    }
}
