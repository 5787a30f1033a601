//! `lint` nodes: what the plan says about the weight of rules.
//!
//! Does not know what the rules find.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Level, Severity};
use crate::plan::Lint;

/// Drops what is allowed, and gives the rest the weight that the plan wants. The last `lint` of a rule counts.
///
/// A rule that may not be lowered keeps its weight; that the plan tries is reported where names are resolved.
pub(super) fn apply(lints: &[Lint], diagnostics: &mut Vec<Diagnostic>) {
    let levels: BTreeMap<&str, Level> =
        lints.iter().map(|lint| (lint.rule.value.as_str(), lint.level)).collect();
    diagnostics.retain_mut(|diagnostic| {
        let wanted = match levels.get(diagnostic.rule.name) {
            None => return true,
            Some(Level::Allow) => None,
            Some(Level::Warn) => Some(Severity::Warning),
            Some(Level::Deny) => Some(Severity::Error),
        };
        // The heavier severity is the smaller one.
        let lowers = wanted.is_none_or(|wanted| wanted > diagnostic.rule.severity);
        if lowers && !diagnostic.rule.lowerable {
            return true;
        }
        diagnostic.severity = wanted.unwrap_or(diagnostic.severity);
        wanted.is_some()
    });
}
