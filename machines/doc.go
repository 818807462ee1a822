// Package machines says what machines cost: named profiles of overheads, clocks and speeds, apart from how many CPUs there are.
//
// A Profile is data: each number that is not zero has a Source that says whether it was measured or is assumed, and where it
// comes from. A Machine is what a run needs: it starts as a profile's, and single numbers of it can be set by name (Set), as
// the flag --cost does. Read Params for what the numbers mean.
package machines
