//! Every function that a component can import from the service counts: a loop that calls one comes to an end.

use std::sync::Arc;

use postroom::extension::{Configuration, ExtensionHost, Limits, Terms};
use postroom::message::{Code, Retry};

use super::guest::Guest;
use super::interfaces::{BUS, CLOCK, CONFIG, CONSOLE, INVOKE, Interface, LOG, RANDOM, STATE};
use super::{Around, Folder, attempt, failed};

/// Calls this function for ever: with empty texts, short times, and a place for what it returns.
fn calling(interface: &Interface, function: &str, signature: &str) -> Vec<u8> {
    let places = signature.matches("i32").count();
    let returns = signature.contains("(result");
    // A place for the result comes last, where there is one.
    let area = if returns || function == "sleep-ms" { "(i32.const 0)" } else { "(i32.const 512)" };
    let last = if signature.contains("param") { places } else { 0 };
    let arguments: String = (1..=last).map(|place| if place == last { area } else { "(i32.const 0)" }).collect();
    let (_, short) = interface.name.split_once('/').unwrap();
    let call = format!("(call ${}.{function} {arguments})", short.split('@').next().unwrap());
    let call = if returns { format!("(drop {call})") } else { call };
    Guest::new().importing(interface).handling(&format!("(loop $again {call} (br $again)) (unreachable)")).component()
}

fn granted() -> Configuration {
    let settings =
        "[extensions]\ngrants = [\"bus\", \"invoke\", \"state\", \"log\", \"config\", \"clock\", \"random\"]";
    let settings = postroom::policy::Settings::parse(settings).unwrap();
    let terms = Configuration::from_settings(&settings, std::path::Path::new("/")).terms("it").clone();
    Configuration::with_terms(Terms { limits: Limits { host_calls: 100, ..terms.limits.clone() }, ..terms })
}

#[tokio::test]
async fn a_loop_around_any_function_of_the_service_comes_to_an_end() {
    for interface in [BUS, INVOKE, STATE, LOG, CONFIG, CLOCK, RANDOM, CONSOLE] {
        for (function, signature) in interface.functions {
            let folder = Folder::new();
            folder.put("it.wasm", calling(&interface, function, signature));
            let (host, broken) = ExtensionHost::load(folder.0.path(), &granted()).await.unwrap();
            assert_eq!(broken, []);
            let failure = failed(attempt(&host, "it", "1", &Arc::<Around>::default()).await.handled);
            let said = (failure.code, failure.retry, failure.message.as_str());
            let expected = (Code::ResourceLimit, Retry::Final, "it called functions of others more than 100 times");
            assert_eq!(said, expected, "{} {function}", interface.name);
        }
    }
}
