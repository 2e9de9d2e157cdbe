//! A component from a server.

use std::io::Read as _;
use std::time::Duration;

use postroom::extension::{COMPONENT_BYTES, ComponentHash};
use ureq::config::Config;
use ureq::http::Uri;

use super::source::too_large;
use crate::cli::{Exit, Failure, print, text};

/// Until the server answers at all.
const CONNECT: Duration = Duration::from_secs(30);
/// For all of it: 256 MiB in this time are 0.15 MiB a second.
const DOWNLOAD: Duration = Duration::from_secs(1_800);
const READ_AT_A_TIME: usize = 64 << 10;

/// May the address be asked as it is? What comes over http can be changed by anybody on the way.
fn check_transport(uri: &Uri, expected: Option<&ComponentHash>) -> Result<(), Failure> {
    let is_here = matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if uri.scheme_str() == Some("http") && expected.is_none() && !is_here {
        let what = text::field(&uri.to_string());
        return Err(Failure::new(Exit::Usage, format!("{what} is not protected on its way"))
            .with_hint("use https, or say with --sha256 what must arrive"));
    }
    Ok(())
}

/// How this address is asked: what began protected stays so.
fn config(uri: &Uri) -> Config {
    let is_https = uri.scheme_str() == Some("https");
    ureq::Agent::config_builder()
        .https_only(is_https)
        // Without protection, another server could be named on the way.
        .max_redirects(if is_https { 5 } else { 0 })
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(CONNECT))
        .timeout_global(Some(DOWNLOAD))
        .user_agent(concat!("postroom/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// What the server answers, all of it.
pub(super) fn download(uri: &Uri, expected: Option<&ComponentHash>) -> Result<Vec<u8>, Failure> {
    check_transport(uri, expected)?;
    let shown = text::field(&uri.to_string());
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Failure, text::sentence(&format!("cannot download {shown}: {error}")))
    };
    let mut response = ureq::Agent::new_with_config(config(uri)).get(uri.clone()).call().map_err(|e| failed(&e))?;
    let status = response.status();
    if !status.is_success() {
        return Err(failed(&format!("the server answers {status}")));
    }
    let length = response.body().content_length();
    if length.is_some_and(|length| length > COMPONENT_BYTES) {
        return Err(too_large(&shown));
    }
    let bar = print::progress(length.unwrap_or(0), "downloading");
    let mut reader = response.body_mut().with_config().limit(COMPONENT_BYTES + 1).reader();
    let mut bytes = Vec::new();
    let mut part = vec![0; READ_AT_A_TIME];
    loop {
        match reader.read(&mut part) {
            Ok(0) => break,
            Ok(read) => bytes.extend_from_slice(&part[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(&error)),
        }
        if bytes.len() as u64 > COMPONENT_BYTES {
            return Err(too_large(&shown));
        }
        bar.set_position(bytes.len() as u64);
    }
    bar.finish_and_clear();
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use ureq::unversioned::resolver::DefaultResolver;
    use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, TcpConnector, Transport};

    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().expect("an address")
    }

    #[test]
    fn what_may_be_asked() {
        let hash = ComponentHash::of(b"");
        let check = |text: &str, hash| check_transport(&uri(text), hash).is_ok();
        assert!(check("https://example.org/a.wasm", None));
        assert!(!check("http://example.org/a.wasm", None));
        assert!(check("http://example.org/a.wasm", Some(&hash)));
        for here in ["http://127.0.0.1:8080/a.wasm", "http://localhost/a.wasm", "http://[::1]:1/a.wasm"] {
            assert!(check(here, None), "{here}");
        }
        for elsewhere in ["http://127.0.0.1.example.org/a", "http://localhost.example.org/a", "http://me@example.org/a"]
        {
            assert!(!check(elsewhere, None), "{elsewhere}");
        }
    }

    /// A connection without TLS that passes for one with it, so that a server for https is a few lines.
    #[derive(Debug)]
    struct Pretended<T>(T);

    impl Connector for Pretended<TcpConnector> {
        type Out = Pretended<<TcpConnector as Connector>::Out>;

        fn connect(&self, details: &ConnectionDetails, chained: Option<()>) -> Result<Option<Self::Out>, ureq::Error> {
            Ok(self.0.connect(details, chained)?.map(Pretended))
        }
    }

    impl<T: Transport> Transport for Pretended<T> {
        fn buffers(&mut self) -> &mut dyn Buffers {
            self.0.buffers()
        }

        fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
            self.0.transmit_output(amount, timeout)
        }

        fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
            self.0.await_input(timeout)
        }

        fn is_open(&mut self) -> bool {
            self.0.is_open()
        }

        fn is_tls(&self) -> bool {
            true
        }
    }

    /// Answers with these, one to each connection; its host and port.
    fn server(answers: Vec<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut request = [0; 4096];
                // The whole request of a test is one packet.
                let _ = stream.read(&mut request).and_then(|_| stream.write_all(answer.as_bytes()));
            }
        });
        address.to_string()
    }

    fn moved(to: &str) -> String {
        format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    }

    fn asked(from: &str) -> Result<String, String> {
        let resolver = DefaultResolver::default();
        let agent = ureq::Agent::with_parts(config(&uri(from)), Pretended(TcpConnector::default()), resolver);
        let answer = agent.get(from).call().map_err(|error| error.to_string())?;
        answer.into_body().read_to_string().map_err(|error| error.to_string())
    }

    /// Another protected server may be named on the way, one that is not never.
    #[test]
    fn what_began_protected_stays_so() {
        let body = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi".to_owned();
        let second = server(vec![body.clone()]);
        let first = server(vec![moved(&format!("https://{second}/b"))]);
        assert_eq!(asked(&format!("https://{first}/a")), Ok("hi".to_owned()));
        let second = server(vec![body]);
        let first = server(vec![moved(&format!("http://{second}/b"))]);
        let refused = asked(&format!("https://{first}/a")).expect_err("refused");
        assert!(refused.contains("https only") && refused.contains(&second), "{refused}");
    }
}
