//! The execution graph: nodes, edges and digests over their meaning.
//!
//! Does not know the plan's text, nor anything that changes between two machines.

mod build;
pub mod diff;
mod encode;
pub mod explain;
pub mod hash;
pub mod manifest;
pub mod node;
pub mod outline;
pub mod picture;
#[cfg(test)]
mod tests;
mod topology;
mod walk;

pub use build::build;
pub use encode::{DecodeError, decode, encode};
pub use hash::{
    Content, ContentEntry, KeyField, Keyed, Tool, UnitKeyInputs, VerifyKeyInputs, ask_digest, closure_digest,
    graph_digest, policy_digest, section_digest, unit_key, verify_key,
};
pub use node::*;
pub use topology::Topology;
