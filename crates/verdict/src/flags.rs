//! Envoy's response flags: one row each, and the set that a stream ended with.
//!
//! Source: `CoreResponseFlag` in Envoy's `envoy/stream_info/stream_info.h`, names in
//! `source/common/stream_info/utility.h`, both as compiled into Envoy 1.40. The attribute
//! `response.flags` is the set as a bit mask, bit = the enum's number; the order in which flags were set
//! is lost there. Envoy grows flags: a bit that has no row here survives as `bit30`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::cause::{Cause, cause};
use crate::text::whole;

/// One response flag.
#[derive(Debug)]
pub struct Flag {
    /// Its bit in `response.flags`.
    pub bit: u8,
    /// Its name in `%RESPONSE_FLAGS%`.
    pub short: &'static str,
    /// Its name in `%RESPONSE_FLAGS_LONG%`.
    pub long: &'static str,
    /// What the flag alone means; `None` for a flag that never decides.
    pub cause: Option<Cause>,
}

const fn flag(bit: u8, short: &'static str, long: &'static str, name: &'static str) -> Flag {
    Flag { bit, short, long, cause: Some(cause(name)) }
}

const fn mark(bit: u8, short: &'static str, long: &'static str) -> Flag {
    Flag { bit, short, long, cause: None }
}

/// Every flag of Envoy 1.40. **The order is precedence**: of several flags, the first row that has a
/// cause decides. What this proxy's configuration, policy and limits said comes first, then what the
/// upstream did, then `UO` (set beside another flag when a retry found no room), then what the client
/// did (it may have left because of the rest); the flags that never decide stand last.
#[rustfmt::skip]
pub const FLAGS: &[Flag] = &[
    flag(25, "OM",    "OverloadManagerTerminated",        "proxy_overloaded"),
    flag(21, "NFCF",  "NoFilterConfigFound",              "filter_config_missing"),
    flag(17, "IH",    "InvalidEnvoyRequestHeaders",       "invalid_envoy_headers"),
    flag(12, "UAEX",  "UnauthorizedExternalService",      "external_authorization_denied"),
    flag(11, "RL",    "RateLimited",                      "rate_limited"),
    flag(13, "RLSE",  "RateLimitServiceError",            "rate_limit_error"),
    flag(10, "FI",    "FaultInjected",                    "fault_injected"),
    flag(0,  "LH",    "FailedLocalHealthCheck",           "health_check_failed"),
    flag(8,  "NR",    "NoRouteFound",                     "route_not_found"),
    flag(24, "NC",    "NoClusterFound",                   "cluster_not_found"),
    flag(26, "DF",    "DnsResolutionFailed",              "dns_failure"),
    flag(27, "DO",    "DropOverload",                     "load_shed"),
    flag(29, "UDO",   "UnconditionalDropOverload",        "load_shed"),
    flag(1,  "UH",    "NoHealthyUpstream",                "no_healthy_upstream"),
    flag(5,  "UF",    "UpstreamConnectionFailure",        "connection_failure"),
    flag(19, "UMSDR", "UpstreamMaxStreamDurationReached", "max_stream_duration"),
    flag(2,  "UT",    "UpstreamRequestTimeout",           "response_timeout"),
    flag(16, "SI",    "StreamIdleTimeout",                "stream_idle_timeout"),
    flag(23, "UPE",   "UpstreamProtocolError",            "protocol_error"),
    flag(6,  "UC",    "UpstreamConnectionTermination",    "connection_terminated"),
    flag(4,  "UR",    "UpstreamRemoteReset",              "upstream_reset"),
    flag(3,  "LR",    "LocalReset",                       "local_reset"),
    flag(7,  "UO",    "UpstreamOverflow",                 "upstream_overflow"),
    flag(18, "DPE",   "DownstreamProtocolError",          "malformed_request"),
    flag(22, "DT",    "DurationTimeout",                  "max_connection_duration"),
    flag(28, "DR",    "DownstreamRemoteReset",            "client_reset"),
    flag(14, "DC",    "DownstreamConnectionTermination",  "client_disconnected"),
    // The retries are used up: the cause is the last attempt's.
    mark(15, "URX",   "UpstreamRetryLimitExceeded"),
    mark(9,  "DI",    "DelayInjected"),
    mark(20, "RFCF",  "ResponseFromCacheFilter"),
];

/// A set of response flags, unknown bits included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u64);

impl Flags {
    /// No flag at all.
    pub const NONE: Self = Self(0);
    /// `DI` and `RFCF`: they describe a stream and are no failure.
    pub const HARMLESS: Self = Self(named("DI").0 | named("RFCF").0);
    /// The retries were exhausted.
    pub const URX: Self = named("URX");
    /// No endpoint could be picked.
    pub const UH: Self = named("UH");
    /// The downstream broke the protocol.
    pub const DPE: Self = named("DPE");
    /// The downstream reset the stream.
    pub const DR: Self = named("DR");
    /// The downstream closed the connection.
    pub const DC: Self = named("DC");

