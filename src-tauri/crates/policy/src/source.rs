//! From policy files to single policies. Every policy needs an `@id` of its own; every fault has a file and a line.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::{Effect, ParseErrors, Policy as CedarPolicy, PolicyId, PolicySet, pst};
use miette::Diagnostic;
use model::ApprovalScope;

use crate::fault::{FaultKind, PolicyFault};
use crate::lint::Reads;
use crate::rule::{Manner, REASON_LIMIT, Rule, RuleId};

/// Reads every policy of every file, in the order of the files' names.
///
/// # Errors
/// Everything that is wrong in any of them.
pub(crate) fn read(files: &BTreeMap<String, String>) -> Result<Vec<Rule>, Vec<PolicyFault>> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut faults = Vec::new();
    for (file, text) in files {
        let source = Source { file: Arc::from(file.as_str()), text };
        match text.parse::<PolicySet>() {
            Err(errors) => faults.extend(source.syntax(&errors)),
            Ok(set) => source.take(&set, &mut rules, &mut faults),
        }
    }
    if faults.is_empty() { Ok(rules) } else { Err(faults) }
}

/// The line of a diagnostic in a file, counted from one; `otherwise` where it says none.
pub(crate) fn line_of(text: &str, diagnostic: &dyn Diagnostic, otherwise: u32) -> u32 {
    let offset = diagnostic.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
    offset.and_then(|offset| text.get(..offset)).map_or(otherwise, line_after)
}

/// What a diagnostic says, with its hint.
pub(crate) fn words_of(diagnostic: &dyn Diagnostic) -> String {
    let text = without_policy(&diagnostic.to_string());
    diagnostic
        .help()
        .map_or_else(|| text.clone(), |help| format!("{text} ({})", without_policy(&help.to_string())))
}

/// Cedar names the policy first; the fault that holds these words does so as well.
fn without_policy(text: &str) -> String {
    let rest = text.strip_prefix("for policy `").and_then(|rest| rest.split_once("`, "));
    rest.map_or(text, |(_, rest)| rest).to_owned()
}

/// One file.
struct Source<'a> {
    file: Arc<str>,
    text: &'a str,
}

impl Source<'_> {
    fn fault(&self, line: u32, policy: Option<&str>, kind: FaultKind) -> PolicyFault {
        PolicyFault { file: self.file.to_string(), line, policy: policy.map(str::to_owned), kind }
    }

    fn syntax(&self, errors: &ParseErrors) -> Vec<PolicyFault> {
        let fault =
            |error| self.fault(line_of(self.text, error, 1), None, FaultKind::Syntax(words_of(error)));
        errors.iter().map(|error| fault(error)).collect()
    }

    fn take(&self, set: &PolicySet, rules: &mut Vec<Rule>, faults: &mut Vec<PolicyFault>) {
        for (at, line) in statement_lines(self.text).into_iter().enumerate() {
            // Cedar numbers the policies of a text in their order.
            let number = PolicyId::new(format!("policy{at}"));
            let found = match set.policy(&number) {
                Some(policy) => self.rule(policy, line, rules),
                None => Err(self.fault(line, None, FaultKind::Template)),
            };
            match found {
                Ok(rule) => rules.push(rule),
                Err(fault) => faults.push(fault),
            }
        }
    }

    fn rule(&self, policy: &CedarPolicy, line: u32, before: &[Rule]) -> Result<Rule, PolicyFault> {
        let text = policy.annotation("id").ok_or_else(|| self.fault(line, None, FaultKind::NoId))?;
        let id: RuleId =
            text.parse().map_err(|_| self.fault(line, None, FaultKind::BadId(text.to_owned())))?;
        let fault = |kind| self.fault(line, Some(id.as_str()), kind);
        if let Some(first) = before.iter().find(|rule| rule.id == id) {
            return Err(fault(FaultKind::DuplicateId(first.file.to_string())));
        }
        let reason = policy.annotation("reason");
        if reason.is_some_and(|reason| {
            reason.chars().count() > REASON_LIMIT || reason.chars().any(char::is_control)
        }) {
            return Err(fault(FaultKind::BadReason));
        }
        let observed = match policy.annotation("observe") {
            None => false,
            Some(text) if !text.is_empty() => return Err(fault(FaultKind::BadObserve)),
            Some(_) if policy.effect() == Effect::Permit => return Err(fault(FaultKind::ObservedPermit)),
            Some(_) => true,
        };
        let approval = match policy.annotation("approval").map(scope) {
            None => None,
            Some(None) => return Err(fault(FaultKind::BadApproval)),
            Some(_) if policy.effect() == Effect::Permit => return Err(fault(FaultKind::ApprovedPermit)),
            Some(_) if observed => return Err(fault(FaultKind::ObservedApproval)),
            Some(most) => most,
        };
        let factor = match policy.annotation("factor") {
            None => false,
            Some("system") if approval.is_some() => true,
            Some(_) => return Err(fault(FaultKind::BadFactor)),
        };
        let named = policy.new_id(PolicyId::new(id.as_str()));
        let body = match named.to_pst() {
            Ok(pst::Policy::Static(body)) => body.body().clone(),
            Ok(pst::Policy::Linked(_)) => return Err(fault(FaultKind::Template)),
            Err(error) => return Err(fault(FaultKind::Syntax(error.to_string()))),
        };
        Ok(Rule {
            reason: reason.filter(|reason| !reason.is_empty()).map(str::to_owned),
            file: Arc::clone(&self.file),
            line,
            manner: Manner::of(observed, approval, factor),
            policy: named,
            reads: Reads::of(&body),
            facts: Reads::facts_of(&body),
            body,
            id,
        })
    }
}

