// Package archtest holds the architecture as data: which package of the project may import which. Its test reads the
// source and fails on an edge or a package that has no row. Changing the architecture means changing the table, with
// the reason in docs/decisions.
package archtest
