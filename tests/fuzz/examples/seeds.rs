//! Writes the messages with which each target's corpus begins: `cargo run -p fuzz --example seeds`, after a format has changed.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in fuzz::TARGETS {
        let folder = corpus.join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (number, message) in fuzz::seeds::of(target.name).iter().enumerate() {
            std::fs::write(folder.join(format!("message-{number:02}")), message)?;
        }
    }
    Ok(())
}
