//! Changes inputs by seed, so that whoever has the seed has the input.

/// What means something to one parser or another.
const WORDS: &[&[u8]] = &[
    b"\0",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\t",
    b" ",
    b"\"",
    b"'",
    b"\\",
    b"/",
    b"../",
    b"..%2f",
    b"%00",
    b"%",
    b"&",
    b"=",
    b"*",
    b"!!",
    b"<<",
    b"---\n",
    b"- ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"[[",
    b":",
    b"::",
    b",",
    b"#",
    b".",
    b"-",
    b"--",
    b"@",
    b"@{",
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1e999",
    b"9007199254740993",
    b"18446744073709551616",
    b"\xff",
    b"\xc3\x28",
    b"\xef\xbb\xbf",
    "ü".as_bytes(),
    "\u{202e}".as_bytes(),
    "\u{1f600}".as_bytes(),
    b"\x1b[31m",
    b"\\u0000",
    b"\\ud800",
    b"data:",
    b"id:",
    b"retry:",
    b"refs/heads/",
    b".git",
    b".lock",
    b"file://",
    b"ext::",
];
/// Longest input, in bytes.
const BYTES_MAX: usize = 32 << 10;

/// A source of changed inputs.
#[derive(Debug)]
pub struct Mutator(u64);

impl Mutator {
    /// The one of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`; zero, if there is none.
    fn below(&mut self, end: usize) -> usize {
        // xorshift64*: good enough to be different each time.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap_or(0) % end.max(1)
    }

    /// One of `seeds`, with some changes.
    pub fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(6) {
            self.change(&mut bytes, seeds);
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        let long = 1 << self.below(8);
        let end = (at + self.below(long)).min(bytes.len());
        match self.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            1 if at < bytes.len() => bytes[at] = u8::try_from(self.below(256)).unwrap_or(0),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.truncate(at),
            4 => {
                let again = bytes[at..end].repeat(1 + self.below(8));
                drop(bytes.splice(at..at, again));
            }
            5 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                let to = (from + self.below(64)).min(other.len());
                drop(bytes.splice(at..end, other[from..to].iter().copied()));
            }
            _ => {
                let word = WORDS[self.below(WORDS.len())];
                drop(bytes.splice(at..at, word.iter().copied()));
            }
        }
    }
}
