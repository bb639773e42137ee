//! A server that a person describes, read with the same care as an entry of an assistant's file.

use std::collections::BTreeMap;

use crate::Unfit;
use crate::outside::{Configured, address, has_variable, marked};

impl Configured {
    /// A program with its arguments, as one types it into a terminal, and the environment that is for it alone. Nothing is put in
    /// for variables: no terminal reads this.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn program(line: &str, environment: BTreeMap<String, String>) -> Result<Self, Unfit> {
        let words = shlex::split(line).ok_or_else(|| Unfit::Form("command".to_owned()))?;
        if words.iter().chain(environment.values()).any(|text| has_variable(text)) {
            return Err(Unfit::Variable);
        }
        match words.split_first() {
            Some((program, rest)) if !program.is_empty() => {
                Ok(Self::Program { program: program.clone(), arguments: marked(rest), environment })
            }
            Some(_) | None => Err(Unfit::Form("command".to_owned())),
        }
    }

    /// An address that may be written down.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn address(text: &str) -> Result<Self, Unfit> {
        Ok(Self::Address { url: address(text.trim())?, token: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Word;

    fn program(line: &str) -> Result<(String, Vec<Word>), Unfit> {
        match Configured::program(line, BTreeMap::new())? {
            Configured::Program { program, arguments, .. } => Ok((program, arguments)),
            Configured::Address { .. } => panic!("an address"),
        }
    }

    #[test]
    fn a_line_is_read_as_a_terminal_would_and_secrets_in_it_are_told_apart() {
        let (name, words) = program("npx -y 'my server' --key=hunter2").expect("read");
        let plain: Vec<&str> = words.iter().map(|word| word.plain.as_str()).collect();
        assert_eq!((name.as_str(), plain), ("npx", vec!["-y", "my server", "--key="]));
        assert_eq!(words.last().and_then(|word| word.secret.as_deref()), Some("hunter2"));
    }

    #[test]
    fn what_a_terminal_would_put_in_is_refused() {
        assert_eq!(program("npx $HOME").err(), Some(Unfit::Variable));
        assert_eq!(program("npx \"open").err(), Some(Unfit::Form("command".to_owned())));
        assert_eq!(program("  ").err(), Some(Unfit::Form("command".to_owned())));
        assert_eq!(program("'' x").err(), Some(Unfit::Form("command".to_owned())));
    }

    #[test]
    fn no_secret_stands_in_an_address() {
        assert!(Configured::address(" https://mcp.example.com/mcp ").is_ok());
        let check = |text: &str| Configured::address(text).err();
        assert_eq!(check("https://mcp.example.com/mcp?api_key=x"), Some(Unfit::SecretInAddress));
        assert_eq!(check("ftp://mcp.example.com"), Some(Unfit::Form("url".to_owned())));
        assert_eq!(check("mcp.example.com"), Some(Unfit::Form("url".to_owned())));
    }
}
