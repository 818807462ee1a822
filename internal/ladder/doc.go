// Package ladder runs schedulers of others, one after another, on the same workloads and machines, and says of each how far it comes:
// whether it verifies, attaches, runs to the end, and does what its authors say.
//
// The rungs (rungs.go) say how much a scheduler asks of schedsim: each needs what those below it need, and more. A Plan is made of
// folders of objects; its Jobs are independent of each other and may run in processes of their own. What a Job gives is in two
// parts: Result, which is the same on every machine, and Measured, which is not.
//
// The checks (checks*.go) are one per scheduler or more: a small workload of its own, and a function over the records of its run
// with a documented limit. Start with Job and Run; Check is what says "does what its authors say".
package ladder
