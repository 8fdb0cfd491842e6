//! What HTTP filters answer: a listener for each, with nothing but that filter before the router.

use std::fs;

use serde_json::{Value, json};

use super::crash::{self, End};
use super::play::{Play, Scenario, scenario};
use super::site::{Parts, Site, filter, grpc_service, over_http2, to_the_server};
use crate::client::Request;
use crate::config::{typed, wasm_filter, with};
use crate::{Doing as _, Error, Result};

/// A listener for every filter, and clusters for the services that they ask.
pub(super) fn build(site: &Site<'_>, parts: &mut Parts) -> Result<()> {
    for peer in [
        "authorizer-that-denies",
        "authorizer-that-babbles",
        "limiter-that-limits",
        "limiter-of-grpc",
        "processor-that-answers",
        "processor-that-meddles",
    ] {
        parts.clusters.push(over_http2(site.cluster_of(peer, peer)?));
    }
    parts.clusters.push(crate::config::cluster("empty", &[]));
    for (name, filter) in authentication().into_iter().chain(services()).chain(others()) {
        parts.gate(site, name, &[filter], json!({}));
    }
    limited_clients(site, parts);
    rate_limit(site, parts);
    wasm(site, parts)?;
    missing(site, parts);
    small_buffer(site, parts);
    replaced(site, parts);
    Ok(())
}

fn authentication() -> Vec<(&'static str, Value)> {
    // One key, which signs nothing here.
    let keys = r#"{"keys":[{"kty":"oct","alg":"HS256","kid":"zoo","k":"c2VjcmV0"}]}"#;
    let jwt = json!({
        "providers": { "zoo": { "issuer": "zoo", "local_jwks": { "inline_string": keys } } },
        "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "zoo" } }],
    });
    let users = json!({ "users": { "inline_string": "user:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=" } });
    let endpoint = json!({ "cluster": "mock", "uri": "http://mock/status/500", "timeout": "1s" });
    let oauth = json!({ "config": {
        "token_endpoint": endpoint,
        "authorization_endpoint": "http://mock/authorize",
        "redirect_uri": "http://mock/callback",
        "redirect_path_matcher": { "path": { "exact": "/callback" } },
        "signout_path": { "path": { "exact": "/signout" } },
        "credentials": {
            "client_id": "zoo",
            "token_secret": { "name": "secret" },
            "hmac_secret": { "name": "secret" },
        },
        "deny_redirect_matcher": [{ "name": ":path", "string_match": { "prefix": "/status" } }],
    } });
    vec![
        ("jwt", filter("jwt_authn", "JwtAuthentication", jwt)),
        ("basic-auth", filter("basic_auth", "BasicAuth", users)),
        ("oauth2", filter("oauth2", "OAuth2", oauth)),
    ]
}

fn services() -> Vec<(&'static str, Value)> {
    let server =
        |cluster: &str| json!({ "uri": "http://authorizer", "cluster": cluster, "timeout": "5s" });
    let over_http = |cluster: &str, status: &str| json!({ "http_service": { "server_uri": server(cluster), "path_prefix": status } });
    let authorized = |members| filter("ext_authz", "ExtAuthz", members);
    let over_grpc = |cluster: &str| {
        authorized(json!({
            "grpc_service": grpc_service(cluster),
            "transport_api_version": "V3",
            "validate_mutations": true,
        }))
    };
    let processed = |cluster: &str| {
        filter("ext_proc", "ExternalProcessor", json!({ "grpc_service": grpc_service(cluster) }))
    };
    // The processor may change nothing, and what it changes all the same is an error.
    let forbidden = |mut filter: Value| {
        if let Some(config) = filter.get_mut("typed_config") {
            let rules = json!({ "disallow_all": true, "disallow_is_error": true });
            *config = with(config.take(), json!({ "mutation_rules": rules }));
        }
        filter
    };
    let deny_all = typed(
        "extensions.filters.http.rate_limit_quota.v3.RateLimitQuotaBucketSettings",
        json!({
            "bucket_id_builder": { "bucket_id_builder": { "zoo": { "string_value": "zoo" } } },
            "no_assignment_behavior": { "fallback_rate_limit": { "blanket_rule": "DENY_ALL" } },
            "reporting_interval": "60s",
        }),
    );
    let quota = json!({
        "rlqs_server": grpc_service("refused"),
        "domain": "zoo",
        "bucket_matchers": { "on_no_match": { "action": { "name": "zoo", "typed_config": deny_all } } },
    });
    vec![
        ("ext-authz-denied", authorized(over_http("mock", "/status/403"))),
        ("ext-authz-refused", authorized(over_http("refused", "/status/403"))),
        ("ext-authz-grpc", over_grpc("authorizer-that-denies")),
        ("ext-authz-invalid", over_grpc("authorizer-that-babbles")),
        ("ext-proc-refused", processed("refused")),
        ("ext-proc-answer", processed("processor-that-answers")),
        ("ext-proc-meddling", forbidden(processed("processor-that-meddles"))),
        ("quota", filter("rate_limit_quota", "RateLimitQuotaFilterConfig", quota)),
    ]
}

