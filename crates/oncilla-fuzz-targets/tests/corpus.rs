//! The corpus, the targets and the libFuzzer binaries belong together.

use std::collections::BTreeSet;
use std::path::Path;

use oncilla_fuzz_targets::mutate::{Random, mutate};
use oncilla_fuzz_targets::{TARGETS, corpus, find, fuzz_directory, seeds};

#[test]
fn every_target_holds_on_its_corpus() {
    for target in TARGETS {
        let inputs = corpus(target.name).unwrap();
        assert!(!inputs.is_empty(), "{} has no corpus", target.name);
        (target.run)(b"");
        for (file, input) in inputs {
            println!("{} {}", target.name, file.display());
            (target.run)(&input);
        }
    }
}

#[test]
fn targets_are_found_by_name() {
    assert!(TARGETS.windows(2).all(|pair| pair[0].name < pair[1].name));
    for target in TARGETS {
        assert_eq!(find(target.name).unwrap().name, target.name);
    }
    assert!(find("no such target").is_none());
}

#[test]
fn nothing_in_the_corpus_is_without_a_target() {
    let names: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
    let directories = names_in(&fuzz_directory().join("corpus"));
    assert_eq!(
        directories
            .iter()
            .map(String::as_str)
            .collect::<BTreeSet<_>>(),
        names
    );
}

#[test]
fn every_target_has_a_libfuzzer_binary() {
    let manifest = std::fs::read_to_string(fuzz_directory().join("Cargo.toml")).unwrap();
    let sources = names_in(&fuzz_directory().join("fuzz_targets"));
    for target in TARGETS {
        let name = target.name;
        assert!(
            manifest.contains(&format!("\nname = \"{name}\"\n")),
            "{name} has no [[bin]]"
        );
        let source = fuzz_directory()
            .join("fuzz_targets")
            .join(format!("{name}.rs"));
        let source = std::fs::read_to_string(source).unwrap();
        assert!(
            source.contains(&format!("run(\"{name}\", data)")),
            "{name} runs another target"
        );
    }
    assert_eq!(sources.len(), TARGETS.len());
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
}

#[test]
fn generated_seeds_are_what_is_checked_in() {
    for (target, name, bytes) in seeds::generated() {
        let file = fuzz_directory().join("corpus").join(target).join(name);
        let found = std::fs::read(&file).unwrap_or_default();
        assert!(
            found == bytes,
            "{} is out of date: cargo run -p oncilla-fuzz-targets --bin fuzz-seeds",
            file.display()
        );
    }
}

#[test]
fn mutations_repeat_with_their_seed() {
    let seeds = vec![b"GET /a?b=c".to_vec(), vec![0; 20], Vec::new()];
    let draw = |seed, name| {
        let mut random = Random::new(seed, name);
        (0..500)
            .map(|_| mutate(&mut random, &seeds))
            .collect::<Vec<_>>()
    };
    assert_eq!(draw(7, "uri"), draw(7, "uri"));
    assert_ne!(draw(7, "uri"), draw(8, "uri"));
    assert_ne!(draw(7, "uri"), draw(7, "query"));
    let different: BTreeSet<_> = draw(7, "uri").into_iter().collect();
    assert!(different.len() > 400, "{}", different.len());
}

fn names_in(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        panic!("{} cannot be read", directory.display());
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
