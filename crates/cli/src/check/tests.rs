use super::*;

fn found(text: &str) -> Vec<String> {
    let (found, mounts) = findings(text).unwrap();
    assert_eq!(mounts, 1, "{text}");
    found.iter().map(|it| format!("{}: {}: {}", it.line, it.path, it.reason)).collect()
}

const PLUGIN: &str = "\
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata:
  name: failgate
  namespace: shop
spec:
  url: oci://registry.example/failgate:1
  failStrategy: FAIL_OPEN
  pluginConfig:
    log:
      level: warn
    ignore: [client_reset]
";

#[test]
fn a_good_manifest_has_nothing_wrong() {
    assert_eq!(found(PLUGIN), [""; 0]);
    assert_eq!(found("{}"), [""; 0]);
    assert_eq!(found(r#"{"log": {"enabled": false}}"#), [""; 0]);
}

#[test]
fn a_mistake_is_named_with_its_line_and_key() {
    let text = PLUGIN
        .replace("level: warn", "level: loud\n      maxPerSecond: 0\n      colour: red")
        .replace("[client_reset]", "[client_reset, client_rest]");
    let found = found(&text);
    assert_eq!(found.len(), 4, "{found:#?}");
    assert_eq!(
        found[0],
        "11: spec.pluginConfig.log.level: must be one of debug, info, warn, error, is \"loud\""
    );
    assert_eq!(
        found[1],
        "12: spec.pluginConfig.log.maxPerSecond: must be a whole number from 1 to 10000, is 0"
    );
    assert!(
        found[2]
            .starts_with("13: spec.pluginConfig.log.colour: unknown key; there are log.enabled, ")
    );
    assert_eq!(
        found[3],
        "14: spec.pluginConfig.ignore[1]: must be the name of a cause, is \"client_rest\""
    );
}

#[test]
fn traffic_must_not_depend_on_a_diagnosis() {
    let closed = found(&PLUGIN.replace("FAIL_OPEN", "FAIL_CLOSE"));
    assert!(
        closed[0].starts_with("8: spec.failStrategy: must be FAIL_OPEN, is FAIL_CLOSE"),
        "{closed:?}"
    );
    let missing = found(&PLUGIN.replace("  failStrategy: FAIL_OPEN\n", ""));
    assert!(missing[0].starts_with("6: spec: failStrategy is missing"), "{missing:?}");
}

#[test]
fn a_key_that_is_misspelled_beside_the_settings_is_named() {
    let found = found(&PLUGIN.replace("pluginConfig:", "pluginConfg:").replace("FAIL_OPEN", "3"));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].starts_with("9: spec.pluginConfg: unknown key; there are failStrategy, "),
        "{}",
        found[0]
    );
    assert!(found[1].starts_with("8: spec.failStrategy: must be FAIL_OPEN, is 3"), "{}", found[1]);
}

