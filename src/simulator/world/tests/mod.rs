//! The facts, one test each.
