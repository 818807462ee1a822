// Package permissions asks a kernel which functions of sched_ext programs may call from where: a program for each function and
// each context (a callback of sched_ext_ops or sched_ext_ops_cid, or another type of program), which is loaded and thrown away. What the
// kernel's types (its BTF) say makes the programs, so that a new kernel needs no new code; native/loads.c loads them
// in the guest, and Table is what came out, in the form of kfuncs/testdata/matrix-VERSION.txt.
//
// The programs give type-correct arguments, because the kernel looks at the permission when it verifies the call, and at what stands
// before it first. Read Plan first.
package permissions
