//! What to look at first, with the names that the evidence gives.
//!
//! A row's entry is a template. `{service}` stands for a name; a part in `[...]` is left out when a name
//! in it is not known, so `Service[/{service}] targetPort` reads well with and without. An entry may be
//! for one direction only: nobody should be sent to a DestinationRule for what an inbound sidecar saw.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::cause::Cause;
use crate::cluster::ClusterName;
use crate::evidence::Evidence;
use crate::policy::Policy;
use crate::terms::Direction;
use crate::text::{bounded, split_once};

/// Names in an entry are cut at this many bytes: they come from configuration, which has no bound.
const NAME_BYTES: usize = 128;

/// One thing to look at.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    template: &'static str,
    inbound: bool,
    outbound: bool,
}

/// Whatever the direction.
pub(crate) const fn both(template: &'static str) -> Look {
    Look { template, inbound: true, outbound: true }
}

/// Unless the record comes from an inbound sidecar.
pub(crate) const fn outbound(template: &'static str) -> Look {
    Look { template, inbound: false, outbound: true }
}

/// Only when the record comes from an inbound sidecar.
pub(crate) const fn inbound(template: &'static str) -> Look {
    Look { template, inbound: true, outbound: false }
}

impl Look {
    /// Is it worth looking at for traffic of that direction? An unspecified one counts as outbound.
    #[must_use]
    pub fn applies(&self, direction: Direction) -> bool {
        match direction {
            Direction::Inbound => self.inbound,
            Direction::Outbound | Direction::Unspecified => self.outbound,
        }
    }

    /// The template, for documents.
    #[must_use]
    pub fn template(&self) -> &'static str {
        self.template
    }
}

/// What to look at for `cause`, most likely first, with the names that the evidence gives.
#[must_use]
pub fn look(cause: Cause, evidence: &Evidence<'_>, policy: Option<&Policy<'_>>) -> Vec<String> {
    let cluster = evidence.cluster.map(ClusterName::parse).unwrap_or_default();
    let name = |placeholder: &str| -> Option<Cow<'_, str>> {
        match placeholder {
            "service" => cluster.host.map(short_host).map(Cow::from),
            "port" => cluster.port.map(|port| port.to_string().into()),
            "subset" => cluster.subset.map(Cow::from),
            "cluster" => evidence.cluster.map(Cow::from),
            "route" => evidence.route.map(Cow::from),
            "proxy" => evidence.proxy.map(Cow::from),
            "policy" => policy.map(|policy| policy.to_string().into()),
            "rule" => policy?.rule.map(|rule| rule.to_string().into()),
            _ => None,
        }
    };
    let entries = cause.row().look.iter().filter(|entry| entry.applies(evidence.direction));
    entries.map(|entry| filled(entry.template, name)).filter(|entry| !entry.is_empty()).collect()
}

/// `reviews.default` for `reviews.default.svc.cluster.local`: a resource's `name.namespace`.
fn short_host(host: &str) -> &str {
    split_once(host, ".svc.").map_or(host, |(short, _domain)| short)
}

/// The template with its names; empty when one outside of brackets is not known.
fn filled<'a>(template: &str, name: impl Fn(&str) -> Option<Cow<'a, str>>) -> String {
    let (mut text, mut part, mut complete) = (String::new(), String::new(), true);
    let mut placeholder: Option<String> = None;
    for character in template.chars() {
        match character {
            '[' if !complete => return String::new(),
            '[' | ']' => {
                if complete {
                    text.push_str(&part);
                }
                part.clear();
                complete = true;
            }
            '{' => placeholder = Some(String::new()),
            '}' => {
                let key = placeholder.take().unwrap_or_default();
                match name(&key).filter(|value| !value.is_empty()) {
                    Some(value) => part.push_str(bounded(&value, NAME_BYTES)),
                    None => complete = false,
                }
            }
            _ => placeholder.as_mut().unwrap_or(&mut part).push(character),
        }
    }
    if complete { text + &part } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::CAUSES;

    const PLACEHOLDERS: [&str; 8] =
        ["service", "port", "subset", "cluster", "route", "proxy", "policy", "rule"];

    #[test]
    fn every_template_reads_with_all_names_and_with_none() {
        for entry in CAUSES.iter().flat_map(|row| row.look) {
            let known = |placeholder: &str| {
                assert!(PLACEHOLDERS.contains(&placeholder), "{}", entry.template);
                Some(Cow::from("x"))
            };
            for text in [filled(entry.template, known), filled(entry.template, |_| None)] {
                assert!(!text.contains(['{', '}', '[', ']']), "{text}");
                assert!(!text.contains("  ") && text.trim() == text, "{text}");
            }
        }
    }

    #[test]
    fn a_part_with_an_unknown_name_is_left_out() {
        let template = "Service[/{service}] targetPort[ of port {port}]";
        let service = |name: &str| (name == "service").then(|| Cow::from("reviews.default"));
        assert_eq!(filled(template, service), "Service/reviews.default targetPort");
        assert_eq!(filled(template, |_| None), "Service targetPort");
        assert_eq!(filled("[DestinationRule/{service} subsets: {subset}]", service), "");
    }

    #[test]
    fn a_name_from_configuration_is_bounded() {
        let long = "x".repeat(100_000);
        let text = filled("a[ {cluster}]", |_| Some(Cow::from(long.as_str())));
        assert_eq!(text.len(), 2 + NAME_BYTES);
    }
}
