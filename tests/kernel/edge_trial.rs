//! first
use fakeapi::datapath::{Datapath, Options};
use crate::namespace::isolated;

#[test]
fn loads() {
    isolated("loads", || {
        eprintln!("{:?}", Datapath::probe());
        match Datapath::load(Options::default()) { Ok(_)=>{}, Err(e)=>{ eprintln!("{e}"); let mut s=std::error::Error::source(&e); while let Some(x)=s {eprintln!("  {x}"); s=x.source();} panic!() } }
    });
}
