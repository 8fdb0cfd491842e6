//! What is shipped to be applied to a mesh is what Istio takes: every resource is checked against Istio's own
//! schema of its kind, as strictly as kubectl does it, which takes no key that it does not know.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use failgate_lab::{envoyfilter, workspace};
use failgate_verdict::details::{DETAILS, Meaning};
use failgate_verdict::flags::Flags;
use failgate_verdict::settings::Settings;
use failgate_verdict::terms::{GRPC_STATUSES, Gate};
use jsonschema::Validator;
use serde_json::{Value, json};

/// The schemas by API version and kind.
fn schemas() -> BTreeMap<(String, String), Validator> {
    let mut schemas = BTreeMap::new();
    for kind in ["envoyfilter", "telemetry", "wasmplugin"] {
        let path = workspace().join(format!("tests/istio/{kind}.json"));
        let mut file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let mut schema = file["schema"].take();
        for (name, members) in [
            ("apiVersion", json!({ "type": "string" })),
            ("kind", json!({ "type": "string" })),
            ("metadata", json!({ "type": "object", "required": ["name"] })),
        ] {
            schema["properties"][name] = members;
        }
        schema["required"] = json!(["metadata", "spec"]);
        close(&mut schema);
        let kind = file["kind"].as_str().unwrap();
        for version in file["apiVersions"].as_array().unwrap() {
            let name = (version.as_str().unwrap().to_owned(), kind.to_owned());
            schemas.insert(name, jsonschema::validator_for(&schema).unwrap());
        }
    }
    schemas
}

/// Objects have the members that their schema names and no others, unless it says so.
fn close(schema: &mut Value) {
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(close);
        schema["additionalProperties"] = json!(false);
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(inner).filter(|inner| inner.is_object()) {
            close(inner);
        }
    }
}

