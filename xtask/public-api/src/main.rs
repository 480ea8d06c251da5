//! Prints the public items of a library, one a line, from the JSON file that rustdoc made of it. What the compiler adds
//! by itself (blanket implementations, derives, `Send` and its like) is omitted.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args_os().nth(1).ok_or("usage: FILE.json")?;
    let api = public_api::Builder::from_rustdoc_json(file)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    print!("{api}");
    Ok(())
}
