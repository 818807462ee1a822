// Package agent does what a scheduler's user-space half does before it loads the object: it sets global variables and
// resizes data sections by what it finds on the machine.
//
// A scheduler is known by the name in its ops table. One that is not known is left as it is.
package agent