#[test]
fn a_gateway_tells_the_world_nothing() {
    let always =
        PLUGIN.replace("    log:\n      level: warn\n", "    header:\n      mode: always\n");
    assert_eq!(found(&always), [""; 0]);
    let labels = always
        .replace("spec:\n", "spec:\n  selector:\n    matchLabels:\n      istio: ingressgateway\n");
    assert!(
        found(&labels)[0].starts_with("14: spec.pluginConfig.header.mode: is always, on a gateway"),
        "{:?}",
        found(&labels)
    );
    for gateway in [
        "spec:\n  targetRefs:\n  - kind: Gateway\n    name: front\n",
        "spec:\n  targetRef:\n    kind: Gateway\n    name: front\n",
        "spec:\n  selector:\n    matchLabels:\n      gateway.networking.k8s.io/gateway-name: front\n",
    ] {
        assert_eq!(found(&always.replace("spec:\n", gateway)).len(), 1, "{gateway}");
    }
    let workload = "spec:\n  selector:\n    matchLabels:\n      app: reviews\n";
    for (manifest, reached) in [
        (always.replace("spec:\n", workload), false),
        (always.replace("namespace: shop", "namespace: istio-system"), true),
        (always.replace("spec:\n", workload).replace("shop", "istio-system"), false),
    ] {
        assert_eq!(found(&manifest).len(), usize::from(reached), "{manifest}");
    }
    // And so does a patch, by the context that it is for.
    let patch = FILTER
        .replace(
            "extensions.access_loggers.wasm.v3.WasmAccessLog",
            "extensions.filters.http.wasm.v3.Wasm",
        )
        .replace("  - patch:", "  - match:\n      context: GATEWAY\n    patch:")
        .replace("\"ignore\": \"all\"", "\"header\": { \"mode\": \"always\" }");
    assert_eq!(
        found(&patch),
        [
            "21: spec.configPatches[0].patch.value.typed_config.config.configuration.value.header.mode: is always, on a \
             gateway: whoever calls from outside is told what failed inside"
        ]
    );
    assert_eq!(found(&patch.replace("GATEWAY", "SIDECAR_INBOUND")), [""; 0]);
    let selected =
        "kind: EnvoyFilter\nspec:\n  workloadSelector:\n    labels:\n      istio: ingressgateway";
    let selected = patch.replace("kind: EnvoyFilter\nspec:", selected);
    assert_eq!(found(&selected.replace("context: GATEWAY", "context: ANY")).len(), 1);
}

#[test]
fn a_secret_among_the_fields_is_called_one() {
    let text = PLUGIN.replace(
        "    ignore:",
        "    fields:\n    - path\n    - authorization\n    - x-forwarded-for\n    ignore:",
    );
    let found = found(&text);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].starts_with("14: spec.pluginConfig.fields[1]: must be one of path, "),
        "{}",
        found[0]
    );
    assert!(
        found[0].ends_with(
            "is \"authorization\": it looks like a secret; the value of a header is never recorded, whatever its name"
        ),
        "{}",
        found[0]
    );
    assert!(found[1].starts_with("15: ") && !found[1].contains("secret"), "{}", found[1]);
    // In a text within an EnvoyFilter, and where there should have been a list.
    let filter = FILTER.replace("\"ignore\": \"all\"", "\"fields\": \"x-api-key\"");
    let found = findings(&filter).unwrap().0;
    assert_eq!(found.len(), 1);
    assert!(found[0].reason.contains("must be a list"), "{}", found[0].reason);
    assert!(found[0].reason.contains("looks like a secret"), "{}", found[0].reason);
}

const FILTER: &str = r#"
kind: EnvoyFilter
spec:
  configPatches:
  - patch:
      value:
        name: failgate
        filter: {response_flag_filter: {}}
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.access_loggers.wasm.v3.WasmAccessLog
          config:
            name: failgate
            failure_policy: FAIL_OPEN
            configuration:
              "@type": type.googleapis.com/google.protobuf.StringValue
              value: |
                {
                  "log": { "enabled": true },
                  "ignore": "all"
                }
"#;

#[test]
fn an_envoy_filter_is_searched_for_its_mounts() {
    assert_eq!(
        found(FILTER),
        [
            r#"19: spec.configPatches[0].patch.value.typed_config.config.configuration.value.ignore: must be a list, is "all""#
        ]
    );
    let closed =
        FILTER.replace("            failure_policy: FAIL_OPEN\n", "").replace("\"all\"", "[]");
    assert!(found(&closed)[0].contains("failure_policy must be FAIL_OPEN"), "{:?}", found(&closed));
    let camel = FILTER.replace("failure_policy", "failurePolicy").replace("\"all\"", "[]");
    assert_eq!(found(&camel), [""; 0]);
    let one_line =
        FILTER.split("value: |").next().unwrap().to_owned() + "value: '{\"ignore\": 1}'\n";
    assert!(found(&one_line)[0].starts_with("16: "), "{:?}", found(&one_line));
    let broken = FILTER.replace("                }\n", "");
    assert!(found(&broken)[0].contains("is not JSON"), "{:?}", found(&broken));
}

