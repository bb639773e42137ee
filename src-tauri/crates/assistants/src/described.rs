//! A server that a person describes, read with the same care as an entry of an assistant's file.

use std::collections::BTreeMap;

use crate::Unfit;
use crate::outside::{Configured, address, has_variable, marked};

impl Configured {
    /// A program with its arguments, as one types it into a terminal, and the environment that is for it alone. What is set in front
    /// of the program goes there as well, for it is often a secret. What only a terminal does is refused: none reads this.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn program(line: &str, mut environment: BTreeMap<String, String>) -> Result<Self, Unfit> {
        let words = shlex::split(line).ok_or_else(|| Unfit::Form("command".to_owned()))?;
        // What follows is a comment to whoever splits it.
        let has_comment = line.split_whitespace().any(|word| word.starts_with('#'));
        if has_comment || words.iter().any(|word| has_variable(word) || is_for_a_terminal(word)) {
            return Err(Unfit::Variable);
        }
        let is_set = |word: &&String| word.split_once('=').is_some_and(|(name, _)| is_variable(name));
        let set = words.iter().take_while(is_set).count();
        let (set, words) = words.split_at(set);
        environment.extend(set.iter().filter_map(|word| word.split_once('=')).map(owned));
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

/// Whether it is the name of a variable (POSIX.1-2017, section 8.1).
pub fn is_variable(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| is_part(c) && !c.is_ascii_digit()) && name.chars().all(is_part)
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Whether a terminal would make something else of a word: a home folder, another command, a file that is written.
fn is_for_a_terminal(word: &str) -> bool {
    word == "~"
        || word.starts_with("~/")
        || word.contains("$(")
        || word.contains('`')
        || ["|", "||", "&", "&&", ";", "<", ">", ">>"].contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Word;

    #[test]
    fn what_is_set_in_front_of_the_program_is_for_its_environment() {
        let line = "GITHUB_TOKEN=hunter2 MODE='a b' npx -y server A=b";
        let read = Configured::program(line, [("X".to_owned(), "y".to_owned())].into()).expect("read");
        let Configured::Program { program, arguments, environment } = read else { panic!("an address") };
        let arguments: Vec<String> = arguments.into_iter().map(|word| word.plain).collect();
        assert_eq!((program.as_str(), arguments), ("npx", ["-y", "server", "A=b"].map(str::to_owned).into()));
        let expected = [("GITHUB_TOKEN", "hunter2"), ("MODE", "a b"), ("X", "y")].map(owned);
        assert_eq!(environment, expected.into());
    }

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
        for line in [
            "npx $HOME",
            "npx ~/x",
            "cd x && npx",
            "npx | tee x",
            "npx > x",
            "npx $(x)",
            "npx `x`",
            "npx # x",
        ] {
            assert_eq!(program(line).err(), Some(Unfit::Variable), "{line}");
        }
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
