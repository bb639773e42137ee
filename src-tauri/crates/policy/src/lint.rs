//! What Cedar's validator lets pass although it can only be a slip: `has` with a misspelt name (always false, so a
//! forbid with it never forbids), comparison with a text that the member never is, servers and credentials that do not
//! exist. Along the way it notes which members of `context` a policy reads, so that nothing else is ever built.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, PatternElem, Template, Var};
use model::{ConnectorId, ServerId};
use org_protocol::{ClaimTypes, ConnectorSpec, ServerSpec};

use crate::fault::FaultKind;
use crate::rule::Rule;
use crate::schema::ActType;
use crate::shape::{Members, Shape};

/// The facts that a policy reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reads {
    pub(crate) server: bool,
    pub(crate) now: bool,
    pub(crate) client: bool,
    pub(crate) device: bool,
    /// Where the device is in the network.
    pub(crate) network: bool,
    pub(crate) input: bool,
    /// Facts of the arguments.
    pub(crate) facts: bool,
    /// What is known of the user beside who it is and in which groups.
    pub(crate) claims: bool,
}

impl Reads {
    /// What a policy reads.
    pub(crate) fn of(policy: &Template) -> Self {
        let mut visit = Visit::of_reads();
        visit.policy(policy);
        visit.reads
    }

    /// Everything beside the arguments.
    pub(crate) fn all() -> Self {
        Self {
            server: true,
            now: true,
            client: true,
            device: true,
            network: true,
            input: false,
            facts: false,
            claims: true,
        }
    }

    /// Whether nothing is read but who asks and for what: then the answer is always the same.
    pub(crate) fn is_steady(self) -> bool {
        self.is_steady_but_for_input() && !self.arguments()
    }

    /// Whether it depends on the arguments.
    pub(crate) fn arguments(self) -> bool {
        self.input || self.facts
    }

    /// The same, as long as the arguments are not known.
    pub(crate) fn is_steady_but_for_input(self) -> bool {
        !(self.now || self.client || self.device || self.network)
    }

    /// What one expression reads.
    pub(crate) fn of_expr(expr: &Expr) -> Self {
        let mut visit = Visit::of_reads();
        visit.expr(expr);
        visit.reads
    }

    /// The names of the facts that a policy reads.
    pub(crate) fn facts_of(policy: &Template) -> BTreeSet<String> {
        let mut visit = Visit::of_reads();
        visit.policy(policy);
        visit.facts
    }

    /// What two policies read between them.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            server: self.server || other.server,
            now: self.now || other.now,
            client: self.client || other.client,
            device: self.device || other.device,
            network: self.network || other.network,
            input: self.input || other.input,
            facts: self.facts || other.facts,
            claims: self.claims || other.claims,
        }
    }
}

/// The ids that policies may name.
pub(crate) struct Known {
    servers: BTreeSet<String>,
    connectors: BTreeSet<String>,
    credentials: BTreeSet<String>,
}

impl Known {
    pub(crate) fn of(
        connectors: &BTreeMap<ConnectorId, ConnectorSpec>,
        servers: &BTreeMap<ServerId, ServerSpec>,
    ) -> Self {
        let credentials = connectors.values().flat_map(|spec| spec.credential.shared());
        Self {
            servers: servers.keys().map(ToString::to_string).collect(),
            credentials: credentials.map(ToString::to_string).collect(),
            connectors: connectors.keys().map(ToString::to_string).collect(),
        }
    }

    /// Whether every entity that a policy names can exist. Users and groups are the identity provider's: any may.
    pub(crate) fn check(&self, rule: &Rule) -> Vec<FaultKind> {
        let mut faults = Vec::new();
        for named in rule.policy.entity_literals() {
            let (kind, id) = (named.type_name().to_string(), named.id().unescaped());
            let known = match kind.as_str() {
                "Action" | "Group" | "User" => continue,
                "Server" => &self.servers,
                "Connector" => &self.connectors,
                "Credential" => &self.credentials,
                _ => {
                    faults.push(FaultKind::ForeignType(kind));
                    continue;
                }
            };
            if !known.contains(id) {
                faults.push(FaultKind::UnknownEntity { id: id.to_owned(), kind });
            }
        }
        faults
    }
}

/// The slips in a policy's conditions. `tools` are those that it can be about, `claims` what else users have.
pub(crate) fn slips(policy: &Template, tools: &[&ActType], claims: &ClaimTypes) -> Vec<FaultKind> {
    let mut visit = Visit { tools, claims: Some(claims), ..Visit::of_reads() };
    visit.policy(policy);
    visit.faults
}

struct Visit<'a> {
    tools: &'a [&'a ActType],
    /// The claims that users have; where only reads are looked for, it does not matter.
    claims: Option<&'a ClaimTypes>,
    reads: Reads,
    /// The names of facts.
    facts: BTreeSet<String>,
    faults: Vec<FaultKind>,
}

/// A variable and the members that lead to a value: `context.input.filter`.
struct Path<'a> {
    variable: &'a Var,
    members: Vec<&'a str>,
}