/// Every YAML file that is shipped.
fn manifests() -> Vec<PathBuf> {
    let mut manifests = vec![envoyfilter::path()];
    for entry in fs::read_dir(workspace().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        manifests.extend(Some(path).filter(|path| {
            path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
        }));
    }
    manifests
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

/// What is wrong with a resource; `None` when it is not one of Istio's.
fn problems(
    schemas: &BTreeMap<(String, String), Validator>,
    resource: &Value,
) -> Option<Vec<String>> {
    let text = |key: &str| resource.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
    let name = (text("apiVersion"), text("kind"));
    if !name.0.contains("istio.io/") {
        return None;
    }
    let Some(schema) = schemas.get(&name) else {
        return Some(vec![format!("there is no schema of {name:?}")]);
    };
    let errors = schema.iter_errors(resource);
    Some(errors.map(|error| format!("{error} at {}", error.instance_path())).collect())
}

#[test]
fn every_shipped_resource_is_what_istio_takes() {
    let schemas = schemas();
    let mut checked = 0;
    for path in manifests() {
        for resource in documents(&fs::read_to_string(&path).unwrap()) {
            if let Some(problems) = problems(&schemas, &resource) {
                assert!(problems.is_empty(), "{}: {problems:#?}", path.display());
                checked += 1;
            }
        }
    }
    assert!(checked >= 3, "{checked} resources");
}

#[test]
fn a_mistake_in_a_resource_is_found() {
    let schemas = schemas();
    let envoyfilter = fs::read_to_string(envoyfilter::path()).unwrap();
    let wasmplugin = fs::read_to_string(workspace().join("examples/wasmplugin.yaml")).unwrap();
    for (text, right, wrong) in [
        (&envoyfilter, "context: ANY", "context: EVERY"),
        (&envoyfilter, "workloadSelector:", "selector:"),
        (&envoyfilter, "filterChain:", "filterchain:"),
        (&envoyfilter, "networking.istio.io/v1alpha3", "networking.istio.io/v3"),
        (&envoyfilter, "  name: failgate-requests\n", ""),
        (&wasmplugin, "failStrategy: FAIL_OPEN", "failStrategy: OPEN"),
        (&wasmplugin, "pluginConfig:", "config:"),
        (&wasmplugin, "url: oci", "uri: oci"),
    ] {
        assert!(text.contains(right), "{right}");
        let resources = documents(&text.replace(right, wrong));
        let found = resources.iter().filter_map(|it| problems(&schemas, it)).flatten().count();
        assert!(found > 0, "{wrong}");
    }
}

/// Every member with this name, wherever it stands.
fn members<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get(name));
            object.values().for_each(|value| members(value, name, found));
        }
        Value::Array(list) => list.iter().for_each(|value| members(value, name, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn in_the_envoyfilter(name: &str) -> Vec<Value> {
    let resources = Value::from(documents(&fs::read_to_string(envoyfilter::path()).unwrap()));
    let mut found = Vec::new();
    members(&resources, name, &mut found);
    found.into_iter().cloned().collect()
}

/// The filters before the module repeat a few rows of the judge's tables, in a language of Envoy's.
#[test]
fn the_filters_of_the_envoyfilter_know_what_the_judge_knows() {
    let expressions = in_the_envoyfilter("expression");
    let told = |what: &str| expressions.iter().any(|it| it.as_str().unwrap().contains(what));

    let listed = |of: fn(&Meaning) -> bool| {
        let rows = DETAILS.iter().filter(|row| of(&row.meaning));
        let texts: Vec<_> = rows.map(|row| format!("'{}'", row.pattern.text())).collect();
        format!("response.code_details in [{}]", texts.join(", "))
    };
    let upstreams = listed(|it| matches!(it, Meaning::Upstreams | Meaning::Replaced));
    assert!(told(&format!("!({upstreams})")), "{upstreams} is not in {expressions:#?}");
    // Resets have a flag each.
    let cut =
        listed(|it| matches!(it, Meaning::Cause(cause) if cause.row().gate == Gate::Response));
    assert!(told(&format!("&& {cut}")), "{cut} is not in {expressions:#?}");

    let parsed = |text: &str| Flags::parse(text).unwrap().0;
    let harmless = ["DI", "RFCF", "DI,RFCF"].map(|text| parsed(text).to_string()).join(", ");
    assert_eq!(Flags(parsed("DI,RFCF")), Flags::HARMLESS);
    assert!(told(&format!("!(response.flags in [{harmless}])")), "{harmless}: {expressions:#?}");
    let left = ["DC", "DI,DC", "DR", "DI,DR"].map(|text| parsed(text).to_string()).join(", ");
    assert!(told(&format!("response.flags in [{left}])")), "{left}: {expressions:#?}");

    let criteria = Settings::default().criteria();
    let failures: Value =
        criteria.grpc_failures().map(|it| GRPC_STATUSES[usize::try_from(it).unwrap()]).collect();
    assert!(in_the_envoyfilter("statuses").contains(&failures), "{failures}");
}

#[test]
fn the_mounts_of_the_envoyfilter_differ_in_nothing() {
    let mut mounts = in_the_envoyfilter("config");
    assert_eq!(mounts.len(), 3);
    mounts.dedup();
    assert_eq!(mounts.len(), 1, "{mounts:#?}");
    let settings = mounts[0]["configuration"]["value"].as_str().unwrap();
    let (settings, problems) = Settings::parse(settings.as_bytes());
    assert!(problems.is_empty(), "{problems:?}");
    assert!(settings == Settings::default(), "what it calls the default is not");
}

/// The page's Pod template gives a sidecar what the EnvoyFilter asks of it.
#[test]
fn the_pod_template_in_the_page_has_what_the_envoyfilter_needs() {
    let page = fs::read_to_string(workspace().join("docs/access-logger.md")).unwrap();
    let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let template = blocks.into_iter().find(|block| block.starts_with("metadata:")).unwrap();
    let template: Value = serde_saphyr::from_str(template).unwrap();
    let metadata = &template["metadata"];
    for selector in in_the_envoyfilter("workloadSelector") {
        assert_eq!(selector["labels"], metadata["labels"]);
    }
    let annotation = |name: &str| -> Value {
        let own = metadata["annotations"][format!("sidecar.istio.io/{name}")].as_str();
        serde_json::from_str(own.unwrap()).unwrap()
    };
    let mount = annotation("userVolumeMount")["failgate"]["mountPath"].take();
    for filename in in_the_envoyfilter("filename") {
        assert_eq!(filename, format!("{}/failgate.wasm", mount.as_str().unwrap()));
    }
    let configmap = annotation("userVolume")["failgate"]["configMap"]["name"].take();
    let name = configmap.as_str().unwrap();
    let shipped = fs::read_to_string(envoyfilter::path()).unwrap();
    let made =
        format!("kubectl create configmap {name} --from-file=failgate.wasm=target/failgate.wasm");
    assert!(page.contains(&made) && shipped.contains(&made), "{made}");
    let labels = in_the_envoyfilter("metadata");
    let labels: Vec<_> =
        labels.iter().map(|own| own["labels"]["failgate"].as_str().unwrap()).collect();
    assert_eq!(labels, ["requests", "connections"]);
    assert!(page.contains("kubectl apply -f envoyfilter.yaml -l failgate=connections"));
}
