//! Inputs: raw bytes, and valid documents that were changed in a few places.

use proptest::{collection::vec, prelude::*, sample::select};

/// What parsers stumble over.
const TOKENS: [&[u8]; 42] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b",",
    b":",
    b"null",
    b"true",
    b"false",
    b"0",
    b"-0",
    b"-1",
    b"1e999999",
    b"1e-999999",
    b"1E+2",
    b"0.1",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"3.141592653589793238462643383279502884197169",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00\\ud800",
    b"\xff",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\0",
    b"\r\n",
    b"\t",
    b" ",
    b".",
    b"..",
    b"=",
    b"%00",
    b"2026-02-30T25:61:61Z",
    b"-271821-04-20T00:00:00Z",
    b"+275760-09-13T00:00:00Z",
    b"\xe2\x80\xae",
];

/// A change of a document. Places are parts of its length in 2^16.
#[derive(Clone, Debug)]
enum Mutation {
    Replace(u16, u8),
    Insert(u16, Vec<u8>),
    Remove(u16, u16),
    Repeat(u16, u16, usize),
    /// The rest of another seed.
    Splice(u16, usize, u16),
    /// Opening brackets.
    Nest(u16, usize),
    Truncate(u16),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let place = any::<u16>;
    let length = || 0_u16..4000;
    prop_oneof![
        3 => (place(), any::<u8>()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        4 => (place(), select(&TOKENS[..])).prop_map(|(at, token)| Mutation::Insert(at, token.to_vec())),
        1 => (place(), vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        2 => (place(), length()).prop_map(|(at, length)| Mutation::Remove(at, length)),
        2 => (place(), length(), 1_usize..40).prop_map(|(at, length, times)| Mutation::Repeat(at, length, times)),
        2 => (place(), any::<usize>(), place()).prop_map(|(at, seed, from)| Mutation::Splice(at, seed, from)),
        1 => (place(), 1_usize..5000).prop_map(|(at, depth)| Mutation::Nest(at, depth)),
        1 => place().prop_map(Mutation::Truncate),
    ]
}

/// Inputs made from these seeds.
pub(crate) fn inputs(seeds: &[&[u8]]) -> BoxedStrategy<Vec<u8>> {
    let raw = vec(any::<u8>(), 0..300);
    let tokens = vec(select(&TOKENS[..]), 0..40).prop_map(|tokens| tokens.concat());
    if seeds.is_empty() {
        return prop_oneof![raw, tokens].boxed();
    }
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
    let mutated = (any::<prop::sample::Index>(), vec(mutation(), 1..6)).prop_map(move |(seed, mutations)| {
        mutations.iter().fold(seed.get(&seeds).clone(), |document, mutation| mutated(document, mutation, &seeds))
    });
    prop_oneof![1 => raw, 1 => tokens, 6 => mutated].boxed()
}

fn mutated(mut document: Vec<u8>, mutation: &Mutation, seeds: &[Vec<u8>]) -> Vec<u8> {
    let place = |at: u16, length: usize| (usize::from(at) * (length + 1)) >> 16;
    let range = |at: u16, length: u16, whole: usize| {
        let start = place(at, whole);
        start..(start + place(length, whole)).min(whole)
    };
    match mutation {
        Mutation::Replace(at, byte) => {
            let at = place(*at, document.len());
            if let Some(old) = document.get_mut(at) {
                *old = *byte;
            }
        }
        Mutation::Insert(at, bytes) => {
            let at = place(*at, document.len());
            document.splice(at..at, bytes.iter().copied());
        }
        Mutation::Remove(at, length) => {
            document.drain(range(*at, *length, document.len()));
        }
        Mutation::Repeat(at, length, times) => {
            let range = range(*at, *length, document.len());
            let part = document[range.clone()].repeat(*times);
            document.splice(range.end..range.end, part);
        }
        Mutation::Splice(at, seed, from) => {
            let other = &seeds[seed % seeds.len()];
            document.truncate(place(*at, document.len()));
            document.extend_from_slice(&other[place(*from, other.len())..]);
        }
        Mutation::Nest(at, depth) => {
            let at = place(*at, document.len());
            let brackets = if depth % 2 == 0 { "[" } else { "{\"a\":" };
            document.splice(at..at, brackets.repeat(*depth).into_bytes());
        }
        Mutation::Truncate(at) => document.truncate(place(*at, document.len())),
    }
    document
}
