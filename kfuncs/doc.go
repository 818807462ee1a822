// Package kfuncs is the set of kernel functions that programs of a scheduler may call: for each its prototype, flags and
// groups, where it may be called from, and what it does.
//
// There is one file per group, with a row for each function and the function itself where it is modelled. The functions
// are thin: they turn registers into Go values, check pointers, and call the method of ext.Kernel with the same name. A
// row without a function is known by name, prototype and permission; an object that would call it is refused when it
// is loaded.
//
// Check is the permission rule: it follows scx_kfunc_context_filter (kernel/sched/ext/ext.c, 7.2). Read Context first,
// then All.
package kfuncs
