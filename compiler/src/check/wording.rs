//! What a plan's own words give away: a reason to stop that only an opinion can judge, work for a person that an
//! agent is asked to do, a name in an older spelling.
//!
//! Does not know what the words mean: it looks for turns of phrase that are hardly ever meant otherwise, in English.
//! A phrase that is often innocent is not in the lists.

use std::collections::BTreeSet;

use super::Context;
use crate::diagnostic::{Applicability, Diagnostic};
use crate::plan::{By, Role, Unit};
use crate::source::Span;

pub(super) fn check(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    old_names(context, diagnostics);
    let plan = context.plan;
    // What stands in `defaults` is in many units, and one mistake.
    let mut seen: BTreeSet<Span> = BTreeSet::new();
    let watched = watched(context);
    for (at, unit) in plan.units.iter().enumerate().filter(|(_, unit)| unit.role == Role::Work) {
        for stop in unit.stops.iter().filter(|stop| stop.predicates.is_empty()) {
            if let Some(phrase) = subjective(&stop.text).filter(|_| seen.insert(stop.span)) {
                diagnostics.push(subjective_stop(stop.span, &stop.text, phrase));
            }
        }
        let by_person =
            unit.accept.iter().flat_map(|criterion| &criterion.by).any(|by| matches!(by, By::Manual(_)));
        if by_person || watched[at] {
            continue;
        }
        for (text, span) in asked(unit) {
            if let Some(phrase) = for_a_person(text).filter(|_| seen.insert(span)) {
                diagnostics.push(manual_unflagged(unit, span, phrase));
            }
        }
    }
}

fn old_names(context: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) {
    for old in &context.plan.old_names {
        let (written, now) = (&old.written, &old.now);
        let message = format!("`{}` is an older way to write the {} `{now}`", written.value, old.what);
        diagnostics.push(
            Diagnostic::new("deprecated-name", written.span, message).at("still works").replace(
                written.span,
                now,
                format!("write `{now}`"),
                Applicability::Safe,
            ),
        );
    }
}

fn subjective_stop(span: Span, text: &str, phrase: &str) -> Diagnostic {
    Diagnostic::new("subjective-stop", span, format!("whether \"{text}\" holds is a matter of opinion"))
        .at(format!("nobody can measure \"{phrase}\""))
        .help("say what can be seen: which file, which text in it, which command's exit, how many")
        .help("or give it predicates, which the executor judges: `stop \"...\" { exists \"path\"; }`")
}

fn manual_unflagged(unit: &Unit, span: Span, phrase: String) -> Diagnostic {
    let id = &unit.id.value;
    let message = format!("`{id}` asks an agent for what only a person can do: \"{phrase}\"");
    Diagnostic::new("manual-unflagged", span, message)
        .at("the run would not wait for anybody")
        .help(format!(
            "make it a planned pause: `manual look {{ needs {id}; step \"...\"; }}`",
            id = super::edit::name(id)
        ))
        .help("or say how a program can tell, and let a verifier check it")
}

/// For each unit: does a manual come directly after it?
fn watched(context: &Context<'_>) -> Vec<bool> {
    let mut watched = vec![false; context.plan.units.len()];
    for unit in context.plan.units.iter().filter(|unit| unit.role != Role::Work) {
        for before in unit.needs.iter().chain(&unit.after) {
            watched[before.value.0 as usize] = true;
        }
    }
    watched
}

/// What the plan itself asks of the agent. Criteria are left out: one that only a person can judge has nothing that
/// checks it, which is reported, or a manual. So are constraints, which say what not to do.
fn asked(unit: &Unit) -> impl Iterator<Item = (&str, Span)> {
    let goal = unit.goal.iter().map(|goal| (goal.value.as_str(), goal.span));
    let steps = unit.steps.iter().map(|step| (step.value.as_str(), step.span));
    let inline = unit.prompt.iter().filter(|part| part.file.is_none());
    goal.chain(steps).chain(inline.map(|part| (part.text.as_str(), part.span)))
}