fn others() -> Vec<(&'static str, Value)> {
    let all = json!({ "numerator": 100, "denominator": "HUNDRED" });
    let delay = json!({ "delay": { "fixed_delay": "0.01s", "percentage": all } });
    let admission = json!({
        "enabled": { "default_value": true, "runtime_key": "zoo.enabled" },
        "sampling_window": "60s",
        "success_criteria": { "http_criteria": { "http_success_status": [{ "start": 100, "end": 400 }] } },
        "sr_threshold": { "default_value": { "value": 100 }, "runtime_key": "zoo.threshold" },
        "max_rejection_probability": { "default_value": { "value": 100 }, "runtime_key": "zoo.most" },
    });
    let path = json!([{ "name": ":path", "string_match": { "exact": "/healthy" } }]);
    let unhealthy = json!({
        "pass_through_mode": false,
        "headers": path,
        "cluster_min_healthy_percentages": { "empty": { "value": 100 } },
    });
    let path = json!([{ "name": ":path", "string_match": { "exact": "/status/503" } }]);
    let cached = json!({ "pass_through_mode": true, "cache_time": "60s", "headers": path });
    let lua = |code: &str| {
        filter("lua", "Lua", json!({ "default_source_code": { "inline_string": code } }))
    };
    vec![
        ("delay", filter("fault", "HTTPFault", delay)),
        ("admission-control", filter("admission_control", "AdmissionControl", admission)),
        ("health-check", filter("health_check", "HealthCheck", unhealthy)),
        ("health-check-cache", filter("health_check", "HealthCheck", cached)),
        (
            "lua",
            lua(
                "function envoy_on_request(handle) handle:respond({[':status'] = '503'}, 'no') end",
            ),
        ),
        (
            "lua-no-method",
            lua("function envoy_on_request(handle) handle:headers():remove(':method') end"),
        ),
        (
            "csrf",
            filter("csrf", "CsrfPolicy", json!({ "filter_enabled": { "default_value": all } })),
        ),
        ("cdn-loop", filter("cdn_loop", "CdnLoopConfig", json!({ "cdn_id": "zoo" }))),
        (
            "grpc-bridge",
            filter(
                "grpc_http1_reverse_bridge",
                "FilterConfig",
                json!({ "content_type": "application/grpc+proto" }),
            ),
        ),
        ("buffer", filter("buffer", "Buffer", json!({ "max_request_bytes": 8 }))),
    ]
}

/// Keys that two clients have, and a route that takes one of them.
fn limited_clients(site: &Site<'_>, parts: &mut Parts) {
    let kind = "extensions.filters.http.api_key_auth.v3.ApiKeyAuthPerRoute";
    let route = with(
        to_the_server(),
        json!({ "typed_per_filter_config": {
        "envoy.filters.http.api_key_auth": typed(kind, json!({ "allowed_clients": ["one"] })),
    } }),
    );
    let keys = json!({
        "credentials": [{ "key": "1", "client": "one" }, { "key": "2", "client": "two" }],
        "key_sources": [{ "header": "x-key" }],
    });
    parts.gate_to(site, "api-key", filter("api_key_auth", "ApiKeyAuth", keys), &[route]);
}

fn rate_limit(site: &Site<'_>, parts: &mut Parts) {
    let mut route = to_the_server();
    if let Some(action) = route.get_mut("route") {
        let limits = json!([{ "actions": [{ "generic_key": { "descriptor_value": "zoo" } }] }]);
        *action = with(action.take(), json!({ "rate_limits": limits }));
    }
    for (name, cluster) in [
        ("rate-limit", "limiter-that-limits"),
        ("rate-limit-grpc", "limiter-of-grpc"),
        ("rate-limit-refused", "refused"),
    ] {
        let service =
            json!({ "grpc_service": grpc_service(cluster), "transport_api_version": "V3" });
        let members = json!({ "domain": "zoo", "timeout": "10s", "failure_mode_deny": true, "rate_limit_service": service });
        let route = std::slice::from_ref(&route);
        parts.gate_to(site, name, filter("ratelimit", "RateLimit", members), route);
    }
}

/// Modules that end a stream as soon as its request comes.
fn wasm(site: &Site<'_>, parts: &mut Parts) -> Result<()> {
    for (name, end) in [("wasm-crash", End::Crash), ("wasm-close", End::Close)] {
        let path = site.folder.join(name);
        fs::write(&path, crash::module(end)).doing(|| format!("writing {}", path.display()))?;
        let plugin = json!({
            "name": name,
            "failure_policy": "FAIL_CLOSED",
            "vm_config": {
                "runtime": "envoy.wasm.runtime.v8",
                "code": { "local": { "filename": path } },
            },
        });
        parts.gate(site, name, &[wasm_filter(&plugin)], json!({}));
    }
    Ok(())
}

