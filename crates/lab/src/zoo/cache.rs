//! The caches, which ask the upstream on their own account.

use serde_json::json;

use super::play::{Scenario, scenario};
use super::site::{Parts, Site, filter};
use crate::Result;
use crate::config::{http, route, typed};

/// Servers that leave after these bytes: an error that may be kept, and is not whole.
pub(super) const CUT: &[(&str, &[u8])] = &[(
    "cuts-its-error",
    b"HTTP/1.1 501 Not Implemented\r\ncache-control: max-age=60\r\ncontent-length: 20\r\n\r\nhalf",
)];

/// A caller that stays until it has heard the end.
const CUT_OFF: &str = "GET /cut HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\n\r\n";

/// Both caches, the older filter and the newer, before the same routes.
pub(super) fn build(site: &Site<'_>, parts: &mut Parts) -> Result<()> {
    parts.clusters.push(site.cluster_of("cut-error", "cuts-its-error")?);
    let routes = [
        route("default", "/status", "mock"),
        route("default", "/cut", "cut-error"),
        json!({ "match": { "prefix": "/close" }, "route": { "cluster": "mock" } }),
        route("default", "/nowhere", "nowhere"),
    ];
    let kept = |kind: &str| json!({ "typed_config": typed(kind, json!({})) });
    let older = "extensions.http.cache.simple_http_cache.v3.SimpleHttpCacheConfig";
    let newer = "extensions.http.cache_v2.simple_http_cache.v3.SimpleHttpCacheV2Config";
    for (name, filter) in [
        ("cache", filter("cache", "CacheConfig", kept(older))),
        ("cache-v2", filter("cache_v2", "CacheV2Config", kept(newer))),
    ] {
        parts.listener(site.listener(name, http(&routes, &[filter])));
    }
    Ok(())
}

/// What a cache says of the upstream's answers, and in place of them.
#[rustfmt::skip] // One scenario, one paragraph.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("an_error_that_is_kept_is_the_applications_each_time", &["application_error", "application_error"], |play| {
        play.ask_at("cache-v2", "/status/501?header=cache-control:max-age=60")?;
        play.ask_at("cache-v2", "/status/501?header=cache-control:max-age=60")
    }),
    scenario("a_cache_needs_a_route", &["route_not_found"], |play| play.ask_at("cache", "/")),
    scenario("a_cache_needs_a_cluster", &["cluster_not_found"], |play| play.ask_at("cache", "/nowhere")),
    scenario("an_answer_that_ends_before_it_is_kept_is_incomplete", &["response_incomplete"], |play| {
        play.say_with_id("cache", CUT_OFF)
    }),
    scenario("an_answer_that_the_newer_cache_aborts_is_incomplete", &["response_incomplete"], |play| {
        play.ask_at("cache-v2", "/close-after-response/300?header=cache-control:max-age=60")
    }),
];
