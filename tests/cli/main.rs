//! The command line as its users meet it: the real program on a real bus in a folder of its own. Each test reads like a shell
//! session.

mod archive;
mod bench;
mod calls;
#[path = "../support/components.rs"]
mod components;
mod demo;
mod doctor;
mod exit_codes;
mod ext;
mod help;
mod hostile;
mod inbox;
mod init;
mod letters;
mod looking;
mod readme;
mod runner;
mod tail;
mod terminal;
