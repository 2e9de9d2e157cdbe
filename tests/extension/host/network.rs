//! Connections of a guest: only where the settings say so.

use std::net::TcpListener;

use super::guest::{Guest, UNLESS_REFUSED};
use super::{all_loaded, reply};

const ERRORS: &str = r#"(enum "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout"
    "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit" "address-not-bindable"
    "address-in-use" "remote-unreachable" "connection-refused" "connection-reset" "connection-aborted" "datagram-too-large"
    "name-unresolvable" "temporary-resolver-failure" "permanent-resolver-failure")"#;

/// The place of `access-denied` among them.
const ACCESS_DENIED: &str = "1";

fn imports() -> String {
    format!(
        r#"
        (import "wasi:sockets/network@0.2.0" (instance $network
            (export "network" (type (sub resource)))
            (type $error-0 {ERRORS}) (export "error-code" (type (eq $error-0)))
            (type $family-0 (enum "ipv4" "ipv6")) (export "ip-address-family" (type (eq $family-0)))
            (type $v4 (tuple u8 u8 u8 u8)) (type $v6 (tuple u16 u16 u16 u16 u16 u16 u16 u16))
            (type $address4-0 (record (field "port" u16) (field "address" $v4)))
            (export "ipv4-socket-address" (type $address4 (eq $address4-0)))
            (type $address6-0 (record
                (field "port" u16) (field "flow-info" u32) (field "address" $v6) (field "scope-id" u32)))
            (export "ipv6-socket-address" (type $address6 (eq $address6-0)))
            (type $address-0 (variant (case "ipv4" $address4) (case "ipv6" $address6)))
            (export "ip-socket-address" (type (eq $address-0)))))
        (alias export $network "network" (type $network-type))
        (alias export $network "error-code" (type $error-type))
        (alias export $network "ip-address-family" (type $family-type))
        (alias export $network "ip-socket-address" (type $address-type))
        (import "wasi:sockets/instance-network@0.2.0" (instance $instance-network
            (alias outer $outer $network-type (type $network-0)) (export "network" (type $network (eq $network-0)))
            (export "instance-network" (func (result (own $network))))))
        (alias export $instance-network "instance-network" (func $instance-network))
        (import "wasi:io/streams@0.2.0" (instance $streams
            (export "input-stream" (type (sub resource))) (export "output-stream" (type (sub resource)))))
        (alias export $streams "input-stream" (type $input-type))
        (alias export $streams "output-stream" (type $output-type))
        (import "wasi:sockets/tcp@0.2.0" (instance $tcp
            (alias outer $outer $network-type (type $network-0)) (export "network" (type $network (eq $network-0)))
            (alias outer $outer $error-type (type $error-0)) (export "error-code" (type $error (eq $error-0)))
            (alias outer $outer $address-type (type $address-0)) (export "ip-socket-address" (type $address (eq $address-0)))
            (alias outer $outer $input-type (type $input-0)) (export "input-stream" (type $input (eq $input-0)))
            (alias outer $outer $output-type (type $output-0)) (export "output-stream" (type $output (eq $output-0)))
            (export "tcp-socket" (type $socket (sub resource)))
            (type $done (result (error $error)))
            (type $pair (tuple (own $input) (own $output))) (type $connected (result $pair (error $error)))
            (export "[method]tcp-socket.start-connect" (func
                (param "self" (borrow $socket)) (param "network" (borrow $network)) (param "remote-address" $address)
                (result $done)))
            (export "[method]tcp-socket.finish-connect" (func (param "self" (borrow $socket)) (result $connected)))))
        (alias export $tcp "tcp-socket" (type $socket-type))
        (alias export $tcp "[method]tcp-socket.start-connect" (func $start))
        (alias export $tcp "[method]tcp-socket.finish-connect" (func $finish))
        (import "wasi:sockets/tcp-create-socket@0.2.0" (instance $create
            (alias outer $outer $error-type (type $error-0)) (export "error-code" (type $error (eq $error-0)))
            (alias outer $outer $family-type (type $family-0)) (export "ip-address-family" (type $family (eq $family-0)))
            (alias outer $outer $socket-type (type $socket-0)) (export "tcp-socket" (type $socket (eq $socket-0)))
            (type $made (result (own $socket) (error $error)))
            (export "create-tcp-socket" (func (param "address-family" $family) (result $made)))))
        (alias export $create "create-tcp-socket" (func $create))
        "#
    )
}

/// Connects to 127.0.0.1 at this port, and replies with `null`, or with the number of the error.
fn connecting(port: u16) -> Vec<u8> {
    let functions = [
        ("instance-network", "(result i32)"),
        ("create", "(param i32 i32)"),
        ("start", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)"),
        ("finish", "(param i32 i32)"),
    ];
    let mut guest = Guest::new().importing_by_hand(&imports(), &functions);
    let null = guest.text("null");
    // An error is one byte; as a digit it is JSON.
    let or_error = |at: u32| {
        let answer = "(i32.store8 (i32.const 900) (i32.add (i32.const 48) (i32.load8_u (i32.const AT)))) (return (call $ok (i32.const 900) (i32.const 1)))";
        UNLESS_REFUSED.replace("(return (i32.const 512))", &answer.replace("AT", &at.to_string()))
    };
    let body = format!(
        "(local $socket i32)
         (call $create (i32.const 0) (i32.const 512)) {}
         (local.set $socket (i32.load (i32.const 516)))
         (call $start (local.get $socket) (call $instance-network)
            (i32.const 0) (i32.const {port}) (i32.const 127) (i32.const 0) (i32.const 0) (i32.const 1)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 512)) {}
         (loop $again
            (call $finish (local.get $socket) (i32.const 512))
            (br_if $again (i32.and (i32.load8_u (i32.const 512)) (i32.eq (i32.load8_u (i32.const 516)) (i32.const 8)))))
         {}
         (call $ok {null})",
        or_error(516),
        or_error(513),
        or_error(516),
    );
    guest.handling(&body).component()
}

#[tokio::test]
async fn a_guest_connects_to_granted_endpoints_and_to_no_others() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let other = port.checked_add(1).unwrap_or(1);
    for network in [String::new(), format!("\"127.0.0.1:{other}\""), format!("\"127.0.0.2:{port}\"")] {
        let settings = format!("extension.it.wasi.network = [{network}]");
        let host = all_loaded(&settings, &[("it", connecting(port))]).await;
        assert_eq!(reply(&host, "it", "1").await, ACCESS_DENIED, "{network}");
        assert!(listener.accept().is_err(), "{network}");
    }
    let settings = format!("extension.it.wasi.network = [\"127.0.0.1:{port}\"]");
    let host = all_loaded(&settings, &[("it", connecting(port))]).await;
    assert_eq!(reply(&host, "it", "1").await, "null");
    assert!(listener.accept().is_ok());
}
