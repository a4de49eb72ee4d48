//! A small mutator, deterministic by its seed. It has no coverage to guide it: it stays near the
//! corpus, which is therefore expected to reach every corner of a format.

/// The longest input made by mutation: some more than a volume's header, which is the longest seed.
const INPUT_BYTES_MAX: usize = 8 << 10;

/// The most changes made to one seed.
const CHANGES_MAX: usize = 6;

/// SplitMix64: small, and good enough to choose with.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator for `seed` and `name`, so that targets draw independently of each other.
    pub fn new(seed: u64, name: &str) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(seed ^ hash)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        if bound == 0 {
            0
        } else {
            (self.next() % bound) as usize
        }
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }
}

/// Pieces that parsers look for, or stumble over.
const TOKENS: [&[u8]; 56] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\0\xff",
    b"\0\x01",
    b"\xff\xff\xff\xff",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\xc3\xa9",
    b"\xf0\x9f\xa6\xa6",
    b"\xed\xa0\x80",
    b"\xef\xbf\xbe",
    b"\xef\xbb\xbf",
    b"\xc2\x85",
    b"0",
    b"-1",
    b"+1",
    b"00",
    b"10000",
    b"10001",
    b"65536",
    b"4294967296",
    b"18446744073709551615",
    b"18446744073709551616",
    b"9223372036854775808",
    b"ffffffffffffffff",
    b"99999999999999999999",
    b"%",
    b"%2",
    b"%00",
    b"%2F",
    b"%2f",
    b"%25",
    b"%C3%A9",
    b"%ff",
    b"+",
    b" ",
    b"\t",
    b"/",
    b"//",
    b"/../",
    b"?",
    b"&",
    b"&&",
    b"=",
    b"==",
    b";",
    b",",
    b"\"",
    b"*",
    b"W/",
    b"&amp;",
    b"&#x0;",
    b"<a>",
    b"</a>",
    b"<![CDATA[x]]>",
];

/// The next input: a seed with a few changes, some of them taken from other seeds.
///
/// # Panics
/// When there are no seeds.
pub fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(CHANGES_MAX) {
        change(random, &mut input, seeds);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn change(random: &mut Random, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let at = random.below(input.len() + 1);
    let end = at + random.below((input.len() - at).min(32) + 1);
    match random.below(12) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = random.byte(),
        2 => {
            input.drain(at..end);
        }
        3 => {
            let copy = input[at..end].to_vec();
            input.splice(at..at, copy);
        }
        4 => {
            let length = random.below(9);
            let bytes: Vec<u8> = (0..length).map(|_| random.byte()).collect();
            input.splice(at..at, bytes);
        }
        5 | 6 => {
            let token = TOKENS[random.below(TOKENS.len())];
            input.splice(at..at, token.iter().copied());
        }
        7 => {
            let token = TOKENS[random.below(TOKENS.len())];
            input.splice(at..end, token.iter().copied());
        }
        8 => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len() + 1);
            let to = from + random.below((other.len() - from).min(64) + 1);
            input.splice(at..end, other[from..to].iter().copied());
        }
        9 => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        10 if random.below(8) == 0 => input.truncate(at),
        11 => {
            // Digits are where limits are.
            let digit = input[at..].iter().position(u8::is_ascii_digit);
            if let Some(offset) = digit {
                input[at + offset] = b'0' + random.byte() % 10;
            }
        }
        _ => {
            // Many formats have a length before the bytes it counts.
            if let Some(byte) = input.get_mut(at) {
                *byte = byte.wrapping_add(random.byte() % 5).wrapping_sub(2);
            }
        }
    }
}
