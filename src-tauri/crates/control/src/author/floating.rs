//! Commands that fetch a package each time they start it: which version that is, IT says, and not whoever publishes the package.
//!
//! What is not understood is refused: an option that may or may not take the next word hides which word is the package.

/// The names of packages and how an exact version is written behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Registry {
    /// `name@1.2.3`, `@scope/name@1.2.3` (npm, package specs).
    Npm,
    /// `name==1.2.3`, with extras in brackets (PEP 508, PEP 440), and `name@1.2.3` as uv writes it.
    Python,
}

/// A way to start a package that is fetched first.
struct Launcher {
    program: &'static str,
    /// The subcommand that does it; none where the program does nothing else.
    subcommand: &'static [&'static str],
    registry: Registry,
    /// Options whose value is a package. The first ones replace the first plain word.
    package: &'static [&'static str],
    /// Options whose value is a further package, beside the first plain word.
    beside: &'static [&'static str],
    /// Other options with a value.
    valued: &'static [&'static str],
    /// Options without one.
    flags: &'static [&'static str],
}

const NPM_VALUED: &[&str] =
    &["-c", "--call", "-w", "--workspace", "--registry", "--cache", "--userconfig", "--prefix", "--loglevel"];
const NPM_FLAGS: &[&str] = &[
    "-y",
    "--yes",
    "-q",
    "--quiet",
    "-s",
    "--silent",
    "--no",
    "--no-install",
    "--offline",
    "--prefer-offline",
    "--ignore-scripts",
    "--verbose",
];
const UV_VALUED: &[&str] = &[
    "-p",
    "--python",
    "-i",
    "--index-url",
    "--index",
    "--default-index",
    "--extra-index-url",
    "-f",
    "--find-links",
    "--env-file",
    "--cache-dir",
    "--config-file",
    "--directory",
    "--project",
    "-c",
    "--constraints",
    "--index-strategy",
    "--keyring-provider",
    "--resolution",
    "--prerelease",
    "--exclude-newer",
];
const UV_FLAGS: &[&str] = &[
    "-q",
    "--quiet",
    "-v",
    "--verbose",
    "-n",
    "--no-cache",
    "--offline",
    "--isolated",
    "--native-tls",
    "--no-config",
    "--no-index",
    "--no-env-file",
    "--no-progress",
    "--managed-python",
    "--no-managed-python",
    "--no-python-downloads",
];

const fn npm(program: &'static str, subcommand: &'static [&'static str]) -> Launcher {
    let package = &["-p", "--package"];
    Launcher {
        program,
        subcommand,
        registry: Registry::Npm,
        package,
        beside: &[],
        valued: NPM_VALUED,
        flags: NPM_FLAGS,
    }
}

/// pnpm and Bun write the same, but `-c` takes no value there (pnpm) or is not known (Bun).
const fn npm_like(program: &'static str, subcommand: &'static [&'static str]) -> Launcher {
    Launcher {
        valued: &["--reporter", "-C", "--dir", "--registry"],
        flags: &["-q", "--quiet", "-s", "--silent", "--verbose", "--bun", "--no-install"],
        ..npm(program, subcommand)
    }
}

const fn uv(program: &'static str, subcommand: &'static [&'static str]) -> Launcher {
    Launcher {
        program,
        subcommand,
        registry: Registry::Python,
        package: &["--from"],
        beside: &["-w", "--with"],
        valued: UV_VALUED,
        flags: UV_FLAGS,
    }
}

const LAUNCHERS: &[Launcher] = &[
    npm("npx", &[]),
    npm("npm", &["exec"]),
    npm("npm", &["x"]),
    npm_like("pnpx", &[]),
    npm_like("pnpm", &["dlx"]),
    npm_like("yarn", &["dlx"]),
    npm_like("bunx", &[]),
    npm_like("bun", &["x"]),
    uv("uvx", &[]),
    uv("uv", &["tool", "run"]),
    Launcher {
        program: "pipx",
        subcommand: &["run"],
        registry: Registry::Python,
        package: &["--spec"],
        beside: &["--with"],
        valued: &["--python", "-i", "--index-url", "--pip-args"],
        flags: &["-q", "--quiet", "-v", "--verbose", "--no-cache"],
    },
];

/// Why it is not known which version a command starts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FloatingFault {
    /// A package has no exact version.
    #[error(
        "the command starts whatever version of {package:?} there is at that moment, so others decide what runs; name an exact version, such as {example}"
    )]
    Version {
        /// The package as it is named.
        package: String,
        /// How it would be named well.
        example: String,
    },
    /// An option that may take the next word.
    #[error(
        "option {0} before the package is not understood, so it cannot be told which package is started; write its value as {0}=VALUE, or remove it"
    )]
    Option(String),
    /// There is no package.
    #[error("the command names no package to start; name one with an exact version")]
    Nothing,
}

