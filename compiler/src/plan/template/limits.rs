//! What an expansion is refused for: an id that is taken, too many units, too much text.
//!
//! Does not know what the units are.

use super::expand::{Expander, PLAN, ScopeIx, moved_span};
use super::{LONGEST_PREFIX, MOST_NODES, MOST_TEXT, MOST_UNITS, Template, define};
use crate::diagnostic::Diagnostic;
use crate::plan::read::Node;

impl Expander<'_> {
    /// Reports an id of the plan that two have, if one of them is a use. A use that comes second makes nothing.
    pub(super) fn is_taken(&mut self, id: &str, node: Node) -> bool {
        let span = node.property("as").map_or(node.name_span(), |entry| entry.value_span);
        match self.taken.get(id) {
            None => {
                self.taken.insert(id.to_owned(), (span, true));
                false
            }
            Some((first, of_a_use)) => {
                let of_a_use = *of_a_use;
                let (first, second) = if *first <= span { (*first, span) } else { (span, *first) };
                self.diagnostics.push(define::id_taken(id, first, second));
                of_a_use
            }
        }
    }

    /// Is there room for what the template makes? If not, that is reported, once.
    pub(super) fn has_room(&mut self, scope: ScopeIx, template: &Template, node: Node, prefix: &str) -> bool {
        if prefix.len() > LONGEST_PREFIX {
            let span = moved_span(node.head(), &self.scopes[scope], scope);
            self.diagnostics.push(
                Diagnostic::new("invalid-id", span, "the ids that this makes would be too long")
                    .at(format!("{} letters stand before each of them", prefix.len() + 1))
                    .help(format!("the ids of nested uses may have {LONGEST_PREFIX} letters together")),
            );
            return false;
        }
        // What a template makes includes what the uses in it make, so only the plan's own count.
        if scope != PLAN {
            return true;
        }
        self.units = self.units.saturating_add(template.units);
        self.made = self.made.saturating_add(template.nodes);
        if self.units <= MOST_UNITS && self.made <= MOST_NODES {
            return true;
        }
        self.full = true;
        let makes = match template.units {
            u64::MAX => "endlessly many units".to_owned(),
            1 => "1 unit".to_owned(),
            units => format!("{units} units"),
        };
        let id = &template.id.value;
        let mut found = Diagnostic::new(
            "expansion-too-large",
            node.head(),
            format!(
                "with this, templates make more than the {MOST_UNITS} units that a plan may have of them"
            ),
        );
        if self.units <= MOST_UNITS {
            found.message = format!("with this, templates make more than {MOST_NODES} nodes");
        }
        self.diagnostics.push(
            found
                .at(format!("`{id}` makes {makes}"))
                .label(template.id.span, "the template")
                .help("split the feature, or use templates within templates less often"),
        );
        false
    }

    pub(super) fn overflow(&mut self, scope: ScopeIx) {
        if std::mem::replace(&mut self.full, true) {
            return;
        }
        // The outermost use is the one that its author can change.
        let mut span = None;
        let mut id = self.scopes[scope].id;
        while let Some(expansion) = self.map.expansion(id) {
            span = Some(expansion.at);
            id = expansion.at.file;
        }
        let Some(span) = span else { return };
        self.diagnostics.push(
            Diagnostic::new(
                "expansion-too-large",
                span,
                format!("templates make more than {} MiB of text", MOST_TEXT >> 20),
            )
            .at("while this is expanded")
            .help("give shorter values, or pass them on less often"),
        );
    }
}
