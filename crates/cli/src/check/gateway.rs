//! Whether a manifest is applied to a gateway, as far as it says.
//!
//! A selector tells by a label such as `istio: ingressgateway`, a target by its kind, a patch of an EnvoyFilter
//! by the context that it matches. What has none of them is for everything in its namespace, and in the root
//! namespace for the whole mesh.

use serde_json::Value;

/// Istio's root namespace, unless the mesh is configured otherwise.
const ROOT: &str = "istio-system";

/// Why the setting at that path is applied to a gateway; `None` when nothing says that it is.
pub fn reached(manifest: &Value, path: &str) -> Option<&'static str> {
    let spec = manifest.get("spec")?;
    let selectors =
        [spec.pointer("/selector/matchLabels"), spec.pointer("/workloadSelector/labels")];
    let mut labels = selectors.into_iter().flatten().filter_map(Value::as_object).peekable();
    let targets = spec.get("targetRefs").and_then(Value::as_array).into_iter().flatten();
    let mut targets = targets.chain(spec.get("targetRef")).peekable();
    let context = context(spec, path);
    let everywhere = labels.peek().is_none()
        && targets.peek().is_none()
        && manifest.pointer("/metadata/namespace").is_some_and(|namespace| namespace == ROOT);
    let is_gateway = |text: &str| text.to_ascii_lowercase().contains("gateway");
    let labelled = labels.any(|labels| {
        let values = labels.values().filter_map(Value::as_str);
        values.chain(labels.keys().map(String::as_str)).any(is_gateway)
    });
    let targeted = targets.filter_map(|target| target.get("kind")?.as_str()).any(is_gateway);
    if matches!(context, Some("SIDECAR_INBOUND" | "SIDECAR_OUTBOUND")) {
        None
    } else if labelled || targeted || context == Some("GATEWAY") {
        Some("on a gateway")
    } else if everywhere {
        Some("in the root namespace without a selector, so on every gateway")
    } else {
        None
    }
}

/// The context of the patch that the path leads into.
fn context<'a>(spec: &'a Value, path: &str) -> Option<&'a str> {
    let (_, rest) = path.split_once("configPatches[")?;
    let index: usize = rest.split(']').next()?.parse().ok()?;
    spec.get("configPatches")?.get(index)?.pointer("/match/context")?.as_str()
}