/// The first word of a command that leaves open which version of a package is started, and why.
pub(super) fn floating(command: &[String]) -> Option<(usize, FloatingFault)> {
    let start = wrapped(command);
    let program = program(command.get(start)?);
    LAUNCHERS.iter().filter(|launcher| launcher.program == program).find_map(|launcher| {
        let first = launcher.arguments(command, start.saturating_add(1))?;
        launcher.judge(command, first)
    })
}

/// Where the command proper begins: behind `env NAME=VALUE` and `cmd /c`.
fn wrapped(command: &[String]) -> usize {
    let first = command.first().map(|word| program(word));
    let rest = command.iter().skip(1);
    let skipped = match first.as_deref() {
        Some("env") => rest.take_while(|word| word.starts_with('-') || word.contains('=')).count(),
        Some("cmd") => rest.take_while(|word| word.starts_with('/')).count(),
        Some(_) | None => return 0,
    };
    skipped.saturating_add(1)
}

/// A program's name without its folder and Windows' endings.
fn program(word: &str) -> String {
    let name = word.rsplit(['/', '\\']).next().unwrap_or(word).to_ascii_lowercase();
    let bare = [".exe", ".cmd", ".ps1"].iter().find_map(|ending| name.strip_suffix(ending));
    bare.map_or(name.clone(), ToOwned::to_owned)
}

impl Launcher {
    /// Where the arguments begin, if the command is this one: behind the subcommand, which options may precede.
    fn arguments(&self, command: &[String], start: usize) -> Option<usize> {
        let mut at = start;
        for wanted in self.subcommand {
            while command.get(at).is_some_and(|word| word.starts_with('-')) {
                let valued = command.get(at).is_some_and(|word| self.valued.contains(&word.as_str()));
                at = at.saturating_add(1).saturating_add(usize::from(valued));
            }
            if command.get(at).is_none_or(|word| word != wanted) {
                return None;
            }
            at = at.saturating_add(1);
        }
        Some(at)
    }

    fn judge(&self, command: &[String], first: usize) -> Option<(usize, FloatingFault)> {
        let mut words = command.iter().enumerate().skip(first);
        let mut named = false;
        while let Some((at, word)) = words.next() {
            let (option, value) = match word.split_once('=') {
                Some((option, value)) if word.starts_with('-') => (option, Some((at, value))),
                Some(_) | None => (word.as_str(), None),
            };
            let plain = !option.starts_with('-') || option == "-";
            if plain || option == "--" {
                let package = if plain { Some((at, word.as_str())) } else { next(&mut words) };
                return match package {
                    _ if named => None,
                    Some((at, package)) => self.registry.unpinned(package).map(|fault| (at, fault)),
                    None => Some((at, FloatingFault::Nothing)),
                };
            }
            let is_package = self.package.contains(&option);
            if is_package || self.beside.contains(&option) {
                let Some((at, package)) = value.or_else(|| next(&mut words)) else {
                    return Some((at, FloatingFault::Nothing));
                };
                if let Some(fault) = self.registry.unpinned(package) {
                    return Some((at, fault));
                }
                named |= is_package;
            } else if value.is_none() && self.valued.contains(&option) {
                words.next();
            } else if value.is_none() && !self.flags.contains(&option) {
                return Some((at, FloatingFault::Option(option.to_owned())));
            }
        }
        (!named).then(|| (command.len().saturating_sub(1), FloatingFault::Nothing))
    }
}

fn next<'c>(words: &mut impl Iterator<Item = (usize, &'c String)>) -> Option<(usize, &'c str)> {
    words.next().map(|(at, word)| (at, word.as_str()))
}

impl Registry {
    /// What is wrong with a package's name, unless it names one version. Sources beside the registry (git, URLs, paths) name none.
    fn unpinned(self, package: &str) -> Option<FloatingFault> {
        let (pinned, example) = match self {
            Self::Npm => (is_pinned_npm(package), "name@1.2.3"),
            Self::Python => (is_pinned_python(package), "name==1.2.3"),
        };
        let fault = || FloatingFault::Version { package: package.to_owned(), example: example.to_owned() };
        (!pinned).then(fault)
    }
}

fn is_pinned_npm(package: &str) -> bool {
    let (scope, rest) = match package.strip_prefix('@').map(|scoped| scoped.split_once('/')) {
        Some(Some((scope, rest))) => (Some(scope), rest),
        Some(None) => return false,
        None => (None, package),
    };
    rest.split_once('@').is_some_and(|(name, version)| {
        is_name(name) && scope.is_none_or(is_name) && semver::Version::parse(version).is_ok()
    })
}

fn is_pinned_python(package: &str) -> bool {
    let (requirement, version) = match (package.split_once("=="), package.split_once('@')) {
        (Some((requirement, version)), _) => (requirement, version.strip_prefix('=').unwrap_or(version)),
        (None, Some(parts)) => parts,
        (None, None) => return false,
    };
    let name = match requirement.split_once('[') {
        Some((name, extras)) => {
            let extras = extras.strip_suffix(']').unwrap_or("");
            if !extras.split(',').all(is_name) {
                return false;
            }
            name
        }
        None => requirement,
    };
    is_name(name) && is_version(version)
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().all(fits)
}

