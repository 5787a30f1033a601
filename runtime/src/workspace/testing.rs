//! Scratch repositories for the tests of this room, made by the real git program.
//!
//! Does not know what is tested.
