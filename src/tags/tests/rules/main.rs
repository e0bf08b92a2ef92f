//! Rules: compiled ones judge every request as a plain evaluator of the uncompiled ones does, and allocate nothing.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod allocations;
mod compiled;
mod facts;
mod made;
mod reference;
mod times;
