//! What is shipped: the shim is one static binary, small enough to be copied into every sandbox.

use std::path::PathBuf;

/// From `make shim`; `make test` names it.
fn shim() -> PathBuf {
    let path = std::env::var_os("CLEARMLD_TEST_SHIM").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/x86_64-unknown-linux-gnu/shim/clearmld-shim"),
        PathBuf::from,
    );
    assert!(path.exists(), "{} is not there: run `make shim` (or `make test`) first", path.display());
    path
}

#[test]
fn the_shim_is_smaller_than_4_mib() {
    let size = std::fs::metadata(shim()).expect("there").len();
    assert!(size < 4 << 20, "it has {size} bytes");
}

#[test]
fn the_shim_is_static_and_needs_no_loader_inside_a_container() {
    let bytes = std::fs::read(shim()).expect("read");
    assert_eq!(&bytes[..6], b"\x7fELF\x02\x01", "a 64-bit little-endian ELF file");
    let number = |at: usize, len: usize| {
        bytes[at..at + len].iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte))
    };
    let index = |value: u64| usize::try_from(value).expect("a small number");
    let (table, size, count) = (index(number(32, 8)), index(number(54, 2)), index(number(56, 2)));
    const INTERPRETER: u64 = 3;
    let interpreters = (0..count).filter(|entry| number(table + entry * size, 4) == INTERPRETER).count();
    assert_eq!(interpreters, 0, "PT_INTERP names a loader");
}