/// Turns of phrase that leave it to the reader's mood.
const OPINIONS: &[&str] = &[
    "looks wrong",
    "look wrong",
    "seems wrong",
    "feels wrong",
    "seems off",
    "looks off",
    "feels off",
    "looks odd",
    "looks strange",
    "looks suspicious",
    "too complex",
    "too complicated",
    "too hard",
    "too difficult",
    "too messy",
    "too risky",
    "gets complicated",
    "gets messy",
    "not reasonable",
    "unreasonable",
    "reasonable amount",
    "reasonable effort",
    "if needed",
    "if necessary",
    "as needed",
    "when appropriate",
    "if appropriate",
    "something unexpected",
    "anything unexpected",
    "unexpected happens",
    "unexpected problem",
    "unexpected issue",
    "cannot be explained",
    "can't be explained",
    "hard to explain",
    "you are not sure",
    "you are unsure",
    "you're not sure",
    "not confident",
    "in doubt",
    "does not make sense",
    "doesn't make sense",
    "makes no sense",
    "not good enough",
    "too many problems",
    "too much work",
    "takes too long",
];

fn subjective(text: &str) -> Option<&'static str> {
    let text = text.to_lowercase();
    let whole = |at: usize, phrase: &str| {
        let letter = |c: char| c.is_alphanumeric();
        !text[..at].ends_with(letter) && !text[at + phrase.len()..].starts_with(letter)
    };
    OPINIONS.iter().copied().find(|phrase| text.match_indices(phrase).any(|(at, _)| whole(at, phrase)))
}

const LOOKING: &[&str] = &[
    "check", "checks", "confirm", "confirms", "inspect", "inspects", "verify", "verifies", "review",
    "reviews", "compare", "compares", "test", "tests", "try", "look", "looks", "view", "open", "visit",
    "ensure", "validate", "see",
];
/// People whom a plan's author can ask and who are hardly ever users of the software that is built.
const PEOPLE: &[&str] = &[
    "maintainer",
    "maintainers",
    "designer",
    "designers",
    "stakeholder",
    "stakeholders",
    "architect",
    "lead",
    "team",
    "colleague",
    "colleagues",
    "human",
    "person",
    "legal",
    "pm",
];
const ARTICLES: &[&str] =
    &["the", "a", "an", "our", "your", "one", "of", "tech", "product", "security", "design", "project"];
const NEGATIONS: &[&str] = &[
    "not", "no", "never", "without", "avoid", "instead", "don't", "don’t", "doesn't", "nobody", "rather",
    "cannot",
];
/// Programs that look where a person would.
const DRIVERS: &[&str] = &[
    "playwright",
    "selenium",
    "cypress",
    "puppeteer",
    "webdriver",
    "headless",
    "jsdom",
    "automated",
    "automatically",
];

/// The words of a sentence that only a person can follow.
fn for_a_person(text: &str) -> Option<String> {
    if text.is_ascii() && !has_telling_word(text) {
        return None;
    }
    let ends = |c: char| matches!(c, '.' | ';' | '!' | '?' | '\n' | ':' | '(' | ')');
    text.split(ends).find_map(|sentence| {
        // Each word without the punctuation around it, in small letters.
        let words: Vec<String> = sentence
            .split_whitespace()
            .map(|word| {
                let bare = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '@');
                bare.to_lowercase()
            })
            .filter(|word| !word.is_empty())
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (from, to) = personal(&words)?;
        let negated = words[..from].iter().any(|word| NEGATIONS.contains(word));
        let driven = words.iter().any(|word| DRIVERS.contains(word));
        (!negated && !driven).then(|| words[from..to].join(" "))
    })
}

/// The beginnings of words of which one is in each sentence that tells: most texts have none, and need no closer look.
const TELLING: &[&str] = &[
    "agree",
    "approval",
    "ask",
    "browser",
    "check",
    "confirm",
    "consult",
    "coordinate",
    "deployed",
    "eye",
    "manually",
    "sign",
    "visually",
];

