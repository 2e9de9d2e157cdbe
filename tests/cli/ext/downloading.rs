//! Components from a server on this machine.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use postroom::extension::ComponentHash;

use crate::components::version;
use crate::runner::Bus;

/// Answers every request with these bytes, as they are; the address.
fn server(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that goes away in the middle is its own matter.
            let _ = respond(stream, &answer);
        }
    });
    format!("http://{address}")
}

fn respond(mut stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        request.push(byte[0]);
    }
    stream.write_all(answer)
}

fn found(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[test]
fn a_component_is_downloaded_and_checked() {
    let bus = Bus::new();
    let url = server(found(&version(1))) + "/some/where/it.wasm?token=1";
    let wrong = ComponentHash::of(b"").to_string();
    bus.ext(&["add", &url, "--sha256", &wrong]).fails_with(5);
    assert!(bus.listed().is_empty());
    bus.ext(&["add", &url, "--sha256", &ComponentHash::of(&version(1)).to_string()]).ok();
    assert_eq!(bus.installed("it"), Some(version(1)));
    let newer = server(found(&version(2))) + "/x";
    bus.ext(&["upgrade", "it", &newer]).ok();
    assert_eq!(bus.installed("it"), Some(version(2)));
}

#[test]
fn what_does_not_arrive_whole_is_not_installed() {
    let bus = Bus::new();
    let mut cut = found(&version(1));
    cut.truncate(cut.len() - 10);
    let moved =
        b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/x.wasm\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let huge = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\nConnection: close\r\n\r\n";
    for (code, what, answer) in [
        (1, "cannot download", cut),
        (1, "302", moved.to_vec()),
        (1, "404", missing.to_vec()),
        (5, "larger than 256 MiB", huge.to_vec()),
        (1, "cannot download", b"\x1b[2Jgarbage\r\n\r\n".to_vec()),
        (5, "not a WebAssembly component", found(b"<html>")),
    ] {
        let url = server(answer) + "/it.wasm";
        let ran = bus.ext(&["add", &url]).fails_with(code);
        assert!(ran.err.contains(what) && !ran.err.contains('\u{1b}'), "{what}: {ran:?}");
    }
    assert!(bus.listed().is_empty());
}

#[test]
fn what_could_be_changed_on_its_way_is_not_asked_for() {
    let bus = Bus::new();
    let ran = bus.ext(&["add", "http://example.invalid/it.wasm"]).fails_with(2);
    assert!(ran.err.contains("--sha256"), "{ran:?}");
    assert_eq!(bus.ext(&["add", "ftp://example.invalid/it.wasm"]).code, 2);
}

/// Also where the sum says what must arrive: who answers is not who was asked.
#[test]
fn without_protection_no_other_server_is_asked() {
    let bus = Bus::new();
    let there = server(found(&version(1))) + "/it.wasm";
    let moved = format!("HTTP/1.1 302 Found\r\nLocation: {there}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let url = server(moved.into_bytes()) + "/it.wasm";
    let hash = ComponentHash::of(&version(1)).to_string();
    for arguments in [&["add", &url][..], &["add", &url, "--sha256", &hash]] {
        let ran = bus.ext(arguments).fails_with(1);
        assert!(ran.err.contains("302"), "{ran:?}");
    }
    assert!(bus.listed().is_empty());
}

/// A server that does not speak TLS is not asked without it.
#[test]
fn https_is_never_less() {
    let bus = Bus::new();
    let url = server(found(&version(1))).replace("http://", "https://") + "/it.wasm";
    let hash = ComponentHash::of(&version(1)).to_string();
    let ran = bus.ext(&["add", &url, "--sha256", &hash]).fails_with(1);
    assert!(ran.err.contains("cannot download"), "{ran:?}");
    assert!(bus.listed().is_empty());
}
