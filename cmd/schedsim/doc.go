// Command schedsim runs sched_ext schedulers on a simulated Linux machine.
//
// Data goes to stdout, everything else to stderr. See schedsim --help.
package main
