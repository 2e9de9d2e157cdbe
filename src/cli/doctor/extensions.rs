//! Can every extension be used, and is what is written about them true?

use postroom::extension::cache::Cache;
use postroom::extension::install::{LockState, Place, Survey};

use super::{Finding, Patient};
use crate::cli::ext::place;
use crate::cli::text;

pub fn extensions(patient: &Patient) -> Vec<Finding> {
    // Settings that cannot be read are a finding of their own.
    let Ok(place) = place::at(patient.bus) else { return Vec::new() };
    let survey = match place::survey(&place) {
        Ok(survey) => survey,
        Err(failure) => {
            let (what, hint) = failure.into_texts();
            let mend = hint.unwrap_or_else(|| "see `postroom ext check`".into());
            let finding = Finding::problem("extensions", what);
            return vec![finding.because("extensions cannot be looked at or changed").mend(mend).at(&place.folder)];
        }
    };
    let mut findings: Vec<Finding> = survey.broken.iter().map(broken).collect();
    findings.extend(lock(&place, &survey));
    if !survey.extensions.is_empty() {
        findings.extend(cache());
    }
    findings
}

fn broken(broken: &postroom::extension::Broken) -> Finding {
    let (name, reason) = (text::field(&broken.name), text::sentence(&broken.reason));
    Finding::problem("broken-extension", format!("the extension {name} cannot be used: {reason}"))
        .because("messages to it are refused; everything else works")
        .mend(format!(
            "install one that works with `postroom ext upgrade {name} PATH`, or remove it with `postroom ext rm {name}`"
        ))
        .at(&broken.path)
}

fn lock(place: &Place, survey: &Survey) -> Option<Finding> {
    let what = match &survey.lock {
        LockState::Current | LockState::Absent => return None,
        LockState::Behind { names } if names.is_empty() => {
            "a change of the extensions was begun and is not finished".into()
        }
        LockState::Behind { names } => {
            let names: Vec<String> = names.iter().map(|name| text::field(name)).collect();
            format!("extensions.lock does not say what is there: {}", names.join(", "))
        }
        LockState::Damaged { reason } => format!("extensions.lock is damaged: {}", text::sentence(reason)),
    };
    let finding = Finding::note("extensions-lock", what)
        .because("what it does not know is read, compiled and asked anew at each start, which takes longer")
        .mend("installing an extension mends it, also one that is there already: `postroom ext add PATH`")
        .at(Survey::lock_path(&place.folder));
    Some(finding)
}

fn cache() -> Option<Finding> {
    let cache = Cache::of_user();
    let trouble = cache.trouble()?;
    let finding = Finding::note("compiled-code", text::sentence(&trouble.to_string()))
        .because("extensions are compiled anew at each start, which takes seconds for big ones")
        .mend(text::sentence(&trouble.hint))
        .at(&trouble.folder);
    Some(finding)
}
