// Package rtapp reads the workload files of rt-app (the grammar of its master at 55cb0c0), with a few additions of ours
// that rt-app ignores.
//
// Parse returns a File: what the text says, checked, with the position of everything that can be wrong later. It is
// pure data; package workloads turns it into tasks.
//
// The dialect is that of json-c in its lenient mode, because that is what existing files are written in: comments,
// trailing commas, single-quoted strings, literals in any case, leading zeros, and whatever follows the first object is
// ignored. Keys keep their order, for the order of a phase's keys is the order of its events, and a key is an event if it
// starts with the name of one ("run1" and "run_b" are run).
//
// What we add lies under the key "schedsim" in global, a task or a phase; see ext.go. What we refuse although rt-app
// takes it: negative durations (rt-app runs nearly for ever), and keys that are clearly mistyped events.
package rtapp