/// A filter whose configuration is to be delivered, and is not.
fn missing(site: &Site<'_>, parts: &mut Parts) {
    let discovered = json!({ "name": "discovered", "config_discovery": {
        "config_source": {
            "resource_api_version": "V3",
            "initial_fetch_timeout": "0.1s",
            "api_config_source": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [grpc_service("refused")],
            },
        },
        "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer"],
    } });
    parts.gate(site, "discovered-filter", &[discovered], json!({}));
}

/// A filter that puts another response in the place of any.
fn replaced(site: &Site<'_>, parts: &mut Parts) {
    let kind = "extensions.http.custom_response.redirect_policy.v3.RedirectPolicy";
    let policy = typed(kind, json!({ "uri": "http://a/other" }));
    let action = json!({ "action": { "name": "other", "typed_config": policy } });
    let members = json!({ "custom_response_matcher": { "on_no_match": action } });
    let other = json!({
        "name": "other",
        "match": { "prefix": "/other" },
        "direct_response": { "status": 500 },
    });
    let filter = filter("custom_response", "CustomResponse", members);
    parts.gate_to(site, "replaced", filter, &[other, to_the_server()]);
}

/// A filter that needs the whole response, and has no room for it.
fn small_buffer(site: &Site<'_>, parts: &mut Parts) {
    let code = "function envoy_on_response(handle) handle:body() end";
    let lua = filter("lua", "Lua", json!({ "default_source_code": { "inline_string": code } }));
    let http = crate::config::http(&[to_the_server()], &[lua]);
    let listener = site.listener("small-buffer", http);
    parts.listener(with(listener, json!({ "per_connection_buffer_limit_bytes": 1024 })));
}

