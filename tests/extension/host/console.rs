//! `console`, as a component sees it: there in its subcommand, nowhere else.

use std::sync::{Arc, Mutex};

use postroom::extension::Console;

use super::guest::{BUS, CONSOLE, Guest, UNLESS_REFUSED};
use super::{all_loaded, reply};

/// Remembers what was printed, and has something to be read.
#[derive(Default)]
struct Terminal(Mutex<String>);

impl Console for Terminal {
    fn print(&self, text: &str) {
        *self.0.lock().unwrap() += &format!("out:{text};");
    }

    fn print_error(&self, text: &str) {
        *self.0.lock().unwrap() += &format!("err:{text};");
    }

    fn read(&self, most: usize) -> Vec<u8> {
        b"typed"[..most.min(5)].to_vec()
    }
}

const SPEC: (&str, &str, &str) = (
    "spec",
    "(result $subcommand)",
    "(result i32) (i32.store (i32.const 700) (i32.const 2048)) (i32.store (i32.const 704) (i32.const 2))
        (i32.store (i32.const 708) (i32.const 2048)) (i32.store (i32.const 712) (i32.const 2))
        (i32.store (i32.const 716) (i32.const 2048)) (i32.store (i32.const 720) (i32.const 2)) (i32.const 700)",
);

const SUBCOMMAND: &str = r#"(type $subcommand-0 (record (field "name" string) (field "about" string) (field "usage" string)))
    (export $subcommand "subcommand" (type $subcommand-0)) (type $arguments (list string))"#;

/// Prints its first argument, and what it reads of three bytes to the standard error; its exit code is how many arguments there are. Its
/// handler prints, too.
fn talkative() -> Vec<u8> {
    let mut guest = Guest::new().importing(&CONSOLE).importing(&BUS);
    assert_eq!(guest.text("it"), "(i32.const 2048) (i32.const 2)");
    let null = guest.text("null");
    let send = guest.sending("agent", "a.b", "1").replace(UNLESS_REFUSED, "");
    let run = format!(
        "(param i32 i32) (result i32)
         {send} (if (i32.eqz (i32.load8_u (i32.const 512))) (then (unreachable)))
         (call $console.print (i32.load (local.get 0)) (i32.load offset=4 (local.get 0)))
         (call $console.read (i32.const 3) (i32.const 512))
         (call $console.print-error (i32.load (i32.const 512)) (i32.load (i32.const 516)))
         (local.get 1)"
    );
    let body = format!(
        "(call $console.print {null}) (call $console.read (i32.const 3) (i32.const 512))
         (if (i32.load (i32.const 516)) (then (unreachable)))
         (call $ok {null})"
    );
    let run = ("run", "(param \"arguments\" $arguments) (result u8)", run.as_str());
    guest.exporting("postroom:extension/cli@1.0.0", SUBCOMMAND, &[SPEC, run]).handling(&body).component()
}

#[tokio::test]
async fn a_subcommand_prints_and_reads_and_has_no_message_at_hand() {
    let host = all_loaded("extension.it.grants = [\"bus\"]", &[("it", talkative())]).await;
    let terminal = Arc::new(Terminal::default());
    let arguments = ["hello", "more"].map(str::to_owned).to_vec();
    let code = host.command("it", arguments, terminal.clone()).await.unwrap();
    assert_eq!(code, 2);
    assert_eq!(*terminal.0.lock().unwrap(), "out:hello;err:typ;");
}

#[tokio::test]
async fn a_handler_prints_nothing_and_reads_nothing() {
    let host = all_loaded("extension.it.grants = [\"bus\"]", &[("it", talkative())]).await;
    assert_eq!(reply(&host, "it", "1").await, "null");
}
