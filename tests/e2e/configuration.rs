//! The configuration: what is wrong in it is said once, and traffic passes whatever it says.

use std::sync::Arc;

use failgate_lab::hop::{Hop, Mount, PATIENCE};
use failgate_lab::{Error, Result};
use failgate_verdict::settings::SETTINGS;
use libtest_mimic::Trial;
use serde_json::json;

use crate::{Rig, test};

pub fn add(rig: &Arc<Rig>, trials: &mut Vec<Trial>) {
    trials.push(test(
        rig,
        "each_mistake_in_the_configuration_is_said_once",
        each_mistake_is_said_once,
    ));
    trials.push(test(
        rig,
        "a_mistake_in_every_setting_is_said_and_the_defaults_stand",
        every_setting_mistaken,
    ));
    trials.push(test(
        rig,
        "a_configuration_that_is_not_json_changes_nothing",
        garbage_changes_nothing,
    ));
    trials.push(test(rig, "a_log_that_is_switched_off_is_silent", a_log_switched_off_is_silent));
    trials.push(test(
        rig,
        "a_line_is_written_at_the_level_that_is_configured",
        the_level_is_configured,
    ));
    trials.push(test(rig, "an_ignored_cause_is_not_reported", an_ignored_cause_is_not_reported));
    trials.push(test(rig, "a_storm_is_bounded_and_the_rest_is_counted", a_storm_is_bounded));
}

fn said(hop: &Hop, what: &str) -> usize {
    hop.proxy.log().all().iter().filter(|line| line.contains(what)).count()
}

fn assert(holds: bool, hop: &Hop, claim: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::new(claim, hop.proxy.dump_log())) }
}

/// Sends one failing request and says whether it was answered as it should be, and reported.
fn fails(hop: &Hop, id: &str) -> Result<bool> {
    let response = hop.send(id, "/status/503")?;
    assert(response.status == 503, hop, "the application's answer passes")?;
    Ok(hop.record(id)?.is_some())
}

fn each_mistake_is_said_once(rig: &Rig) -> Result<()> {
    for mount in [Mount::Filter, Mount::AccessLogger] {
        let hop = rig
            .hop(mount, r#"{"log":{"level":"loud","enabled":true},"nonsense":1,"ignore":["x"]}"#)?;
        assert(fails(&hop, "mistaken")?, &hop, "the settings without a mistake stand")?;
        for mistake in ["log.level: must be one of", "nonsense: unknown key", "ignore[0]: must be"]
        {
            let line = format!("failgate configuration: {mistake}");
            hop.proxy
                .wait_for_line(PATIENCE, |said| said.contains(&line) && said.contains("[error]"))?;
            assert(said(&hop, &line) == 1, &hop, mistake)?;
        }
    }
    Ok(())
}

/// No setting is an object.
fn every_setting_mistaken(rig: &Rig) -> Result<()> {
    let mut settings = json!({});
    for setting in SETTINGS {
        match setting.path.split_once('.') {
            Some((group, key)) => settings[group][key] = json!({}),
            None => settings[setting.path] = json!({}),
        }
    }
    let hop = rig.hop(Mount::Filter, &settings.to_string())?;
    assert(fails(&hop, "mistaken")?, &hop, "the default reports")?;
    for setting in SETTINGS {
        let line = format!("failgate configuration: {}: must be ", setting.path);
        hop.proxy.wait_for_line(PATIENCE, |said| said.contains(&line))?;
        assert(said(&hop, &line) == 1, &hop, setting.path)?;
    }
    assert(said(&hop, "unknown key") == 0, &hop, "every key is known")
}

fn garbage_changes_nothing(rig: &Rig) -> Result<()> {
    for garbage in ["{", "\u{0}\u{1}", "[1]", "\"text\"", &"[".repeat(10_000)] {
        let hop = rig.hop(Mount::Filter, garbage)?;
        assert(fails(&hop, "garbage")?, &hop, "failures are reported")?;
        assert(hop.send("fine", "/status/200")?.status == 200, &hop, "traffic passes")?;
        assert(said(&hop, "failgate configuration: the configuration: ") == 1, &hop, garbage)?;
    }
    Ok(())
}

fn a_log_switched_off_is_silent(rig: &Rig) -> Result<()> {
    let hop = rig.hop(Mount::Filter, r#"{"log":{"enabled":false}}"#)?;
    assert(!fails(&hop, "silent")?, &hop, "nothing is reported")
}

fn the_level_is_configured(rig: &Rig) -> Result<()> {
    let hop = rig.hop(Mount::Filter, r#"{"log":{"level":"error"}}"#)?;
    assert(fails(&hop, "loud")?, &hop, "a failure is reported")?;
    hop.proxy
        .wait_for_line(PATIENCE, |line| line.contains("failgate {") && line.contains("[error]"))?;
    let hop = rig.hop(Mount::Filter, "")?;
    assert(fails(&hop, "default")?, &hop, "a failure is reported")?;
    hop.proxy.wait_for_line(PATIENCE, |line| {
        line.contains("failgate {") && line.contains("[warning]")
    })?;
    Ok(())
}

fn an_ignored_cause_is_not_reported(rig: &Rig) -> Result<()> {
    let hop = rig.hop(Mount::Filter, r#"{"ignore":["application_error"]}"#)?;
    assert(!fails(&hop, "ignored")?, &hop, "the cause that is ignored is silent")?;
    hop.send("other", "/nowhere")?;
    assert(hop.record("other")?.is_some(), &hop, "another is not")
}

/// One line a second, in bursts of two: of fifty failures at once most are only counted.
fn a_storm_is_bounded(rig: &Rig) -> Result<()> {
    let hop = rig.hop(Mount::Filter, r#"{"log":{"maxPerSecond":1}}"#)?;
    let mut failed = 0;
    let mut fail = || {
        failed += 1;
        hop.send(&format!("storm-{failed}"), "/status/503")
    };
    for _ in 0..50 {
        fail()?;
    }
    // The next line that is written tells how many were not.
    let counted = || -> Result<u64> {
        Ok(hop
            .proxy
            .records()?
            .iter()
            .map(|record| record["suppressed"].as_u64().unwrap_or(0))
            .sum())
    };
    let before = counted()?;
    while counted()? == before {
        fail()?;
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    hop.record(&format!("storm-{failed}"))?;
    // Those after the last line are counted by nobody yet.
    let last = hop.proxy.records()?.last().and_then(|record| {
        record["request_id"].as_str()?.strip_prefix("storm-")?.parse::<u64>().ok()
    });
    let written = hop.proxy.records()?.len() as u64;
    assert(last == Some(written + counted()?), &hop, "written and suppressed are all that failed")?;
    assert(written < 25, &hop, "most of a storm is not written")
}