impl Play<'_> {
    fn ask_with(&mut self, listener: &str, path: &str, headers: &[(&str, &str)]) -> Result<()> {
        let port = self.port(listener)?;
        let add = |request: Request, (name, value): &(&str, &str)| request.header(*name, *value);
        headers.iter().fold(self.get(path), add).send(port).map(drop)
    }

    pub(super) fn post(
        &mut self,
        listener: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<()> {
        self.post_to(listener, "/status/200", headers, body)
    }

    pub(super) fn post_to(
        &mut self,
        listener: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<()> {
        let (port, id) = (self.port(listener)?, self.id());
        let request = Request::new("POST", path).header("x-request-id", id).body(body);
        let add = |request: Request, (name, value): &(&str, &str)| request.header(*name, *value);
        headers.iter().fold(request, add).send(port).map(drop)
    }
}

/// What stops at the gate `filter`.
#[rustfmt::skip] // One scenario, one paragraph.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("a_request_without_a_token_is_not_authenticated", &["authentication_failed"], |play| {
        play.ask_at("jwt", "/status/200")
    }),
    scenario("a_request_without_a_password_is_not_authenticated", &["authentication_failed"], |play| {
        play.ask_at("basic-auth", "/status/200")
    }),
    scenario(
        "a_key_must_be_there_and_known_and_allowed",
        &["authentication_failed", "authentication_failed", "authentication_failed"],
        |play| {
            play.ask_at("api-key", "/status/200")?;
            play.ask_with("api-key", "/status/200", &[("x-key", "3")])?;
            play.ask_with("api-key", "/status/200", &[("x-key", "2")])
        },
    ).before("1.40", &["authentication_failed"; 3], "the details `unknown_api_key` are spelled `unkonwn_api_key`"),
    scenario("a_request_that_may_not_be_redirected_is_unauthorized", &["authentication_failed"], |play| {
        play.ask_at("oauth2", "/status/200")
    }),
    scenario("a_callback_without_a_state_is_unauthorized", &["authentication_failed"], |play| {
        play.ask_at("oauth2", "/callback?error=denied")
    }),
    scenario("an_authorizer_denies_over_http", &["external_authorization_denied"], |play| {
        play.ask_at("ext-authz-denied", "/status/200")
    }),
    scenario("an_authorizer_denies_over_grpc", &["external_authorization_denied"], |play| {
        play.ask_at("ext-authz-grpc", "/status/200")
    }),
    scenario("an_authorizer_that_is_not_there_is_no_denial", &["external_authorization_error"], |play| {
        play.ask_at("ext-authz-refused", "/status/200")
    }),
    scenario("an_authorizer_that_babbles_is_no_denial", &["external_authorization_error"], |play| {
        play.ask_at("ext-authz-invalid", "/status/200")
    }),
    scenario("a_rate_limit_service_limits", &["rate_limited"], |play| {
        play.ask_at("rate-limit", "/status/200")
    }),
    scenario("a_rate_limit_service_that_is_not_there_limits_nothing", &["rate_limit_error"], |play| {
        play.ask_at("rate-limit-refused", "/status/200")
    }),
    scenario("a_rate_limit_service_limits_grpc_too", &["rate_limited"], |play| {
        play.ask_with("rate-limit-grpc", "/status/200", &[("content-type", "application/grpc")])
    }),
    scenario("a_quota_may_be_none", &["rate_limited"], |play| play.ask_at("quota", "/status/200"))
        .before("1.37", &[], "rate_limit_quota lets the first request of a bucket pass, whatever its fallback says"),
    scenario("an_external_processor_that_is_not_there_is_an_error", &["external_processing_error"], |play| {
        play.ask_at("ext-proc-refused", "/status/200")
    }).before("1.38", &["external_processing_error"], "the details of an external processor that is not reached say otherwise why"),
    scenario("a_processor_that_may_change_nothing_is_an_error", &["external_processing_error"], |play| {
        play.ask_at("ext-proc-meddling", "/status/200")
    }).before("1.37", &["external_processing_error"], "the details of a change that an external processor may not make are `Invalid_attempt_to_modify_…`, not `header_mutation_…`"),
    scenario("a_processor_answers_with_words_that_nobody_knows", &["unrecognized"], |play| {
        play.ask_at("ext-proc-answer", "/status/200")
    }),
    scenario("a_grpc_call_is_not_redirected_to_a_login", &["authentication_failed"], |play| {
        play.ask_with("oauth2", "/login", &[("content-type", "application/grpc")])
    }),
    scenario("a_delay_is_injected_and_is_not_the_failure", &["application_error"], |play| {
        play.ask_at("delay", "/status/503")
    }),
    scenario("a_delay_alone_is_no_failure", &[], |play| play.ask_at("delay", "/status/200")),
    scenario("admission_control_denies_what_would_fail", &["admission_denied"], |play| {
        // Each error makes a denial likelier: after twenty it is twenty in twenty-one.
        let port = play.port("admission-control")?;
        for _ in 0..100 {
            for _ in 0..20 {
                Request::get("/status/500").send(port)?;
            }
            if play.get("/status/200").send(port)?.status == 503 {
                return Ok(());
            }
            play.forget();
        }
        Err(Error::new("waiting for admission to be denied", "100 requests were admitted"))
    }),
    scenario("a_health_check_fails_with_the_cluster", &["health_check_failed"], |play| {
        play.ask_at("health-check", "/healthy")
    }),
    scenario("a_health_check_is_answered_from_the_cache", &["application_error", "health_check_failed"], |play| {
        play.ask_at("health-check-cache", "/status/503")?;
        play.ask_at("health-check-cache", "/status/503")
    }),
    scenario("a_script_responds", &["filter_response"], |play| play.ask_at("lua", "/status/200")),
    scenario("a_script_that_takes_the_method_away_breaks_the_request", &["filter_failed"], |play| {
        play.ask_at("lua-no-method", "/status/200")
    }),
    scenario("a_request_of_another_origin_is_refused", &["filter_response"], |play| {
        play.post("csrf", &[("origin", "http://elsewhere")], "")
    }),
    scenario("a_loop_is_detected", &["filter_response", "filter_response"], |play| {
        play.ask_with("cdn-loop", "/status/200", &[("cdn-loop", "zoo")])?;
        play.ask_with("cdn-loop", "/status/200", &[("cdn-loop", "\"")])
    }),
    scenario("a_grpc_bridge_refuses_what_is_no_grpc", &["filter_response"], |play| {
        play.post("grpc-bridge", &[("content-type", "application/grpc")], "\0\0\0\0\0")
    }),
    scenario("a_request_of_nine_bytes_may_be_too_large", &["request_too_large"], |play| {
        play.post("buffer", &[], "123456789")
    }),
    scenario("a_response_may_be_too_large_for_a_filter", &["response_too_large"], |play| {
        play.ask_at("small-buffer", "/stream/300/0")
    }),
    scenario("an_error_that_is_replaced_was_the_applications", &["application_error", "direct_response"], |play| {
        let port = play.port("replaced")?;
        Request::get("/status/503").header("x-request-id", "replaced").send(port)?;
        play.both_streams("replaced")
    }),
    scenario("a_module_that_crashes_fails_the_stream", &["filter_failed"], |play| {
        play.ask_at("wasm-crash", "/status/200")
    }),
    scenario("a_module_may_close_the_stream", &["filter_response"], |play| {
        play.ask_at("wasm-close", "/status/200")
    }),
    scenario("a_filter_without_its_configuration_is_missing", &["filter_config_missing"], |play| {
        play.ask_at("discovered-filter", "/status/200")
    }),
];
