//! The execution graph: nodes, edges and digests over their meaning.
//!
//! Does not know the plan's text, nor anything that changes between two machines.

pub mod node;

pub use node::*;
