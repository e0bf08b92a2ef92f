//! What is kept in `corpus/` is read again by its target: real messages, whatever the fuzzer found to be new, and what once broke
//! something.

#![allow(missing_docs)]

use std::fs;
use std::path::Path;

#[test]
fn every_kept_input_is_read_without_a_fault() {
    for target in fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(target.name);
        let mut inputs = 0;
        for entry in
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.expect("an entry").path();
            println!("{}", path.display()); // shown when it breaks
            (target.run)(&fs::read(&path).expect("a file"));
            inputs += 1;
        }
        assert!(inputs > 0, "{} has no corpus", target.name);
    }
}
