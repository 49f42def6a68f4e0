//! The fakeapi program.
fn main() {}
