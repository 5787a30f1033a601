//! Compiles feature plans, written in KDL 2, into a content-hashed execution graph.
//!
//! The library is pure: it knows no file system, environment, clock, network, thread or git. The outside
//! world comes in through one trait, [`source::Sources`]. A mistake in a plan is never an `Err`: each phase
//! returns its value together with diagnostics, so that one run reports all of them.
//!
//! ```text
//! .kdl text --syntax--> Document --plan--> Plan --check--> CheckedPlan --graph--> Graph
//! ```

pub mod check;
pub mod command;
pub mod compile;
pub mod diagnostic;
pub mod example;
pub mod glob;
pub mod graph;
pub mod markdown;
pub mod mend;
pub mod plan;
pub mod source;
pub mod syntax;
