//! The program's few arguments.

use controller::Place;

/// How to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// Where the main window opens; none with `--background`.
    pub(crate) place: Option<Place>,
    /// Show invented state instead of a gateway; debug builds only.
    pub(crate) sample: bool,
}

/// What cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentFault {
    /// An argument that is not known.
    #[error(
        "Deskgate does not know the argument {0}. It takes --background (start in the tray only) and --place PLACE; \
         everything else is done with the program deskgate."
    )]
    Unknown(String),
    /// `--place` without a place.
    #[error(
        "--place needs one of overview, connectors, assistants, activity, access, pending, settings, about."
    )]
    Place,
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(given: impl IntoIterator<Item = String>) -> Result<Arguments, ArgumentFault> {
    let mut arguments = Arguments { place: Some(Place::Overview), sample: false };
    let mut given = given.into_iter();
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--background" => arguments.place = None,
            "--place" => {
                let place = given.next().ok_or(ArgumentFault::Place)?;
                arguments.place = Some(place.parse().map_err(|_| ArgumentFault::Place)?);
            }
            "--sample" if cfg!(debug_assertions) => arguments.sample = true,
            _ => return Err(ArgumentFault::Unknown(argument)),
        }
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<Arguments, ArgumentFault>) {
        assert_eq!(parse(line.split_whitespace().map(str::to_owned)), expected, "{line:?}");
    }

    #[test]
    fn arguments_are_few() {
        check("", Ok(Arguments { place: Some(Place::Overview), sample: false }));
        check("--background", Ok(Arguments { place: None, sample: false }));
        check("--place pending", Ok(Arguments { place: Some(Place::Pending), sample: false }));
        check("--place", Err(ArgumentFault::Place));
        check("--place nowhere", Err(ArgumentFault::Place));
        check("serve", Err(ArgumentFault::Unknown("serve".to_owned())));
    }
}