impl<'a> Path<'a> {
    fn of(expr: &'a Expr) -> Option<Self> {
        if let Expr::Var(variable) = expr {
            return Some(Self { variable, members: Vec::new() });
        }
        let Expr::GetAttr { expr, attr } = expr else { return None };
        let mut path = Self::of(expr)?;
        path.members.push(attr);
        Some(path)
    }

    fn text(&self) -> String {
        let variable = match self.variable {
            Var::Principal => "principal",
            Var::Action => "action",
            Var::Resource => "resource",
            Var::Context => "context",
        };
        std::iter::once(variable).chain(self.members.iter().copied()).collect::<Vec<_>>().join(".")
    }

    /// The member of `context` through which the path leads, and those below.
    fn in_context(&self) -> Option<(&'a str, &[&'a str])> {
        match (self.variable, self.members.split_first()) {
            (Var::Context, Some((first, rest))) => Some((*first, rest)),
            (Var::Context | Var::Principal | Var::Action | Var::Resource, _) => None,
        }
    }
}

impl Visit<'_> {
    fn of_reads() -> Self {
        Self { tools: &[], claims: None, reads: Reads::default(), facts: BTreeSet::new(), faults: Vec::new() }
    }

    fn policy(&mut self, policy: &Template) {
        for clause in policy.clauses() {
            match clause {
                Clause::When(expr) | Clause::Unless(expr) => self.expr(expr),
            }
        }
    }

    fn expr(&mut self, expr: &Expr) {
        if let Some(path) = Path::of(expr) {
            self.note(&path);
            if *path.variable == Var::Context && matches!(path.members.as_slice(), [] | ["input" | "facts"]) {
                self.faults.push(FaultKind::WholeContext);
            }
            return;
        }
        if let Expr::HasAttr { expr, attrs } = expr
            && let Some(mut path) = Path::of(expr)
        {
            path.members.extend(attrs.iter().map(AsRef::<str>::as_ref));
            self.note(&path);
            if !self.exists(&path) {
                self.faults.push(FaultKind::UnknownMember(path.text()));
            }
            return;
        }
        self.operator(expr);
        for child in children(expr) {
            self.expr(child);
        }
    }

    fn note(&mut self, path: &Path<'_>) {
        if *path.variable == Var::Principal {
            self.reads.claims |= !path.members.is_empty();
        }
        if *path.variable != Var::Context {
            return;
        }
        match path.members.first().copied() {
            Some("server") => self.reads.server = true,
            Some("now") => self.reads.now = true,
            Some("client") => self.reads.client = true,
            Some("network") => self.reads.network = true,
            Some("device") => self.reads.device = true,
            Some("input") => self.reads.input = true,
            Some("facts") => {
                self.reads.facts = true;
                self.facts.extend(path.members.get(1).map(|name| (*name).to_owned()));
            }
            // The validator refuses other members, and the whole is refused above.
            Some(_) | None => {}
        }
    }

    fn exists(&self, path: &Path<'_>) -> bool {
        match path.variable {
            Var::Principal => match path.members.as_slice() {
                ["issuer" | "subject" | "email" | "name"] => true,
                [name] => self.claims.is_some_and(|claims| claims.contains_key(*name)),
                _ => false,
            },
            Var::Action | Var::Resource => false,
            Var::Context => match path.members.as_slice() {
                ["server" | "now" | "client" | "device" | "network"]
                | ["client", "id" | "name" | "program"]
                | ["client", "program", "name" | "path"]
                | ["network", "address"] => true,
                [part @ ("input" | "facts")] => self.members_of(part).next().is_some(),
                [part, rest @ ..] => self.members_of(part).any(|members| shape_at(members, rest).is_some()),
                [] => false,
            },
        }
    }

    /// What the tools' `context.input` or `context.facts` have.
    fn members_of(&self, part: &str) -> impl Iterator<Item = &Members> {
        self.tools.iter().filter_map(move |tool| match part {
            "input" => tool.arguments.as_ref().ok().map(|arguments| &arguments.members),
            "facts" => tool.facts.as_ref().map(|facts| &facts.members),
            _ => None,
        })
    }

    /// Looks at what an operator says of its operands. A fixed text or pattern that a member with fixed texts never is
    /// gets reported.
    fn operator(&mut self, expr: &Expr) {
        if let Expr::Like { expr, pattern } = expr {
            self.like(expr, pattern);
        }
        let Expr::BinaryOp { op, left, right } = expr else { return };
        match op {
            BinaryOp::Eq | BinaryOp::NotEq => {
                self.compare(left, text_of(right));
                self.compare(right, text_of(left));
            }
            BinaryOp::Contains => {
                self.compare(left, text_of(right));
                for value in texts_of(left) {
                    self.compare(right, Some(value));
                }
            }
            BinaryOp::ContainsAll | BinaryOp::ContainsAny => {
                for value in texts_of(right) {
                    self.compare(left, Some(value));
                }
            }
            BinaryOp::HasTag | BinaryOp::GetTag => self.reads.claims = true,
            BinaryOp::Less
            | BinaryOp::LessEq
            | BinaryOp::Greater
            | BinaryOp::GreaterEq
            | BinaryOp::And
            | BinaryOp::Or
            | BinaryOp::Add
            | BinaryOp::Sub
            | BinaryOp::Mul
            | BinaryOp::In
            | BinaryOp::IsInRange
            | BinaryOp::Offset
            | BinaryOp::DurationSince
            | BinaryOp::DecimalLessThan
            | BinaryOp::DecimalLessEq
            | BinaryOp::DecimalGreater
            | BinaryOp::DecimalGreaterEq
            | _ => {}
        }
    }

    fn compare(&mut self, member: &Expr, value: Option<&str>) {
        if let Some(value) = value {
            self.never(member, value, &|choice| choice == value);
        }
    }

    fn like(&mut self, member: &Expr, pattern: &[PatternElem]) {
        let text: String = pattern
            .iter()
            .map(|elem| match elem {
                PatternElem::Char(c) => *c,
                PatternElem::Wildcard => '*',
            })
            .collect();
        self.never(member, &text, &|choice| matches(pattern, &choice.chars().collect::<Vec<_>>()));
    }

    fn never(&mut self, member: &Expr, value: &str, fits: &dyn Fn(&str) -> bool) {
        let Some(path) = Path::of(member) else { return };
        let Some((part, rest)) = path.in_context() else { return };
        let shapes = self.members_of(part).filter_map(|members| shape_at(members, rest));
        let found: Vec<_> = shapes.map(choices_of).collect();
        let possible = found
            .iter()
            .any(|choices| choices.is_none_or(|choices| choices.iter().any(|choice| fits(choice))));
        if !possible && !found.is_empty() {
            self.faults.push(FaultKind::UnknownValue { member: path.text(), value: value.to_owned() });
        }
    }
}