/// Does a word of an ASCII text begin with one of [`TELLING`], in whatever case?
fn has_telling_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().any(|(at, byte)| {
        matches!(byte | 0x20, b'a'..=b'e' | b'm' | b's' | b'v')
            && (at == 0 || !bytes[at - 1].is_ascii_alphanumeric())
            && TELLING.iter().any(|word| {
                let here = bytes[at..].get(..word.len());
                here.is_some_and(|here| here.eq_ignore_ascii_case(word.as_bytes()))
            })
    })
}

/// Where in a sentence the telling words begin and end.
fn personal(words: &[&str]) -> Option<(usize, usize)> {
    for (at, word) in words.iter().enumerate() {
        let looking_before = |reach: usize| {
            let from = at.saturating_sub(reach);
            words[from..at].iter().position(|word| LOOKING.contains(word)).map(|found| from + found)
        };
        match *word {
            "visually" | "manually" | "eyeball" => {
                if *word == "eyeball" {
                    return Some((at, at + 1));
                }
                // "is visually hidden" says how something is, not how it is looked at.
                let link = |next: &&str| {
                    ["with", "and", "against", "in", "on", "that", "for", "before"].contains(next)
                };
                if let Some(from) = looking_before(4).filter(|_| words.get(at + 1).is_none_or(link)) {
                    return Some((from, at + 1));
                }
                if words.get(at + 1).is_some_and(|next| LOOKING.contains(next)) {
                    return Some((at, at + 2));
                }
            }
            "eye" if at > 0 && words[at - 1] == "by" => {
                if let Some(from) = looking_before(8) {
                    return Some((from, at + 1));
                }
            }
            "browser" => {
                let place = words[at.saturating_sub(3)..at].contains(&"in");
                if let Some(from) = looking_before(8).filter(|_| place) {
                    return Some((from, at + 1));
                }
            }
            "url" | "site" | "page" | "app" | "instance" if at > 0 && words[at - 1] == "deployed" => {
                if let Some(from) = looking_before(6) {
                    return Some((from, at + 1));
                }
            }
            "ask" => {
                if let Some(to) = person(words, at + 1) {
                    return Some((at, to));
                }
            }
            "with"
                if at > 0
                    && ["check", "confirm", "agree", "coordinate", "consult"].contains(&words[at - 1]) =>
            {
                if let Some(to) = person(words, at + 1) {
                    return Some((at - 1, to));
                }
            }
            "approval" | "sign-off" | "signoff" => {
                if words.get(at + 1).is_some_and(|next| ["from", "by", "of"].contains(next))
                    && let Some(to) = person(words, at + 2)
                {
                    return Some((at, to));
                }
            }
            _ => {}
        }
    }
    None
}