/// One version (PEP 440), and not `1.2.*` or one of several clauses.
fn is_version(version: &str) -> bool {
    version.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
        && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+!".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(command: &str) -> Option<(usize, FloatingFault)> {
        let words: Vec<String> = command.split(' ').map(ToOwned::to_owned).collect();
        floating(&words)
    }

    #[test]
    fn an_exact_version_passes_however_it_is_started() {
        for command in [
            "npx -y pkg@1.2.3 /srv --port 3",
            "npx @scope/pkg@1.2.3-beta.1",
            "/usr/bin/npx --package=pkg@1.2.3 tool",
            "npx -p a@1.2.3 -p b@2.0.0 -- tool latest",
            "npx --registry https://npm.example.test pkg@1.2.3",
            "npm exec -- pkg@1.2.3",
            "npm --prefix /srv exec pkg@1.2.3",
            "pnpm dlx pkg@1.2.3",
            "bunx pkg@1.2.3",
            "uvx pkg==1.2.3",
            "uvx pkg[http,x]==1.2.3.post1 --from elsewhere",
            "uvx pkg@1.2.3",
            "uvx --python 3.12 --from pkg==1.2.3 tool",
            "uvx --with other==2 pkg==1.2.3",
            "uv tool run pkg==1.2.3",
            "pipx run --spec pkg==1.2.3 tool",
            "env DEBUG=1 npx pkg@1.2.3",
        ] {
            assert_eq!(judged(command), None, "{command}");
        }
    }

    #[test]
    fn what_starts_no_package_is_not_judged() {
        for command in
            ["/opt/files/server", "node server.js latest", "npm run start", "uv run server.py", "pnpm start"]
        {
            assert_eq!(judged(command), None, "{command}");
        }
    }

    #[test]
    fn a_floating_version_is_found_and_named() {
        for (command, at, package) in [
            ("npx pkg", 1, "pkg"),
            ("npx -y @scope/pkg", 2, "@scope/pkg"),
            ("npx pkg@latest", 1, "pkg@latest"),
            ("npx pkg@^1.2.3", 1, "pkg@^1.2.3"),
            ("npx pkg@1", 1, "pkg@1"),
            ("npx pkg@1.2", 1, "pkg@1.2"),
            ("npx pkg@1.x", 1, "pkg@1.x"),
            ("npx pkg@*", 1, "pkg@*"),
            ("npx pkg@", 1, "pkg@"),
            ("npx pkg@npm:other@1.2.3", 1, "pkg@npm:other@1.2.3"),
            ("npx github:owner/name", 1, "github:owner/name"),
            ("npx owner/name@1.2.3", 1, "owner/name@1.2.3"),
            ("npx git+https://host/a.git#1.2.3", 1, "git+https://host/a.git#1.2.3"),
            ("npx ./local", 1, "./local"),
            ("npx -p a@1.2.3 -p b tool", 4, "b"),
            ("npx --package=pkg tool@1.2.3", 1, "pkg"),
            ("C:\\node\\npx.cmd pkg", 1, "pkg"),
            ("cmd /c npx -y pkg", 4, "pkg"),
            ("npm exec pkg", 2, "pkg"),
            ("npm x -- pkg", 3, "pkg"),
            ("pnpm dlx pkg", 2, "pkg"),
            ("yarn dlx pkg", 2, "pkg"),
            ("bunx pkg@latest", 1, "pkg@latest"),
            ("uvx pkg", 1, "pkg"),
            ("uvx pkg@latest", 1, "pkg@latest"),
            ("uvx pkg>=1.2", 1, "pkg>=1.2"),
            ("uvx pkg==1.*", 1, "pkg==1.*"),
            ("uvx pkg==1.2,!=1.3", 1, "pkg==1.2,!=1.3"),
            ("uvx pkg~=1.2", 1, "pkg~=1.2"),
            ("uvx --from git+https://host/a@1.2.3 tool", 2, "git+https://host/a@1.2.3"),
            ("uvx --with other pkg==1.2.3", 2, "other"),
            ("uv tool run pkg", 3, "pkg"),
            ("uv --quiet tool run pkg", 4, "pkg"),
            ("pipx run pkg", 2, "pkg"),
        ] {
            let found = judged(command).map(|(at, fault)| match fault {
                FloatingFault::Version { package, .. } => (at, package),
                FloatingFault::Option(option) => (at, option),
                FloatingFault::Nothing => (at, String::new()),
            });
            assert_eq!(found, Some((at, package.to_owned())), "{command}");
        }
    }

    #[test]
    fn an_option_that_could_hide_the_package_is_refused() {
        let fault = judged("npx --strange pkg@1.2.3 other");
        assert_eq!(fault, Some((1, FloatingFault::Option("--strange".to_owned()))));
        assert_eq!(judged("npx --strange=x pkg@1.2.3"), None);
        assert_eq!(judged("uvx"), Some((0, FloatingFault::Nothing)));
        assert_eq!(judged("npx -p"), Some((1, FloatingFault::Nothing)));
    }
}
