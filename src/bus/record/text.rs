//! A record as it stands in the log: a line of JSON that describes it, then the bytes of its effects.

use std::borrow::Cow::{self, Borrowed};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::layout::ClaimName;
use super::super::place::Place;
use super::{AnswerNote, Effect, Finish, IdNote, IdState, Piece, Record, Story, Target};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    term: u64,
    /// Left out where it is the place of the log.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    place: Option<Arc<Place>>,
    claim: String,
    finish: Cow<'a, Finish>,
    effects: Vec<EffectMeta<'a>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    ahead: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    id: Option<IdMeta<'a>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    answers: Option<Cow<'a, AnswerNote>>,
    story: Cow<'a, Story>,
}

/// An [`IdNote`], without what the story says in the same words: of most messages it says all but state, digest and hops.
#[derive(Serialize, Deserialize)]
struct IdMeta<'a> {
    state: IdState,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    sender: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    id: Option<Cow<'a, str>>,
    digest: Cow<'a, str>,
    /// Left out where the message has one recipient, and that is the only one who may answer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    recipients: Option<Cow<'a, [String]>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    action: Option<Cow<'a, str>>,
    hops: u32,
}

impl<'a> IdMeta<'a> {
    fn of(note: &'a IdNote, story: &Story) -> IdMeta<'a> {
        let unless_told = |word: &'a str, told: &Option<String>| match told {
            Some(told) if told == word => None,
            _ => Some(Borrowed(word)),
        };
        let is_the_recipient = story.recipient.is_some() && note.recipients.as_slice() == story.recipient.as_slice();
        IdMeta {
            state: note.state,
            sender: unless_told(&note.sender, &story.sender),
            id: unless_told(&note.id, &story.id),
            digest: Borrowed(&note.digest),
            recipients: (!is_the_recipient).then_some(Borrowed(&note.recipients)),
            action: unless_told(&note.action, &story.action),
            hops: note.hops,
        }
    }