/// The fixed texts of a member or of a list's items; none where any text may stand.
fn choices_of(shape: &Shape) -> Option<&BTreeSet<String>> {
    match shape {
        Shape::Choice(texts) => Some(texts),
        Shape::List(item) => choices_of(item),
        Shape::Bool | Shape::Long | Shape::Decimal | Shape::Text | Shape::Record(_) | Shape::Unread => None,
    }
}

fn shape_at<'a>(members: &'a Members, path: &[&str]) -> Option<&'a Shape> {
    let (name, rest) = path.split_first()?;
    let shape = &members.get(*name)?.shape;
    match (shape, rest) {
        (_, []) => Some(shape),
        (Shape::Record(members), rest) => shape_at(members, rest),
        (_, _) => None,
    }
}

fn text_of(expr: &Expr) -> Option<&str> {
    if let Expr::Literal(Literal::String(text)) = expr { Some(text) } else { None }
}

fn texts_of(expr: &Expr) -> Vec<&str> {
    let Expr::Set(items) = expr else { return Vec::new() };
    items.iter().filter_map(|item| text_of(item)).collect()
}

/// Whether a `like` pattern matches, without ever going back further than the last wildcard.
fn matches(pattern: &[PatternElem], text: &[char]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut wildcard = None;
    while let Some(found) = text.get(read) {
        match pattern.get(at) {
            Some(PatternElem::Char(wanted)) if wanted == found => (at, read) = (at + 1, read + 1),
            Some(PatternElem::Wildcard) => {
                wildcard = Some((at, read));
                at += 1;
            }
            Some(PatternElem::Char(_)) | None => {
                let Some((star, from)) = wildcard else { return false };
                wildcard = Some((star, from + 1));
                (at, read) = (star + 1, from + 1);
            }
        }
    }
    pattern.iter().skip(at).all(|elem| *elem == PatternElem::Wildcard)
}

/// The expressions right below one.
fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Literal(_) | Expr::Var(_) | Expr::Slot(_) | Expr::Unknown { .. } | Expr::ResidualError => {
            Vec::new()
        }
        Expr::UnaryOp { expr, .. }
        | Expr::GetAttr { expr, .. }
        | Expr::HasAttr { expr, .. }
        | Expr::Like { expr, .. } => vec![expr],
        Expr::BinaryOp { left, right, .. } => vec![left, right],
        Expr::Is { expr, in_expr, .. } => std::iter::once(expr).chain(in_expr).map(AsRef::as_ref).collect(),
        Expr::IfThenElse { cond, then_expr, else_expr } => vec![cond, then_expr, else_expr],
        Expr::Set(items) => items.iter().map(AsRef::as_ref).collect(),
        Expr::Record(members) => members.values().map(AsRef::as_ref).collect(),
        // Cedar may grow expressions; it is pinned to the one release that this list is complete for.
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_cedar() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcb", false),
            ("*ab*b", "aabab", true),
            ("*ab*b", "aaba", false),
            ("a", "ab", false),
            ("*a*a*a*a*a*a*a*a*b", &"a".repeat(5_000), false),
        ] {
            let elems: Vec<PatternElem> = pattern
                .chars()
                .map(|c| if c == '*' { PatternElem::Wildcard } else { PatternElem::Char(c) })
                .collect();
            assert_eq!(
                matches(&elems, &text.chars().collect::<Vec<_>>()),
                expected,
                "{pattern} {}",
                text.len()
            );
        }
    }
}
