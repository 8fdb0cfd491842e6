//! Istio's cluster names: `outbound|8080|v1|reviews.default.svc.cluster.local`, `inbound|8080||`.
//!
//! Source: `BuildSubsetKey` in Istio's `pilot/pkg/model/push_context.go`. Names without bars belong to
//! plain Envoy, or to Istio's two clusters for unknown destinations.

use crate::terms::Direction;
use crate::text::{split_once, whole};

/// Traffic to a destination that the registry does not hold, let through (`ALLOW_ANY`).
pub const PASSTHROUGH: &str = "PassthroughCluster";
/// Traffic to a destination that the registry does not hold, stopped (`REGISTRY_ONLY`).
pub const BLACK_HOLE: &str = "BlackHoleCluster";

/// What a cluster's name says; every part may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterName<'a> {
    /// The side that the cluster was made for.
    pub direction: Direction,
    /// The service port (outbound) or the workload's port (inbound), 1 to 65535.
    pub port: Option<u16>,
    /// The DestinationRule subset.
    pub subset: Option<&'a str>,
    /// The service's host name or address; a plain Envoy's whole cluster name is not one.
    pub host: Option<&'a str>,
}

impl<'a> ClusterName<'a> {
    /// Reads a cluster's name; one that does not follow the grammar has no parts.
    #[must_use]
    pub fn parse(name: &'a str) -> Self {
        parts(name).unwrap_or_default()
    }
}

fn parts(name: &str) -> Option<ClusterName<'_>> {
    let (direction, rest) = split_once(name, "|")?;
    let (port, rest) = split_once(rest, "|")?;
    let (subset, host) = split_once(rest, "|")?;
    let direction = match direction {
        "outbound" => Direction::Outbound,
        // `inbound-vip` is what a waypoint calls the clusters of its services.
        "inbound" | "inbound-vip" => Direction::Inbound,
        _ => return None,
    };
    let port = whole(port).and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
    Some(ClusterName { direction, port, subset: present(subset), host: present(host) })
}

fn present(part: &str) -> Option<&str> {
    Some(part).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outbound_name_has_all_its_parts() {
        let name = ClusterName::parse("outbound|8080|v1|reviews.default.svc.cluster.local");
        assert_eq!(name.direction, Direction::Outbound);
        assert_eq!(name.port, Some(8080));
        assert_eq!(name.subset, Some("v1"));
        assert_eq!(name.host, Some("reviews.default.svc.cluster.local"));
    }

    #[test]
    fn an_inbound_name_has_a_port_and_no_service() {
        let name = ClusterName::parse("inbound|8080||");
        assert_eq!(
            name,
            ClusterName {
                direction: Direction::Inbound,
                port: Some(8080),
                subset: None,
                host: None
            }
        );
        let waypoint = ClusterName::parse("inbound-vip|80|http|reviews.default.svc.cluster.local");
        assert_eq!(waypoint.host, Some("reviews.default.svc.cluster.local"));
    }

    #[test]
    fn an_address_may_stand_for_the_host() {
        assert_eq!(ClusterName::parse("outbound|443||2001:db8::1").host, Some("2001:db8::1"));
        assert_eq!(ClusterName::parse("outbound|443||[2001:db8::1]").host, Some("[2001:db8::1]"));
        assert_eq!(ClusterName::parse("outbound|443||10.0.0.1").host, Some("10.0.0.1"));
    }

    #[test]
    fn a_name_outside_the_grammar_has_no_parts() {
        for name in [PASSTHROUGH, BLACK_HOLE, "my_cluster", "", "|||", "outbound|80", "agent|1||x"]
        {
            assert_eq!(ClusterName::parse(name), ClusterName::default(), "{name}");
        }
    }

    #[test]
    fn a_port_that_is_none_is_left_out() {
        for name in ["outbound|0||a", "outbound|x||a", "outbound|65536||a", "outbound|||a"] {
            assert_eq!(ClusterName::parse(name).port, None, "{name}");
            assert_eq!(ClusterName::parse(name).host, Some("a"), "{name}");
        }
    }
}
