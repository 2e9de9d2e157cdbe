//! A story for people.

use postroom::bus::layout;

use super::{Effect, MessageStory, Step, Story, Whereabouts};
use crate::cli::print::{BAD, BOLD, DIM, GOOD, WARN, styled};
use crate::cli::table::{Cell, cell, number, uncut};
use crate::cli::tail::style_of;
use crate::cli::{text, units};

pub fn story(story: &Story) -> String {
    story.messages.iter().map(message).collect::<Vec<_>>().join("\n")
}

fn message(story: &MessageStory) -> String {
    let field = |text: &Option<String>| text.as_deref().map_or_else(|| "?".to_owned(), text::field);
    let mut out = format!(
        "{}  {} > {}  {}\n",
        styled(BOLD, field(&story.id)),
        field(&story.sender),
        field(&story.recipient),
        field(&story.action)
    );
    if !story.ticket.is_empty() {
        out.push_str(&format!("{}  {}\n", styled(DIM, "ticket"), text::field(&story.ticket)));
    }
    if let Some(answered) = &story.in_reply_to {
        out.push_str(&format!("{}  {}\n", styled(DIM, "answers"), text::field(answered)));
    }
    if let Some(first) = story.steps.first() {
        out.push_str(&format!("{}  {}\n\n", styled(DIM, "began"), postroom::bus::time::readable(first.at)));
        let rows: Vec<Vec<Cell>> = story.steps.iter().flat_map(|step| rows(step, &story.ticket)).collect();
        out.push_str(&uncut(&["after", "step", "delivery", "details"], &rows));
    }
    out.push('\n');
    for place in &story.now {
        out.push_str(&now(place, story));
    }
    for effect in &story.effects {
        out.push_str(&brought(effect));
    }
    for sent in &story.sent {
        let (id, ticket) = (text::field(&sent.id), text::field(&sent.ticket));
        out.push_str(&format!("{}  {id} ({})\n", styled(BOLD, "sent"), styled(DIM, format!("ticket {ticket}"))));
    }
    out
}

/// A step, and below it what extensions wrote in the attempt that it ends.
fn rows(step: &Step, root: &str) -> Vec<Vec<Cell>> {
    let mut rows = vec![row(step, root)];
    rows.extend(step.log.iter().map(|line| {
        let style = match line.level.as_str() {
            "error" => BAD,
            "warn" => WARN,
            _ => DIM,
        };
        let says = format!("{}: {}", text::field(&line.by), text::sentence(&line.text));
        vec![cell(""), cell(text::field(&line.level)).style(style), cell(""), cell(says)]
    }));
    rows
}

fn row(step: &Step, root: &str) -> Vec<Cell> {
    let part = step.ticket.strip_prefix(root).map_or("", |part| part.trim_start_matches('.'));
    let delivery = match (&step.recipient, part) {
        (_, "") => String::new(),
        (Some(recipient), part) => format!("{part} to {}", text::field(recipient)),
        (None, part) => text::field(part),
    };
    vec![
        number(format!("+{}", units::span(step.after_ms))),
        cell(text::field(&step.step)).style(style_of(&step.step)),
        cell(delivery),
        cell(details(step)),
    ]
}

fn details(step: &Step) -> String {
    let mut details = Vec::new();
    if step.attempt > 1 {
        details.push(format!("attempt {}", step.attempt));
    }
    if let Some(outcome) = step.outcome.as_deref().filter(|outcome| *outcome != step.step) {
        details.push(text::field(outcome));
    }
    details.extend(step.by.as_deref().map(|by| format!("by {}", text::field(by))));
    details.extend(step.took_us.map(|us| format!("in {}", units::span_us(us))));
    match (&step.code, &step.message) {
        (Some(code), Some(message)) => details.push(format!("{}: {}", text::field(code), text::sentence(message))),
        (Some(only), None) | (None, Some(only)) => details.push(text::sentence(only)),
        (None, None) => {}
    }
    details.extend(step.from.as_deref().map(|from| format!("because of {}", text::field(from))));
    details.join(", ")
}

fn now(place: &Whereabouts, story: &MessageStory) -> String {
    let which = if story.now.len() > 1 && place.ticket != story.ticket {
        let part = place.ticket.strip_prefix(&story.ticket).unwrap_or(&place.ticket);
        format!(" of delivery {}", text::field(part.trim_start_matches('.')))
    } else {
        String::new()
    };
    let path = place.path.as_deref().map(text::path).unwrap_or_default();
    let says = match place.state {
        "removed" => format!("was {path}, which is gone (purged, or its time in the archive was over)"),
        "packed" => format!("packed with the archive of its day: {path}"),
        "retried" => {
            let ticket = place.retried_as.as_deref().map(text::field).unwrap_or_default();
            format!("was a dead letter, tried again as {ticket}")
        }
        "unknown" => "not to be found".to_owned(),
        state => {
            let until = place.due_at.map(|due| format!(" until {}", postroom::bus::time::readable(due)));
            format!("{path} ({})", styled(WARN, format!("{state}{}", until.unwrap_or_default())))
        }
    };
    format!("{}{which}  {says}\n", styled(BOLD, "the message"))
}

fn brought(effect: &Effect) -> String {
    let path = text::path(&effect.path);
    let what = if effect.path.starts_with(layout::STATE) { "stored" } else { "published" };
    let state = match &effect.lease {
        Some(lease) => styled(WARN, format!("leased: {}", text::field(lease))),
        None if effect.there => styled(GOOD, "there"),
        None => styled(DIM, "taken"),
    };
    format!("{}  {path} ({state})\n", styled(BOLD, what))
}
