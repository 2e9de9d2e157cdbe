//! What `--help` says, command by command: it is part of the interface, so a change of it shows up here.

use std::path::Path;

use super::runner::run_in;

fn help(command: &[&str]) -> String {
    // Trailing blanks are the help's own way to draw empty lines; they say nothing.
    let out = run_in(Path::new("/"), &[command, &["--help"]].concat()).ok().out;
    out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn postroom() {
    insta::assert_snapshot!(help(&[]), @r#"
    The message bus that lives in a folder: drop a JSON file, get a reply file

    Usage: postroom [OPTIONS] <COMMAND>

    Commands:
      init         Make a bus: its folders, its settings, and its documentation
      serve        Run the service on the bus
      send         Drop a message and print its id
      call         Send a message, wait for the reply, and print its payload
      recv         Take the oldest message out of an inbox and print it
      ack          Acknowledge a leased message: it is handled, and removed
      nack         Give a leased message back: the next `recv` gets it
      agents       Show who is on the bus: registered agents and inboxes
      status       Show the bus at a glance: who is active, what waits, how much goes through
      list         List the messages in one state, or in all but the archive
      trace        Tell the story of one message: each step, who, how long, and where it is now
      tail         Show each step of each message as it happens
      dead-letter  Look at what was refused or given up, try it again, or remove it
      ext          Install, look at, test and remove extensions
      doctor       Find out what is wrong with the bus, and what to do about it
      bench        Measure a real service through the folder
      demo         See it work: a fresh bus, a service, an extension, an agent, messages dropped by a
                   plain shell
      schema       Print the JSON Schema of a message
      completions  Print a completion script for a shell
      help         Print this message or the help of the given subcommand(s)

    Options:
          --bus <DIR>
              The bus folder [default: the nearest ai-communication/ upward from the current folder]

              [env: POSTROOM_BUS]

          --json
              Print data as JSON, one value a line, in the shapes of docs/commands.md

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Exit codes:
        0  done
        1  it failed for a reason that has no number of its own, such as a full disk
        2  the command line is wrong; nothing was done
        3  there is no bus here, or it was made by a newer postroom
        4  what was waited for did not come in time; what was sent stays sent
        5  the message or the extension was refused, or the answer is an error or an `mcp.response`
        without success
        6  there is no such message, dead letter, lease, agent, inbox or extension, the inbox is empty,
        or `'*'` reaches nobody
        7  `doctor` or `ext check` found problems, or `demo`, `bench` or `ext test` saw something other
        than it must
        8  a service on another machine, or in another mount namespace (a container), is at work on this
        bus
        9  `postroom.toml` cannot be read or is wrong
       10  the file system cannot keep the promises (network, synced), and nobody insisted with
       --force-file-system
      130  stopped at once by a second SIGINT or SIGTERM
    "#);
}

#[test]
fn init() {
    insta::assert_snapshot!(help(&["init"]), @r#"
    Make a bus: its folders, its settings, and its documentation

    Nothing that is there is changed or removed. Without --bus the folder is ai-communication/ in the
    current folder, which must not lie in a bus itself.

    Usage: postroom init [OPTIONS]

    Options:
          --bus <DIR>
              The bus folder [default: ai-communication/ in the current folder]

              [env: POSTROOM_BUS]

          --json
              Print data as JSON, one value a line, in the shapes of docs/commands.md

      -h, --help
              Print help (see a summary with '-h')
    "#);
}

#[test]
fn serve() {
    insta::assert_snapshot!(help(&["serve"]), @r#"
    Run the service on the bus

    The first service on a bus is active; others stand by and take over when it ends or hangs. SIGTERM
    or Ctrl-C stops it cleanly within 10 seconds; a second one ends it at once, which loses nothing
    either.

    Usage: postroom serve [OPTIONS]

    Options:
          --bus <DIR>
              The bus folder [default: the nearest ai-communication/ upward from the current folder]

              [env: POSTROOM_BUS]

          --once
              Handle what is there and due, then return

          --force-file-system
              Use a file system that cannot keep the promises (network, synced by a cloud program)

          --json
              Print data as JSON, one value a line, in the shapes of docs/commands.md

      -h, --help
              Print help (see a summary with '-h')
    "#);
}

#[test]
fn send() {
    insta::assert_snapshot!(help(&["send"]), @r#"
    Drop a message and print its id

    The service need not be running. The reply, if there is one, comes to the sender's inbox as
    <id>.reply.json.

    Usage: postroom send [OPTIONS] --to <NAME> --action <ACTION> [PAYLOAD]...

    Arguments:
      [PAYLOAD]...
              The payload: JSON, or KEY=VALUE pairs (a VALUE is JSON where it can be, text otherwise),
              or - for standard input

    Options:
          --bus <DIR>
              The bus folder [default: the nearest ai-communication/ upward from the current folder]

              [env: POSTROOM_BUS]

          --to <NAME>
              Who gets it; repeat for several, or '*' for everybody whom it may concern

          --action <ACTION>
              What to do, such as mcp.core.echo

          --json
              Print data as JSON, one value a line, in the shapes of docs/commands.md

          --from <NAME>
              Who sends; answers come to this inbox

              [default: cli]

          --payload-file <FILE>
              Read the payload from a file

          --id <ID>
              The message's id [default: a new UUIDv7]

          --priority <N>
              0 to 9; higher goes first among what is waiting [default: 4]

          --expires-in <TIME>
              Not handled after this time from now, such as 30s, 5m, 2h; a bare number is seconds

          --delay <TIME>
              Not handled before this time from now

          --not-before <MOMENT>
              Not handled before this moment, such as 2026-01-31T12:00:00Z

          --reply-to <ID>
              The id of the message that this one answers

          --correlation <ID>
              The id of the conversation that it belongs to

      -h, --help
              Print help (see a summary with '-h')
    "#);
}

#[test]
fn call() {
    insta::assert_snapshot!(help(&["call"]), @r#"
    Send a message, wait for the reply, and print its payload

    With several recipients it waits for the reply of each. The reply's file is removed when its payload
    has been printed. An error reply is printed on standard error; the exit code is 5, as it is for an
    mcp.response without success.

    Usage: postroom call [OPTIONS] --to <NAME> --action <ACTION> [PAYLOAD]...

    Arguments:
      [PAYLOAD]...
              The payload: JSON, or KEY=VALUE pairs (a VALUE is JSON where it can be, text otherwise),
              or - for standard input

    Options:
          --bus <DIR>
              The bus folder [default: the nearest ai-communication/ upward from the current folder]

              [env: POSTROOM_BUS]

          --to <NAME>
              Who gets it; repeat for several, or '*' for everybody whom it may concern

          --action <ACTION>
              What to do, such as mcp.core.echo

          --json
              Print data as JSON, one value a line, in the shapes of docs/commands.md

          --from <NAME>
              Who sends; answers come to this inbox

              [default: cli]

          --payload-file <FILE>
              Read the payload from a file

          --id <ID>
              The message's id [default: a new UUIDv7]

          --priority <N>
              0 to 9; higher goes first among what is waiting [default: 4]

          --expires-in <TIME>
              Not handled after this time from now, such as 30s, 5m, 2h; a bare number is seconds

          --delay <TIME>
              Not handled before this time from now

          --not-before <MOMENT>
              Not handled before this moment, such as 2026-01-31T12:00:00Z

          --reply-to <ID>
              The id of the message that this one answers

          --correlation <ID>
              The id of the conversation that it belongs to

          --timeout <TIME>
              How long to wait

              [default: 30s]

          --replies <N>
              With '*', how many replies to wait for

              [default: 1]

          --keep
              Leave the reply in the inbox

      -h, --help
              Print help (see a summary with '-h')
    "#);
}

#[test]
fn recv() {
    insta::assert_snapshot!(help(&["recv"]), @r#"
    Take the oldest message out of an inbox and print it

    The message is printed as one line of JSON and then removed, which acknowledges it. With --lease it
    stays, hidden from other consumers for 60 seconds; acknowledge it with `postroom ack`, or give it
    back with `postroom nack`. Nothing there: exit code 6.

    Usage: postroom recv [OPTIONS] <AGENT>

    Arguments:
      <AGENT>
              Whose inbox

    Options:
          --bus <DIR>
              The bus folder [default: the nearest ai-communication/ upward from the current folder]

              [env: POSTROOM_BUS]

          --wait
              Wait for a message (and make the inbox, so that messages can come)

          --json
              Print data as JSON, one value a line, in the shapes of docs/commands.md

          --timeout <TIME>
              How long to wait [default: for ever]

          --lease
              Keep it leased, and say by which name to acknowledge it

      -h, --help
              Print help (see a summary with '-h')
    "#);
}

#[test]
fn ack() {
    insta::assert_snapshot!(help(&["ack"]), @r#"
    Acknowledge a leased message: it is handled, and removed

    Usage: postroom ack [OPTIONS] <LEASE>

    Arguments:
      <LEASE>  The lease, as `recv --lease` says it

    Options:
          --bus <DIR>  The bus folder [default: the nearest ai-communication/ upward from the current
                       folder] [env: POSTROOM_BUS]
          --json       Print data as JSON, one value a line, in the shapes of docs/commands.md
      -h, --help       Print help
    "#);
}

#[test]
fn nack() {
    insta::assert_snapshot!(help(&["nack"]), @r#"
    Give a leased message back: the next `recv` gets it

    Usage: postroom nack [OPTIONS] <LEASE>

    Arguments:
      <LEASE>  The lease, as `recv --lease` says it

    Options:
          --bus <DIR>  The bus folder [default: the nearest ai-communication/ upward from the current
                       folder] [env: POSTROOM_BUS]
          --json       Print data as JSON, one value a line, in the shapes of docs/commands.md
      -h, --help       Print help
    "#);
}

#[test]
fn agents() {
    insta::assert_snapshot!(help(&["agents"]), @r#"
    Show who is on the bus: registered agents and inboxes

    Usage: postroom agents [OPTIONS]

    Options:
          --bus <DIR>  The bus folder [default: the nearest ai-communication/ upward from the current
                       folder] [env: POSTROOM_BUS]
          --json       Print data as JSON, one value a line, in the shapes of docs/commands.md
      -h, --help       Print help
    "#);
}

#[test]
fn status() {
    insta::assert_snapshot!(help(&["status"]), @r#"
    Show the bus at a glance: who is active, what waits, how much goes through

    Usage: postroom status [OPTIONS]

    Options:
          --bus <DIR>  The bus folder [default: the nearest ai-communication/ upward from the current
                       folder] [env: POSTROOM_BUS]
          --json       Print data as JSON, one value a line, in the shapes of docs/commands.md
      -h, --help       Print help
    "#);
}

#[test]
fn list() {
    insta::assert_snapshot!(help(&["list"]), @r#"
    List the messages in one state, or in all but the archive

    Oldest first; the archive newest first.

    Usage: postroom list [OPTIONS] [STATE]

    Arguments:
      [STATE]
              Which state [default: all but archive]

              [possible values: drop, processing, deferred, held, inbox, dead-letter, archive]

    Options:
          --bus <DIR>
              The bus folder [default: the nearest ai-communication/ upward from the current folder]

              [env: POSTROOM_BUS]

          --limit <N>
              How many of each state to show; 0 shows all

              [default: 50]

          --json
              Print data as JSON, one value a line, in the shapes of docs/commands.md

      -h, --help
              Print help (see a summary with '-h')
    "#);
}

#[test]
fn trace() {
    insta::assert_snapshot!(help(&["trace"]), @r#"
    Tell the story of one message: each step, who, how long, and where it is now

    Usage: postroom trace [OPTIONS] <ID>

    Arguments:
      <ID>  The message's id, or its ticket

    Options:
          --bus <DIR>  The bus folder [default: the nearest ai-communication/ upward from the current
                       folder] [env: POSTROOM_BUS]
          --json       Print data as JSON, one value a line, in the shapes of docs/commands.md
      -h, --help       Print help
    "#);
}

#[test]
fn tail() {
    insta::assert_snapshot!(help(&["tail"]), @r#"
    Show each step of each message as it happens

    With --json, the lines of the journal as they are. It ends when the bus is moved or removed: exit
    code 3.

    Usage: postroom tail [OPTIONS]

    Options:
          --bus <DIR>
              The bus folder [default: the nearest ai-communication/ upward from the current folder]

              [env: POSTROOM_BUS]

      -n, --lines <N>
              How many earlier lines to show first, as far as the days are not packed

              [default: 10]

          --json
              Print data as JSON, one value a line, in the shapes of docs/commands.md

          --no-follow
              Show what is there, then end

      -h, --help
              Print help (see a summary with '-h')
    "#);
}

#[test]
fn dead_letter() {
    insta::assert_snapshot!(help(&["dead-letter"]), @r#"
    Look at what was refused or given up, try it again, or remove it

    Usage: postroom dead-letter [OPTIONS] <COMMAND>

    Commands:
      list   List the dead letters, oldest first
      show   Show a dead letter: why, and the message as it came
      retry  Try dead letters again from the start: attempts count anew, and the error reply is
             superseded
      purge  Remove dead letters for good
      help   Print this message or the help of the given subcommand(s)

    Options:
          --bus <DIR>  The bus folder [default: the nearest ai-communication/ upward from the current
                       folder] [env: POSTROOM_BUS]
          --json       Print data as JSON, one value a line, in the shapes of docs/commands.md
      -h, --help       Print help
    "#);
}

#[test]
fn dead_letter_list() {
    insta::assert_snapshot!(help(&["dead-letter", "list"]), @r#"
    List the dead letters, oldest first

    Usage: postroom dead-letter list [OPTIONS]

    Options:
          --bus <DIR>  The bus folder [default: the nearest ai-communication/ upward from the current
                       folder] [env: POSTROOM_BUS]
          --json       Print data as JSON, one value a line, in the shapes of docs/commands.md
      -h, --help       Print help
    "#);
}

#[test]
fn dead_letter_show() {
    insta::assert_snapshot!(help(&["dead-letter", "show"]), @r#"
    Show a dead letter: why, and the message as it came

    Usage: postroom dead-letter show [OPTIONS] <TICKET>

    Arguments:
      <TICKET>  Its ticket, or the message's id

    Options:
          --bus <DIR>  The bus folder [default: the nearest ai-communication/ upward from the current
                       folder] [env: POSTROOM_BUS]
          --json       Print data as JSON, one value a line, in the shapes of docs/commands.md
      -h, --help       Print help
    "#);
}

#[test]
fn dead_letter_retry() {
    insta::assert_snapshot!(help(&["dead-letter", "retry"]), @r#"
    Try dead letters again from the start: attempts count anew, and the error reply is superseded

    Usage: postroom dead-letter retry [OPTIONS] <TICKETS|--all|--older-than <TIME>>

    Arguments:
      [TICKETS]...  Their tickets, or the messages' ids

    Options:
          --all                All of them
          --bus <DIR>          The bus folder [default: the nearest ai-communication/ upward from the
                               current folder] [env: POSTROOM_BUS]
          --json               Print data as JSON, one value a line, in the shapes of docs/commands.md
          --older-than <TIME>  Those that are older, such as 7d
          --timeout <TIME>     How long to wait for the service [default: 30s]
          --force-file-system  Do it also on a file system that cannot keep the promises, where no
                               service is at work
      -h, --help               Print help
    "#);
}

#[test]
fn dead_letter_purge() {
    insta::assert_snapshot!(help(&["dead-letter", "purge"]), @r#"
    Remove dead letters for good

    Usage: postroom dead-letter purge [OPTIONS] <TICKETS|--all|--older-than <TIME>>

    Arguments:
      [TICKETS]...  Their tickets, or the messages' ids

    Options:
          --all                All of them
          --bus <DIR>          The bus folder [default: the nearest ai-communication/ upward from the
                               current folder] [env: POSTROOM_BUS]
          --json               Print data as JSON, one value a line, in the shapes of docs/commands.md
          --older-than <TIME>  Those that are older, such as 7d
          --timeout <TIME>     How long to wait for the service [default: 30s]
          --force-file-system  Do it also on a file system that cannot keep the promises, where no
                               service is at work
      -h, --help               Print help
    "#);
}

#[test]
fn doctor() {
    insta::assert_snapshot!(help(&["doctor"]), @r#"
    Find out what is wrong with the bus, and what to do about it

    Usage: postroom doctor [OPTIONS]

    Options:
          --bus <DIR>  The bus folder [default: the nearest ai-communication/ upward from the current
                       folder] [env: POSTROOM_BUS]
          --json       Print data as JSON, one value a line, in the shapes of docs/commands.md
      -h, --help       Print help
    "#);
}

#[test]
fn bench() {
    insta::assert_snapshot!(help(&["bench"]), @r#"
    Measure a real service through the folder

    Each mode gets a fresh bus in DIR. Measure on the file system that counts: a temporary folder may be
    in memory, and an ext4 without a journal slows down after many deletions.

    Usage: postroom bench [OPTIONS]

    Options:
          --bus <DIR>
              The bus folder [default: the nearest ai-communication/ upward from the current folder]

              [env: POSTROOM_BUS]

          --mode <MODE>
              What to measure; may be repeated [default: blast, idle, rate]

              Possible values:
              - blast:   As many as it takes, with up to --outstanding under way
              - idle:    One at a time: the next when the reply is there
              - rate:    A fixed number per second
              - backlog: All dropped before the service starts

          --json
              Print data as JSON, one value a line, in the shapes of docs/commands.md

          --messages <N>
              Messages of each run [default: as the mode needs]

          --outstanding <K>
              In `blast`, how many messages may be without a reply at a time

              [default: 512]

          --rate <R>
              In `rate`, messages per second

              [default: 500]

          --payload-bytes <N>
              Bytes of each payload; a message has about 120 more

              [default: 280]

          --payload <PAYLOAD>
              What each payload is made of

              Possible values:
              - text: One long string, which a parser passes over
              - data: Objects, numbers and short strings

              [default: text]

          --payload-json <JSON>
              The payload of each message, in place of one that is made up

          --action <ACTION>
              What each message asks for

              [default: mcp.core.echo]

          --extension <FILE>
              Send to this component in place of the service; may be repeated, what others import first:
              messages go to the last

          --instance <INSTANCE>
              How long an instance lives: for one message, or for several

              [default: fresh]
              [possible values: fresh, reused]

          --concurrency <N>
              How many messages an extension handles at a time

              [default: 4]

          --grant <GRANT>
              Grant this to every extension; may be repeated

          --copies <N>
              Install so many more copies of the last component under other names

              [default: 0]

          --durability <DURABILITY>
              What the service promises for a message

              Possible values:
              - full:    Survives power loss
              - process: Survives the end of any process

              [default: full]

          --dir <DIR>
              Where to make the buses; they are removed afterwards [default: the system's temporary
              folder]

      -h, --help
              Print help (see a summary with '-h')
    "#);
}

#[test]
fn schema() {
    insta::assert_snapshot!(help(&["schema"]), @r#"
    Print the JSON Schema of a message

    Usage: postroom schema [OPTIONS]

    Options:
          --bus <DIR>  The bus folder [default: the nearest ai-communication/ upward from the current
                       folder] [env: POSTROOM_BUS]
          --json       Print data as JSON, one value a line, in the shapes of docs/commands.md
      -h, --help       Print help
    "#);
}

#[test]
fn completions() {
    insta::assert_snapshot!(help(&["completions"]), @r#"
    Print a completion script for a shell

    Usage: postroom completions [OPTIONS] <SHELL>

    Arguments:
      <SHELL>  Which shell [possible values: bash, elvish, fish, powershell, zsh]

    Options:
          --bus <DIR>  The bus folder [default: the nearest ai-communication/ upward from the current
                       folder] [env: POSTROOM_BUS]
          --json       Print data as JSON, one value a line, in the shapes of docs/commands.md
      -h, --help       Print help
    "#);
}

#[test]
fn demo() {
    insta::assert_snapshot!(help(&["demo"]), @r#"
    See it work: a fresh bus, a service, an extension, an agent, messages dropped by a plain shell

    Usage: postroom demo [OPTIONS]

    Options:
          --bus <DIR>  The bus folder [default: the nearest ai-communication/ upward from the current
                       folder] [env: POSTROOM_BUS]
          --dir <DIR>  Where to make the workspace; it must be new or empty [default: a temporary
                       folder]
          --json       Print data as JSON, one value a line, in the shapes of docs/commands.md
          --keep       Leave the workspace there, to look at it
      -h, --help       Print help
    "#);
}

#[test]
fn ext() {
    insta::assert_snapshot!(help(&["ext"]), @r#"
    Install, look at, test and remove extensions

    Usage: postroom ext [OPTIONS] <COMMAND>

    Commands:
      add      Install an extension: checked together with all others, then put in its place
      rm       Remove an extension
      ls       List the installed extensions
      inspect  Show what an extension offers and needs, with all types
      libs     Show the libraries that extensions offer: which, by whom, used by whom
      deps     Show which extensions need which others, in the order in which they are loaded
      check    Load every extension as a service would, and name what does not load
      upgrade  Replace an installed extension by another version, or go back to the one before
      new      Start an extension of your own: a folder with its source, test cases, and how to build it
      test     Run messages against an extension, without a bus, and compare its replies
      help     Print this message or the help of the given subcommand(s)

    Options:
          --bus <DIR>  The bus folder [default: the nearest ai-communication/ upward from the current
                       folder] [env: POSTROOM_BUS]
          --json       Print data as JSON, one value a line, in the shapes of docs/commands.md
      -h, --help       Print help
    "#);
}

#[test]
fn ext_add() {
    insta::assert_snapshot!(help(&["ext", "add"]), @r#"
    Install an extension: checked together with all others, then put in its place

    A component is installed only if everything that it imports can be had, it loads, and all others
    still work. Whatever dies meanwhile, the folder has the old set or the new one.

    Usage: postroom ext add [OPTIONS] <PATH|URL>

    Arguments:
      <PATH|URL>
              The component: a file, or an https:// address (http:// with --sha256, or from this
              machine)

    Options:
          --bus <DIR>
              The bus folder [default: the nearest ai-communication/ upward from the current folder]

              [env: POSTROOM_BUS]

          --sha256 <HEX>
              Refuse a file with another SHA-256; of WebAssembly text, that of the binary will do, too

          --grant <GRANT>
              Grant this to it in postroom.toml (bus, invoke, state, log, config, clock, random, wasi);
              may be repeated

          --json
              Print data as JSON, one value a line, in the shapes of docs/commands.md

          --name <NAME>
              The name, by which messages reach it [default: the file's, without .wasm]

          --force
              Replace an extension that has the name

      -h, --help
              Print help (see a summary with '-h')
    "#);
}

#[test]
fn ext_rm() {
    insta::assert_snapshot!(help(&["ext", "rm"]), @r#"
    Remove an extension

    Usage: postroom ext rm [OPTIONS] <NAME>

    Arguments:
      <NAME>  The installed extension

    Options:
          --bus <DIR>  The bus folder [default: the nearest ai-communication/ upward from the current
                       folder] [env: POSTROOM_BUS]
          --cascade    Remove everything that needs it, too
          --json       Print data as JSON, one value a line, in the shapes of docs/commands.md
      -h, --help       Print help
    "#);
}

#[test]
fn ext_ls() {
    insta::assert_snapshot!(help(&["ext", "ls"]), @r#"
    List the installed extensions

    Usage: postroom ext ls [OPTIONS]

    Options:
          --bus <DIR>  The bus folder [default: the nearest ai-communication/ upward from the current
                       folder] [env: POSTROOM_BUS]
          --json       Print data as JSON, one value a line, in the shapes of docs/commands.md
      -h, --help       Print help
    "#);
}

#[test]
fn ext_inspect() {
    insta::assert_snapshot!(help(&["ext", "inspect"]), @r#"
    Show what an extension offers and needs, with all types

    Usage: postroom ext inspect [OPTIONS] <NAME|PATH>

    Arguments:
      <NAME|PATH>  An installed extension, or a file: what has a / in it or ends in .wasm or .wat

    Options:
          --bus <DIR>  The bus folder [default: the nearest ai-communication/ upward from the current
                       folder] [env: POSTROOM_BUS]
          --json       Print data as JSON, one value a line, in the shapes of docs/commands.md
      -h, --help       Print help
    "#);
}

#[test]
fn ext_libs() {
    insta::assert_snapshot!(help(&["ext", "libs"]), @r#"
    Show the libraries that extensions offer: which, by whom, used by whom

    Usage: postroom ext libs [OPTIONS]

    Options:
          --bus <DIR>  The bus folder [default: the nearest ai-communication/ upward from the current
                       folder] [env: POSTROOM_BUS]
          --json       Print data as JSON, one value a line, in the shapes of docs/commands.md
      -h, --help       Print help
    "#);
}

#[test]
fn ext_deps() {
    insta::assert_snapshot!(help(&["ext", "deps"]), @r#"
    Show which extensions need which others, in the order in which they are loaded

    Usage: postroom ext deps [OPTIONS] [NAME]

    Arguments:
      [NAME]  Only what this one needs, and what needs it

    Options:
          --bus <DIR>  The bus folder [default: the nearest ai-communication/ upward from the current
                       folder] [env: POSTROOM_BUS]
          --dot        As a graph for Graphviz
          --json       Print data as JSON, one value a line, in the shapes of docs/commands.md
      -h, --help       Print help
    "#);
}

#[test]
fn ext_check() {
    insta::assert_snapshot!(help(&["ext", "check"]), @r#"
    Load every extension as a service would, and name what does not load

    Usage: postroom ext check [OPTIONS]

    Options:
          --bus <DIR>  The bus folder [default: the nearest ai-communication/ upward from the current
                       folder] [env: POSTROOM_BUS]
          --json       Print data as JSON, one value a line, in the shapes of docs/commands.md
      -h, --help       Print help
    "#);
}

#[test]
fn ext_upgrade() {
    insta::assert_snapshot!(help(&["ext", "upgrade"]), @r#"
    Replace an installed extension by another version, or go back to the one before

    The new version is checked, together with all that need it, before the old one goes. The old one is
    kept for --back.

    Usage: postroom ext upgrade [OPTIONS] <NAME> [PATH|URL]

    Arguments:
      <NAME>
              The installed extension

      [PATH|URL]
              The new version: a file, or an https:// address

    Options:
          --back
              Go back to the version before; the present one can come back the same way

          --bus <DIR>
              The bus folder [default: the nearest ai-communication/ upward from the current folder]

              [env: POSTROOM_BUS]

          --json
              Print data as JSON, one value a line, in the shapes of docs/commands.md

          --sha256 <HEX>
              Refuse a file with another SHA-256; of WebAssembly text, that of the binary will do, too

          --grant <GRANT>
              Grant this to it in postroom.toml (bus, invoke, state, log, config, clock, random, wasi);
              may be repeated

      -h, --help
              Print help (see a summary with '-h')
    "#);
}

#[test]
fn ext_new() {
    insta::assert_snapshot!(help(&["ext", "new"]), @r#"
    Start an extension of your own: a folder with its source, test cases, and how to build it

    Usage: postroom ext new [OPTIONS] --lang <LANG> <NAME>

    Arguments:
      <NAME>
              The name of the extension and of its folder: a-z, 0-9 and -, a letter first

    Options:
          --bus <DIR>
              The bus folder [default: the nearest ai-communication/ upward from the current folder]

              [env: POSTROOM_BUS]

          --lang <LANG>
              In which language

              Possible values:
              - rust
              - js
              - python
              - wat:    WebAssembly text: needs no tool

          --json
              Print data as JSON, one value a line, in the shapes of docs/commands.md

      -h, --help
              Print help (see a summary with '-h')
    "#);
}

#[test]
fn ext_test() {
    insta::assert_snapshot!(help(&["ext", "test"]), @r#"
    Run messages against an extension, without a bus, and compare its replies

    CASES is a folder with a pair of files for each case: NAME.message.json is a message, of which only
    `action` must be given, and NAME.reply.json is {"payload": ...} or {"error": {...}} with as much of
    the error as matters.

    Usage: postroom ext test [OPTIONS] <PATH|NAME> <CASES>

    Arguments:
      <PATH|NAME>
              An installed extension, or a file: what has a / in it or ends in .wasm or .wat

      <CASES>
              The folder with the cases

    Options:
          --bus <DIR>
              The bus folder [default: the nearest ai-communication/ upward from the current folder]

              [env: POSTROOM_BUS]

          --json
              Print data as JSON, one value a line, in the shapes of docs/commands.md

      -h, --help
              Print help (see a summary with '-h')
    "#);
}
