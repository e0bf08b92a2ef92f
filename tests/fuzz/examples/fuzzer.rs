//! The fuzzer, made by libFuzzer: reads bytes, follows which of them lead to new places in the code, and keeps those. The variable
//! `TAGWIRE_FUZZ_TARGET` says which target; everything else is libFuzzer's own arguments. `tests/fuzz/run` puts them together.

#![no_main]
#![allow(unsafe_code, missing_docs, clippy::print_stderr)] // what libFuzzer calls has a C name

use std::sync::OnceLock;

use fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<&Target> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("TAGWIRE_FUZZ_TARGET").unwrap_or_default();
        let Some(target) = fuzz::target(&name) else {
            eprintln!("TAGWIRE_FUZZ_TARGET={name} is no target; there are {}", fuzz::names().join(", "));
            std::process::exit(2);
        };
        let _ = TARGET.set(target);
    },
    |bytes: &[u8]| {
        let target = TARGET.get().expect("the initialisation has set it");
        (target.run)(bytes);
    }
);
