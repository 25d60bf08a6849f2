//! The rules of greeting, in plain Rust.

/// Nobody is greeted more often than this.
pub const GREETINGS_MAX: i64 = 5;

/// A name as it may be greeted, without surrounding blanks.
pub fn checked_name(name: &str) -> Result<&str, String> {
    let name = name.trim();
    match name.chars().count() {
        0 => Err("The name is empty.".to_owned()),
        1..=40 => Ok(name),
        length => Err(format!("The name has {length} characters; at most 40 are allowed.")),
    }
}

/// What is said.
pub fn greeting(salutation: &str, name: &str) -> String {
    format!("{salutation}, {name}!")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(checked_name("  Ada "), Ok("Ada"));
        assert!(checked_name(" ").is_err());
        assert!(checked_name(&"x".repeat(41)).unwrap_err().contains("41"));
        assert_eq!(greeting("Moin", "Ada"), "Moin, Ada!");
    }
}
