//! The Proxy-Wasm ABI 0.2.1: the callbacks that the proxy makes, and the calls that the filter makes.
//!
//! A panic in a callback turns the user's request into a 503, so nothing here can panic: a call that fails
//! is an absent fact, a context that is not known is nothing to do. The Rust SDK cannot promise that (its
//! wrappers panic on a status that they do not expect, its dispatcher on an unknown context), and its
//! hundred callbacks would be half of the module. So the few that the filter needs stand here, with the
//! one `unsafe` of the project. Every pointer that the proxy hands out is memory that it has got from
//! [`proxy_on_memory_allocate`].

#![expect(unsafe_code, reason = "the ABI is made of C functions and raw pointers")]

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::arch::wasm32;
use core::panic::PanicInfo;
use core::ptr::{null, null_mut};

use dlmalloc::GlobalDlmalloc;

use crate::plugin;

#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

/// Nothing is meant to come here. If something does, the proxy's log says where, and the VM ends. Formatting a
/// message could panic itself, and would keep in the module what all places that cannot come here have to say.
#[panic_handler]
fn panicked(panic: &PanicInfo<'_>) -> ! {
    if let Some(place) = panic.location() {
        let (mut digits, mut line) = (*b"failgate: panic in line 0000000000 of", place.line());
        for digit in digits.iter_mut().rev().filter(|it| it.is_ascii_digit()) {
            *digit = b"0123456789".get(line as usize % 10).copied().unwrap_or_default();
            line /= 10;
        }
        log(Level::Critical, str::from_utf8(&digits).unwrap_or_default());
        log(Level::Critical, place.file());
    }
    wasm32::unreachable()
}

/// What only one thread ever sees: a VM has no other.
pub struct OneThread<T>(pub T);

// SAFETY: the module is compiled without threads, and the proxy enters each VM from one thread.
unsafe impl<T> Sync for OneThread<T> {}

/// The version of the ABI that the module speaks, told by the name of the export.
#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

/// The proxy's first call into a new VM.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }
    // SAFETY: the linker makes this function, and the proxy initializes a VM once, before all else.
    unsafe { __wasm_call_ctors() };
}

/// Memory of `size` bytes, into which the proxy writes what a call returns.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    Box::into_raw(vec![0_u8; size].into_boxed_slice()).cast()
}

/// A plugin (no parent), or a stream of the plugin that is its parent.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
    plugin::created(context, parent);
}

/// Always accepts: a mistake in the configuration must not keep the listener from its traffic.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(context: u32, size: usize) -> bool {
    plugin::configured(context, &configuration(size));
    true
}

/// Response headers have come, or have been made here. Always lets them pass.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context: u32, _count: usize, _end: bool) -> u32 {
    const CONTINUE: u32 = 0;
    plugin::response_headers(context);
    CONTINUE
}

/// The stream has ended; for a plugin that is mounted as an access logger, some stream has.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(context: u32) {
    plugin::stream_ended(context);
}

/// The time that [`tick_every`] asked for has gone by.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(context: u32) {
    plugin::tick(context);
}

/// A call that [`post`] has made is over; without headers it has failed.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(
    context: u32,
    call: u32,
    _headers: usize,
    body: usize,
    _trailers: usize,
) {
    plugin::answered(context, call, &headers(CALL_RESPONSE_HEADERS), &|| {
        buffer(CALL_RESPONSE_BODY, body.min(MOST_ANSWER_BYTES))
    });
}

/// The context is over.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    plugin::deleted(context);
}

/// Levels of the proxy's log, in the ABI's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Level {
    Debug = 1,
    Info = 2,
    Warn = 3,
    Error = 4,
    Critical = 5,
}

const OK: u32 = 0;
const REQUEST_HEADERS: u32 = 0;
const RESPONSE_HEADERS: u32 = 2;
const CALL_RESPONSE_HEADERS: u32 = 6;
const CALL_RESPONSE_BODY: u32 = 4;
const PLUGIN_CONFIGURATION: u32 = 7;

/// No more of an answer to a call is looked at.
const MOST_ANSWER_BYTES: usize = 16 * 1024;

// The target's libc has the memcpy and memcmp that the compiler calls.
#[link(name = "c")]
unsafe extern "C" {}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        value: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, size: usize) -> u32;
    fn proxy_get_header_map_pairs(map: u32, pairs: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        size: usize,
    ) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max: usize,
        bytes: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        value: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        size: usize,
        cas: u32,
    ) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_http_call(
        cluster: *const u8,
        cluster_size: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout: u32,
        call: *mut u32,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, size: usize, number: *mut u32) -> u32;
    fn proxy_increment_metric(number: u32, count: i64) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
}

