//! Names for buckets whose maker did not choose one, such as `polished-thunder-5646`.

use crate::random;

/// How many four-digit endings there are.
const ENDINGS: u32 = 10_000;

/// First words.
#[rustfmt::skip]
const ADJECTIVES: &[&str] = &[
    "amber", "ample", "azure", "balmy", "blithe", "bold", "brave", "breezy", "bright", "brisk",
    "bronze", "calm", "candid", "cedar", "cheerful", "chief", "civic", "clear", "clever",
    "coastal", "copper", "coral", "cosmic", "cozy", "crimson", "crisp", "curious", "dapper",
    "daring", "dawn", "deep", "dewy", "eager", "early", "earnest", "easy", "elegant", "ember",
    "emerald", "fabled", "fair", "fancy", "fearless", "fleet", "floral", "fluent", "fond",
    "fragrant", "free", "fresh", "friendly", "frosty", "gentle", "gilded", "glad", "gleaming",
    "golden", "graceful", "grand", "green", "happy", "hardy", "hazel", "hearty", "helpful",
    "hidden", "honest", "humble", "indigo", "ivory", "jade", "jolly", "jovial", "joyful",
    "keen", "kind", "lively", "lucid", "lucky", "lunar", "lush", "magic", "mellow", "merry",
    "mighty", "mild", "misty", "modest", "mossy", "nimble", "noble", "opal", "open", "patient",
    "peaceful", "pearly", "placid", "plucky", "polished", "proud", "quick", "quiet", "radiant",
    "rapid", "rosy", "royal", "ruby", "rustic", "sandy", "scarlet", "serene", "shiny",
    "silent", "silver", "sincere", "smooth", "snowy", "soft", "solar", "spirited", "spry",
    "starry", "steady", "stellar", "sturdy", "sunny", "swift", "tender", "tidy", "tranquil",
    "upbeat", "valiant", "velvet", "verdant", "vivid", "warm", "wise", "witty", "woven",
    "zesty",
];

/// Second words.
#[rustfmt::skip]
const NOUNS: &[&str] = &[
    "acorn", "anchor", "apple", "arbor", "aurora", "badger", "bamboo", "bay", "beacon",
    "birch", "bloom", "breeze", "bridge", "brook", "canoe", "canyon", "cavern", "cedar",
    "cherry", "cliff", "cloud", "clover", "comet", "compass", "coral", "cove", "creek",
    "crescent", "cricket", "daisy", "dawn", "delta", "dolphin", "dove", "dune", "eagle",
    "echo", "elm", "ember", "falcon", "feather", "fern", "field", "finch", "firefly", "fjord",
    "flower", "forest", "fountain", "fox", "garden", "geyser", "glacier", "glade", "grove",
    "gull", "harbor", "harvest", "hawk", "heron", "hill", "horizon", "island", "ivy",
    "jasmine", "kestrel", "lagoon", "lake", "lantern", "lark", "laurel", "lily", "lynx",
    "magnolia", "maple", "meadow", "meteor", "mirror", "moon", "mountain", "nebula", "oak",
    "oasis", "ocean", "orchard", "orchid", "osprey", "otter", "owl", "panda", "pebble",
    "penguin", "pepper", "pine", "planet", "plateau", "pond", "prairie", "puffin", "quartz",
    "rain", "rainbow", "raven", "reef", "ridge", "river", "robin", "rose", "sail", "sapphire",
    "savanna", "seal", "shadow", "shore", "sky", "snowflake", "sparrow", "spring", "spruce",
    "star", "stone", "stream", "summit", "sun", "sunrise", "surf", "swallow", "swan",
    "thicket", "thistle", "thunder", "tide", "trail", "tulip", "valley", "violet", "walrus",
    "waterfall", "wave", "willow", "wind", "wren", "zephyr",
];

/// A random bucket name: an adjective, a noun and four digits. There are some 200 million; the
/// caller tries another when one is taken.
///
/// # Errors
/// When the operating system gives no random numbers.
pub fn generate_bucket_name() -> Result<String, getrandom::Error> {
    let adjective = pick(ADJECTIVES)?;
    let noun = pick(NOUNS)?;
    let ending = random::below(ENDINGS)?;
    Ok(format!("{adjective}-{noun}-{ending:04}"))
}

fn pick(words: &'static [&'static str]) -> Result<&'static str, getrandom::Error> {
    // The lists hold fewer words than 32 bits can count.
    Ok(words[random::below(words.len() as u32)? as usize])
}

#[cfg(test)]
mod tests {
    use super::{ADJECTIVES, NOUNS, generate_bucket_name};

    #[test]
    fn the_lists_are_long_sorted_and_plain() {
        for words in [ADJECTIVES, NOUNS] {
            assert!(words.len() >= 100);
            assert!(words.is_sorted_by(|left, right| left < right));
            let plain = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
            assert!(
                words
                    .iter()
                    .all(|word| plain(word) && (3..=12).contains(&word.len()))
            );
        }
    }

    #[test]
    fn names_have_three_parts_and_differ() {
        let mut names = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let name = generate_bucket_name().unwrap();
            let parts: Vec<&str> = name.split('-').collect();
            let [adjective, noun, ending] = parts[..] else {
                panic!("{name}")
            };
            assert!(
                ADJECTIVES.contains(&adjective) && NOUNS.contains(&noun),
                "{name}"
            );
            assert!(
                ending.len() == 4 && ending.bytes().all(|byte| byte.is_ascii_digit()),
                "{name}"
            );
            // S3's bounds for a bucket name.
            assert!((3..=63).contains(&name.len()), "{name}");
            names.insert(name);
        }
        assert!(
            names.len() > 95,
            "among 200 million, hardly two of a hundred are alike"
        );
    }
}
