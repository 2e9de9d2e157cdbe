//! Every file in `tests/corpus/` is what its folder says: `good/`, or `bad/<code>/` with the code of its refusal.

use std::fs;
use std::path::{Path, PathBuf};

use postroom::message::{Code, Delivery, Given, Message, Trust};

const GIVEN: Given = Given { file_identity: (1, 1_763_683_200_000_000_000), now_ms: 0 };

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn good_messages_are_taken_and_delivered_unchanged() {
    let files = files("good");
    assert_eq!(files.len(), GOOD, "a file came or went: change the number with it");
    for path in files {
        let bytes = fs::read(&path).unwrap();
        let message =
            Message::parse(bytes.clone(), GIVEN).unwrap_or_else(|refusal| panic!("{}: {refusal}", path.display()));
        assert_eq!(message.text().as_bytes(), bytes, "{}", path.display());
        let delivery = Delivery {
            accepted_at: 1,
            attempt: 1,
            trust: Trust::Unsigned,
            hops: 0,
            ticket: String::new(),
            traceparent: None,
        };
        let delivered = Message::parse(message.render_delivered(&delivery).to_vec(), GIVEN)
            .unwrap_or_else(|refusal| panic!("{} delivered: {refusal}", path.display()));
        assert_eq!(delivered.payload_text(), message.payload_text(), "{}", path.display());
        assert_eq!(delivered.content_digest(), message.content_digest(), "{}", path.display());
        assert_eq!((delivered.id(), delivered.timestamp()), (message.id(), message.timestamp()), "{}", path.display());
        assert!(
            delivered.stated_delivery_text().is_some_and(|text| text.contains("\"unsigned\"")),
            "{}",
            path.display()
        );
    }
}

#[test]
fn bad_messages_are_refused_with_the_code_of_their_folder() {
    let mut count = 0;
    for folder in files("bad") {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let code = Code::named(&name).expect("a folder of bad messages has the name of a code");
        for path in files(&format!("bad/{name}")) {
            let bytes = fs::read(&path).unwrap();
            let Err(refusal) = Message::parse(bytes, GIVEN) else {
                panic!("{} was taken", path.display());
            };
            assert_eq!(refusal.code, code, "{}: {}", path.display(), refusal.message);
            let shown = format!("{} {}", refusal.message, refusal.hint.unwrap_or_default());
            assert!(!shown.chars().any(char::is_control), "{}: {shown:?}", path.display());
            assert!((10..600).contains(&shown.len()), "{}: {shown}", path.display());
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let is_cut = ["empty", "only-brace", "white-space-only"].contains(&stem) || stem.starts_with("cut-");
            assert_eq!(refusal.incomplete, is_cut, "{}: {}", path.display(), refusal.message);
            count += 1;
        }
    }
    assert_eq!(count, BAD, "a file came or went: change the number with it");
}

const GOOD: usize = 25;
const BAD: usize = 164;
