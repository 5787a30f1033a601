//! Greets.

/// What to say to somebody.
pub fn greeting(name: &str) -> String {
    format!("Hello, {name}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_names_whom_it_greets() {
        assert_eq!(super::greeting("you"), "Hello, you");
    }
}
