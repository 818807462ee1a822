// Package play runs the simulator under the conditions of a recorded run and brings what happens into the form of one, so
// that package fidelity can compare the two. Read Options first.
package play
