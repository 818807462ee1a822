// Package enginetest is what the engines' tests share: a small world to run programs in, a decoder of bytecode, the
// conformance cases, and a generator of hostile programs. An engine's own test calls Conformance and Compare.
package enginetest
