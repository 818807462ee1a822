// Package bugs holds schedulers with a flaw that a real one had, each with its fix and a workload on which the difference
// shows. README.md lists them; the test runs them all.
package bugs
