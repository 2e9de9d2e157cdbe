//! Exit codes. They are part of the interface: scripts branch on them, so a number never changes its meaning.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok,
    Failure,
    Usage,
    NoBus,
    Timeout,
    Refused,
    NotFound,
    Problems,
    Elsewhere,
    Settings,
    UnsafeFileSystem,
    Interrupted,
    /// The code that the subcommand of an extension ended with.
    OfExtension(u8),
}

impl Exit {
    /// Every code of our own, in the order of its number.
    pub const ALL: [Exit; 12] = [
        Exit::Ok,
        Exit::Failure,
        Exit::Usage,
        Exit::NoBus,
        Exit::Timeout,
        Exit::Refused,
        Exit::NotFound,
        Exit::Problems,
        Exit::Elsewhere,
        Exit::Settings,
        Exit::UnsafeFileSystem,
        Exit::Interrupted,
    ];

    pub const fn number(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
            Exit::NoBus => 3,
            Exit::Timeout => 4,
            Exit::Refused => 5,
            Exit::NotFound => 6,
            Exit::Problems => 7,
            Exit::Elsewhere => 8,
            Exit::Settings => 9,
            Exit::UnsafeFileSystem => 10,
            // As a shell counts a process that SIGINT ended: 128 + 2.
            Exit::Interrupted => 130,
            Exit::OfExtension(code) => code,
        }
    }

    /// For a person, in one line.
    pub const fn meaning(self) -> &'static str {
        match self {
            Exit::Ok => "done",
            Exit::Failure => "it failed for a reason that has no number of its own, such as a full disk",
            Exit::Usage => "the command line is wrong; nothing was done",
            Exit::NoBus => "there is no bus here, or it was made by a newer postroom",
            Exit::Timeout => "what was waited for did not come in time; what was sent stays sent",
            Exit::Refused => {
                "the message or the extension was refused, or the answer is an error or an `mcp.response` without success"
            }
            Exit::NotFound => {
                "there is no such message, dead letter, lease, agent, inbox or extension, the inbox is empty, or `'*'` reaches nobody"
            }
            Exit::Problems => {
                "`doctor` or `ext check` found problems, or `demo`, `bench` or `ext test` saw something other than it must"
            }
            Exit::Elsewhere => {
                "a service on another machine, or in another mount namespace (a container), is at work on this bus"
            }
            Exit::Settings => "`postroom.toml` cannot be read or is wrong",
            Exit::UnsafeFileSystem => {
                "the file system cannot keep the promises (network, synced), and nobody insisted with --force-file-system"
            }
            Exit::Interrupted => "stopped at once by a second SIGINT or SIGTERM",
            Exit::OfExtension(_) => "what the subcommand of an extension says",
        }
    }

    /// The table as Markdown, as `docs/commands.md` and the README show it.
    #[cfg(test)]
    pub fn table() -> String {
        let mut table = String::from("| code | meaning |\n| --- | --- |\n");
        for exit in Exit::ALL {
            table.push_str(&format!("| {} | {} |\n", exit.number(), exit.meaning()));
        }
        table
    }

    /// The table as the end of `postroom --help` shows it.
    pub fn help() -> String {
        let mut help = String::from("Exit codes:\n");
        for exit in Exit::ALL {
            help.push_str(&format!("  {:>3}  {}\n", exit.number(), exit.meaning()));
        }
        help
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_the_same_table() {
        let documents = [
            ("docs/commands.md", include_str!("../../docs/commands.md")),
            ("README.md", include_str!("../../README.md")),
        ];
        for (name, documented) in documents {
            assert!(documented.contains(&Exit::table()), "{name} must contain:\n\n{}", Exit::table());
        }
    }

    #[test]
    fn no_two_codes_have_one_number() {
        let mut numbers: Vec<u8> = Exit::ALL.iter().map(|exit| exit.number()).collect();
        assert!(numbers.is_sorted());
        numbers.dedup();
        assert_eq!(numbers.len(), Exit::ALL.len());
    }
}
