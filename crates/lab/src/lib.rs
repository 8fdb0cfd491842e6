//! The rig: a real Envoy, a server that fails on purpose, and the scenarios that they play.