/// The most that a person may allow.
fn scope(text: &str) -> Option<ApprovalScope> {
    match text {
        "" => Some(ApprovalScope::Once),
        text => [ApprovalScope::Once, ApprovalScope::Session, ApprovalScope::Always]
            .into_iter()
            .find(|scope| scope.as_str() == text),
    }
}

fn line_after(before: &str) -> u32 {
    u32::try_from(before.matches('\n').count()).map_or(u32::MAX, |lines| lines.saturating_add(1))
}

/// The lines at which the policies of a text begin. A policy ends at the first `;` outside texts and comments.
fn statement_lines(text: &str) -> Vec<u32> {
    let mut lines = Vec::new();
    let mut open = false;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '/' if text.get(at..).is_some_and(|rest| rest.starts_with("//")) => {
                while characters.next_if(|(_, c)| *c != '\n').is_some() {}
                continue;
            }
            '"' => {
                while let Some((_, inside)) = characters.next() {
                    match inside {
                        '\\' => drop(characters.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        if !open && !character.is_whitespace() {
            lines.push(line_after(text.get(..at).unwrap_or_default()));
            open = true;
        }
        if character == ';' {
            open = false;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids and lines, or the lines and faults.
    type Found = Result<Vec<(String, u32)>, Vec<(u32, FaultKind)>>;

    fn check(text: &str) -> Found {
        read(&BTreeMap::from([("a.cedar".to_owned(), text.to_owned())]))
            .map(|rules| rules.iter().map(|rule| (rule.id.to_string(), rule.line)).collect())
            .map_err(|faults| faults.into_iter().map(|fault| (fault.line, fault.kind)).collect())
    }

    #[test]
    fn policies_keep_their_lines() {
        let text = "// ; a comment\n@id(\"a;\\\"\") @reason(\"x\")\npermit (principal, action, resource);\n\n\n@id(\"b\") forbid (principal, action, resource) when { \"//;\" == \"\" }; @id(\"c\") permit (principal, action, resource);";
        assert_eq!(
            check(&text.replace("a;\\\"", "a")),
            Ok(vec![("a".into(), 2), ("b".into(), 6), ("c".into(), 6)])
        );
        assert_eq!(check(text), Err(vec![(2, FaultKind::BadId("a;\"".into()))]));
    }

    #[test]
    fn each_fault_has_its_line() {
        assert_eq!(check("\npermit (principal, action, resource);"), Err(vec![(2, FaultKind::NoId)]));
        assert_eq!(
            check("@id(\"a\") permit (principal == ?principal, action, resource);"),
            Err(vec![(1, FaultKind::Template)])
        );
        assert_eq!(
            check(
                "@id(\"a\") permit (principal, action, resource);\n@id(\"a\") permit (principal, action, resource);"
            ),
            Err(vec![(2, FaultKind::DuplicateId("a.cedar".into()))])
        );
        assert_eq!(
            check("@id(\"a\") @reason(\"two\\nlines\") permit (principal, action, resource);"),
            Err(vec![(1, FaultKind::BadReason)])
        );
        assert_eq!(
            check("@id(\"a\") @observe permit (principal, action, resource);"),
            Err(vec![(1, FaultKind::ObservedPermit)])
        );
        assert_eq!(
            check("@id(\"a\")\n@observe(\"until March\") forbid (principal, action, resource);"),
            Err(vec![(1, FaultKind::BadObserve)])
        );
        for (text, kind) in [
            ("@approval permit", FaultKind::ApprovedPermit),
            ("@approval(\"for ever\") forbid", FaultKind::BadApproval),
            ("@observe @approval(\"once\") forbid", FaultKind::ObservedApproval),
            ("@factor(\"system\") forbid", FaultKind::BadFactor),
            ("@approval @factor forbid", FaultKind::BadFactor),
            ("@approval @factor(\"sms\") forbid", FaultKind::BadFactor),
        ] {
            let found = check(&format!("@id(\"a\") {text} (principal, action, resource);"));
            assert_eq!(found, Err(vec![(1, kind)]), "{text}");
        }
        let faults =
            check("@id(\"a\")\npermit (principal, action, resource)\nwhen { 1 + };").expect_err("no Cedar");
        assert!(matches!(faults.as_slice(), [(3, FaultKind::Syntax(_))]), "{faults:?}");
    }

    #[test]
    fn an_empty_set_is_a_set() {
        assert_eq!(check("// nothing yet\n"), Ok(vec![]));
    }
}
