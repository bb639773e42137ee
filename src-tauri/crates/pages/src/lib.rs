//! Man pages and completions, made from what a program's command line says of itself. Packages carry what the packaged
//! program wrote; nothing of it is committed. What a command line hides has neither.
#![forbid(unsafe_code)]

use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;

/// The shells that packages bring completions for.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Writes to a folder, which is made where it is missing: `man/NAME.1` for the program and `man/NAME-VERB.1` for each of its commands
/// (man-pages(7)), and in `completions` what each shell looks for.
///
/// # Errors
/// What the file system says.
pub fn write(program: &Command, folder: &Path) -> io::Result<()> {
    let mut shown = shown(program);
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    std::fs::create_dir_all(&man)?;
    std::fs::create_dir_all(&completions)?;
    let name = shown.get_name().to_owned();
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut shown, &name, &completions)?;
    }
    let source = format!("{name} {}", program.get_version().unwrap_or_default());
    let mut program = program.clone().disable_help_subcommand(true);
    program.build();
    page(&program, &source, &man)
}

fn page(command: &Command, source: &str, folder: &Path) -> io::Result<()> {
    let page = clap_mangen::Man::new(command.clone()).source(source).manual("Deskgate");
    page.generate_to(folder)?;
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        self::page(inner, source, folder)?;
    }
    Ok(())
}

/// The same command line as far as it is shown to people: completions know nothing of hiding.
fn shown(command: &Command) -> Command {
    // Clap keeps names for ever; so does a program that ends after this.
    let kept = |name: &str| -> &'static str { name.to_owned().leak() };
    let mut shown = Command::new(kept(command.get_name()));
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        shown = shown.version(kept(version));
    }
    shown
        .args(command.get_arguments().filter(|argument| !argument.is_hide_set()).cloned())
        .subcommands(command.get_subcommands().filter(|inner| !inner.is_hide_set()).map(self::shown))
}

/// The pages that [`write`] makes for a program, by their names without folder: for tests that ask for each.
pub fn names(program: &Command) -> Vec<String> {
    let mut program = program.clone().disable_help_subcommand(true);
    program.build();
    let mut names = Vec::new();
    name(&program, &mut names);
    names
}

fn name(command: &Command, names: &mut Vec<String>) {
    names.push(format!("{}.1", command.get_display_name().unwrap_or(command.get_name())));
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        name(inner, names);
    }
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn what_is_shown_has_pages_and_completions_and_what_is_hidden_has_neither() {
        let program = Command::new("desk")
            .version("1.2.3")
            .about("A desk")
            .arg(Arg::new("home").long("home").global(true).help("Where it stands"))
            .subcommand(
                Command::new("open").about("Open").subcommand(Command::new("wide").about("Open wide")),
            )
            .subcommand(
                Command::new("shut").about("Shut").arg(Arg::new("quick").long("quick-for-tests").hide(true)),
            )
            .subcommand(Command::new("secret").about("Not for people").hide(true));
        let folder = tempfile::tempdir().expect("a folder");

        write(&program, folder.path()).expect("writes");

        let listed = |inner: &str| {
            let entries = std::fs::read_dir(folder.path().join(inner)).expect("a folder");
            let mut names: Vec<_> =
                entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(listed("man"), ["desk-open-wide.1", "desk-open.1", "desk-shut.1", "desk.1"]);
        assert_eq!(listed("completions"), ["_desk", "desk.bash", "desk.fish"]);
        let mut names = names(&program);
        names.sort();
        assert_eq!(names, listed("man"));
        for inner in ["man", "completions"] {
            for name in listed(inner) {
                let text = std::fs::read_to_string(folder.path().join(inner).join(&name)).expect("a text");
                assert!(!text.contains("secret") && !text.contains("quick"), "{name}: {text}");
                assert!(name.contains("open") || text.contains("shut"), "{name}: {text}");
            }
        }
        let wide = std::fs::read_to_string(folder.path().join("man/desk-open-wide.1")).expect("a page");
        assert!(wide.contains("Open wide") && wide.contains("home") && wide.contains("desk 1.2.3"), "{wide}");
    }
}