    /// `None` if neither this nor the story says a word that is needed.
    fn note(self, story: &Story) -> Option<IdNote> {
        let word = |said: Option<Cow<str>>, told: &Option<String>| match said {
            Some(said) => Some(said.into_owned()),
            None => told.clone(),
        };
        Some(IdNote {
            state: self.state,
            sender: word(self.sender, &story.sender)?,
            id: word(self.id, &story.id)?,
            digest: self.digest.into_owned(),
            recipients: match self.recipients {
                Some(recipients) => recipients.into_owned(),
                None => vec![story.recipient.clone()?],
            },
            action: word(self.action, &story.action)?,
            hops: self.hops,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct EffectMeta<'a> {
    to: Cow<'a, Target>,
    /// Lengths of the pieces; `[start, len]` is a reference into the message.
    pieces: Vec<PieceMeta>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum PieceMeta {
    Inline(usize),
    OfMessage(usize, usize),
}

impl Record {
    /// Appends the record's text: a line of JSON, then the effects' bytes. `of_log`: the place that the log itself names.
    pub fn encode(&self, of_log: &Place, message: &[u8], out: &mut Vec<u8>) {
        let effects = self.effects.iter().map(|effect| EffectMeta {
            to: Borrowed(&effect.to),
            pieces: pieces_of(effect).map(|(meta, _)| meta).collect(),
        });
        let meta = Meta {
            term: self.term,
            place: (*self.place != *of_log).then(|| self.place.clone()),
            claim: self.claim.file_name(),
            finish: Borrowed(&self.finish),
            effects: effects.collect(),
            ahead: self.ahead,
            id: self.id.as_ref().map(|note| IdMeta::of(note, &self.story)),
            answers: self.answers.as_ref().map(Borrowed),
            story: Borrowed(&self.story),
        };
        serde_json::to_writer(&mut *out, &meta).expect("writing JSON to memory does not fail");
        out.push(b'\n');
        for effect in &self.effects {
            for (_, piece) in pieces_of(effect) {
                match piece {
                    Logged::Bytes(bytes) => out.extend_from_slice(bytes),
                    Logged::FromMessage { start, len } => out.extend_from_slice(&message[start..start + len]),
                    Logged::Reference => {}
                }
            }
        }
    }

    /// Reads what [`Record::encode`] wrote; `None` if it is not that.
    pub fn decode(of_log: Option<&Arc<Place>>, text: &[u8]) -> Option<Record> {
        let line_end = text.iter().position(|b| *b == b'\n')?;
        let meta: Meta = serde_json::from_slice(&text[..line_end]).ok()?;
        let mut rest = &text[line_end + 1..];
        let mut effects = Vec::with_capacity(meta.effects.len());
        for effect in meta.effects {
            let mut body = Vec::with_capacity(effect.pieces.len());
            for piece in effect.pieces {
                body.push(match piece {
                    PieceMeta::Inline(len) => {
                        let (bytes, after) = rest.split_at_checked(len)?;
                        rest = after;
                        Piece::Bytes(bytes.to_vec())
                    }
                    PieceMeta::OfMessage(start, len) => Piece::OfMessage { start, len },
                });
            }
            effects.push(Effect { to: effect.to.into_owned(), body });
        }
        let id = match meta.id {
            Some(id) => Some(id.note(&meta.story)?),
            None => None,
        };
        Some(Record {
            term: meta.term,
            place: meta.place.or_else(|| of_log.cloned())?,
            claim: ClaimName::parse(&meta.claim)?,
            finish: meta.finish.into_owned(),
            effects,
            ahead: meta.ahead,
            id,
            answers: meta.answers.map(|note| note.into_owned()),
            story: meta.story.into_owned(),
        })
    }
}

enum Logged<'a> {
    Bytes(&'a [u8]),
    FromMessage { start: usize, len: usize },
    Reference,
}

fn pieces_of(effect: &Effect) -> impl Iterator<Item = (PieceMeta, Logged<'_>)> {
    let refer = effect.refers_to_message();
    effect.body.iter().map(move |piece| match piece {
        Piece::Bytes(bytes) => (PieceMeta::Inline(bytes.len()), Logged::Bytes(bytes)),
        Piece::OfMessage { start, len } if refer => (PieceMeta::OfMessage(*start, *len), Logged::Reference),
        Piece::OfMessage { start, len } => (PieceMeta::Inline(*len), Logged::FromMessage { start: *start, len: *len }),
    })
}

#[cfg(test)]
mod tests {
    use super::super::LoggedLine;
    use super::*;

    /// As the first version wrote it: without log, without what extensions send and keep.
    const FIRST: &str = concat!(
        r#"{"term":1,"place":{"host":"h","host_name":"h","boot":"b","mount":"m","namespace":"n","pid":1},"#,
        r#""claim":"1.0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11~m.json","#,
        r#""finish":{"archive":{"day":"2025-11-21","hour":"07","name":"0192f0c1-7a5e-7c3b-9d57-5b0a3f6f1e11~m-1.json"}},"#,
        r#""effects":[{"to":{"inbox":{"agent":"alice","stem":"m-1.reply","number":1}},"pieces":[3]}],"#,
        r#""story":{"outcome":"replied","id":"m-1","acceptedAt":1,"decidedAt":2}}"#,
        "\n{}\n"
    );

    fn first() -> Record {
        let place: serde_json::Value = serde_json::from_str(FIRST.split('\n').next().expect("a line")).expect("JSON");
        let place = serde_json::from_value(place["place"].clone());
        Record::decode(Some(&Arc::new(place.expect("a place"))), FIRST.as_bytes()).expect("a record")
    }

    #[test]
    fn the_first_records_are_read_for_ever() {
        let record = first();
        assert_eq!((record.effects[0].len(), record.story.at, record.story.log.len()), (3, 2, 0));
        assert_eq!(record.claim.sent, None);
    }

    #[test]
    fn a_file_that_was_made_ahead_is_named_where_there_is_one() {
        let mut record = first();
        let mut encoded = Vec::new();
        record.encode(&record.place, b"", &mut encoded);
        assert!(!String::from_utf8_lossy(&encoded).contains("ahead"), "nothing is said of none");
        record.ahead = Some(Uuid::now_v7());
        encoded.clear();
        record.encode(&record.place, b"", &mut encoded);
        assert_eq!(Record::decode(Some(&record.place), &encoded), Some(record));
    }

    #[test]
    fn what_an_extension_keeps_sends_and_says_reads_back() {
        let mut record = first();
        record.claim = ClaimName::sent(3, "m-1");
        let (extension, name) = ("counter".to_owned(), "count".to_owned());
        let bytes = b"{\"v\":1}\n\0\xff".to_vec();
        record.effects.push(Effect::whole(Target::State { extension, name, version: 7 }, bytes));
        let text = "\u{1b}[2J".to_owned();
        record.story.log.push(LoggedLine { by: "counter".into(), level: "warn".into(), text });
        let mut encoded = Vec::new();
        record.encode(&record.place, b"", &mut encoded);
        assert_eq!(Record::decode(Some(&record.place), &encoded), Some(record));
    }

    fn story() -> Story {
        let word = |word: &str| Some(word.to_owned());
        let (id, sender, recipient, action) = (word("m-1"), word("alice"), word("bob"), word("do"));
        Story { id, sender, recipient, action, ..Story::default() }
    }

    fn note() -> IdNote {
        let word = |word: &str| word.to_owned();
        let (sender, id, digest, action) = (word("alice"), word("m-1"), word("00ff"), word("do"));
        IdNote { state: IdState::Used, sender, id, digest, recipients: vec![word("bob")], action, hops: 2 }
    }

    /// What is written of `note`, and whether it reads back.
    fn written(note: IdNote, story: Story) -> String {
        let mut record = first();
        (record.id, record.story) = (Some(note), story);
        let mut encoded = Vec::new();
        record.encode(&record.place, b"", &mut encoded);
        let text = String::from_utf8_lossy(&encoded).into_owned();
        assert_eq!(Record::decode(Some(&record.place), &encoded), Some(record), "{text}");
        let meta: serde_json::Value = serde_json::from_str(text.split('\n').next().expect("a line")).expect("JSON");
        meta["id"].to_string()
    }

    #[test]
    fn an_id_note_leaves_out_what_the_story_says_and_nothing_else() {
        assert_eq!(written(note(), story()), r#"{"digest":"00ff","hops":2,"state":"used"}"#);
        let whole = concat!(
            r#"{"action":"do","digest":"00ff","hops":2,"id":"m-1","recipients":["bob"],"#,
            r#""sender":"alice","state":"used"}"#
        );
        assert_eq!(written(note(), Story::default()), whole);
        let other = || "other".to_owned();
        for (changed, named) in [
            (IdNote { sender: other(), ..note() }, "sender"),
            (IdNote { id: other(), ..note() }, "id"),
            (IdNote { action: other(), ..note() }, "action"),
            (IdNote { recipients: vec![other()], ..note() }, "recipients"),
            (IdNote { recipients: Vec::new(), ..note() }, "recipients"),
            (IdNote { recipients: vec!["bob".to_owned(), other()], ..note() }, "recipients"),
        ] {
            assert!(written(changed, story()).contains(named), "{named}");
        }
    }

    /// Earlier versions wrote every note whole.
    #[test]
    fn a_whole_id_note_is_read_for_ever_and_one_that_says_too_little_is_not_one() {
        let place = first().place;
        let with = |id: &str| FIRST.replace(r#""story":"#, &format!(r#""id":{id},"story":"#));
        let read = |text: String| Record::decode(Some(&place), text.as_bytes());
        let whole = r#"{"state":"used","sender":"alice","id":"m-1","digest":"00ff","recipients":["bob"],"action":"do","hops":2}"#;
        assert_eq!(read(with(whole)).and_then(|record| record.id), Some(note()));
        assert_eq!(read(with(r#"{"state":"used","digest":"00ff","hops":2}"#)), None, "its story names no sender");
    }
}
