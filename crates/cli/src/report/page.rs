//! The page: what was counted, drawn. Markup is in the templates alone; every text goes through their escaping.

mod causes;
mod chart;
mod parts;
mod pipeline;
mod records;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use failgate_verdict::record::STRING_BYTES;
use failgate_verdict::terms::DELIVERED;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::kept::{BYTES, RECORDS};
use super::tally::{Counted, NAMES, NAMES_OF_CAUSE, Tally};
use super::timeline;
use crate::explain::{command, guide};
use crate::inspect::Rest;
use crate::screen::{count, plain};
use parts::{prose, share, when};

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// What to look at that the first screen has.
const LOOKS: usize = 3;

/// Names in a card of the first screen.
const CARD: usize = 3;

/// All that the page shows.
pub struct Page<'a> {
    /// What was counted.
    pub tally: &'a Tally,
    /// What else was read.
    pub rest: &'a Rest,
    /// The options that left something out.
    pub chosen: &'a [String],
}

impl Page<'_> {
    /// The whole document.
    pub fn html(&self) -> String {
        let title = self.title();
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(policy());
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="referrer" content="no-referrer";
                    title { (title) " · failgate" }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    @if self.tally.failures > 0 { a.skip href="#records" { "Skip to the records" } }
                    header { (self.header(&title)) }
                    main {
                        @if self.tally.failures > 0 { (self.body()) }
                        (self.unread())
                        @if self.tally.failures > 0 { (records::section(self.tally)) }
                    }
                    footer { (self.footer()) }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        };
        page.into_string()
    }

    fn title(&self) -> String {
        match self.tally.failures {
            0 => "No failed request".to_owned(),
            1 => "1 failed request".to_owned(),
            number => format!("{} failed requests", count(number)),
        }
    }

    fn header(&self, title: &str) -> Markup {
        let timeline = &self.tally.timeline;
        html! {
            p.brand { "failgate report" }
            h1 { (title) }
            p.span {
                @if let (Some(first), Some(last)) = (timeline.first, timeline.last) {
                    span {
                        (when(first, None))
                        @if last / 1_000_000_000 > first / 1_000_000_000 { " to " (when(last, Some(first))) }
                        " UTC"
                    }
                    span { (timeline::span((last - first) / 1_000_000_000)) }
                } @else if self.tally.failures > 0 {
                    span { "no line has a time" }
                }
                span { (count(self.rest.lines)) @if self.rest.lines == 1 { " line read" } @else { " lines read" } }
            }
            @if !self.chosen.is_empty() {
                p.note { "Only what was asked for: " @for option in self.chosen { code { (option) } " " } }
            }
            @if self.tally.suppressed > 0 {
                p.note {
                    "At least " b { (count(self.tally.suppressed)) } " more failures happened: the filter's rate "
                    "limit kept them out of the log, as its records say."
                }
            }
            @if self.rest.unreadable {
                p.note { "An input could not be read to its end; this is what was read before that." }
            }
            @if self.tally.failures == 0 {
                p { "No line that was read tells of a failed request. " (self.empty_hint()) }
            }
        }
    }

    fn empty_hint(&self) -> &'static str {
        if self.rest.lines == 0 {
            "The input was empty."
        } else if !self.chosen.is_empty() {
            "The options above leave failures out; without them there may be some."
        } else if self.rest.malformed.count == self.rest.lines {
            "None of the lines could be read: is it an access log of Envoy's, or a log with failgate's records?"
        } else {
            "Requests that succeeded are not counted."
        }
    }

    fn body(&self) -> Markup {
        let tally = self.tally;
        html! {
            (self.first_screen())
            nav aria-label="On this page" {
                ul {
                    li { a href="#pipeline" { "Pipeline" } }
                    li { a href="#timeline" { "Timeline" } }
                    li { a href="#causes" { "Causes" } }
                    li { a href="#places" { "Places" } }
                    li { a href="#explanations" { "Explanations" } }
                    @if self.rest.malformed.count > 0 { li { a href="#unread" { "Not read" } } }
                    li { a href="#records" { "Records" } }
                }
            }
            (pipeline::section(tally))
            (chart::section(&tally.timeline))
            (causes::ranking(tally))
            section #places aria-labelledby="places-title" {
                h2 #places-title { "Where" }
                div.pair {
                    div {
                        h3 { "Upstreams" }
                        p.sub { "The service that was asked, or the cluster." }
                        (parts::names(&tally.upstreams, tally.failures, "upstream"))
                    }
                    div {
                        h3 { "Proxies" }
                        p.sub { "Who saw the failure." }
                        (parts::names(&tally.proxies, tally.failures, "proxy"))
                    }
                }
            }
            (causes::explanations(tally))
        }
    }

    /// What somebody wants to know who has been woken up.
    fn first_screen(&self) -> Markup {
        let ranked = self.tally.ranked();
        let Some((cause, counted)) = ranked.first() else { return html! {} };
        let all = self.tally.failures;
        let row = cause.row();
        let upstreams = counted.upstreams.top(1);
        let upstream = upstreams.names.first().map(|(name, _)| *name);
        let example = self.tally.kept.example(*cause, upstream).map(|row| &row.record);
        let guide = guide::of(*cause);
        html! {
            section.first aria-labelledby="first-title" {
                h2 #first-title { "Look here first" }
                div.lead .(parts::class(row.gate)) {
                    p.big {
                        b { (share(counted.failures, all)) } " stopped at "
                        a href=(format!("#gate-{}", row.gate)) { (row.gate) } ": "
                        a.cause href=(format!("#cause-{}", row.name)) { (row.name) }
                    }
                    @if let Some(guide) = guide { p { (prose(guide.means)) } }
                    dl.cards {
                        @if let Some((first, last)) = counted.times {
                            div { dt { "Since" } dd { (when(first, None)) @if first != last { span.sub { "last " (when(last, Some(first))) } } } }
                        }
                        (self.card("To", &counted.upstreams, counted))
                        (self.card("Seen by", &counted.proxies, counted))
                        div { dt { "Delivered" } dd { (delivered(counted)) } }
                    }
                    @let looks = counted.looks.top(LOOKS);
                    @if !looks.names.is_empty() {
                        h3 { "Look at" }
                        ol.looks {
                            @for (look, split) in &looks.names {
                                li { (parts::long(look)) @if split.total() < counted.failures { " " span.sub { (share(split.total(), counted.failures)) " of them" } } }
                            }
                        }
                    }
                    @if let Some(template) = guide.and_then(|guide| guide.commands.first()) {
                        pre.command tabindex="0" { code { (plain(&command::filled(template, example))) } }
                    }
                }
                @if ranked.len() > 1 {
                    p.then {
                        "Then: "
                        @for (index, (cause, counted)) in ranked.iter().skip(1).take(LOOKS).enumerate() {
                            @if index > 0 { ", " }
                            a.cause href=(format!("#cause-{cause}")) { (cause) } " " (share(counted.failures, all))
                        }
                        @if ranked.len() > LOOKS + 1 { ", and " a href="#causes" { (ranked.len() - LOOKS - 1) " more" } }
                    }
                }
            }
        }
    }

    fn card(&self, title: &str, names: &super::names::Names, counted: &Counted) -> Markup {
        let top = names.top(CARD);
        html! {
            @if !top.names.is_empty() {
                div {
                    dt { (title) }
                    @for (name, split) in &top.names {
                        dd { (parts::long(name)) @if split.total() < counted.failures { " " span.sub { (share(split.total(), counted.failures)) } } }
                    }
                    @if top.others > 0 { dd.sub { "others " (share(top.others, counted.failures)) } }
                }
            }
        }
    }

    fn unread(&self) -> Markup {
        let malformed = &self.rest.malformed;
        let more = malformed.count.saturating_sub(malformed.named.len() as u64);
        html! {
            @if malformed.count > 0 {
                section #unread aria-labelledby="unread-title" {
                    h2 #unread-title { "What could not be read" }
                    p {
                        (count(malformed.count))
                        @if malformed.count == 1 { " line is" } @else { " lines are" }
                        " neither a record nor an access log, and not counted above."
                    }
                    ul.lines {
                        @for line in &malformed.named { li { code { (plain(line.trim())) } } }
                        @if more > 0 { li { "and " (count(more)) " more" } }
                    }
                }
            }
        }
    }

    fn footer(&self) -> Markup {
        html! {
            details {
                summary { "How this was counted" }
                ul {
                    li { "Failures, gates, causes and times are counted exactly." }
                    li {
                        "Of upstreams and of proxies, the first " (count(NAMES as u64)) " names that occur are counted each for "
                        "itself (of one cause, the first " (NAMES_OF_CAUSE) "), and all later ones together."
                    }
                    li {
                        "The table has at most " (count(RECORDS as u64)) " records with " (BYTES >> 20) " MiB of text: of each "
                        "cause the latest, all causes sharing the room evenly."
                    }
                    li { "No text is longer than " (STRING_BYTES) " bytes; control characters are replaced by \u{fffd}." }
                    li { "A response flag or a status alone decides less exactly than a record of failgate's does." }
                }
            }
            p { "failgate " (env!("CARGO_PKG_VERSION")) ". This page loads nothing and sends nothing." }
        }
    }
}