/// Is somebody named from here on? Then where their name ends.
fn person(words: &[&str], from: usize) -> Option<usize> {
    let skipped = words[from.min(words.len())..].iter().take_while(|word| ARTICLES.contains(word)).count();
    let at = from + skipped;
    let word = words.get(at)?;
    let named = word.starts_with('@') && word.len() > 1;
    (named || PEOPLE.contains(word)).then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{project, told};

    #[test]
    fn opinions_are_told_from_observations() {
        for text in [
            "the diff looks wrong",
            "The migration is too complex.",
            "anything unexpected comes up",
            "a failure cannot be explained",
            "you are not sure",
            "more files are needed, if necessary",
        ] {
            assert!(subjective(text).is_some(), "{text}");
        }
        for text in [
            "the framework has no router",
            "the table has irregular row widths, or prose inside",
            "the endpoint's contract is ambiguous",
            "a doc change implies a code change",
            "the query plan depends on the Postgres version",
            "an error says `unexpected token`",
            "the overlooks wrongly named file is there",
            "more than 20 files would change",
            "the feature's goal should change",
            "there is no router module yet",
            "the test takes 10 minutes",
        ] {
            assert_eq!(subjective(text), None, "{text}");
        }
    }

    #[test]
    fn work_for_a_person_is_told_from_work_about_persons() {
        for (text, words) in [
            ("Check it visually.", "check it visually"),
            ("Compare visually with the design.", "compare visually"),
            ("Then visually inspect the chart", "visually inspect"),
            ("Open the page in the browser and see that it loads.", "open the page in the browser"),
            ("Test it manually", "test it manually"),
            ("Manually verify the export.", "manually verify"),
            ("Ask the maintainer which name to take.", "ask the maintainer"),
            ("Do it, then ask @mia.", "ask @mia"),
            ("Confirm with the product team.", "confirm with the product team"),
            ("Check the deployed URL answers.", "check the deployed url"),
            ("Get sign-off from the tech lead.", "sign-off from the tech lead"),
            ("Judge the colours by eye: compare them by eye.", "compare them by eye"),
            ("Eyeball the output.", "eyeball"),
        ] {
            assert_eq!(for_a_person(text).as_deref(), Some(words), "{text}");
        }
        for text in [
            "The CLI asks the user before it deletes anything.",
            "Ask the user for a name, with a default.",
            "Do not ask the maintainer; decide.",
            "Never check it manually.",
            "The menu opens in the browser.",
            "Downloads work in the browser.",
            "Test in the browser with Playwright.",
            "The label is visually hidden and read aloud.",
            "Check the label is visually hidden.",
            "Approval by two reviewers is stored with the order.",
            "Confirm with `cargo test`.",
            "Check with clippy.",
            "Remove manually written caches.",
            "A team has members; ask for their names.",
            "The wizard lets teams sign off.",
            "Write the code by hand.",
            "A person has a name and an address.",
            "Serve the deployed page from the cache.",
        ] {
            assert_eq!(for_a_person(text), None, "{text}");
        }
    }

    fn with(lines: &str) -> Vec<String> {
        let plan = format!("feature f {{\n{lines}\n}}\n");
        told(&[("loop.kdl", &project("")), ("p.loop.kdl", &plan)])
    }

    #[test]
    fn a_stop_with_predicates_and_a_unit_that_a_person_looks_at_are_fine() {
        let unit = |more: &str| {
            format!("unit u {{ goal \"Check the page visually.\"; writes \"a\"; verify test; {more} }}")
        };
        assert_eq!(
            with(&unit("")),
            ["p.loop.kdl:2:15: warning[L0509/manual-unflagged]: `u` asks an agent for what only a person can do: \"visually\""
                .replace("\"visually\"", "\"check the page visually\"")]
        );
        assert_eq!(
            with(&format!("{}\nmanual look {{ needs u; step \"Look.\"; }}", unit(""))),
            [] as [&str; 0]
        );
        assert_eq!(
            with(&format!("{}\nmanual look {{ after u; step \"Look.\"; }}", unit(""))),
            [] as [&str; 0]
        );
        let by =
            format!("{}\nmanual look {{ step \"Check it visually.\"; }}", unit("accept \"fine\" by=look"));
        assert_eq!(with(&by), [] as [&str; 0]);
        let stop = |more: &str| {
            with(&format!(
                "unit u {{ goal \"g\"; writes \"a\"; verify test; stop \"it looks wrong\" {more}; }}"
            ))
        };
        assert_eq!(
            stop(""),
            [
                "p.loop.kdl:2:45: warning[L0508/subjective-stop]: whether \"it looks wrong\" holds is a matter of opinion"
            ]
        );
        assert_eq!(stop("{ exists \"a.bad\"; }"), [] as [&str; 0]);
    }

    #[test]
    fn what_defaults_say_is_told_once() {
        let told = with(
            "defaults { stop \"it is too complex\"; step \"Ask the maintainer.\"; verify test; }\n\
             unit u { goal \"g\"; writes \"a\"; }\nunit v { goal \"g\"; writes \"b\"; }",
        );
        assert_eq!(told.len(), 2, "{told:#?}");
    }
}
