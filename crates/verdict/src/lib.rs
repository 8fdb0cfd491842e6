//! The judge.
#![no_std]
extern crate alloc;
