// Package recipes knows the user-space halves of schedulers: a recipe says what the loader of one scheduler writes into its
// object, which programs it runs and what it goes on doing, as functions of the machine. It is a file of JSON with comments,
// where a text that begins with "=" is an expression of Starlark; what needs logic is a script of Starlark beside it.
//
// The files here are ours, written from what each scheduler needs. An object is matched by the name in its ops table, and by
// variables that tell variants apart.
//
// Scripts are deterministic: they see the machine and the object, the only clock is simulated time, and their steps are
// counted.
//
// Read Recipe first, then Agent. docs/recipes.md describes the format.
package recipes
