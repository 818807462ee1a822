// Package examples holds the example schedulers as objects, so that commands and tests find them without a file. The sources
// in bpf/ are C; scripts/examples compiles them.
package examples
