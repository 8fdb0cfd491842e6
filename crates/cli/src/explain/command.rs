//! Commands to copy, filled with the names that are known. A name that is not known stays in capitals.

use failgate_verdict::Record;
use failgate_verdict::terms::Direction;

/// The command with the names of a record; with none, or with a name that a shell could take for more than a
/// name, its place is left in capitals.
#[must_use]
pub fn filled(template: &str, record: Option<&Record>) -> String {
    let mut command = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        command.push_str(before);
        match record.and_then(|record| known(name, record)).filter(|value| is_harmless(name, value))
        {
            Some(value) => command.push_str(&value),
            None => command.push_str(&placeholder(name)),
        }
        rest = after;
    }
    command + rest
}

fn placeholder(name: &str) -> String {
    match name {
        "proxy" => "POD.NAMESPACE".to_owned(),
        "policy" => "NAME -n NAMESPACE".to_owned(),
        name => name.to_uppercase(),
    }
}

/// Records come from logs, and a log may have been written by anybody. Only a cluster's name has bars; its
/// place is between quotes.
fn is_harmless(name: &str, value: &str) -> bool {
    let also = match name {
        "cluster" => "|[]/",
        "policy" => " ",
        _ => "",
    };
    let harmless =
        |it: char| it.is_ascii_alphanumeric() || "-_.:/".contains(it) || also.contains(it);
    !value.is_empty() && !value.starts_with('-') && value.chars().all(harmless)
}

fn known(name: &str, record: &Record) -> Option<String> {
    let service = record.service.as_ref();
    let host = service.and_then(|service| service.host.as_deref());
    // `reviews.default.svc.cluster.local`; on an inbound sidecar the service is the proxy's own.
    let named = host.and_then(|host| host.split_once(".svc.")).map(|(short, _)| short);
    let is_own = host.is_none() && record.direction != Some(Direction::Outbound);
    let named = named.or(record.proxy.as_deref().filter(|_| is_own));
    let (service, namespace) = named.and_then(|short| short.split_once('.')).unzip();
    match name {
        "proxy" => proxy(record.proxy.as_deref()?),
        "host" => host.map(str::to_owned),
        "service" => service.filter(|name| is_word(name)).map(str::to_owned),
        "namespace" => namespace.filter(|name| is_word(name)).map(str::to_owned),
        "cluster" => record.upstream_cluster.clone(),
        "policy" => {
            let (namespace, name) = record.policy.as_deref()?.split_once('/')?;
            (is_word(namespace) && is_word(name)).then(|| format!("{name} -n {namespace}"))
        }
        _ => None,
    }
}

/// How istioctl wants a proxy called: a node's cluster is `app.namespace`, its id `sidecar~IP~POD.NS~DOMAIN`.
fn proxy(name: &str) -> Option<String> {
    if let Some(pod) = name.split('~').nth(2) {
        return Some(pod.to_owned());
    }
    let (app, namespace) = name.split_once('.').unwrap_or((name, ""));
    if !is_word(app) || !(namespace.is_empty() || is_word(namespace)) {
        return None;
    }
    Some(if namespace.is_empty() { name.to_owned() } else { format!("deploy/{name}") })
}

fn is_word(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && !text.starts_with('-') && text.bytes().all(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::guide::GUIDES;
    use failgate_verdict::evidence::Evidence;
    use failgate_verdict::record::Facts;
    use failgate_verdict::{Flags, judge};

    fn record(proxy: &str, cluster: &str) -> Record {
        let evidence = Evidence {
            status: Some(503),
            flags: Flags::parse("UF").unwrap(),
            proxy: Some(proxy),
            cluster: Some(cluster),
            ..Evidence::default()
        };
        Record::new(&judge(&evidence).unwrap(), &evidence, &Facts::default())
    }

    #[test]
    fn names_are_filled_in_as_the_tools_want_them() {
        let outbound = record("client.default", "outbound|8080|v1|reviews.shop.svc.cluster.local");
        let fill = |template| filled(template, Some(&outbound));
        assert_eq!(
            fill("istioctl proxy-config endpoints {proxy} --cluster '{cluster}'"),
            "istioctl proxy-config endpoints deploy/client.default --cluster 'outbound|8080|v1|reviews.shop.svc.cluster.local'"
        );
        assert_eq!(
            fill("kubectl get service -n {namespace} {service}"),
            "kubectl get service -n shop reviews"
        );
        let inbound =
            record("sidecar~10.0.0.1~reviews-1.shop~shop.svc.cluster.local", "inbound|8080||");
        assert_eq!(filled("x {proxy}", Some(&inbound)), "x reviews-1.shop");
        assert_eq!(
            filled("x {service}", Some(&record("reviews.shop", "inbound|8080||"))),
            "x reviews"
        );
    }

    #[test]
    fn a_proxy_is_not_the_service_that_it_calls() {
        let mut outbound = record("client.default", "payments");
        outbound.direction = Some(Direction::Outbound);
        assert_eq!(
            filled("get -n {namespace} {service}", Some(&outbound)),
            "get -n NAMESPACE SERVICE"
        );
    }

    #[test]
    fn a_name_from_a_log_cannot_become_a_command() {
        for evil in [
            "x'; rm -rf ~ #.default",
            "$(reboot).default",
            "--all.default",
            "`x`.y",
            "x|reboot",
            "a b.c",
        ] {
            let cluster = format!("outbound|80||{evil}.svc.cluster.local");
            let record = record(evil, &cluster);
            for guide in GUIDES {
                for command in guide.commands {
                    let filled = filled(command, Some(&record));
                    assert!(
                        !filled.contains("rm -rf") && !filled.contains(['$', '`', ';', '#']),
                        "{filled}"
                    );
                    let unquoted: String = filled.split('\'').step_by(2).collect();
                    for evil in ["|", "--all.", "a b"] {
                        assert!(!unquoted.contains(evil), "{filled}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_template_reads_without_names() {
        for command in GUIDES.iter().flat_map(|guide| guide.commands) {
            let filled = filled(command, None);
            assert!(!filled.contains(['{', '}']), "{filled}");
            assert_eq!(filled.matches('\'').count() % 2, 0, "{filled}");
        }
    }
}
