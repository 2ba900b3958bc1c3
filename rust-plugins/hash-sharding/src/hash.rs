//! PostgreSQL's partition hash: what `PARTITION BY HASH` makes of one key column. Knows bytes and integers only, not
//! where they come from. The hash functions are Bob Jenkins' lookup3 in the form PostgreSQL gives it (64 bits, seeded).

/// The seed that PostgreSQL hashes partition keys with.
const PARTITION_SEED: u64 = 0x7A5B_2236_7996_DCFD;

/// What folding one column's hash into an empty row hash adds: `hash_combine64(0, h) = h + this`.
const COMBINE: u64 = 0x49A0_F4DD_15E5_A8E3;

/// The row hash of a row whose key is NULL: a NULL contributes nothing, so it always goes to remainder 0.
pub const NULL_ROW_HASH: u64 = 0;

/// Row hash of a one-column key of type smallint, integer or bigint: equal numbers hash alike in all three.
#[inline]
pub fn row_hash_of_integer(value: i64) -> u64 {
    let low = value as u32;
    let high = (value >> 32) as u32;
    // Folding the sign's extension away is what makes the three widths agree.
    let folded = low ^ if value >= 0 { high } else { !high };
    combine(hash_u32(folded, PARTITION_SEED))
}

/// Row hash of a one-column key whose value is hashed as bytes: uuid (16 of them), text, varchar, bytea.
#[inline]
pub fn row_hash_of_bytes(value: &[u8]) -> u64 {
    combine(hash_bytes(value, PARTITION_SEED))
}

/// The position of the shard: PostgreSQL's remainder with the number of shards as modulus.
#[inline]
pub fn shard_of(row_hash: u64, shards: u32) -> u32 {
    (row_hash % u64::from(shards.max(1))) as u32
}

#[inline]
fn combine(hash: u64) -> u64 {
    hash.wrapping_add(COMBINE)
}

struct State {
    a: u32,
    b: u32,
    c: u32,
}

impl State {
    #[inline]
    fn new(length: u32, seed: u64) -> Self {
        let start = 0x9E37_79B9_u32.wrapping_add(length).wrapping_add(3_923_095);
        let mut state = Self { a: start, b: start, c: start };
        if seed != 0 {
            state.a = state.a.wrapping_add((seed >> 32) as u32);
            state.b = state.b.wrapping_add(seed as u32);
            state.mix();
        }
        state
    }

    #[inline]
    fn add(&mut self, a: u32, b: u32, c: u32) {
        self.a = self.a.wrapping_add(a);
        self.b = self.b.wrapping_add(b);
        self.c = self.c.wrapping_add(c);
    }

    #[inline]
    fn mix(&mut self) {
        let Self { mut a, mut b, mut c } = *self;
        a = a.wrapping_sub(c) ^ c.rotate_left(4);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(6);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(8);
        b = b.wrapping_add(a);
        a = a.wrapping_sub(c) ^ c.rotate_left(16);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(19);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(4);
        b = b.wrapping_add(a);
        *self = Self { a, b, c };
    }

    #[inline]
    fn finish(self) -> u64 {
        let Self { mut a, mut b, mut c } = self;
        c = (c ^ b).wrapping_sub(b.rotate_left(14));
        a = (a ^ c).wrapping_sub(c.rotate_left(11));
        b = (b ^ a).wrapping_sub(a.rotate_left(25));
        c = (c ^ b).wrapping_sub(b.rotate_left(16));
        a = (a ^ c).wrapping_sub(c.rotate_left(4));
        b = (b ^ a).wrapping_sub(a.rotate_left(14));
        c = (c ^ b).wrapping_sub(b.rotate_left(24));
        (u64::from(b) << 32) | u64::from(c)
    }
}

#[inline]
fn hash_u32(value: u32, seed: u64) -> u64 {
    let mut state = State::new(4, seed);
    state.a = state.a.wrapping_add(value);
    state.finish()
}

fn hash_bytes(bytes: &[u8], seed: u64) -> u64 {
    let mut state = State::new(bytes.len() as u32, seed);
    let mut blocks = bytes.chunks_exact(12);
    for block in &mut blocks {
        state.add(word(block, 0), word(block, 4), word(block, 8));
        state.mix();
    }
    let rest = blocks.remainder();
    // The third word of the tail starts at its second byte: the lowest one is the length's, which State::new has counted in.
    state.add(word(rest, 0), word(rest, 4), word(rest, 8) << 8);
    state.finish()
}

/// Four bytes from `at`, little-endian; those beyond the end count as zero.
#[inline]
fn word(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..at + 4) {
        Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
        _ => bytes.iter().skip(at).take(4).rev().fold(0, |word, &byte| (word << 8) | u32::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The hashes themselves are held against PostgreSQL's in tests/golden.rs.

    #[test]
    fn a_null_key_goes_to_remainder_zero() {
        for shards in 1..20 {
            assert_eq!(shard_of(NULL_ROW_HASH, shards), 0);
        }
    }

    #[test]
    fn the_tail_word_is_zero_beyond_the_end() {
        assert_eq!(word(&[1, 2, 3, 4, 5], 0), 0x0403_0201);
        assert_eq!(word(&[1, 2, 3, 4, 5], 4), 5);
        assert_eq!(word(&[1, 2, 3, 4, 5], 8), 0);
        assert_eq!(word(&[], 0), 0);
    }

    #[test]
    fn no_shards_at_all_is_not_a_division_by_zero() {
        assert_eq!(shard_of(7, 0), 0);
    }
}
