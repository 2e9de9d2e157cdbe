//! Collects what the journal and the folders say of a message.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use postroom::bus::layout::{self, ClaimName};
use postroom::bus::time;
use postroom::bus::view::{Day, Item, JournalLine, State, View};
use uuid::Uuid;

use super::{Effect, MessageStory, SentOn, Step, Whereabouts};
use crate::cli::{Failure, lease, print, text};

const DAY_MS: u64 = 86_400_000;

/// Every message with this id or ticket, in the order of their tickets.
pub fn messages(view: &View, asked: &str) -> Result<Vec<MessageStory>, Failure> {
    let days = days_since(view, asked)?;
    let roots = roots(view, &days, asked);
    if roots.is_empty() {
        return unjournalled(view, asked);
    }
    let mut lines: BTreeMap<String, Vec<JournalLine>> = roots.iter().map(|root| (root.clone(), Vec::new())).collect();
    let mut retried = HashMap::new();
    for day in &days {
        // What cannot be read of them was said when they were searched.
        view.each_line(day, &mut |line| {
            if !mentions(line, &roots) {
                return;
            }
            let Some(line) = JournalLine::parse(line) else { return };
            if let ("retried", Some(letter)) = (line.step.as_str(), &line.from) {
                retried.insert(letter.clone(), line.ticket.clone());
            }
            if let Some(lines) = lines.get_mut(line.root()) {
                lines.push(line);
            }
        });
    }
    let places = Places { files: files(view, &roots)?, retried };
    lines.into_iter().map(|(root, lines)| story(view, root, once(lines), &places, &days)).collect()
}

/// The days that can tell of it. A UUIDv7 says when it was made; a clock may have been a day off.
fn days_since(view: &View, asked: &str) -> Result<Vec<Day>, Failure> {
    let mut days = view.days()?;
    let root = asked.split_once('.').map_or(asked, |(root, _)| root);
    let made =
        Uuid::parse_str(root).ok().filter(|uuid| uuid.get_version_num() == 7).and_then(|uuid| uuid.get_timestamp());
    if let Some(made) = made {
        let first = time::day((made.to_unix().0 * 1_000).saturating_sub(DAY_MS));
        days.retain(|day| day.day >= first);
    }
    Ok(days)
}

/// The tickets of the messages that are asked for.
fn roots(view: &View, days: &[Day], asked: &str) -> BTreeSet<String> {
    // An id has no character that JSON would spell otherwise, so it stands in its line as it is.
    let wanted = BTreeSet::from([asked.to_owned()]);
    let mut roots = BTreeSet::new();
    for day in days {
        let unread = view.each_line(day, &mut |line| {
            if !mentions(line, &wanted) {
                return;
            }
            let Some(line) = JournalLine::parse(line) else { return };
            if line.id.as_deref() == Some(asked) || line.ticket == asked || line.root() == asked {
                roots.insert(line.root().to_owned());
            }
        });
        for error in unread {
            print::note(&format!(
                "what happened on {} may be missing here: {}",
                day.day,
                text::sentence(&error.to_string())
            ));
        }
    }
    roots
}

fn mentions(line: &[u8], words: &BTreeSet<String>) -> bool {
    std::str::from_utf8(line).is_ok_and(|line| words.iter().any(|word| line.contains(word.as_str())))
}

/// Each step once: of two lines for one, that of the higher term. In the order of time. An attempt can wait more than once.
fn once(lines: Vec<JournalLine>) -> Vec<JournalLine> {
    let mut kept: HashMap<(String, u32, String), JournalLine> = HashMap::new();
    for line in lines {
        let step = match line.step.as_str() {
            "deferred" | "held" => format!("{} at {}", line.step, line.at),
            step => step.to_owned(),
        };
        let key = (line.ticket.clone(), line.attempt, step);
        match kept.get(&key) {
            Some(other) if other.term >= line.term => {}
            Some(_) | None => {
                kept.insert(key, line);
            }
        }
    }
    let mut lines: Vec<JournalLine> = kept.into_values().collect();
    lines.sort_by_key(|a| (a.at, a.attempt, a.n));
    lines
}

/// What has become of each ticket.
struct Places {
    /// In the states that are not the archive.
    files: HashMap<String, Item>,
    /// Dead letters that went back as new messages, and the tickets of these.
    retried: HashMap<String, String>,
}

/// Where files with these tickets lie now, in the states that are not the archive.
fn files(view: &View, roots: &BTreeSet<String>) -> Result<HashMap<String, Item>, Failure> {
    let mut files = HashMap::new();
    for state in [State::Processing, State::Deferred, State::Held, State::DeadLetter] {
        view.each(state, &mut |item| {
            let Some(ticket) = item.ticket else { return };
            if roots.contains(&ticket.uuid.to_string()) {
                files.insert(ticket.to_string(), item);
            }
        })?;
    }
    Ok(files)
}

