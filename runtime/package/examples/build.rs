//! Builds the plugins in the folders given, as `cargo kontor build` does: for work on the builder itself.

use std::path::Path;

#[expect(clippy::print_stdout, reason = "a program for people")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directories: Vec<String> = std::env::args().skip(1).collect();
    let directories: Vec<&Path> = directories.iter().map(Path::new).collect();
    for built in kontor_package::build::build_many(&directories, &mut |progress| println!("{progress}"))? {
        println!("{} {} {}", built.path.display(), built.package.digest(), built.package.bytes().len());
        for warning in built.warnings {
            println!("warning: {warning}");
        }
    }
    Ok(())
}
