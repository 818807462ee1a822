// Package jit selects the engine that compiles programs to machine code, if this machine has one. Everything else is in
// the packages below it, one per architecture.
package jit