/// Is a retry safe?
fn delivered(counted: &Counted) -> Markup {
    let most = counted.delivered.iter().max_by_key(|(_, count)| **count);
    html! {
        @if let Some((delivered, number)) = most {
            (delivered)
            @if *number < counted.failures { " (" (share(*number, counted.failures)) ")" }
            @if let Some(term) = DELIVERED.iter().find(|term| term.value == *delivered) {
                span.sub { (term.says) }
            }
        }
    }
}

/// Everything is forbidden but the one style and the one script.
fn policy() -> String {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use failgate_verdict::terms::GATES;

    /// The colours of a theme by their names, light first.
    fn colours(theme: usize) -> Vec<(&'static str, [f64; 3])> {
        let block = STYLE.split(":root {").nth(theme + 1).unwrap().split('}').next().unwrap();
        let colours =
            block.split(';').filter_map(|line| line.trim().strip_prefix("--")?.split_once(": #"));
        let part =
            |hex: &str, at: usize| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        colours.map(|(name, hex)| (name, [part(hex, 0), part(hex, 2), part(hex, 4)])).collect()
    }

    /// WCAG 2, "contrast ratio".
    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let luminance = |colour: [f64; 3]| {
            let [red, green, blue] = colour.map(|value| {
                let value = value / 255.0;
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            });
            0.2126 * red + 0.7152 * green + 0.0722 * blue
        };
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn every_gate_has_a_colour_that_is_seen_in_both_themes() {
        for theme in 0..2 {
            let colours = colours(theme);
            let of = |name: &str| colours.iter().find(|(it, _)| *it == name).unwrap().1;
            for gate in GATES {
                assert!(
                    STYLE.contains(&format!(".g-{0} {{ --c: var(--{0}) }}", gate.name)),
                    "{}",
                    gate.name
                );
                for ground in ["ground", "surface"] {
                    let contrast = contrast(of(gate.name), of(ground));
                    assert!(
                        contrast >= 3.0,
                        "{} on {ground} in theme {theme}: {contrast}",
                        gate.name
                    );
                }
            }
            for text in ["text", "dim", "link"] {
                for ground in ["ground", "surface", "code", "mark"] {
                    let contrast = contrast(of(text), of(ground));
                    assert!(contrast >= 4.5, "{text} on {ground} in theme {theme}: {contrast}");
                }
            }
        }
        assert!((contrast([0.0; 3], [255.0; 3]) - 21.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_in_the_page_comes_from_elsewhere() {
        for text in [STYLE, SCRIPT] {
            for word in
                ["url(", "@import", "//www", "http:", "https:", "fetch(", "innerHTML", "eval("]
            {
                assert!(!text.contains(word), "{word}");
            }
            // The end of its element would end it before its hash does.
            assert!(!text.contains("</"), "an end tag");
        }
        assert!(
            policy().starts_with("default-src 'none'; style-src 'sha256-")
                && !policy().contains("unsafe")
        );
    }
}
