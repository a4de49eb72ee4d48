//! Writes the generated seeds into `fuzz/corpus`.

use oncilla_fuzz_targets::{fuzz_directory, seeds};

fn main() -> std::io::Result<()> {
    for (target, name, bytes) in seeds::generated() {
        let directory = fuzz_directory().join("corpus").join(target);
        std::fs::create_dir_all(&directory)?;
        std::fs::write(directory.join(name), bytes)?;
    }
    Ok(())
}
