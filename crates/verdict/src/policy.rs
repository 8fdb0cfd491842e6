//! The policy that an RBAC denial names: `rbac_access_denied_matched_policy[ns[a]-policy[b]-rule[0]]`.
//!
//! Source: Envoy's `source/extensions/filters/http/rbac/rbac_filter.cc`; the name inside is Istio's
//! (`pilot/pkg/security/authz/builder`), or whatever a plain Envoy's configuration calls its policy.

use core::fmt;

use crate::text::{split_once, starts, whole};

const DENIED: &str = "rbac_access_denied_matched_policy[";

/// The policy that denied a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy<'a> {
    /// The policy's namespace, when the name is Istio's.
    pub namespace: Option<&'a str>,
    /// The policy's name.
    pub name: &'a str,
    /// Which of its rules matched, from 0, when the name is Istio's.
    pub rule: Option<u32>,
}

impl<'a> Policy<'a> {
    /// Reads response code details or connection termination details. `None` when they are no RBAC denial,
    /// or when no policy matched (`[none]`: policies that allow exist, and none of them did).
    #[must_use]
    pub fn parse(details: &'a str) -> Option<Self> {
        if !starts(details, DENIED) {
            return None;
        }
        let inside = details.get(DENIED.len()..)?;
        let name = inside.rsplit_once(']').map_or(inside, |(name, _)| name);
        if matches!(name, "" | "none") {
            return None;
        }
        Some(istio(name).unwrap_or(Self { namespace: None, name, rule: None }))
    }
}

/// `ns[NAMESPACE]-policy[NAME]-rule[INDEX]`, also behind the prefix of an external authorizer's policies.
fn istio(name: &str) -> Option<Policy<'_>> {
    let (_, rest) = split_once(name, "ns[")?;
    let (namespace, rest) = split_once(rest, "]-policy[")?;
    let (name, rule) = split_once(rest, "]-rule[")?;
    let rule = whole(rule.strip_suffix(']')?).and_then(|rule| u32::try_from(rule).ok());
    Some(Policy { namespace: Some(namespace), name, rule })
}

/// `namespace/name`, or the name alone.
impl fmt::Display for Policy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};

    fn parse(inside: &str) -> Option<String> {
        let details = alloc::format!("rbac_access_denied_matched_policy[{inside}]");
        let policy = Policy::parse(&details)?;
        Some(alloc::format!("{policy} {:?}", policy.rule))
    }

    #[test]
    fn istios_name_gives_namespace_name_and_rule() {
        assert_eq!(parse("ns[foo]-policy[httpbin]-rule[12]").unwrap(), "foo/httpbin Some(12)");
        assert_eq!(
            parse("istio-ext-authz-ns[foo]-policy[ext]-rule[0]").unwrap(),
            "foo/ext Some(0)"
        );
    }

    #[test]
    fn another_name_is_kept_whole() {
        assert_eq!(parse("deny-all").unwrap(), "deny-all None");
        assert_eq!(parse("a[b]c").unwrap(), "a[b]c None");
        assert_eq!(parse("ns[foo]-policy[x").unwrap(), "ns[foo]-policy[x None");
    }

    #[test]
    fn no_policy_is_no_policy() {
        assert_eq!(parse("none"), None);
        assert_eq!(parse(""), None);
        assert_eq!(Policy::parse("rbac_access_denied"), None);
        assert_eq!(Policy::parse("via_upstream"), None);
    }

    #[test]
    fn a_cut_text_is_still_read() {
        let policy = Policy::parse("rbac access denied matched policy[deny-al").unwrap();
        assert_eq!(policy.to_string(), "deny-al");
    }
}
