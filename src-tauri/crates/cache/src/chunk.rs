//! How one value lies in sled: in pieces of at most 4 KiB, with a checksum over the whole.
//!
//! sled puts a page above 128 KiB (a quarter of a segment) into a file of its own that no flush makes durable, and a page
//! is a whole leaf of up to 16 values and a few more while it is split or merged.
//!
//! The head lies at `h<key>`: format (1 byte), number of further pieces (4 bytes, big endian), CRC-32C of the whole value
//! (4 bytes), first piece. Further pieces lie at `c<number><key>`, the number in 4 bytes.

use sled::{Batch, Tree};

const FORMAT: u8 = 1;
const HEADER: usize = 1 + 4 + 4;
const PIECE: usize = 4 * 1024 - HEADER;

/// The prefix of all heads.
pub(crate) const HEAD: &[u8] = b"h";

/// Adds to `batch` what replaces the value of `key` in `tree`.
pub(crate) fn write(tree: &Tree, batch: &mut Batch, key: &str, value: &[u8]) -> sled::Result<()> {
    let (first, rest) = value.split_at(value.len().min(PIECE));
    let pieces: Vec<&[u8]> = rest.chunks(PIECE).collect();
    let count = number(pieces.len());
    let mut head = Vec::with_capacity(HEADER + first.len());
    head.push(FORMAT);
    head.extend_from_slice(&count.to_be_bytes());
    head.extend_from_slice(&crc32c::crc32c(value).to_be_bytes());
    head.extend_from_slice(first);
    batch.insert(head_key(key), head);
    for (n, piece) in (0..).zip(pieces) {
        batch.insert(piece_key(key, n), piece);
    }
    drop_pieces(tree, batch, key, count)
}

/// Adds to `batch` what removes `key` from `tree`.
pub(crate) fn remove(tree: &Tree, batch: &mut Batch, key: &str) -> sled::Result<()> {
    batch.remove(head_key(key));
    drop_pieces(tree, batch, key, 0)
}

/// Reads the value of `key`; `None` where it is not there or not whole.
pub(crate) fn read(tree: &Tree, key: &str) -> sled::Result<Option<Vec<u8>>> {
    let Some(head) = tree.get(head_key(key))? else { return Ok(None) };
    let Some((count, checksum, first)) = parse(&head) else { return Ok(None) };
    let mut value = first.to_vec();
    for n in 0..count {
        let Some(piece) = tree.get(piece_key(key, n))? else { return Ok(None) };
        value.extend_from_slice(&piece);
    }
    Ok((crc32c::crc32c(&value) == checksum).then_some(value))
}

/// The key whose head lies at `stored`.
pub(crate) fn key_of(stored: &[u8]) -> Option<String> {
    String::from_utf8(stored.strip_prefix(HEAD)?.to_vec()).ok()
}

// Pieces of the earlier value that the new one does not replace.
fn drop_pieces(tree: &Tree, batch: &mut Batch, key: &str, from: u32) -> sled::Result<()> {
    for n in from.. {
        let piece = piece_key(key, n);
        if !tree.contains_key(&piece)? {
            break;
        }
        batch.remove(piece);
    }
    Ok(())
}

fn parse(head: &[u8]) -> Option<(u32, u32, &[u8])> {
    let rest = head.strip_prefix(&[FORMAT])?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let (checksum, first) = rest.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*count), u32::from_be_bytes(*checksum), first))
}

fn head_key(key: &str) -> Vec<u8> {
    [HEAD, key.as_bytes()].concat()
}

fn piece_key(key: &str, n: u32) -> Vec<u8> {
    [b"c", &n.to_be_bytes()[..], key.as_bytes()].concat()
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
