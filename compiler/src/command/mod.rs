//! What a command line does, as far as it can be read off its words: which known tool it starts, how much that
//! covers, whether it writes, which files decide about it.
//!
//! Does not know plans or units, runs nothing and looks nothing up; files are handed in as text. What it does not
//! recognise it says nothing about.

mod asked;
mod mutation;
mod shell;
mod targets;
mod tools;
mod wrappers;

pub use asked::{Target, target};
pub use mutation::{Mutation, Remedy, mutation};
pub use shell::{Call, Line, Link};
pub use targets::{Makes, Recipe, justfile, makefile, package_script};
pub use tools::{Config, Reach, config_files, name, reach, scripts, uses_arguments};

impl Line {
    /// A command of separate words.
    pub fn of_words(words: &[String]) -> Line {
        wrappers::opened(Line { calls: vec![Call::new(words.to_vec())], opaque: false })
    }

    /// A line for `/bin/sh`.
    pub fn of_shell(text: &str) -> Line {
        wrappers::opened(shell::split(text))
    }

    /// The line if it is one simple command.
    pub fn only(&self) -> Option<&Call> {
        match self.calls.as_slice() {
            [call] if !self.opaque => Some(call),
            _ => None,
        }
    }

    /// Does the whole line succeed whatever happens, where `succeeds` says it of one command (and its number)? In a
    /// pipe the last command decides, in a list with `;` the last part.
    pub fn always_succeeds(&self, succeeds: &dyn Fn(usize, &Call) -> bool) -> bool {
        if self.opaque || self.calls.is_empty() {
            return false;
        }
        let mut so_far: Option<bool> = None;
        let mut join = Link::Then;
        for (at, call) in self.calls.iter().enumerate() {
            if self.stops_at_errors(at)
                && call.link == Link::Then
                && at + 1 < self.calls.len()
                && !succeeds(at, call)
            {
                return false;
            }
            if call.link == Link::Pipe {
                continue;
            }
            let this = !call.negated && succeeds(at, call);
            so_far = Some(match (join, so_far) {
                (Link::And, Some(before)) => before && this,
                (Link::Or, Some(before)) => before || this,
                _ => this,
            });
            join = call.link;
        }
        so_far == Some(true)
    }

    fn stops_at_errors(&self, before: usize) -> bool {
        self.calls[..before].iter().any(|call| {
            call.words.first().is_some_and(|word| word == "set")
                && call.words.iter().skip(1).any(|word| word.starts_with('-') && word.contains('e'))
        })
    }
}

#[cfg(test)]
mod tests;