/// Makes a call that hands out bytes. `None` when it fails; empty bytes come back as a null pointer.
fn received(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Option<Vec<u8>> {
    let (mut data, mut size) = (null_mut(), 0);
    if call(&raw mut data, &raw mut size) != OK {
        return None;
    }
    if data.is_null() {
        return Some(Vec::new());
    }
    // SAFETY: the proxy has got this memory from `proxy_on_memory_allocate(size)`, a boxed slice of exactly
    // `size` bytes, and keeps no pointer to it.
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// An attribute of the current stream, named by segments between dots. `None` when it is absent or empty.
pub fn attribute(name: &str) -> Option<Vec<u8>> {
    // The ABI separates the segments with NUL bytes.
    let path: Vec<u8> = name.bytes().map(|byte| if byte == b'.' { 0 } else { byte }).collect();
    let value = received(|data, size| {
        // SAFETY: `path` outlives the call; `data` and `size` are valid for writes.
        unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) }
    });
    value.filter(|value| !value.is_empty())
}

/// A text attribute; bytes that are no UTF-8 are replaced.
pub fn text(name: &str) -> Option<String> {
    attribute(name).map(lossy)
}

/// A number, a duration or a time (nanoseconds): eight bytes, little-endian.
pub fn number(name: &str) -> Option<i64> {
    let bytes = attribute(name)?;
    bytes.first_chunk::<8>().map(|bytes| i64::from_le_bytes(*bytes))
}

/// A boolean: one byte. False when it is absent.
pub fn is_true(name: &str) -> bool {
    attribute(name).is_some_and(|value| value == [1])
}

/// A number that cannot be negative.
pub fn unsigned(name: &str) -> Option<u64> {
    number(name).and_then(|number| u64::try_from(number).ok())
}

/// A request header.
pub fn request_header(name: &str) -> Option<Vec<u8>> {
    received(|data, size| {
        // SAFETY: `name` outlives the call; `data` and `size` are valid for writes.
        unsafe {
            proxy_get_header_map_value(REQUEST_HEADERS, name.as_ptr(), name.len(), data, size)
        }
    })
}

/// The request headers of the current stream, all in one call.
pub fn request_headers() -> Headers {
    headers(REQUEST_HEADERS)
}

/// Sets filter state of the current stream, which the proxy keeps as `wasm.KEY`.
pub fn set_filter_state(key: &str, value: &str) {
    // SAFETY: `key` and `value` outlive the call.
    unsafe { proxy_set_property(key.as_ptr(), key.len(), value.as_ptr(), value.len()) };
}

/// The response headers of the current stream, all in one call.
pub fn response_headers() -> Headers {
    headers(RESPONSE_HEADERS)
}

fn headers(map: u32) -> Headers {
    let pairs = received(|data, size| {
        // SAFETY: `data` and `size` are valid for writes.
        unsafe { proxy_get_header_map_pairs(map, data, size) }
    });
    Headers(pairs.unwrap_or_default())
}

/// Headers as the ABI packs them: the count, then each pair's two lengths, then each pair's two texts
/// with a NUL behind each; numbers are 32-bit little-endian.
pub struct Headers(Vec<u8>);

impl Headers {
    /// The first header of that name (lower case).
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.pairs().find(|(key, _)| *key == name.as_bytes()).map(|(_, value)| value)
    }

    /// The first header of that name as text; bytes that are no UTF-8 are replaced.
    pub fn text(&self, name: &str) -> Option<String> {
        let value = self.first(name).filter(|value| !value.is_empty())?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// All headers of that name (lower case), in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.pairs().filter(move |(key, _)| *key == name.as_bytes()).map(|(_, value)| value)
    }

    fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let count = length(&self.0, 0).unwrap_or_default();
        let mut at = count.checked_mul(8).and_then(|sizes| sizes.checked_add(4));
        (0..count).map_while(move |pair| {
            let key_at = at?;
            let value_at = key_at.checked_add(length(&self.0, 4 + pair * 8)?)?.checked_add(1)?;
            let end = value_at.checked_add(length(&self.0, 8 + pair * 8)?)?;
            at = end.checked_add(1);
            Some((self.0.get(key_at..value_at - 1)?, self.0.get(value_at..end)?))
        })
    }
}