    /// Is any flag of `other` set?
    #[must_use]
    pub const fn any_of(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The set without the flags of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Is no flag set?
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The cause that the flags alone name: that of the first row that is set and has one.
    #[must_use]
    pub fn cause(self) -> Option<Cause> {
        FLAGS.iter().filter(|row| self.0 >> row.bit & 1 == 1).find_map(|row| row.cause)
    }

    /// The short names, in the order of the bits; a bit without a row is `bit30` and so on.
    #[must_use]
    pub fn short_names(self) -> Vec<String> {
        (0..64).filter(|bit| self.0 >> bit & 1 == 1).map(short_name).collect()
    }

    /// Reads `%RESPONSE_FLAGS%` or `%RESPONSE_FLAGS_LONG%`: names in any order between commas, `-` and
    /// nothing being the empty set. The error is the first name that is neither a flag nor `bitN`.
    ///
    /// # Errors
    ///
    /// The unknown name, as written.
    pub fn parse(text: &str) -> Result<Self, &str> {
        let names = text.split(',').map(str::trim).filter(|name| !matches!(*name, "" | "-"));
        names
            .map(|name| bit(name).ok_or(name))
            .try_fold(Self::NONE, |flags, bit| bit.map(|bit| Self(flags.0 | 1 << bit)))
    }
}

fn short_name(bit: u8) -> String {
    let row = FLAGS.iter().find(|row| row.bit == bit);
    row.map_or_else(|| format!("bit{bit}"), |row| row.short.to_string())
}

fn bit(name: &str) -> Option<u8> {
    if let Some(row) = FLAGS.iter().find(|row| row.short == name || row.long == name) {
        return Some(row.bit);
    }
    whole(name.strip_prefix("bit")?).and_then(|bit| u8::try_from(bit).ok()).filter(|bit| *bit < 64)
}

/// The set that holds the one flag of that short name. Used by constants only: a name without a row does
/// not compile.
const fn named(short: &str) -> Flags {
    let mut rows = FLAGS;
    while let [row, rest @ ..] = rows {
        if crate::cause::equal(row.short, short) {
            return Flags(1 << row.bit);
        }
        rows = rest;
    }
    crate::cause::no_such_row()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thirty_bits_of_envoy_are_there_once_each() {
        let mut bits: Vec<u8> = FLAGS.iter().map(|row| row.bit).collect();
        bits.sort_unstable();
        assert_eq!(bits, (0..30).collect::<Vec<u8>>());
    }

    #[test]
    fn every_name_reads_back_as_its_own_bit() {
        for row in FLAGS {
            let set = Flags(1 << row.bit);
            assert_eq!(Flags::parse(row.short), Ok(set));
            assert_eq!(Flags::parse(row.long), Ok(set));
            assert_eq!(set.short_names(), [row.short]);
        }
    }

    /// The numbers that Envoy 1.40 itself holds, read from its data; not derived from the table.
    #[test]
    fn the_bits_are_envoys() {
        let envoys = [
            "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE",
            "DC", "URX", "SI", "IH", "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF",
            "DO", "DR", "UDO",
        ];
        assert_eq!(Flags((1 << 30) - 1).short_names(), envoys);
    }

    #[test]
    fn the_order_of_the_text_does_not_matter() {
        assert_eq!(Flags::parse("UF,URX"), Flags::parse("URX, UF"));
        assert_eq!(Flags::parse("UpstreamRetryLimitExceeded,UF"), Flags::parse("URX,UF"));
        assert_eq!(Flags::parse("-"), Ok(Flags::NONE));
        assert_eq!(Flags::parse(""), Ok(Flags::NONE));
    }

    #[test]
    fn an_unknown_bit_survives_and_reads_back() {
        let set = Flags(1 << 30 | 1 << 63);
        assert_eq!(set.short_names(), ["bit30", "bit63"]);
        assert_eq!(Flags::parse("bit30,bit63"), Ok(set));
        assert_eq!(Flags::parse("UF,bit64"), Err("bit64"));
        assert_eq!(Flags::parse("XYZ"), Err("XYZ"));
    }

    #[test]
    fn a_flag_that_names_a_gate_beats_the_exhausted_retries() {
        let cause = |text| Flags::parse(text).unwrap().cause().map(Cause::name);
        assert_eq!(cause("URX,UF"), Some("connection_failure"));
        assert_eq!(cause("DI,RL"), Some("rate_limited"));
        assert_eq!(cause("UO,UF"), Some("connection_failure"));
        assert_eq!(cause("UT,DC"), Some("response_timeout"));
        assert_eq!(cause("URX"), None);
        assert_eq!(cause("DI,RFCF"), None);
        assert_eq!(cause("bit30"), None);
    }
}
