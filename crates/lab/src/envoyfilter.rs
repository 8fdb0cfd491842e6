//! The patches of `envoyfilter.yaml`, applied to a listener as Istio applies them.
//!
//! Istio merges Protobuf messages: what a patch sets replaces what was there, messages merge member by member,
//! lists grow. Here the same is done to their JSON, where both sides must spell a member alike. What the shipped
//! file does not use (other operations, other places to apply to) is refused, so that no patch is left out
//! silently. Which workloads a resource selects is not looked at: the lab has one.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::module::Module;
use crate::{Doing as _, Error, Result, workspace};

/// Whose listener it is, in the words of an EnvoyFilter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Context {
    /// A sidecar's, for what comes to its workload.
    SidecarInbound,
    /// A sidecar's, for what its workload calls.
    SidecarOutbound,
    /// A gateway's.
    Gateway,
}

/// The patches of the shipped file, in order.
#[derive(Debug, Clone)]
pub struct Patches(Vec<ConfigPatch>);

/// The shipped file.
#[must_use]
pub fn path() -> PathBuf {
    workspace().join("envoyfilter.yaml")
}

impl Patches {
    /// The shipped patches, with the module where it is here.
    ///
    /// # Errors
    /// When the file cannot be read, or uses what is not known here.
    pub fn shipped(module: &Module) -> Result<Self> {
        Self::with_code(&json!({ "local": { "filename": module.path } }))
    }

    /// The shipped patches, with this source of the module's code in place of the shipped one.
    ///
    /// # Errors
    /// As [`Patches::shipped`].
    pub fn with_code(code: &Value) -> Result<Self> {
        let doing = || format!("reading {}", path().display());
        let resources: Vec<Resource> =
            serde_saphyr::from_multiple(&fs::read_to_string(path()).doing(doing)?).doing(doing)?;
        let patches = resources.into_iter().flat_map(|resource| resource.spec.config_patches);
        let mut patches: Vec<ConfigPatch> = patches.collect();
        for patch in &mut patches {
            if replace_code(&mut patch.patch.value, code) != 1 {
                return Err(Error::new(doing(), "a patch does not mount the module once"));
            }
        }
        Ok(Self(patches))
    }

    /// The listener with every patch that is meant for it.
    ///
    /// # Errors
    /// When two messages that should merge are of different types.
    pub fn apply(&self, context: Context, mut listener: Value) -> Result<Value> {
        let meant = |to: ApplyTo| {
            let all = self.0.iter().filter(move |patch| patch.apply_to == to);
            all.filter(move |patch| patch.place.context.is(context))
        };
        for patch in meant(ApplyTo::Listener)
            .filter(|patch| patch.is_for_listener(&listener))
            .cloned()
            .collect::<Vec<_>>()
        {
            merge(&mut listener, patch.patch.value)?;
        }
        let patches: Vec<_> = meant(ApplyTo::NetworkFilter)
            .filter(|patch| patch.is_for_listener(&listener))
            .collect();
        for chain in filter_chains(&mut listener) {
            let name = chain.get("name").cloned();
            let filters = chain.get_mut("filters").and_then(Value::as_array_mut);
            for filter in filters.into_iter().flatten() {
                for patch in &patches {
                    if patch.is_for_filter(name.as_ref(), filter) {
                        merge(filter, patch.patch.value.clone())?;
                    }
                }
            }
        }
        Ok(listener)
    }
}

