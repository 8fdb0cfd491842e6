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
        Self::selected(module, "")
    }

    /// The patches of the resources whose label `failgate` begins so, with the module where it is here.
    ///
    /// # Errors
    /// As [`Patches::shipped`].
    pub fn selected(module: &Module, label: &str) -> Result<Self> {
        let doing = || format!("reading {}", path().display());
        let resources: Vec<Resource> =
            serde_saphyr::from_multiple(&fs::read_to_string(path()).doing(doing)?).doing(doing)?;
        let resources =
            resources.into_iter().filter(|own| own.metadata.labels.failgate.starts_with(label));
        let patches = resources.flat_map(|resource| resource.spec.config_patches);
        let mut patches = Self(patches.collect());
        patches.set("/vm_config/code/local/filename", &json!(module.path))?;
        Ok(patches)
    }

    /// Sets a member that the mount of the module has in every patch, such as `/configuration/value`.
    ///
    /// # Errors
    /// When there is a patch that does not mount the module, or whose mount does not have the member.
    pub fn set(&mut self, pointer: &str, value: &Value) -> Result<()> {
        for patch in &mut self.0 {
            let member = mount(&mut patch.patch.value).and_then(|own| own.pointer_mut(pointer));
            let missing = || Error::new(path().display().to_string(), format!("no {pointer}"));
            *member.ok_or_else(missing)? = value.clone();
        }
        Ok(())
    }

    /// The listener with every patch that is meant for it.
    ///
    /// # Errors
    /// When two messages that should merge are of different types.
    pub fn apply(&self, context: Context, mut listener: Value) -> Result<Value> {
        let meant = self.0.iter().filter(|patch| patch.is_for_listener(context, &listener));
        let (own, filters): (Vec<_>, Vec<_>) =
            meant.partition(|patch| patch.apply_to == ApplyTo::Listener);
        for patch in own {
            merge(&mut listener, patch.patch.value.clone())?;
        }
        for chain in filter_chains(&mut listener) {
            let name = chain.get("name").cloned();
            let own = chain.get_mut("filters").and_then(Value::as_array_mut);
            for filter in own.into_iter().flatten() {
                for patch in &filters {
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
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
struct Metadata {
    labels: Labels,
}

#[derive(Deserialize)]
struct Labels {
    failgate: String,
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
    fn is_for_listener(&self, context: Context, listener: &Value) -> bool {
        self.place.context.is(context)
            && is_wanted(self.place.listener.name.as_ref(), listener.get("name"))
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

/// The first configuration of a module that is in it.
fn mount(value: &mut Value) -> Option<&mut Value> {
    if value.get("vm_config").is_some() {
        return Some(value);
    }
    match value {
        Value::Object(members) => members.values_mut().find_map(mount),
        Value::Array(list) => list.iter_mut().find_map(mount),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
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
