//! The binary; it only enters the library.

fn main() {}