fn length(bytes: &[u8], at: usize) -> Option<usize> {
    let number = bytes.get(at..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_le_bytes(*number)).ok()
}

/// Puts these lines in the place of all response headers of that name.
pub fn replace_response_header(name: &str, lines: &[String]) {
    let (map, key, size) = (RESPONSE_HEADERS, name.as_ptr(), name.len());
    // SAFETY: `name` outlives the call.
    unsafe { proxy_remove_header_map_value(map, key, size) };
    lines.iter().for_each(|line| add_response_header(name, line));
}

/// Adds a response header.
pub fn add_response_header(name: &str, line: &str) {
    let (map, key, size) = (RESPONSE_HEADERS, name.as_ptr(), name.len());
    // SAFETY: `name` and `line` outlive the call.
    unsafe { proxy_add_header_map_value(map, key, size, line.as_ptr(), line.len()) };
}

/// The plugin's configuration; empty when there is none.
fn configuration(size: usize) -> Vec<u8> {
    buffer(PLUGIN_CONFIGURATION, size)
}

/// The first `size` bytes of a buffer; none when it cannot be read.
fn buffer(buffer: u32, size: usize) -> Vec<u8> {
    if size == 0 {
        return Vec::new();
    }
    let bytes = received(|data, received_size| {
        // SAFETY: `data` and `received_size` are valid for writes.
        unsafe { proxy_get_buffer_bytes(buffer, 0, size, data, received_size) }
    });
    bytes.unwrap_or_default()
}

/// Has the current plugin ticked every so many milliseconds.
pub fn tick_every(period: u32) {
    // SAFETY: no pointer is passed.
    unsafe { proxy_set_tick_period_milliseconds(period) };
}

/// Posts a body to a cluster of the proxy's, which has so many milliseconds to answer. Returns the number of the
/// call, or none when it could not be made.
pub fn post(cluster: &str, headers: &[(&str, &str)], body: &str, timeout: u32) -> Option<u32> {
    let (headers, mut call) = (pairs(headers), 0);
    // SAFETY: all texts outlive the call; a length of zero means that there are no trailers; `call` is valid
    // for writes.
    let status = unsafe {
        proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            null(),
            0,
            timeout,
            &raw mut call,
        )
    };
    (status == OK).then_some(call)
}

/// Packs headers as [`Headers`] unpacks them.
fn pairs(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut size = |size: usize| {
        packed.extend_from_slice(&u32::try_from(size).unwrap_or_default().to_le_bytes());
    };
    size(headers.len());
    for (name, value) in headers {
        size(name.len());
        size(value.len());
    }
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        packed.extend_from_slice(text.as_bytes());
        packed.push(0);
    }
    packed
}

/// Puts a value where every VM of this plugin sees it. Returns false if that very value was there.
pub fn share(key: &str, value: &[u8]) -> bool {
    let mut cas = 0;
    let before = received(|data, size| {
        // SAFETY: `key` outlives the call; the three results are valid for writes.
        unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut cas) }
    });
    if before.as_deref() == Some(value) {
        return false;
    }
    // SAFETY: `key` and `value` outlive the call. Another VM that was faster makes it fail.
    let status =
        unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) };
    status == OK
}

/// Defines a counter and returns the proxy's number for it; the same name is the same counter in every VM.
pub fn define_counter(name: &str) -> Option<u32> {
    const COUNTER: u32 = 0;
    let mut number = 0;
    // SAFETY: `name` outlives the call; `number` is valid for writes.
    let status =
        unsafe { proxy_define_metric(COUNTER, name.as_ptr(), name.len(), &raw mut number) };
    (status == OK).then_some(number)
}

/// Adds to a counter.
pub fn add_to_counter(number: u32, count: i64) {
    // SAFETY: no pointer is passed.
    unsafe { proxy_increment_metric(number, count) };
}

/// Now, in nanoseconds since 1970; 0 if the proxy does not say.
pub fn now() -> u64 {
    let mut time = 0;
    // SAFETY: `time` is valid for writes.
    unsafe { proxy_get_current_time_nanoseconds(&raw mut time) };
    time
}

/// Writes a line to the proxy's log.
pub fn log(level: Level, message: &str) {
    // SAFETY: `message` outlives the call.
    unsafe { proxy_log(level as u32, message.as_ptr(), message.len()) };
}

fn lossy(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}
