//! Documents become a [`Plan`]: nodes read against the schema table, names resolved, defaults applied.
//!
//! Does not know KDL's grammar (that is `syntax`) nor whether the plan is sound (that is `check`).

pub mod model;

pub use model::*;