fn story(
    view: &View,
    root: String,
    lines: Vec<JournalLine>,
    places: &Places,
    days: &[Day],
) -> Result<MessageStory, Failure> {
    let said = |of: fn(&JournalLine) -> &Option<String>| {
        let whole = lines.iter().filter(|line| line.ticket == root);
        whole.chain(&lines).find_map(|line| of(line).clone())
    };
    let mut now = Vec::new();
    let tickets: BTreeSet<&String> = lines.iter().map(|line| &line.ticket).collect();
    for ticket in tickets {
        now.push(whereabouts(view, ticket, &lines, places, days)?);
    }
    let mut effects = Vec::new();
    for line in &lines {
        for effect in line.effects.iter().filter(|effect| is_public(&effect.to)) {
            effects.push(brought(view, &effect.to)?);
        }
    }
    let names = lines.iter().flat_map(|line| &line.effects).filter_map(|effect| effect.to.to_str());
    let sent = names.filter_map(ClaimName::parse).filter(|name| name.sent.is_some() && name.ticket.part.is_none());
    let sent = sent.map(|name| SentOn { ticket: name.ticket.to_string(), id: name.stem }).collect();
    let first = lines.first().map_or(0, |line| line.at);
    Ok(MessageStory {
        id: said(|line| &line.id),
        sender: said(|line| &line.sender),
        recipient: said(|line| &line.recipient),
        action: said(|line| &line.action),
        in_reply_to: said(|line| &line.in_reply_to),
        ticket: root,
        now,
        effects,
        sent,
        steps: lines.into_iter().map(|line| step(line, first)).collect(),
    })
}

fn brought(view: &View, path: &Path) -> Result<Effect, Failure> {
    let there = view.exists(path)?;
    let lease = if there { None } else { view.lease_of(path)? };
    let agent = path.parent().and_then(Path::file_name).unwrap_or_default();
    let lease = lease.map(|lease| lease::token(&agent.to_string_lossy(), lease));
    Ok(Effect { there, lease, path: path.to_owned() })
}

fn step(line: JournalLine, first: u64) -> Step {
    Step {
        at: line.at,
        after_ms: line.at.saturating_sub(first),
        ticket: line.ticket,
        attempt: line.attempt,
        step: line.step,
        outcome: line.outcome,
        recipient: line.recipient,
        by: line.by,
        took_us: line.took_us,
        code: line.code,
        message: line.message,
        from: line.from,
        log: line.log,
    }
}

/// A delivery that begins in the room is a step of its own, not something that one can go and see. The path is a journal's, so
/// it is followed only within the bus.
fn is_public(path: &Path) -> bool {
    path.components().count() > 1 && stays_inside(path)
}

fn stays_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

fn whereabouts(
    view: &View,
    ticket: &str,
    lines: &[JournalLine],
    places: &Places,
    days: &[Day],
) -> Result<Whereabouts, Failure> {
    let at = |state, path| Ok(Whereabouts { ticket: ticket.to_owned(), state, path, due_at: None, retried_as: None });
    if let Some(item) = places.files.get(ticket) {
        let here = at(item.state.as_str(), Some(item.path.clone()))?;
        return Ok(Whereabouts { due_at: deferred_until(item), ..here });
    }
    let last = lines.iter().rev().filter(|line| line.ticket == ticket).find_map(|line| line.now_at.clone());
    let Some(path) = last.filter(|path| stays_inside(path)) else { return at("unknown", None) };
    if view.exists(&path)? {
        let state = State::ALL.into_iter().find(|state| path.starts_with(state.as_str()));
        return at(state.map_or("unknown", State::as_str), Some(path));
    }
    if let Some(fresh) = places.retried.get(ticket) {
        return Ok(Whereabouts { retried_as: Some(fresh.clone()), ..at("retried", None)? });
    }
    let packed = days.iter().find(|day| day.is_packed && path.starts_with(Path::new(layout::ARCHIVE).join(&day.day)));
    match packed {
        Some(day) => at("packed", Some(PathBuf::from(layout::ARCHIVE).join(&day.day))),
        None => at("removed", Some(path)),
    }
}

/// The name of what is held has a time, too, which says whose turn it is.
fn deferred_until(item: &Item) -> Option<u64> {
    item.due_ms.filter(|_| item.state == State::Deferred)
}

/// What the journal does not know (yet): a message in the drop, or with a journal that was removed.
fn unjournalled(view: &View, asked: &str) -> Result<Vec<MessageStory>, Failure> {
    let mut found = Vec::new();
    for state in [State::Drop, State::Processing, State::Deferred, State::Held, State::DeadLetter] {
        let mut items = Vec::new();
        view.each(state, &mut |item| items.push(item))?;
        for item in items {
            let Some(heading) = view.heading(&item.path)? else { continue };
            let ticket = item.ticket.map(|ticket| ticket.to_string());
            if heading.id.as_deref() != Some(asked) && ticket.as_deref() != Some(asked) {
                continue;
            }
            let ticket = ticket.unwrap_or_default();
            let due_at = deferred_until(&item);
            found.push(MessageStory {
                ticket: ticket.clone(),
                id: heading.id,
                sender: heading.sender,
                recipient: heading.recipient,
                action: heading.action,
                in_reply_to: heading.in_reply_to,
                steps: Vec::new(),
                now: vec![Whereabouts {
                    ticket,
                    state: item.state.as_str(),
                    path: Some(item.path),
                    due_at,
                    retried_as: None,
                }],
                effects: Vec::new(),
                sent: Vec::new(),
            });
        }
    }
    Ok(found)
}