#[test]
#[rustfmt::skip] // One mistake, one row.
fn a_mistake_in_the_shipped_envoy_filter_is_named_with_its_line_and_key() {
    const SHIPPED: &str = include_str!("../../../../envoyfilter.yaml");
    const LOG: &str = r#""log": { "level": "warn", "maxPerSecond": 50 }"#;
    const FILE: &str = "local: { filename: /var/lib/failgate/failgate.wasm }";
    const LOGGER: &str = "spec.configPatches[0].patch.value.typed_config.access_log[0]";
    let all = |text: &str| {
        let (found, mounts) = findings(text).unwrap();
        assert_eq!(mounts, 3, "{text}");
        found.iter().map(|it| format!("{}: {}: {}", it.line, it.path, it.reason)).collect::<Vec<_>>()
    };
    assert_eq!(all(SHIPPED), [""; 0]);
    // What is replaced by what, on which line the first of that stands, and what is said of it.
    for (right, wrong, at, path, reason) in [
        (LOG, r#""log": { "maxPerSecond": 0 }"#, r#""maxPerSecond": 0"#, ".typed_config.config.configuration.value.log.maxPerSecond", "must be a whole number"),
        (LOG, r#""logs": {}"#, r#""logs""#, ".typed_config.config.configuration.value.logs", "unknown key"),
        (LOG, r#""header": { "mode": "mesh" }"#, r#""header""#, ".typed_config.config.configuration.value.header", "does nothing here"),
        ("value: |", "value:", "configuration:", ".typed_config.config.configuration", "must be a google.protobuf.StringValue"),
        ("failure_policy: FAIL_OPEN", "failure_policy: FAIL_CLOSED", "  config:", ".typed_config.config", "failure_policy must be FAIL_OPEN"),
        (FILE, "remote: {}", "remote: {}", ".typed_config.config.vm_config.code.remote", "sha256 is missing"),
        ("filter:\n                  or_filter:", "unfiltered:\n                  or_filter:", "- name: failgate\n", "", "filter is missing"),
    ] {
        let text = SHIPPED.replacen(right, wrong, 1);
        let line = text.split(at).next().unwrap().lines().count();
        let found = all(&text);
        let [only] = found.as_slice() else { panic!("{wrong}: {found:#?}") };
        let expected = format!("{line}: {LOGGER}{path}: {reason}");
        assert!(only.starts_with(&expected), "expected {expected}, found {only}");
    }
    let everywhere = all(&SHIPPED.replace("workloadSelector", "selector"));
    assert_eq!(everywhere.len(), 2, "one a resource");
    assert!(everywhere[0].contains(": spec: workloadSelector is missing, and Envoy refuses"), "{everywhere:?}");
}

#[test]
fn what_is_not_ours_is_left_alone() {
    for text in [
        PLUGIN.replace("failgate", "other"),
        FILTER.replace("failgate", "other"),
        "kind: Service\nspec: {}\n".to_owned(),
        "node: {id: x}\nstatic_resources: {}\n".to_owned(),
        "groups:\n- name: failgate\n".to_owned(),
        String::new(),
    ] {
        assert_eq!(findings(&text).unwrap(), (Vec::new(), 0), "{text}");
    }
    let both = format!("{}---\n{PLUGIN}---\nkind: Service\n", PLUGIN.replace("failgate", "other"));
    assert_eq!(findings(&both).unwrap().1, 1);
}

#[test]
fn settings_alone_are_checked_too() {
    assert_eq!(found("log: true\n"), ["1: log: must be an object, is true"]);
    assert_eq!(found("[]"), ["1: the configuration: must be an object, is a list"]);
    assert!(findings("a: [").is_err());
}

#[test]
fn a_list_is_what_kubectl_prints() {
    let item: String =
        PLUGIN.replace("warn", "loud").lines().map(|line| format!("  {line}\n")).collect();
    let list = format!("apiVersion: v1\nkind: List\nitems:\n-{}", item.trim_start_matches(' '));
    let list = list.replacen("-apiVersion", "- apiVersion", 1);
    let found = found(&list);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("14: items[0].spec.pluginConfig.log.level: must be one of"),
        "{found:?}"
    );
}
