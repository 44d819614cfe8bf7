//! A Client Portal Gateway that is not one: for tests, for the demo, and for rehearsing a lapse.

pub mod world;
