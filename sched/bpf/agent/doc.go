// Package agent is the user-space half of schedulers from objects: what their loaders write before the programs are loaded,
// what they do before and after the table is attached, and what they go on doing while it is in charge.
//
// An Agent is asked three times: Prepare edits the blueprint of the object, Loaded uses maps and programs before the table is
// registered, Attached starts what goes on. It acts through a Loaded: variables by path, maps by name, SYSCALL programs with
// typed arguments, the arena by the addresses that programs hand out, timers in simulated time, tasks of the machine.
//
// What an agent does by itself takes no time. A task that it adds to the machine costs CPU time like any other, and so do the
// programs that it runs.
//
// Read Agent first, then Loaded. The agents of known schedulers are recipes, package recipe.
package agent