/// An EnvoyFilter.
#[derive(Deserialize)]
struct Resource {
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    config_patches: Vec<ConfigPatch>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ConfigPatch {
    apply_to: ApplyTo,
    #[serde(rename = "match")]
    place: Place,
    patch: Patch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ApplyTo {
    Listener,
    NetworkFilter,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    #[serde(rename = "operation")]
    _operation: Operation,
    value: Value,
}

/// The only operation that the shipped file uses.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Operation {
    Merge,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    context: Contexts,
    #[serde(default)]
    listener: ListenerPlace,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Contexts {
    One(Context),
    Any(Any),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Any {
    Any,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ListenerPlace {
    name: Option<String>,
    #[serde(default)]
    filter_chain: ChainPlace,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChainPlace {
    name: Option<String>,
    #[serde(default)]
    filter: FilterPlace,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FilterPlace {
    name: Option<String>,
}

impl Contexts {
    fn is(&self, context: Context) -> bool {
        match self {
            Self::One(own) => *own == context,
            Self::Any(Any::Any) => true,
        }
    }
}

impl ConfigPatch {
    fn is_for_listener(&self, listener: &Value) -> bool {
        is_wanted(self.place.listener.name.as_ref(), listener.get("name"))
    }

    fn is_for_filter(&self, chain: Option<&Value>, filter: &Value) -> bool {
        let wanted = &self.place.listener.filter_chain;
        is_wanted(wanted.name.as_ref(), chain)
            && is_wanted(wanted.filter.name.as_ref(), filter.get("name"))
    }
}

/// No name is every name.
fn is_wanted(wanted: Option<&String>, name: Option<&Value>) -> bool {
    wanted.is_none_or(|wanted| name.and_then(Value::as_str) == Some(wanted))
}

fn filter_chains(listener: &mut Value) -> Vec<&mut Value> {
    let Some(members) = listener.as_object_mut() else { return Vec::new() };
    let mut chains = Vec::new();
    for (key, value) in members {
        match (key.as_str(), value) {
            ("filter_chains", Value::Array(list)) => chains.extend(list),
            ("default_filter_chain", chain) => chains.push(chain),
            _ => {}
        }
    }
    chains
}

/// Merges as Protobuf does. Two messages of a type that Envoy finds by its name must be of the same one.
fn merge(into: &mut Value, patch: Value) -> Result<()> {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            if let (Some(own), Some(other)) = (into.get("@type"), patch.get("@type"))
                && own != other
            {
                return Err(Error::new("merging a patch", format!("{other} is no {own}")));
            }
            for (key, value) in patch {
                match into.get_mut(&key) {
                    Some(own) => merge(own, value)?,
                    None => drop(into.insert(key, value)),
                }
            }
        }
        (Value::Array(into), Value::Array(patch)) => into.extend(patch),
        (into, patch) => *into = patch,
    }
    Ok(())
}

/// Replaces the code of every module in it; how many there are.
fn replace_code(value: &mut Value, code: &Value) -> usize {
    match value {
        Value::Object(members) => {
            let own = members.get_mut("vm_config").and_then(|config| config.get_mut("code"));
            if let Some(own) = own {
                *own = code.clone();
                return 1;
            }
            members.values_mut().map(|value| replace_code(value, code)).sum()
        }
        Value::Array(list) => list.iter_mut().map(|value| replace_code(value, code)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_merge_lists_grow_and_the_rest_is_replaced() {
        let mut value = json!({ "a": { "b": 1, "c": [1] }, "d": "x" });
        merge(&mut value, json!({ "a": { "b": 2, "c": [2], "e": 3 }, "d": "y" })).unwrap();
        assert_eq!(value, json!({ "a": { "b": 2, "c": [1, 2], "e": 3 }, "d": "y" }));
    }

    #[test]
    fn messages_of_different_types_do_not_merge() {
        let mut value = json!({ "typed_config": { "@type": "one" } });
        assert!(merge(&mut value, json!({ "typed_config": { "@type": "other" } })).is_err());
    }

    fn patches(text: &str) -> Result<Vec<ConfigPatch>, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    const PATCH: &str = "
- applyTo: NETWORK_FILTER
  match:
    context: SIDECAR_INBOUND
    listener: { filterChain: { filter: { name: tcp } } }
  patch: { operation: MERGE, value: { a: [1] } }
";

    #[test]
    fn a_patch_is_applied_where_it_matches_and_nowhere_else() {
        let patches = Patches(patches(PATCH).unwrap());
        let chain = json!({ "filters": [{ "name": "rbac" }, { "name": "tcp", "a": [0] }] });
        let listener =
            json!({ "name": "l", "filter_chains": [chain], "default_filter_chain": chain });
        let patched = patches.apply(Context::SidecarInbound, listener.clone()).unwrap();
        for chain in ["/filter_chains/0", "/default_filter_chain"] {
            let filters = patched.pointer(chain).unwrap().get("filters").unwrap();
            assert_eq!(filters, &json!([{ "name": "rbac" }, { "name": "tcp", "a": [0, 1] }]));
        }
        for context in [Context::SidecarOutbound, Context::Gateway] {
            assert_eq!(patches.apply(context, listener.clone()).unwrap(), listener);
        }
    }

    #[test]
    fn what_is_not_known_here_is_refused() {
        for (known, unknown) in [
            ("MERGE", "INSERT_FIRST"),
            ("NETWORK_FILTER", "CLUSTER"),
            ("SIDECAR_INBOUND", "WAYPOINT"),
            ("{ name: tcp }", "{ name: tcp, subFilter: {} }"),
        ] {
            assert!(patches(&PATCH.replace(known, unknown)).is_err(), "{unknown}");
        }
    }
}
